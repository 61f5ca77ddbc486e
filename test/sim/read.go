package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// ParseSchedule reads a schedule as Schedule.String writes it: a scenario file whose only verbs are world, with a seed, and schedule. Lines that begin with #
// are comments.
func ParseSchedule(text string) (Schedule, error) {
	var s Schedule
	var shape Shape
	open := false // the lines are entries
	for n, line := range strings.Split(text, "\n") {
		err := func() (err error) {
			words := strings.Fields(line)
			switch {
			case len(words) == 0 || strings.HasPrefix(line, "#") || shape.Regions != nil && line == "settled":
			case line == "----":
				open = false
			case open:
				e, err := ParseEntry(line, &shape)
				s.Entries = append(s.Entries, e)
				return err
			case words[0] == "world" && shape.Regions == nil:
				args := arguments(words[1:])
				if s.Setting, err = ParseSetting(args); err != nil {
					return err
				}
				for name := range args {
					return fmt.Errorf("argument %s is not of world", name)
				}
				shape = s.Setting.Shape()
			case words[0] == "schedule" && len(words) == 2 && s.Until == 0 && shape.Regions != nil:
				open = true
				s.Until, err = time.ParseDuration(arguments(words[1:])["until"])
				return err
			default:
				return fmt.Errorf("want world, schedule, ---- or settled")
			}
			return nil
		}()
		if err != nil {
			return s, fmt.Errorf("line %d: %q: %w", n+1, line, err)
		}
	}
	if s.Until == 0 {
		return s, fmt.Errorf("no `schedule until=…`")
	}
	slices.SortStableFunc(s.Entries, func(a, b Entry) int { return int(a.At - b.At) })
	return s, nil
}

func arguments(words []string) map[string]string {
	args := map[string]string{}
	for _, w := range words {
		name, v, _ := strings.Cut(w, "=")
		args[name] = v
	}
	return args
}

// ParseSetting reads the arguments of a scenario's first line, and takes them out; what is not said is as a quiet world of one group has it.
func ParseSetting(arg map[string]string) (Setting, error) {
	set := Setting{Seed: 1, Groups: 1, Agents: 1, Noise: "none", Last: "auto"}
	take := func(key string) string {
		v := arg[key]
		delete(arg, key)
		return v
	}
	number := func(name string, lo, hi int) (int, error) {
		v := take(name)
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
	if v := take("seed"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return set, fmt.Errorf("seed=%s: want a number", v)
		}
		set.Seed = n
	}
	if v := take("noise"); v != "" {
		set.Noise = v
	}
	if v := take("last"); v != "" {
		if policies[v] == nil {
			return set, fmt.Errorf("last=%s: want one of policies", v)
		}
		set.Last = v
	}
	if v := take("sync"); v != "" {
		if v != string(events.AloneStrict) && v != string(events.AloneDegrade) {
			return set, fmt.Errorf("sync=%s: want strict or degrade", v)
		}
		set.Sync = v
	}
	if v := take("tasks"); v != "" && v != "yes" {
		return set, fmt.Errorf("tasks=%s: want yes, or nothing", v)
	} else if v != "" {
		set.Tasks = true
	}
	return set, nil
}
