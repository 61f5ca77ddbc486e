package words

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// idleLong is how long a restore stands still until that is worth a word.
const idleLong = 10 * time.Second

// Work says how far a restore got: rewind 68 % of 1.2 GB.
func Work(w *events.Work) string {
	if w == nil {
		return "begins"
	}
	text := Plain(w.Phase)
	switch {
	case w.Total > 0:
		text += fmt.Sprintf(" %d %% of %s", Percent(w), Size(w.Total))
	case w.Done > 0:
		text += " " + Size(w.Done) + " so far"
	}
	if w.Idle >= idleLong {
		text += ", no progress for " + Age(w.Idle)
	}
	return text
}

// Percent is how much of a work is done, 0 to 100; its total must not be 0.
func Percent(w *events.Work) int64 { return min(100, int64(float64(w.Done)/float64(w.Total)*100)) }
