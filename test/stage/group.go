package stage

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// The regions: home of most groups, their recovery, and the witness, that holds data only where a group asks for it.
const (
	West    = "eu-west-1"
	Central = "eu-central-1"
	North   = "eu-north-1"
)

// Regions lists them in the order of their addresses.
var Regions = []string{West, Central, North}

// Group is a home server and its recovery servers.
type Group struct {
	Name    string
	Home    string         // region of its primary: West or Central; the recovery cluster is in the other
	Mode    events.Mode    // empty = auto
	Restore events.Restore // empty = auto
	Second  bool           // it has another recovery cluster, in North
	Plain   bool           // a pair of plain processes (kind exec), cared for by Options.Commands
	Quiet   bool           // nobody writes to its servers but clients of their own, whose commits no audit knows
	// Database is the group that holds the metadata database of a pair of Airflow installations (kind airflow), which this group then is. It depends on it.
	Database string
	Policy   string // further keys of its entry in the fleet file, as "max_loss: {seconds: 5}"
}

// Kind is what it is made of.
func (g Group) Kind() events.Kind {
	switch {
	case g.Plain:
		return events.KindExec
	case g.Database != "":
		return events.KindAirflow
	}
	return events.KindPostgres
}

// Written says that the stage's writers write to it, and that what it acknowledges is audited.
func (g Group) Written() bool { return g.Kind() == events.KindPostgres && !g.Quiet }

// Primary is the cluster at home.
func (g Group) Primary() events.Ref { return events.Ref{Region: g.Home, Cluster: g.Name + "-a"} }

// Recovery is the first recovery cluster, in the other data region.
func (g Group) Recovery() events.Ref {
	if g.Home == West {
		return events.Ref{Region: Central, Cluster: g.Name + "-b"}
	}
	return events.Ref{Region: West, Cluster: g.Name + "-b"}
}

// Far is the second recovery cluster, of a group that has one.
func (g Group) Far() events.Ref { return events.Ref{Region: North, Cluster: g.Name + "-c"} }

// Clusters are all of them, the primary first, then in order of preference.
func (g Group) Clusters() []events.Ref {
	all := []events.Ref{g.Primary(), g.Recovery()}
	if g.Second {
		all = append(all, g.Far())
	}
	return all
}

// Workflows are a pair of Airflow installations and the group that holds their metadata.
func Workflows(home string) []Group {
	return []Group{{Name: "af-db", Home: home, Quiet: true}, {Name: "flows", Home: home, Database: "af-db"}}
}

// Groups makes n groups: orders, billing, search, then g04 and so on. Every fourth one is at home in Central.
func Groups(n int) []Group {
	names := []string{"orders", "billing", "search"}
	var out []Group
	for i := range n {
		g := Group{Name: fmt.Sprintf("g%02d", i+1), Home: West}
		if i < len(names) {
			g.Name = names[i]
		}
		if i%4 == 3 {
			g.Home = Central
		}
		out = append(out, g)
	}
	return out
}
