package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/events"
)

// streamRoute is the route of the stream of events.
const streamRoute = base + "/events (stream)"

const (
	heartbeat    = 15 * time.Second
	writeWithin  = 20 * time.Second // for one write to who follows: then he is too slow, and asks again with Last-Event-ID
	streamsMost  = 512              // that are open at a time
	knownAgain   = 2 * time.Second  // how soon the groups of some projects are asked for again, for one that is not known
	knownForLong = 30 * time.Second
)

// eventsOrStream answers with what was told, or streams what is told.
func (s *Server) eventsOrStream(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		s.handle(&route{"GET", "/events", []string{"about"}, history}).ServeHTTP(w, r)
		return
	}
	Route(r, streamRoute)
	if err := s.follow(w, r); err != nil {
		s.refuse(w, r, Explain(err), WriteProblem)
	}
}

// aboutOf is what events are to be about; "" = everything.
func aboutOf(r *http.Request) (string, error) {
	q := r.URL.Query()
	about := q.Get("about")
	for name := range q {
		if name != "about" {
			return "", kindBadRequest.of(fmt.Sprintf("query parameter %q: want about, or none", name))
		}
	}
	if q.Has("about") {
		if err := events.CheckName("about", about); err != nil {
			return "", kindBadRequest.of("query parameter " + err.Error())
		}
	}
	return about, nil
}

// history answers with the newest event of each kind about each thing, oldest first: what the stream has is longer.
func history(s *Server, r *http.Request) (*reply, error) {
	about, err := aboutOf(r)
	if err != nil {
		return nil, err
	}
	pattern := eventPattern
	if about != "" {
		pattern = events.Prefix + "event.*." + about
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryLimit)
	defer cancel()
	ms, err := s.o.Events.All(ctx, events.StreamEvents, pattern)
	if err != nil {
		return nil, err
	}
	see := &sight{access: From(r)}
	all := []events.Envelope{}
	for _, m := range ms {
		if e, ok := readTold(m); ok {
			if env, ok := see.of(ctx, e); ok {
				all = append(all, env)
			}
		}
	}
	return &reply{body: map[string]any{"events": all}}, nil
}

// follow streams events until who follows is gone, or this controller stops. Errors are from before anything was sent.
func (s *Server) follow(w http.ResponseWriter, r *http.Request) error {
	about, err := aboutOf(r)
	if err != nil {
		return err
	}
	f := &follower{s: s, w: w, control: http.NewResponseController(w), about: about, see: &sight{access: From(r)}}
	if last := r.Header.Get("Last-Event-Id"); last != "" {
		n, err := strconv.ParseUint(last, 10, 63)
		if err != nil {
			return kindBadRequest.of(fmt.Sprintf("Last-Event-ID %q: want the id of an event of this stream, a number", last))
		}
		f.last = events.Seq(n)
	} else if f.last, err = s.o.Events.Newest(r.Context(), events.StreamEvents, eventPattern); err != nil {
		return err
	}
	if s.open.Add(1) > streamsMost {
		s.open.Add(-1)
		return kindTooMany.of(fmt.Sprintf("%d streams are open here, which is as many as may be", streamsMost)).after(5)
	}
	defer s.open.Add(-1)
	s.metrics.streams.Inc()
	defer s.metrics.streams.Dec()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	_ = f.control.SetReadDeadline(time.Time{}) // nothing more is read; its end would end the request
	w.WriteHeader(http.StatusOK)
	if f.write(": follows\n\n") == nil {
		f.run(r)
	}
	return nil
}

// follower is one stream to one client.
type follower struct {
	s       *Server
	w       http.ResponseWriter
	control *http.ResponseController
	about   string
	see     *sight
	last    events.Seq // the last one that was looked at
}

func (f *follower) run(r *http.Request) {
	ctx := r.Context()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		es, grown, next, here := f.s.tail.after(f.last)
		if !here {
			if es, next = f.old(ctx, next); es == nil {
				return // he asks again, with Last-Event-ID
			}
		}
		for _, e := range es {
			if f.hand(ctx, e) != nil {
				return
			}
		}
		if f.last = max(f.last, next-1); !here {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-f.s.stopping:
			return
		case <-grown:
		case <-beat.C:
			if f.still(r) != nil || f.write(": \n\n") != nil {
				return
			}
		}
	}
}

// still reports whether the token or session of a long stream is good still.
func (f *follower) still(r *http.Request) error {
	who, err := f.s.who(r)
	if err != nil {
		return err
	}
	if who.Token != f.see.access.Who.Token || !slices.Equal(who.Projects, f.see.access.Who.Projects) {
		return auth.ErrBadToken
	}
	return nil
}

// old reads a page of what is not kept here any more. It returns nil if that can't be read.
func (f *follower) old(ctx context.Context, next events.Seq) ([]told, events.Seq) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	ms, err := f.s.o.Events.Since(ctx, events.StreamEvents, eventPattern, f.last+1, pageSize)
	if err != nil {
		return nil, 0
	}
	es := []told{}
	for _, m := range ms {
		if e, ok := readTold(m); ok {
			es = append(es, e)
		}
	}
	if len(ms) > 0 {
		next = ms[len(ms)-1].Seq + 1
	}
	return es, next
}

// hand writes one event, if it is one that is followed and may be seen.
func (f *follower) hand(ctx context.Context, e told) error {
	n := &e.notice
	if f.about != "" && !slices.Contains([]string{n.Group, n.Region, n.Rollout}, f.about) {
		return nil
	}
	env, ok := f.see.of(ctx, e)
	if !ok {
		return nil
	}
	data, err := json.Marshal(env)
	if err != nil {
		return nil
	}
	return f.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.seq, n.Type, data))
}

// write writes and flushes, or gives up on who is too slow.
func (f *follower) write(s string) error {
	_ = f.control.SetWriteDeadline(time.Now().Add(writeWithin)) // where it can't be set there is none
	_, err := f.w.Write([]byte(s))
	return errors.Join(err, f.control.Flush())
}

// sight is what a principal sees of events: all, or those of its groups, and of what belongs to no project what happened without the evidence.
type sight struct {
	access *Access
	ours   map[string]bool
	asked  time.Time
}

// hidden are kinds of events without a group that are not for who sees some projects only.
var hidden = []string{events.NoticePlan, events.NoticeRollout, events.NoticeAudit, events.NoticeRefused}

func (s *sight) of(ctx context.Context, e told) (events.Envelope, bool) {
	if s.access.Who.All() {
		return e.Envelope, true
	}
	n := e.notice
	if n.Group != "" {
		return e.Envelope, s.knows(ctx, n.Group)
	}
	if slices.Contains(hidden, n.Type) || n.Agent != "" || n.Cluster != "" {
		return events.Envelope{}, false
	}
	n.Facts = nil
	data, err := json.Marshal(n)
	e.Envelope.Data = data
	return e.Envelope, err == nil
}

// knows reports whether a group is of the projects. Which are is asked again now and then, and soon for one that is not known: it may be new.
func (s *sight) knows(ctx context.Context, group string) bool {
	old := time.Since(s.asked)
	if old > knownForLong || !s.ours[group] && old > knownAgain {
		if ours, err := s.groups(ctx); err == nil {
			s.ours, s.asked = ours, time.Now()
		} else if old > knownForLong {
			s.ours = nil
		}
	}
	return s.ours[group]
}

func (s *sight) groups(ctx context.Context) (map[string]bool, error) {
	ours := map[string]bool{}
	for after := ""; ; {
		var p struct {
			Groups []struct{ Group string }
			More   bool
		}
		if err := s.access.Query(ctx, "groups", map[string]any{"after": after, "limit": 500}, &p); err != nil {
			return nil, err
		}
		for _, g := range p.Groups {
			ours[g.Group], after = true, g.Group
		}
		if !p.More || len(p.Groups) == 0 {
			return ours, nil
		}
	}
}
