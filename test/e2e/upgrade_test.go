package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestUpgrades stops and starts guard and agent of the home under load, as a package does, each alone and both: nobody is frozen for it. Then the group moves, and its old
// active, started by hand past every gate, is read-only.
func TestUpgrades(t *testing.T) {
	groups := stage.Groups(2)
	for i := range groups {
		groups[i].Restore = events.RestoreManual
	}
	p := begin(t, groups)
	p.upgrade(groups, stage.Guard)
	p.upgrade(groups, stage.Agent)
	p.upgrade(groups, stage.Guard, stage.Agent)
	p.upgrade(groups, stage.Agent, stage.Guard)

	g := groups[0]
	skip, asked := p.heard(), stage.Clock()
	out, err := p.Command(p.shortly(), "failover", g.Name, "--yes", "--reason", "its old active is started by hand next")
	if err != nil {
		t.Fatal(err, out)
	}
	p.serving(skip, asked, g, g.Recovery())
	old := p.Server(g.Primary())
	p.wait("the old active is down", func() error {
		if pids, err := old.PIDs(""); err != nil || len(pids) > 0 {
			return errors.Join(err, fmt.Errorf("%d processes", len(pids)))
		}
		return nil
	})
	p.do(old.Start(p.shortly()))
	rows, err := old.SQL(p.shortly(), "SELECT pg_is_in_recovery()")
	if err != nil || len(rows) != 1 || rows[0][0] != "t" {
		t.Errorf("started by hand it is in recovery: %v, %v; want t", rows, err)
	}
}

// upgrade stops processes of the home one after the other and starts them again.
func (p *play) upgrade(groups []stage.Group, kinds ...stage.Kind) {
	p.t.Helper()
	read := func() string {
		b, err := os.ReadFile(p.Log(stage.Guard, stage.West))
		p.do(err)
		return string(b)
	}
	before, began := len(read()), stage.Clock()
	for _, k := range kinds {
		p.do(p.StopProcess(k, stage.West))
	}
	for _, k := range kinds {
		p.do(p.StartProcess(k, stage.West))
	}
	p.goesOn(groups, stage.Clock(), 4*time.Second)
	for line := range strings.Lines(read()[before:]) {
		if strings.Contains(line, `"to":"fr`) || strings.Contains(line, `"to":"kill`) {
			p.t.Errorf("upgrade of %v: %s", kinds, strings.TrimSpace(line))
		}
	}
	for _, g := range groups {
		if n := len(p.acks(g.Name, g.Primary(), began)); n == 0 {
			p.t.Errorf("upgrade of %v: %s acknowledged nothing since", kinds, g.Name)
		}
	}
}
