package config

import (
	"slices"
	"strings"
)

// dependency is one element of a depends_on.
type dependency struct {
	on string
	at value
}

// checkDepends reports dependencies on groups that are not there, and every cycle once, in the words a -> b -> a.
func (f *fleet) checkDepends(o *object) {
	var names []string
	for _, e := range o.entries {
		names = append(names, e.name)
	}
	slices.Sort(names)
	for _, n := range names {
		seen := map[string]bool{}
		for _, d := range f.depends[n] {
			if _, there := slices.BinarySearch(names, d.on); !there {
				d.at.problem("group %q is not in groups%s", d.on, meant(d.on, names))
			} else if seen[d.on] {
				d.at.problem("group %q stands in depends_on twice", d.on)
			}
			seen[d.on] = true
		}
	}
	w := walk{f: f, state: map[string]int{}}
	for _, n := range names {
		w.visit(n)
	}
}

// walk is a depth-first search.
type walk struct {
	f     *fleet
	state map[string]int // 1 = on the way, 2 = done
	way   []string
}

func (w *walk) visit(n string) {
	if w.state[n] != 0 {
		return
	}
	w.state[n], w.way = 1, append(w.way, n)
	for _, d := range w.f.depends[n] {
		if w.state[d.on] == 1 {
			cycle := w.way[slices.Index(w.way, d.on):]
			d.at.problem("groups depend on each other in a circle: %s -> %s", strings.Join(cycle, " -> "), d.on)
			continue
		}
		w.visit(d.on)
	}
	w.state[n], w.way = 2, w.way[:len(w.way)-1]
}
