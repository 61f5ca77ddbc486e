package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// Spec is the description of /api/v1, which came first: handlers are tested against it.
//
//go:embed openapi.yaml
var Spec []byte

// base is where the API begins.
const base = "/api/v1"

// route is one operation of the API.
type route struct {
	method, path string
	params       []string // of the query; others are refused, so that a misspelt one can't be lost
	do           func(s *Server, r *http.Request) (*reply, error)
}

// reply is what a handler answers.
type reply struct {
	status int // 0 = 200
	header http.Header
	body   any    // encoded as JSON; json.RawMessage as it is
	text   []byte // instead of body: as it is, of the Content-Type in header
}

func (s *Server) routes() {
	api := http.NewServeMux()
	for _, t := range tables {
		for i := range t {
			x := &t[i]
			api.Handle(x.method+" "+base+x.path, s.handle(x))
		}
	}
	api.Handle("GET "+base+"/events", http.HandlerFunc(s.eventsOrStream))
	s.Mount(base+"/", s.orProblem(api), nil)
	open := http.NewServeMux()
	open.Handle("GET /api/openapi.yaml", http.HandlerFunc(s.spec))
	open.Handle("GET "+problemBase+"{kind}", http.HandlerFunc(s.explain))
	s.MountOpen("/api/", s.orProblem(open))
	s.mux.Handle("GET /healthz", http.HandlerFunc(s.healthz))
	s.mux.Handle("GET /readyz", http.HandlerFunc(s.readyz))
	s.MountOpen("/", s.orProblem(http.NewServeMux()))
}

// orProblem answers what no pattern matches as a problem, and says which methods a path takes.
func (s *Server) orProblem(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var allow []string
		for _, m := range methods {
			probe := r.Clone(r.Context())
			probe.Method = m
			if _, pattern := mux.Handler(probe); pattern != "" {
				allow = append(allow, m)
			}
		}
		if len(allow) == 0 {
			WriteProblem(w, r, kindNotFound.of("nothing is at this path"))
			return
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		WriteProblem(w, r, kindMethod.of(fmt.Sprintf("this path takes %s", strings.Join(allow, ", "))))
	})
}

func (s *Server) handle(x *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Route(r, base+x.path)
		p, err := s.do(x, r)
		if err != nil {
			s.refuse(w, r, Explain(err), WriteProblem)
			return
		}
		for k, v := range p.header {
			w.Header()[k] = v
		}
		if p.text != nil {
			_, _ = w.Write(p.text) // who asked may be gone
			return
		}
		b, err := json.Marshal(p.body)
		if err != nil {
			s.o.Log.Error("an answer can't be encoded", "route", x.path, "err", err)
			WriteProblem(w, r, kindInternal.of("the answer can't be encoded"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if p.status != 0 {
			w.WriteHeader(p.status)
		}
		_, _ = w.Write(append(b, '\n')) // who asked may be gone
	})
}

// do checks what every operation has checked, then does it.
func (s *Server) do(x *route, r *http.Request) (*reply, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, kindBadRequest.of("the query is not understood")
	}
	for name, values := range q {
		switch {
		case !slices.Contains(x.params, name):
			return nil, kindBadRequest.of(fmt.Sprintf("query parameter %q: want %s", name, orNone(x.params)))
		case len(values) > 1:
			return nil, kindBadRequest.of(fmt.Sprintf("query parameter %s stands there %d times: want it once", name, len(values)))
		}
	}
	for _, name := range []string{"group", "region", "cluster", "agent"} {
		if v := r.PathValue(name); v != "" {
			if err := events.CheckName(name, v); err != nil {
				return nil, kindBadRequest.of(err.Error())
			}
		}
	}
	return x.do(s, r)
}

func orNone(params []string) string {
	if len(params) == 0 {
		return "none, this path takes none"
	}
	return "one of " + strings.Join(params, ", ")
}

// Operations lists what is served by method and path, as the description has it.
func Operations() []string {
	all := []string{"GET " + base + "/events", "GET /api/openapi.yaml", "GET " + problemBase + "{kind}", "GET /healthz", "GET /readyz"}
	for _, t := range tables {
		for _, x := range t {
			all = append(all, x.method+" "+base+x.path)
		}
	}
	return all
}
