package model

import (
	"github.com/switchback-dr/switchback/events"
)

// The spaces of numbers. Those of a lane come first, one per agent and acceptor.
const (
	spaceLane    = 1  // sequences of a lane: + host*Lanes + lane
	spaceNo      = 16 // an agent's counter of publishes on a lane: likewise
	spaceState   = 32 // sequences of the state stream: records and commands
	spaceAttempt = 40 // attempts
	spaceTerm    = 41
	spaces       = 48
)

func laneSpace(base, host, lane int) uint8 { return uint8(base + host*events.Lanes + lane) }

// permuteSpace renames the acceptor in a space.
func permuteSpace(s uint8, perm [events.Lanes]int) uint8 {
	for _, base := range []uint8{spaceNo, spaceLane} {
		if n := int(s) - int(base); n >= 0 && n < hostsMost*events.Lanes {
			return base + uint8(n/events.Lanes*events.Lanes+perm[n%events.Lanes])
		}
	}
	return s
}

// hostsMost bounds the hosts of a configuration.
const hostsMost = 4
