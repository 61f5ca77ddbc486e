// Package astro answers the requests that are made to Astro's API to fail a cluster over and back: a cluster is a workflow group (kind airflow), an organization is a project, and
// isFailedOver says whether a recovery is active. A change of it is one of the verbs, and goes through the same door as everybody's.
package astro

import (
	"net/http"

	"github.com/switchback-dr/switchback/controller/api"
)

// Handler answers below /platform/.
type Handler struct {
	caller func(*http.Request) api.Caller
	mux    *http.ServeMux
}

// New returns a handler; caller says who a request is from, and every request that comes here has somebody.
func New(caller func(*http.Request) api.Caller) *Handler {
	h := &Handler{caller: caller, mux: http.NewServeMux()}
	h.routes()
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }
