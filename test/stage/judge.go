package stage

import (
	"context"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// newsSlack is how late the news of a promotion may come here, on a busy machine.
const newsSlack = 250 * time.Millisecond

// Judged is an audit beside what the operation says of itself.
type Judged struct {
	Audit
	Op  *events.Operation
	Bad []string // what must never be; empty = all is as promised
}

// Judge audits the last move of a group: never two writers, nothing the new active acknowledged is missing, and nothing lost beyond the operation's report. Writes from
// before began belong to earlier moves.
func (s *Stage) Judge(ctx context.Context, group string, began, fault Instant, log []Write, old map[Row]bool) (Judged, error) {
	v, err := s.bus.Group(ctx, group)
	if err != nil {
		return Judged{}, fmt.Errorf("judge %s: %w", group, err)
	}
	if v.Record == nil || v.Record.Op == nil || v.Record.Active != v.Record.Op.To {
		return Judged{}, fmt.Errorf("judge %s: it was not moved: %s", group, v.Why)
	}
	op := v.Record.Op
	a, err := s.Audit(ctx, Story{Group: group, Old: op.From, New: op.To, Begin: began, Fault: fault}, log, old)
	if err != nil {
		return Judged{}, err
	}
	j := Judged{Audit: a, Op: op}
	if a.Both > 0 {
		j.Bad = append(j.Bad, fmt.Sprintf("%s: both servers acknowledged writes at once, for %v from %v after the fault", group, a.Both, a.BothAt))
	}
	if len(a.Missing) > 0 {
		j.Bad = append(j.Bad, fmt.Sprintf("%s: %d writes acknowledged by %s are not there", group, len(a.Missing), op.To))
	}
	ordered, ok := s.promotedAt(op.ID)
	if !ok && len(a.Lost) > 0 {
		j.Bad = append(j.Bad, fmt.Sprintf("%s lost %d writes, and no event told of its promotion", group, len(a.Lost)))
	} else if err := a.Within(op.Loss, ordered, newsSlack); err != nil {
		j.Bad = append(j.Bad, err.Error())
	}
	return j, nil
}

// promotedAt is when the news of an operation's promotion came.
func (s *Stage) promotedAt(operation string) (Instant, bool) {
	all, _ := s.bus.Events()
	for _, e := range all {
		if e.Notice.Type == events.NoticePromoted && e.Notice.Operation == operation {
			return e.At, true
		}
	}
	return 0, false
}

// ReadOld reads the servers of every group at home in a region whose processes are all dead, by group.
func (s *Stage) ReadOld(ctx context.Context, region string) (map[string]map[Row]bool, error) {
	out := map[string]map[Row]bool{}
	for _, g := range s.options.Groups {
		if g.Home != region || !g.Written() {
			continue
		}
		rows, err := s.ReadDead(ctx, g.Primary())
		if err != nil {
			return nil, err
		}
		out[g.Name] = rows
	}
	return out, nil
}
