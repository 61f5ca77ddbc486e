package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"
)

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
