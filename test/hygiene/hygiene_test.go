package hygiene_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/test/hygiene"
)

// checks is every check by its name.
var checks = map[string]func(*hygiene.Tree) ([]string, error){
	"pure":   hygiene.CheckPure,
	"layers": func(t *hygiene.Tree) ([]string, error) { return hygiene.CheckLayers(t), nil },
	"docs":   func(t *hygiene.Tree) ([]string, error) { return hygiene.CheckDocs(t), nil },
	"names":  func(t *hygiene.Tree) ([]string, error) { return hygiene.CheckNames(t), nil },
	"sizes":  hygiene.CheckSizes,
	"words":  hygiene.CheckWords,
	"tests":  hygiene.CheckTests,
}

// TestTree checks this tree.
func TestTree(t *testing.T) {
	t.Parallel()
	tree, err := hygiene.Load(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Package("events") == nil || len(tree.Files) < 20 {
		t.Fatalf("this is not the tree: %d files", len(tree.Files))
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			bad, err := check(tree)
			if err != nil {
				t.Error(err)
			}
			for _, b := range bad {
				t.Error(b)
			}
		})
	}
}

const module = "module github.com/switchback-dr/switchback\n\ngo 1.26.0\n"

// planted is one thing wrong in an otherwise empty tree, and the check that has to find it.
var planted = []struct{ name, check, file, text, says string }{
	{"a pure package reads a clock", "pure", "events/a.go", "// Package events is.\npackage events\n\nimport \"time\"\n\nvar T = time.Now()\n", "events/a.go:6: pure package uses time.Now"},
	{"a pure package hides its clock", "pure", "events/a.go", "package events\n\nimport t \"time\"\n\nvar T = t.Now()\n", "renames time"},
	{"a pure package starts a goroutine", "pure", "controller/decide/a.go", "package decide\n\nfunc F() { go F() }\n", "a.go:3: pure package starts a goroutine"},
	{"a pure package logs", "pure", "controller/gate/a.go", "package gate\n\nimport _ \"log/slog\"\n", "imports log/slog"},
	{"a pure package imports another module", "pure", "events/a.go", "package events\n\nimport _ \"github.com/nats-io/nats.go\"\n", "not the standard library's"},
	{"a pure package imports one with I/O", "pure", "controller/fleet/a.go", "package fleet\n\nimport _ \"github.com/switchback-dr/switchback/pkg/bus\"\n", "imports pkg/bus"},
	{"a pure package imports upwards", "pure", "controller/gate/a.go", "package gate\n\nimport _ \"github.com/switchback-dr/switchback/controller/fleet\"\n", "imports controller/fleet"},
	{"a pure package loops over a map", "pure", "events/a.go", "package events\n\ntype m = map[int]int\n\nfunc F(x m) (n int) {\n\tfor k := range x {\n\t\tn = k\n\t}\n\treturn n\n}\n", "a.go:6: pure package loops over a map"},
	{"a pure package loops over a map's keys", "pure", "events/a.go", "package events\n\nimport \"maps\"\n\nfunc F(x map[int]int) (n int) {\n\tfor k := range maps.Keys(x) {\n\t\tn = k\n\t}\n\treturn n\n}\n", "loops over a map"},
	{"I/O imports I/O beside it", "layers", "controller/intake/a.go", "package intake\n\nimport _ \"github.com/switchback-dr/switchback/controller/journal\"\n", "controller/intake imports controller/journal"},
	{"an agent's part imports the agent", "layers", "regionagent/driver/x/a.go", "package x\n\nimport _ \"github.com/switchback-dr/switchback/regionagent\"\n", "imports regionagent,"},
	{"the vocabulary imports the bus", "layers", "events/a.go", "package events\n\nimport _ \"github.com/switchback-dr/switchback/pkg/bus\"\n", "events imports pkg/bus"},
	{"a package has no layer", "layers", "other/a.go", "package other\n", "no row of the table"},
	{"a package has no doc", "docs", "events/a.go", "package events\n", "no doc comment"},
	{"I/O has no design", "docs", "pkg/x/a.go", "// Package x is.\npackage x\n\nimport _ \"os\"\n", "DESIGN.md"},
	{"a name says nothing", "names", "pkg/utils/a.go", "package utils\n", "says what it does"},
	{"a file is too long", "sizes", "events/a.go", "package events\n" + strings.Repeat("\n", 500), "501 lines"},
	{"something built was left in the tree", "sizes", "switchback", strings.Repeat("\x00", hygiene.MaxBytes+1), "was it built here?"},
	{"a machine's path", "words", "README.md", "see /wor" + "k/main/x\n", "README.md:1"},
	{"an issue's number", "words", "events/a.go", "package events\n\n// Fixes" + " #12.\n", "events/a.go:3"},
	{"a golden nobody reads", "tests", "events/testdata/a.json", "{}\n", "no test in events"},
	{"an empty golden", "tests", "events/testdata/a.json", "\n", "is empty"},
	{"a golden that records itself", "tests", "events/a_test.go", "package events\n\nimport \"flag\"\n\nvar _ = flag.Bool(\"update\", true, \"record\")\n", "on by default"},
	{"a skip without a reason", "tests", "events/a_test.go", "package events\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) { t.Skip() }\n", "without a reason"},
	{"a flag without a word", "tests", "cmd/x/a.go", "package main\n\nimport \"flag\"\n\nvar _ = flag.Int(\"n\", 1, \"\")\n", "does not say"},
}

// TestChecksFind plants each fault alone and sees that its check names it.
func TestChecksFind(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range planted {
		seen[p.check] = true
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			bad, err := checks[p.check](plant(t, map[string]string{p.file: p.text}))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(bad, "\n"), p.says) {
				t.Errorf("got %q, want %q", bad, p.says)
			}
		})
	}
	for name := range checks {
		if !seen[name] {
			t.Errorf("nothing is planted for check %s", name)
		}
	}
}

// TestChecksPass is a small tree with nothing wrong.
func TestChecksPass(t *testing.T) {
	t.Parallel()
	tree := plant(t, map[string]string{
		"events/a.go":                 "// Package events is.\npackage events\n\nimport (\n\"maps\"\n\"slices\"\n\"time\"\n)\n\nfunc F(x map[int]time.Duration) (d time.Duration) {\n\tfor _, k := range slices.Sorted(maps.Keys(x)) {\n\t\td += x[k]\n\t}\n\treturn d\n}\n",
		"events/a_test.go":            "package events\n\nimport (\n\"os\"\n\"testing\"\n)\n\nfunc TestA(t *testing.T) {\n\tif _, err := os.ReadFile(\"testdata/a.json\"); err != nil {\n\t\tt.Skip(\"no file\")\n\t}\n}\n",
		"events/testdata/a.json":      "{}\n",
		"controller/decide/a.go":      "// Package decide does.\npackage decide\n\nimport \"github.com/switchback-dr/switchback/events\"\n\nvar _ = events.F\n",
		"pkg/bus/a.go":                "// Package bus is.\npackage bus\n\nimport _ \"net\"\n",
		"pkg/bus/DESIGN.md":           "# bus\n",
		"pkg/bus/bustest/a.go":        "// Package bustest is.\npackage bustest\n\nimport _ \"github.com/switchback-dr/switchback/pkg/bus\"\nimport _ \"os\"\n",
		"README.md":                   "A framework/main idea.\n",
		"controller/intake/a.go":      "// Package intake is.\npackage intake\n\nimport _ \"github.com/switchback-dr/switchback/pkg/bus\"\n",
		"controller/intake/a_test.go": "package intake\n\nimport _ \"github.com/switchback-dr/switchback/controller/journal\"\n",
	})
	for name, check := range checks {
		if bad, err := check(tree); err != nil || len(bad) != 0 {
			t.Errorf("%s: %q, %v", name, bad, err)
		}
	}
}

func plant(t *testing.T, files map[string]string) *hygiene.Tree {
	t.Helper()
	root := t.TempDir()
	files["go.mod"] = module
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := hygiene.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
