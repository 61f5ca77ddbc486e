package decide

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// halt is one contradiction between the record and what agents persist, in which nothing of a group may be moved, restored or resumed: one of the two is wrong, and
// only a person can say which. It holds until it is settled, never for a time. First match wins.
type halt struct {
	id      string
	phase   string // none: there is no record; any: there is
	ledgers bool   // ledgers contradict the record, so no agent of the group is resumed either
	when    string // in words, for TABLE.md
	who     func(f *Facts) string
	why     string // {who} is what was found; the sentence ends with the way out
}

var halts = [...]halt{
	{"halt.not-configured", "none", true, "an agent remembers a group that neither the record nor the configuration knows", func(f *Facts) string {
		if f.Revision != 0 {
			return ""
		}
		return f.remembered()
	}, "{who}, but neither the record nor the configuration knows {group}: `switchback apply -f FILE` says what belongs to it, then `switchback rebuild-record {group}`"},
	{"halt.record-lost", "none", true, "an agent remembers the group, by its ledger or by the mark in its data", (*Facts).remembered,
		"{who}, but there is no record of {group}: `switchback rebuild-record {group}` shows what each agent claims, and with --apply writes it anew"},
	{"halt.epoch-ahead", "any", true, "an agent has seen a higher epoch than the record's", (*Facts).aheadOf,
		"{who}: the record is older than that. `switchback rebuild-record {group}` shows what each agent claims, and with --apply writes it anew"},
	{"halt.second-active", "any", true, "a ledger says active at the record's epoch, of a cluster that the record does not", (*Facts).secondActive,
		"{who}: `switchback rebuild-record {group}` shows what each agent claims, and with --apply writes it anew"},
	{"halt.commands-lost", "any", true, "a ledger had applied a newer command than any that is stored for its cluster", (*Facts).commandsLost,
		"{who}: commands were lost with a part of the record. `switchback rebuild-record {group}` shows what each agent claims, and with --apply writes it anew"},
	{"halt.config-lost", "any", false, "it is recorded, and its configuration is not there", func(f *Facts) string {
		if f.Revision != 0 {
			return ""
		}
		return "the configuration of " + f.Config.Group + " is not on the bus"
	}, "{who}, not even as removed: `switchback apply -f FILE` stores it again"},
}

// halted finds the contradiction that halts the group, nil if there is none.
func (f *Facts) halted() (*halt, string) {
	phase := "any"
	switch {
	case f.Record == nil:
		phase = "none"
	case f.Record.Gone != "":
		return nil, ""
	}
	for i := range halts {
		h := &halts[i]
		if h.phase != phase {
			continue
		}
		if who := h.who(f); who != "" {
			return h, strings.NewReplacer("{who}", who, "{group}", f.Config.Group).Replace(h.why)
		}
	}
	return nil, ""
}

// Halts reports whether a row is a halt.
func Halts(rule string) bool { return strings.HasPrefix(rule, "halt.") }

// Contradicts reports whether a row is a halt in which ledgers contradict the record.
func Contradicts(rule string) bool {
	for i := range halts {
		if halts[i].id == rule {
			return halts[i].ledgers
		}
	}
	return false
}

// HaltRows lists the ids of the halts, in order.
func HaltRows() []string {
	ids := make([]string, len(halts))
	for i := range halts {
		ids[i] = halts[i].id
	}
	return ids
}

// halting answers an ask with the halt, or waits for a person.
func halting(f *Facts, o *Outcome) {
	h, why := f.halted()
	o.Rule, o.Why = h.id, why
	if f.Ask != nil {
		refuse(f, o)
	}
}

// remembered says which agent remembers a group that is not recorded; "" if none does.
func (f *Facts) remembered() string {
	for i := range f.Members {
		switch c := &f.Members[i]; {
		case c.Reported && c.Report.Seen > 0 && !c.Report.Released:
			return fmt.Sprintf("agent %s remembers %s as %s at epoch %d", c.Agent, c.Cluster, c.Report.Role, c.Report.Seen)
		case c.Health.Managed:
			return fmt.Sprintf("agent %s remembers %s at epoch %d", c.Agent, c.Cluster, c.Health.Seen)
		case c.Health.Mark != "" && c.Health.Mark == f.Config.Group:
			return fmt.Sprintf("the data of %s is marked as %s's", c.Cluster, c.Health.Mark)
		}
	}
	return ""
}

// seen is the highest epoch a member's ledger is known to have met.
func (c *Cluster) seen() events.Epoch { return max(c.Report.Seen, c.Health.Seen) }

func (f *Facts) aheadOf() string {
	for i := range f.Members {
		if c := &f.Members[i]; c.seen() > f.Record.Epoch {
			return fmt.Sprintf("the ledger of %s is at epoch %d, the record at %d", c.Cluster, c.seen(), f.Record.Epoch)
		}
	}
	return ""
}

func (f *Facts) secondActive() string {
	for i := range f.Members {
		if c := &f.Members[i]; c.Reported && c.Report.Seen == f.Record.Epoch && c.Report.Role == events.RoleActive && RoleNow(f.Record, c.Cluster) != events.RoleActive {
			return fmt.Sprintf("the ledger of %s says active at epoch %d, the record says that %s is", c.Cluster, c.Report.Seen, f.Record.Active)
		}
	}
	return ""
}

// commandsLost says whose commands were lost; "" if nobody's. A ledger below the record's epoch takes the next command whatever its place in the stream.
func (f *Facts) commandsLost() string {
	for i := range f.Members {
		if c := &f.Members[i]; c.Astray && c.Report.Seen >= f.Record.Epoch {
			return fmt.Sprintf("the ledger of %s had applied command %d, which is not stored, and no newer one since", c.Cluster, c.Report.SeenSeq)
		}
	}
	return ""
}
