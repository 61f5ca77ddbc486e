package postgres

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// era is one timeline of a history, from where it forked off the one before. The last has no end (0): it is still written.
type era struct {
	timeline   uint32
	begin, end events.LSN
}

// parseHistory reads a timeline's history file: a line per ancestor, with where it was left. Timeline 1 has none.
func parseHistory(timeline uint32, text string) ([]era, error) {
	var all []era
	var begin events.LSN
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 2 {
			return nil, fmt.Errorf("history of timeline %d: line %q: want a timeline and a position", timeline, strings.TrimSpace(line))
		}
		n, err := strconv.ParseUint(f[0], 10, 32)
		end, err2 := events.ParseLSN(f[1])
		if err != nil || err2 != nil || end == 0 {
			return nil, fmt.Errorf("history of timeline %d: line %q: want a timeline and a position", timeline, strings.TrimSpace(line))
		}
		all = append(all, era{uint32(n), begin, end})
		begin = end
	}
	return append(all, era{timeline, begin, 0}), nil
}

// localHistory is a timeline's history as this data directory has it.
func (d *Driver) localHistory(timeline uint32) ([]era, error) {
	if timeline <= 1 {
		return []era{{timeline: 1}}, nil
	}
	b, err := os.ReadFile(d.path(fmt.Sprintf("pg_wal/%08X.history", timeline)))
	if err != nil {
		return nil, fmt.Errorf("history of timeline %d: %w", timeline, err)
	}
	return parseHistory(timeline, string(b))
}

// ancestor is the part of a history that ends on one of its timelines, as somebody who has only got that far has it; nil if it is not of it.
func ancestor(all []era, timeline uint32) []era {
	for i, e := range all {
		if e.timeline == timeline {
			own := append([]era(nil), all[:i+1]...)
			own[i].end = 0
			return own
		}
	}
	return nil
}

// piece is a part of our log that another does not have. An end of 0 is wherever the log ends.
type piece struct {
	timeline  uint32
	from, end events.LSN
}

// parting is where two histories part: on which timeline, where (0 = they have no end on it yet: the one is the beginning of the other), and what
// ours has after it. A fork at 0 on timeline 0 means that they have nothing in common.
func parting(ours, theirs []era) (timeline uint32, fork events.LSN, after []piece) {
	n := 0
	for n < len(ours) && n < len(theirs) && ours[n].timeline == theirs[n].timeline && ours[n].begin == theirs[n].begin {
		n++
	}
	if n == 0 {
		return 0, 0, nil
	}
	mine, other := ours[n-1], theirs[n-1]
	fork = mine.end
	if fork == 0 || other.end != 0 && other.end < fork {
		fork = other.end
	}
	if fork != 0 && fork != mine.end {
		after = append(after, piece{mine.timeline, fork, mine.end})
	}
	for _, e := range ours[n:] {
		after = append(after, piece{e.timeline, e.begin, e.end})
	}
	return mine.timeline, fork, after
}
