package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// bookOf is a fleet of three groups: orders moves by itself, billing is not born, search waits for a person.
func bookOf() runbook {
	d, err := events.Profile("safe")
	if err != nil {
		panic(err)
	}
	s := darkStatus()
	s.View.Fleet = events.FleetConfig{Profile: "safe", MaxOut: 1, MaxPerHour: 20, Approval: []events.Span{{From: 0, To: 5}}}
	orders := ordersView()
	orders.Record.Active, orders.Record.Settled = ordersA, true
	orders.Clusters[0].Role, orders.Clusters[1].Role = events.RoleActive, events.RolePassive
	search := orders
	record := *orders.Record
	search.Group, search.Record, search.Config.Group, search.Config.Priority, search.Config.Mode, search.Config.DependsOn = "search", &record, "search", 5, events.ModeManual, []string{"orders"}
	search.Config.Restore = events.RestoreManual
	orders.Config.Failback = &events.Failback{Mode: events.FailbackAuto, Stable: events.Duration(30 * time.Minute)}
	search.Config.Failback = &events.Failback{Mode: events.FailbackSchedule, On: &events.Schedule{Cron: "0 3 * * 6", Zone: "Europe/Helsinki"}}
	return runbook{status: s, durations: d, groups: byPriority([]fleet.GroupView{orders, search, billingView()}), now: noon}
}

func TestRunbook(t *testing.T) {
	t.Parallel()
	b := bookOf()
	var text bytes.Buffer
	if err := b.document().Markdown(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "runbook", text.Bytes())
	for _, want := range []string{"search", "is in mode manual", "orders comes home by itself", `search comes home by its schedule: cron "0 3`} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the runbook does not say %q", want)
		}
	}
}

// Whatever a runbook tells people to type has to be a command of this program, with flags it takes.
func TestRunbookCommandsExist(t *testing.T) {
	t.Parallel()
	b := bookOf()
	n := 0
	for _, s := range b.document().Sections {
		for _, c := range s.Commands {
			words, ours := strings.CutPrefix(c, "switchback ")
			if !ours {
				continue
			}
			n++
			a := &app{}
			cmd, rest, err := a.root().Find(strings.Fields(words))
			if err != nil {
				t.Errorf("%s: %v", c, err)
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", c, err)
			} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
				t.Errorf("%s: %v", c, err)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d commands: want the whole of it", n)
	}
}
