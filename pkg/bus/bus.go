// Package bus is the only way to NATS: conditional publishes, fenced atomic batches, last-message reads, plain subscriptions and the
// request door, on real JetStream and on an in-memory twin that is as unkind as the real one. One conformance suite runs on both.
package bus

import (
	"context"
	"errors"

	"github.com/switchback-dr/switchback/events"
)

// The ways a publish can fail. Callers branch on these; everything else is wrapped text.
var (
	// ErrWrongSequence: the server refused, an expected sequence did not match. Nothing was stored (10071).
	ErrWrongSequence = errors.New("wrong last sequence")
	// ErrFenced: the server refused because the fence subject has moved on: a newer term leads. Nothing was stored.
	ErrFenced = errors.New("fenced by a newer term")
	// ErrInFlight: another conditional publish of the same subject is in process; nothing was stored, retry (10164).
	ErrInFlight = errors.New("conditional publish in flight")
	// ErrUnknown: no answer in time. It may have been stored, or may be stored later.
	ErrUnknown = errors.New("no answer: stored or not is unknown")
	// ErrUnavailable: it certainly never left (not connected), or nobody serves the stream. Nothing was stored.
	ErrUnavailable = errors.New("bus not reachable")
	// ErrDenied: the server's permissions forbid it. Never to be mistaken for a partition (4-bus, Rules).
	ErrDenied = errors.New("not permitted by the bus")
)

// Message is one stored message, or one plain message (Seq 0).
type Message struct {
	Subject string
	Seq     events.Seq // stream sequence
	Data    []byte
	Reply   string // plain requests only
}

// Out is one message to store. The conditions are checked by the server, together with the store.
type Out struct {
	Subject string
	Data    []byte
	ID      string      // deduplication id, "" = none
	Stream  string      // expected stream (K1), "" = any
	Last    *events.Seq // expected last sequence on Subject; pointer to 0 = nothing stored there yet; nil = any
	Fence   *Fence      // leader's fence; in a batch only on the first message
}

// Fence is a condition on another subject of the same stream: the term.
type Fence struct {
	Subject string
	Seq     events.Seq
}

// LastIs is a helper for Out.Last.
func LastIs(s events.Seq) *events.Seq { return &s }

// Bus is what agents and controllers need of NATS. All calls honour ctx; none retries by itself.
type Bus interface {
	// Publish stores one message and returns its sequence, or one of the errors above.
	Publish(ctx context.Context, m Out) (events.Seq, error)
	// Batch stores up to 1,000 messages of one stream, all or nothing, and returns the sequence of the last; the messages have consecutive
	// sequences. One message is a plain Publish.
	Batch(ctx context.Context, ms []Out) (events.Seq, error)
	// Last reads the last message on a subject by direct get; nil if there is none. It may be stale on a replicated stream, never on a lane.
	Last(ctx context.Context, stream, subject string) (*Message, error)
	// All reads the last message of every subject that matches, in sequence order. It may be stale.
	All(ctx context.Context, stream, pattern string) ([]Message, error)
	// Send publishes a plain message: at most once, not stored.
	Send(subject string, data []byte) error
	// Subscribe hands every plain message on pattern to f, one at a time in order, until stop is called. Republished messages (did.>, seen.>)
	// carry their stream sequence.
	Subscribe(pattern string, f func(Message)) (stop func(), err error)
	// Request sends a plain request and waits for one answer.
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
	// Consume hands every message of a stream's durable consumer to f, in order, and acknowledges it when f returns nil; f is called again
	// later otherwise. It returns when ctx ends.
	Consume(ctx context.Context, stream, durable string, f func(context.Context, Message) error) error
	// Lane returns the port to one acceptor, on the connection to its own server (4-bus, one connection per hub server).
	Lane(lane int, p events.LanePlace) Lane
	// Regions tells which hub regions answer now, by region name.
	Regions() map[string]bool
}

// Lane is one acceptor. One goroutine per lane: a call may block for the connect timeout while its server is a black hole (facts/lanes.md §6).
type Lane interface {
	// Publish stores data on subject if its last sequence there is last (0 = nothing).
	Publish(ctx context.Context, subject string, data []byte, last events.Seq) (events.Seq, error)
	// Last reads the last message on subject; exact, for a lane has one replica. nil = nothing there.
	Last(ctx context.Context, subject string) (*Message, error)
	// Changed is signalled when the lane's connection comes or goes: whoever waits for an answer should give up, whoever waits to retry should.
	Changed() <-chan struct{}
}
