package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

const kept = "/var/lib/switchback/kept/orders-8"

func lostLog() *events.LostLog {
	l := &events.LostLog{
		Timeline: 1, From: 0x5A1C0, To: 0x5D0BC, Bytes: 12_028, Commits: 37, Own: 2, First: noon.Add(-4 * time.Minute), Last: noon.Add(-3*time.Minute - 51*time.Second), Kept: kept,
	}
	for i := range 3 {
		l.List = append(l.List, events.LostCommit{XID: uint64(7741 + i), LSN: events.LSN(0x5A1F0 + 0x100*i), At: l.First.Add(time.Duration(i) * 40 * time.Millisecond)})
	}
	return l
}

// restoreOperation is the restore of the home of orders, ended.
func restoreOperation() events.Operation {
	return events.Operation{
		ID: "orders-restore-3", Verb: events.AskRestore, Ask: "1", By: "alice", Rule: "failback.restore", Why: "alice asked to bring orders home; its home is restored first",
		From: ordersB, To: ordersA, Timeline: 2, Began: noon.Add(-time.Minute), Phases: []events.PhaseTime{{Phase: "restore", Took: 12 * time.Second}}, Ended: "done",
		Protected: 14300 * time.Millisecond, Then: events.AskFailback, How: "rewound", Copied: 82_000_000, Lost: lostLog(),
	}
}

// swapOperation is the way home, done.
func swapOperation() events.Operation {
	return events.Operation{
		ID: "orders-9", Verb: events.AskFailback, Ask: "1", By: "alice", Rule: "swap.intent", Why: "every gate is passed", From: ordersB, To: ordersA, Planned: true,
		Proof: &events.Proof{Kind: events.ProofAck, Epoch: 9, Said: "eu-central-1/db3 stopped eu-central-1/orders-b cleanly"}, Sent: 0x5_0000A3F8, Stopped: 0x5_0000A470,
		Promoted: 0x5_0000A470, Timeline: 3, Loss: &events.Loss{Known: true, Exact: true}, Began: noon.Add(-time.Minute),
		Phases: []events.PhaseTime{{Phase: "prepare", Took: 700 * time.Millisecond}, {Phase: "fence", Took: 110 * time.Millisecond}, {Phase: "promote", Took: 90 * time.Millisecond}},
		Ended:  "done", Serving: 230 * time.Millisecond,
	}
}

// restoringView is orders while its home is restored.
func restoringView() fleet.GroupView {
	g := ordersView()
	op := restoreOperation()
	op.Ended = ""
	g.Record.Members = []events.Member{{Cluster: ordersA, Agent: events.AgentRef{Region: "eu-west-1", Agent: "db17"}, Role: events.RolePassive, Work: &op}}
	c := &g.Clusters[0]
	c.Role, c.State, c.Op, c.Silent, c.Age, c.Fit = events.RolePassive, events.StateRebuilding, op.ID, 0, 300*time.Millisecond, "is being restored"
	c.Work = &events.Work{Phase: "rewind", Done: 820_000_000, Total: 1_200_000_000, Took: 20 * time.Second}
	return g
}

// heldView is orders whose home waits for a person.
func heldView() fleet.GroupView {
	g := ordersView()
	c := &g.Clusters[0]
	c.Silent, c.Age, c.Hold = 0, 400*time.Millisecond, "alice gave it up by orders-8"
	g.Clusters[1].Quiet = &events.Maintenance{Until: noon.Add(30 * time.Minute), By: "bob", Why: "new disk"}
	g.Record.Op.Lost = lostLog()
	return g
}

// comingHome is a fleet of which groups wait for each thing there is to wait for.
func comingHome() []fleet.GroupView {
	well, gone, lag := ordersView(), ordersView(), ordersView()
	well.Protected, gone.Record.Gone = true, "alice"
	lag.Clusters[0].Role, lag.Clusters[0].Silent = events.RolePassive, 0
	return []fleet.GroupView{ordersView(), ordersView(), restoringView(), restoringView(), heldView(), lag, well, gone, billingView()}
}

func TestHomePrinters(t *testing.T) {
	t.Parallel()
	restoring, held, released := restoringView(), heldView(), ordersView()
	released.Record.Gone = "alice: moves to another fleet"
	counted, home, restore, running, restart := ordersOperation(), swapOperation(), restoreOperation(), ordersOperation(), restoreOperation()
	counted.Serving, counted.Protected, counted.Lost, counted.Loss = 32600*time.Millisecond, 4*time.Minute, lostLog(), &events.Loss{Known: true, Exact: true, Bytes: 12_028}
	home.Protected = 1400 * time.Millisecond
	running.Ended, running.Promoted, running.Phases, running.Proof = "", 0, nil, nil
	restart = events.Operation{ID: "orders-restart-5", Verb: events.AskRestart, By: "bob", Rule: "restart.asked", From: ordersB, To: ordersB, Ended: "done", Serving: 2300 * time.Millisecond}
	unread := restoreOperation()
	unread.Lost.Unread, unread.Lost.Commits, unread.Lost.Own, unread.How, unread.Copied, unread.Then = "segment 000000010000000000000006 is gone", 1, 0, "copied", 412e9, ""
	failed := events.Operation{ID: "orders-restore-4", Verb: events.AskRestore, By: automation, Rule: "restore.begin", From: ordersB, To: ordersA, Ended: "failed", EndWhy: "needs 412 GB, 80 GB are free"}
	swapping := ordersView()
	swapping.Record.Op.Ended, swapping.Record.Op.Stage = "", events.StagePrepare
	for name, print := range map[string]func(p *page){
		"group-restoring": func(p *page) { p.group(&restoring) },
		"group-held":      func(p *page) { p.group(&held) },
		"group-released":  func(p *page) { p.group(&released) },
		"group-preparing": func(p *page) { p.group(&swapping) },
		"groups-noted":    func(p *page) { p.groups([]fleet.GroupView{restoring, held, released}) },
		"why-restoring":   func(p *page) { p.why("orders", ordersWhy(), &restoring) },
		"report-counted":  func(p *page) { p.report(&counted, "db17:"+kept); p.commits(&counted, "db17:"+kept) },
		"report-markdown": func(p *page) {
			told := []words.Told{{At: noon, Notice: events.Notice{Rule: "promote", Why: "eu-central-1/orders-b is appointed at epoch 8"}}}
			if err := words.Report("orders", &counted, "db17:"+kept, told, p.now).Markdown(p.w); err != nil {
				t.Error(err)
			}
		},
		"report-html": func(p *page) {
			if err := words.Report("orders", &restore, "db17:"+kept, nil, p.now).HTML(p.w); err != nil {
				t.Error(err)
			}
		},
		"report-home":    func(p *page) { p.report(&home, "") },
		"report-restore": func(p *page) { p.report(&restore, "db17:"+kept) },
		"report-unread":  func(p *page) { p.report(&unread, "db17:"+kept); p.commits(&unread, "") },
		"report-failed":  func(p *page) { p.report(&failed, ""); p.commits(&failed, "") },
		"report-running": func(p *page) { p.report(&running, "") },
		"report-restart": func(p *page) { p.report(&restart, "") },
		"report-gave-way": func(p *page) {
			p.report(&events.Operation{ID: "orders-8", Ended: "failed", EndWhy: "its group went on to orders-9"}, "")
		},
		"report-all-there": func(p *page) {
			p.line("%s", words.Lost(&events.LostLog{Timeline: 1, From: 0x10, To: 0x10}, "", p.now))
			p.commits(&home, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			print(&page{w: &b, now: noon})
			golden(t, name, b.Bytes())
		})
	}
}

// What a person is told to do next fits what the group waits for.
func TestNext(t *testing.T) {
	t.Parallel()
	atHome := func(g fleet.GroupView) fleet.GroupView {
		g.Record.Active, g.Record.Op.From, g.Record.Op.To = ordersA, ordersB, ordersA
		g.Clusters[0], g.Clusters[1] = g.Clusters[1], g.Clusters[0]
		g.Clusters[0].Cluster, g.Clusters[1].Cluster = ordersA, ordersB
		return g
	}
	passive := func(fit string) fleet.GroupView {
		g := heldView()
		g.Clusters[0].Role, g.Clusters[0].Fit, g.Clusters[0].Hold, g.Protected = events.RolePassive, fit, "", fit == ""
		return g
	}
	change := func(g fleet.GroupView, f func(g *fleet.GroupView)) fleet.GroupView {
		f(&g)
		return g
	}
	unheld := func(g *fleet.GroupView) { g.Clusters[0].Hold, g.Clusters[1].Quiet = "", nil }
	empty := func(g *fleet.GroupView) {
		g.Clusters[0].Hold = "there is no data yet: `switchback protect orders` copies it"
	}
	three := func(g *fleet.GroupView) {
		g.Clusters = append(g.Clusters, fleet.ClusterView{Cluster: events.Ref{Region: "eu-north-1", Cluster: "orders-c"}, Role: events.RolePassive})
	}
	for name, c := range map[string]struct {
		g    fleet.GroupView
		want string
	}{
		"dark":             {ordersView(), "nothing until eu-west-1 reports in; then `switchback failback orders`"},
		"restoring":        {change(restoringView(), func(g *fleet.GroupView) { g.Record.Members[0].Work.Then = "" }), "nothing until eu-west-1/orders-a is restored; then `switchback failback orders`"},
		"on its way":       {restoringView(), "nothing: eu-west-1/orders-a is being restored, then the group goes home by itself"},
		"held":             {heldView(), "`switchback failback orders` restores eu-west-1/orders-a and brings the group home"},
		"by itself":        {change(heldView(), unheld), "nothing until eu-west-1/orders-a is restored, which happens by itself; then `switchback failback orders`"},
		"disarmed":         {change(change(heldView(), unheld), func(g *fleet.GroupView) { g.Record.Disarm = "by bob" }), "`switchback failback orders` restores eu-west-1/orders-a and brings the group home"},
		"empty":            {change(heldView(), empty), ""},
		"ready":            {passive(""), "`switchback failback orders` brings it home"},
		"behind":           {passive("does not stream"), "nothing until eu-west-1/orders-a can be promoted; then `switchback failback orders`"},
		"moving":           {change(ordersView(), func(g *fleet.GroupView) { g.Record.Op.Ended = "" }), ""},
		"on its way, held": {change(passive(""), func(g *fleet.GroupView) { g.Rule = "wait.failback" }), "nothing: the group goes home by itself as soon as it may"},
		"released":         {change(ordersView(), func(g *fleet.GroupView) { g.Record.Gone = "alice" }), ""},
		"unborn":           {billingView(), ""},
		"home, dark":       {atHome(ordersView()), "nothing until eu-central-1 reports in"},
		"home, held":       {atHome(heldView()), "`switchback restore orders` makes eu-central-1/orders-b follow again"},
		"home, dark, held": {atHome(change(heldView(), func(g *fleet.GroupView) { g.Clusters[0].Silent = time.Minute })), "nothing until eu-central-1 reports in; then `switchback restore orders`"},
		"home, one of two": {atHome(change(heldView(), three)), "`switchback restore orders --cluster eu-central-1/orders-b` makes eu-central-1/orders-b follow again"},
		"home, by itself":  {atHome(change(heldView(), unheld)), "nothing: eu-central-1/orders-b is restored as soon as it can be"},
		"home, restoring":  {atHome(restoringView()), "nothing: eu-central-1/orders-b is being restored, then it is protected"},
		"home, broken":     {atHome(passive("does not stream")), "`switchback rebuild orders` if eu-central-1/orders-b does not follow by itself"},
		"home, empty":      {atHome(change(heldView(), empty)), ""},
		"home, well":       {atHome(passive("")), ""},
	} {
		if d := cmp.Diff(c.want, words.Next(&c.g)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestLacks(t *testing.T) {
	t.Parallel()
	dark, byItself, held, empty, seen := ordersView(), heldView(), heldView(), heldView(), heldView()
	byItself.Clusters[0].Hold, byItself.Clusters[1].Quiet = "", nil
	seen.Clusters[0].Role, seen.Clusters[0].Hold = events.RolePassive, ""
	empty.Clusters[0].Hold = "there is no data yet: `switchback protect orders` copies it"
	quiet := heldView()
	quiet.Clusters[0].Hold = ""
	restoring := restoringView()
	for want, g := range map[string]*fleet.GroupView{
		"eu-west-1/orders-a failed: restored once eu-west-1 reports in":                                              &dark,
		"eu-west-1/orders-a failed: restored as soon as it can be":                                                   &byItself,
		"eu-west-1/orders-a failed: waits for `switchback restore orders` (alice gave it up by orders-8)":            &held,
		"eu-west-1/orders-a failed: waits for `switchback restore orders` (eu-central-1/orders-b is in maintenance)": &quiet,
		"eu-west-1/orders-a failed: there is no data yet: `switchback protect orders` copies it":                     &empty,
		"eu-west-1/orders-a is being restored (orders-restore-3): rewind 68 % of 1.2 GB":                             &restoring,
		"no passive of orders is seen to stream yet":                                                                 &seen,
	} {
		if got := words.Lacks(g); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	m := &meter{}
	work := func(phase string, took int, done, total int64, idle int) events.Work {
		return events.Work{Phase: phase, Done: done, Total: total, Took: time.Duration(took) * time.Second, Idle: time.Duration(idle) * time.Second}
	}
	for i, c := range []struct {
		w     events.Work
		begun bool
		want  string
	}{
		{work("analyse", 1, 0, 0, 0), true, "analyse"},
		{work("count", 2, 5000, 0, 0), true, "count 5.0 kB so far"},
		{work("rewind", 3, 0, 1_200_000_000, 0), true, "rewind 0 B of 1.2 GB, 0 %"},
		{work("rewind", 3, 0, 1_200_000_000, 0), false, "rewind 0 B of 1.2 GB, 0 %"}, // seen twice
		{work("rewind", 5, 80_000_000, 1_200_000_000, 0), false, "rewind 80 MB of 1.2 GB, 6 %, 40 MB/s, about 28s left"},
		{work("rewind", 13, 400_000_000, 1_200_000_000, 0), false, "rewind 400 MB of 1.2 GB, 33 %, 40 MB/s, about 20s left"},
		{work("rewind", 23, 500_000_000, 1_200_000_000, 0), false, "rewind 500 MB of 1.2 GB, 41 %, 10 MB/s, about 1m10s left"}, // the last seconds count
		{work("rewind", 35, 500_000_000, 1_200_000_000, 12), false, "rewind 41 % of 1.2 GB, no progress for 12s"},
		{work("rewind", 36, 100_000_000, 1_200_000_000, 0), false, "rewind 100 MB of 1.2 GB, 8 %"}, // it began anew
		{work("rewind", 46, 1_300_000_000, 1_200_000_000, 0), false, "rewind 1.3 GB of 1.2 GB, 100 %, 120 MB/s"},
		{work("catch-up", 47, 0, 0, 0), true, "catch-up"},
	} {
		if begun := m.see(c.w); begun != c.begun || m.text() != c.want {
			t.Errorf("%d: got %v %q, want %v %q", i, begun, m.text(), c.begun, c.want)
		}
	}
	if got := words.Work(nil); got != "begins" {
		t.Errorf("got %q", got)
	}
}

func TestGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 12_028: "12,028", 412_000_000_000: "412,000,000,000", -12_028: "-12,028", -999: "-999"} {
		if got := words.Grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

// A line that wraps can't be erased, so it does not.
func TestProgressLine(t *testing.T) {
	t.Parallel()
	l := (&app{}).progress(false, noon)
	if got := l.render(12300 * time.Millisecond); got != "  12.3 s  …" {
		t.Errorf("got %q", got)
	}
	l.say("rewind 820 MB of 1.2 GB, 68 %, 41 MB/s, about 9.2s left")
	if got := l.render(12300 * time.Millisecond); got != "  12.3 s  rewind 820 MB of 1.2 GB, 68 %, 41 MB/s, about 9.2s left …" {
		t.Errorf("got %q", got)
	}
	l.say("rewind 820 MB of 1.2 GB, 68 %, 41 MB/s, about 9.2s left; copy 1.0 GB of 412 GB, 0 %")
	if n := len([]rune(l.render(0))); n != lineWidth {
		t.Errorf("%d columns, want %d", n, lineWidth)
	}
}
