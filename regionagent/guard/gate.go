package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/freezer"
	"github.com/switchback-dr/switchback/regionagent/lease"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Passage is what the start gate did.
type Passage struct {
	Row    string // of the gate's table
	Closed bool   // the signal file is in place: what starts comes up read-only
	Alone  bool   // nothing of it is fenced or gated
	Bare   bool   // the signal file that was left when it was fenced is gone: it comes up as its unit means it to
	Why    string
}

// gateFacts are what the gate looks at.
type gateFacts struct {
	entry  *lease.Entry // nil: the ledger does not know it, or can't be read
	lost   error        // why the ledger can't be read
	marked bool         // the data bears our mark
	refuse string       // why its permit does not let it through, empty = it does
}

// gate is what a row does.
type gate string

const (
	alone  gate = "alone"  // not fenced, so not gated either
	bared  gate = "bared"  // the same, and what gated it before is taken away
	opened gate = "opened" // this once
	closed gate = "closed" // it comes up read-only
)

// gates is the table of the start gate, first match wins. What no row leaves alone or lets through comes up read-only (I8).
var gates = [...]struct {
	id   string
	when func(f *gateFacts) bool
	do   gate
	why  string
}{
	{"gate.unmanaged", func(f *gateFacts) bool { return f.entry == nil && !f.marked }, alone, "not under care"},
	{"gate.ledger-lost", func(f *gateFacts) bool { return f.entry == nil }, closed, "its data bears our mark, but the ledger does not tell what it is"},
	{"gate.released", func(f *gateFacts) bool { return f.entry.Released }, alone, "released from care"},
	{"gate.observe-active", func(f *gateFacts) bool {
		return f.entry.Mode == events.ModeObserve && f.entry.Role == events.RoleActive && f.entry.Primary
	}, bared, "observed only, and its data is an active's: nobody but its unit starts it"},
	{"gate.observe", func(f *gateFacts) bool { return f.entry.Mode == events.ModeObserve }, alone, "observed only"},
	{"gate.passive", func(f *gateFacts) bool { return f.entry.Role != events.RoleActive }, closed, "it is passive here"},
	{"gate.permit", func(f *gateFacts) bool { return f.refuse == "" }, opened, "permitted by its agent, this once"},
	{"gate.no-permit", func(*gateFacts) bool { return true }, closed, "it is active here by the ledger, which may be old, and {refuse}"},
}

func (f *gateFacts) pass() Passage {
	for i := range gates {
		g := &gates[i]
		if !g.when(f) {
			continue
		}
		p := Passage{Row: g.id, Closed: g.do == closed, Alone: g.do == alone || g.do == bared, Bare: g.do == bared, Why: strings.ReplaceAll(g.why, "{refuse}", f.refuse)}
		if f.lost != nil {
			p.Why += fmt.Sprintf(" (%v)", f.lost)
		}
		return p
	}
	panic("the gate's last row takes everything")
}

// look gathers what stands on disk.
func look(ledgerFile string, c Cluster) gateFacts {
	var f gateFacts
	l, _, err := ledger.Read[lease.Ledger](ledgerFile)
	if f.lost = err; err == nil {
		f.entry = entry(&l, c.Cluster)
	}
	_, err = os.Stat(c.Tree.Mark)
	f.marked = err == nil
	return f
}

// LeftAlone says whether nothing of a cluster is fenced or gated, and why.
func LeftAlone(ledgerFile string, c Cluster) (why string, is bool) {
	f := look(ledgerFile, c)
	p := f.pass()
	return p.Why, p.Alone
}

// Gate is what a unit runs before it starts a server (I8): unless the agent permitted this one start, or the cluster is not under care, the signal file is on disk
// when it returns, so that the server comes up read-only. A permit is used up whatever becomes of the start. An error: nothing may be started.
func Gate(ledgerFile, permitFile string, c Cluster) (Passage, error) {
	f := look(ledgerFile, c)
	var err error
	if f.refuse, err = TakePermit(permitFile, c.Cluster, boottime.Now()); err != nil {
		return Passage{}, err
	}
	p := f.pass()
	if p.Closed {
		err = freezer.PlaceSignal(c.Tree.Signal)
	}
	if p.Bare && c.Tree.Signal != "" {
		if err = os.Remove(c.Tree.Signal); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return p, err
}
