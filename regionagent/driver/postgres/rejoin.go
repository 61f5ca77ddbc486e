package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// rejoin starts it as a follower of the source, or points a running one at it, and waits until it streams. errGone is that it never will.
func (r *restoring) rejoin(ctx context.Context, h events.ClusterHealth, how string) error {
	r.j.Stage, r.j.How = stageFollow, how
	if err := r.note(r.j); err != nil {
		return err
	}
	if h.Server == events.ServerRecovery && r.recoversOnly() {
		if err := r.halt(ctx); err != nil {
			return err
		}
	}
	r.progress.enter(phaseStart)
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.watch(watched, cancel)
	was := 0
	if h.Server == events.ServerRecovery {
		was = r.receiver()
	}
	res := r.startStandby(watched, r.src.address)
	err := r.failure(watched, res)
	if was != 0 && res.Outcome == events.Done {
		r.replaced(watched, was)
	}
	if err == nil {
		r.progress.enter(phaseCatchUp)
		err = r.streams(watched)
	}
	if cause := context.Cause(watched); cause != nil && ctx.Err() == nil {
		return cause
	}
	return err
}

// receiver is the pid of the WAL receiver, 0 = none.
func (d *Driver) receiver() int {
	all, _ := processes(d.cfg.Data) // none is an answer
	for _, p := range all {
		if strings.Contains(p.title, "walreceiver") {
			return p.pid
		}
	}
	return 0
}

// newReceiver is how long a receiver with the settings of before may go on: PostgreSQL ends it a moment after they changed, and what it streams till then proves nothing of
// the new ones. Where they say the same, it stays.
const newReceiver = 2 * time.Second

func (d *Driver) replaced(ctx context.Context, was int) {
	wait, cancel := context.WithTimeout(ctx, newReceiver)
	defer cancel()
	_ = poll(wait, slow, func() (bool, error) { return d.receiver() != was, nil }) // out of time: it says the same
}

// damaged is what a server says that can never follow with the data it has.
var damaged = regexp.MustCompile(`requested timeline \d+ (is not a child|does not contain)|forked off current database system|could not locate a valid checkpoint|invalid checkpoint record|WAL ends before|incorrect checksum|contains invalid data|PANIC:`)

// failure makes an error of an answer that is not OK.
func (r *restoring) failure(ctx context.Context, res events.Result) error {
	switch {
	case res.Outcome.OK():
		return nil
	case res.Outcome == events.Refused:
		return refusal(res.Why)
	case ctx.Err() == nil && damaged.MatchString(res.Why):
		return errGone(res.Why)
	}
	return errors.New(res.Why)
}

// streams waits until it follows the source.
func (r *restoring) streams(ctx context.Context) error {
	logged := fileSize(r.path(logFile))
	var h events.ClusterHealth
	err := poll(ctx, slow, func() (bool, error) {
		if h = r.now(ctx); h.Server == events.ServerDown && ctx.Err() == nil {
			why := r.logTail(logged)
			if damaged.MatchString(why) {
				return false, errGone(why)
			}
			return false, fmt.Errorf("it ended before it streamed: %s", why)
		}
		r.progress.set(int64(h.Replayed), int64(h.LSN))
		return r.follows(h, r.src), nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("it does not stream from %s on timeline %d yet (streaming %v from %q on timeline %d, %s): %w",
			r.src.address, r.src.timeline, h.Streaming, h.Upstream, h.Timeline, h.Error, err)
	}
	return err
}

// How often a follower that does not stream yet is looked at, and how many looks one may stand still that could still get its log from an archive.
const (
	watchEvery   = 2 * time.Second
	archiveLooks = 30
)

// watch looks at a follower that does not stream yet. One that stands still while the source proves that it has not the log it needs never will; and
// one whose source has moved on follows nobody.
func (r *restoring) watch(ctx context.Context, give context.CancelCauseFunc) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last, still := "", 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		at, streams := r.replaying()
		if streams || at == "" || at != last {
			last, still = at, 0
			continue
		}
		if why := r.past(ctx, at); why != "" {
			give(errGone(why))
			return
		}
		if still++; still < archiveLooks {
			if cmd, err := r.setting(ctx, "restore_command"); err == nil && cmd != "" {
				continue
			}
		}
		if now, err := r.source(ctx, r.src.address, r.src.systemID); err == nil && now.timeline != r.src.timeline {
			give(fmt.Errorf("the source is on timeline %d now, it was on %d: ask again", now.timeline, r.src.timeline))
			return
		}
		if lsn, ok := segmentStart(at, r.src.segment); ok {
			if why := r.missing(ctx, r.src, r.src.eraAt(lsn), lsn); why != "" {
				give(errGone(why))
				return
			}
		}
	}
}

// past says why a follower that stands still at a file of its log never will follow: it is past the fork, so its server only says so again and again.
func (r *restoring) past(ctx context.Context, file string) string {
	timeline, replayed := uint64(0), events.LSN(0)
	if h := r.now(ctx); h.Server == events.ServerRecovery {
		timeline, _ = strconv.ParseUint(file[:8], 16, 32) // not the probe's, which may be of before
		replayed = h.Replayed
	} else if c, err := r.Driver.control(ctx); err == nil { // it lets nobody in yet
		timeline, replayed = uint64(c.minTimeline), c.minRecovery
	}
	for _, e := range r.src.history {
		if uint64(e.timeline) == timeline && e.end != 0 && replayed > e.end {
			return fmt.Sprintf("it is at %v on timeline %d, which the source left at %v", replayed, timeline, e.end)
		}
	}
	return ""
}

// replaying is the file of the log that a follower is at, by the title of its startup process, and whether its receiver streams.
func (d *Driver) replaying() (file string, streams bool) {
	all, _ := processes(d.cfg.Data) // none is an answer
	for _, p := range all {
		if m := startupTitle.FindStringSubmatch(p.title); m != nil {
			file = m[1]
		}
		streams = streams || strings.Contains(p.title, "walreceiver streaming ")
	}
	return file, streams
}

// walFileName is how long the name of a file of the log is.
const walFileName = 24

func segmentStart(file string, seg uint64) (events.LSN, bool) {
	if len(file) != walFileName || seg == 0 {
		return 0, false
	}
	high, err := strconv.ParseUint(file[8:16], 16, 32)
	low, err2 := strconv.ParseUint(file[16:], 16, 32)
	return events.LSN(high<<32 + low*seg), err == nil && err2 == nil
}

// finished closes the journal of a restore that streams, and answers.
func (r *restoring) finished(ctx context.Context, before events.ClusterHealth) events.Result {
	h := r.now(ctx)
	if !r.follows(h, r.src) {
		return unknown("it streamed from %s, then was found %s (%s)", r.src.address, h.Server, h.Error)
	}
	r.reach("streams")
	r.j.Stage = stageDone
	if err := r.close(ctx); err != nil {
		r.log.Warn("tidy up after a restore", "err", err)
	}
	return events.Result{Outcome: events.Done, Timeline: h.Timeline, LSN: h.LSN, How: r.j.How, Copied: r.j.Copied, Lost: r.j.Lost}
}

// close notes that it streamed, and only then removes what a copy replaced and what the restore needed on its way.
func (r *restoring) close(ctx context.Context) error {
	if err := r.note(r.j); err != nil {
		return err
	}
	var bad []error
	for _, name := range []string{oldDir, newDir, siteDir, runDir} {
		bad = append(bad, r.erase(ctx, r.beside(name)))
	}
	if dir := r.private(); dir != r.beside(runDir) {
		bad = append(bad, r.erase(ctx, dir))
	}
	return errors.Join(bad...)
}

// recoversOnly reports whether the running server is one that only recovers, left by a restore that was interrupted.
func (d *Driver) recoversOnly() bool {
	f, err := readPIDFile(d.cfg.Data)
	return err == nil && f.socket == d.private()
}

// trim takes what is past the fork off the log of a standby whose pages hold nothing of it. What was there is kept by now, and told by the journal:
// half of it can neither be counted again nor replayed.
func (r *restoring) trim(st standing) error {
	r.j.Stage, r.j.Broken = stageTrim, true
	if err := r.note(r.j); err != nil {
		return err
	}
	defer r.reach("trimmed")
	for _, p := range st.after {
		all, err := r.segments(p.timeline, st.seg)
		if err != nil {
			return err
		}
		for _, n := range all {
			path, start := r.segmentPath(p.timeline, n, st.seg), n*st.seg
			switch {
			case start >= uint64(p.from):
				err = os.Remove(path)
			case start+st.seg > uint64(p.from):
				err = r.blank(path, int64(uint64(p.from)-start), int64(st.seg))
			}
			if err != nil {
				return fmt.Errorf("trim the log past %v: %w", p.from, err)
			}
		}
		if p.timeline != st.common {
			if _, err := remove(r.path(fmt.Sprintf("pg_wal/%08X.history", p.timeline))); err != nil {
				return err
			}
		}
	}
	return syncDir(r.path("pg_wal"))
}

// blank writes zeros over a part of a file of the owner's: where the log ends, PostgreSQL reads a record without a length.
func (d *Driver) blank(path string, from, to int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Sys().(*syscall.Stat_t).Uid != d.owner.uid) {
		err = fmt.Errorf("%s: it is no file of %s's", path, d.cfg.User)
	}
	if err == nil {
		_, err = f.WriteAt(make([]byte, to-from), from)
	}
	return errors.Join(err, f.Sync())
}
