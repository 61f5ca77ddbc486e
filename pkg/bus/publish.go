package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/switchback-dr/switchback/events"
)

// The server's error codes that have a meaning of their own.
const (
	codeWrongSequence = 10071
	codeInFlight      = 10164
	codeIncomplete    = 10176 // a batch whose messages did not all reach one leader: nothing was stored
	codeTooManyBatch  = 10210 // too many batches in flight
	codeNoJetStream   = 10008 // no leader
	codeNoPeers       = 10005 // too few servers known for the replicas or the place asked for
)

// Publish stores one message. See Bus.
func (n *NATS) Publish(ctx context.Context, m Out) (events.Seq, error) { return n.Batch(ctx, []Out{m}) }

// Batch stores all or none. It goes out once, by the nearest connection that has a way to the stream.
func (n *NATS) Batch(ctx context.Context, ms []Out) (seq events.Seq, err error) {
	fence, err := check(ms)
	if err != nil {
		return 0, err
	}
	err = n.first(func(c *conn) (err error) { seq, err = n.store(ctx, c, ms, fence); return err })
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", ms[0].Subject, err)
	}
	return seq, nil
}

// store publishes on one connection and counts what came of it.
func (n *NATS) store(ctx context.Context, c *conn, ms []Out, fence int) (events.Seq, error) {
	out := encode(ms, fence)
	m, err := c.ask(ctx, out[:len(out)-1], out[len(out)-1])
	var seq events.Seq
	if err == nil {
		seq, err = readAck(m.Data)
	}
	if errors.Is(err, ErrWrongSequence) && ms[0].Fence != nil {
		err = n.whichCondition(ctx, ms, err)
	}
	n.metrics.publishes.WithLabelValues(streamOf(ms[0]), result(err)).Inc()
	return seq, err
}

// encode renders a batch as the server wants it; a batch of one is a plain publish.
func encode(ms []Out, fence int) []*nats.Msg {
	out := make([]*nats.Msg, len(ms))
	id := ""
	if len(ms) > 1 {
		id = nuid.Next()
	}
	for i, m := range ms {
		h := nats.Header{}
		set := func(key, value string) {
			if value != "" {
				h[key] = []string{value}
			}
		}
		set("Nats-Msg-Id", m.ID)
		set("Nats-Expected-Stream", m.Stream)
		if m.Last != nil {
			set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(uint64(*m.Last), 10))
		}
		if i == fence {
			set("Nats-Expected-Last-Subject-Sequence", strconv.FormatUint(uint64(ms[0].Fence.Seq), 10))
			set("Nats-Expected-Last-Subject-Sequence-Subject", ms[0].Fence.Subject)
		}
		if id != "" {
			set("Nats-Batch-Id", id)
			set("Nats-Batch-Sequence", strconv.Itoa(i+1))
			if i == len(ms)-1 {
				set("Nats-Batch-Commit", "1")
			}
		}
		out[i] = &nats.Msg{Subject: m.Subject, Header: h, Data: m.Data}
	}
	return out
}

// apiError is the server's own word for a refusal.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.Code) }

// readAck reads the answer to a publish. Whatever error the server answers with, nothing was stored.
func readAck(data []byte) (events.Seq, error) {
	var ack struct {
		Stream string     `json:"stream"`
		Seq    events.Seq `json:"seq"`
		Error  *apiError  `json:"error"`
	}
	if err := json.Unmarshal(data, &ack); err != nil || (ack.Error == nil && ack.Stream == "") {
		return 0, fmt.Errorf("%w: the answer is not a stream's: %.80q (does something else answer on this subject?)", ErrUnknown, data)
	}
	if ack.Error == nil {
		return ack.Seq, nil
	}
	switch ack.Error.Code {
	case codeWrongSequence:
		return 0, fmt.Errorf("%w: %w", ErrWrongSequence, ack.Error)
	case codeInFlight:
		return 0, fmt.Errorf("%w: %w", ErrInFlight, ack.Error)
	case codeIncomplete, codeTooManyBatch, codeNoJetStream:
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, ack.Error)
	}
	return 0, fmt.Errorf("refused by stream %s: %w", ack.Stream, ack.Error)
}

var wrongSequence = regexp.MustCompile(`wrong last sequence: (\d+)`)

// whichCondition tells a lost fence from a lost compare-and-set, for the server says only which sequence it found. Without a Last in the batch
// it is the fence. Else every server is asked where the fence subject stands: if it moved, the leader is fenced, whatever else may be wrong. If it did
// not, a sequence that is no higher than the fence's is another subject's, for terms only rise; and for a higher one its message is looked
// up, which stands on the fence subject or doesn't. Replicas may be behind, so any that knows will do; if none does, a newer term is
// assumed, and the leader steps down rather than goes on (costs an election, never safety).
func (n *NATS) whichCondition(ctx context.Context, ms []Out, refused error) error {
	fence := ms[0].Fence
	fenced := fmt.Errorf("%w: %v", ErrFenced, refused)
	if !slices.ContainsFunc(ms, func(m Out) bool { return m.Last != nil }) {
		return fenced
	}
	up, err := n.healthy()
	if err != nil {
		return fenced
	}
	stream := streamOf(ms[0])
	for _, c := range up {
		if now, err := c.get(ctx, stream, getRequest{Last: fence.Subject}); err == nil && now != nil && now.Seq > fence.Seq {
			return fenced
		}
	}
	found := wrongSequence.FindStringSubmatch(refused.Error())
	if found == nil {
		return fenced
	}
	seq, err := strconv.ParseUint(found[1], 10, 64)
	if err == nil && events.Seq(seq) <= fence.Seq {
		return refused
	}
	for _, c := range up {
		if at, err := c.get(ctx, stream, getRequest{Seq: events.Seq(seq)}); err == nil && at != nil && at.Subject != fence.Subject {
			return refused
		}
	}
	return fenced
}

// streamOf names the stream a message goes to: for metrics and for readings, where the caller gave none.
func streamOf(m Out) string {
	if m.Stream != "" {
		return m.Stream
	}
	for _, s := range events.Streams() {
		for _, p := range s.Subjects {
			if Match(p, m.Subject) {
				return s.Name
			}
		}
	}
	if strings.HasPrefix(m.Subject, events.Prefix+"beat.") {
		return events.StreamLease
	}
	return "other"
}
