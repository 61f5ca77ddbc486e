package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// tellQueue is how many notices may wait for a bus that does not take them; older ones are then dropped, logged and counted by their gap in the ids.
const tellQueue = 8192

// teller publishes notices in order, beside the loop: an event stream without a leader delays no failover.
type teller struct {
	c    *Controller
	term events.Seq
	n    uint64
	out  chan bus.Out
}

func newTeller(ctx context.Context, c *Controller, term events.Seq) *teller {
	t := &teller{c: c, term: term, out: make(chan bus.Out, tellQueue)}
	go t.run(ctx)
	return t
}

// tell logs, counts and publishes one notice as a CloudEvent. Its id is derived: term and number.
func (t *teller) tell(n events.Notice) {
	t.n++
	t.c.log.Info(n.Type, "rule", n.Rule, "group", n.Group, "region", n.Region, "epoch", uint64(n.Epoch), "op", n.Operation, "why", n.Why)
	t.c.metrics.told(n)
	id := fmt.Sprintf("%d-%d", t.term, t.n)
	env, err := events.Wrap(n, id, "switchback/controller/"+t.c.name, time.Now())
	if err != nil {
		t.c.log.Error("notice can't be told", telemetry.Err(err))
		return
	}
	data, err := json.Marshal(env)
	if err != nil {
		t.c.log.Error("notice can't be told", telemetry.Err(err))
		return
	}
	if n.Report != nil { // first: whoever hears the news may ask for it
		t.put(bus.Out{Subject: events.SubjectOperation(n.Report.ID), Data: data, ID: id + "-report"})
	}
	t.put(bus.Out{Subject: events.SubjectEvent(n), Data: data, ID: id})
}

func (t *teller) put(o bus.Out) {
	select {
	case t.out <- o:
	default:
		t.c.log.Error("event dropped: the bus takes none", "subject", o.Subject)
	}
}

func (t *teller) run(ctx context.Context) {
	for {
		var o bus.Out
		select {
		case <-ctx.Done():
			return
		case o = <-t.out:
		}
		for ctx.Err() == nil {
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, err := t.c.bus.Publish(short, o)
			cancel()
			if err == nil || errors.Is(err, bus.ErrDenied) {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// idHash makes a subject token of an ask's id, which is free text.
func idHash(id string) string {
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:12])
}

// askHash is a digest of what an ask asks, whatever its id.
func askHash(a events.Ask) string {
	a.ID = ""
	b, err := json.Marshal(a)
	if err != nil {
		return "unencodable"
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:12])
}
