package main

import (
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
)

// sync says of a group in sync who has every acknowledged write, whether commits wait, and who is acknowledged without a wait.
func (p *page) sync(g *fleet.GroupView) {
	if !g.Sync() {
		return
	}
	set := words.Plain(decide.SyncText(g.Record.Sync))
	if len(g.Record.Sync.Members()) == 0 {
		set = p.paint("NOBODY") + " has every acknowledged write, automation promotes nobody (" + set + ")"
	} else {
		set += " has every acknowledged write"
	}
	p.line("in sync    %s; when alone: %s", set, g.Config.WhenAlone)
	for i := range g.Clusters {
		s := g.Clusters[i].Sync
		if s == nil || g.Clusters[i].Cluster != g.Record.Active {
			continue
		}
		if s.Waiting > 0 {
			var held []string
			for _, x := range s.Standbys {
				if !x.Streaming || x.Flushed < s.At {
					held = append(held, x.Name)
				}
			}
			p.line("%s for %s, for %s", p.paint("commits wait"), words.Age(s.Waiting), words.Plain(strings.Join(held, ", ")))
		}
		if s.Foreign != "" {
			p.line("%s what it was told: %s", p.paint("it does not go by"), words.Plain(s.Foreign))
		}
		if s.Why != "" {
			p.line("its waits were not seen to hold yet: %s", words.Plain(s.Why))
		}
		for _, w := range s.Open {
			p.line("acknowledged without a wait: %s", words.Plain(fmt.Sprint(w)))
		}
	}
}
