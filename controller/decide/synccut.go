package decide

import (
	"fmt"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// The sync cut (C3e). The active waits for everybody in the record's set at each commit: all of them, never some of them, for that is how it is told and how it was
// seen to wait. So one of them whose receiver is cut for good stops every acknowledgement, and that one has all there were.

// cutProves reports whether the cut of the target is a proof: it is in the recorded set, stands still for good, has what it is known to have confirmed, and
// reported passive at this epoch, so that no promise of it is out.
func (f *Facts) cutProves() bool {
	r, t := f.Record, f.Record.Target
	return r.Op.Cut && f.inSet(t) && f.cutDone() && f.cutLoss() == "" && f.target().passiveAt(r.Epoch) && f.listed(t)
}

// cutDue reports whether the target is to be cut now, so that it proves something: not before a reachable active had its time to stop cleanly.
func (f *Facts) cutDue() bool {
	op := f.Record.Op
	return !swapping(f) && !op.Cut && f.inSet(f.Record.Target) && (!op.Planned || f.active().Silent > 0 || f.PhaseAge >= f.D.FenceAck)
}

func orderCut(f *Facts, o *Outcome) {
	r := o.draft(f)
	r.Op.Cut, o.Attempt = true, true
	o.Sets = []events.Set{f.set(r, r.Target)}
}

// cutLacks says why promoting the cut target of a group in sync would lose acknowledged writes, or might; "" if it would not.
func (f *Facts) cutLacks(r events.Result) string {
	op, t := f.Record.Op, f.Record.Target
	switch {
	case f.inSet(t):
		if had := f.confirmed(t); r.LSN < had {
			return fmt.Sprintf("%s had confirmed everything up to %v and has it up to %v only: its data was replaced by older data", t, had, r.LSN)
		}
		return ""
	case op.Stopped != 0 && kept(r) >= op.Stopped:
		return ""
	case op.Stopped != 0:
		return fmt.Sprintf("%s has everything up to %v only, %s stopped at %v", t, kept(r), f.Record.Active, op.Stopped)
	}
	return fmt.Sprintf("%s is not in the sync set (%s), and %s was not stopped cleanly: it may lack acknowledged writes", t, f.setWords(), f.Record.Active)
}

// confirmed is what a standby confirmed to have on its disk, by the active's last word; 0 = not known.
func (f *Facts) confirmed(c events.Ref) events.LSN {
	if h := f.active().Health.Sync; h != nil {
		for _, s := range h.Standbys {
			if s.Name == c.Cluster {
				return s.Flushed
			}
		}
	}
	return 0
}

// onlyOutside says why nobody is promoted although somebody is fit: in sync, it may lack acknowledged writes. "" if that is not why.
func (f *Facts) onlyOutside(want events.Ref) string {
	if c, _ := f.best(want, events.Ref{}); c != nil {
		return ""
	}
	for i := range f.Members {
		c := &f.Members[i]
		if (want == (events.Ref{}) || want == c.Cluster) && f.unfit(c) == "" {
			return f.outside(c.Cluster)
		}
	}
	return ""
}

// syncEvidence is what speaks of the sync set, for `why`.
func (f *Facts) syncEvidence() []events.Fact {
	s := f.Record.Sync
	if f.Config.Replication != events.ReplicateSync && s == nil {
		return nil
	}
	fs := []events.Fact{{What: "sync set", Value: f.setWords(), Blocks: s == nil || len(s.Set) == 0}}
	if s != nil && !slices.Equal(s.Told, s.Set) {
		told := "for nobody"
		if len(s.Told) > 0 {
			told = "for " + refs(s.Told) + ", not seen to yet"
		}
		fs = append(fs, events.Fact{What: "commits are told to wait", Value: told})
	}
	h := f.active().Health.Sync
	if h == nil {
		return fs
	}
	if h.Waiting > 0 {
		fs = append(fs, events.Fact{What: "commits wait", Value: "for " + round(h.Waiting), Blocks: true})
	}
	if h.Why != "" {
		fs = append(fs, events.Fact{What: "wait not seen", Value: h.Why, Blocks: true})
	}
	for _, w := range h.Open {
		fs = append(fs, events.Fact{What: "acknowledged without a wait", Value: w})
	}
	return fs
}
