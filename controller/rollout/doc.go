// Package rollout plans a move of many groups and paces it: what to do, in which order, in which waves, what may begin now, and when to stop.
//
//	groups as they are ─▶ Make: a plan (waves of moves, in order, with what blocks and what it costs) ─▶ stored, shown, hashed
//	a plan that is run  ─▶ Step: first row that matches ─▶ moves to begin, notices; what came of the others is read off their groups' records
//
// It only orders and paces. Whether a group may move, where to, and what it may lose is decided by controller/decide, move by move, as if a person had asked for
// each: a plan is made of its dry runs, a rollout of its answers. Nothing here is remembered but in the stored record: a new leader goes on from it, and the id
// under which a move is asked for is derived, so nothing is begun twice.
//
// Pure: standard library only; no clock, I/O, goroutine, logging, randomness or map order.
package rollout
