package rollout

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// rollouts is the table of a rollout as a whole. What came of its moves under way is always looked at first.
var rollouts = []row[*look]{
	{"rollout.over", "it is done or aborted", func(l *look) bool { return l.s.Head.State.Over() }, nil, "{state}"},
	{ruleWindow, "the end of its window is over", func(l *look) bool {
		return !l.s.Head.Until.IsZero() && l.f.Wall.After(l.s.Head.Until) && l.s.Head.State != events.RolloutPaused
	}, func(l *look) { l.stop(events.RolloutPaused) }, "its window is over: nothing begins until `switchback rollout resume {id}`"},
	{rulePaused, "a person paused it, or its window is over", func(l *look) bool { return l.s.Head.State == events.RolloutPaused }, nil,
		"paused: nothing begins until `switchback rollout resume {id}`; {runs} under way end by themselves"},
	{"rollout.budget", "more moves failed, or are unknown, than its budget allows", func(l *look) bool {
		return l.errors-l.s.Head.Spared > allowed(l.s.Head.Limits, l.s.Head.Moves)
	}, func(l *look) {
		l.stop(events.RolloutHalted)
	}, "halted: {errors} of {moves} failed or are unknown, its budget allows {allowed}: look at them, then `switchback rollout retry {id}` (or resume, or abort)"},
	{ruleHalted, "it was halted", func(l *look) bool { return l.s.Head.State == events.RolloutHalted }, nil, "halted: nothing begins until `switchback rollout retry {id}` (or resume, or abort)"},
	{"rollout.incident", "a region is out or in doubt, and it is no failover", func(l *look) bool {
		return l.f.Incident != "" && l.s.Head.Verb != events.AskFailover
	}, func(l *look) { l.s.mem.well = 0 }, "{incident}: nothing of a planned move begins meanwhile"},
	{"rollout.blind", "the controller is blind", func(l *look) bool { return l.f.Blind && !l.s.Head.Blind }, nil,
		"the controller reaches fewer than half of the regions: nothing begins until it does"},
	{"rollout.moves", "moves of the open waves are under way or have not begun", func(l *look) bool { return l.runs+l.waits > 0 },
		func(l *look) { l.s.mem.well = 0; l.begin() }, "{wave}: {left} to go, at most {pace} at once"},
	{"gate.unwell", "the open waves are over, and a moved group is not well", func(l *look) bool { return l.unwell() != "" },
		func(l *look) { l.s.mem.well = 0; l.why = l.unwell(); l.soon() }, ""},
	{"gate.soak", "all moved groups are well, not long enough", func(l *look) bool { return l.soaks() }, (*look).soon,
		"{wave} is over and well: it soaks for {soak}"},
	{"rollout.wave", "the wave was well for long enough, and another one waits", func(l *look) bool { return l.s.Head.Wave+1 < len(l.s.Head.Waves) },
		func(l *look) {
			l.s.Head.Wave++
			l.s.mem.well, l.s.dirty = 0, true
			l.out.Wake = l.f.Now
		}, "{wave} opens"},
	{"rollout.done", "nothing is left", func(*look) bool { return true }, func(l *look) {
		l.stop(events.RolloutDone)
		l.s.Head.Ended = l.f.Wall
		l.s.count()
	}, "done: {tally}"},
}

// ruleHalted only keeps what another row stopped, and so does rulePaused what ruleWindow did.
const (
	ruleHalted = "rollout.halted"
	rulePaused = "rollout.paused"
	ruleWindow = "rollout.window"
)

// stop changes the state of a rollout.
func (l *look) stop(s events.RolloutState) {
	if l.s.Head.State != s {
		l.s.Head.State, l.s.dirty = s, true
	}
}

// unwell says which moved group of the open waves is not well; "" if all are, or the answer is known already.
func (l *look) unwell() string {
	if l.s.mem.well != 0 && l.s.mem.checked == l.f.Now {
		return ""
	}
	for _, p := range l.s.Parts {
		for i := range p {
			m := &p[i]
			if m.State != events.MoveDone || m.Wave > l.s.Head.Wave || m.Wave < l.s.Head.Wave-1 {
				continue
			}
			if f := l.f.Look(l.index(m), m); f.Unwell != "" {
				return fmt.Sprintf("%s is over, but %s is not well: %s", l.s.Head.Waves[m.Wave].Name, m.Group, f.Unwell)
			}
		}
	}
	if l.s.mem.well == 0 {
		l.s.mem.well = l.f.Now
	}
	l.s.mem.checked = l.f.Now
	return ""
}

func (l *look) index(m *events.Move) int {
	for _, i := range l.s.of[m.Group] {
		if l.s.Move(i) == m {
			return i
		}
	}
	return 0
}

func (l *look) soaks() bool { return l.f.Now.Sub(l.s.mem.well) < l.soak() }

// soak is how long the newest open wave has to be well.
func (l *look) soak() time.Duration {
	if w := l.s.Head.Wave; w < len(l.s.Head.Waves) {
		return l.s.Head.Waves[w].Soak.D()
	}
	return 0
}

func (l *look) soon() { l.out.Wake = min(l.out.Wake, l.f.Now.Add(again/2)) }

func (l *look) say(s string) string {
	h := &l.s.Head
	wave := ""
	if h.Wave < len(h.Waves) {
		wave = h.Waves[h.Wave].Name
	}
	return strings.NewReplacer("{state}", string(h.State), "{id}", h.ID, "{runs}", fmt.Sprint(l.runs), "{errors}", fmt.Sprint(l.errors), "{moves}", fmt.Sprint(h.Moves),
		"{allowed}", fmt.Sprint(allowed(h.Limits, h.Moves)+h.Spared), "{incident}", l.f.Incident, "{wave}", wave, "{left}", fmt.Sprint(l.left), "{pace}", fmt.Sprint(h.Pace), "{soak}", l.soak().String(),
		"{tally}", h.Tally.String(), "{region}", h.Region).Replace(s)
}
