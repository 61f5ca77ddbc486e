package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
)

// What becomes of a group, or of what holds for the fleet.
const (
	added   = "new"
	changed = "changed"
	removed = "removed"
	same    = "same"
)

// change is one subject of the configuration, as it is and as it should be.
type change struct {
	Group   string  `json:"group,omitempty"` // empty: what holds for the whole fleet
	What    string  `json:"what"`
	Fields  []field `json:"fields,omitempty"`
	subject string
	data    []byte
	last    events.Seq // revision it was read at, 0 = none
}

// field is one value that changes; a value that is not there is "-".
type field struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// changes is everything between what is configured and what a file says.
type changes struct {
	Fleet  change   `json:"fleet"`
	Groups []change `json:"groups"` // by name
}

// stored is what is configured now.
type stored struct {
	fleet  *bus.Message
	groups map[string]bus.Message
	config map[string]events.GroupConfig // tombstones too
}

func readStored(ctx context.Context, b bus.Bus) (*stored, error) {
	ms, err := b.All(ctx, events.StreamConfig, events.Prefix+"cfg.>")
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	s := &stored{groups: map[string]bus.Message{}, config: map[string]events.GroupConfig{}}
	for _, m := range ms {
		if m.Subject == events.SubjectFleet {
			s.fleet = &m
			continue
		}
		var g events.GroupConfig
		if err := json.Unmarshal(m.Data, &g); err != nil || events.SubjectGroup(g.Group) != m.Subject {
			return nil, fmt.Errorf("%s at revision %d is not the configuration of a group (%v): somebody wrote it by hand", m.Subject, m.Seq, err)
		}
		s.groups[g.Group], s.config[g.Group] = m, g
	}
	return s, nil
}

// readChanges compares, and refuses what can't be done to groups under care.
func readChanges(ctx context.Context, b bus.Bus, want *config.Fleet) (*changes, error) {
	s, err := readStored(ctx, b)
	if err != nil {
		return nil, err
	}
	if err := s.checkHomes(ctx, b, want); err != nil {
		return nil, err
	}
	cs := &changes{Groups: []change{}}
	if cs.Fleet, err = compare(events.SubjectFleet, s.fleet, want.Config); err != nil {
		return nil, err
	}
	rest := maps.Clone(s.config)
	for _, g := range want.Groups {
		old, known := s.groups[g.Group]
		var was *bus.Message
		if known {
			was = &old
		}
		c, err := compare(events.SubjectGroup(g.Group), was, g)
		if err != nil {
			return nil, err
		}
		if c.Group = g.Group; known && s.config[g.Group].Removed {
			c.What = added
		}
		cs.Groups = append(cs.Groups, c)
		delete(rest, g.Group)
	}
	for name, g := range rest {
		if g.Removed {
			continue
		}
		g.Removed = true
		old := s.groups[name]
		c, err := compare(events.SubjectGroup(name), &old, g)
		if err != nil {
			return nil, err
		}
		c.Group, c.What, c.Fields = name, removed, nil
		cs.Groups = append(cs.Groups, c)
	}
	slices.SortFunc(cs.Groups, func(x, y change) int { return strings.Compare(x.Group, y.Group) })
	return cs, nil
}

// compare says what has to be written on a subject.
func compare(subject string, was *bus.Message, want any) (change, error) {
	data, err := json.Marshal(want)
	if err != nil {
		return change{}, fmt.Errorf("encode %s: %w", subject, err)
	}
	c := change{What: added, subject: subject, data: data}
	if was == nil {
		return c, nil
	}
	c.last = was.Seq
	c.Fields, err = differ(was.Data, data)
	if c.What = changed; len(c.Fields) == 0 {
		c.What = same
	}
	return c, err
}

// differ lists the top-level values of two JSON objects that differ, by name.
func differ(was, want []byte) (fs []field, err error) {
	var x, y map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(was, &x), json.Unmarshal(want, &y)); err != nil {
		return nil, fmt.Errorf("compare configurations: %w", err)
	}
	all := maps.Clone(x)
	maps.Copy(all, y)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if !bytes.Equal(x[k], y[k]) {
			fs = append(fs, field{k, value(x[k]), value(y[k])})
		}
	}
	return fs, nil
}

func value(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "-"
	}
	return string(raw)
}

// write stores every change on its own revision, or none of them; beyond what fits in one batch, batch by batch. Removals go first, so that a cluster is let go
// before another group has it.
func (cs *changes) write(ctx context.Context, b bus.Bus) error {
	var first, rest []bus.Out
	for _, c := range append([]change{cs.Fleet}, cs.Groups...) {
		out := bus.Out{Subject: c.subject, Data: c.data, Stream: events.StreamConfig, Last: bus.LastIs(c.last)}
		switch c.What {
		case removed:
			first = append(first, out)
		case added, changed:
			rest = append(rest, out)
		}
	}
	all, done := append(first, rest...), 0
	for batch := range slices.Chunk(all, bus.MaxBatch) {
		if _, err := b.Batch(ctx, batch); err != nil {
			return unwritten(err, done, len(all))
		}
		done += len(batch)
	}
	return nil
}

func unwritten(err error, done, all int) error {
	what := "nothing was written"
	if done > 0 {
		what = fmt.Sprintf("%d of %d changes are written", done, all)
	}
	switch {
	case errors.Is(err, bus.ErrWrongSequence), errors.Is(err, bus.ErrInFlight):
		return fmt.Errorf("somebody else changes the configuration, %s: look at `switchback diff` and apply again: %w", what, err)
	case errors.Is(err, bus.ErrUnknown):
		return fmt.Errorf("whether the changes are written is not known: look at `switchback diff` and apply again: %w", err)
	}
	return fmt.Errorf("write the configuration, %s: %w", what, err)
}
