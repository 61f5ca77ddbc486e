package main

import (
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
)

// clusters says of each cluster what its row can't.
func (p *page) clusters(g *fleet.GroupView) {
	for i := range g.Clusters {
		c := &g.Clusters[i]
		if c.Error != "" {
			p.line("%s: %s", c.Cluster, words.Plain(c.Error))
		}
		if r := words.Remark(g, c); r != "" {
			p.line("%s", r)
		}
		if c.Override != "" {
			p.line("%s was OVERRIDDEN on its host by %s; once that is settled, there: switchback guard override %s --end", c.Cluster, words.Plain(c.Override), c.Cluster.Cluster)
		}
		if q := c.Quiet; q != nil {
			why := ""
			if q.Why != "" {
				why = ": " + words.Plain(q.Why)
			}
			p.line("%s is in maintenance until %s, by %s%s", c.Cluster, words.Clock(q.Until, p.now), words.Plain(q.By), why)
		}
	}
}

func (p *page) next(g *fleet.GroupView) {
	if s := words.Next(g); s != "" {
		p.line("next: %s", s)
	}
}
