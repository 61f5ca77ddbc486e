package events

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestProfilesPassCheck(t *testing.T) {
	t.Parallel()
	for i, d := range Profiles() {
		if bad := d.Check(); len(bad) > 0 {
			t.Errorf("profile %s: %v", d.Profile, bad)
		}
		if got, err := Profile(d.Profile); err != nil || got != d {
			t.Errorf("profile %s: %+v, %v", d.Profile, got, err)
		}
		if i == 0 {
			if got, err := Profile(""); err != nil || got != d {
				t.Errorf("the default: %+v, %v", got, err)
			}
		}
	}
	if _, err := Profile("reckless"); err == nil || !strings.Contains(err.Error(), `"reckless": want safe or fast`) {
		t.Errorf("an unknown profile: %v", err)
	}
}

// Every duration stands in the table, once, and the table's bounds are enforced on both sides.
func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	rows := map[*time.Duration]string{}
	d := Profiles()[0]
	for _, r := range Table {
		p := r.Get(&d)
		if other, twice := rows[p]; twice {
			t.Errorf("%s and %s are the same duration", r.Symbol, other)
		}
		rows[p] = r.Symbol
		for _, wrong := range []time.Duration{r.Min - 1, r.Max + 1} {
			x := d
			*r.Get(&x) = wrong
			if bad := strings.Join(x.Check(), "\n"); !strings.Contains(bad, r.Symbol+" ("+r.Meaning+") is "+wrong.String()) {
				t.Errorf("%s = %v: %q", r.Symbol, wrong, bad)
			}
		}
	}
	v := reflect.ValueOf(&d).Elem()
	for i := range v.NumField() {
		if f, ok := v.Field(i).Addr().Interface().(*time.Duration); ok && rows[f] == "" {
			t.Errorf("%s stands in no row", v.Type().Field(i).Name)
		}
	}
}

func TestRelations(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*Durations){
		"want at least F+S+M":               func(d *Durations) { d.Wait = d.Honoured() - 1 },
		"want at least 4 beats":             func(d *Durations) { d.Beat = d.Run/4 + 1 },
		"kill-after is":                     func(d *Durations) { d.KillAfter = d.Run },
		"want more than L + fence ack":      func(d *Durations) { d.Attempt = d.Wait + d.FenceAck },
		"full health is 1s: want more than": func(d *Durations) { d.FullHealth, d.Probe = time.Second, time.Second },
	} {
		d := Profiles()[0]
		if change(&d); !strings.Contains(strings.Join(d.Check(), "\n"), says) {
			t.Errorf("want %q among %q", says, d.Check())
		}
	}
}

func TestDurationOnTheWire(t *testing.T) {
	t.Parallel()
	var d Duration
	if err := json.Unmarshal([]byte(`"1.5s"`), &d); err != nil || d.D() != 1500*time.Millisecond {
		t.Errorf("%v, %v", d, err)
	}
	if b, err := json.Marshal(d); err != nil || string(b) != `"1.5s"` {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []string{`15`, `"15"`, `"soon"`, `null1`} {
		if err := json.Unmarshal([]byte(bad), &d); err == nil {
			t.Errorf("%s was accepted as %v", bad, d)
		}
	}
}
