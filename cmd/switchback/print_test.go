package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/sim"
)

var update = flag.Bool("update", false, "record the golden files anew")

// anyRows: a row more is no change of how it is printed.
var anyRows = regexp.MustCompile(`\d+ of \d+ rows`)

func TestPrinters(t *testing.T) {
	t.Parallel()
	orders, billing, op := ordersView(), billingView(), ordersOperation()
	running, aborted, lost := ordersView(), ordersOperation(), &events.Answer{Hash: "x", Why: `no group is called "order": do you mean orders?`}
	running.Record.Op.Ended, running.Record.Phase, running.Record.Disarm, running.Protected = "", events.PhaseFencing, "by alice: disk", true
	running.Clusters[1].Kernel = events.KernelInForce
	aborted.Ended, aborted.EndWhy, aborted.Promoted, aborted.Proof, aborted.Phases = "aborted", "no fence proof within the time of an attempt", 0, nil, nil
	mixed := &events.Answer{Hash: "x", Accepted: true, Items: []events.AnswerItem{
		{Group: "billing", Rule: "refuse.observe", Why: "billing is only observed"}, {Group: "orders", Accepted: true, Operation: "orders-8", Rule: "failover.asked", Why: "alice asked"},
	}}
	found := &diagnosis{Unchecked: []string{"the weather"}}
	found.durations()
	found.found("fail", "hub eu-west-1 (tls://10.0.1.5:4222)", "not reachable")
	broke := &simulated{Rows: map[string]int{}}
	broke.add(sim.Result{Schedule: sim.Schedule{Setting: sim.Setting{Seed: 7}}, Steps: 12, Rows: map[string]int{"promote": 3}, Violation: &sim.Violation{At: 3 * time.Second, Rule: "I1", What: "two writable"}})
	broke.sum(500 * time.Millisecond)
	for name, print := range map[string]func(p *page){
		"status-outage":  func(p *page) { p.status(darkStatus(), "") },
		"status-blind":   func(p *page) { p.status(quiet(), "") },
		"status-restore": func(p *page) { p.status(darkStatus(), words.Waits(comingHome())) },
		"group-away":     func(p *page) { p.group(&orders) },
		"group-running":  func(p *page) { p.group(&running) },
		"group-unborn":   func(p *page) { p.group(&billing) },
		"groups":         func(p *page) { p.groups([]fleet.GroupView{billing, orders}) },
		"why":            func(p *page) { p.why("orders", ordersWhy(), nil) },
		"why-unjudged":   func(p *page) { p.why("eu-west-1", &answers.Why{Why: ": "}, nil) },
		"report":         func(p *page) { p.report(&op, "") },
		"report-aborted": func(p *page) { p.report(&aborted, "") },
		"answer-refused": func(p *page) { p.answer(lost) },
		"answer-mixed":   func(p *page) { p.answer(mixed) },
		"doctor":         func(p *page) { p.diagnosis(found) },
		"sim-broken":     func(p *page) { p.simulated(broke, false) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			print(&page{w: &b, now: noon})
			golden(t, name, anyRows.ReplaceAll(b.Bytes(), []byte("ALL of ALL rows")))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// A terminal gets colours where words mean something, and columns stay where they are.
func TestColours(t *testing.T) {
	t.Parallel()
	var plainText, colored bytes.Buffer
	(&page{w: &plainText, now: noon}).status(darkStatus(), "")
	(&page{w: &colored, now: noon, color: true}).status(darkStatus(), "")
	if !strings.Contains(colored.String(), "\x1b[31mout\x1b[0m") {
		t.Errorf("out is not red:\n%q", colored.String())
	}
	bare := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(colored.String())
	if d := cmp.Diff(plainText.String(), bare); d != "" {
		t.Errorf("colours moved the text (-plain +coloured):\n%s", d)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0s", 0: "0.0s", 249 * time.Millisecond: "0.2s", 9999 * time.Millisecond: "9.9s", 59*time.Second + 900*time.Millisecond: "59s", time.Minute: "1m00s",
		222 * time.Second: "3m42s", 59*time.Minute + 59*time.Second: "59m59s", 5*time.Hour + 12*time.Minute: "5h12m", 47 * time.Hour: "47h00m", 21 * 24 * time.Hour: "21d",
	} {
		if got := words.Age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 12_028: "12 kB", 1_200_000: "1.2 MB", 412_000_000_000: "412 GB", 5_000_000_000_000_000: "5000 TB"} {
		if got := words.Size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}
