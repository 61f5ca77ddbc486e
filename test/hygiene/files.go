package hygiene

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// MaxLines is how long a Go file may be.
const MaxLines = 500

// CheckDocs returns packages without a doc comment, and packages with I/O without a DESIGN.md.
func CheckDocs(t *Tree) (bad []string) {
	for _, p := range t.Packages {
		if !slices.ContainsFunc(slices.Concat(p.Code, p.Tests), func(f *File) bool { return f.Syntax.Doc != nil }) {
			bad = append(bad, p.Dir+": the package has no doc comment")
		}
		if hasIO(p) && !slices.Contains(t.Files, p.Dir+"/DESIGN.md") {
			bad = append(bad, p.Dir+": a package with I/O has a DESIGN.md: purpose, why not the obvious way, failure cases, decisions taken")
		}
	}
	return bad
}

// small are packages with I/O that another's DESIGN.md describes.
var small = map[string]string{"regionagent/boottime": "reads three clocks; the guard's DESIGN.md says why"}

// io are imports that make a package one with I/O.
var io = []string{"os", "net", "syscall", "database/sql", "golang.org/x/sys", "github.com/nats-io", "github.com/jackc/pgx"}

func hasIO(p *Package) bool {
	top, _, _ := strings.Cut(p.Dir, "/")
	if !slices.Contains([]string{"controller", "pkg", "regionagent"}, top) || strings.HasSuffix(p.Name, "test") || small[p.Dir] != "" {
		return false
	}
	for _, f := range p.Code {
		for _, s := range f.Imports() {
			if slices.ContainsFunc(io, func(i string) bool { return importPath(s) == i || strings.HasPrefix(importPath(s), i+"/") }) {
				return true
			}
		}
	}
	return false
}

// CheckNames returns packages whose name says nothing.
func CheckNames(t *Tree) (bad []string) {
	for _, p := range t.Packages {
		name := strings.TrimSuffix(p.Name, "s")
		if slices.Contains([]string{"util", "common", "manager", "helper", "type", "misc", "base"}, name) {
			bad = append(bad, fmt.Sprintf("%s: package %s: want a name that says what it does", p.Dir, p.Name))
		}
	}
	return bad
}

// MaxBytes bounds any file of the tree: a clone stays small, and something built by accident is not committed.
const MaxBytes = 1 << 20

// CheckSizes returns Go files that are too long, and files of any kind that are too large.
func CheckSizes(t *Tree) (bad []string, err error) {
	for _, f := range t.Files {
		at, err := os.Stat(filepath.Join(t.Root, f))
		if err != nil {
			return bad, fmt.Errorf("look at %s: %w", f, err)
		}
		if at.Size() > MaxBytes {
			bad = append(bad, fmt.Sprintf("%s: %d bytes, want at most %d: was it built here? `make build` builds into bin", f, at.Size(), MaxBytes))
		}
		if !strings.HasSuffix(f, ".go") {
			continue
		}
		text, err := t.read(f)
		if err != nil {
			return bad, err
		}
		if n := strings.Count(text, "\n"); n > MaxLines && !strings.Contains(text, "\n// Code generated ") {
			bad = append(bad, fmt.Sprintf("%s: %d lines, want at most %d", f, n, MaxLines))
		}
	}
	return bad, nil
}

// private is what only the place where it was written knows: machine paths, registries, numbers of issues.
var private = []*regexp.Regexp{
	regexp.MustCompile(`(^|[^\w./-])/wor[k]/`),
	regexp.MustCompile(`/tmp/(brie[f]|bash_job[s])`),
	regexp.MustCompile(`\b(proxy|sum)\.golang\.or[g]\b|artifactor[y]|GOPROX[Y]=http`),
	regexp.MustCompile(`(?i)\b(issue|fixe?s|closes|resolves) #[0-9]`),
}

// CheckWords returns lines that speak of the place they were written at instead of the project.
func CheckWords(t *Tree) (bad []string, err error) {
	for _, f := range t.Files {
		text, err := t.read(f)
		if err != nil {
			return bad, err
		}
		if strings.ContainsRune(text, 0) {
			continue // not a text
		}
		for i, line := range strings.Split(text, "\n") {
			for _, re := range private {
				if m := re.FindString(line); m != "" {
					bad = append(bad, fmt.Sprintf("%s:%d: %q is not the project's: say it without", f, i+1, strings.TrimSpace(m)))
				}
			}
		}
	}
	return bad, nil
}

// CheckTests returns tests that can't fail, or that can be left out without a word: recorded files nobody reads or that are empty, a flag that
// records them anew by default, a skip without a reason; and flags of the program that don't say what they do.
func CheckTests(t *Tree) (bad []string, err error) {
	for _, f := range t.Files {
		owner, name, ok := strings.Cut(f, "/testdata/")
		if !ok {
			continue
		}
		text, err := t.read(f)
		if err != nil {
			return bad, err
		}
		if strings.TrimSpace(text) == "" {
			bad = append(bad, f+": is empty: comparing with it shows nothing")
		}
		if !strings.HasPrefix(name, "fuzz/") && !t.readsTestdata(owner) {
			bad = append(bad, fmt.Sprintf("%s: no test in %s mentions testdata", f, owner))
		}
	}
	for _, p := range t.Packages {
		for _, f := range p.Code {
			bad = append(bad, t.calls(f, false)...)
		}
		for _, f := range p.Tests {
			bad = append(bad, t.calls(f, true)...)
		}
	}
	return bad, nil
}

func (t *Tree) readsTestdata(dir string) bool {
	p := t.Package(dir)
	return p != nil && slices.ContainsFunc(p.Tests, func(f *File) bool {
		found := false
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			found = found || ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "testdata")
			return !found
		})
		return found
	})
}

var flagCall = regexp.MustCompile(`^(Bool|String|Int|Int64|Uint|Uint64|Float64|Duration|StringSlice|StringArray|Count)(Var)?P?$`)

// calls looks at the calls of a file whose arguments matter.
func (t *Tree) calls(f *File, test bool) (bad []string) {
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		flags := flagCall.MatchString(sel.Sel.Name) && isFlags(sel.X)
		switch last := len(call.Args) - 1; {
		case sel.Sel.Name == "SkipNow" && test, sel.Sel.Name == "Skip" && test && last < 0, sel.Sel.Name == "Skip" && test && isText(call.Args[0], `""`):
			bad = append(bad, t.at(n)+": skips without a reason")
		case flags && test && sel.Sel.Name == "Bool" && last == 2 && !isText(call.Args[1], "false"):
			bad = append(bad, t.at(n)+": a test's flag is on by default")
		case flags && !test && last >= 2 && isText(call.Args[last], `""`):
			bad = append(bad, t.at(n)+": the flag does not say what it does")
		}
		return true
	})
	return bad
}

// isFlags tells whether x is package flag or a set of flags.
func isFlags(x ast.Expr) bool {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name == "flag" || x.Name == "pflag" || x.Name == "flags" || x.Name == "fs"
	case *ast.CallExpr:
		sel, ok := x.Fun.(*ast.SelectorExpr)
		return ok && (sel.Sel.Name == "Flags" || sel.Sel.Name == "PersistentFlags")
	}
	return false
}

func isText(x ast.Expr, text string) bool {
	switch x := x.(type) {
	case *ast.BasicLit:
		return x.Value == text
	case *ast.Ident:
		return x.Name == text
	}
	return false
}
