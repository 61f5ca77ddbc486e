// Package postgres is the driver of PostgreSQL clusters (15 and later): it probes one server, starts it through the gate, promotes, stops,
// cuts and points it, and says what is true. DESIGN.md has the reasons; testdata/traps.txt lists the traps and their tests.
package postgres
