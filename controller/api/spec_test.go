package api_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/test/apistage"
)

// spec is the description that is served, and the way from a request to its operation.
type spec struct {
	doc    *openapi3.T
	router routers.Router
}

func loadSpec(t testing.TB) *spec {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &spec{doc, router}
}

var noAuth = &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}

// check fails the test unless an answer is one that the description allows to its request, and a request that the description does not allow was refused.
func (sp *spec) check(t *testing.T, method, path, body string, header http.Header, a apistage.Answer) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header = header
	route, params, err := sp.router.FindRoute(req)
	if err != nil {
		if a.Status != http.StatusNotFound && a.Status != http.StatusMethodNotAllowed && a.Status != http.StatusUnauthorized && a.Status != http.StatusTooManyRequests {
			t.Errorf("%s %s is not described, and was answered %d: %s", method, path, a.Status, a.Body)
		}
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: noAuth}
	if err := openapi3filter.ValidateRequest(t.Context(), in); err != nil && a.Status < 400 {
		t.Errorf("%s %s %s was answered %d, and the description refuses it: %.400v", method, path, body, a.Status, err)
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: a.Status, Header: a.Header, Body: io.NopCloser(bytes.NewReader(a.Body)), Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil {
		t.Errorf("%s %s %s: %d %s\nis not as described: %.400v", method, path, body, a.Status, a.Body, err)
	}
}

// Do sends a request as the stage does, and holds it and its answer against the description.
func (s *site) Do(t *testing.T, method, path, token, body string, headers ...string) apistage.Answer {
	t.Helper()
	a := s.Stage.Do(method, path, token, body, headers...)
	h := http.Header{}
	if body != "" {
		h.Set("Content-Type", "application/json")
	}
	for _, x := range headers {
		name, value, _ := strings.Cut(x, ": ")
		h.Set(name, value)
	}
	s.spec.check(t, method, path, body, h, a)
	return a
}

// Every operation of the tables is described, and every one that is described is there.
func TestSpecIsWhole(t *testing.T) {
	t.Parallel()
	sp := loadSpec(t)
	served := api.Operations()
	var described []string
	for path, item := range sp.doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, o := range served {
		if !slices.Contains(described, o) {
			t.Errorf("%s is served, and not described", o)
		}
	}
	for _, o := range described {
		if !slices.Contains(served, o) {
			t.Errorf("%s is described, and not served", o)
		}
	}
}
