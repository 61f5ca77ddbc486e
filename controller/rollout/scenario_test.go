package rollout

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/switchback-dr/switchback/events"
)

// fake is a fleet of groups, each from a@home to b@away on one host a region, in which operations end when a test says so.
type fake struct {
	groups map[string]*fakeGroup
	s      *State
	stored struct {
		head  events.Rollout
		parts map[int][]events.Move
	}
	now      events.Instant
	blind    bool
	incident string
	dies     bool           // the leader does, once its moves have begun and before that is stored
	begun    map[string]int // by ask id
}

type fakeGroup struct {
	Candidate
	active  events.Ref
	op      *events.Operation
	restore *events.Operation
	failed  bool // its target is
	silent  string
	unwell  string
	refuses string
	busy    string
	stalls  string
	gone    bool
}

func newFake() *fake {
	return &fake{groups: map[string]*fakeGroup{}, now: events.Instant(time.Hour), begun: map[string]int{}}
}

func (w *fake) wall() time.Time { return time.Unix(0, int64(w.now)).UTC() }

func (w *fake) group(name string) *fakeGroup {
	if g := w.groups[name]; g != nil {
		return g
	}
	g := &fakeGroup{Candidate: Candidate{
		Node: Node{Name: name, Priority: 100}, From: events.Ref{Region: "away", Cluster: name + "-b"}, To: events.Ref{Region: "home", Cluster: name + "-a"}, Epoch: 2,
	}}
	g.active = g.From
	w.groups[name] = g
	return g
}

func (w *fake) plan(r Request) *State {
	var cs []Candidate
	for _, name := range slices.Sorted(maps.Keys(w.groups)) {
		g := w.groups[name]
		c := g.Candidate
		c.Restore = g.failed
		cs = append(cs, c)
	}
	r.Made = w.wall()
	return Make(r, cs, Estimates{Failover: 5 * time.Second, Swap: 2 * time.Second, Restore: 30 * time.Second})
}

func (w *fake) facts() *Facts {
	return &Facts{Now: w.now, Wall: w.wall(), Blind: w.blind, Incident: w.incident, Patience: 5 * time.Minute, Limit: limit, Look: w.look}
}

func limit(verb string) time.Duration {
	if verb == events.AskRestore {
		return 0
	}
	return 40 * time.Second
}

func (w *fake) look(i int, m *events.Move) Fact {
	g := w.groups[m.Group]
	f := Fact{Known: !g.gone, Active: g.active, Silent: g.silent, Unwell: g.unwell, Busy: g.busy, Stalls: g.stalls, Hosts: []events.AgentRef{{Region: m.From.Region, Agent: "h"}, {Region: m.To.Region, Agent: "h"}}}
	op := g.op
	f.There = g.active == m.To && (g.op == nil || g.op.Ended != "")
	if m.Verb == events.AskRestore {
		op, f.There = g.restore, !g.failed
	}
	if op != nil && op.Ask == m.AskID(w.s.Head.ID, i) {
		f.Op, f.Early = op, op.EndRule != ""
	}
	return f
}

// store keeps what must be stored, as the journal would.
func (w *fake) store() {
	parts, head := w.s.Save()
	if head == nil {
		return
	}
	w.stored.head = *head
	for _, p := range parts {
		w.stored.parts[p.No] = slices.Clone(p.Moves)
	}
}

// leader loses the leader: the next one starts from what is stored.
func (w *fake) leader() {
	var moves []events.Move
	for _, p := range slices.Sorted(maps.Keys(w.stored.parts)) {
		moves = append(moves, w.stored.parts[p]...)
	}
	w.s = New(w.stored.head, moves)
}

// step looks at the rollout until nothing more begins, and says what began and what was told.
func (w *fake) step() string {
	var b strings.Builder
	for range 1000 {
		out := Step(w.s, w.facts())
		var began []string
		for _, i := range out.Begin {
			m := w.s.Move(i)
			g, id := w.groups[m.Group], m.AskID(w.s.Head.ID, i)
			ans := events.AnswerItem{Group: m.Group, Accepted: true, Operation: fmt.Sprintf("%s-%s-%d", m.Group, m.Verb, m.Try), Rule: "swap.asked"}
			if g.refuses != "" {
				ans = events.AnswerItem{Group: m.Group, Rule: "refuse.swap", Why: g.refuses}
			} else {
				w.begun[id]++
				op := &events.Operation{ID: ans.Operation, Ask: id, Verb: m.Verb, From: m.From, To: m.To}
				if m.Verb == events.AskRestore {
					g.restore = op
				} else {
					g.op = op
				}
				began = append(began, m.Verb+" "+m.Group)
			}
			if !w.dies {
				out.Tell = append(out.Tell, w.s.Answered(i, ans, w.facts())...)
			}
		}
		if w.dies && len(began) > 0 {
			w.dies = false
			w.leader()
			return fmt.Sprintf("begins %s, and dies\n", strings.Join(began, ", "))
		}
		w.store()
		for _, n := range out.Tell {
			fmt.Fprintf(&b, "tells %s: %s\n", n.Rule, strings.ReplaceAll(n.Why, w.s.Head.ID, "ID"))
		}
		if len(began) > 0 {
			fmt.Fprintf(&b, "begins %s\n", strings.Join(began, ", "))
		}
		if len(began) == 0 && len(out.Tell) == 0 && out.Wake > w.now {
			break
		}
	}
	return b.String()
}

func (w *fake) end(g *fakeGroup, ended, why string) string {
	op := g.op
	if g.restore != nil && g.restore.Ended == "" {
		op = g.restore
	}
	if op == nil || op.Ended != "" {
		return "nothing of it is under way\n"
	}
	op.Ended, op.EndWhy = ended, why
	switch {
	case op == g.restore:
		g.failed = ended != "done"
	case ended == "done":
		g.active = op.To
	}
	return ""
}

func (w *fake) show(all bool) string {
	h := &w.s.Head
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, wave %d of %d, pace %d: %s\n", h.Verb, h.State, h.Wave+1, len(h.Waves), h.Pace, h.Tally)
	for i := 0; all && i < w.s.Len(); i++ {
		if m := w.s.Move(i); m.State == events.MoveWaits {
			s := w.s.Waits(i)
			fmt.Fprintf(&b, "  %s %s waits (%s): %s\n", m.Verb, m.Group, s.Rule, strings.ReplaceAll(s.Why, h.ID, "ID"))
		} else {
			fmt.Fprintf(&b, "  %s %s %s %s\n", m.Verb, m.Group, m.State, strings.ReplaceAll(m.Why, h.ID, "ID"))
		}
	}
	return b.String()
}

func (w *fake) showPlan() string {
	h := &w.s.Head
	var b strings.Builder
	if h.Defunct != "" {
		return "can't be run: " + h.Defunct + "\n"
	}
	fmt.Fprintf(&b, "%s, %s, takes %s, loses %d B at most %s behind, %d unknown, %d bare\n", h.Verb, h.Tally, h.Takes, h.Loss.Bytes, h.Loss.Most, h.Loss.Unknown, h.Bare)
	for n, wave := range h.Waves {
		var gs []string
		for i := range w.s.Len() {
			if m := w.s.Move(i); m.Wave == n {
				g := m.Group
				if len(m.After) > 0 {
					g += " (after " + strings.Join(m.After, ", ") + ")"
				}
				gs = append(gs, g)
			}
		}
		fmt.Fprintf(&b, "%s: %s, %s, soak %s: %s\n", wave.Name, wave.Verb, wave.Takes, wave.Soak, strings.Join(gs, ", "))
	}
	for i := range w.s.Len() {
		if m := w.s.Move(i); m.State == events.MoveLeft {
			fmt.Fprintf(&b, "left out: %s: %s\n", m.Group, m.Why)
		}
	}
	return b.String()
}

func has(d *datadriven.TestData, key string) (string, bool) {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return strings.Join(a.Vals, ","), true
		}
	}
	return "", false
}

func number(d *datadriven.TestData, key string) int {
	v, ok := has(d, key)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		d.Fatalf(nil, "%s: %v", key, err)
	}
	return n
}

// do is the language of the scenarios.
func (w *fake) do(t *testing.T, d *datadriven.TestData) string {
	names := func() (gs []*fakeGroup) {
		for _, a := range d.CmdArgs {
			if len(a.Vals) == 0 {
				gs = append(gs, w.group(a.Key))
			}
		}
		return gs
	}
	each := func(f func(*fakeGroup)) string {
		for _, g := range names() {
			f(g)
		}
		return w.step()
	}
	text := strings.TrimSpace(d.Input)
	switch d.Cmd {
	case "groups": // groups a b c [after=x] [priority=n] [loss=n] : text is what blocks them
		for _, g := range names() {
			if p := number(d, "priority"); p > 0 {
				g.Priority = p
			}
			if v, ok := has(d, "after"); ok {
				g.After = strings.Split(v, ",")
			}
			g.Bytes, g.Blocks = int64(number(d, "loss")), text
		}
		return ""
	case "failed":
		return each(func(g *fakeGroup) { g.failed = true; w.unplanned() })
	case "plan":
		r := Request{Verb: d.CmdArgs[0].Key, By: "ann", Limits: &events.Limits{Canary: number(d, "canary"), AtOnce: number(d, "at-once"), PerAgent: number(d, "per-agent"), PerRegion: number(d, "per-region"), Restores: number(d, "restores"), Restoring: number(d, "restoring"), Budget: float64(number(d, "budget"))}}
		if v, ok := has(d, "outage"); ok {
			r.Auto, r.Region = true, v
		}
		if v, ok := has(d, "soak"); ok {
			soak, err := time.ParseDuration(v)
			if err != nil {
				t.Fatal(err)
			}
			r.Limits.Soak = events.Duration(soak)
		}
		w.s = w.plan(r)
		w.stored.parts = map[int][]events.Move{}
		w.store()
		return w.showPlan()
	case "drift":
		return strings.Join(Drift(w.s, w.plan(Request{Verb: w.s.Head.Verb, By: "ann"})), "\n") + "\n"
	case "run":
		if why := Stale(&w.s.Head, w.wall()); why != "" {
			return strings.ReplaceAll(why, w.s.Head.ID, "ID") + "\n"
		}
		until := time.Time{}
		if n := number(d, "minutes"); n > 0 {
			until = w.wall().Add(time.Duration(n) * time.Minute)
		}
		Run(w.s, "ann", "ask-1", text, until, w.wall())
		return w.step()
	case "wait":
		for _, a := range d.CmdArgs {
			dur, err := time.ParseDuration(a.Key)
			if err != nil {
				t.Fatal(err)
			}
			for end := w.now.Add(dur); w.now < end; {
				w.now = min(end, w.now.Add(500*time.Millisecond))
				if out := w.step(); out != "" {
					return fmt.Sprintf("after %s\n%s", dur-end.Sub(w.now), out)
				}
			}
		}
		return ""
	case "done":
		return each(func(g *fakeGroup) { w.end(g, "done", "") })
	case "fail":
		return each(func(g *fakeGroup) { w.end(g, "aborted", text) })
	case "closes": // given up before anything was stopped
		return each(func(g *fakeGroup) {
			if w.end(g, "aborted", text) == "" {
				g.op.EndRule = "swap.not-ready"
			}
		})
	case "silent":
		return each(func(g *fakeGroup) { g.silent = text })
	case "unwell":
		return each(func(g *fakeGroup) { g.unwell = text })
	case "refuse":
		return each(func(g *fakeGroup) { g.refuses = text })
	case "busy":
		return each(func(g *fakeGroup) { g.busy = text })
	case "stalls":
		return each(func(g *fakeGroup) { g.stalls = text })
	case "gone":
		return each(func(g *fakeGroup) { g.gone = true })
	case "there": // a person moved it to where it was to go
		return each(func(g *fakeGroup) { g.active = g.To })
	case "forget": // its record knows its operation no more
		return each(func(g *fakeGroup) { g.op = nil })
	case "dies":
		w.dies = true
		return ""
	case "by-automation": // an outage's group moves by its own rows: its operation bears the id of the outage's move
		return each(func(g *fakeGroup) {
			for _, i := range w.s.Of(g.Name) {
				m := w.s.Move(i)
				g.op = &events.Operation{ID: fmt.Sprintf("%s-%d", g.Name, m.Try), Ask: m.AskID(w.s.Head.ID, i), Verb: m.Verb, From: m.From, To: m.To}
			}
		})
	case "heals":
		Heal(w.s, w.wall())
		return w.step()
	case "moved":
		return each(func(g *fakeGroup) { g.active = events.Ref{Region: "other", Cluster: g.Name + "-c"}; g.Epoch++ })
	case "incident":
		w.incident = text
		return w.step()
	case "blind":
		w.blind = !w.blind
		return w.step()
	case "leader":
		w.leader()
		return w.step()
	case "steer": // steer verb [group]
		group := ""
		if len(d.CmdArgs) > 1 {
			group = d.CmdArgs[1].Key
		}
		_, why, _ := Steer(w.s, d.CmdArgs[0].Key, group, "ann", "", w.wall())
		w.store()
		return strings.ReplaceAll(why, w.s.Head.ID, "ID") + "\n" + w.step()
	case "show":
		return w.show(true)
	}
	t.Fatalf("%s: unknown verb %q", d.Pos, d.Cmd)
	return ""
}

func (w *fake) unplanned() {
	if w.s == nil {
		w.s = New(events.Rollout{State: events.RolloutAborted}, nil)
	}
}

// TestScenarios plays testdata, and checks that it reaches every row of every table.
func TestScenarios(t *testing.T) {
	reached := map[string]int{}
	for _, back := range []func(){
		counting("rollout", rollouts, reached), counting("outage", outages, reached), counting("running", running, reached), counting("waiting", waiting, reached), counting("dark", dark, reached),
	} {
		defer back()
	}
	played := 0
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newFake()
		played++
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return w.do(t, d) })
		for id, n := range w.begun {
			if n != 1 {
				t.Errorf("%s was begun %d times", id, n)
			}
		}
	})
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if played < len(files) {
		t.Logf("rows are not checked: -run chose %d of %d scenarios", played, len(files))
		return
	}
	for _, r := range Rows() {
		if reached[r.Table+" "+r.ID] == 0 {
			t.Errorf("no scenario reaches row %s of table %s: write one that does, or remove the row if nothing can reach it", r.ID, r.Table)
		}
	}
}

// counting counts how often each row of a table is the first that holds, until back is called.
func counting[T any](table string, rows []row[T], reached map[string]int) (back func()) {
	was := slices.Clone(rows)
	for i := range rows {
		rows[i].is = func(at T) bool {
			holds := was[i].is(at)
			if holds {
				reached[table+" "+was[i].id]++
			}
			return holds
		}
	}
	return func() { copy(rows, was) }
}

var update = flag.Bool("update", false, "write TABLE.md anew")

func table() string {
	var b strings.Builder
	b.WriteString("# Rollouts\n\nGenerated from the tables in the code (`go test ./controller/rollout -update`). First match wins.\n")
	titles := map[string]string{
		"rollout": "A rollout as a whole", "outage": "An outage as a whole: the rollout that the verdict on a region begins", "running": "A move that was begun", "waiting": "A move that has not begun",
		"dark": "A group of an outage that has not moved: its own rows decide when it does",
	}
	for _, name := range []string{"rollout", "outage", "running", "waiting", "dark"} {
		fmt.Fprintf(&b, "\n## %s\n\n| # | row | when | sentence |\n|---|---|---|---|\n", titles[name])
		n := 0
		for _, r := range Rows() {
			if r.Table == name {
				n++
				fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", n, r.ID, r.When, r.Why)
			}
		}
	}
	return b.String()
}

func TestTableIsUpToDate(t *testing.T) {
	t.Parallel()
	want := table()
	if *update {
		if err := os.WriteFile("TABLE.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("TABLE.md")
	if err != nil || string(got) != want {
		t.Fatalf("TABLE.md is not what the tables say: go test ./controller/rollout -update (%v)", err)
	}
}
