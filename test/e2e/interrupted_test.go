package e2e_test

import (
	"fmt"
	"testing"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestRestoreInterrupted kills the tools of restores, and the agent above them, while they work. Each restore is taken up and ends by itself, and what was lost is still known
// to the last commit: it was counted before anything was overwritten.
func TestRestoreInterrupted(t *testing.T) {
	var groups []stage.Group
	for _, g := range stage.Groups(6) {
		if g.Home == stage.West && len(groups) < 4 {
			g.Restore = events.RestoreManual
			groups = append(groups, g)
		}
	}
	p := begin(t, groups)
	if err := p.CanIsolate(); err != nil {
		t.Skipf("NOT TESTED: nothing diverges where a region can't be cut off: %v", err)
	}
	skip, fault := p.heard(), p.darken(stage.West, groups)
	for _, g := range groups {
		p.serving(skip, fault, g, g.Recovery())
	}
	p.light(stage.West)
	cases := []struct {
		tool  string
		agent bool // kill it too: what it began is an orphan then
		how   []string
	}{
		{stage.Rewind, false, []string{"rewound", "copied"}}, // a rewind that was interrupted may leave nothing to go on with
		{stage.Rewind, true, []string{"rewound", "copied"}},
		{stage.BaseBackup, false, []string{"copied"}},
		{stage.BaseBackup, true, []string{"copied"}},
	}
	lost := map[string][]stage.Write{}
	for i, c := range cases {
		g := groups[i]
		more := ""
		if c.tool == stage.BaseBackup {
			more = `,"copy":true`
		}
		struck := make(chan error, 1)
		go func() { struck <- p.interrupt(g, c.tool, c.agent) }()
		skip := p.heard()
		p.do(p.insist(events.AskRestore, g, fmt.Sprint("interrupted-", i), more))
		p.do(<-struck)
		r := p.restored(skip, g, g.Primary())
		lost[g.Name] = p.books(g, stage.Story{Group: g.Name, Old: g.Primary(), New: g.Recovery(), Fault: fault}, r, p.protected(0, g))
		if len(lost[g.Name]) == 0 {
			t.Errorf("%s: nothing was lost, so its restore had nothing to rewind", g.Name)
		}
		if r.How != c.how[0] && r.How != c.how[len(c.how)-1] {
			t.Errorf("%s: %s killed, agent killed %v: %s, want one of %v", g.Name, c.tool, c.agent, r.How, c.how)
		}
	}
	p.failback(groups...)
	for _, g := range groups {
		p.course(g, 0, lost[g.Name], g.Primary(), g.Recovery(), g.Primary())
	}
}

// interrupt waits for a tool to work on a group's home and kills it, or kills the agent that began it and starts another one.
func (p *play) interrupt(g stage.Group, tool string, agent bool) error {
	v := p.Server(g.Primary())
	if !agent {
		return v.KillTool(p.t.Context(), tool, serveLimit)
	}
	if _, err := v.WaitTool(p.t.Context(), tool, serveLimit); err != nil {
		return err
	}
	if err := p.KillProcess(stage.Agent, v.Ref.Region); err != nil {
		return err
	}
	return p.StartProcess(stage.Agent, v.Ref.Region)
}
