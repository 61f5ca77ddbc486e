package matrix

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"strconv"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestEveryRowIsAStepOrLeftOut: a new row of the tables has to be struck at, or somebody says why not.
func TestEveryRowIsAStepOrLeftOut(t *testing.T) {
	steps := map[string]bool{}
	for _, m := range Moves {
		for _, s := range m.Steps {
			steps[s.Row] = true
		}
	}
	rows := map[string]bool{}
	for _, r := range decide.Rows() {
		rows[r.ID] = true
		why := reason(Unstruck, r.ID)
		if !steps[r.ID] && why == "" {
			t.Errorf("row %s of %s is no step that anything is struck at, and Unstruck has no reason", r.ID, r.Table)
		}
	}
	for id := range steps {
		if !rows[id] {
			t.Errorf("step %s is no row of any table", id)
		}
	}
	for _, l := range Unstruck {
		used := false
		for id := range rows {
			ok, err := path.Match(l.Pattern, id)
			used = used || ok && err == nil
		}
		if !used {
			t.Errorf("Unstruck %q matches no row", l.Pattern)
		}
	}
}

// constants are the values of a type's string constants in a package's file.
func constants(t *testing.T, file, kind string) (all []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := v.Type.(*ast.Ident); ok && id.Name == kind {
			for _, x := range v.Values {
				if l, ok := x.(*ast.BasicLit); ok {
					s, _ := strconv.Unquote(l.Value) // the parser took it
					all = append(all, s)
				}
			}
		}
		return true
	})
	if len(all) == 0 {
		t.Fatalf("%s has no constants of type %s", file, kind)
	}
	return all
}

// TestEveryStepVerbIsInHand: every verb an agent can be told is in hand at some step, or somebody says why not.
func TestEveryStepVerbIsInHand(t *testing.T) {
	at := map[string]bool{}
	for _, m := range Moves {
		for _, s := range m.Steps {
			at[string(s.Verb)] = true
		}
	}
	for _, v := range constants(t, "../../events/command.go", "Verb") {
		if at[v] == (reason(NoWork, v) != "") {
			t.Errorf("verb %s: in hand at a step %v, left out %v; want one of them", v, at[v], !at[v])
		}
	}
}

// TestEveryStepIsStruck: the leader dies at every step of every move, and every step of what was asked for is aborted.
func TestEveryStepIsStruck(t *testing.T) {
	names := map[string]bool{}
	for _, f := range Faults() {
		names[f.Name] = true
	}
	for _, m := range Moves {
		for _, s := range m.Steps {
			want := []string{"leader killed"}
			if m.Verb != "" {
				want = append(want, "aborted")
			}
			for _, w := range want {
				if n := w + " at " + m.Name + ": " + s.Row; !names[n] {
					t.Errorf("no fault is called %q", n)
				}
			}
		}
	}
}

// TestEveryCellIsPlayedOrLeftOut: the plan is the product of the lists.
func TestEveryCellIsPlayedOrLeftOut(t *testing.T) {
	plays, skipped := Plan(Faults(), nil)
	have := map[Cell]bool{}
	for _, p := range plays {
		for _, x := range p.Planes {
			have[Cell{p.Name, x.Name}] = true
		}
	}
	for _, s := range skipped {
		if s.Why == "" || have[s.Cell] {
			t.Errorf("%v is left out without a reason, or twice in the plan", s.Cell)
		}
		have[s.Cell] = true
	}
	names := map[string]bool{}
	for _, f := range Faults() {
		if names[f.Name] {
			t.Errorf("two faults are called %q", f.Name)
		}
		names[f.Name] = true
		for i := range Planes {
			if !have[Cell{f.Name, Planes[i].Name}] {
				t.Errorf("%s / %s is neither played nor left out", f.Name, Planes[i].Name)
			}
		}
	}
	if len(have) != len(names)*len(Planes) {
		t.Errorf("%d cells, want %d faults × %d planes", len(have), len(names), len(Planes))
	}
}

// TestFaultsAreComplete: every verb, place, pair of places, process and length of a pause occurs, and every fault says what it wants.
func TestFaultsAreComplete(t *testing.T) {
	used, seen := map[Verb]bool{}, map[Act]bool{}
	holds := map[string]bool{}
	for _, f := range Faults() {
		for _, a := range append(append([]Act{}, f.Do...), f.Then...) {
			used[a.Verb], seen[a] = true, true
			holds[string(a.Verb)+string(a.What)+f.Hold.String()] = true
		}
		if f.Move != nil {
			for _, a := range f.Move.Cause {
				used[a.Verb] = true
			}
		}
		if f.Want.End == "" || len(f.Do) == 0 || f.Want.Pause == 0 && f.Hold == 0 {
			t.Errorf("%s: does nothing, or says not what is expected: %+v", f.Name, f.Want)
		}
	}
	for _, v := range constants(t, "fault.go", "Verb") {
		if verbs[Verb(v)] == nil || !used[Verb(v)] {
			t.Errorf("verb %q: does something %v, some fault uses it %v", v, verbs[Verb(v)] != nil, used[Verb(v)])
		}
	}
	for i, a := range Places {
		for _, x := range []Act{{Verb: KillRegion, Where: a}, {Verb: Isolate, Where: a}, {Verb: Kill, Where: a, What: stage.Hub}} {
			if !seen[x] {
				t.Errorf("no fault has %+v", x)
			}
		}
		for _, b := range Places[i+1:] {
			if !seen[Act{Verb: Cut, Where: a, To: b}] || !seen[Act{Verb: Cut, Where: b, To: a}] {
				t.Errorf("%s and %s are not cut off from each other in both ways", a, b)
			}
		}
	}
	for _, d := range pauses {
		for _, x := range []string{string(Pause) + string(stage.Agent), string(Pause) + string(stage.Guard), string(HaltServers), string(HaltHost)} {
			if !holds[x+d.String()] {
				t.Errorf("nothing is %q for %v", x, d)
			}
		}
	}
	if short, _ := Short(); len(short) < 5 || len(short) > 12 {
		t.Errorf("%d faults in every `make test`: want some, but no more than three minutes of them", len(short))
	}
}

// TestEveryWriterIsListed: the stage has two writers beside each server of a group, one over TCP, and one outside.
func TestEveryWriterIsListed(t *testing.T) {
	for i := range Planes {
		want := map[string]bool{stage.OutsideWriter: true}
		for _, c := range Planes[i].Group.Clusters() {
			want[c.Region], want[c.Region+stage.OverTCP] = true, true
		}
		for _, w := range Writers {
			if !want[w.Name] {
				t.Errorf("plane %s: no writer %s", Planes[i].Name, w.Name)
			}
			delete(want, w.Name)
		}
		if len(want) > 0 {
			t.Errorf("plane %s: writers %v are not listed", Planes[i].Name, want)
		}
	}
}

// TestClosingNamesWhatIsNotPlayed: loudly, in one line.
func TestClosingNamesWhatIsNotPlayed(t *testing.T) {
	r := Report{Skipped: []Skip{{Cell{"a", "b"}, "no reason to"}}}
	lines := strings.Split(r.Closing(), "\n")
	for _, l := range Impossible {
		if line := lines[len(lines)-2]; !strings.Contains(line, strings.ToUpper(l.Pattern)) || !strings.HasPrefix(line, "NOT PLAYED HERE") {
			t.Errorf("%q does not say that %s is not played", line, l.Pattern)
		}
	}
	if !strings.Contains(r.Closing(), "no reason to") {
		t.Error("what was left out is not told")
	}
}

// TestClosingTellsWhatTheKernelLeaseLetOut: counted over its own plane alone, and not where it has no cell.
func TestClosingTellsWhatTheKernelLeaseLetOut(t *testing.T) {
	r := Report{Results: []Result{{Plane: "async", Late: 9, LateTCP: 7, Told: "no"}}}
	if s := r.kernelLease(); s != "" {
		t.Errorf("without a cell of its plane it says %q", s)
	}
	r.Results = append(r.Results, Result{Plane: "kernel", Late: 5, LateTCP: 1, Told: "yes"}, Result{Plane: "kernel", Told: "-"})
	if got, want := r.kernelLease(), "in 2 cells: 1 late answers over TCP, which it cuts; 4 over local sockets, which it does not, in 1 cells; lost writes that no report lists: in 0 cells"; !strings.Contains(r.Closing(), got) || !strings.Contains(got, want) {
		t.Errorf("%q: want %q, in the closing lines", got, want)
	}
}
