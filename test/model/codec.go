package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strings"
	"unsafe"

	"github.com/switchback-dr/switchback/events"
)

// epochNow is the instant that every decoded state takes for now: instants are kept as distances from it.
const epochNow = events.Instant(1 << 50)

// far is a distance no configuration ever reaches: instants beyond it are one and the same.
const far = 64 * Tick

// A raw number is space<<32 | value. Numbers of one space are only compared with each other, so a state keeps their order and no more.
const spaceShift = 32

func raw(space uint8, value uint64) uint64 { return uint64(space)<<spaceShift | value }

// coder writes a value as bytes and makes it again. Numbers (sequences, counters) are left out of the bytes and returned beside them.
type coder struct {
	d     events.Durations
	plans map[reflect.Type]*plan
	funcs map[uintptr]reflect.Value
}

func newCoder(d events.Durations) *coder {
	return &coder{d: d, plans: map[reflect.Type]*plan{}, funcs: map[uintptr]reflect.Value{}}
}

// plan is how one type is written.
type plan struct {
	fields []field
	limits []int // fields that hold the durations: always the configuration's
}

type field struct {
	i    int
	t    reflect.Type
	rule rule
}

type writer struct {
	c    *coder
	b    []byte
	at   []int    // where a number stands in b
	raws []uint64 // which
	perm [events.Lanes]int
	seen map[unsafe.Pointer]uint64
}

// identity leaves the acceptors as they are.
var identity = [events.Lanes]int{0, 1, 2}

// encode returns the shape of what p points to, and its distinct numbers in order. perm renames the acceptors.
func (c *coder) encode(p any, perm [events.Lanes]int) (shape []byte, raws []uint64) {
	w := &writer{c: c, b: make([]byte, 0, 512), perm: perm, seen: map[unsafe.Pointer]uint64{}}
	w.value(reflect.ValueOf(p).Elem(), rule{})
	raws = slices.Clone(w.raws)
	slices.Sort(raws)
	raws = slices.Compact(raws)
	for i, at := range w.at {
		k, _ := slices.BinarySearch(raws, w.raws[i])
		w.b[at+1] = 1 + rank(raws, k)
	}
	return w.b, raws
}

// rank is how many numbers of the same space stand before raws[k].
func rank(raws []uint64, k int) uint8 {
	n := uint8(0)
	for i := k - 1; i >= 0 && raws[i]>>spaceShift == raws[k]>>spaceShift; i-- {
		n++
	}
	return n
}

func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) number(n uint64) {
	space, v := uint8(n>>spaceShift), n&math.MaxUint32
	space = permuteSpace(space, w.perm)
	w.b = append(w.b, space, uint8(v))
	switch {
	case space == 0 && v > math.MaxUint8:
		panic(fmt.Sprintf("model: %d is a number of no space", n))
	case space != 0 && v != 0:
		w.at, w.raws = append(w.at, len(w.b)-2), append(w.raws, raw(space, v))
	}
}

var (
	typeInstant = reflect.TypeFor[events.Instant]()
	typeSeq     = reflect.TypeFor[events.Seq]()
	typeLimits  = reflect.TypeFor[events.Durations]()
)

func (w *writer) value(v reflect.Value, r rule) {
	t := v.Type()
	switch {
	case t == typeInstant:
		w.instant(events.Instant(v.Int()), r)
		return
	case t == typeSeq || r.kind == ruleNumber:
		w.number(v.Uint())
		return
	case r.kind == ruleAttempt:
		w.attempt(v.String())
		return
	case r.kind == ruleLane:
		w.uint(uint64(w.perm[v.Int()]))
		return
	case r.kind == ruleFlag:
		w.b = append(w.b, map[bool]byte{true: 2}[v.Int() != 0]) // 1, as an int is written
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		w.b = append(w.b, map[bool]byte{true: 1}[v.Bool()])
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.b = binary.AppendVarint(w.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		w.uint(v.Uint())
	case reflect.Float64:
		w.uint(math.Float64bits(v.Float()))
	case reflect.String:
		w.uint(uint64(v.Len()))
		w.b = append(w.b, v.String()...)
	case reflect.Slice:
		w.slice(v, r)
	case reflect.Array:
		for i := range v.Len() {
			if v.Len() == events.Lanes {
				w.value(v.Index(slices.Index(w.perm[:], i)), rule{})
			} else {
				w.value(v.Index(i), rule{})
			}
		}
	case reflect.Map:
		w.mapping(v)
	case reflect.Pointer:
		w.pointer(v)
	case reflect.Struct:
		w.fields(v)
	case reflect.Func:
		w.c.funcs[v.Pointer()] = open(v)
		w.uint(uint64(v.Pointer()))
	default:
		panic(fmt.Sprintf("model: %s can't be kept in a state", t))
	}
}

func (w *writer) fields(v reflect.Value) {
	for _, f := range w.c.plan(v.Type()).fields {
		if f.rule.keep != nil {
			w.kept(v, v.Field(f.i), f.rule)
			continue
		}
		w.value(v.Field(f.i), f.rule)
	}
}

// kept writes the elements of a slice that still matter.
func (w *writer) kept(parent, v reflect.Value, r rule) {
	var is []int
	for i := range v.Len() {
		if r.keep(&w.c.d, parent, v.Index(i)) {
			is = append(is, i)
		}
	}
	w.uint(uint64(len(is)))
	for _, i := range is {
		w.value(v.Index(i), rule{})
	}
}

func (w *writer) slice(v reflect.Value, r rule) {
	if v.IsNil() {
		w.uint(0)
		return
	}
	w.uint(uint64(v.Len()) + 1)
	for i := range v.Len() {
		w.value(v.Index(i), rule{})
	}
}

// mapping writes a map in the order of its keys' bytes.
func (w *writer) mapping(v reflect.Value) {
	type pair struct {
		key string
		k   reflect.Value
	}
	var ps []pair
	for _, k := range v.MapKeys() {
		kw := &writer{c: w.c, perm: w.perm}
		kw.value(k, rule{})
		ps = append(ps, pair{string(kw.b), k})
	}
	sort.Slice(ps, func(i, j int) bool { return ps[i].key < ps[j].key })
	w.uint(uint64(len(ps)))
	for _, p := range ps {
		w.value(p.k, rule{})
		w.value(v.MapIndex(p.k), rule{})
	}
}

func (w *writer) pointer(v reflect.Value) {
	switch p := v.UnsafePointer(); {
	case v.IsNil():
		w.uint(0)
	case w.seen[p] != 0:
		w.uint(w.seen[p])
	default:
		w.seen[p] = uint64(len(w.seen)) + 2
		w.uint(1)
		w.value(v.Elem(), rule{})
	}
}

// instant writes how far from now it is: what is over, or too old or too far to matter, is one and the same.
func (w *writer) instant(i events.Instant, r rule) {
	d := int64(i - epochNow)
	switch {
	case i == 0:
		w.b = append(w.b, 0)
		return
	case i == events.Never:
		w.b = append(w.b, 1)
		return
	case r.kind == ruleDue && d <= 0:
		w.b = append(w.b, 2)
		return
	case d > int64(far):
		w.b = append(w.b, 3)
		return
	case r.kind == ruleAge:
		d = max(d, -int64(r.age(&w.c.d)))
	default:
		d = max(d, -int64(oldest(&w.c.d)))
	}
	w.b = binary.AppendVarint(append(w.b, 4), d)
}

// attempt writes the id of an attempt, which is made of the term and a counter.
func (w *writer) attempt(s string) {
	if s == "" {
		w.b = append(w.b, 0)
		return
	}
	var term, n uint64
	if _, err := fmt.Sscanf(s, "%d.%d", &term, &n); err != nil {
		panic(fmt.Sprintf("model: attempt %q: %v", s, err))
	}
	w.b = append(w.b, 1)
	w.number(term)
	w.number(n)
}

// plan looks a type's fields up once.
func (c *coder) plan(t reflect.Type) *plan {
	if p := c.plans[t]; p != nil {
		return p
	}
	p := &plan{}
	for i := range t.NumField() {
		f := t.Field(i)
		r := ruleOf(t, f.Name)
		if f.Type == typeLimits {
			p.limits = append(p.limits, i)
		}
		if r.kind == ruleSkip || f.Type == typeLimits {
			continue
		}
		p.fields = append(p.fields, field{i, f.Type, r})
	}
	c.plans[t] = p
	return p
}

// typeName is the package's and the type's name, as rules call it.
func typeName(t reflect.Type) string {
	name := t.String()
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	return name
}
