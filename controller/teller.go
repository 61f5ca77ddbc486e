package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// tellQueue is how many notices may wait for a bus that does not take them; older ones are then dropped, logged and counted by their gap in the ids.
const tellQueue = 8192

// teller publishes notices in order, beside the loop: an event stream without a leader delays no failover.
type teller struct {
	bus   bus.Bus
	name  string // the controller's
	log   *slog.Logger
	count func(events.Notice)
	term  events.Seq
	n     uint64
	out   chan bus.Out
}

func newTeller(ctx context.Context, c *Controller, term events.Seq) *teller {
	t := &teller{bus: c.bus, name: c.name, log: c.log, count: c.metrics.told, term: term, out: make(chan bus.Out, tellQueue)}
	go t.run(ctx)
	return t
}

// tell logs, counts and publishes one notice as a CloudEvent. Its id is derived: term and number, or of a report that another leader may tell again, the
// operation.
func (t *teller) tell(n events.Notice) {
	t.n++
	id := reportID(n)
	if id == "" {
		id = fmt.Sprintf("%d-%d", t.term, t.n)
	}
	t.publish(n, id)
}

func (t *teller) publish(n events.Notice, id string) {
	t.log.Info(n.Type, "rule", n.Rule, "group", n.Group, "region", n.Region, "epoch", uint64(n.Epoch), "op", n.Operation, "why", n.Why)
	t.count(n)
	env, err := events.Wrap(n, id, "switchback/controller/"+t.name, time.Now())
	if err != nil {
		t.log.Error("notice can't be told", telemetry.Err(err))
		return
	}
	data, err := json.Marshal(env)
	if err != nil {
		t.log.Error("notice can't be told", telemetry.Err(err))
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
		t.log.Error("event dropped: the bus takes none", "subject", o.Subject)
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
			_, err := t.bus.Publish(short, o)
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

// reportID is the id of what another leader may tell again, of a report that says what was lost and of an audit: the same whoever tells it, so that whoever hears it twice knows;
// "" = another notice.
func reportID(n events.Notice) string {
	if n.Audit != nil {
		return "audit-" + idHash(n.Audit.Ask)
	}
	if n.Report == nil || n.Type != events.NoticeServing && n.Type != events.NoticeRestored {
		return ""
	}
	return n.Report.ID + "-" + n.Type
}

// again tells those reports that the bus has not, for the leader that recorded their ends may have died before it told of them. It runs beside the loop.
func (t *teller) again(ctx context.Context, reports []events.Notice) {
	for _, n := range reports {
		for ctx.Err() == nil {
			told, err := t.told(ctx, n)
			if err == nil && !told {
				t.log.Info("told again: the leader that recorded it did not", "op", n.Report.ID)
				t.publish(n, reportID(n))
			}
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// told reports whether the bus has a report, and the event that leaves right after it. A report that was replaced by a later one of the same operation had its event before that.
func (t *teller) told(ctx context.Context, n events.Notice) (bool, error) {
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	report, err := t.bus.Last(short, events.StreamEvents, events.SubjectOperation(n.Report.ID))
	if err != nil || report == nil {
		return false, err
	}
	var env events.Envelope
	if json.Unmarshal(report.Data, &env) != nil || env.ID != reportID(n) {
		return true, nil
	}
	event, err := t.bus.Last(short, events.StreamEvents, events.SubjectEvent(n))
	return event != nil && event.Seq > report.Seq, err
}

// idHash makes a subject token of an ask's id, which is free text.
func idHash(id string) string {
	h := sha256.Sum256([]byte(id))
	return hex.EncodeToString(h[:12])
}

// askHash is a digest of what an ask asks, whatever its id.
func askHash(a events.Ask) string {
	a.ID, a.From = "", "" // asked again from elsewhere it is the same
	b, err := json.Marshal(a)
	if err != nil {
		return "unencodable"
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:12])
}
