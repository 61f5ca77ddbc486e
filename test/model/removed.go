package model

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Rule is one rule of the protocol that removed.txt takes away.
type Rule struct {
	ID, What string
	Search   string // configuration in which it must be found
	Limit    int    // within so many states
	Quick    bool   // every test run looks for it
	Rare     bool   // not found yet in the time of one `make model`
	edits    []edit
}

type edit struct{ file, old, text string }

// Removed reads removed.txt of the tree at root.
func Removed(root string) ([]Rule, error) {
	path := filepath.Join(root, "test/model/removed.txt")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rs []Rule
	for n, line := range strings.Split(string(b), "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		var r *Rule
		if len(rs) > 0 {
			r = &rs[len(rs)-1]
		}
		switch {
		case strings.HasPrefix(line, "#") || line == "":
		case kind == "rule":
			id, what, _ := strings.Cut(rest, " ")
			rs = append(rs, Rule{ID: id, What: what})
		case r == nil:
			return nil, fmt.Errorf("%s:%d: %q before the first rule", path, n+1, line)
		case kind == "search":
			name, limit, _ := strings.Cut(rest, " ")
			if r.Search = name; r.Search == "" {
				return nil, fmt.Errorf("%s:%d: want search CONFIGURATION STATES", path, n+1)
			}
			if r.Limit, err = strconv.Atoi(limit); err != nil {
				return nil, fmt.Errorf("%s:%d: states %q: want a number", path, n+1, limit)
			}
		case line == "quick":
			r.Quick = true
		case line == "rare":
			r.Rare = true
		case kind == "file":
			r.edits = append(r.edits, edit{file: rest})
		case (kind == "-" || kind == "+") && len(r.edits) > 0:
			e := &r.edits[len(r.edits)-1]
			if kind == "-" {
				e.old += "\n" + rest
			} else {
				e.text += "\n" + rest
			}
		default:
			return nil, fmt.Errorf("%s:%d: %q: want rule, search, file, - or +", path, n+1, line)
		}
	}
	return rs, nil
}

// off is what every edit asks; it is added to the one package all others see.
const off = `package events

// Without is the rule that is taken away.
var Without string

// Off reports whether a rule is taken away.
func Off(rule string) bool { return rule == Without }
`

const withoutOne = `package model

import "github.com/switchback-dr/switchback/events"

func without(rule string) error {
	events.Without = rule
	return nil
}

// Without is without, for the command that runs one search.
func Without(rule string) error { return without(rule) }
`

// BuildRemoved builds the command with every rule removable into dir, from the tree at root, and returns the binary.
func BuildRemoved(root, dir string, rules []Rule) (string, error) {
	texts := map[string]string{
		filepath.Join(root, "events/off.go"):         off,
		filepath.Join(root, "test/model/without.go"): withoutOne,
	}
	for _, r := range rules {
		for _, e := range r.edits {
			path := filepath.Join(root, e.file)
			if _, ok := texts[path]; !ok {
				b, err := os.ReadFile(path)
				if err != nil {
					return "", err
				}
				texts[path] = string(b)
			}
			old := strings.TrimPrefix(e.old, "\n")
			if n := strings.Count(texts[path], old); n != 1 {
				return "", fmt.Errorf("%s: %q stands %d times in %s: want once", r.ID, old, n, e.file)
			}
			texts[path] = strings.Replace(texts[path], old, strings.TrimPrefix(e.text, "\n"), 1)
		}
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for path, text := range texts {
		copied := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(path, root), "/", "_"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[path] = copied
	}
	b, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "removed")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", file, "-o", bin, "./test/model/run")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build with removable rules: %w\n%s", err, out)
	}
	return bin, nil
}
