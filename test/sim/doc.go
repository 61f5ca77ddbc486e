// Package sim drives the packages that ship — lease.Agent, lease.Guard, fleet.Fleet, leader.Core and the store behind the bus — under virtual time and
// seeded faults, and checks the invariants of 2-safety after every step.
//
// Everything around those cores is a model: hosts with their own clock rates, processes that crash, pause and lose what they had not fsynced, servers that
// can be writable, in recovery, frozen or down, a network that delays, loses, repeats and partitions, three acceptors, one replicated state stream. What is
// checked never asks the cores: it looks at the servers and at what is stored.
//
// A seed is a whole schedule. The same seed gives the same run, byte for byte.
package sim
