package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// lacks makes a condition of what says what is missing, says its sentence.
func lacks(why func(*Facts) string) func(*Facts) bool {
	return func(f *Facts) bool { return why(f) != "" }
}

func says(why func(*Facts) string) func(*Facts, *Outcome) {
	return func(f *Facts, o *Outcome) { o.Why = why(f) }
}

// births is all a birth waits for (C0), in order: each says what is missing, "" if nothing.
var births = [...]func(*Facts) string{(*Facts).twoClaims, (*Facts).unreported, (*Facts).notOneWritable, (*Facts).notFollowing, (*Facts).unleased}

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
			why := c.Cluster.String() + " has not been reported by any agent yet"
			if c.Known && c.Fresh && c.Health.Error != "" {
				why += ": " + c.Health.Error
			}
			return why
		} else if k := c.Health.Kind; k != "" && f.Config.Kind != "" && k != f.Config.Kind {
			return fmt.Sprintf("agent %s cares for %s as kind %s, the group is of kind %s: one of the two files is wrong", c.Agent, c.Cluster, k, f.Config.Kind)
		}
	}
	return ""
}

func (f *Facts) unleased() string {
	for i := range f.Members {
		if c := &f.Members[i]; !c.Leased {
			return "agent " + c.Agent.String() + " has no lease yet: under care it would be frozen at once"
		}
	}
	return ""
}

func (f *Facts) notOneWritable() string {
	n := 0
	for i := range f.Members {
		if f.Members[i].Health.Server == events.ServerWritable {
			n++
		}
	}
	if n == 1 {
		return ""
	}
	return fmt.Sprintf("%d of its clusters are writable: want exactly one", n)
}

// notFollowing says which cluster does not stream from the one writable cluster, "" if all do.
func (f *Facts) notFollowing() string {
	var act *Cluster
	for i := range f.Members {
		if f.Members[i].Health.Server == events.ServerWritable {
			act = &f.Members[i]
		}
	}
	for i := range f.Members {
		switch c := &f.Members[i]; {
		case c == act || c.Health.Empty: // a place for a copy that is not made yet
		case c.Health.SystemID != act.Health.SystemID:
			return fmt.Sprintf("%s is not a copy of %s: its system identifier is %q, not %q", c.Cluster, act.Cluster, c.Health.SystemID, act.Health.SystemID)
		case c.Health.Server != events.ServerRecovery || !c.Health.Streaming:
			return fmt.Sprintf("%s (server %s)", f.notFollows(c, act), c.Health.Server)
		case c.Peer == "":
			return fmt.Sprintf("the agent of %s has no peer listener: without it the bus being down would stop the active", c.Cluster)
		}
	}
	return ""
}

// unborn says what a group that was released and is configured anew still lacks of a birth; "" if nothing.
func (f *Facts) unborn() string {
	for _, missing := range births {
		if why := missing(f); why != "" {
			return why
		}
	}
	return ""
}

// birth brings the group under care (C0): epoch 1, or the next one after a release, the one writable cluster active, everybody told in the same batch.
func birth(f *Facts, o *Outcome) {
	epoch := f.floor() + 1 // 1, or above what was released
	r := &events.Record{Group: f.Config.Group, Epoch: epoch, Phase: events.PhaseActive, Config: f.Revision, Since: f.Wall, Settled: true, Exempt: exempt(&f.Config)}
	if f.Record != nil {
		r.Sync = f.Record.Clone().Sync // for its version, which never falls
	}
	for i := range f.Members {
		m := f.Members[i].Member
		m.Role, m.SystemID = events.RolePassive, f.Members[i].Health.SystemID
		switch {
		case f.Members[i].Health.Server == events.ServerWritable:
			m.Role, r.Active = events.RoleActive, m.Cluster
		case f.Members[i].Health.Empty:
			m.Role, m.Hold = events.RoleFailed, "there is no data yet: `switchback protect "+f.Config.Group+"` copies it"
		}
		r.Members = append(r.Members, m)
	}
	r.Lists = []events.CandidateList{{Version: 1, Candidates: candidates(r)}}
	appoint(f, r, "its birth")
	o.Record = r
	for i := range r.Members {
		m := r.Members[i].Cluster
		o.Sets = append(o.Sets, f.set(r, m))
	}
	o.notice(f, events.NoticeBorn)
}
