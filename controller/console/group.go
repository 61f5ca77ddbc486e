package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// groupData is one group, and what may be done with it now.
type groupData struct {
	*fleet.GroupView
	Tab    string
	Cycle  cycle
	Acts   map[string]action
	Menu   []action
	Why    *answers.Why
	Events []client.Event
	Next   string
	Told   string // the last refusal or wait, in words
}

// action is a thing a person may do: a button, dimmed with the reason where it would be refused.
type action struct {
	Verb, Label string
	To          string // address of the page that asks for it
	OK          bool
	Why         string // what would be answered
	Rule        string
}

func missing(why string) error { return &faultError{Status: http.StatusNotFound, Why: why} }

// labels are the words of the buttons.
var labels = map[string]string{
	events.AskFailover: "Failover to Secondary…", events.AskFailback: "Failback to Primary…", events.AskRestore: "Restore primary service…", events.AskSwitchover: "Switchover…",
	events.AskDrill: "Drill, there and back…", events.AskRebuild: "Rebuild a passive…", events.AskAbort: "Abort…", events.AskArm: "Arm…", events.AskDisarm: "Disarm…",
	events.AskAcknowledge: "Acknowledge…", events.AskApprove: "Approve…",
}

// menu is the order of the actions menu.
var menu = []string{
	events.AskFailover, events.AskFailback, events.AskSwitchover, events.AskRestore, events.AskRebuild, events.AskDrill, events.AskAbort, events.AskArm, events.AskDisarm,
	events.AskAcknowledge, events.AskApprove,
}

// dry are the verbs of which a dry run says what they would do; of the others only the answer to the very ask does.
var dry = []string{events.AskFailover, events.AskFailback, events.AskSwitchover, events.AskRestore, events.AskRebuild, events.AskDrill}

// group asks for a group and what may be done with it.
func (v *visit) group(ctx context.Context) (*groupData, error) {
	name := v.r.PathValue("group")
	if err := events.CheckName("group", name); err != nil {
		return nil, missing(err.Error())
	}
	d := &groupData{GroupView: &fleet.GroupView{}, Acts: map[string]action{}}
	if err := v.query(ctx, "group", map[string]any{"group": name}, d.GroupView); err != nil {
		return nil, err
	}
	d.Cycle = cycleOf(d.GroupView)
	d.Next = words.Next(d.GroupView)
	return d, v.may(ctx, d)
}

// may asks what each verb would be answered now.
func (v *visit) may(ctx context.Context, d *groupData) error {
	var asks []events.Ask
	for _, verb := range menu {
		asks = append(asks, v.asking(d.GroupView, verb))
	}
	var would answers.Would
	if err := v.query(ctx, "would", map[string]any{"group": d.Group, "asks": asks}, &would); err != nil {
		return err
	}
	for i, verb := range menu {
		a := action{Verb: verb, Label: labels[verb], To: fmt.Sprintf("%sgroups/%s/do/%s", Prefix, d.Group, verb)}
		if i < len(would.Items) {
			a.OK, a.Why, a.Rule = would.Items[i].Accepted, would.Items[i].Why, would.Items[i].Rule
		}
		if !v.who.Moves {
			a.OK, a.Why, a.Rule = false, v.mayNot(), ""
		}
		d.Acts[verb] = a
		if offered(d.GroupView, &a) {
			d.Menu = append(d.Menu, a)
		}
	}
	return nil
}

// asking is an ask as it would be made, for the leader to say what it would answer.
func (v *visit) asking(g *fleet.GroupView, verb string) events.Ask {
	a := events.Ask{Verb: verb, Actor: v.who.Name, Group: g.Group, Reason: "looking", DryRun: slices.Contains(dry, verb)}
	if c := toRestore(g, verb); c != nil {
		a.Cluster = c.Cluster.String()
	}
	return a
}

// toRestore is the cluster that restore or rebuild is about: its home if that is meant, else the first that is.
func toRestore(g *fleet.GroupView, verb string) *fleet.ClusterView {
	var first *fleet.ClusterView
	for i := range g.Clusters {
		c := &g.Clusters[i]
		if verb == events.AskRestore && c.Role == events.RoleFailed || verb == events.AskRebuild && c.Role == events.RolePassive {
			if c.Cluster == g.Config.Primary {
				return c
			}
			if first == nil {
				first = c
			}
		}
	}
	return first
}

// offered leaves out of the menu what says nothing: the verbs of a state the group is not in.
func offered(g *fleet.GroupView, a *action) bool {
	armed := g.Record == nil || g.Record.Disarm == ""
	switch a.Verb {
	case events.AskArm:
		return !armed
	case events.AskDisarm:
		return armed
	case events.AskAcknowledge, events.AskApprove, events.AskAbort:
		return a.OK
	}
	return true
}

func groupPage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.group(ctx)
	if err != nil {
		return nil, err
	}
	d.Tab = "dr"
	return v.withPulse(ctx, &page{title: d.Group, at: "groups", parts: []part{
		{"group-head", "group-head", d}, {"group-status", "group-status", d}, {"group-clusters", "group-clusters", d}, {"group-last", "group-last", d}, {"group-why", "group-why", d},
	}}), nil
}

func whyPage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.group(ctx)
	if err != nil {
		return nil, err
	}
	d.Tab, d.Why = "why", &answers.Why{}
	if err := v.query(ctx, "why", map[string]any{"group": d.Group}, d.Why); err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Why: " + d.Group, at: "groups", parts: []part{
		{"group-head", "group-head", d}, {"group-why", "group-why", d}, {"facts", "facts", d.Why.Facts}, {"may", "may", d},
	}}), nil
}

func groupEvents(ctx context.Context, v *visit) (*page, error) {
	d, err := v.group(ctx)
	if err != nil {
		return nil, err
	}
	d.Tab = "events"
	if d.Events, err = v.who.Fleet.Recent(ctx, d.Group, recentMany); err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Events of " + d.Group, at: "groups", parts: []part{{"group-head", "group-head", d}, {"events", "events", d.Events}}}), nil
}

func cyclePage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.group(ctx)
	if err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Service recovery cycle: " + d.Group, at: "groups", parts: []part{
		{"cycle-head", "cycle-head", d}, {"cycle", "cycle", d}, {"group-last", "group-last", d},
	}}), nil
}

// report writes an operation down on a page of its own that needs nothing else, to be printed or kept.
func (c *Console) report(w http.ResponseWriter, r *http.Request) {
	c.o.Route(r, "console operations/{operation}")
	v, ok := c.visit(w, r)
	if !ok {
		return
	}
	var rep answers.Report
	if err := v.query(r.Context(), "report", map[string]any{"operation": r.PathValue("operation")}, &rep); err != nil {
		c.fail(w, r, v, c.explain(err))
		return
	}
	var told []words.Told
	if es, err := v.who.Fleet.Recent(r.Context(), rep.Group, recentMany); err == nil {
		for _, e := range slices.Backward(es) {
			if e.Notice.Operation == rep.Operation.ID {
				told = append(told, words.Told{At: e.Time, Notice: e.Notice})
			}
		}
	}
	kept := ""
	if l := rep.Operation.Lost; l != nil {
		kept = l.Kept
	}
	printable(w, words.Report(rep.Group, &rep.Operation, kept, told, v.now))
}

// since is an instant some time before now, for what comes as a duration.
func since(now time.Time, d time.Duration) time.Time { return now.Add(-d).Truncate(time.Second) }
