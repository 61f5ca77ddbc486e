package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/switchback-dr/switchback/events"
)

// setting reads the arguments of a scenario's first line; what is not said is as a quiet world of one group has it.
func setting(arg map[string]string) (Setting, error) {
	set := Setting{Seed: 1, Groups: 1, Agents: 1, Noise: "none", Last: "auto"}
	number := func(name string, lo, hi int) (int, error) {
		v := take(arg, name)
		n, err := strconv.Atoi(v)
		if err != nil || n < lo || n > hi {
			return 0, fmt.Errorf("%s=%s: want %d to %d", name, v, lo, hi)
		}
		return n, nil
	}
	for _, x := range []struct {
		name string
		most int
		into *int
	}{{"groups", len(Random().Groups), &set.Groups}, {"agents", 2, &set.Agents}} {
		if arg[x.name] == "" {
			continue
		}
		n, err := number(x.name, 1, x.most)
		if err != nil {
			return set, err
		}
		*x.into = n
	}
	if v := take(arg, "seed"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return set, fmt.Errorf("seed=%s: want a number", v)
		}
		set.Seed = n
	}
	if v := take(arg, "noise"); v != "" {
		set.Noise = v
	}
	if v := take(arg, "last"); v != "" {
		if policies[v] == nil {
			return set, fmt.Errorf("last=%s: want one of policies", v)
		}
		set.Last = v
	}
	if v := take(arg, "sync"); v != "" {
		if v != string(events.AloneStrict) && v != string(events.AloneDegrade) {
			return set, fmt.Errorf("sync=%s: want strict or degrade", v)
		}
		set.Sync = v
	}
	return set, nil
}

// schedule follows a schedule to its end.
func (s *scene) schedule(lines []string, arg map[string]string) (string, error) {
	until, err := time.ParseDuration(take(arg, "until"))
	if err != nil {
		return "", err
	}
	sch := Schedule{Until: until}
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		e, err := ParseEntry(line, &s.w.shape)
		if err != nil {
			return "", err
		}
		sch.Entries = append(sch.Entries, e)
	}
	s.w.follow(sch)
	return "settled\n", left(arg)
}

// entry does one entry now, or ends one.
func (s *scene) entry(d *datadriven.TestData) (string, error) {
	words := []string{"0s"}
	if d.Cmd != "end" {
		words = append(words, d.Cmd)
	}
	for _, a := range d.CmdArgs {
		words = append(words, a.String())
	}
	e, err := ParseEntry(strings.Join(words, " "), &s.w.shape)
	if err != nil {
		return "", err
	}
	if d.Cmd != "end" {
		s.w.Do(e)
		return "", nil
	}
	for _, o := range s.w.faults.open {
		if o.entry.words() == e.words() {
			s.w.over(o)
			return "", nil
		}
	}
	return "", fmt.Errorf("%q does not go on", e.words())
}
