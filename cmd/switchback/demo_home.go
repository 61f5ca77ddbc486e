package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// heal ends the fault and follows until every group is whole again where it is now: what failed is restored by itself.
func (d *demo) heal(ctx context.Context) error {
	d.skip()
	f := d.fault
	if err := f.heal(d.stage); err != nil {
		return err
	}
	d.fault = nil
	d.line(stage.Clock(), "%s is back", stage.West)
	return d.whole(ctx)
}

// whole follows until every group that nobody holds back is protected and nothing of it is failed.
func (d *demo) whole(ctx context.Context) error {
	return d.follow(ctx, "are protected", func(ctx context.Context) ([]string, error) {
		return d.left(ctx, func(v stage.GroupView) string {
			if held(v) {
				return ""
			}
			return d.told(v, v.Whole())
		})
	})
}

// told adds to what is missing of a group the news of it: what the leader shows may be here before that.
func (d *demo) told(v stage.GroupView, missing string) string {
	if missing != "" || v.Record.Op == nil || v.Record.Op.Ended != "done" {
		return missing
	}
	all, _ := d.stage.Bus().Events()
	for _, e := range all[:d.at] {
		if e.Notice.Type == events.NoticeProtected && e.Notice.Operation == v.Record.Op.ID {
			return ""
		}
	}
	return "no news that it is protected"
}

// held reports whether all that is missing waits for a person.
func held(v stage.GroupView) bool {
	waits := false
	for _, c := range v.Clusters {
		if c.Role == events.RoleFailed {
			if c.Hold == "" {
				return false
			}
			waits = true
		}
	}
	return waits && !v.Record.Running()
}

// left asks what is missing of each group.
func (d *demo) left(ctx context.Context, why func(stage.GroupView) string) (left []string, err error) {
	for _, g := range d.stage.Groups() {
		v, err := d.stage.Bus().Group(ctx, g.Name)
		if err != nil {
			return []string{g.Name + ": nobody leads"}, nil // asked again
		}
		if w := why(v); w != "" {
			left = append(left, g.Name+": "+w)
		}
	}
	return left, nil
}

// order asks for something for each group that it makes sense for, and says what is refused. It returns those that were accepted.
func (d *demo) order(ctx context.Context, verb string, suits func(stage.Group, stage.GroupView) bool) (asked []stage.Group, err error) {
	d.skip()
	d.struck = stage.Clock()
	for _, g := range d.stage.Groups() {
		v, err := d.stage.Bus().Group(ctx, g.Name)
		if err != nil {
			return nil, err
		}
		if !suits(g, v) {
			continue
		}
		a, err := d.stage.Bus().Ask(ctx, "demo", verb, fmt.Sprintf(`{"group":%q,"reason":"a demonstration"}`, g.Name))
		if err != nil {
			return nil, err
		}
		if !a.Accepted {
			d.line(stage.Clock(), "%-12s refused   %s", g.Name, a.Why)
			continue
		}
		asked = append(asked, g)
	}
	if len(asked) == 0 {
		d.say("no group is to %s", verb)
	}
	return asked, nil
}

// failback brings home every group that is not, restoring first what is still failed, and follows until each is. How many came home is the answer.
func (d *demo) failback(ctx context.Context) (home int, err error) {
	for _, workflow := range []bool{false, true} { // databases first: a workflow goes where its own is
		if workflow && d.options.Airflow == "" {
			break
		}
		asked, err := d.order(ctx, events.AskFailback, func(g stage.Group, v stage.GroupView) bool {
			return v.Active() != g.Primary() && workflow == (g.Kind() == events.KindAirflow)
		})
		if err != nil || len(asked) == 0 {
			return home, err
		}
		home += len(asked)
		if err := d.settle(ctx, "are home", asked, func(_ stage.Group, v stage.GroupView) string { return d.told(v, v.Home()) }); err != nil {
			return home, err
		}
	}
	return home, nil
}

// switchover swaps every group that is whole.
func (d *demo) switchover(ctx context.Context) error {
	was := map[string]events.Ref{}
	asked, err := d.order(ctx, events.AskSwitchover, func(g stage.Group, v stage.GroupView) bool {
		was[g.Name] = v.Active()
		return true
	})
	if err != nil || len(asked) == 0 {
		return err
	}
	return d.settle(ctx, "are moved", asked, func(g stage.Group, v stage.GroupView) string {
		if v.Active() == was[g.Name] {
			return "not moved yet: " + v.Why
		}
		return d.told(v, v.Whole())
	})
}

// restore asks for what waits for a person to be restored.
func (d *demo) restore(ctx context.Context) error {
	asked, err := d.order(ctx, events.AskRestore, func(_ stage.Group, v stage.GroupView) bool { return held(v) })
	if err != nil || len(asked) == 0 {
		return err
	}
	return d.settle(ctx, "are restored", asked, func(_ stage.Group, v stage.GroupView) string { return d.told(v, v.Whole()) })
}

// settle follows until these groups are as they should be. One whose move is given up is not waited for.
func (d *demo) settle(ctx context.Context, what string, groups []stage.Group, why func(stage.Group, stage.GroupView) string) error {
	from := d.at
	err := d.follow(ctx, what, func(ctx context.Context) (left []string, err error) {
		ended := d.givenUp(from)
		for _, g := range groups {
			v, err := d.stage.Bus().Group(ctx, g.Name)
			if err != nil {
				return []string{g.Name + ": nobody leads"}, nil // asked again
			}
			if w := why(g, v); w != "" && !ended[g.Name] {
				left = append(left, g.Name+": "+w)
			}
		}
		return left, nil
	})
	if ended := d.givenUp(from); err == nil && len(ended) > 0 {
		var names []string
		for _, g := range groups {
			if ended[g.Name] {
				names = append(names, g.Name)
			}
		}
		err = fmt.Errorf("given up: %s", strings.Join(names, ", "))
	}
	return err
}

func (d *demo) givenUp(from int) map[string]bool {
	out := map[string]bool{}
	all, _ := d.stage.Bus().Events()
	for _, e := range all[from:] {
		if e.Notice.Type == events.NoticeAborted || e.Notice.Type == events.NoticeFailed {
			out[e.Notice.Group] = true
		}
	}
	return out
}
