package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
)

// restoring is one restore under way.
type restoring struct {
	*Driver
	j   journal
	src source
}

// restore makes it a follower of the source whatever state its data is in: DESIGN.md has the ladder. It has no limit but ctx, and asked again it takes up
// what the journal says.
func (d *Driver) restore(ctx context.Context, a driver.Action) events.Result {
	if err := checkHostPort(a.Source); err != nil {
		return refused("source %q: want host:port (%v)", a.Source, err)
	}
	d.progress.begin()
	defer d.progress.end()
	r := &restoring{Driver: d}
	err := d.endLeftovers(ctx)
	if err == nil {
		r.j, err = d.journal()
	}
	if err == nil && !r.j.Broken && !d.empty() {
		err = d.bar(false) // of a rewind that was cut short before it touched anything
	}
	if err != nil {
		return unknown("nothing was begun: %v", err)
	}
	if r.j.Stage == stageSwap { // before anything looks at the data: there may be none in place
		if err := r.swap(ctx); err != nil {
			return d.outcome(ctx, err)
		}
	}
	h := d.rested(ctx)
	if h.Server == events.ServerUnknown && d.inRecovery() {
		h.Server = events.ServerRecovery // it lets nobody in yet
	}
	if h.Server != events.ServerDown && h.Server != events.ServerRecovery {
		res := must(h, events.ServerRecovery)
		res.Why += ": a restore begins with a server that is fenced"
		return *res
	}
	if r.src, err = d.source(ctx, a.Source, h.SystemID); err != nil {
		if errors.Is(err, errForeign) {
			return refused("%v: it was never a copy of this cluster, and its data is not overwritten", err)
		}
		return result(events.Retry, "%v", err)
	}
	if d.follows(h, r.src) && (!a.Copy || r.j.Step == a.Step && r.j.How == howCopied) {
		return r.already(ctx, a)
	}
	if err := r.begin(a); err != nil {
		return unknown("nothing was begun: %v", err)
	}
	if err := r.climb(ctx, h, a.Copy); err != nil {
		return d.outcome(ctx, err)
	}
	return r.finished(ctx, h)
}

// outcome says what became of a restore that ended with an error. Asked again it goes on, unless somebody has to do something first.
func (d *Driver) outcome(ctx context.Context, err error) events.Result {
	if no, ok := errors.AsType[refusal](err); ok {
		return refused("%s", string(no))
	}
	if ctx.Err() != nil {
		return unknown("restore: %v", err)
	}
	return result(events.Retry, "restore: %v", err)
}

// refusal is an error that asking again does not help.
type refusal string

func (r refusal) Error() string { return string(r) }

// follows reports whether a server is all that a restore makes of it.
func (d *Driver) follows(h events.ClusterHealth, s source) bool {
	u, _ := d.upstream()
	return h.Server == events.ServerRecovery && h.Streaming && h.Upstream == s.address && h.Timeline == s.timeline && h.SystemID == s.systemID &&
		u.source == s.address && !u.cut
}

// already answers for what was done before, by this step or by nobody.
func (r *restoring) already(ctx context.Context, a driver.Action) events.Result {
	res := events.Result{Outcome: events.AlreadyDone}
	if r.j.Step == a.Step && r.j.Source == a.Source || r.j.Stage != stageDone && r.j.Stage != "" {
		res.How, res.Copied, res.Lost = r.j.How, r.j.Copied, r.j.Lost
		r.j.Step, r.j.Source, r.j.Stage, r.j.Broken = a.Step, a.Source, stageDone, false // somebody may have put it right by hand
		if err := r.close(ctx); err != nil {
			r.log.Warn("tidy up after a restore", "err", err)
		}
	}
	h := r.now(ctx)
	res.Timeline, res.LSN = h.Timeline, h.LSN
	return res
}

// begin opens the journal. What an unfinished restore has counted of data that it overwrote is not there to be counted again, and nobody may have heard
// of it yet; of anything else nothing is kept.
func (r *restoring) begin(a driver.Action) error {
	j, wrote := r.j, r.wrote()
	overwritten := j.Broken || j.Stage == stageFollow && !wrote || j.Stage == stageDone && j.Step == a.Step && !wrote
	if !overwritten {
		j = journal{Stage: stageBegun}
	}
	if j.Stage == stageDone {
		j.Stage = stageFollow
	}
	j.Step, j.Source = a.Step, a.Source
	j.Writer = j.Writer || wrote
	if m, err := r.readOwn(markFile); err == nil && m.Cluster == r.cfg.Cluster.String() {
		j.Group = m.Group
	}
	if a.Group != "" {
		j.Group = a.Group
	}
	r.j = j
	return r.note(j)
}

// wrote reports whether the data was last written by this cluster itself.
func (d *Driver) wrote() bool {
	if w, err := d.readOwn(writerFile); err == nil {
		return w.Cluster == d.cfg.Cluster.String()
	}
	if _, err := os.Stat(d.path("backup_label")); err == nil || d.empty() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), ProbeLimit)
	defer cancel()
	c, err := d.control(ctx)
	return err == nil && !c.standby()
}

// climb takes the ladder's rungs, the cheapest first.
func (r *restoring) climb(ctx context.Context, h events.ClusterHealth, anew bool) error {
	switch {
	case r.j.Stage == stageDress:
		return r.dressed(ctx)
	case r.empty() || r.j.Broken:
		return r.copied(ctx, "there is no data to keep")
	case r.j.Stage == stageFollow && (!anew || r.j.How == howCopied):
		err := r.rejoin(ctx, h, r.j.How)
		if why, gone := errors.AsType[errGone](err); gone {
			return r.copied(ctx, string(why))
		}
		return err
	case h.Server == events.ServerRecovery && !anew && r.canFollow(ctx, h):
		if err := r.rejoin(ctx, h, howFollowed); !isGone(err) {
			return err
		}
	}
	if err := r.halt(ctx); err != nil {
		return err
	}
	if now, err := r.source(ctx, r.src.address, r.src.systemID); err == nil && now.timeline == r.src.timeline {
		r.src = now // it went on writing, and what it sent until we stopped is in our log: not ours alone
	}
	st, err := r.stand(ctx, r.src, r.j.Writer)
	if kept, ok := errors.AsType[errNotKept](err); ok || ctx.Err() != nil {
		return errors.Join(err, ctx.Err(), kept.err)
	}
	if err != nil {
		if err := r.uncounted(ctx, st, err); err != nil {
			return err
		}
		return r.copied(ctx, err.Error())
	}
	if st.diverged || r.j.Lost == nil {
		r.j.Lost = st.lost
	}
	if err := r.note(r.j); err != nil {
		return err
	}
	if anew {
		return r.copied(ctx, "asked for")
	}
	return r.keepData(ctx, h, st)
}

// keepData follows or rewinds, and copies where neither can be.
func (r *restoring) keepData(ctx context.Context, h events.ClusterHealth, st standing) error {
	var err error
	h.Server = events.ServerDown
	switch {
	case st.unsure:
		return r.copied(ctx, st.lost.Unread)
	case !st.diverged:
		if why := r.tooOld(ctx, st); why != "" {
			return r.copied(ctx, why)
		}
		err = r.rejoin(ctx, h, howFollowed)
	case st.fork == 0:
		return r.copied(ctx, fmt.Sprintf("this log is ahead of the source's (%v) on one timeline", r.src.lsn))
	case st.untouched():
		if err = r.trim(st); err == nil {
			r.j.Broken = false
			err = r.rejoin(ctx, h, howFollowed)
		}
	default:
		if err = r.rewound(ctx, st); err == nil {
			return nil
		}
	}
	if why, gone := errors.AsType[errGone](err); gone {
		return r.copied(ctx, string(why))
	}
	return err
}

// errGone is why the data can't be kept: from here on only a copy helps.
type errGone string

func (e errGone) Error() string { return string(e) }

func isGone(err error) bool { _, gone := errors.AsType[errGone](err); return gone }

// untouched reports whether the data's pages hold nothing past the fork although its log does: a standby's control file says up to where they may.
func (st *standing) untouched() bool {
	return st.standby() && st.minRecovery != 0 && st.minRecovery <= st.fork && st.minTimeline <= st.common && st.timeline <= st.common && st.checkpoint < st.fork
}

// canFollow reports whether a running standby holds nothing that the source does not have, as far as it has replayed and received.
func (r *restoring) canFollow(ctx context.Context, h events.ClusterHealth) bool {
	if r.j.Writer || h.Timeline == 0 || h.LSN == 0 || r.recoversOnly() {
		return false
	}
	ours, err := r.localHistory(h.Timeline)
	if err != nil {
		ours = ancestor(r.src.history, h.Timeline)
	}
	common, fork, after := parting(ours, r.src.history)
	return common == h.Timeline && len(after) <= 1 && (fork == 0 && h.LSN <= r.src.lsn || h.LSN <= fork) && r.missing(ctx, r.src, r.src.eraAt(h.LSN), h.LSN) == ""
}

// eraAt is the timeline of the source's that a position is on.
func (s source) eraAt(at events.LSN) uint32 {
	for _, e := range s.history {
		if e.end == 0 || at < e.end {
			return e.timeline
		}
	}
	return s.timeline
}

// tooOld says why the source can't send what comes after our log; empty = it can, or an archive may.
func (r *restoring) tooOld(ctx context.Context, st standing) string {
	end, err := r.logEnd(ctx, st)
	if err != nil {
		return "" // the standby will tell
	}
	if cmd, err := r.setting(ctx, "restore_command"); err == nil && cmd != "" {
		return ""
	}
	return r.missing(ctx, r.src, r.src.eraAt(end), end)
}

// logEnd is where the log of a server that is down ends.
func (d *Driver) logEnd(ctx context.Context, st standing) (events.LSN, error) {
	if st.end != 0 {
		return st.end, nil
	}
	if st.state == shutDown {
		return d.shutdownEnd(ctx, st.control)
	}
	from, timeline := st.checkpoint, st.timeline
	if st.minRecovery > from {
		from, timeline = st.minRecovery, st.minTimeline
	}
	s, err := d.scan(ctx, piece{timeline, from, 0}, st.block, st.seg, nil)
	return max(s.end, from), err
}

// halt ends a server that is in recovery, and waits until nobody of it is left. A copy may take hours: whoever made the server writable meanwhile had a
// reason, and its data is not replaced.
func (d *Driver) halt(ctx context.Context) error {
	all, err := processes(d.cfg.Data)
	if err != nil || len(all) == 0 {
		return err
	}
	switch h := d.now(ctx); h.Server {
	case events.ServerWritable:
		return refusal("somebody made it writable meanwhile")
	case events.ServerFrozen:
		return errors.New("it is frozen: thaw or kill it first")
	}
	if r := d.stop(ctx); r.Outcome == events.Unknown {
		return fmt.Errorf("stop it: %s", r.Why)
	}
	return d.gone(ctx)
}

// startupTitle is that of the process that replays the log, with the file it is at; a client's names a database and a host too, whoever that is.
var startupTitle = regexp.MustCompile(`^postgres: (?:\S+: )?startup(?: (?:recovering|waiting for) ([0-9A-F]{24})| (?:syncing|resetting) .*)?$`)

// inRecovery reports whether a server that answers nobody is replaying its log and will not become writable by itself.
func (d *Driver) inRecovery() bool {
	all, err := processes(d.cfg.Data)
	if _, signal := os.Stat(d.path(signalFile)); err != nil || signal != nil {
		return false
	}
	return slices.ContainsFunc(all, func(p process) bool { return startupTitle.MatchString(p.title) })
}
