package matrix

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

const (
	// newsSlack is how much later than the order the news of the first write is.
	newsSlack = 2 * time.Second
	// newsLimit is how long a report may be on its way: its stream has a leader of its own to find after a fault, and a controller that takes over tells again what
	// the one before it did not.
	newsLimit = 15 * time.Second
)

// untold lists what the reports don't say of a loss: the failover's, that it happened and within which time; the restore's, which transactions.
func (s *scene) untold(g stage.Group, e *end) (bad []string, err error) {
	story := stage.Story{Group: g.Name, Old: g.Primary(), New: e.view.Active(), Fault: s.act.fault}
	var failover, restore *events.Operation
	if err := s.until(newsLimit, "its reports are told", func() error {
		failover, restore = reports(s.events(), story)
		if failover == nil || restore == nil {
			return fmt.Errorf("failover %v, restore %v", failover != nil, restore != nil)
		}
		return nil
	}); err != nil {
		s.say("  %s: what was heard of it last:\n%s", g.Name, news(s.events(), g.Name))
		return []string{fmt.Sprintf("%d acknowledged writes are gone, and no report tells: %v", len(e.lost), err)}, nil
	}
	story.Begin = s.Era(g, g.Primary())
	a := stage.Audit{Story: story, Lost: e.lost}
	served := stage.Clock() - stage.Instant(time.Since(serving(failover)))
	if err := a.Within(failover.Loss, served, newsSlack); err != nil {
		bad = append(bad, err.Error())
	}
	rows, err := s.Server(story.New).Rows(s.ctx)
	if err != nil {
		return nil, err
	}
	return append(bad, stage.CompareLost(story, s.writers.Log(), rows, restore.Lost).Bad...), nil
}

// reports are those of the failover and of the restore after it, as far as they were told.
func reports(all []stage.Event, story stage.Story) (failover, restore *events.Operation) {
	for _, x := range all {
		n := x.Notice
		switch {
		case n.Group != story.Group || n.Report == nil:
		case n.Type == events.NoticeServing && n.Report.From == story.Old:
			failover = n.Report
		case n.Type == events.NoticeRestored && n.Cluster == story.Old.Cluster:
			restore = n.Report
		}
	}
	return failover, restore
}

// serving is when the new active was known to serve, by the leader's clock, which is this machine's: the news of it may have come much later.
func serving(op *events.Operation) time.Time {
	at := op.Began.Add(op.Serving)
	if len(op.Phases) > 0 && op.Phases[0].Phase == "detect" { // counts too, and was before
		at = at.Add(-op.Phases[0].Took)
	}
	return at
}

// news are the last notices of a group, one a line.
func news(all []stage.Event, group string) string {
	var lines []string
	for _, x := range all {
		if n := x.Notice; n.Group == group {
			lines = append(lines, fmt.Sprintf("    %s %s %s: %s", x.Envelope.Time.Format("15:04:05.000"), n.Type, n.Rule, n.Why))
		}
	}
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
