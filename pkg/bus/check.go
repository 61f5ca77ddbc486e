package bus

import (
	"errors"
	"fmt"
)

// MaxBatch is how many messages an atomic batch may have; the server's own limit.
const MaxBatch = 1000

// ErrInvalid: the caller asked for what no server can do; nothing was sent. A mistake in the program, never a state of the world.
var ErrInvalid = errors.New("impossible publish")

// check refuses what a server can't express, before anything is sent, and returns the index of the message that carries the fence (-1: none).
//
// A stored message has room for one condition on one subject. A fence therefore rides on the first message without a Last of its own; the
// server checks a batch as a whole when it is committed, so which message carries it makes no difference. A batch whose every message
// has a Last has no room for a fence: add a message without one (a renewal of ctl.lease says something true and costs nothing).
func check(ms []Out) (fence int, err error) {
	if len(ms) == 0 || len(ms) > MaxBatch {
		return -1, fmt.Errorf("%w: a batch of %d messages, want 1 to %d", ErrInvalid, len(ms), MaxBatch)
	}
	fence = -1
	if m := &ms[0]; len(ms) == 1 && m.Subject != "" && m.Fence == nil {
		return -1, nil
	}
	written := make(map[string]bool, len(ms))
	for i, m := range ms {
		switch {
		case m.Subject == "":
			return -1, fmt.Errorf("%w: message %d has no subject", ErrInvalid, i)
		case m.Fence != nil && i > 0:
			return -1, fmt.Errorf("%w: message %d of the batch has a fence, only the first may", ErrInvalid, i)
		case m.Last != nil && written[m.Subject]:
			return -1, fmt.Errorf("%w: message %d has a condition on %s, which the same batch wrote before", ErrInvalid, i, m.Subject)
		case m.Stream != ms[0].Stream:
			return -1, fmt.Errorf("%w: message %d expects stream %q, the first %q", ErrInvalid, i, m.Stream, ms[0].Stream)
		}
		written[m.Subject] = true
		if fence < 0 && ms[0].Fence != nil && m.Last == nil {
			fence = i
		}
	}
	f := ms[0].Fence
	if f == nil {
		return -1, nil
	}
	if written[f.Subject] {
		return -1, fmt.Errorf("%w: the batch writes %s, its own fence", ErrInvalid, f.Subject)
	}
	if fence < 0 {
		return -1, fmt.Errorf("%w: every message has a condition of its own (first: %s), none is left to carry the fence", ErrInvalid, ms[0].Subject)
	}
	return fence, nil
}
