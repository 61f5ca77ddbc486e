package fleet

import (
	"slices"
	"sort"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/events"
)

// The record may be lost, put back from an old backup, or lost in part. What agents persist is compared with it, cluster by cluster; where they contradict each
// other decide halts, and no agent of such a group is resumed: a RESUME that speaks from a wrong record could start what another one runs.

// stray is a ledger that had applied a newer command than any that is stored for its cluster: commands are lost. It has the ledger's word when that was found
// out; the stream's growth alone never settles it.
type stray struct {
	seq  events.Seq
	seen events.Epoch
}

// stored notes where a command stands in the stream.
func (f *Fleet) stored(a events.AgentRef, name string, seq events.Seq) {
	if name == events.ResumeCluster {
		x := f.agentOf(a)
		x.settled = max(x.settled, seq)
		return
	}
	c := f.clusterOf(events.Ref{Region: a.Region, Cluster: name})
	c.command = max(c.command, seq)
}

// strays compares a cluster's ledger with the newest command stored for it, or for its agent. It ends when the ledger has applied another one than it had then.
func (f *Fleet) strays(c *cluster) {
	newest, r := c.command, &c.report
	if a := f.agents.get(r.Agent); a != nil {
		newest = max(newest, a.settled)
	}
	switch {
	case r.SeenSeq > newest && c.stray.seq == 0:
		c.stray = stray{r.SeenSeq, r.Seen}
	case r.SeenSeq <= newest && c.stray != (stray{r.SeenSeq, r.Seen}):
		c.stray = stray{}
	}
}

// remember notes a cluster by which a ledger knows a group that is neither recorded nor configured.
func (f *Fleet) remember(c *cluster, name string, knows bool) {
	if !knows || c.group != nil || events.CheckName("group", name) != nil {
		return
	}
	g := f.groupOf(name)
	c.group = g
	i := sort.Search(len(g.found), func(i int) bool { return g.found[i].String() >= c.ref.String() })
	g.found = slices.Insert(g.found, i, c.ref)
}

// contradicted reports whether a group of the agent is halted by what ledgers say, or its record is just being rebuilt: the agent is not resumed before that is
// settled, and its actives go on by promises.
func (f *Fleet) contradicted(a *agent) bool {
	return slices.ContainsFunc(a.holds, func(c events.Ref) bool {
		g := f.clusters.get(c).group
		return g != nil && (decide.Contradicts(g.halt) || g.record != nil && decide.Rebuilding(g.record) && g.record.Active == c)
	})
}

// askHalted asks for every group that ledgers contradict.
func (f *Fleet) askHalted(now Now, in AskSeen, ans *events.Answer, eff *Effects) []unit {
	var gs []*group
	for _, k := range f.groups.keys {
		if g := f.groups.get(k); decide.Contradicts(g.halt) {
			gs = append(gs, g)
		}
	}
	if len(gs) == 0 {
		ans.Why = "no ledger contradicts the record: there is nothing to rebuild"
		return nil
	}
	return f.askGroups(now, in, gs, ans, eff)
}
