package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// rewound turns the data back to the fork by pg_rewind and starts it as a follower. Where pg_rewind can't, errGone says why.
func (r *restoring) rewound(ctx context.Context, st standing) error {
	if err := r.checkpointed(ctx, r.src); err != nil {
		if late, ok := errors.AsType[errNotCheckpointed](err); ok || ctx.Err() != nil {
			return errors.Join(late, ctx.Err())
		}
		return errGone("the rewind's role can't look at the source: " + err.Error())
	}
	if st.state == "in production" && st.minRecovery != 0 {
		return errGone("it was killed before its first checkpoint since its promotion: nobody can say which of its pages changed")
	}
	if err := r.saveSite(ctx); err != nil {
		return err
	}
	if err := r.pointAt(upstream{source: r.src.address}); err != nil { // restore_command counts again
		return err
	}
	if !st.clean() {
		if err := r.recover(ctx, st); err != nil {
			return err
		}
	}
	if err := r.rewind(ctx); err != nil {
		return err
	}
	r.reach("rewound")
	r.j.Stage, r.j.How = stageDress, howRewound
	if err := r.note(r.j); err != nil {
		return err
	}
	return r.dressed(ctx)
}

// dressed makes the data this cluster's again and starts it.
func (r *restoring) dressed(ctx context.Context) error {
	err := r.halt(ctx) // somebody may have started it around us
	if err == nil {
		err = r.dress(ctx)
	}
	if err != nil {
		return err
	}
	if err := r.bar(false); err != nil {
		return err
	}
	r.j.Broken = false
	return r.rejoin(ctx, events.ClusterHealth{Server: events.ServerDown}, r.j.How)
}

// recover brings a crashed server's data to the end of its log, without a way in for anybody: pg_rewind's own recovery refuses a directory that holds
// standby.signal (facts, measured), and a client that keeps knocking must not hold up the stop (facts: 9 of 10 of a peer's failed rejoins).
func (r *restoring) recover(ctx context.Context, st standing) error {
	r.progress.enter(phaseRecover)
	conf, err := r.configFile()
	if err != nil {
		return err
	}
	end, err := r.logEnd(ctx, st)
	if err != nil {
		return err
	}
	dir := r.private()
	if dir == r.beside(runDir) {
		err = r.makeBeside(runDir)
	} else {
		err = r.makeOwned(dir)
	}
	if err == nil {
		err = errors.Join(r.placeSignal(), r.forgetStalePID(ctx))
	}
	if err == nil {
		_, err = remove(r.path("recovery.signal"))
	}
	if err != nil {
		return err
	}
	var options strings.Builder
	for _, o := range [][2]string{
		{"config_file", conf}, {"listen_addresses", ""}, {"unix_socket_directories", dir}, {"hot_standby", "off"}, {"primary_conninfo", ""}, {"restore_command", ""},
		{"recovery_target_timeline", fmt.Sprint(st.tip)}, {"archive_mode", "off"}, {"logging_collector", "off"},
	} {
		fmt.Fprintf(&options, "-c %s='%s' ", o[0], o[1])
	}
	logged := fileSize(r.beside(recoverLog))
	if _, err := r.tool(ctx, "pg_ctl", "start", "--no-wait", "-D", r.cfg.Data, "-l", r.beside(recoverLog), "-o", options.String()); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	err = r.recovered(ctx, st, end, logged)
	if err = errors.Join(err, r.halt(ctx)); err != nil {
		return err
	}
	if c, err := r.Driver.control(ctx); err != nil || !c.clean() {
		return fmt.Errorf("it recovered, but its control file says %q (%v): ask again", c.state, err)
	}
	return nil
}

// recovered waits until the control file says that all of the log is in the data. A standby's pages are never ahead of what its control file says, so
// it may stop at any time once it has begun: what is not there yet can't be stopped, and would come up in the middle of the rewind.
func (r *restoring) recovered(ctx context.Context, st standing, end events.LSN, logged int64) error {
	began := time.Now()
	return poll(ctx, ready, func() (bool, error) {
		c, err := r.Driver.control(ctx)
		if at, _ := r.replaying(); err == nil && at != "" && c.state == inArchiveRecovery && (st.standby() || c.minRecovery >= end) {
			return true, nil
		}
		if all, err := processes(r.cfg.Data); err == nil && len(all) == 0 && time.Since(began) > appear {
			return false, errGone("its own recovery failed: " + r.tail(r.beside(recoverLog), logged))
		}
		return false, nil
	})
}

// rewind runs pg_rewind. From when it overwrites the first file until it is through, the data is of no use to anybody.
func (r *restoring) rewind(ctx context.Context) error {
	r.progress.enter(phaseRewind)
	args := []string{"-D", r.cfg.Data, "--source-server=" + r.conninfo(r.src.address) + " dbname=postgres", "--progress"}
	if cmd, err := r.setting(ctx, "restore_command"); err == nil && cmd != "" {
		conf, err := r.configFile()
		if err != nil {
			return err
		}
		args = append(args, "-c", "--config-file="+conf)
	}
	r.j.Stage, r.j.Broken = stageRewind, true
	if err := r.note(r.j); err != nil {
		return err
	}
	if err := r.bar(true); err != nil {
		return err
	}
	touched, unneeded := false, false
	watched, done := context.WithCancel(ctx)
	defer done()
	go r.keepSignal(watched)
	err := r.child(ctx, func(string) {}, func(line string) {
		touched = touched || strings.Contains(line, "need to copy")
		unneeded = unneeded || strings.Contains(line, "no rewind required")
		r.progress.read(line)
	}, "pg_rewind", args...)
	r.j.Copied += r.progress.bytes()
	done()
	if bad := r.placeSignal(); bad != nil { // it may have been deleted last of all
		return errors.Join(err, bad)
	}
	if err == nil && !unneeded {
		return nil
	}
	if !touched {
		r.j.Stage, r.j.Broken = stageBegun, false
		if note := errors.Join(r.note(r.j), r.bar(false)); note != nil {
			return note
		}
	}
	switch {
	case ctx.Err() != nil:
		return err
	case unneeded:
		return errGone("pg_rewind sees no fork where this log has one")
	}
	if all, look := processes(r.cfg.Data); !touched && (look != nil || len(all) > 0) { // no reason to copy it all
		return fmt.Errorf("somebody started it meanwhile: ask again: %w", err)
	}
	return errGone(classify(err))
}

// bar keeps everybody from starting a server on data that is half rewound: a service manager does just that, again and again, and what comes up there never ends by
// itself. PostgreSQL refuses a data directory that its group may write to; pg_rewind does not mind.
func (d *Driver) bar(on bool) error {
	const groupMayWrite = 0o020
	dir, err := os.Open(d.cfg.Data)
	if err != nil {
		return fmt.Errorf("bar starts: %w", err)
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err == nil && info.Sys().(*syscall.Stat_t).Uid != d.owner.uid { // a link may lead anywhere
		err = fmt.Errorf("%s is not %s's", d.cfg.Data, d.cfg.User)
	}
	if err != nil {
		return fmt.Errorf("bar starts: %w", err)
	}
	mode := info.Mode().Perm() &^ groupMayWrite
	if on {
		mode |= groupMayWrite
	}
	if mode == info.Mode().Perm() {
		return nil
	}
	if err := errors.Join(dir.Chmod(mode), dir.Sync()); err != nil {
		return fmt.Errorf("bar starts: %w", err)
	}
	return nil
}

// keepSignal re-places the signal file while pg_rewind deletes what the source does not have.
func (d *Driver) keepSignal(ctx context.Context) {
	_ = poll(ctx, slow, func() (bool, error) { // until ctx ends
		if _, err := os.Lstat(d.path(signalFile)); os.IsNotExist(err) {
			if err := d.placeSignal(); err != nil {
				d.log.Warn("re-place signal file", "err", err)
			}
		}
		return false, nil
	})
}

// classify puts the reason of pg_rewind's failure before its words.
func classify(err error) string {
	text := err.Error()
	for _, c := range []struct{ has, why string }{
		{"could not open file", "the log since the fork is not all there"},
		{"could not find previous WAL record", "the log since the fork is not all there"},
		{"could not restore file", "the archive has not the log since the fork"},
		{"permission denied", "the rewind's role lacks the right to read the source's files"},
		{"must be shut down cleanly", "it was not shut down cleanly"},
		{"needs to use either data checksums", "neither wal_log_hints nor checksums are on"},
		{"could not find common ancestor", "the logs have no common beginning"},
		{"could not connect", "the source does not let it in"},
		{"connection to server", "the source does not let it in"},
	} {
		if strings.Contains(text, c.has) {
			return c.why + ": " + text
		}
	}
	return text
}

// ownTop is what belongs to PostgreSQL, or to us, at the top of a data directory; everything else small is the site's.
var ownTop = []string{"base", "global", "log", "PG_VERSION", "backup_label", "backup_manifest", "tablespace_map", "current_logfiles", "postmaster.opts", "postmaster.pid", "recovery.signal", signalFile}

// siteLimit is how large a file at the top of a data directory may be to be taken for configuration, in bytes.
const siteLimit = 1 << 20

// site lists the site's own files at the top of a directory: configuration, keys, a directory of snippets.
func site(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if slices.Contains(ownTop, name) || strings.HasPrefix(name, "pg_") && !strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, "switchback.") || strings.HasPrefix(name, ".switchback-") {
			continue
		}
		if info, err := e.Info(); err == nil && (info.IsDir() && strings.HasSuffix(name, ".d") || info.Mode()&os.ModeSymlink != 0 || info.Mode().IsRegular() && info.Size() <= siteLimit) {
			names = append(names, name)
		}
	}
	return names, nil
}

// saveSite keeps the site's own files beside the data, once: a rewind or a copy brings the other side's, with its port, its slots and its gates.
func (r *restoring) saveSite(ctx context.Context) error {
	if _, err := os.Stat(r.beside(siteDir)); err == nil && r.j.Broken {
		return nil // from before something was overwritten
	}
	names, err := site(r.cfg.Data)
	if os.IsNotExist(err) {
		names, err = nil, nil
	}
	part := siteDir + ".part"
	if err == nil {
		err = r.erase(ctx, r.beside(part))
	}
	if err == nil {
		err = r.makeBeside(part)
	}
	if err == nil && len(names) > 0 {
		args := []string{"-a", "-t", r.beside(part), "--"}
		for _, n := range names {
			args = append(args, r.path(n))
		}
		_, err = r.asOwner(ctx, "cp", args...)
	}
	if err == nil {
		err = r.syncAll(r.beside(part))
	}
	if err == nil {
		err = r.erase(ctx, r.beside(siteDir))
	}
	if err == nil {
		err = os.Rename(r.beside(part), r.beside(siteDir))
	}
	if err != nil {
		return fmt.Errorf("save the site's settings: %w", err)
	}
	return syncDir(r.beside(""))
}

// putSite puts them into a directory, over what the other side brought.
func (r *restoring) putSite(ctx context.Context, dir string) error {
	names, err := site(r.beside(siteDir))
	if err == nil && len(names) > 0 {
		args := []string{"-a", "-T", "--"}
		for _, n := range names {
			if err = r.erase(ctx, filepath.Join(dir, n)); err == nil {
				_, err = r.asOwner(ctx, "cp", append(args, filepath.Join(r.beside(siteDir), n), filepath.Join(dir, n))...)
			}
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("put back the site's settings: %w", err)
	}
	return syncDir(dir)
}

// dress makes a directory that holds the other side's files this cluster's again: the signal file first, then the site's settings and ours, and nothing
// of the other side's word on whose log it is.
func (r *restoring) dress(ctx context.Context) error {
	if err := r.placeSignal(); err != nil {
		return err
	}
	if err := r.putSite(ctx, r.cfg.Data); err != nil {
		return err
	}
	for _, name := range []string{writerFile, markFile, copyFile} {
		if _, err := remove(r.path(name)); err != nil {
			return err
		}
	}
	if r.j.Group != "" {
		if _, err := r.writeOwn(markFile, own{Group: r.j.Group}); err != nil {
			return err
		}
	}
	if err := r.settleIn(ctx); err != nil {
		return err
	}
	err := errors.Join(r.render(), r.dropAlterSystem(append(neutralSettings, upstreamSettings...)))
	if err == nil {
		_, err = r.setUpstream(upstream{source: r.src.address})
	}
	return err
}
