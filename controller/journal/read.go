package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// Snapshot reads what a term starts from. A direct get may be answered by a replica that is behind: the answer counts only if it holds the term's own
// write, for everything an earlier leader could store came before that. It is read again until it does or ctx ends.
func (j *Journal) Snapshot(ctx context.Context, term events.Seq, region string) (fleet.Snapshot, error) {
	s := fleet.Snapshot{Term: term, Region: region}
	for {
		ms, err := j.bus.All(ctx, events.StreamState, events.Prefix+">")
		if err == nil && current(ms, term) {
			if err := state(&s, ms); err != nil {
				return s, err
			}
			break
		}
		if err == nil {
			err = ErrStale
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("read the record: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, part := range []struct {
		stream, pattern string
		take            func(*fleet.Snapshot, bus.Message) error
	}{
		{events.StreamConfig, events.Prefix + "cfg.>", config},
		{events.StreamReport, events.Prefix + "report.>", report},
		{events.StreamHealth, events.Prefix + "health.>", health},
	} {
		ms, err := j.bus.All(ctx, part.stream, part.pattern)
		if err != nil {
			return s, fmt.Errorf("read %s: %w", part.stream, err)
		}
		for _, m := range ms {
			if err := part.take(&s, m); err != nil {
				return s, fmt.Errorf("read %s: %w", m.Subject, err)
			}
		}
	}
	return s, nil
}

func current(ms []bus.Message, term events.Seq) bool {
	for _, m := range ms {
		if m.Subject == events.SubjectTerm {
			return m.Seq >= term
		}
	}
	return false
}

func decode[T any](m bus.Message) (v T, err error) {
	if err := json.Unmarshal(m.Data, &v); err != nil {
		return v, fmt.Errorf("read %s: %w", m.Subject, err)
	}
	return v, nil
}

// state takes what the state stream holds; of commands only where they stand: what they say is for the agents.
func state(s *fleet.Snapshot, ms []bus.Message) (err error) {
	var heads []events.Rollout
	var parts []events.RolloutPart
	for _, m := range ms {
		if a, cluster, ok := events.ParseCommand(m.Subject); ok {
			s.Commands = append(s.Commands, fleet.Command{Agent: a, Cluster: cluster, Seq: m.Seq})
		}
		switch {
		case m.Subject == events.SubjectLanes:
			s.Lanes, err = decode[events.LaneSet](m)
			s.LanesSeq = m.Seq
		case m.Subject == events.SubjectAutomation:
			s.Automation, err = decode[events.Automation](m)
			s.AutoSeq = m.Seq
		case strings.HasPrefix(m.Subject, events.SubjectRecord("")):
			r := fleet.Record{Revision: m.Seq}
			r.Record, err = decode[events.Record](m)
			s.Records = append(s.Records, r)
		case strings.HasPrefix(m.Subject, events.SubjectRollouts) && strings.Count(m.Subject[len(events.SubjectRollouts):], ".") == 0:
			var h events.Rollout
			h, err = decode[events.Rollout](m)
			heads = append(heads, h)
		case strings.HasPrefix(m.Subject, events.SubjectRollouts):
			var p events.RolloutPart
			p, err = decode[events.RolloutPart](m)
			parts = append(parts, p)
		}
		if err != nil {
			return err
		}
	}
	s.Rollouts = fleet.Assemble(heads, parts)
	return nil
}

func config(s *fleet.Snapshot, m bus.Message) (err error) {
	if m.Subject == events.SubjectFleet {
		s.Fleet, err = decode[events.FleetConfig](m)
		return err
	}
	g := fleet.GroupConfig{Revision: m.Seq}
	g.GroupConfig, err = decode[events.GroupConfig](m)
	s.Groups = append(s.Groups, g)
	return err
}

func report(s *fleet.Snapshot, m bus.Message) error {
	r, err := decode[events.Report](m)
	s.Reports = append(s.Reports, r)
	return err
}

func health(s *fleet.Snapshot, m bus.Message) error {
	h, err := decode[events.Health](m)
	s.Health = append(s.Health, h)
	return err
}
