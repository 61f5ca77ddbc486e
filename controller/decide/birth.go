package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

func (f *Facts) anyLedger() bool {
	for i := range f.Members {
		if f.Members[i].Reported && f.Members[i].Report.Seen > 0 {
			return true
		}
	}
	return false
}

func (f *Facts) twoClaims() string {
	for i := range f.Members {
		if c := &f.Members[i]; len(c.Claims) > 1 {
			return fmt.Sprintf("%s is reported by %s and by %s: one of them must let go", c.Cluster, c.Claims[0], c.Claims[1])
		}
	}
	return ""
}

func (f *Facts) unreported() string {
	for i := range f.Members {
		if c := &f.Members[i]; !c.Known || !c.Fresh || c.Health.Server == events.ServerUnknown {
			return c.Cluster.String()
		}
	}
	return ""
}

func (f *Facts) unleased() string {
	for i := range f.Members {
		if c := &f.Members[i]; !c.Leased {
			return "agent " + c.Agent.String()
		}
	}
	return ""
}

func (f *Facts) writable() int {
	n := 0
	for i := range f.Members {
		if f.Members[i].Health.Server == events.ServerWritable {
			n++
		}
	}
	return n
}

// notFollowing says which cluster does not stream from the writable one, "" if all do.
func (f *Facts) notFollowing() string {
	var act *Cluster
	for i := range f.Members {
		if f.Members[i].Health.Server == events.ServerWritable {
			act = &f.Members[i]
		}
	}
	for i := range f.Members {
		switch c := &f.Members[i]; {
		case c == act:
		case c.Health.SystemID != act.Health.SystemID:
			return fmt.Sprintf("%s is not a copy of %s: its system identifier is %q, not %q", c.Cluster, act.Cluster, c.Health.SystemID, act.Health.SystemID)
		case c.Health.Server != events.ServerRecovery || !c.Health.Streaming:
			return fmt.Sprintf("%s does not stream from %s (server %s)", c.Cluster, act.Cluster, c.Health.Server)
		case c.Peer == "":
			return fmt.Sprintf("the agent of %s has no peer listener: without it the bus being down would stop the active", c.Cluster)
		}
	}
	return ""
}

// birth brings the group under care (C0): epoch 1, the one writable cluster active, everybody told in the same batch.
func birth(f *Facts, o *Outcome) {
	r := &events.Record{Group: f.Config.Group, Epoch: 1, Phase: events.PhaseActive, Config: f.Revision, Since: f.Wall, Settled: true}
	for i := range f.Members {
		m := f.Members[i].Member
		m.Role, m.SystemID = events.RolePassive, f.Members[i].Health.SystemID
		if f.Members[i].Health.Server == events.ServerWritable {
			m.Role, r.Active = events.RoleActive, m.Cluster
		}
		r.Members = append(r.Members, m)
	}
	r.Lists = []events.CandidateList{{Version: 1, Candidates: candidates(r)}}
	o.Record = r
	for i := range r.Members {
		m := r.Members[i].Cluster
		o.Sets = append(o.Sets, f.set(r, m, RoleNow(r, m), nil))
	}
	o.notice(f, events.NoticeBorn)
}
