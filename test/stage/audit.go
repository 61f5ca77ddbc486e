package stage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Story is one move of one group, to be audited: from one server to another, after a fault.
type Story struct {
	Group    string
	Old, New events.Ref
	Fault    Instant
	Begin    Instant // writes sent before it don't count: they belong to an earlier move
	End      Instant // writes sent after it don't count; 0 = all do
}

// counts reports whether a write belongs to the story.
func (s *Story) counts(x *Write) bool {
	return x.Group == s.Group && x.Sent >= s.Begin && (s.End == 0 || x.Sent <= s.End)
}

// Audit is what became of every write of a group.
type Audit struct {
	Story
	Acked   int           // acknowledged by the old active
	Lost    []Write       // of these, the ones the new active does not have; by send time
	Both    time.Duration // how long both servers acknowledged at once; 0 = never
	BothAt  time.Duration // when that began, since the fault
	Serving time.Duration // the new active's first acknowledged write, since the fault; -1 = none
	LastOld time.Duration // send time of the last write the old active acknowledged, since the fault; negative = before it
	OldOnly int           // rows on the old server that the new one lacks, acknowledged or not
	NewAck  int           // acknowledged by the new active
	Missing []Write       // acknowledged by the new active, but not there: must be none
}

// Audit judges a story by the writers' log and by the rows of both servers. rows holds those of the old server, as ReadOnly or Rows found them; nil = not read.
func (s *Stage) Audit(ctx context.Context, story Story, log []Write, old map[Row]bool) (Audit, error) {
	now, err := s.Server(story.New).Rows(ctx)
	if err != nil {
		return Audit{}, fmt.Errorf("audit %s: %w", story.Group, err)
	}
	return judge(story, log, old, now), nil
}

// Row names a row of the table.
type Row struct {
	Writer string
	N      int64
}

// judge is the audit without I/O.
func judge(story Story, log []Write, old, now map[Row]bool) Audit {
	a := Audit{Story: story, Serving: -1, LastOld: -1 << 62}
	var lastOld, firstNew, beganNew Instant
	for _, x := range log {
		if x.Acked == 0 || !story.counts(&x) {
			continue
		}
		there := now[Row{x.Writer, x.N}]
		switch x.Server {
		case story.Old:
			a.Acked++
			if !there {
				a.Lost = append(a.Lost, x)
			}
			a.LastOld = max(a.LastOld, x.Sent.Sub(story.Fault))
			lastOld = max(lastOld, x.Acked)
		case story.New:
			a.NewAck++
			if !there {
				a.Missing = append(a.Missing, x)
			}
			if a.NewAck == 1 {
				firstNew, beganNew = x.Acked, x.Sent
			}
			firstNew, beganNew = min(firstNew, x.Acked), min(beganNew, x.Sent)
		}
	}
	if a.NewAck > 0 {
		a.Serving = firstNew.Sub(story.Fault)
		if lastOld > beganNew { // an answer of the old one after the new one took its first write: their times overlap
			a.Both, a.BothAt = lastOld.Sub(beganNew), beganNew.Sub(story.Fault)
		}
	}
	for r := range old {
		if !now[r] {
			a.OldOnly++
		}
	}
	slices.SortFunc(a.Lost, func(x, y Write) int { return cmp.Compare(x.Sent, y.Sent) })
	return a
}

// Within says whether everything lost was acknowledged within the operation's window before the promotion was ordered, and the operation says it may have lost
// anything at all. ordered is when the news of the order came here, so it is late by at most slack.
func (a *Audit) Within(loss *events.Loss, ordered Instant, slack time.Duration) error {
	if len(a.Lost) == 0 {
		return nil
	}
	oldest := slices.MinFunc(a.Lost, func(x, y Write) int { return cmp.Compare(x.Acked, y.Acked) })
	age := ordered.Sub(oldest.Acked)
	switch {
	case loss == nil:
		return fmt.Errorf("%s lost %d acknowledged writes, and its report says nothing of a loss", a.Group, len(a.Lost))
	case !loss.Known:
		return nil // it says that nobody can say
	case age > loss.Window+slack:
		return fmt.Errorf("%s lost a write acknowledged %v before the promotion, its report says at most %v", a.Group, age, loss.Window)
	}
	return nil
}

// Rows reads the table over the server's unix socket.
func (v *Server) Rows(ctx context.Context) (map[Row]bool, error) { return v.RowsSince(ctx, 0) }

// RowsSince reads the rows that were sent at an instant or later.
func (v *Server) RowsSince(ctx context.Context, since Instant) (map[Row]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var rows [][]string
	err := until(ctx, 10*time.Second, func(ctx context.Context) (err error) { // it may be on its way up
		rows, err = v.SQL(ctx, fmt.Sprintf("SELECT writer, n FROM public.writes WHERE sent >= %d", since))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read rows of %s: %w", v.Ref, err)
	}
	out := make(map[Row]bool, len(rows))
	for _, r := range rows {
		n, err := strconv.ParseInt(r[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read rows of %s: %w", v.Ref, err)
		}
		out[Row{r[0], n}] = true
	}
	return out, nil
}

// ReadDead reads the table of a server that no longer runs: it starts it read-only, without network, following nobody, and kills it again. Its agent and guard
// must be dead. What it does to the data directory is the end of it.
func (s *Stage) ReadDead(ctx context.Context, ref events.Ref) (map[Row]bool, error) {
	v := s.Server(ref)
	found, err := pids(v.Data)
	if err != nil || len(found) > 0 || s.Running(Agent, ref.Region) || s.Running(Guard, ref.Region) {
		return nil, fmt.Errorf("read %s: it, its agent or its guard still runs: %v %v", ref, found, err)
	}
	if err := v.write("standby.signal", ""); err != nil {
		return nil, fmt.Errorf("read %s: %w", ref, err)
	}
	for _, lock := range []string{filepath.Join(v.Data, "postmaster.pid"), filepath.Join(v.Socket(), fmt.Sprintf(".s.PGSQL.%d.lock", v.Port))} {
		_ = os.Remove(lock) // a killed postmaster's, whose pid may live again as anything
	}
	err = v.Start(ctx, "-c listen_addresses=''", "-c primary_conninfo=''", "-c restore_command=''", "-c hot_standby=on")
	if err != nil {
		return nil, err
	}
	rows, err := v.Rows(ctx)
	return rows, errors.Join(err, v.Kill())
}
