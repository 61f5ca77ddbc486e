package events

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// at is the instant of every example.
var at = time.Date(2026, 2, 3, 4, 5, 6, 789000000, time.UTC)

// samples are the example values of types whose text has a form of its own.
var samples = map[reflect.Type]any{
	reflect.TypeFor[Ref]():                Ref{"eu-west-1", "orders-a"},
	reflect.TypeFor[AgentRef]():           AgentRef{"eu-west-1", "db-1"},
	reflect.TypeFor[time.Time]():          at,
	reflect.TypeFor[time.Duration]():      1500 * time.Millisecond,
	reflect.TypeFor[Duration]():           Duration(90 * time.Second),
	reflect.TypeFor[LSN]():                LSN(0x5_0000A1C0),
	reflect.TypeFor[Role]():               RolePassive,
	reflect.TypeFor[State]():              StateRunning,
	reflect.TypeFor[Mode]():               ModeAuto,
	reflect.TypeFor[Isolation]():          IsolationKeepRunning,
	reflect.TypeFor[Kind]():               KindPostgres,
	reflect.TypeFor[Phase]():              PhaseFencing,
	reflect.TypeFor[Server]():             ServerRecovery,
	reflect.TypeFor[Home]():               HomeRecovery,
	reflect.TypeFor[Verb]():               VerbCut,
	reflect.TypeFor[Outcome]():            AlreadyDone,
	reflect.TypeFor[ProofKind]():          ProofLease,
	reflect.TypeFor[SightingHow]():        SightWAL,
	reflect.TypeFor[LaneKind]():           LanePending,
	reflect.TypeFor[json.RawMessage]():    json.RawMessage(`{"why":"an example"}`),
	reflect.TypeFor[[Lanes]*ResumeLane](): [Lanes]*ResumeLane{{Generation: 1, Rejoin: 41}, nil, {Generation: 2, Rejoin: 42}},
}

// fill gives every field of v a value that shows on the wire, so that no field can be forgotten, renamed or retyped unnoticed.
func fill(v reflect.Value, name string) {
	if s, ok := samples[v.Type()]; ok {
		v.Set(reflect.ValueOf(s))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), strings.ToLower(v.Type().Field(i).Name))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), name)
		}
	case reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		fill(elem, name)
		key := reflect.New(v.Type().Key()).Elem()
		fill(key, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.String:
		v.SetString("some-" + name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(len(name)))
	case reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(len(name)))
	case reflect.Float64:
		v.SetFloat(1.5)
	default:
		panic("no example for a field of type " + v.Type().String())
	}
}

// examples are the filled payloads by type, and the envelope that notices leave in.
func examples(t *testing.T) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, e := range Catalogue {
		p := e.New()
		fill(reflect.ValueOf(p).Elem(), e.Type)
		all[e.Type] = p
	}
	env, err := Wrap(*all[Notice{}.EventType()].(*Notice), "term-7-3", "switchback/eu-west-1/controller-a", at)
	if err != nil {
		t.Fatal(err)
	}
	all["switchback.envelope"] = &env
	return all
}

// The goldens are the wire format: what an older version wrote must be read by a newer one. A changed golden is a changed protocol.
func TestGoldens(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for name, example := range examples(t) {
		file := filepath.Join("testdata", name+".json")
		seen[file] = true
		want, err := json.MarshalIndent(example, "", "  ")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want = append(want, '\n')
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		golden, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%s has no golden: %v (go test ./events -update writes it)", name, err)
		}
		if !bytes.Equal(golden, want) {
			t.Errorf("%s is written otherwise than %s says:\n%s", name, file, want)
		}
		back := reflect.New(reflect.TypeOf(example).Elem()).Interface()
		dec := json.NewDecoder(bytes.NewReader(golden))
		dec.DisallowUnknownFields()
		if err := dec.Decode(back); err != nil {
			t.Fatalf("decode %s: %v", file, err)
		}
		again, err := json.MarshalIndent(back, "", "  ")
		if err != nil || !bytes.Equal(append(again, '\n'), golden) {
			t.Errorf("%s decoded and encoded again, %v:\n%s", file, err, again)
		}
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[f] {
			t.Errorf("%s belongs to nothing in the catalogue", f)
		}
	}
}

// takes reports whether a stream's subject pattern takes a subject.
func takes(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i := range p {
		if p[i] == ">" {
			return len(s) > i
		}
		if i >= len(s) || p[i] != "*" && p[i] != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	streams := map[string]Stream{StreamLease: Lane(2, LanePlace{Generation: 14, Region: "eu-west-1"})}
	for _, s := range Streams() {
		if _, twice := streams[s.Name]; twice {
			t.Errorf("stream %s stands twice", s.Name)
		}
		streams[s.Name] = s
	}
	used, types := map[string]bool{}, map[string]bool{}
	for _, e := range Catalogue {
		if types[e.Type] {
			t.Errorf("type %s stands twice", e.Type)
		}
		types[e.Type] = true
		if e.Type != e.New().EventType() || !strings.HasPrefix(e.Type, Prefix) || e.Doc == "" {
			t.Errorf("%s: New makes a %s, doc %q", e.Type, e.New().EventType(), e.Doc)
		}
		s, known := streams[e.Stream]
		if e.Stream != "" && !known {
			t.Errorf("%s is kept in %s, which is no stream", e.Type, e.Stream)
		}
		subject := strings.NewReplacer("<lane>", "2", "<generation>", "14", "<", "", ">", "", "|", "-").Replace(e.Subject)
		var home []string
		for name, s := range streams {
			for _, p := range s.Subjects {
				if takes(p, subject) {
					home = append(home, name)
				}
			}
		}
		switch {
		case e.Stream == "" && len(home) != 0:
			t.Errorf("%s is plain, but %v would store %s", e.Type, home, subject)
		case e.Stream != "" && (len(home) != 1 || home[0] != e.Stream):
			t.Errorf("%s goes to %s, which %v take: want only %s", e.Type, subject, home, e.Stream)
		}
		used[s.Name] = true
	}
	for name, s := range streams {
		if !used[s.Name] {
			t.Errorf("nothing is kept in %s", name)
		}
	}
}
