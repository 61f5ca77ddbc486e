// Package aiven answers the requests that Aiven's own clients make, avn, curl, the typed Go client and the Terraform provider, in the shapes that they read. A service
// is one PostgreSQL cluster, an integration of the type disaster_recovery is a group's pair of primary and recovery, and a change of a disaster_recovery_role is one of
// the verbs: it goes through the same door as everybody's.
//
// What is shown is made of the leader's view alone, by functions without I/O (catalogue.go, service.go, state.go, integration.go, role.go); the handlers only read, ask and write.
package aiven

import (
	"net/http"
	"time"

	"github.com/switchback-dr/switchback/controller/api"
)

// Settle is how long a change of a role waits to be seen before it is answered with what is true then.
const Settle = 10 * time.Second

// Handler answers below /v1/.
type Handler struct {
	caller func(*http.Request) api.Caller
	settle time.Duration
	mux    *http.ServeMux
}

// New returns a handler; caller says who a request is from, and every request that comes here has somebody.
func New(caller func(*http.Request) api.Caller) *Handler {
	h := &Handler{caller: caller, settle: Settle, mux: http.NewServeMux()}
	h.routes()
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }
