package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

func version(*Server, *http.Request) (*reply, error) {
	b := telemetry.Build()
	return &reply{body: map[string]string{"version": b.Version, "revision": b.Revision, "go": b.Go}}, nil
}

// whoami says whom a token or session speaks for, and what it may.
func whoami(_ *Server, r *http.Request) (*reply, error) {
	who := From(r).Who
	projects := who.Projects
	if who.All() {
		projects = []string{config.AllProjects}
	}
	return &reply{body: map[string]any{"actor": who.Actor, "token": who.Token, "role": who.Role, "projects": projects}}, nil
}

// regions are those of the status, alone.
func regions(_ *Server, r *http.Request) (*reply, error) {
	var s struct {
		View struct {
			Regions []json.RawMessage `json:"regions"`
		} `json:"view"`
	}
	if err := From(r).Query(r.Context(), "status", nil, &s); err != nil {
		return nil, err
	}
	if s.View.Regions == nil {
		s.View.Regions = []json.RawMessage{}
	}
	return &reply{body: s.View}, nil
}

// cluster answers with one cluster, and the group it is of.
func cluster(_ *Server, r *http.Request) (*reply, error) {
	name := r.PathValue("region") + "/" + r.PathValue("cluster")
	raw, err := From(r).Raw(r.Context(), "group", map[string]any{"cluster": name})
	if err != nil {
		return nil, err
	}
	var g struct{ Clusters []json.RawMessage }
	if err := json.Unmarshal(raw, &g); err != nil {
		return nil, fmt.Errorf("read a group: %w", err)
	}
	for _, c := range g.Clusters {
		var x struct{ Cluster events.Ref }
		if json.Unmarshal(c, &x) == nil && x.Cluster.String() == name {
			return &reply{body: map[string]json.RawMessage{"cluster": c, "group": raw}}, nil
		}
	}
	return nil, kindNotFound.of(fmt.Sprintf("no group has a cluster %q", name))
}

// reportForms are what ?format= of a report may be.
var reportForms = []string{"json", "markdown", "html"}

// report writes an operation down for people who were not there.
func report(_ *Server, r *http.Request) (*reply, error) {
	form := r.URL.Query().Get("format")
	if !r.URL.Query().Has("format") {
		form = "json"
	}
	if !slices.Contains(reportForms, form) {
		return nil, kindBadRequest.of(fmt.Sprintf("query parameter format %q: want one of %v", form, reportForms))
	}
	raw, err := From(r).Raw(r.Context(), "report", map[string]any{"operation": r.PathValue("operation")})
	if err != nil || form == "json" {
		return &reply{body: raw}, err
	}
	var a answers.Report
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("read a report: %w", err)
	}
	d := words.Report(a.Group, &a.Operation, "", toldOf(r, &a), time.Now())
	var b bytes.Buffer
	kind := "text/markdown; charset=utf-8"
	if form == "html" {
		kind, err = "text/html; charset=utf-8", d.HTML(&b)
	} else {
		err = d.Markdown(&b)
	}
	if err != nil {
		return nil, fmt.Errorf("write a report: %w", err)
	}
	h := http.Header{"Content-Type": {kind}}
	if form == "html" {
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'") // its style stands in it, so that it can be saved
	}
	return &reply{header: h, text: b.Bytes()}, nil
}

// toldOf is what was told of an operation, oldest first; nothing where that can't be read: the report itself is what counts.
func toldOf(r *http.Request, a *answers.Report) (all []words.Told) {
	var w answers.Why
	if err := From(r).Query(r.Context(), "why", map[string]any{"group": a.Group}, &w); err != nil {
		return nil
	}
	for _, e := range w.History {
		var n events.Notice
		if json.Unmarshal(e.Data, &n) == nil && n.Operation == a.Operation.ID {
			all = append(all, words.Told{At: e.Time, Notice: n})
		}
	}
	return all
}
