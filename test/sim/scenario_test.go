package sim

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/switchback-dr/switchback/events"
)

// Scenarios are files of testdata, one per behaviour and one per bug ever found. Their verbs:
//
//	world [groups=N] [mode=auto|manual|observe]   a quiet world of three regions, born; first line of a file
//	world seed=N groups=N agents=N noise=… last=… the world of a schedule: what its setting prints
//	schedule until=44s                            does every line of its input at its time, ends all of it, and waits until everything is well
//	KIND [for=5s] …                               does one entry now, any of kinds: region-isolated region=r1
//	end KIND …                                    ends what was done in these words without a `for`
//	advance d=5s                                  time passes
//	kill|back|isolate|heal region=r1              a region dies, comes back; is cut off from everybody, is not any more
//	bus down|up                                   every hub server at once
//	agent kill|start region=r1                    its process alone
//	guard kill|start region=r1
//	server crash|hang|wake|unit cluster=r1/g1-a   what happens to one server; unit: its unit starts it, past the gate
//	controller kill|start name=c1
//	ask verb=failover group=g1|cluster=… [to=…] [for=30m] [actor=…] [unfenced] [copy]  what an operator asks; prints the answer
//	configure group=g1 [drop=r3/g1-c] [restore=manual] [mode=auto] [removed]             a new configuration is applied
//	expect active|epoch|phase group=g1 is=…       of the record
//	expect writable|stopped|frozen|follows cluster=r1/g1-a [not]              follows: streams from the group's active
//	expect role|hold cluster=r1/g1-a is=passive                               of the record; hold: a failed cluster waits for a person
//	expect told rule=… [not]                      a notice with that rule was told since the last expect told
//	expect reached row=…                          a row of any table was, since the world began: for rows that nobody is told of
//
// An invariant that breaks fails the scenario at once. Arguments a verb does not know fail it too.
func TestScenarios(t *testing.T) {
	t.Parallel()
	reached, played := map[string]int{}, 0
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &scene{}
		played++
		defer func() {
			for id, n := range s.w.reached() {
				reached[id] += n
			}
		}()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out, err := s.do(d)
			if err != nil {
				d.Fatalf(t, "%s: %v", d.Cmd, err)
			}
			return out
		})
	})
	files, err := os.ReadDir("testdata")
	switch {
	case err != nil:
		t.Fatal(err)
	case played < len(files):
		t.Logf("rows are not checked: -run chose %d of %d scenarios", played, len(files))
	case !t.Failed():
		checkScenarioRows(t, reached)
	}
}

type scene struct {
	w    *World
	told int
	ends map[string]func() // of the regions a scene keeps away, by name
}

func (s *scene) do(d *datadriven.TestData) (string, error) {
	arg := map[string]string{}
	var words []string
	for _, a := range d.CmdArgs {
		switch len(a.Vals) {
		case 0:
			words = append(words, a.Key)
		case 1:
			arg[a.Key] = a.Vals[0]
		default:
			return "", fmt.Errorf("argument %s has %d values", a.Key, len(a.Vals))
		}
	}
	if d.Cmd != "world" && s.w == nil {
		return "", fmt.Errorf("no world yet: want `world` first")
	}
	verbs := map[string]func([]string, map[string]string) (string, error){
		"world": s.world, "advance": s.advance, "kill": s.region("kill"), "back": s.region("back"), "isolate": s.region("isolate"), "heal": s.region("heal"),
		"bus": s.bus, "agent": s.process, "guard": s.process, "server": s.server, "controller": s.controller, "ask": s.ask, "configure": s.configure, "expect": s.expect,
		"schedule": s.schedule,
	}
	f, ok := verbs[d.Cmd]
	if !ok {
		return s.entry(d)
	}
	if d.Cmd == "schedule" {
		words = strings.Split(d.Input, "\n")
	}
	if d.Cmd == "agent" || d.Cmd == "guard" {
		words = append(words, d.Cmd)
	}
	out, err := f(words, arg)
	if err == nil && s.w.bad != nil {
		err = s.w.bad
	}
	return out, err
}

func take(arg map[string]string, key string) string {
	v := arg[key]
	delete(arg, key)
	return v
}

func left(arg map[string]string) error {
	for k, v := range arg {
		return fmt.Errorf("argument %s=%s is not of this verb", k, v)
	}
	return nil
}

func (s *scene) world(_ []string, arg map[string]string) (string, error) {
	drawn := arg["seed"] != ""
	set, err := ParseSetting(arg)
	if err != nil {
		return "", err
	}
	shape := set.Shape()
	if m := take(arg, "mode"); m != "" {
		for i := range shape.Groups {
			shape.Groups[i].Mode = events.Mode(m)
		}
	}
	w, err := New(shape, set.Seed, nil)
	if err != nil {
		return "", err
	}
	s.w, s.ends = w, map[string]func(){}
	if !drawn {
		w.Run(6 * time.Second)
	}
	return "", left(arg)
}

func (s *scene) advance(_ []string, arg map[string]string) (string, error) {
	d, err := time.ParseDuration(take(arg, "d"))
	if err != nil {
		return "", err
	}
	s.w.Run(s.w.now + d)
	return "", left(arg)
}

func (s *scene) region(what string) func([]string, map[string]string) (string, error) {
	return func(_ []string, arg map[string]string) (string, error) {
		r := take(arg, "region")
		switch what {
		case "kill":
			s.ends["dead "+r] = s.w.regionDies(r)
		case "isolate":
			s.ends["alone "+r] = s.w.isolate(r, planes)
		case "heal":
			s.ends["alone "+r]()
		case "back":
			s.ends["dead "+r]()
		}
		return "", left(arg)
	}
}

func (s *scene) bus(words []string, arg map[string]string) (string, error) {
	for _, r := range s.w.shape.Regions {
		if words[0] == "down" {
			s.ends["bus "+r] = s.w.hubDown(r)
		} else {
			s.ends["bus "+r]()
		}
	}
	return "", left(arg)
}

func (s *scene) process(words []string, arg map[string]string) (string, error) {
	h := s.w.hostIn(take(arg, "region"))
	switch strings.Join(words, " ") {
	case "kill agent":
		h.killAgent()
	case "start agent":
		h.startAgent()
	case "kill guard":
		h.killGuard()
	case "start guard":
		h.startGuard()
	default:
		return "", fmt.Errorf("%v: want kill or start", words)
	}
	return "", left(arg)
}

func (s *scene) clusterArg(arg map[string]string) (*server, error) {
	r, err := events.ParseRef(take(arg, "cluster"))
	if err != nil {
		return nil, err
	}
	v := s.w.server(r)
	if v == nil {
		return nil, fmt.Errorf("no server %s", r)
	}
	return v, left(arg)
}

func (s *scene) server(words []string, arg map[string]string) (string, error) {
	v, err := s.clusterArg(arg)
	if err != nil {
		return "", err
	}
	switch words[0] {
	case "crash":
		v.crash()
	case "hang":
		v.stuck = true
	case "wake":
		v.stuck = false
	case "unit":
		v.start(false)
	default:
		return "", fmt.Errorf("%v: want crash, hang, wake or unit", words)
	}
	return "", nil
}

func (s *scene) controller(words []string, arg map[string]string) (string, error) {
	name := take(arg, "name")
	for _, c := range s.w.ctls {
		if c.name == name {
			if words[0] == "kill" {
				c.kill()
			} else {
				c.start()
			}
		}
	}
	return "", left(arg)
}

func (s *scene) ask(words []string, arg map[string]string) (string, error) {
	a := events.Ask{Verb: take(arg, "verb"), Group: take(arg, "group"), Region: take(arg, "region"), To: take(arg, "to"), ID: take(arg, "id"), Cluster: take(arg, "cluster"), Actor: take(arg, "actor"), Reason: "scenario"}
	if v := take(arg, "for"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			return "", err
		}
		a.For = events.Duration(d)
	}
	for _, w := range words {
		switch w {
		case "unfenced":
			a.Unfenced = true
		case "accept-loss":
			a.AcceptLoss = true
		case "while-blind":
			a.WhileBlind = true
		case "copy":
			a.Copy = true
		case "dry-run":
			a.DryRun = true
		default:
			return "", fmt.Errorf("%q is not of this verb", w)
		}
	}
	n := len(s.w.answers)
	s.w.Ask(a)
	for end := s.w.now + 10*time.Second; len(s.w.answers) == n && s.w.now < end && s.w.bad == nil; {
		s.w.Run(s.w.now + 10*time.Millisecond)
	}
	if len(s.w.answers) == n {
		return "no answer\n", left(arg)
	}
	ans := s.w.answers[n]
	out := fmt.Sprintf("accepted %v: %s\n", ans.Accepted, ans.Why)
	for _, i := range ans.Items {
		out += fmt.Sprintf("%s %s %s\n", i.Group, i.Rule, i.Operation)
	}
	return out, left(arg)
}

func (s *scene) expect(words []string, arg map[string]string) (string, error) {
	not := len(words) > 1 && words[1] == "not"
	switch words[0] {
	case "told":
		rule, seen := take(arg, "rule"), false
		for _, n := range s.w.notices[s.told:] {
			seen = seen || n.Rule == rule
		}
		if seen == not {
			var rules []string
			for _, n := range s.w.notices[s.told:] {
				rules = append(rules, n.Rule)
			}
			return "", fmt.Errorf("rule %s told: %v; told were %v", rule, seen, rules)
		}
		s.told = len(s.w.notices)
		return "", left(arg)
	case "reached":
		if row := take(arg, "row"); s.w.reached()[row] == 0 {
			return "", fmt.Errorf("row %s was not reached", row)
		}
		return "", left(arg)
	case "role", "hold":
		want := take(arg, "is")
		v, err := s.clusterArg(arg)
		if err != nil {
			return "", err
		}
		m := s.w.seen.records[v.cfg.Group].Member(v.ref)
		if m == nil {
			return "", fmt.Errorf("%s is no member", v.ref)
		}
		got := string(m.Role)
		if words[0] == "hold" {
			got = fmt.Sprint(m.Hold != "")
		}
		if got != want {
			return "", fmt.Errorf("%s of %s is %s (hold %q, work %+v): want %s", words[0], v.ref, got, m.Hold, m.Work, want)
		}
		return "", nil
	case "writable", "stopped", "frozen", "follows":
		v, err := s.clusterArg(arg)
		if err != nil {
			return "", err
		}
		var act *server
		if r := s.w.seen.records[v.cfg.Group]; r != nil {
			act = s.w.server(r.Active)
		}
		is := map[string]bool{"writable": v.writable(), "stopped": v.state.Stopped(), "frozen": v.frozen, "follows": act != nil && v.source() == act}[words[0]]
		if is == not {
			return "", fmt.Errorf("%s is %s, frozen %v, writable %v", v.ref, v.state, v.frozen, v.writable())
		}
		return "", nil
	}
	r := s.w.seen.records[take(arg, "group")]
	if r == nil {
		return "", fmt.Errorf("no record")
	}
	got := map[string]string{"active": r.Active.String(), "epoch": fmt.Sprint(r.Epoch), "phase": string(r.Phase)}[words[0]]
	if want := take(arg, "is"); got != want {
		return "", fmt.Errorf("%s is %s: want %s (%+v)", words[0], got, want, r.Op)
	}
	return "", left(arg)
}

func (s *scene) configure(words []string, arg map[string]string) (string, error) {
	name, drop, restore, mode := take(arg, "group"), take(arg, "drop"), take(arg, "restore"), take(arg, "mode")
	for i := range s.w.shape.Groups {
		g := s.w.shape.Groups[i]
		if g.Group != name {
			continue
		}
		g.Removed = len(words) > 0 && words[0] == "removed"
		g.Restore = events.Restore(restore)
		if mode != "" {
			g.Mode = events.Mode(mode)
		}
		g.Recovery = nil
		for _, r := range s.w.shape.Groups[i].Recovery {
			if r.String() != drop {
				g.Recovery = append(g.Recovery, r)
			}
		}
		s.w.storeConfig(g)
	}
	return "", left(arg)
}
