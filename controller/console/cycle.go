package console

import (
	"fmt"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

// place is where a group stands in its service recovery cycle.
type place string

// The places: at a station of the ring, or on the way from one to the next. A group that is in none of them is nowhere.
const (
	nowhere    place = ""
	protected  place = "protected"    // at home, a passive follows
	leaving    place = "failing-over" // away from its home
	failedOver place = "failed-over"  // its home is failed
	rebuilding place = "rebuilding"   // its home is being restored
	ready      place = "ready"        // its home follows
	promoting  place = "promoting"    // on its way home
	home       place = "home"         // at home, nobody follows yet
	done       place = "done"         // at home by the last move, a passive follows
)

// cycle is the service recovery cycle of a group as it is drawn.
type cycle struct {
	At       place
	Title    string // the status in a few words
	Says     string // what a screen reader is told
	Tone     string
	Primary  sideData
	Recovery sideData
	Steps    []step
	Percent  int    // of the restore under way, -1 = not known
	Work     string // in words
}

// sideData is one side of the pair: the words are those of the published steps.
type sideData struct {
	Ref   events.Ref
	Word  string // Active, Passive, Failed, Rebuilding, Unknown
	State events.State
	Lag   int64 // passive: -1 = unknown
}

// step is one of the steps of the wizard, which is an arc of the ring.
type step struct {
	Label, Verb string
	State       string // done, now (it can be taken), busy, next
}

// rows of the ring: what of the steps is done, and what comes next, at each place.
var rows = map[place]struct {
	done  int
	state string // of the step after those
	title string
	tone  string
}{
	protected: {0, "now", "Primary region is active", "ok"}, leaving: {0, "busy", "Failing over", "busy"}, failedOver: {1, "now", "Failed over to the secondary region", "warn"},
	rebuilding: {1, "busy", "Failed over; the primary service is rebuilding", "busy"}, ready: {2, "now", "Failed over; the primary service is passive", "warn"},
	promoting: {2, "busy", "Promoting the primary service", "busy"}, home: {3, "busy", "Primary region is active, not protected yet", "warn"}, done: {4, "", "Primary region is active", "ok"},
	nowhere: {0, "next", "Not in the cycle", "idle"},
}

// steps of the wizard, by the published words.
var steps = []step{{Label: "Initiate failover", Verb: events.AskFailover}, {Label: "Restore primary service", Verb: events.AskRestore}, {Label: "Promote primary to active", Verb: events.AskFailback}, {Label: "Done"}}

func cycleOf(g *fleet.GroupView) cycle {
	at := placeOf(g)
	row := rows[at]
	c := cycle{At: at, Title: row.title, Tone: row.tone, Percent: -1}
	for i, s := range steps {
		switch {
		case i < row.done:
			s.State = "done"
		case i == row.done:
			s.State = row.state
		default:
			s.State = "next"
		}
		c.Steps = append(c.Steps, s)
	}
	primary := words.ClusterIn(g, g.Config.Primary)
	c.Primary, c.Recovery = sideOf(g, primary), sideOf(g, other(g))
	switch {
	case g.Record == nil:
		c.Title = "Not under care yet"
	case g.Record.Gone != "":
		c.Title = "Released from care"
	case g.Config.Mode == events.ModeObserve:
		c.Title += " (only observed)"
	}
	if at == protected && !g.Protected {
		c.Title, c.Tone = "Primary region is active, not protected", "warn"
	}
	if primary != nil && at == rebuilding {
		c.Work = words.Work(primary.Work)
		if w := primary.Work; w != nil && w.Total > 0 {
			c.Percent = int(words.Percent(w))
		}
	}
	c.Says = c.Title
	if c.Work != "" {
		c.Says += ": " + c.Work
	}
	return c
}

func placeOf(g *fleet.GroupView) place {
	r := g.Record
	primary := words.ClusterIn(g, g.Config.Primary)
	switch {
	case r == nil || r.Gone != "" || primary == nil:
		return nowhere
	case r.Running() && r.Op.To == g.Config.Primary:
		return promoting
	case r.Running():
		return leaving
	case r.Active != g.Config.Primary && primary.Op != "":
		return rebuilding
	case r.Active != g.Config.Primary && primary.Role == events.RolePassive:
		return ready
	case r.Active != g.Config.Primary:
		return failedOver
	case r.Op != nil && r.Op.To == g.Config.Primary && r.Op.Ended == "done" && g.Protected:
		return done
	case r.Op != nil && r.Op.To == g.Config.Primary && r.Op.Ended == "done":
		return home
	}
	return protected
}

// other is the cluster that stands for the recovery side: the active one while the group is away, else the first that follows, else the first.
func other(g *fleet.GroupView) *fleet.ClusterView {
	var first, follows *fleet.ClusterView
	for i := range g.Clusters {
		c := &g.Clusters[i]
		switch {
		case c.Cluster == g.Config.Primary:
		case g.Record != nil && c.Cluster == g.Record.Active:
			return c
		case c.Role == events.RolePassive && follows == nil:
			follows = c
		case first == nil:
			first = c
		}
	}
	if follows != nil {
		return follows
	}
	return first
}

var roleWords = map[events.Role]string{events.RoleActive: "Active", events.RolePassive: "Passive", events.RoleFailed: "Failed"}

func sideOf(g *fleet.GroupView, c *fleet.ClusterView) sideData {
	if c == nil {
		return sideData{Word: "Unknown", Lag: -1}
	}
	s := sideData{c.Cluster, roleWords[c.Role], c.State, c.Lag}
	switch {
	case s.Word == "":
		s.Word = "Unknown"
	case c.State == events.StateRebuilding:
		s.Word = "Rebuilding"
	case c.State == events.StateRebalancing:
		s.Word = "Rebalancing"
	case g.Record != nil && g.Record.Running() && c.Cluster == g.Record.Op.To:
		s.Word = "Rebalancing"
	}
	return s
}

// Shows says where a follower is, in a line.
func (s sideData) Shows() string {
	if s.Word == "Passive" {
		return fmt.Sprintf("%s behind", words.Lag(s.Lag))
	}
	return string(s.State)
}
