// Package lease is the pure core of an agent: its lanes at the three acceptors, its right to run, its promises, and what each of its
// clusters must be made to do (2a-protocol, AGENT and GRANTS). It decides; the agent around it publishes, probes and carries out.
//
//	       answers of the bus            commands             probes           peers
//	              │                         │                   │                │
//	              ▼                         ▼                   ▼                ▼
//	lanes: UNKNOWN·COUNTED·PENDING·BROKEN   ledger (epoch, role)  server       promises, grants
//	              └────────────┬────────────┘                   │                │
//	                           ▼                                │                │
//	           right := max(2nd largest lane lease, grants, what the guard held) ┘
//	                           ▼
//	     the table of act.go: first matching row per cluster → freeze, thaw, kill, start, promote, stop, step
//
// Every input is one method that takes the instant at which it happened and returns Effects. The order inside Effects is the contract:
// the ledger is on disk before anything else is done or said. Instants are readings of this host's boot clock and never leave it.
//
// The package also holds the pure core of the guard, the second process that keeps the deadline when this one is dead, stuck or late.
//
// Pure: standard library only; no clock, I/O, goroutine, logging, randomness or map order.
package lease
