package decide

import (
	"slices"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Rows of upkeep are done one after the other in one step: none may act on what one before it has ended. Each case is two of them at once.
func TestUpkeepRowsSeeWhatTheOnesBeforeDid(t *testing.T) {
	t.Parallel()
	restoring := func(outcome events.Outcome) func(*Facts) {
		return func(f *Facts) { // C is copied anew, and its agent says so while the copy stood still
			m := f.Record.Member(refC)
			m.Work = &events.Operation{ID: "g-c-1", Verb: events.AskRestore, By: "ann", From: refA, To: refC}
			f.Record.Lists[0].Candidates = candidates(f.Record)
			c := &f.Members[2]
			c.Member = *m
			c.Health.Work = &events.Work{Idle: time.Hour}
			c.Health.Timeline, f.Members[0].Health.Timeline = 1, 1
			c.Report.Results = []events.Result{{Step: events.StepID("g", 4, workName(m.Work)), Outcome: outcome, Why: "no room"}}
		}
	}
	for name, c := range map[string]struct {
		change func(*Facts)
		rows   []string
		left   func(r *events.Record, o Outcome) bool
	}{
		"refused and stalled": {restoring(events.Refused), []string{"restore.refused"}, func(r *events.Record, o Outcome) bool {
			m := r.Member(refC)
			return m.Work == nil && m.Role == events.RoleFailed && m.Hold != "" && len(o.Notices) == 1
		}},
		"done and stalled": {restoring(events.Done), []string{ruleRestored}, func(r *events.Record, o Outcome) bool {
			return r.Member(refC).Work == nil && r.Member(refC).Role == events.RolePassive && len(o.Notices) == 1
		}},
		"left, and next to be waited for": {func(f *Facts) {
			f.Record.Sync.Set, f.Record.Sync.Told = nil, nil
			f.Config.Recovery = []events.Ref{refC}
		}, []string{"upkeep.left", "sync.join"}, func(r *events.Record, o Outcome) bool {
			return r.Member(refB) == nil && slices.Equal(r.Sync.Told, []events.Ref{refC})
		}},
		"left, and waited for": {func(f *Facts) { f.Config.Recovery = []events.Ref{refC} }, []string{"upkeep.left", "sync.join"}, func(r *events.Record, o Outcome) bool {
			return r.Member(refB) == nil && slices.Equal(r.Sync.Told, []events.Ref{refC}) && len(r.Sync.Set) == 0
		}},
		"left, and has not heard of the epoch": {func(f *Facts) {
			f.Config.Replication = events.ReplicateAsync
			f.Record.Sync, f.Config.Recovery = nil, []events.Ref{refC}
			f.Members[1].Report.Seen, f.Told = 3, func(events.Ref) bool { return false }
		}, []string{"upkeep.left"}, func(r *events.Record, o Outcome) bool {
			return len(o.Sets) == 1 && o.Sets[0].Cluster == refB && o.Sets[0].Step.Verb == events.VerbRelease
		}},
		"released, and told to wait": {func(f *Facts) { f.Config.Removed = true }, []string{"upkeep.released"}, func(r *events.Record, o Outcome) bool {
			return r.Gone != "" && len(r.Sync.Told) == 0 && len(o.Sets) == 3
		}},
	} {
		f := inSync(t, events.AloneStrict, []events.Ref{refB}, []events.Ref{refB})
		c.change(f)
		o := Step(f)
		if o.Record == nil || !slices.Equal(o.Upkeep, c.rows) || !c.left(o.Record, o) {
			t.Errorf("%s: rows %v, record %+v, told %+v, notices %+v", name, o.Upkeep, o.Record, o.Sets, o.Notices)
		}
	}
}
