package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// What a plan, or a rollout without one, may be about and how.
var planFields = []string{"do", "group", "groups", "region", "select", "limits", "to", "accept_loss", "while_blind"}

var rolloutRoutes = []route{
	{"GET", "/plans", nil, listRollouts(true)},
	{"GET", "/plans/{rollout}", []string{"from", "limit"}, oneRollout},
	{"POST", "/plans", nil, makePlan},
	{"GET", "/rollouts", []string{"state"}, listRollouts(false)},
	{"GET", "/rollouts/{rollout}", []string{"from", "limit"}, oneRollout},
	{"POST", "/rollouts", nil, runPlan},
	askRoute("/rollouts/{rollout}/pause", events.AskPause),
	askRoute("/rollouts/{rollout}/resume", events.AskResume),
	askRoute("/rollouts/{rollout}/abort", events.AskAbort),
	askRoute("/rollouts/{rollout}/skip", events.AskSkip, "group"),
	askRoute("/rollouts/{rollout}/retry", events.AskRetry, "group"),
}

// rolloutStates are what ?state= may be.
var rolloutStates = []string{string(events.RolloutPlanned), string(events.RolloutRunning), string(events.RolloutPaused), string(events.RolloutHalted), string(events.RolloutDone), string(events.RolloutAborted)}

// listRollouts lists plans and rollouts, the newest first; planned alone, or of the state that the query names.
func listRollouts(planned bool) func(*Server, *http.Request) (*reply, error) {
	return func(_ *Server, r *http.Request) (*reply, error) {
		state := r.URL.Query().Get("state")
		if planned {
			state = string(events.RolloutPlanned)
		} else if r.URL.Query().Has("state") && !slices.Contains(rolloutStates, state) {
			return nil, kindBadRequest.of(fmt.Sprintf("query parameter state %q: want one of %v", state, rolloutStates))
		}
		var all struct {
			Rollouts []json.RawMessage `json:"rollouts"`
		}
		if err := From(r).Query(r.Context(), "rollouts", nil, &all); err != nil {
			return nil, err
		}
		all.Rollouts = slices.DeleteFunc(all.Rollouts, func(raw json.RawMessage) bool {
			var x struct{ State string }
			return state != "" && (json.Unmarshal(raw, &x) != nil || x.State != state)
		})
		return &reply{body: all}, nil
	}
}

func oneRollout(_ *Server, r *http.Request) (*reply, error) {
	from, err := number(r, "from", 0, 0, 1_000_000)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 500, 1, 500)
	if err != nil {
		return nil, err
	}
	raw, err := From(r).Raw(r.Context(), "rollout", map[string]any{"rollout": r.PathValue("rollout"), "from": from, "limit": limit})
	return &reply{body: raw}, err
}

// makePlan has a plan computed and stored. Nothing moves, so it needs no reason.
func makePlan(s *Server, r *http.Request) (*reply, error) {
	p, err := putAsk(r, events.AskPlan, planFields)
	if err != nil {
		return nil, err
	}
	if a, ok := p.body.(*events.Answer); ok && a.Rollout != "" {
		p.status = http.StatusCreated
		p.header.Set("Location", base+"/plans/"+a.Rollout)
	}
	return p, nil
}

// runPlan begins a rollout: of a plan as it was shown, or of what is planned and begun at once.
func runPlan(_ *Server, r *http.Request) (*reply, error) {
	a := events.Ask{Verb: events.AskPlan}
	if err := decodeAsk(r, &a, append(slices.Clone(planFields), "plan")); err != nil {
		return nil, err
	}
	switch {
	case (a.Plan == "") == (a.Do == ""):
		return nil, kindBadRequest.of("want plan, the id of one that was made, or do, the verb to do, and what it is about")
	case a.Plan != "":
		var of struct{ Rollout events.Rollout }
		if err := From(r).Query(r.Context(), "rollout", map[string]any{"rollout": a.Plan, "limit": 1}, &of); err != nil {
			return nil, err
		}
		a.Verb = of.Rollout.Verb
	case !slices.Contains(events.PlanVerbs, a.Do):
		return nil, kindBadRequest.of(fmt.Sprintf("do %q: want one of %v", a.Do, events.PlanVerbs))
	default:
		a.Verb = a.Do
		if !a.Many() {
			return nil, kindBadRequest.of("want groups, a region or select; one group is moved on its own path")
		}
	}
	a.Do = ""
	if err := withHeaders(r, &a); err != nil {
		return nil, err
	}
	return through(r, &a)
}
