package matrix

import (
	"fmt"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/test/stage"
)

// What is one of our processes, or all that live on a database host.
type What = stage.Kind

// short and long are how long a pause lasts: longer than every right, and longer than it takes to move and to kill what is frozen.
var pauses = []time.Duration{5 * time.Second, 30 * time.Second}

// Faults are all of them: those below, and those that follow from the lists of places, pauses and steps.
func Faults() []Fault {
	all := slices.Clone(single)
	all = append(all, partitions()...)
	all = append(all, halts()...)
	all = append(all, hubs()...)
	all = append(all, steps()...)
	all = append(all, pairs()...)
	slices.SortStableFunc(all, func(a, b Fault) int { // what needs another stage last
		return need(a) - need(b)
	})
	return all
}

func need(f Fault) int {
	if f.Need.Disks {
		return 1
	}
	return 0
}

var (
	stays  = Want{End: Stayed, Pause: hiccup}
	thaws  = Want{End: Stayed}
	moves  = Want{End: Moved, Pause: moveLimit}
	either = Want{End: Either, Pause: moveLimit}
)

// single are the faults that stand for themselves.
var single = []Fault{
	{Name: "region killed: home", Do: []Act{{Verb: KillRegion, Where: Home}}, Want: moves},
	{Name: "region killed: away", Do: []Act{{Verb: KillRegion, Where: Away}}, Hold: 6 * time.Second, Want: stays},
	{Name: "region killed: witness", Do: []Act{{Verb: KillRegion, Where: Witness}}, Hold: 6 * time.Second, Want: stays},
	{
		Name: "reboot of a dead active", Do: []Act{{Verb: Isolate, Where: Home}, {Verb: KillRegion, Where: Home}}, Then: []Act{{Verb: Boot, Where: Home}}, Want: moves,
		Short: true,
	},
	{Name: "agent killed", Do: []Act{{Verb: Kill, Where: Home, What: stage.Agent}}, Hold: 500 * time.Millisecond, Want: either}, // on a busy host its start takes longer than it may be away
	{Name: "guard killed", Do: []Act{{Verb: Kill, Where: Home, What: stage.Guard}}, Hold: 500 * time.Millisecond, Want: thaws},
	{Name: "agent crash loop", Do: []Act{{Verb: Loop, Where: Home, What: stage.Agent}}, Hold: 10 * time.Second, Want: Want{End: Either, Pause: moveLimit}},
	{Name: "guard crash loop", Do: []Act{{Verb: Loop, Where: Home, What: stage.Guard}}, Hold: 10 * time.Second, Want: Want{End: Either, Pause: moveLimit}},
	{Name: "postmaster stuck", Do: []Act{{Verb: HaltMasters, Where: Home}}, Hold: 15 * time.Second, Want: Want{End: Either, Pause: downLimit}},
	{Name: "slow archive_command", Do: []Act{{Verb: SlowArchive, Where: Home}}, Hold: 10 * time.Second, Early: true, Want: stays},
	{Name: "frozen WAL receiver", Do: []Act{{Verb: HaltWAL, Where: Away}}, Hold: 8 * time.Second, Early: true, Want: stays},
	{Name: "leader paused", Do: []Act{{Verb: Pause, Where: Leader, What: stage.Controller}}, Hold: 5 * time.Second, Want: stays, Terms: 1},
	{Name: "disk full: home", Do: []Act{{Verb: FillDisks, Where: Home}}, Hold: 15 * time.Second, Need: Need{Disks: true}, Want: Want{End: Stayed, Heard: "no space left"}, Short: true},
	{Name: "disk full: away", Do: []Act{{Verb: FillDisks, Where: Away}}, Hold: 10 * time.Second, Need: Need{Disks: true}, Want: Want{End: Stayed, Pause: hiccup, Heard: "no space left"}},
}

// partitions cut every pair of regions, both ways and each way alone, and every region off from everybody.
func partitions() (all []Fault) {
	for i, a := range Places {
		f := Fault{Name: "isolated: " + label(a), Do: []Act{{Verb: Isolate, Where: a}}, Hold: 6 * time.Second, Want: stays}
		if a == Home {
			f.Hold, f.Want, f.Short = 0, moves, true
		}
		all = append(all, f)
		for _, b := range Places[i+1:] {
			there, back := Act{Verb: Cut, Where: a, To: b}, Act{Verb: Cut, Where: b, To: a}
			all = append(all,
				Fault{Name: fmt.Sprintf("cut: %s = %s", label(a), label(b)), Do: []Act{there, back}, Hold: 8 * time.Second, Want: stays},
				Fault{Name: fmt.Sprintf("cut: %s > %s", label(a), label(b)), Do: []Act{there}, Hold: 8 * time.Second, Want: stays},
				Fault{Name: fmt.Sprintf("cut: %s < %s", label(a), label(b)), Do: []Act{back}, Hold: 8 * time.Second, Want: stays})
		}
	}
	return all
}

// halts stop what lives on a database host, each alone and all at once, for each length.
func halts() (all []Fault) {
	servers, agent, guard := Act{Verb: HaltServers, Where: Home}, Act{Verb: Pause, Where: Home, What: stage.Agent}, Act{Verb: Pause, Where: Home, What: stage.Guard}
	for _, d := range pauses {
		long := d > downLimit-time.Second // long enough to be found out and moved
		for _, x := range []struct {
			name   string
			do     []Act
			want   Want
			paused bool
		}{
			{"agent", []Act{agent}, Want{End: Either, Pause: moveLimit}, false},
			{"guard", []Act{guard}, Want{End: Stayed, Pause: thawLimit}, false}, // its agent kills a silent guard, and has another one started
			{"postgres", []Act{servers}, Want{End: Either, Pause: downLimit}, false},
			{"agent, guard and postgres", []Act{servers, guard, agent}, Want{End: Either, Pause: moveLimit}, true},
			{"whole host", []Act{{Verb: HaltHost, Where: Home}}, Want{End: Either, Pause: moveLimit}, true},
			{"agent away", []Act{{Verb: Pause, Where: Away, What: stage.Agent}}, stays, false},
			{"postgres away", []Act{{Verb: HaltServers, Where: Away}}, stays, false},
		} {
			f := Fault{Name: fmt.Sprintf("paused %v: %s", d, x.name), Do: x.do, Hold: d, Want: x.want, Paused: x.paused}
			if long && (x.name == "agent" || x.paused) {
				f.Want.End = Moved
			}
			f.Short = x.name == "whole host" && !long
			all = append(all, f)
		}
	}
	return all
}

// hubs take the bus away, in part and whole.
func hubs() (all []Fault) {
	for _, r := range Places {
		all = append(all, Fault{Name: "hub server lost: " + label(r), Do: []Act{{Verb: Kill, Where: r, What: stage.Hub}}, Hold: 6 * time.Second, Want: stays})
	}
	return append(all,
		Fault{Name: "whole bus lost", Do: []Act{{Verb: StopBus}}, Hold: 8 * time.Second, Want: stays, Short: true},
		Fault{Name: "hub rolling restart", Do: []Act{{Verb: RollBus}}, Hold: time.Second, Want: stays})
}

// steps kill the leading controller, stop it for a while, or have a person abort, at every step of every move.
func steps() (all []Fault) {
	for i := range Moves {
		m := &Moves[i]
		for _, at := range m.Steps {
			want := Want{End: Either, Pause: planLimit, Hold: m.Hold}
			where := fmt.Sprintf(" at %s: %s", m.Name, at.Row)
			kill := Fault{Name: "leader killed" + where, Move: m, At: at, Do: []Act{{Verb: Kill, Where: Leader, What: stage.Controller}}, Want: want}
			if len(m.Cause) > 0 || at.Late {
				kill.Want.End = Moved
			}
			kill.Short = m.Verb == "" && at.Row == "proof.lease" || m.Name == "switchover" && at.Row == "proof.ack"
			all = append(all, kill)
			if at.Verb != "" || at.Late {
				halt := kill
				halt.Name, halt.Hold, halt.Short = "leader paused"+where, 5*time.Second, false
				halt.Do = []Act{{Verb: Pause, Where: Leader, What: stage.Controller}}
				all = append(all, halt)
			}
			if m.Verb != "" {
				all = append(all, Fault{Name: "aborted" + where, Move: m, At: at, Do: []Act{{Verb: AskAbort}}, Want: want})
			}
		}
	}
	return all
}

// Two are the pairs of faults that strike at once, by name.
var Two = []struct {
	First, Second string
	Hold          time.Duration // 0 = until what is expected has happened
	Want          Want
}{
	{"isolated: home", "hub server lost: witness", 8 * time.Second, Want{End: Either, Pause: planLimit}}, // no two hub servers see each other: nothing can be recorded
	{"region killed: home", "leader paused", 0, Want{End: Moved, Pause: planLimit}},                      // nobody looks from where it is paused: the region is out once it goes on
	{"isolated: home", "guard killed", 0, Want{End: Moved, Pause: moveLimit}},
	{"isolated: home", "agent killed", 0, Want{End: Moved, Pause: moveLimit}},
	{"whole bus lost", "cut: home = away", 8 * time.Second, thaws},
	{"cut: home = away", "cut: home = witness", 8 * time.Second, Want{End: Either, Pause: moveLimit}},
	{"hub server lost: home", "hub server lost: witness", 8 * time.Second, thaws},
	{"region killed: away", "region killed: witness", 8 * time.Second, thaws},
	{"agent killed", "guard killed", time.Second, Want{End: Either, Pause: moveLimit}},
	{"frozen WAL receiver", "hub server lost: home", 8 * time.Second, stays},
}

// pairs make one fault of two.
func pairs() (all []Fault) {
	for _, p := range Two {
		a, b := named(p.First), named(p.Second)
		all = append(all, Fault{
			Name: p.First + " + " + p.Second, Do: slices.Concat(a.Do, briefly(b, p.Hold)), Hold: p.Hold, Need: Need{Disks: a.Need.Disks || b.Need.Disks}, Want: p.Want,
			Paused: a.Paused || b.Paused,
		})
	}
	return all
}

// briefly are the acts of a fault; a leader that is paused goes on after the fault's own time where the pair has none: two regions must look for a lost one, and
// nobody looks where it stands still.
func briefly(f Fault, hold time.Duration) []Act {
	do := slices.Clone(f.Do)
	for i := range do {
		if hold == 0 && do[i].Verb == Pause && do[i].Where == Leader {
			do[i].For = f.Hold
		}
	}
	return do
}

// named finds one of the faults that are no pair; a pair that names no fault is a mistake in the list.
func named(name string) Fault {
	for _, f := range slices.Concat(single, partitions(), halts(), hubs()) {
		if f.Name == name {
			return f
		}
	}
	panic("no fault is called " + name)
}

// label is what a region is to the groups.
func label(region string) string {
	switch region {
	case Home:
		return "home"
	case Away:
		return "away"
	}
	return "witness"
}
