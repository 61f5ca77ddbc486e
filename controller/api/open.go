package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
)

// readyLimit is how long a controller may take to find a leader, to be called ready.
const readyLimit = 2 * time.Second

func (s *Server) spec(w http.ResponseWriter, r *http.Request) {
	Route(r, "/api/openapi.yaml")
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(Spec) // who asked may be gone
}

// explain says what a problem's type means: the sorts of this API, and the rules that refuse.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	Route(r, problemBase+"{kind}")
	id := r.PathValue("kind")
	text := ""
	for _, k := range kinds {
		if k.id == id {
			text = fmt.Sprintf("%s (%d)\n\n%s\n", k.title, k.status, k.remedy)
		}
	}
	for _, row := range decide.Rows() {
		if row.ID == id {
			text = fmt.Sprintf("refused by a rule: %s\n\nholds when: %s\nsays: %s\n", id, row.When, row.Why)
		}
	}
	if text == "" {
		WriteProblem(w, r, kindNotFound.of("no problem is of this type"))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprint(w, text) // who asked may be gone
}

// healthz says that this process answers.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	Route(r, "/healthz")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = fmt.Fprintln(w, "ok")
}

// readyz says whether this controller can answer: it reaches whoever leads. A load balancer sends requests to those that do.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	Route(r, "/readyz")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ctx, cancel := context.WithTimeout(r.Context(), readyLimit)
	defer cancel()
	if err := s.o.Ready(ctx); err != nil {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, "not ready: no controller leads, or this one does not reach it")
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}
