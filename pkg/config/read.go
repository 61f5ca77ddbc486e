package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader collects the problems of one file.
type reader struct {
	file     string
	problems Problems
}

// value is one place of a file. The zero node is a key that is not there: reading it yields nothing and is no problem.
type value struct {
	r    *reader
	node *yaml.Node
	path string
}

// object is a map whose keys are asked for by name; what nobody asked for is unknown.
type object struct {
	value
	entries []entry // as the file has them
	asked   []string
	names   bool // keys are names of the user's, all of them are known
}

// entry is one key of a map; the key's place is what a problem with its name points at.
type entry struct {
	name       string
	key, value value
}

// read parses data and hands its top-level map to f; the error is Problems.
func read(file string, data []byte, f func(*object)) error {
	r := &reader{file: file}
	if root := r.document(data); root != nil {
		value{r, root, ""}.object(f)
	}
	if len(r.problems) == 0 {
		return nil
	}
	r.problems.sort()
	return r.problems
}

func (r *reader) document(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	switch err := dec.Decode(&first); {
	case errors.Is(err, io.EOF), err == nil && len(first.Content) == 0:
		r.problems = append(r.problems, Problem{r.file, 1, 1, "", "the file is empty: want a map of keys"})
		return nil
	case err != nil:
		r.syntax(data, err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		value{r, &second, ""}.problem("a second document begins here: want one per file")
	case !errors.Is(err, io.EOF):
		r.syntax(data, err)
	}
	return first.Content[0]
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax reports what the YAML parser could not read. Its line is that of the enclosing block, counted from 0 or 1 as it happens, or missing; the
// line that matters is the first one with which the text up to it fails in the same words.
func (r *reader) syntax(data []byte, err error) {
	words := func(err error) string { return yamlLine.ReplaceAllString(err.Error(), "") }
	lines := bytes.SplitAfter(data, []byte("\n"))
	said, _ := strconv.Atoi(yamlLine.FindStringSubmatch(err.Error() + "\n")[1])
	lo, hi := max(0, min(said, len(lines))-1), len(lines)
	for lo+1 < hi {
		mid := (lo + hi) / 2
		if fails := parses(bytes.Join(lines[:mid], nil)); fails != nil && words(fails) == words(err) {
			hi = mid
		} else {
			lo = mid
		}
	}
	line := lines[hi-1]
	r.problems = append(r.problems, Problem{r.file, hi, 1 + len(line) - len(bytes.TrimLeft(line, " ")), "", "not YAML: " + words(err)})
}

func parses(data []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (v value) problem(format string, a ...any) {
	v.r.problems = append(v.r.problems, Problem{v.r.file, max(1, v.node.Line), max(1, v.node.Column), v.path, fmt.Sprintf(format, a...)})
}

// notYet refuses what this version would silently ignore.
func (v value) notYet(what string) {
	if v.there() {
		v.problem("%s is not supported yet by this version: remove it", what)
	}
}

func (v value) there() bool { return v.node != nil }

func (v value) isMap() bool { return v.there() && v.node.Kind == yaml.MappingNode }

func (v value) isList() bool { return v.there() && v.node.Kind == yaml.SequenceNode }

// kind says what a node is, in the words of an error.
func (v value) kind() string {
	switch {
	case v.node.Kind == yaml.MappingNode:
		return "is a map"
	case v.node.Kind == yaml.SequenceNode:
		return "is a list"
	case v.node.Kind == yaml.AliasNode:
		return "is an alias (*" + v.node.Value + "), which is not supported"
	case v.node.ShortTag() == "!!null":
		return "is empty"
	default:
		return "is a single value" // not shown: a secret may stand in the wrong place
	}
}

func (v value) is(kind yaml.Kind, tag, wanted string) bool {
	if v.node.Kind != kind {
		v.problem("%s: want %s", v.kind(), wanted)
		return false
	}
	if v.node.ShortTag() != tag {
		v.problem("has the tag %s: want %s without a tag", v.node.ShortTag(), wanted)
		return false
	}
	return true
}

// object reads a map: f asks for its keys, and what it did not ask for is a problem.
func (v value) object(f func(*object)) {
	if !v.there() {
		return
	}
	if !v.is(yaml.MappingNode, "!!map", "a map of keys") {
		return
	}
	o := &object{value: v}
	lines := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		k := value{v.r, v.node.Content[i], v.path}
		switch before, dup := lines[k.node.Value]; {
		case k.node.Kind != yaml.ScalarNode, k.node.ShortTag() == "!!null", k.node.ShortTag() == "!!merge":
			k.problem("a key %s: want a plain word", k.kind())
		case dup:
			k.problem("duplicate key %q: it stands on line %d already", k.node.Value, before)
		default:
			lines[k.node.Value] = k.node.Line
			o.entries = append(o.entries, entry{k.node.Value, k, value{v.r, v.node.Content[i+1], join(v.path, k.node.Value)}})
		}
	}
	f(o)
	for _, e := range o.entries {
		if !o.names && !slices.Contains(o.asked, e.name) {
			e.key.problem("unknown key %q: %s", e.name, want(e.name, o.asked))
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// get returns a key's value; the zero node if it is not there.
func (o *object) get(key string) value {
	if !slices.Contains(o.asked, key) {
		o.asked = append(o.asked, key)
	}
	for _, e := range o.entries {
		if e.name == key {
			return e.value
		}
	}
	return value{r: o.r, path: join(o.path, key)}
}

// each hands over every entry of a map whose keys are names of the user's.
func (o *object) each(f func(entry)) {
	o.names = true
	for _, e := range o.entries {
		f(e)
	}
}

// must is get for a key that has to be there.
func (o *object) must(key, example string) value {
	v := o.get(key)
	if !v.there() {
		o.problem("%s is missing: want %s", key, example)
	}
	return v
}

// list hands each element of a list to f.
func (v value) list(f func(value)) {
	if !v.there() {
		return
	}
	if !v.is(yaml.SequenceNode, "!!seq", "a list, as in [a, b]") {
		return
	}
	for i, n := range v.node.Content {
		f(value{v.r, n, fmt.Sprintf("%s[%d]", v.path, i)})
	}
}

// text is a scalar as it stands in the file; ok is false if it is not there or was refused.
func (v value) text(wanted string) (s string, ok bool) {
	if !v.there() {
		return "", false
	}
	switch tag := v.node.ShortTag(); {
	case v.node.Kind != yaml.ScalarNode, tag == "!!null":
		v.problem("%s: want %s", v.kind(), wanted)
		return "", false
	case v.node.Style&yaml.TaggedStyle != 0:
		v.problem("has the tag %s: want %s without a tag", tag, wanted)
		return "", false
	case strings.TrimSpace(v.node.Value) == "":
		v.problem("is empty: want %s", wanted)
		return "", false
	}
	return v.node.Value, true
}
