package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// Fleet is the way to the leader, whichever controller leads: the queries that the bus has, and the door that every ask goes through.
type Fleet interface {
	// Query asks `switchback.q.<what>`. Errors: client.Refusal, client.ErrNoController, those of the bus.
	Query(ctx context.Context, what string, q, into any) error
	// Ask puts an ask through the door and returns the leader's answer. Errors: ErrIDUsed, client.ErrNoController, what is wrong with the ask by itself.
	Ask(ctx context.Context, a events.Ask) (events.Answer, error)
}

// ErrIDUsed: an ask's id was used for another ask.
var ErrIDUsed = errors.New("this id was used for another ask: want a new id, or the very same ask")

const (
	queryLimit = 5 * time.Second  // of a look: a leader that changes is waited for
	askLimit   = 12 * time.Second // of an ask: the door itself gives up after 10 s
)

// Access is the fleet as one principal sees it and may move it. Every surface that a request comes in by goes through it, so what somebody may is decided in one place, and
// what is asked goes through the door under the principal's own name.
type Access struct {
	Who   *auth.Principal
	From  string // where the request came from, for the audit
	fleet Fleet
}

// Query asks what the bus would be asked by `switchback.q.<what>`, and gets what is of the principal's projects only. q is an object; what it is about is as on the bus.
// Errors: as Fleet's.
func (a *Access) Query(ctx context.Context, what string, q map[string]any, into any) error {
	ctx, cancel := context.WithTimeout(ctx, queryLimit)
	defer cancel()
	asked := map[string]any{}
	for k, v := range q {
		asked[k] = v
	}
	if !a.Who.All() {
		asked["projects"] = a.Who.Projects
	}
	return a.fleet.Query(ctx, what, asked, into)
}

// Raw is Query, with the answer as it came.
func (a *Access) Raw(ctx context.Context, what string, q map[string]any) (json.RawMessage, error) {
	var raw json.RawMessage
	err := a.Query(ctx, what, q, &raw)
	return raw, err
}

// Ask asks for something in the principal's name. The ask needs an id and a reason. Errors: *auth.Denied, *Problem, and as Fleet's. An answer that was not accepted is no error.
func (a *Access) Ask(ctx context.Context, ask events.Ask) (events.Answer, error) {
	ask.Actor, ask.From, ask.Projects = a.Who.Actor, a.From, a.Who.Projects
	if err := a.Who.MayAsk(&ask); err != nil {
		return events.Answer{}, err
	}
	if ask.Reason == "" && !ask.DryRun && ask.Verb != events.AskPlan {
		return events.Answer{}, kindNoReason.of(ask.Verb + " says no reason")
	}
	if ask.ID == "" {
		return events.Answer{}, fmt.Errorf("ask %s has no id: want one, or asking again would do it twice", ask.Verb)
	}
	if err := ask.Check(); err != nil {
		return events.Answer{}, kindBadRequest.of(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	return a.fleet.Ask(ctx, ask)
}

// Explain says what an error of Access comes to: the kind of problem, its status and its sentence. Other surfaces write it in their own form.
func Explain(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if d, ok := errors.AsType[*auth.Denied](err); ok {
		p := kindForbidden.of(d.Why)
		p.Remedy = "use " + d.Need
		return p
	}
	if r, ok := errors.AsType[client.Refusal](err); ok {
		return kindNotFound.of(string(r))
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return kindTooLarge.of(fmt.Sprintf("the body has more than %d bytes", tooLarge.Limit))
	}
	switch {
	case errors.Is(err, ErrIDUsed):
		return kindIDUsed.of(err.Error())
	case errors.Is(err, context.Canceled):
		return kindNoLeader.of("this controller is stopping, or who asked is gone").after(1)
	}
	return kindNoLeader.of(err.Error()).after(1) // the bus, or nobody leads: what was not done may be asked again
}
