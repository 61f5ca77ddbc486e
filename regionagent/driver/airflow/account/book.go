package account

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// head is the first line of a ledger's file: what does not change.
type head struct {
	Version   int               `json:"version"` // 1
	No        uint64            `json:"no"`      // counts the ledgers of this cluster, so that the newest is known
	Operation string            `json:"operation"`
	Local     bool              `json:"local,omitempty"`
	Group     string            `json:"group"`
	Epoch     events.Epoch      `json:"epoch"`
	Policy    events.TaskPolicy `json:"policy"`
	Window    events.TaskWindow `json:"window"`
	Entries   int               `json:"entries"` // lines that follow with an entry each, in order
}

// line is every other line: an entry as it is from here on, an intent, a retry that was taken, or that all of it was told. An entry ends the intent of its place.
type line struct {
	I      int               `json:"i,omitempty"`
	Entry  *events.TaskEntry `json:"entry,omitempty"`
	Intent *tasks.Intent     `json:"intent,omitempty"`
	Retry  *events.TaskRetry `json:"retry,omitempty"`
	Told   bool              `json:"told,omitempty"` // the bus has every piece as it was here
}

// book is one ledger, and the file it stands in: JSON lines, only ever appended to. Not for concurrent use.
type book struct {
	head
	path     string
	file     *os.File
	entries  []events.TaskEntry
	intents  map[int]tasks.Intent
	revision []uint64 // of each piece: how many lines touched it
	retry    uint64   // the last one taken
	told     bool
	stuck    string
	refused  map[int]int // definite refusals in a row, by entry
	fresh    time.Time   // when this process read it, or a person last had something of it retried
}

// create puts a new ledger on disk, whole or not at all.
func create(path string, h head, es []events.TaskEntry) (*book, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	h.Version, h.Entries = 1, len(es)
	err := enc.Encode(h)
	for i := range es {
		err = errors.Join(err, enc.Encode(line{I: i, Entry: &es[i]}))
	}
	if err == nil {
		err = ledger.Replace(path, b.Bytes())
	}
	if err != nil {
		return nil, fmt.Errorf("put the ledger of %s on disk: %w", h.Operation, err)
	}
	return open(path)
}

// open reads a ledger back. A torn last line is what a crash left of a write that nothing followed: it is cut off. Anything else that can't be read is an error, never skipped.
func open(path string) (*book, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	whole := raw[:bytes.LastIndexByte(raw, '\n')+1]
	b := &book{path: path, intents: map[int]tasks.Intent{}, refused: map[int]int{}, fresh: time.Now()}
	if err := b.read(whole); err != nil {
		return nil, fmt.Errorf("open ledger %s: %w: restore it from a copy, or move it away: the bus has its pieces", path, err)
	}
	if b.file, err = os.OpenFile(path, os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if len(whole) < len(raw) {
		err = errors.Join(b.file.Truncate(int64(len(whole))), b.file.Sync())
	}
	if _, serr := b.file.Seek(int64(len(whole)), 0); err != nil || serr != nil {
		_ = b.file.Close()
		return nil, fmt.Errorf("open ledger %s: %w", path, errors.Join(err, serr))
	}
	return b, nil
}

func (b *book) read(raw []byte) error {
	in := bufio.NewScanner(bytes.NewReader(raw))
	in.Buffer(nil, 1<<20)
	if !in.Scan() {
		return errors.New("it is empty")
	}
	if err := decode(in.Bytes(), &b.head); err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	if b.Version != 1 {
		return fmt.Errorf("line 1: version %d: this one reads version 1", b.Version)
	}
	b.entries, b.revision = make([]events.TaskEntry, b.Entries), make([]uint64, events.TaskParts(b.Entries))
	n := 1
	for in.Scan() {
		n++
		var l line
		if err := decode(in.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if l.I < 0 || l.I >= max(1, b.Entries) {
			return fmt.Errorf("line %d: entry %d of %d", n, l.I, b.Entries)
		}
		b.apply(l)
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	if n < 1+b.Entries {
		return fmt.Errorf("it has %d lines: want one and %d entries", n, b.Entries)
	}
	return nil
}

func decode(raw []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(to)
}

// apply takes one line into memory.
func (b *book) apply(l line) {
	b.told = l.Told
	switch {
	case l.Entry != nil:
		b.entries[l.I] = *l.Entry
		delete(b.intents, l.I)
		b.revision[l.I/events.TaskPartEntries]++
	case l.Intent != nil:
		b.intents[l.I] = *l.Intent
	case l.Retry != nil:
		b.retry, b.fresh = l.Retry.No, time.Now()
		for i := range b.entries {
			if l.Retry.Takes(&b.entries[i]) {
				b.revision[i/events.TaskPartEntries]++
			}
		}
		tasks.Retry(b.entries, l.Retry)
	}
}

// write appends lines and returns once they are on disk; then they hold. After an error none of them does, as long as nothing is written after it: the file is closed.
func (b *book) write(ls ...line) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, l := range ls {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("write ledger %s: %w", b.Operation, err)
		}
	}
	_, err := b.file.Write(buf.Bytes())
	if err == nil {
		err = b.file.Sync()
	}
	if err != nil {
		_ = b.file.Close() // what is on disk is read again before anything else is done
		return fmt.Errorf("write ledger %s: %w", b.Operation, err)
	}
	for _, l := range ls {
		b.apply(l)
	}
	return nil
}

// closed reports whether nothing is to be done or watched any more.
func (b *book) closed() bool {
	return len(b.intents) == 0 && !slices.ContainsFunc(b.entries, func(e events.TaskEntry) bool { return !e.Over() })
}

// summary is the ledger without its entries.
func (b *book) summary() events.TaskSummary {
	s := events.TaskSummary{Operation: b.Operation, Local: b.Local, Epoch: b.Epoch, Window: b.Window, Entries: len(b.entries), Closed: b.closed(), Retry: b.retry}
	s.Totals, s.Waits = events.CountTasks(b.entries)
	if !s.Closed {
		s.Stuck = b.stuck
	}
	return s
}

// part is one piece of it.
func (b *book) part(n int, c events.Ref) events.TaskPart {
	from := n * events.TaskPartEntries
	return events.TaskPart{
		Group: b.Group, Cluster: c, Policy: b.Policy, Summary: b.summary(), Revision: b.revision[n], Part: n, Parts: len(b.revision),
		Entries: slices.Clone(b.entries[from:min(len(b.entries), from+events.TaskPartEntries)]),
	}
}

// suffix ends the name of a ledger's file; its name begins with the operation's id.
const suffix = ".tasks.jsonl"

// readAll opens every ledger of a directory, oldest first. One that can't be read is told beside the others, which are cared for all the same.
func readAll(dir string) (all []*book, err error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list ledgers: %w", err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), suffix) {
			continue
		}
		b, berr := open(filepath.Join(dir, n.Name()))
		if berr != nil {
			err = errors.Join(err, berr)
			continue
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(x, y *book) int { return int(int64(x.No) - int64(y.No)) })
	return all, err
}
