package postgres

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// canaryMark is the message that our own write canary leaves in its transaction, as pg_waldump shows it.
const canaryMark = `MESSAGE transactional, prefix "` + canaryPrefix + `"`

// scan is what was read of a piece of our log.
type scan struct {
	records int64
	end     events.LSN // of the last whole record; 0 = there is none
	why     string     // what ended it, in pg_waldump's words
	own     map[uint32]bool
}

// commit is one that a scan found.
type commit struct {
	xid uint32
	lsn events.LSN
	at  time.Time
	own bool
}

// scan reads a piece of our log and hands over its commits in log order. That the log ends is no error: every log does.
func (d *Driver) scan(ctx context.Context, p piece, block, seg uint64, each func(commit) error) (scan, error) {
	s := scan{own: map[uint32]bool{}}
	files := d.files(p.timeline, p.from, p.end, seg)
	args := []string{"-p", d.path("pg_wal"), "-s", position(p.from)}
	at, _ := segmentStart(files[1], seg)
	whole := p.end > at && p.end <= at+events.LSN(seg)
	if whole { // else its files end before
		args = append(args, "-e", position(p.end))
	}
	args = append(args, files...)
	var last string
	var bad error
	err := d.child(ctx, func(line string) {
		if !strings.HasPrefix(line, "rmgr: ") || bad != nil {
			return
		}
		s.records++
		last = line
		if c, found := s.read(line); found && each != nil {
			bad = each(c)
		}
	}, func(line string) { s.why = line }, "pg_waldump", args...)
	switch {
	case bad != nil:
		return s, bad
	case ctx.Err() != nil:
		return s, err
	case err == nil && whole:
		s.why = ""
	case err == nil:
		s.why = "could not find file after " + files[1]
	case s.why == "":
		return s, err // it did not run
	}
	if last != "" {
		var err error
		if s.end, err = lineEnd(last, block, seg); err != nil {
			return s, err
		}
	}
	return s, nil
}

// lineEnd is where the record of a line of pg_waldump ends. A switch of the log takes the rest of its file: an archiving server makes one as it stops, and one that was
// killed right then has no file after it, although it knows that its log goes that far.
func lineEnd(line string, block, seg uint64) (events.LSN, error) {
	at, total, err := header(line)
	if err != nil {
		return 0, err
	}
	if strings.HasPrefix(line, "rmgr: XLOG ") && strings.HasSuffix(strings.TrimSpace(line), "desc: SWITCH") {
		return events.LSN((uint64(at)/seg + 1) * seg), nil
	}
	return recordEnd(at, total, block, seg), nil
}

func position(l events.LSN) string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

var recordHeader = regexp.MustCompile(`^rmgr: \S+\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*\d+, lsn: ([0-9A-F]+/[0-9A-F]+),`)

// header reads where a record begins and how long it is.
func header(line string) (at events.LSN, total uint64, err error) {
	m := recordHeader.FindStringSubmatch(line)
	if m == nil {
		return 0, 0, fmt.Errorf("read pg_waldump: line %q: want a record", line)
	}
	if total, err = strconv.ParseUint(m[1], 10, 32); err != nil {
		return 0, 0, fmt.Errorf("read pg_waldump: length %q: %w", m[1], err)
	}
	at, err = events.ParseLSN(m[2])
	return at, total, err
}

var (
	messageLine  = regexp.MustCompile(`tx:\s*(\d+), .* desc: ` + regexp.QuoteMeta(canaryMark))
	commitLine   = regexp.MustCompile(`tx:\s*(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), .* desc: COMMIT (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) `)
	preparedLine = regexp.MustCompile(`tx:\s*\d+, lsn: ([0-9A-F]+/[0-9A-F]+), .* desc: COMMIT_PREPARED (\d+): (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) `)
)

// read takes a commit out of a line, and remembers whose transaction is our canary's.
func (s *scan) read(line string) (c commit, found bool) {
	switch {
	case strings.HasPrefix(line, "rmgr: LogicalMessage"):
		if m := messageLine.FindStringSubmatch(line); m != nil {
			s.own[number32(m[1])] = true
		}
		return c, false
	case !strings.HasPrefix(line, "rmgr: Transaction"):
		return c, false
	}
	var xid, lsn, at string
	if m := commitLine.FindStringSubmatch(line); m != nil {
		xid, lsn, at = m[1], m[2], m[3]
	} else if m := preparedLine.FindStringSubmatch(line); m != nil {
		xid, lsn, at = m[2], m[1], m[3]
	} else {
		return c, false
	}
	c.xid = number32(xid)
	c.lsn, _ = events.ParseLSN(lsn) // the pattern admits nothing else
	c.at, _ = time.Parse("2006-01-02 15:04:05.999999", at)
	c.own = s.own[c.xid]
	delete(s.own, c.xid)
	return c, c.xid != 0
}

func number32(digits string) uint32 {
	n, _ := strconv.ParseUint(digits, 10, 32) // the pattern admits nothing else
	return uint32(n)
}

// fullXID completes a transaction id of the log by the control file's next one: the nearest, as ids go round every 2^32.
func fullXID(xid uint32, next uint64) uint64 {
	full := next>>32<<32 | uint64(xid)
	if delta := int64(full) - int64(next); delta > 1<<31 && full >= 1<<32 {
		return full - 1<<32
	} else if delta < -1<<31 {
		return full + 1<<32
	}
	return full
}

// segments lists the log files of a timeline that are here, by number, oldest first.
func (d *Driver) segments(timeline uint32, seg uint64) ([]uint64, error) {
	names, err := filepath.Glob(d.path(fmt.Sprintf("pg_wal/%08X????????????????", timeline)))
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, name := range names {
		base := filepath.Base(name)
		high, err := strconv.ParseUint(base[8:16], 16, 32)
		low, err2 := strconv.ParseUint(base[16:24], 16, 32)
		if err == nil && err2 == nil {
			all = append(all, high*(1<<32/seg)+low)
		}
	}
	slices.Sort(all)
	return all, nil
}

// segmentPath is a file of the log.
func (d *Driver) segmentPath(timeline uint32, n, seg uint64) string {
	per := 1 << 32 / seg
	return d.path(fmt.Sprintf("pg_wal/%08X%08X%08X", timeline, n/per, n%per))
}

// readable is from where on a piece can be read: its own beginning, or that of the oldest file left of it. There is none if no file is.
func (d *Driver) readable(p piece, seg uint64) (from events.LSN, some bool) {
	first := uint64(p.from) / seg
	if _, err := os.Stat(d.segmentPath(p.timeline, first, seg)); err == nil {
		return p.from, true
	}
	all, _ := d.segments(p.timeline, seg) // unreadable is as good as none
	for _, n := range all {
		if n > first && (p.end == 0 || n*seg < uint64(p.end)) {
			return events.LSN(n * seg), true
		}
	}
	return 0, false
}
