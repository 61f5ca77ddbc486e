// Package model explores the rules as built: the shipped cores of agent, guard and leader (regionagent/lease, controller/fleet with controller/decide) are
// driven through every interleaving of a bounded set of events, breadth first, and the invariants are checked in every state.
//
//	a state: hosts (agent, guard, disk, servers) · the leader and the record · the acceptors' last messages · what is under way
//	   │ every move that can happen: deliver, lose, delay, answer, time passes, a process dies, an operator asks …
//	   ▼
//	the cores run (or what they did is remembered) ─▶ a new state, written so that names and ages that do not matter are gone ─▶ seen before? ─▶ checks
//
// `make model` runs every configuration and takes every rule of the protocol away once, which must be found. DESIGN.md says how and why.
package model
