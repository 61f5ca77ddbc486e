// Package astro answers the requests that are made to Astro's API to fail a cluster over and back: a cluster is a workflow group (kind airflow), an organization is a project, and
// isFailedOver says whether a recovery is active. A change of it is one of the verbs, and goes through the same door as everybody's.
package astro

import (
	"context"
	"net/http"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// Fleet shows groups as the leader sees them now. An error means that nobody can say, never that there is none.
type Fleet interface {
	// Project lists the groups of a project, of every kind, in the order of their names; with names of clusters, only those with a cluster that is called so.
	Project(ctx context.Context, project string, named ...string) ([]fleet.GroupView, error)
}

// Door takes what is asked. An error means that no answer came; a refusal is an answer.
type Door interface {
	Ask(ctx context.Context, a events.Ask) (events.Answer, error)
}

// Caller is who a request is from, as whoever mounts the handler found it to be, with the fleet as it may see it and the door as it may use it.
type Caller struct {
	Fleet
	Door
	Actor  string                    // of what is asked
	Sees   func(project string) bool // whether groups of a project may be shown to it
	MayAsk func(*events.Ask) error   // why it may not ask for something; nil = it may
}

// Handler answers below /platform/.
type Handler struct {
	caller func(*http.Request) Caller
	mux    *http.ServeMux
}

// New returns a handler; caller says who a request is from, and every request that comes here has somebody.
func New(caller func(*http.Request) Caller) *Handler {
	h := &Handler{caller: caller, mux: http.NewServeMux()}
	h.routes()
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }
