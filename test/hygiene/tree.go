package hygiene

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Module is the path that imports of this tree begin with.
const Module = "github.com/switchback-dr/switchback"

// Tree is every file of the project, parsed where it is Go.
type Tree struct {
	Root     string
	Fset     *token.FileSet
	Files    []string   // slash paths from Root, sorted
	Packages []*Package // sorted by directory
}

// Package is one directory with Go files. Files of all systems and build tags count.
type Package struct {
	Dir   string // slash path from Root
	Name  string
	Code  []*File // sorted by path
	Tests []*File
}

// File is one Go file.
type File struct {
	Path   string
	Syntax *ast.File
}

// Imports are a file's imports with their places.
func (f *File) Imports() (all []*ast.ImportSpec) { return f.Syntax.Imports }

// Load reads the tree under root. What is built or fetched (bin, .cache, .git) is no part of it.
func Load(root string) (*Tree, error) {
	t := &Tree{Root: root, Fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel == ".git" || rel == "bin" || rel == ".cache" || rel == ".venv" {
				return fs.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			t.Files = append(t.Files, rel)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("walk the tree: %w", err)
	}
	slices.Sort(t.Files)
	return t, t.parse()
}

func (t *Tree) parse() error {
	byDir := map[string]*Package{}
	for _, f := range t.Files {
		if !strings.HasSuffix(f, ".go") || strings.Contains(f, "testdata/") {
			continue
		}
		syntax, err := parser.ParseFile(t.Fset, filepath.Join(t.Root, f), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		dir := path.Dir(f)
		p := byDir[dir]
		if p == nil {
			p = &Package{Dir: dir}
			byDir[dir], t.Packages = p, append(t.Packages, p)
		}
		if strings.HasSuffix(f, "_test.go") {
			p.Tests = append(p.Tests, &File{f, syntax})
		} else {
			p.Code = append(p.Code, &File{f, syntax})
			p.Name = syntax.Name.Name
		}
		if p.Name == "" {
			p.Name = strings.TrimSuffix(syntax.Name.Name, "_test")
		}
	}
	slices.SortFunc(t.Packages, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return nil
}

// Package returns the package of a directory, nil if there is none yet.
func (t *Tree) Package(dir string) *Package {
	for _, p := range t.Packages {
		if p.Dir == dir {
			return p
		}
	}
	return nil
}

// at renders the place of a node as path:line.
func (t *Tree) at(n ast.Node) string {
	p := t.Fset.Position(n.Pos())
	rel, err := filepath.Rel(t.Root, p.Filename)
	if err != nil {
		rel = p.Filename
	}
	return filepath.ToSlash(rel) + ":" + strconv.Itoa(p.Line)
}

func (t *Tree) read(file string) (string, error) {
	b, err := os.ReadFile(filepath.Join(t.Root, file))
	return string(b), err
}

func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value // the parser has accepted it, so this does not happen
	}
	return p
}

// inside returns the directory an import of this tree names.
func inside(p string) (dir string, ok bool) { return strings.CutPrefix(p, Module+"/") }
