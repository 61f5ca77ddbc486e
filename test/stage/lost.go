package stage

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// LostAudit sets what the writers miss after a failover beside what the operation says was lost, transaction by transaction.
type LostAudit struct {
	Story
	Said  *events.LostLog
	Lost  []Write // acknowledged by the old active, and not there now
	Doubt []Write // sent to it and never answered, and not there either: each may have been committed or not
	Bad   []string
}

// Equal says that nothing differs: every lost write is listed, and everything listed was lost.
func (a *LostAudit) Equal() bool { return len(a.Bad) == 0 }

func (a *LostAudit) bad(format string, args ...any) {
	a.Bad = append(a.Bad, a.Group+": "+fmt.Sprintf(format, args...))
}

// CompareLost compares them. now holds the rows of the active, at any time after the move: nothing is ever deleted. Numbers of transactions mean something on one server
// and one timeline only, so the story must begin after the old active's last promotion.
func CompareLost(story Story, log []Write, now map[Row]bool, said *events.LostLog) LostAudit {
	a := LostAudit{Story: story, Said: said}
	sent := map[uint32]Write{} // by the part of the number that stands in a log
	for _, x := range log {
		if x.Server != story.Old || !story.counts(&x) {
			continue
		}
		if x.XID != 0 {
			sent[uint32(x.XID)] = x
		}
		switch {
		case now[Row{x.Writer, x.N}]:
		case x.Acked == 0:
			a.Doubt = append(a.Doubt, x)
		case x.XID == 0:
			a.bad("%s %d was acknowledged without the number of its transaction", x.Writer, x.N)
		default:
			a.Lost = append(a.Lost, x)
		}
	}
	switch {
	case said == nil:
		a.bad("nobody counted what was lost; the writers miss %d", len(a.Lost))
		return a
	case said.Unread != "":
		a.bad("the count is not exact: %s", said.Unread)
	}
	a.compare(sent, now)
	return a
}

// compare holds the list against the writes.
func (a *LostAudit) compare(sent map[uint32]Write, now map[Row]bool) {
	whole := len(a.Said.List) == a.Said.Commits
	if !whole && (len(a.Said.List) != events.LostListed || a.Said.Commits < events.LostListed) {
		a.bad("%d commits are said to be lost, and %d are listed", a.Said.Commits, len(a.Said.List))
	}
	listed := map[uint32]bool{}
	var foreign []uint64
	nameless := 0
	for _, c := range a.Said.List {
		id := uint32(c.XID)
		if listed[id] {
			a.bad("transaction %d is listed twice", c.XID)
		}
		listed[id] = true
		if x, known := sent[id]; !known {
			foreign = append(foreign, c.XID)
		} else if now[Row{x.Writer, x.N}] {
			a.bad("transaction %d is listed as lost, and %s %d is there", c.XID, x.Writer, x.N)
		}
	}
	for _, x := range a.Doubt {
		if x.XID == 0 {
			nameless++
		}
	}
	if len(foreign) > nameless {
		a.bad("transactions %s are listed as lost; %d writes whose number nobody knows were in doubt, so the others are nobody's", numbers(foreign), nameless)
	}
	var missed []uint64
	for _, x := range a.Lost {
		if !listed[uint32(x.XID)] {
			missed = append(missed, x.XID)
		}
	}
	if whole && len(missed) > 0 {
		a.bad("transactions %s were acknowledged and lost, and are not listed", numbers(missed))
	}
	if n := a.Said.Commits; n < len(a.Lost) || n > len(a.Lost)+len(a.Doubt) {
		a.bad("%d commits are said to be lost; the writers miss %d, and %d more that were never answered", n, len(a.Lost), len(a.Doubt))
	}
}

// numbers lists a few.
func numbers(all []uint64) string {
	var b strings.Builder
	for i, n := range all {
		if i == 10 {
			fmt.Fprintf(&b, " and %d more", len(all)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}
