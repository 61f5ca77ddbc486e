package sim

import (
	"maps"
	"slices"
	"time"
)

// Shrink makes a schedule that breaks a rule smaller, as long as a run of it still breaks the same rule: entries are left out, waits and durations
// shortened, then the world made simpler. It makes at most runs runs, and reports the smallest schedule found and what it breaks.
func Shrink(s Schedule, bad *Violation, runs int) (Schedule, *Violation) {
	z := &shrinker{small: s, bad: bad, left: runs, run: func(s Schedule) *Violation {
		res, _ := s.Run(nil) // a world that can't be made breaks nothing
		return res.Violation
	}}
	z.shrink()
	return z.small, z.bad
}

func (z *shrinker) shrink() {
	z.cut()
	for chunk := max(len(z.small.Entries)/2, 1); ; chunk /= 2 {
		z.leaveOut(chunk)
		if chunk <= 1 {
			break
		}
	}
	z.simplify()
	z.shorten()
	z.leaveOut(1)
}

type shrinker struct {
	small Schedule
	bad   *Violation
	left  int // runs
	run   func(Schedule) *Violation
}

// try keeps a smaller schedule if it breaks the same rule.
func (z *shrinker) try(s Schedule) bool {
	if z.left <= 0 {
		return false
	}
	z.left--
	bad := z.run(s)
	if bad == nil || bad.Rule != z.bad.Rule {
		return false
	}
	z.small, z.bad = s, bad
	z.cut()
	return true
}

// cut leaves out what comes after the violation, and the calm between the last entry and the end of the faults.
func (z *shrinker) cut() {
	z.small.Entries = slices.DeleteFunc(slices.Clone(z.small.Entries), func(e Entry) bool { return e.At > z.bad.At })
}

// leaveOut tries to do without each run of so many entries, the last first: what comes first may be what the others need.
func (z *shrinker) leaveOut(chunk int) {
	for end := len(z.small.Entries); end > 0; end -= chunk {
		from := max(end-chunk, 0)
		if end > len(z.small.Entries) {
			continue
		}
		s := z.small
		s.Entries = slices.Delete(slices.Clone(s.Entries), from, end)
		z.try(s)
	}
}

// simplify tries a world with less in it.
func (z *shrinker) simplify() {
	for _, change := range []func(*Setting){
		func(x *Setting) { x.Noise = "none" }, func(x *Setting) { x.Agents = 1 }, func(x *Setting) { x.Last = "auto" }, func(x *Setting) { x.Groups = 1 },
		func(x *Setting) { x.Groups = 2 },
	} {
		s := z.small
		change(&s.Setting)
		shape := s.Setting.Shape()
		legal := !slices.ContainsFunc(s.Entries, func(e Entry) bool { return e.check(&shape) != nil })
		if s.Setting != z.small.Setting && s.Setting.Groups <= z.small.Setting.Groups && legal {
			z.try(s)
		}
	}
}

// shorten tries entries that say less: half as long, at a round time, without a moment to wait for.
func (z *shrinker) shorten() {
	if until := z.bad.At.Truncate(time.Second); until < z.small.Until {
		s := z.small
		s.Until = until
		z.try(s)
	}
	for i := 0; i < len(z.small.Entries); i++ {
		z.change(i, func(e *Entry) { e.At = e.At.Round(100 * time.Millisecond) })
		for _, name := range []string{"accept-loss", "copy", "while-blind", "plane"} {
			z.change(i, func(e *Entry) { delete(e.Args, name) })
		}
		for range 4 {
			if !z.change(i, func(e *Entry) {
				if d := e.Args.span("for"); d >= 200*time.Millisecond {
					e.Args["for"] = (d / 2).Round(50 * time.Millisecond).String()
				}
			}) {
				break
			}
		}
	}
}

// change tries one entry changed, and reports whether it is kept.
func (z *shrinker) change(i int, f func(e *Entry)) bool {
	if i >= len(z.small.Entries) {
		return false
	}
	s := z.small
	s.Entries = slices.Clone(s.Entries)
	e := &s.Entries[i]
	was := e.String()
	e.Args = maps.Clone(e.Args)
	f(e)
	slices.SortStableFunc(s.Entries, func(a, b Entry) int { return int(a.At - b.At) })
	return e.String() != was && z.try(s)
}
