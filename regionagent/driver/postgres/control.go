package postgres

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// control is what pg_controldata says of a data directory.
type control struct {
	state       string
	systemID    string
	checkpoint  events.LSN // START of the latest checkpoint record
	timeline    uint32     // of that checkpoint: the old one until a promoted server has checkpointed
	minRecovery events.LSN
	minTimeline uint32
	block, seg  uint64 // WAL block and segment sizes in bytes
	nextXID     uint64 // as of that checkpoint
}

// The control file's states that decide something.
const (
	shutDown           = "shut down"
	shutDownInRecovery = "shut down in recovery"
	inArchiveRecovery  = "in archive recovery"
)

func (c control) clean() bool { return c.state == shutDown || c.state == shutDownInRecovery }

// standby reports whether the data was last run as a standby: its log may be somebody else's.
func (c control) standby() bool { return c.state == shutDownInRecovery || c.state == inArchiveRecovery }

// tip is the newest timeline the control file knows of.
func (c control) tip() uint32 { return max(c.timeline, c.minTimeline) }

func (d *Driver) control(ctx context.Context) (control, error) {
	out, err := d.tool(ctx, "pg_controldata", "-D", d.cfg.Data)
	if err != nil {
		return control{}, err
	}
	return parseControl(out)
}

// rememberedControl is what a control file said, with the signs by which one sees that it was not written since.
type rememberedControl struct {
	control control
	file    os.FileInfo
}

// controlOld is how long a control file must have been left alone before what it says is remembered: file systems write times in steps of some milliseconds.
const controlOld = 2 * time.Second

// leftAs is what the control file of a server that is down says, for probes: it is read anew only once it was written. Whatever decides something asks control.
func (d *Driver) leftAs(ctx context.Context) (control, error) {
	file, err := os.Stat(d.path("global/pg_control"))
	if err != nil {
		return control{}, fmt.Errorf("look at the control file: %w", err)
	}
	if r := d.lastControl.Load(); r != nil && os.SameFile(r.file, file) && r.file.ModTime().Equal(file.ModTime()) && r.file.Size() == file.Size() {
		return r.control, nil
	}
	c, err := d.control(ctx)
	if err == nil && time.Since(file.ModTime()) > controlOld {
		d.lastControl.Store(&rememberedControl{c, file})
	}
	return c, err
}

func parseControl(out string) (control, error) {
	field := map[string]string{}
	for line := range strings.Lines(out) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			field[k] = strings.TrimSpace(v)
		}
	}
	var first error
	number := func(k string, bits int) uint64 {
		n, err := strconv.ParseUint(field[k], 10, bits)
		if err != nil && first == nil {
			first = fmt.Errorf("read pg_controldata: %s is %q: want a number", k, field[k])
		}
		return n
	}
	lsn := func(k string) events.LSN {
		l, err := events.ParseLSN(field[k])
		if err != nil && first == nil {
			first = fmt.Errorf("read pg_controldata: %s: %w", k, err)
		}
		return l
	}
	c := control{
		state: field["Database cluster state"], systemID: field["Database system identifier"],
		checkpoint: lsn("Latest checkpoint location"), timeline: uint32(number("Latest checkpoint's TimeLineID", 32)),
		minRecovery: lsn("Minimum recovery ending location"), minTimeline: uint32(number("Min recovery ending loc's timeline", 32)),
		block: number("WAL block size", 64), seg: number("Bytes per WAL segment", 64),
	}
	epoch, xid, _ := strings.Cut(field["Latest checkpoint's NextXID"], ":")
	hi, err := strconv.ParseUint(epoch, 10, 32)
	lo, err2 := strconv.ParseUint(xid, 10, 32)
	if c.nextXID = hi<<32 | lo; first == nil && (err != nil || err2 != nil) {
		first = fmt.Errorf("read pg_controldata: NextXID is %q: want epoch:xid", field["Latest checkpoint's NextXID"])
	}
	if first == nil && (c.state == "" || c.block == 0 || c.seg < c.block) {
		first = fmt.Errorf("read pg_controldata: no state or sizes in its answer")
	}
	return c, first
}

var shutdownRecord = regexp.MustCompile(`len \(rec/tot\):\s*\d+/\s*(\d+),.* lsn: ([0-9A-F]+/[0-9A-F]+),.* desc: CHECKPOINT_SHUTDOWN`)

// shutdownEnd is the END of the shutdown checkpoint record, where the log ends: the control file has only its start (facts: L is the START
// of the record, measured L=0/4000028, received 0/40000A0).
func (d *Driver) shutdownEnd(ctx context.Context, c control) (events.LSN, error) {
	out, err := d.tool(ctx, "pg_waldump", append([]string{"-p", d.path("pg_wal"), "-s", c.checkpoint.String(), "-n", "1"}, d.files(c.timeline, c.checkpoint, 0, c.seg)...)...)
	if err != nil {
		return 0, err
	}
	m := shutdownRecord.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("read record at %v: want a shutdown checkpoint, found %q", c.checkpoint, strings.TrimSpace(out))
	}
	if at, err := events.ParseLSN(m[2]); err != nil || at != c.checkpoint {
		return 0, fmt.Errorf("read record at %v: pg_waldump showed the one at %s", c.checkpoint, m[2])
	}
	total, err := strconv.ParseUint(m[1], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read record at %v: length %q: %w", c.checkpoint, m[1], err)
	}
	return recordEnd(c.checkpoint, total, c.block, c.seg), nil
}

// recordAt reports whether a whole record begins at a position.
func (d *Driver) recordAt(ctx context.Context, timeline uint32, at events.LSN) bool {
	c, err := d.control(ctx)
	if err != nil {
		return false
	}
	_, err = d.tool(ctx, "pg_waldump", append([]string{"-q", "-p", d.path("pg_wal"), "-s", at.String(), "-n", "1"}, d.files(timeline, at, 0, c.seg)...)...)
	return err == nil
}

// files names the first and the last file of the log that pg_waldump is to read, from a position to an end (0 = as far as there are any). Named none, it learns how large
// they are from any file it finds, and one that was made for later and never written (no header yet) ends it with an error, whatever was asked for.
func (d *Driver) files(timeline uint32, from, end events.LSN, seg uint64) []string {
	name := func(no uint64) string { // 256 or fewer files to each 4 GiB
		per := uint64(1<<32) / seg
		return fmt.Sprintf("%08X%08X%08X", timeline, no/per, no%per)
	}
	first := uint64(from) / seg
	last := name(first)
	all, _ := os.ReadDir(d.path("pg_wal")) // pg_waldump will say what is wrong with it
	for _, e := range all {
		if n := e.Name(); len(n) == 24 && strings.HasPrefix(n, name(0)[:8]) && n > last && (end == 0 || n <= name((uint64(end)-1)/seg)) {
			last = n
		}
	}
	return []string{name(first), last}
}

// recordEnd is where a record ends as PostgreSQL counts it: aligned to 8 bytes, and past the header of every page it runs into (24 bytes,
// 40 on the first page of a segment).
func recordEnd(start events.LSN, total, block, seg uint64) events.LSN {
	pos, left := uint64(start), total
	for {
		room := block - pos%block
		if left <= room {
			return events.LSN(pos + min((left+7)&^7, room))
		}
		pos, left = pos+room, left-room
		if pos%seg == 0 {
			pos += 40
		} else {
			pos += 24
		}
	}
}

// Delivered reports whether a standby that replayed up to `replayed` holds everything of a server whose clean stop answered with `stop`. The
// stop's LSN is the end of the shutdown checkpoint, so reaching it is enough; of the START of that record, as the control file has it, the
// standby must be strictly past. Unknown (0) on either side is never delivered: a clean stop proves nothing by itself (facts: frozen
// walreceiver).
func Delivered(stop, replayed events.LSN) bool { return stop != 0 && replayed >= stop }

// Lost is how many bytes of log a promotion at `promoted` leaves behind of what the old active is known to have `written`; a lower bound
// unless written is where its log ended. Unknown on either side: not known.
func Lost(written, promoted events.LSN) events.Loss {
	if written == 0 || promoted == 0 {
		return events.Loss{}
	}
	return events.Loss{Known: true, Bytes: int64(max(written, promoted) - promoted)}
}
