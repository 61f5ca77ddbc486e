package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	calm    = 250 * time.Millisecond // at least between two looks, however much is told
	pulse   = 15 * time.Second       // at most between two messages, so that a lost connection is noticed
	lookFor = 6 * time.Second        // how long a look may take
)

// live sends the parts of a page that change, until the browser goes, or it is time to ask anew: then it is checked again who looks.
func (c *Console) live(w http.ResponseWriter, r *http.Request, v *visit, build builder) {
	c.metrics.live.Inc()
	defer c.metrics.live.Dec()
	ctx, cancel := context.WithTimeout(r.Context(), c.o.Open)
	defer cancel()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // where it can't be set there is none
	_ = control.SetReadDeadline(time.Time{})  // else who listens would be taken to have gone
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	woken := make(chan struct{}, 1)
	stop := c.o.News.Wake(func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	defer stop()
	s := stream{w: w, control: control, sent: map[string]string{}}
	tick := time.NewTicker(c.o.Every)
	defer tick.Stop()
	for {
		if err := s.look(ctx, v, build); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-woken:
			select {
			case <-time.After(calm):
			case <-ctx.Done():
				return
			}
		}
		v.now = c.o.Now().UTC()
	}
}

// stream is one browser's: what it was sent, by part.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	sent    map[string]string
	trouble string
	last    time.Time
}

// look sends what has changed since. What keeps it from looking is told, and is no error; an error is that the browser has gone.
func (s *stream) look(ctx context.Context, v *visit, build builder) error {
	short, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	p, err := build(short, v)
	var parts []shown
	if err == nil {
		parts, err = v.render(p)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if f := v.c.explain(err); s.trouble != f.Why {
			s.trouble = f.Why
			return s.send("trouble", f.Why)
		}
		return s.keep()
	}
	if s.trouble != "" {
		s.trouble = ""
		if err := s.send("well", ""); err != nil {
			return err
		}
	}
	for _, x := range parts {
		if s.sent[x.ID] == x.Sum {
			continue
		}
		if err := s.send("part", x); err != nil {
			return err
		}
		s.sent[x.ID] = x.Sum
	}
	return s.keep()
}

// keep says something now and then.
func (s *stream) keep() error {
	if time.Since(s.last) < pulse {
		return nil
	}
	return s.send("pulse", "")
}

func (s *stream) send(event string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a part: %w", err)
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, b); err != nil {
		return err
	}
	s.last = time.Now()
	return s.control.Flush()
}
