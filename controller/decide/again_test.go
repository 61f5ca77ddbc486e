package decide

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// What a restore found lost outlives the leader that recorded it: the record has it, and the next leader says the same again.
func TestReportsOutliveTheirLeader(t *testing.T) {
	t.Parallel()
	f := away(t)
	lost := &events.LostLog{Timeline: 2, From: 800, To: 900, Bytes: 100, Commits: 50}
	for i := range 50 {
		lost.List = append(lost.List, events.LostCommit{XID: uint64(i)})
	}
	r := f.Record
	r.Op.Serving = time.Second
	r.Members[0].Role, r.Members[0].Work = events.RolePassive, &events.Operation{ID: "g-restore-1", Verb: events.AskRestore, By: Automation, From: refB, To: refA, Began: f.Wall.Add(-30 * time.Second)}
	f.Members[0].Member = r.Members[0]
	f.Members[0].Health = events.ClusterHealth{Cluster: refA, Server: events.ServerRecovery, SystemID: "s", Timeline: 3, Streaming: true}
	results := []events.Result{{Step: events.StepID("g", 4, "restore-1"), Outcome: events.Done, How: "rewound", Lost: lost, Timeline: 3}}
	f.Members[0].Report = events.Report{Cluster: refA, Seen: 4, Role: events.RolePassive, Passive: 4, Results: results}
	o := Step(f)
	if o.Record == nil {
		t.Fatalf("%s: nothing recorded", o.Rule)
	}
	var told *events.Notice
	for i := range o.Notices {
		if o.Notices[i].Type == events.NoticeRestored {
			told = &o.Notices[i]
		}
	}
	if told == nil || told.Report.Lost != lost {
		t.Fatalf("told %+v", o.Notices)
	}
	kept := o.Record.Members[0].Last
	if kept == nil || len(kept.Lost.List) != listedHere || kept.Lost.Commits != 50 {
		t.Fatalf("the record keeps %+v", kept)
	}
	for _, c := range []struct {
		name  string
		after time.Duration
		found []events.Result
		want  int // reports
		list  int // lost commits listed in the restore's
	}{
		{"at once, the agent still has the list", 0, results, 2, 50},
		{"an hour later, it has it no more", time.Hour, nil, 2, listedHere},
		{"too long ago", TellAgain, results, 0, 0},
	} {
		ns := Reports(f.Config.Kind, o.Record, f.Wall.Add(c.after), func(events.Ref) []events.Result { return c.found })
		if len(ns) != c.want {
			t.Errorf("%s: %d reports, want %d", c.name, len(ns), c.want)
			continue
		}
		if c.want == 0 {
			continue
		}
		if n := ns[0]; n.Type != events.NoticeServing || n.Operation != "g-4" || n.Report == nil || n.Rule != "done.serving" {
			t.Errorf("%s: the move is told as %+v", c.name, n)
		}
		n := ns[1]
		if n.Type != told.Type || n.Operation != told.Operation || n.Cluster != told.Cluster || n.Rule != told.Rule || n.Why != told.Why || n.By != told.By || n.Report.Lost.Commits != 50 || len(n.Report.Lost.List) != c.list {
			t.Errorf("%s: the restore is told as %+v with %d listed, was %+v, want %d listed", c.name, n, len(n.Report.Lost.List), *told, c.list)
		}
	}
}
