package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// eventMost is the longest line of a stream.
const eventMost = 4 << 20

func (w *apiWay) history(ctx context.Context, about string) ([]Event, error) {
	path := "/events"
	if about != "" {
		path += "?about=" + url.QueryEscape(about)
	}
	b, err := w.get(ctx, path)
	if err != nil {
		return nil, err
	}
	var all struct{ Events []events.Envelope }
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("read kept events: %w", err)
	}
	var es []Event
	for _, env := range all.Events {
		e := Event{Envelope: env}
		if json.Unmarshal(env.Data, &e.Notice) == nil {
			es = append(es, e)
		}
	}
	return es, nil
}

func (w *apiWay) kept(ctx context.Context, kind string) ([]Event, error) {
	all, err := w.history(ctx, "")
	return slices.DeleteFunc(all, func(e Event) bool { return e.Notice.Type != kind }), err
}

// events follows the stream of any controller. It returns once one streams; if that ends it goes on with another where it was, so nothing is missed.
func (w *apiWay) events(f func(Event)) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &streaming{w: w, hand: f}
	short, done := context.WithTimeout(ctx, answerLimit)
	defer done()
	body, err := s.open(short, ctx)
	if err != nil {
		cancel()
		return func() {}, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.run(ctx, body)
	}()
	return func() { cancel(); <-ended }, nil
}

type streaming struct {
	w    *apiWay
	hand func(Event)
	last string // id of the last event
	turn int
}

// run hands on what one stream says after the other.
func (s *streaming) run(ctx context.Context, body io.ReadCloser) {
	for ctx.Err() == nil {
		if body != nil {
			s.read(body)
			body.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryWait):
		}
		s.turn++
		short, done := context.WithTimeout(ctx, answerLimit)
		body, _ = s.open(short, ctx) // it is tried again
		done()
	}
}

// open opens a stream that lasts as long as ctx; that it is open has to be known within wait.
func (s *streaming) open(wait, ctx context.Context) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(wait, cancel)
	began := time.Now()
	for i := s.turn; ; i++ {
		body, err := s.try(ctx, s.w.urls[i%len(s.w.urls)])
		if err == nil {
			stop()
			return &closing{body, cancel}, nil
		}
		if ctx.Err() != nil || time.Since(began) > dialLimit {
			cancel()
			return nil, fmt.Errorf("%w: follow events: %w", ErrNoController, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryWait):
		}
	}
}

// closing ends its request, too.
type closing struct {
	io.ReadCloser
	cancel func()
}

// Close implements io.Closer.
func (c *closing) Close() error {
	c.cancel()
	return c.ReadCloser.Close()
}

func (s *streaming) try(ctx context.Context, base string) (io.ReadCloser, error) {
	req, err := s.w.request(ctx, base, http.MethodGet, "/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if s.last != "" {
		req.Header.Set("Last-Event-ID", s.last)
	}
	r, err := s.w.http.Do(req)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		defer r.Body.Close()
		b, _ := io.ReadAll(io.LimitReader(r.Body, answerMost)) // what is no problem says nothing
		if _, err := refusal(r.StatusCode, b); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the API answers %d", r.StatusCode)
	}
	return r.Body, nil
}

// read hands on events until the stream ends.
func (s *streaming) read(body io.Reader) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, eventMost)
	id, data := "", ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if data == "" {
				continue
			}
			var e Event
			if json.Unmarshal([]byte(data), &e.Envelope) == nil && json.Unmarshal(e.Data, &e.Notice) == nil {
				s.hand(e)
			}
			s.last, id, data = id, "", ""
		}
	}
}
