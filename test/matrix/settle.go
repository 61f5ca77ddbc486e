package matrix

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// end is what became of one group.
type end struct {
	whole  stage.Instant // when it was found whole; it stayed so
	person string        // the verb a person had to ask
	asked  int           // how often it was asked to go home
	view   stage.GroupView
	left   stage.Instant // when it was asked to go home, if it had to
	moved  int           // promotions until then
	lost   []stage.Write // until then
	told   string
	bad    []string
	dual   twice // the servers that acknowledged writes at once
}

// steady is how long a group must be found whole: something may be under way that its record does not show yet.
const steady = time.Second

// settle waits until every group has one active and a healthy passive, and does what a person has to do, if anything.
func (s *scene) settle() error {
	for _, g := range s.Groups() {
		s.act.ends[g.Name] = &end{}
	}
	return s.until(rejoinLimit+thawLimit, "every group is whole again", func() error {
		var missing []string
		for _, g := range s.Groups() {
			if why := s.look(g, s.act.ends[g.Name]); why != "" {
				missing = append(missing, g.Name+": "+why)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%s", strings.Join(missing, "; "))
		}
		return nil
	})
}

// look says why a group is not whole, or not for long enough.
func (s *scene) look(g stage.Group, e *end) string {
	v, err := s.Bus().Group(s.ctx, g.Name)
	if err != nil {
		return err.Error()
	}
	e.view = v
	why := v.Whole()
	if why == "" && s.count(g.Name, stage.OutsideWriter, v.Active(), s.act.mended) < 5 {
		why = "nobody writes to " + v.Active().String()
	}
	if why != "" {
		e.whole = 0
		s.person(g, e, v)
		return why
	}
	if e.whole == 0 {
		e.whole = stage.Clock()
	}
	if stage.Clock().Sub(e.whole) < steady {
		return "whole, but not for long"
	}
	return ""
}

// person does what a group waits for: a cluster that somebody gave up is restored when somebody asks.
func (s *scene) person(g stage.Group, e *end, v stage.GroupView) {
	if e.person != "" || v.Record == nil || v.Record.Running() {
		return
	}
	for _, c := range v.Clusters {
		if c.Hold == "" || c.Op != "" || c.Role != events.RoleFailed || c.Silent > 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, rejoinLimit)
		defer cancel()
		if a, err := s.Bus().Ask(ctx, "alice", events.AskRestore, fmt.Sprintf(`{"id":"%s","group":"%s","reason":"the matrix"}`, s.id("restore"), g.Name)); err == nil && a.Accepted {
			e.person = events.AskRestore
		}
	}
}

// goHome brings every group home, as a person would, and waits until it is: a planned move, which loses nothing. One that was given up is asked for again.
func (s *scene) goHome() error {
	return s.until(rejoinLimit, "every group is home", func() error {
		var missing []string
		for _, g := range s.Groups() {
			v, err := s.Bus().Group(s.ctx, g.Name)
			if err != nil {
				return err
			}
			why := v.Home()
			if why == "" {
				continue
			}
			missing = append(missing, g.Name+": "+why)
			if v.Active() == g.Primary() || v.Record.Running() || v.Record.Next != nil || v.Cluster(g.Primary()).Op != "" {
				continue
			}
			a, err := s.Bus().Ask(s.ctx, "alice", events.AskFailback, fmt.Sprintf(`{"id":"%s","group":"%s","reason":"the matrix"}`, s.id("home"), g.Name))
			if e := s.act.ends[g.Name]; err == nil && a.Accepted {
				if e.asked++; e.asked > 1 {
					s.say("  %s: asked to go home once more: %s", g.Name, v.Record.Op.EndWhy)
				}
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%s", strings.Join(missing, "; "))
		}
		return nil
	})
}
