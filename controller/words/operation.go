package words

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

// Headline says what an operation is about: a move leads from one cluster to another, other work is on one.
func Headline(o *events.Operation) string {
	switch {
	case o.Verb == "": // it gave way, and left nothing
		return ""
	case Restores(o):
		return fmt.Sprintf(" %s of %s from %s", o.Verb, o.To, o.From)
	case o.Verb == events.AskRestart:
		return fmt.Sprintf(" %s of %s", o.Verb, o.To)
	}
	return fmt.Sprintf(" %s %s → %s", o.Verb, o.From, o.To)
}

// Restores reports whether an operation makes a cluster follow: it moves no group.
func Restores(o *events.Operation) bool {
	return o.Verb == events.AskRestore || o.Verb == events.AskRebuild || o.Verb == events.AskProtect
}

// Served is when it served again, 0 = not yet: what ended before there were two clocks has its phases only.
func Served(o *events.Operation) time.Duration {
	if o.Serving == 0 && o.Ended == "done" {
		return sumOf(o.Phases)
	}
	return o.Serving
}

// ClockOf is one of the two clocks of an operation; 0 has not stopped.
func ClockOf(took time.Duration) string {
	if took == 0 {
		return "not yet"
	}
	return gate.Round(took)
}

func sumOf(phases []events.PhaseTime) (all time.Duration) {
	for _, t := range phases {
		all += t.Took
	}
	return all
}

// How says how a cluster was made to follow.
func How(o *events.Operation) string {
	text := map[string]string{
		"followed": "followed: nothing of it had to be undone",
		"rewound":  "rewound: what only it had was undone",
		"copied":   "copied anew",
	}[o.How]
	if text == "" {
		text = Plain(o.How)
	}
	if text += ", " + Size(o.Copied) + " fetched"; o.Timeline != 0 {
		text += fmt.Sprintf("; it follows on timeline %d", o.Timeline)
	}
	return text
}

// Data says how far the new active was, and what that lost.
func Data(o *events.Operation) string {
	if o.Loss != nil && o.Loss.NoLog {
		return "loss " + decide.LossText(o.Loss)
	}
	var parts []string
	if o.Stopped != 0 {
		parts = append(parts, "stopped at "+o.Stopped.String())
	} else if o.Sent != 0 {
		parts = append(parts, "sent ≥ "+o.Sent.String())
	}
	promoted := "promoted " + o.Promoted.String()
	if o.Timeline != 0 {
		promoted += fmt.Sprintf(" on timeline %d", o.Timeline)
	}
	parts = append(parts, promoted)
	if o.Lost == nil || o.Lost.Unread != "" {
		parts = append(parts, "loss "+decide.LossText(o.Loss))
		if o.Lost == nil && (o.Loss == nil || !o.Loss.Exact) {
			parts = append(parts, fmt.Sprintf("counted exactly when %s is restored", o.From))
		}
	}
	return strings.Join(parts, ", ")
}
