package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// server is a real Prometheus.
type server struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
	over    chan error
}

func newServer(t *testing.T, scrape ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Fatal("no prometheus here: run deploy/need.sh prometheus")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &server{t: t, dir: t.TempDir(), address: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: [{job_name: agents, static_configs: [{targets: [" + strings.Join(scrape, ", ") + "]}]}]\n"
	if err := os.WriteFile(filepath.Join(p.dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.signal(syscall.SIGKILL) })
	p.start()
	return p
}

// start starts it, and returns when it is ready.
func (p *server) start() {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command("prometheus", "--config.file="+filepath.Join(p.dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(p.dir, "data"), "--web.listen-address="+p.address,
		"--web.enable-remote-write-receiver", "--log.level=warn")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.over = make(chan error, 1)
	go func(cmd *exec.Cmd, over chan error) { over <- cmd.Wait() }(p.cmd, p.over)
	until(p.t, "prometheus is ready", func() error {
		resp, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
}

// signal ends it and waits for that.
func (p *server) signal(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(sig)
	<-p.over
	p.cmd = nil
}

// series is one answer to a query: its labels, and its value or values.
type series struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

func (p *server) query(q string) ([]series, error) {
	resp, err := http.Get("http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(q))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []series }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("query %s: %s %w", q, answer.Error, err)
	}
	return answer.Data.Result, nil
}

// TestPrometheus pushes two sides of a group to a real Prometheus, and is scraped by it. The role of both changes, as at a failover: the same names appear with the other region
// under role="active", and the old ones end at once. Then the receiver is gone for as long as it takes to collect sixty times: nothing is lost, doubled or out of order.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	pages := http.NewServeMux()
	agents := httptest.NewServer(pages)
	t.Cleanup(agents.Close)
	p := newServer(t, strings.TrimPrefix(agents.URL, "http://"))
	write := func() *Write {
		return &Write{URL: "http://" + p.address + "/api/v1/write", Labels: map[string]string{"env": "test"}, Buffer: 1 << 20, Least: 10 * time.Millisecond, Most: 100 * time.Millisecond}
	}
	const every = 50 * time.Millisecond
	west, central := newSide(t, "eu-west-1", "active", every, write()), newSide(t, "eu-central-1", "passive", every, write())
	pages.Handle("/metrics", promhttp.HandlerFor(west.reg, promhttp.HandlerOpts{}))
	stopWest, stopCentral := west.run(t), central.run(t)
	active := func(region string) {
		t.Helper()
		until(t, region+" is active in Prometheus, and it alone", func() error {
			for _, name := range []string{"pg_up", "switchback_cluster_up", "pg_stat_database_xact_commit_total"} {
				got, err := p.query(name + `{role="active",env="test",group="orders"}`)
				if err != nil {
					return err
				}
				if len(got) != 1 || got[0].Metric["cloud_region"] != region || got[0].Metric["cluster"] != "orders-"+region {
					return fmt.Errorf("%s: %+v", name, got)
				}
			}
			return nil
		})
	}
	active("eu-west-1")
	west.role.Store("passive")
	central.role.Store("active")
	active("eu-central-1")

	p.signal(syscall.SIGTERM)
	before := central.meter.times()
	until(t, "sixty collections without a receiver", func() error {
		if n := central.meter.times(); n < before+60 {
			return fmt.Errorf("%d", n-before)
		}
		return nil
	})
	if n := shown(central.metrics.waiting); n < 50 {
		t.Errorf("%g collections are on disk", n)
	}
	if n := shown(central.metrics.up); n != 0 {
		t.Errorf("the receiver is gone and shown as up: %g", n)
	}
	p.start()
	for _, s := range []*side{west, central} {
		until(t, "all is sent", func() error {
			if n := shown(s.metrics.waiting); n > 1 {
				return fmt.Errorf("%g collections left", n)
			}
			return nil
		})
	}
	stopWest()
	stopCentral()
	for _, s := range []*side{west, central} { // what was collected last, and not sent when they were stopped
		ctx, cancel := context.WithCancel(t.Context())
		go s.sender.run(ctx)
		until(t, "the rest is sent", func() error {
			if n := shown(s.metrics.waiting); n > 0 {
				return fmt.Errorf("%g collections left", n)
			}
			return nil
		})
		cancel()
	}
	for region, s := range map[string]*side{"eu-west-1": west, "eu-central-1": central} {
		p.whole(region, s)
		if n := shown(s.metrics.dropped.WithLabelValues("refused")); n != 0 {
			t.Errorf("%s: %g samples were refused", region, n)
		}
	}
	until(t, "scraped", func() error {
		got, err := p.query(`pg_stat_database_xact_commit_total{job="agents",cloud_region="eu-west-1",group="orders",role="passive",datname="postgres"}`)
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("%+v", got)
		}
		return err
	})
	promtool(t, agents.URL+"/metrics")
}

// whole checks that what was pushed of one side is there: each count once, in order, under one role and then the other.
func (p *server) whole(region string, s *side) {
	p.t.Helper()
	got, err := p.query(`pg_stat_database_xact_commit_total{job="",cloud_region="` + region + `"}[1h]`)
	if err != nil {
		p.t.Fatal(err)
	}
	times := map[int]float64{}
	for _, x := range got {
		for _, v := range x.Values {
			n, err := strconv.Atoi(v[1].(string))
			if err != nil {
				p.t.Fatalf("%s: value %v", region, v)
			}
			if at, twice := times[n]; twice {
				p.t.Errorf("%s: %d is there twice, at %v and %v", region, n, at, v[0])
			}
			times[n] = v[0].(float64)
		}
	}
	want := s.meter.times()
	for n := 1; n <= want; n++ {
		at, there := times[n]
		if !there {
			p.t.Errorf("%s: sample %d of %d is lost", region, n, want)
		} else if n > 1 && times[n-1] >= at {
			p.t.Errorf("%s: sample %d is at %v, the one before at %v", region, n, at, times[n-1])
		}
	}
	if len(times) > want {
		p.t.Errorf("%s: %d samples, collected were %d", region, len(times), want)
	}
	p.t.Logf("%s: %d collections, all of them there", region, want)
}

// promtool has Prometheus's own tool look at names, help and types of what is served.
func promtool(t *testing.T, page string) {
	t.Helper()
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = resp.Body
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
