// Package client asks Switchback: queries, asks of operators, and what becomes of an operation. It does so over the bus, of which it needs no more than its port, or over the API of the
// controllers, with the same answers.
package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
)

// ErrNoController: the hub is there but no controller gave an answer. An ask may have been stored all the same: the same id asks for the same thing again.
var ErrNoController = errors.New("no controller answers")

// Refusal is the leader's answer that it can't answer a query: a sentence.
type Refusal string

// Error is the sentence.
func (r Refusal) Error() string { return string(r) }

// Client speaks to the controllers. Safe for concurrent use.
type Client struct{ way way }

// way is how to reach them. Each call tries again, until ctx ends, what trying again may help.
type way interface {
	query(ctx context.Context, what string, body []byte) ([]byte, error) // the answer, or Refusal, ErrNoController and what the way itself fails with
	ask(ctx context.Context, a events.Ask) (events.Answer, error)
	events(f func(Event)) (stop func(), err error)
	history(ctx context.Context, about string) ([]Event, error)
	kept(ctx context.Context, kind string) ([]Event, error)
}

// New returns a client that uses b and never closes it.
func New(b bus.Bus) *Client { return &Client{&busWay{b}} }

// busWay reaches the leader over the bus.
type busWay struct{ bus bus.Bus }

const (
	retryWait  = 200 * time.Millisecond
	queryLimit = 4 * time.Second // the leader gives up on a query after 3 s
)

// Query asks `switchback.q.<what>` and decodes the answer. While leadership changes nobody answers: it tries again until ctx ends.
// Errors: Refusal, ErrNoController, those of the bus.
func (c *Client) Query(ctx context.Context, what string, q, into any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("encode query %s: %w", what, err)
	}
	b, err := c.way.query(ctx, what, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", what, err)
	}
	return nil
}

func (c *busWay) query(ctx context.Context, what string, body []byte) ([]byte, error) {
	b, err := c.request(ctx, queryLimit, events.Prefix+"q."+what, body)
	if err != nil {
		return nil, err
	}
	var refused struct {
		Error string
		Busy  bool
	}
	if err := json.Unmarshal(b, &refused); err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", what, err)
	}
	if refused.Busy {
		return nil, fmt.Errorf("%w: %s", ErrNoController, refused.Error)
	}
	if refused.Error != "" {
		return nil, Refusal(refused.Error)
	}
	return b, nil
}

// Ask asks for one verb and returns the leader's answer, accepted or refused. It tries again with the same id, which does nothing twice, until ctx ends; so
// the ask must have an id. Errors: ErrNoController with what its door said, those of the bus.
func (c *Client) Ask(ctx context.Context, a events.Ask) (events.Answer, error) {
	if a.ID == "" {
		return events.Answer{}, fmt.Errorf("ask %s has no id: want one, or asking again would do it twice", a.Verb)
	}
	if err := a.Check(); err != nil {
		return events.Answer{}, err
	}
	return c.way.ask(ctx, a)
}

func (c *busWay) ask(ctx context.Context, a events.Ask) (events.Answer, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return events.Answer{}, fmt.Errorf("encode ask: %w", err)
	}
	b, err := c.request(ctx, 0, events.SubjectDo(a.Actor, a.Verb), body)
	if err != nil {
		return events.Answer{}, fmt.Errorf("%w (it may have been taken: --id %s asks for the same thing again)", err, a.ID)
	}
	var ans events.Answer
	if err := json.Unmarshal(b, &ans); err != nil {
		return events.Answer{}, fmt.Errorf("read the answer to %s: %w", a.Verb, err)
	}
	if ans.Hash == "" { // the leader hashes what it answers; this is the word of a door that could not reach it
		return ans, fmt.Errorf("%w: %s", ErrNoController, ans.Why)
	}
	return ans, nil
}

// request asks until it is answered or ctx ends; each try takes at most limit (0 = as long as ctx).
func (c *busWay) request(ctx context.Context, limit time.Duration, subject string, body []byte) ([]byte, error) {
	for {
		b, err := c.try(ctx, limit, subject, body)
		if err == nil || !(errors.Is(err, bus.ErrUnavailable) || errors.Is(err, bus.ErrUnknown)) {
			return b, err
		}
		select {
		case <-time.After(retryWait):
		case <-ctx.Done():
		}
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, fmt.Errorf("ask on %s: %w", subject, ctx.Err())
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w on %s: %w", ErrNoController, subject, err)
		}
	}
}

func (c *busWay) try(ctx context.Context, limit time.Duration, subject string, body []byte) ([]byte, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	return c.bus.Request(ctx, subject, body)
}

// Event is one notice with its envelope.
type Event struct {
	events.Envelope
	Notice events.Notice
}

// Events hands every notice that is told from now on to f, one at a time, until stop is called. Over the bus, what is told while that is away is missed.
func (c *Client) Events(f func(Event)) (stop func(), err error) { return c.way.events(f) }

func (c *busWay) events(f func(Event)) (stop func(), err error) {
	return c.bus.Subscribe(events.Prefix+"event.>", func(m bus.Message) {
		if e, ok := readEvent(m); ok {
			f(e)
		}
	})
}

// Kept reads the newest kept notice of a type about each group and region, oldest first.
func (c *Client) Kept(ctx context.Context, kind string) (es []Event, err error) {
	return c.way.kept(ctx, kind)
}

func (c *busWay) kept(ctx context.Context, kind string) (es []Event, err error) {
	ms, err := c.bus.All(ctx, events.StreamEvents, events.Prefix+"event."+kind+".*")
	if err != nil {
		return nil, fmt.Errorf("read kept events: %w", err)
	}
	for _, m := range ms {
		if e, ok := readEvent(m); ok {
			es = append(es, e)
		}
	}
	return es, nil
}

// Read reads the notice out of its envelope; not ok: it is none.
func Read(env events.Envelope) (e Event, ok bool) {
	e.Envelope = env
	return e, env.SpecVersion != "" && json.Unmarshal(env.Data, &e.Notice) == nil
}

// readEvent leaves out what is kept for other readers on the same stream: answers, which are no envelopes, and the copies that keep reports.
func readEvent(m bus.Message) (e Event, ok bool) {
	if strings.HasPrefix(m.Subject, events.SubjectOperation("")) {
		return e, false
	}
	if json.Unmarshal(m.Data, &e.Envelope) != nil || e.SpecVersion == "" {
		return e, false
	}
	return e, json.Unmarshal(e.Data, &e.Notice) == nil
}

// kinds are the types of notices, which are the second token of their subjects.
var kinds = []string{
	events.NoticeVerdict, events.NoticeDecision, events.NoticeWait, events.NoticeRefused, events.NoticeFenced, events.NoticePromoted, events.NoticeServing,
	events.NoticeProtected, events.NoticeRestoring, events.NoticeRestored, events.NoticeAborted, events.NoticeFailed, events.NoticeBorn, events.NoticeResumed, events.NoticeDrill, events.NoticeAlarm, events.NoticeAutomation, events.NoticeTasks, events.NoticeLeader, events.NoticePlan, events.NoticeRollout, events.NoticeSync, events.NoticeAudit,
}

// History reads the newest kept notice of each type, about one group or region, or (about "") about each. Oldest first.
func (c *Client) History(ctx context.Context, about string) ([]Event, error) {
	return c.way.history(ctx, about)
}

func (c *busWay) history(ctx context.Context, about string) ([]Event, error) {
	if about == "" {
		about = "*"
	}
	var found []bus.Message
	for _, k := range kinds {
		ms, err := c.bus.All(ctx, events.StreamEvents, events.Prefix+"event."+k+"."+about)
		if err != nil {
			return nil, fmt.Errorf("read kept events: %w", err)
		}
		found = append(found, ms...)
	}
	sortBySeq(found)
	var es []Event
	for _, m := range found {
		if e, ok := readEvent(m); ok {
			es = append(es, e)
		}
	}
	return es, nil
}
