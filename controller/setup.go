package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// setUpLimit bounds how long the hub may take until the streams are there. A person's word on a lost record is waited for without limit.
const setUpLimit = 2 * time.Minute

// askHistory is how long agents have to report a history when there is no record: those that run have reconnected by then. One that comes later finds a record
// that does not know its groups, which halts them.
const askHistory = time.Second

// lostAfter is for how long the record can't be read before a running controller looks whether it is lost.
const lostAfter = 5 * time.Second

// firstGeneration is the generation of acceptors made for a new record: above any that an earlier record gave out, as sequences are.
func firstGeneration(now time.Time) uint64 { return uint64(max(now.Unix(), 1)) }

// setUp makes sure the streams exist. A record that is missing although agents report a history is never made anew by itself (4-bus, Streams): a person says so,
// and it then halts every group that a ledger knows.
func (c *Controller) setUp(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, setUpLimit)
	defer cancel()
	record, others, replicas := c.streams()
	if err := c.bus.Ensure(short, others, replicas, false); err != nil {
		return fmt.Errorf("set up the bus: %w", err)
	}
	err := c.bus.Ensure(short, record, replicas, true)
	if errors.Is(err, bus.ErrMissing) {
		if err = c.wordOnLoss(ctx); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, setUpLimit)
		defer cancel()
		err = c.bus.Ensure(short, record, replicas, false)
	}
	if err != nil {
		return fmt.Errorf("set up the bus: %w", err)
	}
	return nil
}

// streams are the record's, all others, and how many servers the hub has for each.
func (c *Controller) streams() (record, others []events.Stream, replicas int) {
	for _, s := range events.Streams() {
		if s.Name == events.StreamState {
			record = append(record, s)
		} else {
			others = append(others, s)
		}
	}
	return record, others, min(3, len(c.bus.Regions()))
}

// lookForRecord is called whenever the record can't be read: one that has been away for long may be lost under a running controller, which nobody else sets up again.
func (c *Controller) lookForRecord(ctx context.Context) {
	if c.boot().Sub(c.polled) < lostAfter {
		return
	}
	c.polled = c.boot()
	record, _, replicas := c.streams()
	short, cancel := context.WithTimeout(ctx, c.d.TTL)
	err := c.bus.Ensure(short, record, replicas, true)
	cancel()
	if !errors.Is(err, bus.ErrMissing) {
		return
	}
	if err := c.setUp(ctx); err != nil {
		c.log.Error("set up the bus again", telemetry.Err(err))
		return
	}
	c.core = c.follower() // the terms it knows of are lost: a claim that expects one of them would be refused for ever
}

// wordOnLoss returns once the record may be made: nobody reports a history, or a person said to go on without the lost one, or another controller was told so.
func (c *Controller) wordOnLoss(ctx context.Context) error {
	history, err := c.history(ctx)
	if err != nil || len(history) == 0 {
		return err
	}
	c.log.Error("the record is lost: its stream is missing, and agents report a history. Actives go on by promises; nothing is decided until a person says "+
		"`switchback rebuild-record --apply --reason …`", "reports", len(history))
	said := make(chan string, 1)
	lost := func(m bus.Message) []byte { return c.askedOnLoss(m, history, said) }
	c.onLoss.Store(&lost)
	defer c.onLoss.Store(nil)
	if !c.door { // at a start: else the door is open already, and one request has one answer
		stop, err := c.bus.Serve(bus.Service{Name: "switchback-lost", Version: version, Description: "The record is lost: takes rebuild-record only."},
			events.SubjectDo("*", events.AskRebuildRecord), lost)
		if err != nil {
			return fmt.Errorf("wait for a person: %w", err)
		}
		defer stop()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case by := <-said:
			c.log.Error("the lost record is made anew, empty: every group that a ledger knows is halted until it is rebuilt", "by", by)
			return nil
		case <-tick.C: // another controller may have been told
			if m, err := c.bus.Last(ctx, events.StreamState, events.SubjectTerm); err == nil && m != nil {
				return nil
			}
		}
	}
}

// history is every report that names an epoch. Agents that run are asked to tell theirs again first: the reports may be lost too.
func (c *Controller) history(ctx context.Context) (known []events.Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, setUpLimit)
	defer cancel()
	if err := c.until(ctx, "ask for histories", func() error { return c.bus.Send(events.SubjectFull, nil) }); err != nil {
		return nil, err
	}
	for began := time.Now(); len(known) == 0 && time.Since(began) < askHistory; {
		var ms []bus.Message
		if err := c.until(ctx, "read the reports", func() (err error) {
			ms, err = c.bus.All(ctx, events.StreamReport, events.Prefix+"report.>")
			return err
		}); err != nil {
			return nil, err
		}
		for _, m := range ms {
			var r events.Report
			if err := json.Unmarshal(m.Data, &r); err != nil {
				return nil, fmt.Errorf("read %s: %w", m.Subject, err)
			}
			if r.Seen > 0 && !r.Released {
				known = append(known, r)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(askHistory / 10):
		}
	}
	return known, nil
}

// askedOnLoss answers rebuild-record while there is no record at all.
func (c *Controller) askedOnLoss(m bus.Message, history []events.Report, said chan<- string) []byte {
	a := events.Answer{Items: []events.AnswerItem{}}
	actor, verb, err := events.ParseOpSubject(m.Subject)
	var ask events.Ask
	if err == nil {
		ask, err = events.DecodeAsk(actor, verb, m.Data)
	}
	a.ID, a.Hash = ask.ID, askHash(ask) // with a hash it is an answer, not the word of a door that reaches nobody
	switch {
	case err != nil:
		a.Why = err.Error()
	case ask.DryRun:
		a.Accepted, a.Why = true, "the whole record is lost. --apply --reason makes an empty one, in which every group that an agent remembers is halted; asked again, it then rebuilds them"
		for _, r := range history {
			a.Items = append(a.Items, events.AnswerItem{Group: r.Group, Accepted: true, Rule: "rebuild.lost", Why: fmt.Sprintf("the whole record is lost; agent %s remembers %s as %s at epoch %d", r.Agent, r.Cluster, r.Role, r.Seen)})
		}
	case ask.Reason == "":
		a.Why = "the whole record is lost: want --reason, it is written down with your name"
	default:
		a.Accepted, a.Why = true, "an empty record is made: ask again in a few seconds, dry first, to rebuild the groups in it"
		select {
		case said <- ask.Actor + ": " + ask.Reason:
		default: // somebody was first
		}
	}
	b, err := json.Marshal(a)
	if err != nil {
		c.log.Error("answer", telemetry.Err(err))
	}
	return b
}
