package regionagent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// fenceOrder is what the external fence reads from standard input: whom to make unable to acknowledge a write, and for which move.
type fenceOrder struct {
	Version int           `json:"version"`
	Step    string        `json:"step"` // the same for every try of one order
	Group   string        `json:"group"`
	By      events.Ref    `json:"by"` // the cluster that is to be promoted
	Victim  events.Victim `json:"victim"`
}

// fenceAnswer is what it writes to standard output.
type fenceAnswer struct {
	Fenced bool          `json:"fenced"`
	Why    string        `json:"why,omitempty"`
	Facts  []events.Fact `json:"facts,omitempty"` // what it proved, for the report
}

// The exit codes of the external fence. Any other says that nobody knows what was done: it is asked again.
const (
	fenceExitDone    = 0
	fenceExitRetry   = 1
	fenceExitRefused = 2
)

// maxFenceAnswer bounds what an external fence may say, maxFenceFacts how much of it is kept.
const (
	maxFenceAnswer = 64 << 10
	maxFenceFacts  = 16
)

// external runs the external fence against another host (C3c). Only exit code 0 together with fenced: true is a proof; without a shell, its output bounded, and killed
// when its time is over, for then nobody knows what it did.
func (a *agent) external(ctx context.Context, c *cluster, act lease.Action) events.Result {
	unknown := func(format string, args ...any) events.Result {
		return events.Result{Outcome: events.Retry, Why: fmt.Sprintf("external fence: "+format, args...)}
	}
	if a.cfg.Fence.External == "" || act.Victim == nil {
		return events.Result{Outcome: events.Refused, Why: "this agent has no external fence (fence.external), or was not told against whom"}
	}
	in, err := json.Marshal(fenceOrder{Version: 1, Step: act.Step, Group: act.Group, By: c.ref, Victim: *act.Victim})
	if err != nil {
		return unknown("%v", err)
	}
	limit := a.cfg.Fence.ExternalTimeout
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, a.cfg.Fence.External)
	var out, bad bounded
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = bytes.NewReader(in), &out, &bad, time.Second
	began := time.Now()
	err = cmd.Run()
	took := time.Since(began)
	a.log.Warn("external fence", "victim", act.Victim.Cluster.String(), "step", act.Step, "took", took.String(), "err", fmt.Sprint(err), "stderr", string(bad))
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		return unknown("it did not end within %v, nobody knows what it did", limit)
	case err != nil && !failed:
		return unknown("%v", err)
	}
	code := fenceExitDone
	if failed {
		code = exit.ExitCode()
	}
	return fenceResult(code, out, bad, took)
}

// fenceResult judges how the external fence ended.
func fenceResult(code int, out, bad []byte, took time.Duration) events.Result {
	r := events.Result{Outcome: events.Retry, Took: took}
	var said fenceAnswer
	err := json.Unmarshal(out, &said)
	switch {
	case code == fenceExitDone && (err != nil || len(out) >= maxFenceAnswer):
		r.Why = fmt.Sprintf("external fence: exit code 0, but what it said can't be read: want {\"fenced\": true, …} (%v)", err)
	case code == fenceExitDone && !said.Fenced:
		r.Why = "external fence: exit code 0, but it does not say fenced: true: " + said.Why
	case code == fenceExitDone:
		r.Outcome, r.Why, r.Facts = events.Done, said.Why, said.Facts[:min(len(said.Facts), maxFenceFacts)]
	case code == fenceExitRefused:
		r.Outcome, r.Why = events.Refused, fmt.Sprintf("external fence refused: %s%.200s", said.Why, bad)
	case code == fenceExitRetry:
		r.Why = fmt.Sprintf("external fence failed, and is tried again: %s%.200s", said.Why, bad)
	default:
		r.Why = fmt.Sprintf("external fence ended with exit code %d: want 0 fenced, 1 failed, 2 refused: %.200s", code, bad)
	}
	return r
}

// bounded keeps the first maxFenceAnswer bytes.
type bounded []byte

func (b *bounded) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxFenceAnswer-len(*b))]...)
	return len(p), nil
}
