package words

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Lost says what a server had written that its followers never got; kept is where that is kept, by host and directory.
func Lost(l *events.LostLog, kept string, now time.Time) string {
	where := fmt.Sprintf("on timeline %d from %s to %s", l.Timeline, l.From, l.To)
	if l.Bytes == 0 && l.Unread == "" {
		return fmt.Sprintf("exactly nothing: its log on timeline %d ended at %s", l.Timeline, l.To)
	}
	text := fmt.Sprintf("%s %s (%s B) %s", map[bool]string{true: "exactly", false: "at least"}[l.Unread == ""], Commits(l.Commits), Grouped(l.Bytes), where)
	if l.Own > 0 {
		text += fmt.Sprintf(", and %d of Switchback's own", l.Own)
	}
	if !l.First.IsZero() {
		text += fmt.Sprintf(", first %s, last %s", Clock(l.First, now), Clock(l.Last, now))
	}
	if kept != "" {
		text += ", kept in " + Plain(kept)
	}
	if l.Unread != "" {
		text += "; its log could not be read to its end: " + Plain(l.Unread)
	}
	return text
}

// Commits counts commits in words.
func Commits(n int) string {
	if n == 1 {
		return "1 commit"
	}
	return Grouped(int64(n)) + " commits"
}
