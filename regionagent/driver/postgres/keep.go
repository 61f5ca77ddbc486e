package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/switchback-dr/switchback/events"
)

// spare is what is left free when the log is kept, in bytes: a full disk would take down whoever else lives on it.
const spare = 64 << 20

// errNotKept is that evidence can't be written: then nothing may be overwritten.
type errNotKept struct{ err error }

func (e errNotKept) Error() string { return "keep the log that only this server has: " + e.err.Error() }

func (e errNotKept) Unwrap() error { return e.err }

// keep puts the log that only this server has into a directory of its own: its files, the histories, the list of commits and what was counted. What is
// kept is whole or not there.
func (d *Driver) keep(ctx context.Context, files []string, l *events.LostLog, k *keeper) error {
	name := fmt.Sprintf("lost-%d-%X-%X", l.Timeline, uint32(l.From>>32), uint32(l.From))
	final, part := d.beside(name), d.beside(name+".part")
	var size int64
	for _, f := range files {
		size += fileSize(f)
	}
	free, err := freeBytes(d.beside(""))
	if err == nil && free < size+spare {
		err = fmt.Errorf("%d bytes of it and %d to spare do not fit into the %d that are free in %s: make room there", size, int64(spare), free, d.beside(""))
	}
	if err == nil {
		err = d.erase(ctx, part)
	}
	if err == nil {
		err = d.makeBeside(filepath.Base(part))
	}
	if err == nil && len(files) > 0 {
		_, err = d.asOwner(ctx, "cp", append([]string{"--preserve=timestamps", "-t", part, "--"}, files...)...)
	}
	l.Kept = final
	if err == nil {
		err = d.finish(k, filepath.Join(part, "commits.jsonl"))
	}
	if err == nil {
		var b []byte
		b, _ = json.MarshalIndent(l, "", "  ") // numbers and texts
		err = d.write(filepath.Join(part, "lost.json"), string(b)+"\n")
	}
	if err == nil {
		err = d.syncAll(part)
	}
	if err == nil {
		err = d.erase(ctx, final) // of an earlier look at the same log, which is still whole
	}
	if err == nil {
		err = os.Rename(part, final)
	}
	if err == nil {
		err = syncDir(d.beside(""))
	}
	if err != nil {
		l.Kept = ""
		return errNotKept{err}
	}
	return nil
}

// uncounted keeps the whole log of a former active of which nobody can say where it parts from the source's.
func (r *restoring) uncounted(ctx context.Context, st standing, why error) error {
	r.log.Warn("the loss can't be counted", "err", why)
	r.j.Lost = &events.LostLog{Timeline: st.tip, Unread: why.Error()}
	files, err := filepath.Glob(r.path("pg_wal/[0-9A-F]*"))
	if !r.j.Writer || err != nil || len(files) == 0 {
		return r.note(r.j)
	}
	k, err := r.keeper(r.j.Lost)
	if err != nil {
		return err
	}
	defer k.drop()
	if err := r.keep(ctx, files, r.j.Lost, k); err != nil {
		return err
	}
	return r.note(r.j)
}

// syncAll makes the files of a directory durable, and nobody else's: a sync of the whole file system would wait for all that a database writes.
func (d *Driver) syncAll(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return err
	}
	for _, name := range append(names, dir) {
		if err := syncDir(name); err != nil {
			return err
		}
	}
	return nil
}

// evidence is the files of the log after the fork, and the histories.
func (d *Driver) evidence(st *standing) []string {
	var files []string
	for _, p := range st.after {
		all, _ := d.segments(p.timeline, st.seg) // what can't be read can't be kept; the count says so
		for _, n := range all {
			if n >= uint64(p.from)/st.seg && (p.end == 0 || n*st.seg < uint64(p.end)) && (st.end == 0 || n*st.seg < uint64(st.end) || p.timeline != st.tip) {
				files = append(files, d.segmentPath(p.timeline, n, st.seg))
			}
		}
	}
	histories, _ := filepath.Glob(d.path("pg_wal/*.history")) // the only error is a bad pattern
	return append(files, histories...)
}

// erase removes a file or directory of ours, as the owner, who can reach no further than that user's own.
func (d *Driver) erase(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); os.IsNotExist(err) {
		return nil
	}
	if _, err := d.asOwner(ctx, "rm", "-rf", "--", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// asOwner runs a program of the system as the server's owner.
func (d *Driver) asOwner(ctx context.Context, name string, args ...string) (string, error) {
	return d.run(ctx, os.Geteuid() == 0, name, args...)
}

// freeBytes is what an ordinary user may still write where a path is.
func freeBytes(path string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("look for free space in %s: %w", path, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}
