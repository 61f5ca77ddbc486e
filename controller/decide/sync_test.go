package decide

import (
	"slices"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// inSync is a healthy group in sync whose set is told, and recorded, as given: B first to be asked, C second.
func inSync(t *testing.T, alone events.WhenAlone, told, set []events.Ref) *Facts {
	t.Helper()
	f := healthy(t)
	f.Config.Replication, f.Config.WhenAlone = events.ReplicateSync, alone
	f.Record.Sync = &events.Sync{Version: 7, Told: told, Set: set, Once: true}
	f.Wall, f.SyncAge = time.Unix(1e9, 0), time.Hour
	for i := range f.Members {
		h := &f.Members[i].Health
		h.Timeline, h.LagKnown, h.End = 1, i > 0, h.LSN
	}
	f.Members[0].Report.Sync = events.SyncSeen{Version: 7, At: 100}
	f.Members[0].Health.Sync = &events.SyncHealth{Version: 7}
	for _, r := range told {
		f.Members[0].Health.Sync.Standbys = append(f.Members[0].Health.Sync.Standbys, events.SyncStandby{Name: r.Cluster, Streaming: true, Flushed: 890})
	}
	return f
}

// waits has commits wait for the standbys named.
func waits(f *Facts, d time.Duration, lost ...events.Ref) {
	h := f.Members[0].Health.Sync
	h.Waiting, h.At = d, 895
	for i := range h.Standbys {
		s := &h.Standbys[i]
		s.Flushed = 895
		for _, r := range lost {
			if r.Cluster == s.Name {
				s.Streaming, s.Flushed = false, 800
			}
		}
	}
	for i := range f.Members {
		for _, r := range lost {
			if f.Members[i].Cluster == r {
				f.Members[i].Health.Streaming, f.Members[i].Health.LagKnown = false, false
			}
		}
	}
}

// step is one step and what it leaves of the set, which never names anybody whom the active is not told to wait for.
func step(t *testing.T, f *Facts) (Outcome, *events.Sync) {
	t.Helper()
	o := Step(f)
	if o.Record == nil {
		return o, f.Record.Sync
	}
	for _, c := range o.Record.Sync.Set {
		if !o.Record.Sync.Tells(c) {
			t.Fatalf("%s is in the set and the active is not told to wait for it: %+v", c, o.Record.Sync)
		}
	}
	if v := f.Record.Sync; v != nil && !slices.Equal(v.Told, o.Record.Sync.Told) && o.Record.Sync.Version <= v.Version {
		t.Fatalf("version %d after %d: want it to rise with what is told", o.Record.Sync.Version, v.Version)
	}
	return o, o.Record.Sync
}

func refsAre(t *testing.T, what string, got []events.Ref, want ...events.Ref) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s is %v: want %v", what, got, want)
	}
}

func TestSyncJoinIsToldThenSeenThenRecorded(t *testing.T) {
	t.Parallel()
	f := inSync(t, events.AloneStrict, nil, nil)
	f.Record.Sync = nil
	o, s := step(t, f)
	refsAre(t, "told", s.Told, refB)
	refsAre(t, "set", s.Set)
	if len(o.Sets) != 1 || o.Sets[0].Sync == nil || o.Sets[0].Sync.Version != s.Version || !slices.Equal(o.Sets[0].Sync.Names, []string{"b"}) {
		t.Fatalf("told %+v: want the active told to wait for b", o.Sets)
	}
	f.Record = o.Record
	for name, seen := range map[string]events.SyncSeen{
		"an older order": {Version: s.Version - 1, At: 100}, "nothing": {}, "void": {Version: s.Version, At: 100, Void: true}, "no position": {Version: s.Version},
		"it lacks something": {Version: s.Version, At: 899 + 1},
	} {
		f.Members[0].Report.Sync = seen
		if _, s := step(t, f); s.Holds(refB) {
			t.Errorf("%s: it joined", name)
		}
	}
	f.Members[0].Report.Sync = events.SyncSeen{Version: s.Version, At: 899}
	o, s = step(t, f)
	refsAre(t, "set", s.Set, refB)
	if len(o.Sets) != 0 || s.Version != f.Record.Sync.Version || !s.Once {
		t.Fatalf("recorded %+v, told %v: want nothing told", s, o.Sets)
	}
	f.Record = o.Record
	if o := Step(f); o.Record != nil {
		t.Fatalf("changed again: %+v", o.Record.Sync)
	}
}

func TestSyncLeaveIsRecordedWithTheOrder(t *testing.T) {
	t.Parallel()
	b := []events.Ref{refB}
	for name, c := range map[string]struct {
		alone     events.WhenAlone
		change    func(f *Facts)
		told, set []events.Ref
	}{
		"nothing wrong":          {events.AloneDegrade, func(*Facts) {}, b, b},
		"waits, not long":        {events.AloneDegrade, func(f *Facts) { waits(f, time.Second, refB, refC) }, b, b},
		"lost, degrade":          {events.AloneDegrade, func(f *Facts) { waits(f, 3*time.Second, refB, refC) }, nil, nil},
		"lost, strict":           {events.AloneStrict, func(f *Facts) { waits(f, time.Hour, refB, refC) }, b, b},
		"lost, another is there": {events.AloneStrict, func(f *Facts) { waits(f, 3*time.Second, refB) }, []events.Ref{refC, refB}, b},
		"active silent":          {events.AloneDegrade, func(f *Facts) { waits(f, time.Hour, refB, refC); f.Members[0].Fresh = false }, b, b},
		"not in sync any more":   {events.AloneStrict, func(f *Facts) { f.Config.Replication = events.ReplicateAsync }, nil, nil},
		"observed":               {events.AloneStrict, func(f *Facts) { f.Config.Mode = events.ModeObserve }, nil, nil},
		"somebody changed it":    {events.AloneStrict, func(f *Facts) { f.Members[0].Report.Sync.Void = true }, b, nil},
		"its agent lost it":      {events.AloneStrict, func(f *Facts) { f.Members[0].Report.Sync = events.SyncSeen{} }, b, nil},
		"first standby never came": {events.AloneStrict, func(f *Facts) {
			f.Record.Sync.Once, f.Record.Sync.Set = false, nil
			waits(f, 3*time.Second, refB, refC)
		}, nil, nil},
	} {
		f := inSync(t, c.alone, b, b)
		c.change(f)
		_, s := step(t, f)
		if !slices.Equal(s.Told, c.told) || !slices.Equal(s.Set, c.set) {
			t.Errorf("%s: told %v, set %v; want %v, %v", name, s.Told, s.Set, c.told, c.set)
		}
	}
}

// Another takes a place: it joins before the one it replaces leaves.
func TestSyncReplacement(t *testing.T) {
	t.Parallel()
	f := inSync(t, events.AloneStrict, []events.Ref{refC, refB}, []events.Ref{refB})
	waits(f, 3*time.Second, refB)
	f.Members[0].Report.Sync = events.SyncSeen{Version: 7, At: 850}
	o, s := step(t, f)
	refsAre(t, "set", s.Set, refB, refC)
	f.Record = o.Record
	_, s = step(t, f)
	refsAre(t, "set", s.Set, refC)
	refsAre(t, "told", s.Told, refC)
	f = inSync(t, events.AloneStrict, []events.Ref{refC, refB}, []events.Ref{refB}) // the newcomer dies between told and seen
	waits(f, 3*time.Second, refB, refC)
	f.Members[0].Report.Sync = events.SyncSeen{Version: 6, At: 850}
	_, s = step(t, f)
	refsAre(t, "told", s.Told, refB)
	refsAre(t, "set", s.Set, refB)
}

func TestSyncOnlyTheSetIsPromotedByAutomation(t *testing.T) {
	t.Parallel()
	f := inSync(t, events.AloneDegrade, []events.Ref{refC}, []events.Ref{refC})
	regionOut(f)
	o := wantRule(t, f, "failover.region-out")
	if o.Record.Target != refC || !o.Record.Op.Cut || o.Sets[0].Step == nil || o.Sets[0].Step.Verb != events.VerbCut {
		t.Fatalf("target %s, cut %v, told %+v: want C of the set, cut at once", o.Record.Target, o.Record.Op.Cut, o.Sets)
	}
	f.Members[2].Fresh = false
	wantRule(t, f, "wait.sync-set")
	f = inSync(t, events.AloneDegrade, nil, nil)
	regionOut(f)
	wantRule(t, f, "wait.sync-set")
	f.Ask = &events.Ask{ID: "1", Verb: events.AskFailover, Actor: "ann"}
	wantRule(t, f, "refuse.sync-set")
	f.Ask.AcceptLoss = true
	wantRule(t, f, "failover.asked")
	f = inSync(t, events.AloneDegrade, nil, nil) // a reachable active is stopped cleanly first: then it is known what is missing
	f.Ask = &events.Ask{ID: "1", Verb: events.AskFailover, Actor: "ann"}
	wantRule(t, f, "failover.asked")
}

// fencing is a failover of a dark active in sync to B, its cut answered.
func fencing(t *testing.T) *Facts {
	t.Helper()
	f := inSync(t, events.AloneDegrade, []events.Ref{refB}, []events.Ref{refB})
	regionOut(f)
	f.Record = wantRule(t, f, "failover.region-out").Record
	f.Members[1].Report.Passive, f.Members[1].Report.Seen = 5, 5
	f.Members[1].Report.Results = []events.Result{{Step: "g/5/cut", Outcome: events.Done, LSN: 899, Replayed: 899}}
	return f
}

func TestSyncCutIsAProof(t *testing.T) {
	t.Parallel()
	f := fencing(t)
	o := wantRule(t, f, "proof.cut")
	if p := o.Record.Op.Proof; p == nil || p.Kind != events.ProofCut || !o.Attempt || o.Record.Phase != events.PhaseProved {
		t.Fatalf("record %+v, attempt %v", o.Record, o.Attempt)
	}
	f.Record = o.Record
	o = wantRule(t, f, rulePromote)
	s := o.Record.Sync
	if o.Record.Active != refB || len(s.Set) != 0 || len(s.Told) != 0 || s.Once || s.Version <= 7 || o.Revoke == (events.AgentRef{}) {
		t.Fatalf("promoted %+v, revokes %v: want an empty set, and the old active's lease revoked on", s, o.Revoke)
	}
	if l := o.Record.Op.Loss; l == nil || !l.Sync || !l.Exact || l.Bytes != 0 {
		t.Fatalf("loss %+v: want nothing acknowledged", l)
	}
	for name, c := range map[string]func(f *Facts){
		"not cut":             func(f *Facts) { f.Members[1].Report.Results = nil },
		"cut at another time": func(f *Facts) { f.Members[1].Report.Results[0].Step = "g/3/cut" },
		"cut refused":         func(f *Facts) { f.Members[1].Report.Results[0].Outcome = events.Refused },
		"a promise is out":    func(f *Facts) { f.Members[1].Report.Passive = 4 },
		"not in the set":      func(f *Facts) { f.Record.Sync.Set = nil },
		"older data":          func(f *Facts) { f.Members[1].Report.Results[0].LSN = 880 },
		"not listed":          func(f *Facts) { f.Record.Lists[0].Candidates = f.Record.Lists[0].Candidates[1:] },
	} {
		f := fencing(t)
		c(f)
		if o := Step(f); o.Rule == "proof.cut" || o.Record != nil && o.Record.Phase == events.PhaseProved {
			t.Errorf("%s: %s", name, o.Rule)
		}
	}
}

func TestSyncCutOfAReachableActiveWaitsForItsStop(t *testing.T) {
	t.Parallel()
	f := inSync(t, events.AloneDegrade, []events.Ref{refB}, []events.Ref{refB})
	f.Ask = &events.Ask{ID: "1", Verb: events.AskFailover, Actor: "ann"}
	f.Record, f.Ask = wantRule(t, f, "failover.asked").Record, nil
	if f.Record.Op.Cut {
		t.Fatal("cut at once: a clean stop would deliver the rest")
	}
	wantRule(t, f, "wait.stop")
	f.PhaseAge = f.D.FenceAck
	o := wantRule(t, f, "fence.cut")
	if !o.Record.Op.Cut || !o.Attempt || len(o.Sets) != 1 || o.Sets[0].Step.Verb != events.VerbCut {
		t.Fatalf("told %+v, attempt %v", o.Sets, o.Attempt)
	}
	f.Record = o.Record
	f.PhaseAge = f.D.Attempt
	o = wantRule(t, f, "abort.no-proof") // whoever was cut follows again
	for _, s := range o.Sets {
		if s.Cluster == refB && (s.Step == nil || s.Step.Verb != events.VerbFollow) {
			t.Fatalf("told %+v: want it to follow", s.Step)
		}
	}
}

// Whoever was cut for a move that then took another target, and was aborted, follows again.
func TestSyncCutTargetThatWasReplacedFollowsAgain(t *testing.T) {
	t.Parallel()
	f := fencing(t)
	f.Record.Sync.Set, f.Record.Sync.Told = []events.Ref{refB, refC}, []events.Ref{refB, refC}
	f.Members[1].Silent, f.Members[1].Fresh, f.Members[1].Report.Results = f.D.FenceAck, false, nil
	o := wantRule(t, f, "switch.target")
	if o.Record.Target != refC || o.Sets[0].Step == nil || o.Sets[0].Step.Verb != events.VerbCut {
		t.Fatalf("target %s told %+v: want C cut", o.Record.Target, o.Sets)
	}
	f.Record, f.PhaseAge = o.Record, f.D.Attempt
	o = wantRule(t, f, "abort.no-proof")
	for _, s := range o.Sets {
		if s.Cluster != refA && (s.Step == nil || s.Step.Verb != events.VerbFollow) {
			t.Fatalf("%s is told %+v: want it to follow", s.Cluster, s.Step)
		}
	}
}

// A cluster that is made anew has left the set in the same batch: its data does not outlive it.
func TestSyncRebuildLeavesTheSetFirst(t *testing.T) {
	t.Parallel()
	for alone, told := range map[events.WhenAlone][]events.Ref{events.AloneStrict: {refB}, events.AloneDegrade: {}} {
		f := inSync(t, alone, []events.Ref{refB}, []events.Ref{refB})
		f.Ask = &events.Ask{ID: "1", Verb: events.AskRebuild, Actor: "ann", Cluster: refB.String(), Copy: true}
		o := wantRule(t, f, "restore.asked")
		s := o.Record.Sync
		if len(s.Set) != 0 || !slices.Equal(s.Told, told) || s.Version <= 7 || o.Record.Member(refB).Work == nil {
			t.Fatalf("%s: %+v", alone, s)
		}
		f.Record, f.Ask = o.Record, nil
		f.Members[1].Member = *o.Record.Member(refB)
		f.Members[0].Report.Sync = events.SyncSeen{Version: s.Version, At: 100}
		if _, s := step(t, f); s.Holds(refB) {
			t.Fatalf("%s: in the set while it is made anew", alone)
		}
	}
}

func TestSyncVersionsOfALaterRecordAreHigher(t *testing.T) {
	t.Parallel()
	s := &events.Sync{}
	s.Tell(9, nil)
	was := s.Version
	rebuilt := &events.Sync{}
	rebuilt.Tell(10, nil)
	if rebuilt.Version <= was {
		t.Fatalf("%d after %d", rebuilt.Version, was)
	}
}
