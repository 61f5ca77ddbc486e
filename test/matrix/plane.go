package matrix

import (
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// Plane is one way a group may be run when a fault strikes. A fault strikes all planes at once: each has a group of its own, at home in the same region.
type Plane struct {
	Name   string
	Why    string
	Group  stage.Group
	Moving bool // a switchover of it has just begun when the fault strikes
	Kernel bool // on a stage of its own: whether a kernel lease is held is the agents' business
}

// Planes are all of them. The first one on a stage is that whose steps are waited for where all groups are moved at once.
var Planes = []Plane{
	{"async", "an asynchronous pair that nobody touches", stage.Group{Name: "orders", Home: Home}, false, false},
	{"planned", "an asynchronous pair of which a switchover has just begun", stage.Group{Name: "billing", Home: Home}, true, false},
	{"sync", "a pair in sync: nothing acknowledged is ever lost", stage.Group{Name: "ledger", Home: Home, Policy: "replication: {mode: sync, when_alone: degrade}"}, false, false},
	{"kernel", "an asynchronous pair on hosts with the kernel lease", stage.Group{Name: "search", Home: Home}, false, true},
}

// The places of the stage, as the faults name them.
const (
	Home    = stage.West    // where every active is at home
	Away    = stage.Central // where every passive is
	Witness = stage.North   // hub and leading controller only
	Leader  = "leader"      // wherever the leading controller is when the fault strikes
)

// Places are the regions.
var Places = []string{Home, Away, Witness}

// Writer is one of those that write to every group all the time.
type Writer struct {
	Name string // as the stage's log names it
	At   string // it writes to the server of this region only; empty = it looks for the active
}

// Writers are all of them. The run fails if one of them was not heard where it must be.
var Writers = []Writer{{Home, Home}, {Home + stage.OverTCP, Home}, {Away, Away}, {Away + stage.OverTCP, Away}, {stage.OutsideWriter, ""}}

// planesOn are the planes that live on a stage.
func planesOn(n Need) (all []*Plane) {
	for i := range Planes {
		if p := &Planes[i]; p.Kernel == n.Kernel {
			all = append(all, p)
		}
	}
	return all
}

// sync reports whether nothing acknowledged may ever be lost.
func (p *Plane) sync() bool { return p.Name == "sync" }

// server is a group's in a region.
func server(g stage.Group, region string) events.Ref {
	for _, c := range g.Clusters() {
		if c.Region == region {
			return c
		}
	}
	return events.Ref{}
}
