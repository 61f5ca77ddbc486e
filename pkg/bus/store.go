package bus

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/switchback-dr/switchback/events"
)

// Store is the server side of the in-memory twin: streams, conditions, fences, batches, deduplication and limits as JetStream has them.
// It is deterministic and single-threaded: no goroutine, clock or randomness, and no map order in any output. The simulator drives it
// under virtual time; NewMemory wraps it for goroutines.
//
// What it leaves out: age limits, and the end of the deduplication window (an ID is remembered until Wipe). Data handed out is
// shared and must not be changed.
type Store struct {
	streams map[string]*stream
	names   []string // sorted
	told    []Message
}

// stream is one stream. log holds what was stored, in order; entries whose message is gone are dropped when they outnumber the others.
type stream struct {
	config events.Stream
	last   events.Seq
	live   int
	held   map[string][]Message // by subject, oldest first, at most PerSubject
	ids    map[string]events.Seq
	log    []Message
}

// NewStore returns a store without streams.
func NewStore() *Store { return &Store{streams: map[string]*stream{}} }

// Create makes a stream. To make it again just so is no error; another configuration under its name, or subjects another stream has, is.
func (s *Store) Create(c events.Stream) error {
	if old, ok := s.streams[c.Name]; ok {
		if d := differences(c, old.config); len(d) > 0 {
			return fmt.Errorf("create stream %s: it exists and differs: %v", c.Name, d)
		}
		return nil
	}
	for _, name := range s.names {
		for _, a := range s.streams[name].config.Subjects {
			for _, b := range c.Subjects {
				if overlap(a, b) {
					return fmt.Errorf("create stream %s: subject %s overlaps %s of stream %s", c.Name, b, a, name)
				}
			}
		}
	}
	s.streams[c.Name] = &stream{config: c, held: map[string][]Message{}, ids: map[string]events.Seq{}}
	at, _ := slices.BinarySearch(s.names, c.Name)
	s.names = slices.Insert(s.names, at, c.Name)
	return nil
}

// Streams lists the configurations, by name.
func (s *Store) Streams() []events.Stream {
	out := make([]events.Stream, 0, len(s.names))
	for _, n := range s.names {
		out = append(out, s.streams[n].config)
	}
	return out
}

// Wipe is the loss of a stream's disk: it is there again, empty, and its sequences begin anew at 1. That they repeat is what a new
// generation protects from (K1, C9).
func (s *Store) Wipe(name string) error {
	st, ok := s.streams[name]
	if !ok {
		return fmt.Errorf("wipe stream %s: %w", name, ErrUnavailable)
	}
	s.streams[name] = &stream{config: st.config, held: map[string][]Message{}, ids: map[string]events.Seq{}}
	return nil
}

// Backup keeps a stream as it is now; restore puts it back, sequences and all, as a disk from a backup does.
func (s *Store) Backup(name string) (restore func(), err error) {
	st, ok := s.streams[name]
	if !ok {
		return nil, fmt.Errorf("back up stream %s: %w", name, ErrUnavailable)
	}
	kept := &stream{config: st.config, last: st.last, live: st.live, held: map[string][]Message{}, ids: maps.Clone(st.ids), log: slices.Clone(st.log)}
	for subject, held := range st.held {
		kept.held[subject] = slices.Clone(held)
	}
	return func() { s.streams[name] = kept }, nil
}

// Publish stores one message and returns its sequence, with the errors of Bus.Publish. A known ID is not stored again and gets the sequence
// of the first (until that was removed by a limit, it can be read there).
func (s *Store) Publish(m Out) (events.Seq, error) { return s.Batch([]Out{m}) }

// Batch stores all messages with consecutive sequences or none, and returns the sequence of the last.
func (s *Store) Batch(ms []Out) (events.Seq, error) {
	if _, err := check(ms); err != nil {
		return 0, err
	}
	// Whatever becomes of it, plain subscribers of these very subjects hear it (facts: a refused publish is still delivered).
	for _, m := range ms {
		s.told = append(s.told, Message{Subject: m.Subject, Data: bytes.Clone(m.Data)})
	}
	st, err := s.home(ms)
	if err != nil {
		return 0, err
	}
	if len(ms) == 1 && ms[0].ID != "" {
		if seq, ok := st.ids[ms[0].ID]; ok {
			return seq, nil
		}
	}
	if err := st.permits(ms); err != nil {
		return 0, err
	}
	for _, m := range ms {
		stored := st.store(m)
		if to := republished(st.config.RepublishFrom, st.config.RepublishTo, m.Subject); to != "" {
			s.told = append(s.told, Message{Subject: to, Seq: stored.Seq, Data: stored.Data})
		}
	}
	st.compact()
	return st.last, nil
}

// Heard hands over, once, every plain delivery since the last call, in order: each publish on its own subject with Seq 0, stored or refused,
// and each stored message on its republished subject with its Seq. Who subscribes what is the caller's business (Match).
func (s *Store) Heard() []Message {
	out := s.told
	s.told = nil
	return out
}

// Last is the last message on one subject; nil if there is none. ErrUnavailable: no such stream.
func (s *Store) Last(name, subject string) (*Message, error) {
	st, ok := s.streams[name]
	if !ok {
		return nil, fmt.Errorf("read %s of stream %s: %w", subject, name, ErrUnavailable)
	}
	held := st.held[subject]
	if len(held) == 0 {
		return nil, nil
	}
	m := held[len(held)-1]
	return &m, nil
}

// All is the last message of every subject that matches, by sequence. ErrUnavailable: no such stream.
func (s *Store) All(name, pattern string) ([]Message, error) {
	st, ok := s.streams[name]
	if !ok {
		return nil, fmt.Errorf("read %s of stream %s: %w", pattern, name, ErrUnavailable)
	}
	var out []Message
	for subject, held := range st.held {
		if Match(pattern, subject) {
			out = append(out, held[len(held)-1])
		}
	}
	sortBySeq(out)
	return out, nil
}

// Next is the first message still held with a sequence above after; nil if there is none. ErrUnavailable: no such stream.
func (s *Store) Next(name string, after events.Seq) (*Message, error) {
	st, ok := s.streams[name]
	if !ok {
		return nil, fmt.Errorf("read stream %s: %w", name, ErrUnavailable)
	}
	from := sort.Search(len(st.log), func(i int) bool { return st.log[i].Seq > after })
	for _, m := range st.log[from:] {
		if st.holds(m) {
			return &m, nil
		}
	}
	return nil, nil
}

// home finds the one stream that takes every subject of a batch, and checks what the batch expects of it.
func (s *Store) home(ms []Out) (*stream, error) {
	var home *stream
	for i, m := range ms {
		st := s.takes(&m)
		switch {
		case st == nil:
			return nil, fmt.Errorf("publish %s: no stream takes it: %w", m.Subject, ErrUnavailable)
		case m.Stream != "" && m.Stream != st.config.Name:
			return nil, fmt.Errorf("publish %s: expected stream %s, it is taken by %s", m.Subject, m.Stream, st.config.Name)
		case i > 0 && st != home:
			return nil, fmt.Errorf("publish batch: %s is taken by stream %s, the first message by %s", m.Subject, st.config.Name, home.config.Name)
		}
		home = st
	}
	if len(ms) > 1 && !home.config.Atomic {
		return nil, fmt.Errorf("publish batch: stream %s takes none", home.config.Name)
	}
	return home, nil
}

// takes finds the one stream that takes a message: subjects of streams never overlap, so the one it names is asked first.
func (s *Store) takes(m *Out) *stream {
	if st := s.streams[m.Stream]; st != nil && st.wants(m.Subject) {
		return st
	}
	for _, n := range s.names {
		if st := s.streams[n]; st.wants(m.Subject) {
			return st
		}
	}
	return nil
}

func (st *stream) wants(subject string) bool {
	for _, p := range st.config.Subjects {
		if Match(p, subject) {
			return true
		}
	}
	return false
}

// permits checks every condition, the fence first: a paused leader must hear that it is fenced, whatever else is wrong.
func (st *stream) permits(ms []Out) error {
	if f := ms[0].Fence; f != nil && st.lastOf(f.Subject) != f.Seq {
		return fmt.Errorf("publish %s: %s is at %d, not %d: %w", ms[0].Subject, f.Subject, st.lastOf(f.Subject), f.Seq, ErrFenced)
	}
	var ids map[string]bool // of this batch
	for _, m := range ms {
		if m.Last != nil && st.lastOf(m.Subject) != *m.Last {
			return fmt.Errorf("publish %s: it is at %d, not %d: %w", m.Subject, st.lastOf(m.Subject), *m.Last, ErrWrongSequence)
		}
		if m.ID == "" {
			continue
		}
		if _, known := st.ids[m.ID]; known || ids[m.ID] {
			return fmt.Errorf("publish batch: %s: id %q was published before", m.Subject, m.ID)
		}
		if ids == nil {
			ids = map[string]bool{}
		}
		ids[m.ID] = true
	}
	return nil
}

func (st *stream) lastOf(subject string) events.Seq {
	held := st.held[subject]
	if len(held) == 0 {
		return 0
	}
	return held[len(held)-1].Seq
}

func (st *stream) store(m Out) Message {
	st.last++
	msg := Message{Subject: m.Subject, Seq: st.last, Data: bytes.Clone(m.Data)}
	held := append(st.held[m.Subject], msg)
	st.live++
	if limit := int(st.config.PerSubject); limit > 0 && len(held) > limit {
		held = slices.Delete(held, 0, len(held)-limit)
		st.live--
	}
	st.held[m.Subject] = held
	st.log = append(st.log, msg)
	if m.ID != "" {
		st.ids[m.ID] = msg.Seq
	}
	return msg
}

// holds reports whether a message of the log is still held; per-subject limits remove from the oldest.
func (st *stream) holds(m Message) bool {
	held := st.held[m.Subject]
	return len(held) > 0 && m.Seq >= held[0].Seq
}

func (st *stream) compact() {
	if len(st.log) > 2*st.live+64 {
		st.log = slices.DeleteFunc(st.log, func(m Message) bool { return !st.holds(m) })
	}
}
