package matrix

import (
	"path"
	"regexp"
	"slices"
)

// Cell is a fault in a plane.
type Cell struct{ Fault, Plane string }

// Skip is a cell that is not played, and why.
type Skip struct {
	Cell
	Why string
}

// excluded are cells that make no sense anywhere.
var excluded = []struct {
	is  func(*Fault, *Plane) bool
	why string
}{
	{func(f *Fault, p *Plane) bool { return f.Move != nil && f.Move.Verb != "" && p.Kernel }, "the kernel lease is about a right that ends: nobody's does in a move that was asked for"},
	{func(f *Fault, p *Plane) bool { return f.Need.Disks && p.Kernel }, "the kernel lease is about a right that ends: nobody's does for a full disk"},
	{func(f *Fault, p *Plane) bool { return f.Move != nil && p.Moving }, "every group is being moved when it strikes: the other planes are this one"},
}

// Impossible are faults nobody can play on a stage of one machine, and what stands in for them.
var Impossible = []Left{
	{"clock stepped", "a machine has one wall clock, and a namespace of clocks is set before its first process starts: no clock of one region can be stepped while it runs. " +
		"The simulator steps them in every seed, the tests of the guard and of the agent's loop by hand"},
	{"power lost", "what a server has written stays in this machine's memory when it is killed: lost sectors are the business of PostgreSQL's own tests"},
}

// Play is a fault and the planes it is played in.
type Play struct {
	Fault
	Planes []*Plane
}

// Plan is the product of the lists, less what is left out. only limits it by the name of a cell, "fault / plane"; nil = all. What needs the same stage stands
// together.
func Plan(faults []Fault, only *regexp.Regexp) (plays []Play, skipped []Skip) {
	for _, kernel := range []bool{false, true} {
		for _, f := range faults {
			f.Need.Kernel = kernel
			p := Play{Fault: f}
			for _, x := range planesOn(f.Need) {
				c := Cell{f.Name, x.Name}
				why := left(&f, x)
				switch {
				case only != nil && !only.MatchString(c.Fault+" / "+c.Plane):
				case why != "":
					skipped = append(skipped, Skip{c, why})
				default:
					p.Planes = append(p.Planes, x)
				}
			}
			if len(p.Planes) > 0 {
				plays = append(plays, p)
			}
		}
	}
	return plays, skipped
}

func left(f *Fault, p *Plane) string {
	for _, x := range excluded {
		if x.is(f, p) {
			return x.why
		}
	}
	return ""
}

// reason finds the first pattern a name matches; empty = none.
func reason(all []Left, name string) string {
	for _, l := range all {
		if ok, _ := path.Match(l.Pattern, name); ok { // a bad pattern matches nothing, and its test fails
			return l.Why
		}
	}
	return ""
}

// Short are the faults that every `make test` plays, and the cells of them: with the kernel lease, which needs a stage of its own, only a paused host.
func Short() (all []Fault, cells *regexp.Regexp) {
	for _, f := range Faults() {
		if f.Short {
			all = append(all, f)
		}
	}
	return all, regexp.MustCompile(`/ (async|planned)$|^paused .* / kernel$`)
}

// cannot says why this machine can't play a fault; empty = it can.
func cannot(f *Fault, isolation error) string {
	if isolation != nil && slices.ContainsFunc(f.Do, func(a Act) bool { return a.Verb == Isolate || a.Verb == Cut }) {
		return isolation.Error()
	}
	return ""
}
