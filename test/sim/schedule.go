package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Schedule is a whole random run as data: what the world is made of, and everything that is done to it from outside. What chance does to messages and
// processes depends on the setting's seed alone, so an entry can be left out and the rest tried again.
type Schedule struct {
	Setting Setting
	Mood    string  // what weighed the entries
	Entries []Entry // by time
	Until   time.Duration
}

// Setting is what a world is made of, and its luck.
type Setting struct {
	Seed   uint64
	Groups int    // of Random's, 1 to 3
	Agents int    // per region
	Noise  string // one of noises
	Last   string // how the last group is cared for: one of policies
	Sync   string // what the first group does when it is alone in sync: strict or degrade; none = it is async
	Tasks  bool   // the first group runs tasks, one of which waits for a person after each move
}

// policies are the ways a group may be cared for.
var policies = map[string]func(g *events.GroupConfig){
	"auto":         func(*events.GroupConfig) {},
	"manual":       func(g *events.GroupConfig) { g.Mode = events.ModeManual },
	"observe":      func(g *events.GroupConfig) { g.Mode = events.ModeObserve },
	"keep-running": func(g *events.GroupConfig) { g.Isolation = events.IsolationKeepRunning },
	"by-hand":      func(g *events.GroupConfig) { g.Restore = events.RestoreManual },
}

// Shape is the shape of a setting's world.
func (s Setting) Shape() Shape {
	shape := Random()
	shape.Groups, shape.Agents, shape.Noise = shape.Groups[:s.Groups], s.Agents, s.Noise
	if s.Sync != "" {
		shape.Groups[0].Replication, shape.Groups[0].WhenAlone = events.ReplicateSync, events.WhenAlone(s.Sync)
	}
	if s.Tasks {
		p := events.DefaultTaskPolicy()
		shape.Groups[0].Tasks = &p
	}
	policies[s.Last](&shape.Groups[s.Groups-1])
	return shape
}

// String is the setting as a scenario's first line.
func (s Setting) String() string {
	world := fmt.Sprintf("world seed=%d groups=%d agents=%d noise=%s last=%s", s.Seed, s.Groups, s.Agents, s.Noise, s.Last)
	if s.Sync != "" {
		world += " sync=" + s.Sync
	}
	if s.Tasks {
		world += " tasks=yes"
	}
	return world
}

// Entry is one thing done to the world: a fault, or an act of an operator.
type Entry struct {
	At   time.Duration // since the run began
	Kind string        // one of kinds
	Args Args
}

// Args are an entry's arguments by name. Besides those its kind names it may have: for, how long it lasts (else until the end of the faults); on and after,
// to be done only once a group's record gets somewhere (see moments), and so long later.
type Args map[string]string

// String is the entry as a line of a scenario.
func (e Entry) String() string { return strings.TrimSpace(e.At.String() + " " + e.words()) }

func (e Entry) words() string {
	words := []string{e.Kind}
	for _, name := range slices.Sorted(maps.Keys(e.Args)) {
		if v := e.Args[name]; v == "" {
			words = append(words, name)
		} else {
			words = append(words, name+"="+v)
		}
	}
	return strings.Join(words, " ")
}

// ParseEntry reads one line of a scenario's schedule.
func ParseEntry(line string, shape *Shape) (Entry, error) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return Entry{}, fmt.Errorf("%q: want a time, a kind and its arguments, like `12.5s agent-crash agent=r1/h1 for=2s`", line)
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return Entry{}, fmt.Errorf("%q: %w", line, err)
	}
	e := Entry{At: at, Kind: words[1], Args: Args{}}
	for _, word := range words[2:] {
		name, v, _ := strings.Cut(word, "=")
		e.Args[name] = v
	}
	if err := e.check(shape); err != nil {
		return Entry{}, fmt.Errorf("%q: %w", line, err)
	}
	return e, nil
}

// String is the schedule as a scenario file, ready to stand in testdata under a telling name.
func (s Schedule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n----\n\nschedule until=%v\n", s.Setting, s.Until)
	for _, e := range s.Entries {
		fmt.Fprintln(&b, e)
	}
	fmt.Fprintln(&b, "----\nsettled")
	return b.String()
}

// Times of a random schedule: birth, faults, healing.
const (
	calm   = 4 * time.Second
	storm  = 40 * time.Second
	repair = 45 * time.Second
)

// drawer draws a schedule. It has its own luck: nothing in it depends on how the run goes.
type drawer struct {
	*rand.Rand
	shape Shape
	mood  *mood
	focus string // a group whose clusters are named more often than others
}

// Draw makes the schedule of a seed.
func Draw(seed uint64) Schedule {
	h := &World{seed: seed}
	d := drawer{Rand: h.luck("schedule"), mood: moodOf(seed)}
	s := Schedule{Setting: Setting{Seed: seed, Groups: 3, Agents: 1, Noise: d.mood.noise, Last: "auto"}, Mood: d.mood.name, Until: calm + d.mood.storm}
	if d.Float64() < 0.3 {
		s.Setting.Agents = 2
	}
	if d.Float64() < 0.3 {
		names := slices.Sorted(maps.Keys(policies))
		s.Setting.Last = names[d.IntN(len(names))]
	}
	if n := d.IntN(5); n < 2 {
		s.Setting.Sync = []string{string(events.AloneStrict), string(events.AloneDegrade)}[n]
	}
	s.Setting.Tasks = d.IntN(4) == 0
	d.shape = s.Setting.Shape()
	d.focus = d.shape.Groups[d.IntN(len(d.shape.Groups))].Group
	weights, total := d.mood.weights()
	for at := calm + d.within(0, 2*time.Second); at < s.Until; at += d.gap() {
		n := d.IntN(total)
		for i := range kinds {
			if n -= weights[i]; n < 0 {
				s.Entries = append(s.Entries, d.entry(&kinds[i], at))
				break
			}
		}
	}
	return s
}

func (d *drawer) within(lo, hi time.Duration) time.Duration {
	return within(d.Rand, lo, hi).Round(time.Millisecond)
}

// gap is the time to the next entry: some come in bursts.
func (d *drawer) gap() time.Duration {
	if d.Float64() < d.mood.burst {
		return d.within(10*time.Millisecond, 800*time.Millisecond)
	}
	return d.within(100*time.Millisecond, d.mood.gap)
}

func (d *drawer) entry(k *kind, at time.Duration) Entry {
	e := Entry{At: at, Kind: k.name, Args: Args{}}
	for _, a := range k.args {
		if v, ok := a.draw(d); ok {
			e.Args[a.name] = v
		}
	}
	if d.Float64() < d.mood.moments {
		e.Args["on"] = d.focus + "." + moments[d.IntN(len(moments))]
		e.Args["after"] = d.within(0, 400*time.Millisecond).String()
	}
	return e
}
