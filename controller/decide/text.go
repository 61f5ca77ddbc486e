package decide

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

func round(d time.Duration) string { return gate.Round(d) }

// ProofText says what a proof rests on, in facts an outsider can check.
func ProofText(p *events.Proof) string {
	if p == nil {
		return "none"
	}
	text := proofText(p)
	for _, x := range p.Facts {
		text += "; " + x.What + ": " + x.Value
	}
	return text
}

func proofText(p *events.Proof) string {
	switch p.Kind {
	case events.ProofLease:
		var lanes []string
		for _, l := range p.Lanes {
			lanes = append(lanes, fmt.Sprintf("%d at seq %d", l.Lane, l.Revoked))
		}
		return fmt.Sprintf("lease: revoked on acceptors %s; last beat received %s before (needs %s); the target reported passive at epoch %d, no promise out",
			strings.Join(lanes, ", "), round(p.Waited), round(p.Needed), p.Target)
	case events.ProofAck:
		return "ack: " + p.Said
	case events.ProofExternal:
		return "external fence: " + p.Said
	case events.ProofCut:
		return "sync cut: " + p.Said
	case events.ProofUnfenced:
		return "WAIVED by " + p.Said
	}
	return string(p.Kind)
}

// LossText says what may be lost, without claiming more than is known.
func LossText(l *events.Loss) string {
	switch {
	case l != nil && l.NoLog:
		return "not known: its kind has no log"
	case l == nil || !l.Known:
		return "unknown until restore"
	case l.Sync && l.Bytes > 0:
		return fmt.Sprintf("nothing that was acknowledged: the new active was in the sync set; %d B more were written and acknowledged to nobody who waits", l.Bytes)
	case l.Sync:
		return "nothing that was acknowledged: the new active was in the sync set"
	case l.Exact && l.Bytes == 0:
		return "nothing"
	case l.Exact:
		return fmt.Sprintf("%d B", l.Bytes)
	}
	return fmt.Sprintf("at least %d B by its last word; nothing acknowledged earlier than %s before the promotion", l.Bytes, round(l.Window))
}

// StateOf is a cluster's lifecycle state, in the words of the surfaces.
func StateOf(r *events.Record, c *Cluster) events.State {
	switch {
	case r != nil && c.Role == events.RoleFailed:
		return events.StatePoweroff
	case r != nil && c.Member.Work != nil:
		return events.StateRebuilding
	case !c.Known:
		return events.StateUnknown
	case r != nil && c.Role == events.RoleActive && c.Report.Serving < r.Epoch && c.Health.Server == events.ServerRecovery:
		return events.StateRebalancing
	case c.Health.Server == events.ServerWritable || c.Health.Server == events.ServerRecovery:
		return events.StateRunning
	case c.Health.Server == events.ServerDown:
		return events.StatePoweroff
	}
	return events.StateUnknown
}

// Unfit says why a cluster can't be promoted, "" if it can.
func (f *Facts) Unfit(c *Cluster) string {
	if why := f.unfit(c); why != "" {
		return why
	}
	return f.outside(c.Cluster)
}

// Evidence lists the facts behind the rows, with their ages, for `why`.
func (f *Facts) Evidence() []events.Fact {
	a := f.active()
	age := events.Duration(a.Age.Round(time.Millisecond))
	fs := append([]events.Fact(nil), f.Region.Facts()...)
	beat := "beats"
	if a.Silent > 0 {
		beat = "silent for " + round(a.Silent)
	}
	fs = append(fs,
		events.Fact{What: "region of the active", Value: string(f.Region.Verdict) + ": " + f.Region.Why},
		events.Fact{What: "agent of the active", Value: a.Agent.String() + " " + beat},
		events.Fact{What: "server of the active", Value: f.serverText(a), Age: age},
		events.Fact{What: "fences of the active", Value: strings.Join(f.Fences(), ", "), Blocks: a.Silent > 0 && len(f.Fences()) < 2},
		events.Fact{What: "automation", Value: f.Permit.Why, Blocks: !f.Permit.OK})
	for _, why := range f.Permit.Also {
		fs = append(fs, events.Fact{What: "automation", Value: why, Blocks: true})
	}
	fs = append(fs, f.syncEvidence()...)
	fs = append(fs, f.taskEvidence()...)
	if !f.logged() {
		fs = append(fs, events.Fact{What: "loss of a failover", Value: f.noLog(), Blocks: !f.Config.MaxLoss.Unknown})
	}
	for i := range f.Members {
		c := &f.Members[i]
		if c.Cluster == f.Record.Active {
			continue
		}
		u := f.Unfit(c)
		v := "fit to be promoted"
		if u != "" {
			v = u
		}
		fs = append(fs, events.Fact{What: "candidate " + c.Cluster.String(), Value: v, Age: events.Duration(c.Age.Round(time.Millisecond)), Blocks: u != ""})
	}
	if f.cause() != causeNone {
		fs = append(fs, f.behindFirst()...)
	}
	return fs
}

// behindFirst is what automation would meet behind the row that matched: the rows that would make it wait next, and the one that would move the group once
// nothing does.
func (f *Facts) behindFirst() (fs []events.Fact) {
	first := true
	for i := range moves {
		r := &moves[i]
		if !r.applies(f.phase()) || !r.is(f) {
			continue
		}
		waits := strings.HasPrefix(r.id, "wait.")
		switch {
		case first:
			first = false
			if !waits {
				return nil
			}
		case waits:
			o := Outcome{Rule: r.id}
			if r.do != nil {
				r.do(f, &o)
			}
			if o.Why == "" {
				o.Why = f.say(r.why, &o)
			}
			if o.Rule == r.id { // the others stand above: what automation may do
				fs = append(fs, events.Fact{What: "then " + r.id, Value: o.Why, Blocks: true})
			}
		default:
			return append(fs, events.Fact{What: "once nothing blocks", Value: "it is moved by " + r.id})
		}
	}
	return fs
}
