package stage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// WaitLeader waits until the controller of a region leads and its hub server leads every replicated stream: then the loss of another region costs no election.
func (s *Stage) WaitLeader(region string, limit time.Duration) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		st, err := s.bus.Status(ctx)
		if err == nil && st.Leader != region+"/c1" {
			err = fmt.Errorf("%s leads, want %s/c1", st.Leader, region)
		}
		if err == nil {
			for _, stream := range events.Streams() {
				at, look := s.bus.StreamLeader(ctx, stream.Name)
				if look == nil && at != region {
					look = fmt.Errorf("stream %s is led from %s, want %s", stream.Name, at, region)
				}
				err = errors.Join(err, look)
			}
		}
		return err
	})
}

// WaitProtected waits until every group is under care, its passive is fit to be promoted and it is settled.
func (s *Stage) WaitProtected(limit time.Duration) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		views, err := s.bus.Groups(ctx)
		if err != nil {
			return err
		}
		var missing []string
		for _, g := range s.options.Groups {
			i := slices.IndexFunc(views, func(v GroupView) bool { return v.Group == g.Name })
			if i < 0 || !views[i].ready() {
				why := "nobody knows it"
				if i >= 0 {
					why = views[i].Rule + ": " + views[i].Why
				}
				missing = append(missing, g.Name+" ("+why+")")
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("not under care and protected: %s", strings.Join(missing, ", "))
		}
		return nil
	})
}

// WaitWhole waits until somebody leads and every stream has all of its servers, whoever leads them.
func (s *Stage) WaitWhole(limit time.Duration) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		_, err := s.bus.Status(ctx)
		for _, stream := range events.Streams() {
			_, look := s.bus.StreamLeader(ctx, stream.Name)
			err = errors.Join(err, look)
		}
		return err
	})
}

// WaitHome waits until every one of these groups is home: active where it belongs, every other cluster following, nothing under way.
func (s *Stage) WaitHome(limit time.Duration, groups ...Group) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		var missing []string
		for _, g := range groups {
			v, err := s.bus.Group(ctx, g.Name)
			if err != nil {
				return err
			}
			if why := v.Home(); why != "" {
				missing = append(missing, g.Name+": "+why)
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("not home: %s", strings.Join(missing, "; "))
		}
		return nil
	})
}
