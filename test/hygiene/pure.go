package hygiene

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/types"
	"slices"
	"strings"
)

// Pure is every package that has no clock, I/O, goroutine, randomness or log (1-overview, Layout), each after what it may import.
var Pure = []string{"events", "regionagent/lease", "regionagent/driver/airflow/tasks", "controller/gate", "controller/decide", "controller/rollout", "controller/fleet"}

// impure are the packages of the standard library that bring in what a pure package may not have.
var impure = []string{
	"context", "crypto/rand", "database/sql", "io/fs", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2", "net", "os", "path/filepath", "runtime", "sync",
	"sync/atomic", "syscall", "testing", "unsafe", "plugin", "embed",
}

// clock are the functions of package time that read a clock or wait for one.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// CheckPure returns what makes the pure packages impure. Because a pure package imports only the standard library and pure packages, all that it
// depends on in this tree is checked too.
func CheckPure(t *Tree) (bad []string, err error) {
	chk := checker{t: t, done: map[string]*types.Package{}, std: importer.Default()}
	for i, dir := range Pure {
		p := t.Package(dir)
		if p == nil {
			continue
		}
		for _, f := range p.Code {
			bad = append(bad, pureImports(t, f, Pure[:i])...)
			bad = append(bad, pureCode(t, f)...)
		}
		if len(bad) > 0 {
			continue // what it imports may not be there to be checked
		}
		found, err := chk.ranges(p)
		if err != nil {
			return bad, err
		}
		bad = append(bad, found...)
	}
	return bad, nil
}

func pureImports(t *Tree, f *File, before []string) (bad []string) {
	for _, s := range f.Imports() {
		p := importPath(s)
		if dir, ok := inside(p); ok {
			if !slices.Contains(before, dir) {
				bad = append(bad, fmt.Sprintf("%s: pure package imports %s, which is not pure or stands above it", t.at(s), dir))
			}
			continue
		}
		first, _, _ := strings.Cut(p, "/")
		if strings.Contains(first, ".") {
			bad = append(bad, fmt.Sprintf("%s: pure package imports %s, which is not the standard library's", t.at(s), p))
		}
		if slices.ContainsFunc(impure, func(i string) bool { return p == i || strings.HasPrefix(p, i+"/") }) {
			bad = append(bad, fmt.Sprintf("%s: pure package imports %s", t.at(s), p))
		}
		if p == "time" && s.Name != nil {
			bad = append(bad, fmt.Sprintf("%s: pure package renames time: its clock would not be seen", t.at(s)))
		}
	}
	return bad
}

func pureCode(t *Tree, f *File) (bad []string) {
	ast.Inspect(f.Syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			bad = append(bad, t.at(n)+": pure package starts a goroutine")
		case *ast.SelectStmt:
			bad = append(bad, t.at(n)+": pure package waits on channels")
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, n.Sel.Name) {
				bad = append(bad, fmt.Sprintf("%s: pure package uses time.%s: now is an argument", t.at(n), n.Sel.Name))
			}
		}
		return true
	})
	return bad
}

// checker finds types, which only they tell a map from a slice.
type checker struct {
	t    *Tree
	done map[string]*types.Package
	std  types.Importer
}

// Import implements types.Importer: packages of this tree from their source, others from the compiler.
func (c *checker) Import(path string) (*types.Package, error) {
	dir, ok := inside(path)
	if !ok {
		return c.std.Import(path)
	}
	if p := c.done[dir]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s is not checked before it is imported", dir)
}

// ranges returns the loops of a package whose order is that of a map. Sorted keys are a slice, so a loop over those passes.
func (c *checker) ranges(p *Package) (bad []string, err error) {
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: c}
	var files []*ast.File
	for _, f := range p.Code {
		files = append(files, f.Syntax)
	}
	if c.done[p.Dir], err = conf.Check(Module+"/"+p.Dir, c.t.Fset, files, info); err != nil {
		return nil, fmt.Errorf("find the types of %s: %w", p.Dir, err)
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			r, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			if _, isMap := types.Unalias(info.TypeOf(r.X)).Underlying().(*types.Map); isMap || fromMaps(r.X, info) {
				bad = append(bad, c.t.at(r)+": pure package loops over a map: loop over slices.Sorted(maps.Keys(m)), so that one input has one output")
			}
			return true
		})
	}
	return bad, nil
}

// fromMaps tells whether x is a call of maps.Keys, maps.Values or maps.All.
func fromMaps(x ast.Expr, info *types.Info) bool {
	call, ok := ast.Unparen(x).(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	f, ok := info.Uses[sel.Sel].(*types.Func)
	return ok && f.Pkg() != nil && f.Pkg().Path() == "maps"
}
