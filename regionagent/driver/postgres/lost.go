package postgres

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// standing is where the data of a server that is down stands towards its source.
type standing struct {
	control
	tip      uint32 // its newest timeline
	common   uint32 // the last timeline it shares with the source; 0 = none
	fork     events.LSN
	after    []piece    // what it may have past the fork
	end      events.LSN // where its log ends; 0 = not known
	diverged bool
	unsure   bool // a crashed active's log is not all here: nobody can say whether it diverged, nor which of its pages did
	lost     *events.LostLog
}

// stand finds out where the data stands and counts what only this server has. A log that can't be read is no error: then Lost says why its count is
// not exact.
func (d *Driver) stand(ctx context.Context, s source, writer bool) (st standing, err error) {
	if st.control, err = d.control(ctx); err != nil {
		return st, err
	}
	st.tip = st.control.tip()
	if w, err := d.readOwn(writerFile); err == nil && w.Cluster == d.cfg.Cluster.String() {
		st.tip = max(st.tip, w.Timeline) // promoted, and killed before the control file knew
	}
	ours, err := d.localHistory(st.tip)
	if err != nil {
		if ours = ancestor(s.history, st.tip); ours == nil {
			return st, fmt.Errorf("where this log parts from the source's is not known: %w", err)
		}
	}
	st.common, st.fork, st.after = parting(ours, s.history)
	if st.common == 0 {
		return st, fmt.Errorf("this log (timeline %d) and the source's (timeline %d) have no timeline in common", st.tip, s.timeline)
	}
	if st.fork == 0 { // on one timeline, with one writer: whatever it has the source has, unless the source lost some
		st.after = []piece{{st.tip, s.lsn, 0}}
	}
	l, err := d.count(ctx, &st)
	if err != nil {
		return st, err
	}
	if st.diverged || st.unsure || writer {
		st.lost = l
	}
	return st, nil
}

// count reads everything after the fork. It sets diverged and end.
func (d *Driver) count(ctx context.Context, st *standing) (*events.LostLog, error) {
	d.progress.enter(phaseCount)
	l := &events.LostLog{Timeline: st.tip, From: st.after0(), Unread: ""}
	keep, err := d.keeper(l)
	if err != nil {
		return nil, err
	}
	defer keep.drop()
	var unread []string
	for i, p := range st.after {
		from, some := d.readable(p, st.seg)
		if past := st.knownPast(p); !some {
			if past { // its files were recycled
				st.diverged = true
				unread = append(unread, fmt.Sprintf("nothing is left of timeline %d from %v on", p.timeline, p.from))
			}
			continue
		} else if from != p.from {
			if !past {
				continue // files made ready for later: the log ended before
			}
			unread = append(unread, fmt.Sprintf("timeline %d from %v to %v is gone", p.timeline, p.from, from))
		}
		s, err := d.scan(ctx, piece{p.timeline, from, p.end}, st.block, st.seg, func(c commit) error { return keep.add(c, st.nextXID) })
		if err != nil {
			return nil, fmt.Errorf("count what only this server has: %w", err)
		}
		if s.records > 0 {
			st.diverged, st.end = true, s.end
		}
		if why := st.short(p, i == len(st.after)-1, s); why != "" {
			unread = append(unread, why)
		}
	}
	if !st.diverged && !st.clean() && !st.standby() {
		why, err := d.whole(ctx, st)
		if err != nil {
			return nil, err
		}
		if st.unsure = why != ""; st.unsure {
			unread = append(unread, why)
		}
	}
	l.Unread = strings.Join(unread, "; ")
	if l.To = st.end; !st.diverged {
		l.To = l.From
	}
	l.Bytes = int64(max(l.To, l.From) - l.From)
	if !st.diverged && !st.unsure {
		return l, nil
	}
	return l, d.keep(ctx, d.evidence(st), l, keep)
}

// whole says why a crashed active's log, which seems to end before the fork, may be one of which files were lost; empty = it ends there. It sets end.
func (d *Driver) whole(ctx context.Context, st *standing) (string, error) {
	s, err := d.scan(ctx, piece{st.timeline, st.checkpoint, 0}, st.block, st.seg, nil)
	if err != nil {
		return "", fmt.Errorf("look for the end of its log: %w", err)
	}
	st.end = s.end
	if s.records == 0 || strings.Contains(s.why, "could not find file") || strings.Contains(s.why, "could not open file") {
		return fmt.Sprintf("its log can be read from its last checkpoint at %v to %v only: %s", st.checkpoint, s.end, s.why), nil
	}
	return "", nil
}

// after0 is where what only this server has begins.
func (st *standing) after0() events.LSN {
	if len(st.after) > 0 {
		return st.after[0].from
	}
	return st.fork
}

// knownPast reports whether the control file knows of a log beyond the beginning of a piece.
func (st *standing) knownPast(p piece) bool {
	return st.timeline == p.timeline && st.checkpoint >= p.from && p.from != 0 || st.minTimeline == p.timeline && st.minRecovery > p.from ||
		p.timeline < max(st.timeline, st.minTimeline)
}

// short says why a scan did not come to the end of a piece, as far as anybody here knows where that is; empty = it did.
func (st *standing) short(p piece, last bool, s scan) string {
	least, by := p.end, "its history says"
	if last {
		by = "the control file says"
		if st.timeline == p.timeline {
			least = st.checkpoint + 1 // the record's start: the log ends after it
		}
		if st.minTimeline == p.timeline {
			least = max(least, st.minRecovery)
		}
	}
	if reached := max(s.end, p.from); least > reached {
		return fmt.Sprintf("timeline %d can be read up to %v only (%s), %s at least %v", p.timeline, reached, s.why, by, least)
	}
	return ""
}

// keeper collects commits: the first of them for the report, all of them in a file.
type keeper struct {
	log  *events.LostLog
	file *os.File
	w    *bufio.Writer
}

// keeper makes the file without a name that anybody would take for the whole list.
func (d *Driver) keeper(l *events.LostLog) (*keeper, error) {
	if err := d.makeBeside(""); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(d.beside(""), ".lost-*")
	if err != nil {
		return nil, errNotKept{err}
	}
	return &keeper{l, f, bufio.NewWriter(f)}, nil
}

func (k *keeper) add(c commit, next uint64) error {
	l := k.log
	if c.own {
		l.Own++
		return nil
	}
	if l.Commits == 0 || c.at.Before(l.First) {
		l.First = c.at
	}
	if c.at.After(l.Last) {
		l.Last = c.at
	}
	l.Commits++
	lost := events.LostCommit{XID: fullXID(c.xid, next), LSN: c.lsn, At: c.at}
	if len(l.List) < events.LostListed {
		l.List = append(l.List, lost)
	}
	b, err := json.Marshal(lost)
	if err == nil {
		_, err = k.w.Write(append(b, '\n'))
	}
	return err
}

// finish makes the list durable and hands it to the server's owner.
func (d *Driver) finish(k *keeper, path string) error {
	err := errors.Join(k.w.Flush(), k.file.Sync())
	if os.Geteuid() == 0 {
		err = errors.Join(err, k.file.Chown(int(d.owner.uid), int(d.owner.gid)))
	}
	if err == nil {
		err = os.Rename(k.file.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return err
}

func (k *keeper) drop() {
	k.file.Close()
	_ = os.Remove(k.file.Name()) // it has its name by now, or is not wanted
}
