package controller

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/sight"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// version is the micro service's; the software's own is in its logs.
const version = "0.1.0"

// answerLimit is how long the request door waits for the leader.
const answerLimit = 10 * time.Second

// ask is an operator's ask on its way into the loop.
type ask struct {
	in    fleet.AskSeen
	reply chan events.Answer
}

// openDoor answers `switchback.do.<actor>.<verb>` on every controller: the ask is stored first, then the leader's answer is passed on. Who leads does not
// matter to who asks.
func (c *Controller) openDoor() (stop func(), err error) {
	return c.bus.Serve(bus.Service{Name: "switchback-do", Version: version, Description: "Ask for a failover, an abort, or to arm and disarm automation."},
		events.SubjectDo("*", "*"), c.do)
}

func (c *Controller) do(m bus.Message) []byte {
	if lost := c.onLoss.Load(); lost != nil && strings.HasSuffix(m.Subject, "."+events.AskRebuildRecord) {
		return (*lost)(m) // nobody leads, and nobody will until it is answered
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerLimit)
	defer cancel()
	a, err := c.passOn(ctx, m)
	if err != nil {
		a = events.Answer{ID: a.ID, Why: err.Error(), Items: []events.AnswerItem{}}
	}
	b, err := json.Marshal(a)
	if err != nil {
		return []byte(`{"why":"the answer can't be encoded"}`)
	}
	return b
}

func (c *Controller) passOn(ctx context.Context, m bus.Message) (events.Answer, error) {
	actor, verb, err := events.ParseOpSubject(m.Subject)
	if err != nil {
		return events.Answer{}, err
	}
	a, err := events.DecodeAsk(actor, verb, m.Data)
	if err != nil {
		return events.Answer{ID: a.ID}, err
	}
	if a.ID == "" {
		a.ID = rand.Text()
	}
	return c.put(ctx, a)
}

// put stores an ask and waits for the leader's answer.
func (c *Controller) put(ctx context.Context, a events.Ask) (events.Answer, error) {
	subject := events.SubjectAnswer(idHash(a.ID))
	if known, ok, err := c.known(ctx, subject, a); ok || err != nil {
		return known, err
	}
	came := make(chan struct{}, 1)
	stop, err := c.bus.Subscribe(subject, func(bus.Message) {
		select {
		case came <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return events.Answer{ID: a.ID}, fmt.Errorf("the bus is not reachable: %w", err)
	}
	defer stop()
	data, err := json.Marshal(a)
	if err != nil {
		return events.Answer{ID: a.ID}, err
	}
	if _, err := c.bus.Publish(ctx, bus.Out{Subject: events.SubjectOp(a.Actor, a.Verb), Data: data, ID: a.ID}); err != nil {
		return events.Answer{ID: a.ID}, fmt.Errorf("the ask could not be stored, ask again with the same id %q: %w", a.ID, err)
	}
	return c.await(ctx, subject, a, came)
}

// await waits for the leader's answer to be kept.
func (c *Controller) await(ctx context.Context, subject string, a events.Ask, came <-chan struct{}) (events.Answer, error) {
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		if known, ok, err := c.known(ctx, subject, a); ok || err != nil {
			return known, err
		}
		select {
		case <-ctx.Done():
			return events.Answer{ID: a.ID}, fmt.Errorf("stored, but no controller has answered within %v: ask again with the same id %q to learn what became of it", answerLimit, a.ID)
		case <-came:
		case <-again.C:
		}
	}
}

// known looks the answer up: the same id gives the same answer, with another body a refusal.
func (c *Controller) known(ctx context.Context, subject string, a events.Ask) (events.Answer, bool, error) {
	m, err := c.bus.Last(ctx, events.StreamEvents, subject)
	if err != nil || m == nil {
		return events.Answer{ID: a.ID}, false, nil // not known now; who waits looks again
	}
	var known events.Answer
	if err := json.Unmarshal(m.Data, &known); err != nil {
		return events.Answer{ID: a.ID}, false, fmt.Errorf("read the kept answer: %w", err)
	}
	if known.Hash != askHash(a) {
		return events.Answer{ID: a.ID}, false, fmt.Errorf("id %q: %w", a.ID, api.ErrIDUsed)
	}
	return known, true, nil
}

// serve opens the leader's doors for a term: what was asked, in order, and queries.
func (t *term) serve(ctx context.Context) (stop func(), err error) {
	stop, err = t.c.bus.Serve(bus.Service{Name: "switchback-q", Version: version, Description: "Status, groups, why and reports."}, events.Prefix+"q.*",
		func(m bus.Message) []byte { return t.query(ctx, m) })
	if err != nil {
		return nil, err
	}
	go func() {
		err := t.c.bus.Consume(ctx, events.StreamOps, "leader", t.take)
		if err != nil && ctx.Err() == nil {
			t.c.log.Error("asks are not taken", telemetry.Err(err))
		}
	}()
	return stop, nil
}

// take takes one stored ask; it is acknowledged once its answer is stored: a leader that dies in between leaves it to the next one, whose answer is the same, for the
// operation bears the ask's id. A malformed one is refused as an event: nobody waits for its answer.
func (t *term) take(ctx context.Context, m bus.Message) error {
	actor, verb, err := events.ParseOpSubject(m.Subject)
	var a events.Ask
	if err == nil {
		a, err = decodeStored(actor, verb, m.Data)
	}
	if err != nil {
		t.c.log.Warn("ask refused", "subject", m.Subject, telemetry.Err(err))
		t.notice(ctx, events.Notice{Type: events.NoticeRefused, By: actor, Rule: "refuse.malformed", Why: err.Error()})
		return nil
	}
	if a.ID == "" {
		a.ID = fmt.Sprintf("op-%d", m.Seq)
	}
	if _, ok, err := t.c.known(ctx, events.SubjectAnswer(idHash(a.ID)), a); ok || err != nil {
		if err != nil {
			t.notice(ctx, events.Notice{Type: events.NoticeRefused, By: actor, Group: a.Group, Region: a.Region, Rule: "refuse.id-used", Why: err.Error()})
		}
		return nil
	}
	reply := make(chan events.Answer, 1)
	select {
	case t.asks <- ask{fleet.AskSeen{Ask: a, Hash: askHash(a)}, reply}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case answer := <-reply:
		return t.keep(ctx, answer)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keep stores the answer to an ask, for whoever waits and whoever asks again.
func (t *term) keep(ctx context.Context, a events.Answer) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := t.c.bus.Publish(ctx, bus.Out{Subject: events.SubjectAnswer(idHash(a.ID)), Data: data}); err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// decodeStored reads a stored ask: the request door stored it with the actor in it, a fire-and-forget one never may name one.
func decodeStored(actor, verb string, data []byte) (events.Ask, error) {
	var a events.Ask
	if err := json.Unmarshal(data, &a); err == nil && a.Actor == actor && a.Verb == verb {
		return a, a.Check()
	}
	return events.DecodeAsk(actor, verb, data)
}

func (t *term) notice(ctx context.Context, n events.Notice) {
	select {
	case t.notices <- n:
	case <-ctx.Done():
	}
}

// observe answers looks: this controller is an observer of its region (2-safety, Verdicts).
func (c *Controller) observe(ctx context.Context) (stop func(), err error) {
	by := events.AgentRef{Region: c.cfg.Region, Agent: "ctl-" + strings.TrimPrefix(c.name, c.cfg.Region+"/")}
	return c.bus.Subscribe(events.SubjectLook, func(m bus.Message) {
		var l events.Look
		if err := json.Unmarshal(m.Data, &l); err != nil || l.Region == c.cfg.Region {
			return
		}
		go func() {
			saw := events.Saw{ID: l.ID, Region: l.Region, By: by, Sightings: sight.Look(ctx, l, c.tls)}
			if data, err := json.Marshal(saw); err == nil {
				if err := c.bus.Send(events.SubjectSaw, data); err != nil && !errors.Is(err, context.Canceled) {
					c.log.Debug("tell what was seen", telemetry.Err(err))
				}
			}
		}()
	})
}
