package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestPlainProcesses loses the active side of a pair of plain processes (kind exec), driven by the commands of deploy/examples, and comes home; then swaps it there and back. There
// must never be two of the process: both write to one file, and whoever wrote last has written all since it began, move by move. What the moves lose is said to be not known. Its metrics follow the
// active in a real Prometheus, by the same lines in every agent's file.
func TestPlainProcesses(t *testing.T) {
	commands, err := filepath.Abs("../../deploy/examples/exec-commands")
	if err != nil {
		t.Fatal(err)
	}
	shop := stage.Group{Name: "shop", Home: stage.West, Plain: true}
	p := beginWith(t, stage.Options{
		Groups: []stage.Group{shop}, Commands: commands,
		Metrics: "{every: 1s, remote_write: {url: http://OUTSIDE:9090/api/v1/write, labels: {env: e2e}}}",
	})
	seen := p.prometheus()
	west, central := shop.Primary(), shop.Recovery()
	want := []events.Ref{west}
	turns := func(more ...events.Ref) {
		t.Helper()
		want = append(want, more...)
		last := want[len(want)-1]
		before := len(p.Lines(shop.Name))
		p.wait(last.String()+" works", func() error {
			by := p.Lines(shop.Name)
			if n := len(by); n < before+5 || by[n-1] != last {
				return fmt.Errorf("%d lines since", n-before)
			}
			return nil
		})
		if got := inTurn(p.Lines(shop.Name)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("the lines were written by %v in turn, want %v: two of the process ran at once", got, want)
		}
	}
	turns()
	seen(stage.West)

	skip := p.heard()
	p.darkenPlain(shop)
	p.told(skip, shop, events.NoticeServing, nil)
	turns(central)
	seen(stage.Central)
	if v := p.view(shop.Name); v.Record.Op.Loss == nil || !v.Record.Op.Loss.NoLog {
		t.Errorf("loss %+v: want it not known", v.Record.Op.Loss)
	}
	for verb, says := range map[string]string{"report": "loss not known: its kind has no log", "why": "what is lost is not known: kind exec has no log"} {
		if out, err := p.Command(t.Context(), verb, shop.Name); err != nil || !strings.Contains(out, says) {
			t.Errorf("%s does not say %q: %v\n%s", verb, says, err, out)
		}
	}
	p.lightPlain()
	p.restored(skip, shop, west)
	p.wait("a plan says of the loss that nobody knows it", func() error { // once the active has it on its list
		if out, err := p.Command(t.Context(), "plan", "failback", "--region", stage.West); err != nil || !strings.Contains(out, "unknown of 1 group") {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	p.failback(shop)
	turns(west)
	seen(stage.West)

	for _, to := range []events.Ref{central, west} {
		p.do(p.insist(events.AskSwitchover, shop, "swap-to-"+to.Cluster, ""))
		p.wait(shop.Name+" is whole on "+to.String(), func() error {
			v := p.view(shop.Name)
			if v.Active() != to {
				return fmt.Errorf("active is %s: %s", v.Active(), v.Why)
			}
			if why := v.Whole(); why != "" {
				return fmt.Errorf("%s", why)
			}
			return nil
		})
		turns(to)
	}
}

// darkenPlain cuts the home region off while its process lives, and where the machine can't, kills it.
func (p *play) darkenPlain(g stage.Group) {
	p.t.Helper()
	if p.CanIsolate() == nil {
		p.do(p.Isolate(g.Home))
		return
	}
	p.do(p.KillRegion(g.Home))
}

func (p *play) lightPlain() {
	p.t.Helper()
	if p.CanIsolate() == nil {
		p.do(p.Heal(stage.West))
		return
	}
	p.do(p.StartRegion(stage.West))
}

// inTurn is who wrote, one after the other, without repetition.
func inTurn(by []events.Ref) (turns []events.Ref) {
	for _, r := range by {
		if n := len(turns); n == 0 || turns[n-1] != r {
			turns = append(turns, r)
		}
	}
	return turns
}

// prometheus runs one outside every region, and returns what waits until it shows a region, and none else, as the active.
func (p *play) prometheus() (seen func(region string)) {
	p.t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		p.t.Fatal("no prometheus here: run deploy/need.sh prometheus")
	}
	config := filepath.Join(p.Dir(), "prometheus.yml")
	p.do(os.WriteFile(config, []byte("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs: []\n"), 0o644))
	// A region that is dark can't say that its series have ended: how long they are shown then is Prometheus's.
	p.do(p.StartOutside("prometheus", exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path=data", "--web.listen-address="+p.OutsideAddress()+":9090",
		"--web.enable-remote-write-receiver", "--query.lookback-delta=4s", "--log.level=warn")))
	client := &http.Client{Transport: &http.Transport{DialContext: p.DialOutside, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return func(region string) {
		p.t.Helper()
		for _, q := range []string{`switchback_cluster_up{group="shop",role="active",env="e2e"} == 1`, `switchback_cluster_in_epoch{group="shop",role="active"}`} {
			p.wait("Prometheus shows "+region+", and it alone, for "+q, func() error {
				resp, err := client.Get("http://" + p.OutsideAddress() + ":9090/api/v1/query?query=" + url.QueryEscape(q))
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				var answer struct {
					Data struct {
						Result []struct{ Metric map[string]string }
					}
				}
				if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
					return err
				}
				if got := answer.Data.Result; len(got) != 1 || got[0].Metric["cloud_region"] != region {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
		}
	}
}
