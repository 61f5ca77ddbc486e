package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// A surface speaks the shapes of somebody else's API beside this one: what it needs of the server stands here, so that it can be tested without one.

// Groups shows groups as the leader sees them now. An error means that nobody can say, never that there is none.
type Groups interface {
	// Project lists the groups of a project, of every kind, in the order of their names; with names of clusters, only those with a cluster that is called so.
	Project(ctx context.Context, project string, named ...string) ([]fleet.GroupView, error)
}

// Door takes what is asked. An error means that no answer came; a refusal is an answer.
type Door interface {
	Ask(ctx context.Context, a events.Ask) (events.Answer, error)
}

// Caller is who a request of a surface is from, with the groups as it may see them and the door as it may use it.
type Caller struct {
	Groups
	Door
	Actor  string                    // of what is asked
	Sees   func(project string) bool // whether groups of a project may be shown to it
	MayAsk func(*events.Ask) error   // why it may not ask for something; nil = it may
}

// CallerOf says who a request is from that came through Mount.
func CallerOf(r *http.Request) Caller {
	a := From(r)
	return Caller{Groups: a, Door: a, Actor: a.Who.Actor, Sees: a.Who.Sees, MayAsk: a.Who.MayAsk}
}

// Refused is an answer of a surface that is not what was asked for: its status and its sentence.
type Refused struct {
	Status int
	Why    string
}

// Error is the sentence.
func (r *Refused) Error() string { return r.Why }

// Refusal makes one.
func Refusal(status int, format string, a ...any) error {
	return &Refused{status, fmt.Sprintf(format, a...)}
}
