package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// copyFile marks a directory that is a whole copy and not yet anybody's data.
const copyFile = "switchback.copy"

// copied makes a new copy of the source beside the data, which stays as it is until the copy streams in its place.
func (r *restoring) copied(ctx context.Context, why string) error {
	r.log.Info("copies the source", "source", r.src.address, "why", why)
	if err := r.halt(ctx); err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return fmt.Errorf("%w (a copy is needed: %s)", err, why)
	}
	if r.empty() {
		r.j.Fresh = true
	}
	if err := r.saveSite(ctx); err != nil {
		return err
	}
	r.j.Stage, r.j.How = stageCopy, howCopied
	if err := r.note(r.j); err != nil {
		return err
	}
	if err := r.basebackup(ctx); err != nil {
		if ctx.Err() == nil {
			err = errors.Join(err, r.erase(ctx, r.beside(newDir)))
		}
		return fmt.Errorf("%w (a copy is needed: %s)", err, why)
	}
	r.reach("fetched")
	if err := r.ready(ctx); err != nil {
		return err
	}
	r.reach("ready")
	r.j.Stage = stageSwap
	if err := r.note(r.j); err != nil {
		return err
	}
	if err := r.swap(ctx); err != nil {
		return err
	}
	return r.dressed(ctx)
}

// noSlotFree is what a source says that has no slot to spare for a copy.
var noSlotFree = regexp.MustCompile(`all replication slots are in use|max_replication_slots`)

// basebackup fetches the copy and checks it against its manifest.
func (r *restoring) basebackup(ctx context.Context) error {
	if err := r.erase(ctx, r.beside(newDir)); err != nil {
		return err
	}
	r.progress.enter(phaseCopy)
	args := []string{"-D", r.beside(newDir), "-d", r.conninfo(r.src.address) + " dbname=postgres application_name=switchback_copy", "-X", "stream", "-c", "fast", "--progress", "--no-password"}
	slot, _ := r.slotAt(ctx, r.src.address)
	if slot == "" {
		slot = r.cfg.Replication.Slot
	}
	if slot != "" { // else its own temporary one, which goes with its connection: a source recycles its log while hours are copied
		args = append(args, "-S", slot)
	}
	if rate := r.cfg.RebuildRate; rate > 0 {
		args = append(args, "--max-rate="+strconv.FormatInt((rate+1<<10-1)>>10, 10))
	}
	silent := func(string) {}
	err := r.child(ctx, silent, r.progress.read, "pg_basebackup", args...)
	if err != nil && slot == "" && noSlotFree.MatchString(err.Error()) {
		err = r.child(ctx, silent, r.progress.read, "pg_basebackup", append(args, "--no-slot")...)
	}
	r.j.Copied += r.progress.bytes()
	if err != nil {
		return err
	}
	r.progress.enter(phaseVerify)
	return r.child(ctx, silent, silent, "pg_verifybackup", r.beside(newDir))
}

// ready makes a copy harmless to whoever starts it: read-only, with the site's settings, and without the other side's word on whose log it is.
func (r *restoring) ready(ctx context.Context) error {
	at := func(name string) string { return filepath.Join(r.beside(newDir), name) }
	if err := r.write(at(signalFile), ""); err != nil {
		return err
	}
	for _, name := range []string{neutralFile, upstreamFile, writerFile, markFile, logFile, "recovery.signal"} {
		if _, err := remove(at(name)); err != nil {
			return err
		}
	}
	if err := r.putSite(ctx, r.beside(newDir)); err != nil {
		return err
	}
	if _, err := os.Stat(at("postgresql.conf")); err != nil {
		if conf, err := r.configFile(); err != nil || filepath.Dir(conf) == r.cfg.Data {
			return refusal(fmt.Sprintf("the source keeps its settings outside its data, so the copy has none: put a postgresql.conf and a pg_hba.conf for this server into %s", r.cfg.Data))
		}
	}
	return r.write(at(copyFile), r.j.Step+"\n")
}

// swap puts the copy in the data's place, in one step where the file system can exchange two names. It can be interrupted anywhere, and done again.
func (r *restoring) swap(ctx context.Context) error {
	has := func(dir string) bool { _, err := os.Lstat(filepath.Join(dir, copyFile)); return err == nil }
	data, fresh, old := r.cfg.Data, r.beside(newDir), r.beside(oldDir)
	if !has(data) {
		if !has(fresh) {
			return fmt.Errorf("neither %s nor %s is the copy that was made", data, fresh)
		}
		if err := r.halt(ctx); err != nil {
			return err
		}
		if err := r.exchange(fresh, data, r.beside(asideDir)); err != nil {
			return fmt.Errorf("put the copy in the data's place: %w", err)
		}
	}
	r.reach("swapped")
	for _, left := range []string{fresh, r.beside(asideDir)} {
		var err error
		switch _, look := os.Lstat(left); {
		case os.IsNotExist(look):
		case exists(old): // of a copy before this one, which never streamed: nothing of it is anybody's only copy
			err = r.erase(ctx, left)
		default:
			err = os.Rename(left, old)
		}
		if err != nil {
			return fmt.Errorf("put the old data aside: %w", err)
		}
	}
	if err := errors.Join(syncDir(filepath.Dir(data)), syncDir(r.beside(""))); err != nil {
		return err
	}
	r.reach("aside")
	r.forgetPlace()
	r.j.Stage, r.j.Broken = stageDress, true
	return r.note(r.j)
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// exchange gives `to` the name of `from` and the other way round; where `to` is not there, or the file system can't do it in one step, `to` goes aside
// first.
func (d *Driver) exchange(from, to, aside string) error {
	err := error(syscall.EINVAL)
	if !d.twoNames {
		err = unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOENT):
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		if err := os.Rename(to, aside); err != nil && !os.IsNotExist(err) {
			return err
		}
		d.reach("between")
	default:
		return err
	}
	return os.Rename(from, to)
}

// empty reports whether there is no database in the data's place.
func (d *Driver) empty() bool {
	for _, name := range []string{"PG_VERSION", "global", "base"} {
		if exists(d.path(name)) {
			return false
		}
	}
	return true
}

// room says why a copy can't be made here: a place that can't be exchanged, or not enough of it.
func (r *restoring) room(ctx context.Context) error {
	if err := r.makeBeside(""); err != nil {
		return err
	}
	if err := r.movable(); err != nil {
		return err
	}
	if err := r.erase(ctx, r.beside(newDir)); err != nil { // what an interrupted copy left takes room
		return err
	}
	free, err := freeBytes(r.beside(""))
	if err != nil {
		return err
	}
	need, spaces, err := r.sourceSize(ctx)
	switch {
	case err != nil: // its role may not look: the copy will tell
		r.log.Warn("how large the source is is not known", "err", err)
	case spaces > 0:
		return refusal(fmt.Sprintf("the source has %d tablespaces of its own, whose places are not known here: copy it by hand", spaces))
	}
	if free < need+spare {
		return refusal(fmt.Sprintf("a copy needs %d bytes and %d to spare, %s has %d free: make room, or remove the data there by hand if it is of no use", need, int64(spare), filepath.Dir(r.cfg.Data), free))
	}
	return nil
}

// movable says why the data directory can't be put aside.
func (d *Driver) movable() error {
	info, err := os.Lstat(d.cfg.Data)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return refusal(fmt.Sprintf("data %s is no directory but %v: give data as the directory itself, so that a copy can take its place", d.cfg.Data, info.Mode().Type()))
	}
	parent, err := os.Stat(filepath.Dir(d.cfg.Data))
	if err != nil {
		return err
	}
	var st unix.Statx_t // a bind mount may be of the same device
	if err := unix.Statx(unix.AT_FDCWD, d.cfg.Data, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st); err != nil {
		st.Attributes = 0 // an old kernel: the exchange will tell
	}
	if info.Sys().(*syscall.Stat_t).Dev != parent.Sys().(*syscall.Stat_t).Dev || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return refusal(fmt.Sprintf("data %s is a mount point: a copy can't take its place; use a directory in it", d.cfg.Data))
	}
	if own, err := os.Stat(d.beside("")); err == nil && own.Sys().(*syscall.Stat_t).Dev != parent.Sys().(*syscall.Stat_t).Dev {
		return refusal(fmt.Sprintf("%s is on another file system than the data: a copy made there can't take its place", d.beside("")))
	}
	if wal, err := os.Lstat(d.path("pg_wal")); err == nil && !wal.IsDir() {
		return refusal(fmt.Sprintf("%s is no directory of its own: a copy would leave it behind; copy it by hand", d.path("pg_wal")))
	}
	if spaces, err := os.ReadDir(d.path("pg_tblspc")); err == nil && len(spaces) > 0 {
		return refusal(fmt.Sprintf("data %s has %d tablespaces: a copy would write over theirs; copy it by hand", d.cfg.Data, len(spaces)))
	}
	if !d.empty() {
		return nil
	}
	entries, err := os.ReadDir(d.cfg.Data)
	if err != nil {
		return err
	}
	sites, err := site(d.cfg.Data)
	if foreign := len(entries) - len(sites); err == nil && foreign > 0 {
		for _, e := range entries { // what we left ourselves is nobody's
			if strings.HasPrefix(e.Name(), "switchback.") || e.Name() == signalFile {
				foreign--
			}
		}
		if foreign > 0 {
			return refusal(fmt.Sprintf("data %s holds no database, but %d things that are no settings either: want an empty directory", d.cfg.Data, foreign))
		}
	}
	return err
}

// sourceSize is how large a copy will be in bytes, with the log it may take, and how many tablespaces of its own the source has.
func (r *restoring) sourceSize(ctx context.Context) (size int64, spaces int, err error) {
	c, err := r.dialSource(ctx, r.src.address, false)
	if err != nil {
		return 0, 0, err
	}
	defer hangUp(c)
	row, err := query(ctx, c, `SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database WHERE has_database_privilege(oid, 'CONNECT'))
 + (SELECT setting::bigint << 20 FROM pg_settings WHERE name = 'max_wal_size') / 2, (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global'))`)
	if err != nil {
		return 0, 0, err
	}
	size, err = strconv.ParseInt(row[0], 10, 64)
	spaces, err2 := strconv.Atoi(row[1])
	return size, spaces, errors.Join(err, err2)
}

// settleIn gives a server whose settings are the source's its own place to listen: they may live on one host.
func (r *restoring) settleIn(ctx context.Context) error {
	if !r.j.Fresh {
		return nil
	}
	var b strings.Builder
	if host, port, err := net.SplitHostPort(r.cfg.Advertise); err == nil {
		fmt.Fprintf(&b, "port = %s\nlisten_addresses = '%s'\n", port, host)
	}
	dirs, err := r.setting(ctx, "unix_socket_directories")
	if err != nil {
		return fmt.Errorf("read the copied settings: %w", err)
	}
	for dir := range strings.SplitSeq(dirs, ",") {
		if dir = strings.TrimSpace(dir); dir != "" && !strings.HasPrefix(dir, "@") && !exists(dir) {
			own := "/tmp"
			if exists("/var/run/postgresql") {
				own = "/var/run/postgresql"
			}
			fmt.Fprintf(&b, "unix_socket_directories = '%s'\n", own)
			break
		}
	}
	_, err = r.writeIfChanged(r.beside(identityFile), b.String())
	return errors.Join(err, r.dropAlterSystem([]string{"port", "listen_addresses", "unix_socket_directories"}))
}
