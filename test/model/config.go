package model

import (
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Tick is how far time moves at once. It is the fixed pause after a failed start, so that every duration is a whole number of ticks or less than one.
const Tick = 2 * time.Second

// never is a duration no search reaches.
const never = (1 << 24) * Tick

// Config is one bounded space: what there is, what may go wrong, and how often.
type Config struct {
	Name   string
	Hosts  int      // the first holds every group's home
	Groups []string // each has one cluster on every host

	Run, Wait int // F and L in ticks; S and M are folded into F

	Epochs   int  // no operator asks beyond this epoch
	Crashes  int  // of agents' processes
	Reboots  int  // of hosts
	Guards   int  // restarts of guards
	Disks    int  // acceptors that lose theirs
	Leaders  int  // changes of the leader
	Sync     bool // the group is in sync; two hosts, one group
	Writes   int  // writes of clients
	Deaf     bool // no command reaches the first host
	Waits    int  // ticks after which whoever commits wait for is replaced, or they go on alone; 0 = never
	Rejoins  int  // times a person asks for a rejoin
	Ledgers  int  // agents that begin anew without their ledger
	Persons  int  // agents that a person starts anew, of those that met somebody else on their lanes
	Delayed  int  // messages under way when time passes
	LostAcks bool // publishes that are stored but not answered
	Grants   bool // agents reach each other

	Coupled     bool   // the three acceptors share every fate: the lease is one register
	Perfect     []bool // by host: its lanes never fail
	Slow        bool   // starts, promotions, stops and kills take time
	LazyGuard   bool   // the guard asks when it likes
	LateMail    bool   // a command may be overtaken by the next
	PromptWords bool   // reports arrive at once
	Aim         []int  // hosts that may be promoted; nil = every one
	Isolation   events.Isolation
	Begin       func(w *world) bool // the search begins where this first holds, after a calm failover; nil = at home
	From        func(w *world) bool // the search begins where this first holds, while all comes up
	Answers     bool                // promises are asked for and given at once
	Leaderless  bool                // nobody leads after the beginning
	Runs        bool                // an active must never stand still for long (I6)
}

// durations is what the cores are configured with: everything that is not the protocol's never comes.
func (c *Config) durations() events.Durations {
	d := events.Durations{
		Profile: "model", Beat: Tick * 3 / 4, Run: time.Duration(c.Run) * Tick, Wait: time.Duration(c.Wait) * Tick,
		Confirm: never, ClusterConfirm: never, Flapping: never, TTL: never, FenceAck: Tick, Promote: never, Attempt: never, SwitchGap: never, Prepare: never,
		Restart: never, Stalled: never, KillAfter: never, ReRead: never, Probe: Tick, FullHealth: never, LaneReread: 0, HoldResume: 0,
	}
	d.SyncWait = never
	if c.Waits > 0 {
		d.SyncWait = time.Duration(c.Waits) * Tick
	}
	return d
}

func clusterRef(group string, host int) events.Ref {
	return events.Ref{Region: regionNames[host], Cluster: group}
}

func (c *Config) groupConfigs() []fleet.GroupConfig {
	var gs []fleet.GroupConfig
	for _, name := range c.Groups {
		g := events.GroupConfig{Group: name, Project: "default", Kind: events.KindPostgres, Primary: clusterRef(name, 0), Mode: events.ModeAuto, Isolation: c.Isolation}
		if c.Sync {
			g.Replication = events.ReplicateSync
		}
		if g.Isolation == "" {
			g.Isolation = events.IsolationFreeze
		}
		for h := 1; h < c.Hosts; h++ {
			g.Recovery = append(g.Recovery, clusterRef(name, h))
		}
		gs = append(gs, fleet.GroupConfig{GroupConfig: g, Revision: 1})
	}
	return gs
}

func (c *Config) perfect(h int) bool { return h < len(c.Perfect) && c.Perfect[h] }

// aims reports whether operators ask for a failover to a host.
func (c *Config) aims(h int) bool { return c.Aim == nil || slices.Contains(c.Aim, h) }
