package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/switchback-dr/switchback/events"
)

// walkBatch is how many messages one request of a walk asks for.
const walkBatch = 1000

// headers of a direct get.
const (
	headerSubject  = "Nats-Subject"
	headerSeq      = "Nats-Sequence"
	headerPrevious = "Nats-Last-Sequence"
	headerPending  = "Nats-Num-Pending"
)

// getRequest is a direct get, as the server reads it.
type getRequest struct {
	Seq   events.Seq `json:"seq,omitempty"`
	Last  string     `json:"last_by_subj,omitempty"`
	Next  string     `json:"next_by_subj,omitempty"`
	Multi []string   `json:"multi_last,omitempty"`
	UpTo  events.Seq `json:"up_to_seq,omitempty"`
	Batch int        `json:"batch,omitempty"`
}

// Last reads the last message on a subject. It asks the servers in turn, and the next one if one has no answer: a server that is cut off from the
// rest of the hub still answers, with what it knew then, and must not be the only one that is ever asked.
func (n *NATS) Last(ctx context.Context, stream, subject string) (*Message, error) {
	up, err := n.inTurn()
	for _, c := range up {
		var m *Message
		if m, err = c.get(ctx, stream, getRequest{Last: subject}); err == nil {
			return m, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("read %s of stream %s: %w", subject, stream, err)
}

// inTurn are the connections that are up, beginning with another one each time.
func (n *NATS) inTurn() ([]*conn, error) {
	up, err := n.healthy()
	if err != nil {
		return nil, err
	}
	from := int(n.turn.Add(1)) % len(up)
	return append(up[from:len(up):len(up)], up[:from]...), nil
}

// get reads one message by direct get on this connection; nil if there is none.
func (c *conn) get(ctx context.Context, stream string, req getRequest) (*Message, error) {
	subject, data := "$JS.API.DIRECT.GET."+stream, []byte(nil)
	if req.Last != "" {
		subject += "." + req.Last // the form that permissions can name
	} else {
		data, _ = json.Marshal(req)
	}
	m, err := c.ask(ctx, nil, &nats.Msg{Subject: subject, Data: data})
	if err != nil {
		return nil, err
	}
	return got(m)
}

// got reads the answer to a direct get of one message.
func got(m *nats.Msg) (*Message, error) {
	switch status := m.Header.Get("Status"); status {
	case "":
		msg, err := stored(m)
		return &msg, err
	case "404":
		return nil, nil
	default:
		return nil, fmt.Errorf("the server answers %s %s", status, m.Header.Get("Description"))
	}
}

// stored reads a message as a direct get or a republish carries it.
func stored(m *nats.Msg) (Message, error) {
	seq, err := strconv.ParseUint(m.Header.Get(headerSeq), 10, 64)
	if err != nil {
		return Message{}, fmt.Errorf("read the sequence of a message on %s: %w", m.Subject, err)
	}
	subject := m.Subject
	if s := m.Header.Get(headerSubject); s != "" {
		subject = s
	}
	return Message{Subject: subject, Seq: events.Seq(seq), Data: m.Data}, nil
}

// All reads the last message of every subject that matches, by sequence, from the servers in turn. Up to 1,024 subjects come as one consistent answer; for more the server
// has no such request, and the stream is walked in batches: then each message was the last of its subject at some time during the reading.
func (n *NATS) All(ctx context.Context, stream, pattern string) ([]Message, error) {
	up, err := n.inTurn()
	for _, c := range up {
		var ms []Message
		if ms, err = c.all(ctx, stream, pattern); err == nil {
			return ms, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("read %s of stream %s: %w", pattern, stream, err)
}

func (c *conn) all(ctx context.Context, stream, pattern string) ([]Message, error) {
	p, err := c.many(ctx, stream, getRequest{Multi: []string{pattern}})
	if err == nil && p.pending > 0 { // cut off at the server's limit of bytes
		p.tooMany = true
	}
	if err != nil || !p.tooMany {
		return p.messages, err
	}
	return c.walk(ctx, stream, pattern)
}

// walk reads everything that matches from the beginning and keeps the last of each subject.
func (c *conn) walk(ctx context.Context, stream, pattern string) ([]Message, error) {
	last := map[string]Message{}
	for from := events.Seq(1); ; {
		p, err := c.many(ctx, stream, getRequest{Next: pattern, Seq: from, Batch: walkBatch})
		if err != nil {
			return nil, err
		}
		for _, m := range p.messages {
			last[m.Subject], from = m, m.Seq+1
		}
		if len(p.messages) == 0 || p.pending == 0 {
			break
		}
	}
	out := make([]Message, 0, len(last))
	for _, m := range last {
		out = append(out, m)
	}
	sortBySeq(out)
	return out, nil
}

// page is the answer to a direct get of many messages.
type page struct {
	messages []Message
	pending  uint64 // how many are left
	tooMany  bool   // more subjects match than the server answers at once
}

// many reads one page. The server sends message by message, each with the sequence of the one before, so that one lost on the way is noticed.
func (c *conn) many(ctx context.Context, stream string, req getRequest) (p page, err error) {
	subject := "$JS.API.DIRECT.GET." + stream
	nc, gone, f, err := c.link(subject)
	if err != nil {
		return page{}, err
	}
	answered := false
	defer func() { c.landed(f, answered) }()
	data, err := json.Marshal(req)
	if err != nil {
		return page{}, err
	}
	inbox, msgs := nc.NewInbox(), make(chan *nats.Msg, walkBatch+100)
	sub, err := nc.ChanSubscribe(inbox, msgs)
	if err != nil {
		return page{}, classify(err)
	}
	defer func() { go func() { _ = sub.Unsubscribe() }() }() // may block in the lock of a dead connection
	if err := nc.PublishMsg(&nats.Msg{Subject: subject, Reply: inbox, Data: data}); err != nil {
		return page{}, classify(err)
	}
	for {
		select {
		case m := <-msgs:
			answered = true
			if done, err := p.take(m); done || err != nil {
				return p, err
			}
		case <-f.denied:
			return page{}, ErrDenied
		case <-gone:
			return page{}, fmt.Errorf("%w: the connection dropped", ErrUnknown)
		case <-ctx.Done():
			return page{}, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
		}
	}
}

// take adds one message of an answer to the page and reports whether it was the last.
func (p *page) take(m *nats.Msg) (done bool, err error) {
	before, _ := strconv.ParseUint(m.Header.Get(headerPrevious), 10, 64)
	switch status := m.Header.Get("Status"); status {
	case "":
		msg, err := stored(m)
		if err == nil && len(p.messages) > 0 && p.messages[len(p.messages)-1].Seq != events.Seq(before) {
			err = fmt.Errorf("%w: a message before sequence %d was lost on the way", ErrUnknown, msg.Seq)
		}
		p.messages = append(p.messages, msg)
		return false, err
	case "204":
		p.pending, _ = strconv.ParseUint(m.Header.Get(headerPending), 10, 64)
		if len(p.messages) > 0 && p.messages[len(p.messages)-1].Seq != events.Seq(before) {
			return true, fmt.Errorf("%w: the last messages were lost on the way", ErrUnknown)
		}
		return true, nil
	case "404":
		return true, nil
	case "413":
		p.tooMany = true
		return true, nil
	case "503":
		return true, fmt.Errorf("%w: no server has the stream now", ErrUnavailable)
	default:
		return true, fmt.Errorf("the server answers %s %s", status, m.Header.Get("Description"))
	}
}

// Since reads at most so many stored messages that match, in order, from a sequence on, of whichever server is asked in turn: one that is behind has fewer. Here alone, for surfaces that
// show a stream: nothing that decides reads one so.
func (n *NATS) Since(ctx context.Context, stream, pattern string, from events.Seq, most int) ([]Message, error) {
	up, err := n.inTurn()
	for _, c := range up {
		var p page
		if p, err = c.many(ctx, stream, getRequest{Next: pattern, Seq: max(from, 1), Batch: min(most, walkBatch)}); err == nil {
			return p.messages, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("read %s of stream %s from %d: %w", pattern, stream, from, err)
}

// Newest is the sequence of the newest stored message that matches, 0 if there is none; of whichever server is asked in turn.
func (n *NATS) Newest(ctx context.Context, stream, pattern string) (events.Seq, error) {
	up, err := n.inTurn()
	for _, c := range up {
		var m *Message
		if m, err = c.newest(ctx, stream, pattern); err == nil {
			if m == nil {
				return 0, nil
			}
			return m.Seq, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return 0, fmt.Errorf("read the newest %s of stream %s: %w", pattern, stream, err)
}

// newest is a direct get of a pattern, which a subject can't hold.
func (c *conn) newest(ctx context.Context, stream, pattern string) (*Message, error) {
	data, err := json.Marshal(getRequest{Last: pattern})
	if err != nil {
		return nil, err
	}
	m, err := c.ask(ctx, nil, &nats.Msg{Subject: "$JS.API.DIRECT.GET." + stream, Data: data})
	if err != nil {
		return nil, err
	}
	return got(m)
}
