package config

import "github.com/switchback-dr/switchback/events"

// replication reads when commits are acknowledged, and what may be lost where that is before another cluster has them.
func replication(o *object, g *events.GroupConfig) {
	def := "async"
	if g.Replication == events.ReplicateSync {
		def = "sync"
	}
	mode, alone := o.get("mode"), o.get("when_alone")
	g.Replication = events.ReplicateAsync
	if word(mode, def, "async", "sync") == "sync" {
		g.Replication = events.ReplicateSync
	}
	g.WhenAlone = word(alone, g.WhenAlone, events.AloneStrict, events.AloneDegrade)
	if g.Replication == events.ReplicateAsync {
		if alone.there() {
			alone.problem("it belongs to mode sync: remove it, or set mode: sync")
		}
		g.WhenAlone = ""
	}
	loss := o.get("max_loss")
	if loss.there() && !loss.isMap() {
		g.MaxLoss.Unknown = word(loss, "", "unknown") != ""
		return
	}
	loss.object(func(o *object) {
		g.MaxLoss.Bytes = o.get("bytes").size(g.MaxLoss.Bytes)
		g.MaxLoss.Seconds = o.get("seconds").seconds(g.MaxLoss.Seconds)
	})
}

// checkSync checks what a group in sync needs: a decision that nobody can take for its owner, and names that tell its clusters apart where the server has
// nothing but the name.
func checkSync(o *object, g *events.GroupConfig) {
	if g.Replication != events.ReplicateSync {
		return
	}
	v := o.get("replication")
	if !v.there() {
		v = o.value // all of it stands in defaults
	}
	if g.WhenAlone == "" {
		v.problem("mode sync without when_alone: want when_alone: strict (commits wait until a standby is back) or degrade (they go on without one, and automation promotes nobody meanwhile)")
	}
	region := map[string]string{}
	for _, c := range g.Clusters() {
		if other, there := region[c.Cluster]; there && c.Cluster != "" {
			v.problem("%s/%s and %s have the same cluster name: in mode sync a server knows its standbys by it, want a name of its own for each", other, c.Cluster, c)
		}
		region[c.Cluster] = c.Region
	}
}
