package model

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"unsafe"

	"github.com/switchback-dr/switchback/events"
)

// reader makes a value again from its shape and numbers.
type reader struct {
	c    *coder
	b    []byte
	raws []uint64 // distinct, in order
	now  events.Instant
	ptrs []reflect.Value
}

// decode makes what p points to of a shape and its numbers. Instants count from now.
func (c *coder) decode(shape []byte, raws []uint64, now events.Instant, p any) {
	r := &reader{c: c, b: shape, raws: raws, now: now}
	r.value(reflect.ValueOf(p).Elem(), rule{})
	if len(r.b) != 0 {
		panic(fmt.Sprintf("model: %d bytes left of a %T", len(r.b), p))
	}
}

func (r *reader) uint() uint64 {
	n, k := binary.Uvarint(r.b)
	r.b = r.b[k:]
	return n
}

func (r *reader) int() int64 {
	n, k := binary.Varint(r.b)
	r.b = r.b[k:]
	return n
}

func (r *reader) byte() byte {
	b := r.b[0]
	r.b = r.b[1:]
	return b
}

func (r *reader) number() uint64 {
	space, k := r.byte(), r.byte()
	if space == 0 || k == 0 {
		return raw(space, uint64(k))
	}
	i, _ := slices.BinarySearch(r.raws, raw(space, 0))
	return r.raws[i+int(k)-1]
}

func (r *reader) instant() events.Instant {
	switch r.byte() {
	case 0:
		return 0
	case 1:
		return events.Never
	case 2:
		return 1
	case 3:
		return r.now + 2*events.Instant(far)
	}
	return r.now + events.Instant(r.int())
}

func (r *reader) value(v reflect.Value, ru rule) {
	t := v.Type()
	switch {
	case t == typeInstant:
		v.SetInt(int64(r.instant()))
		return
	case t == typeSeq || ru.kind == ruleNumber:
		v.SetUint(r.number())
		return
	case ru.kind == ruleAttempt:
		if r.byte() != 0 {
			term := r.number()
			v.SetString(fmt.Sprintf("%d.%d", term, r.number()))
		}
		return
	case ru.kind == ruleLane:
		v.SetInt(int64(r.uint()))
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		v.SetBool(r.byte() == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.uint())
	case reflect.Float64:
		v.SetFloat(math.Float64frombits(r.uint()))
	case reflect.String:
		n := r.uint()
		v.SetString(string(r.b[:n]))
		r.b = r.b[n:]
	case reflect.Slice:
		if n := r.uint(); n > 0 {
			r.elements(v, int(n)-1)
		}
	case reflect.Array:
		for i := range v.Len() {
			r.value(v.Index(i), rule{})
		}
	case reflect.Map:
		r.mapping(v)
	case reflect.Pointer:
		r.pointer(v)
	case reflect.Struct:
		r.fields(v)
	case reflect.Func:
		v.Set(r.c.funcs[uintptr(r.uint())])
	}
}

func (r *reader) elements(v reflect.Value, n int) {
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		r.value(v.Index(i), rule{})
	}
}

func (r *reader) fields(v reflect.Value) {
	p := r.c.plan(v.Type())
	for _, i := range p.limits {
		open(v.Field(i)).Set(reflect.ValueOf(r.c.d))
	}
	for _, f := range p.fields {
		x := open(v.Field(f.i))
		if f.rule.keep != nil {
			if n := r.uint(); n > 0 {
				r.elements(x, int(n))
			}
			continue
		}
		r.value(x, f.rule)
	}
}

// open makes a field of another package settable.
func open(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

func (r *reader) mapping(v reflect.Value) {
	n := int(r.uint())
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		k, x := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		r.value(k, rule{})
		r.value(x, rule{})
		v.SetMapIndex(k, x)
	}
}

func (r *reader) pointer(v reflect.Value) {
	switch n := r.uint(); n {
	case 0:
	case 1:
		x := reflect.New(v.Type().Elem())
		r.ptrs = append(r.ptrs, x)
		v.Set(x)
		r.value(x.Elem(), rule{})
	default:
		v.Set(r.ptrs[n-2])
	}
}
