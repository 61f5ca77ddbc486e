// Package fleet is the controller's model of everything and the only mutable core object: inputs go in one by one, effects come out.
//
//	input ─▶ Apply: agents, lanes, regions, groups ─▶ gate (verdicts, permission) ─▶ decide (per group that changed) ─▶ Effects
//
// The order inside Effects is the contract: batches are stored first, each all or nothing and fenced on the term; only then the rest is done, and
// only then is the input acknowledged. A Fleet lives for one term: after a batch that was refused or not answered it is thrown away, and the
// next term starts from the record (C: memory is empty at every new term).
//
// Work per input is proportional to what changed: groups wait in one heap of deadlines, and only those touched or due are looked at.
//
// Pure: standard library only; no clock, I/O, goroutine, logging, randomness or map order.
package fleet
