package regionagent

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver/drivertest"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// TestExportFollowsTheLedger: what an agent shows of its clusters bears the role its ledger has, and an active without the right to run is not shown as active.
func TestExportFollowsTheLedger(t *testing.T) {
	t.Parallel()
	d, err := events.Profile("fast")
	if err != nil {
		t.Fatal(err)
	}
	ref := events.Ref{Region: "r1", Cluster: "orders-a"}
	a := &agent{cfg: &config.Agent{Region: "r1", State: t.TempDir()}, d: d, log: slog.New(slog.DiscardHandler), inbox: make(chan func(events.Instant) lease.Effects)}
	a.clusters = []*cluster{{ref: ref, kind: events.KindPostgres, driver: drivertest.NewToys().Add(ref).Driver()}}
	a.core = lease.New(events.AgentRef{Region: "r1", Agent: "db1"}, d, lease.Ledger{ID: "x"}, "n", []events.Ref{ref}, boottime.Now())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // the loop
		for {
			select {
			case f := <-a.inbox:
				f(boottime.Now())
			case <-ctx.Done():
				return
			}
		}
	}()
	reg, scoped, err := telemetry.NewRegistry("r1")
	if err != nil {
		t.Fatal(err)
	}
	x, err := a.exporter(&config.Export{Every: 20 * time.Millisecond}, scoped, reg, a.log)
	if err != nil {
		t.Fatal(err)
	}
	go x.Run(ctx)
	page := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer page.Close()
	shows := func(want string) {
		t.Helper()
		var body []byte
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			resp, err := http.Get(page.URL)
			if err != nil {
				t.Fatal(err)
			}
			body, err = io.ReadAll(resp.Body)
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if err == nil && strings.Contains(string(body), want) {
				return
			}
		}
		t.Fatalf("no %s in\n%s", want, body)
	}
	shows(`switchback_cluster_up{cloud_region="r1",cluster="orders-a",group="",kind="postgres",role="unmanaged"} 0`)
	set := func(epoch events.Epoch, role events.Role, mode events.Mode, seq events.Seq) {
		a.post(ctx, func(now events.Instant) lease.Effects {
			return a.core.Set(now, events.Set{Cluster: ref, Agent: "db1", Group: "orders", Epoch: epoch, Role: role, Mode: mode}, seq)
		})
	}
	set(1, events.RoleActive, events.ModeAuto, 1)
	shows(`switchback_cluster_up{cloud_region="r1",cluster="orders-a",group="orders",kind="postgres",role="frozen"} 0`) // it has no lease
	set(2, events.RolePassive, events.ModeAuto, 2)
	shows(`switchback_cluster_in_epoch{cloud_region="r1",cluster="orders-a",group="orders",role="passive"} 2`)
	set(3, events.RoleActive, events.ModeObserve, 3)
	shows(`switchback_cluster_in_epoch{cloud_region="r1",cluster="orders-a",group="orders",role="active"} 3`) // nothing is fenced that is only watched
	if bad := telemetry.Lint(reg); len(bad) > 0 {
		t.Error(bad)
	}
}
