package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/controller/console"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// mountConsole serves the console beside the API, by the same sessions and the same way to the leader.
func (c *Controller) mountConsole(server *api.Server, sessions *auth.Sessions, news *news, scoped prometheus.Registerer) {
	server.MountOpen(console.Prefix, console.New(console.Options{
		Door: &consoleDoor{server, sessions, news}, News: news, Log: c.log, Metrics: scoped, Route: api.Route,
		Explain: func(err error) console.Fault {
			p := api.Explain(err)
			return console.Fault{Status: p.Status, Why: p.Detail, Remedy: p.Remedy}
		},
	}))
	server.MountOpen("/{$}", http.RedirectHandler(console.Prefix, http.StatusSeeOther))
}

// consoleDoor lets people in by the API's sessions.
type consoleDoor struct {
	server   *api.Server
	sessions *auth.Sessions
	news     *news
}

// Who implements console.Door.
func (d *consoleDoor) Who(r *http.Request) (*console.Person, error) {
	a, err := d.server.Session(r)
	switch {
	case errors.Is(err, auth.ErrCrossSite):
		return nil, console.ErrForged
	case err != nil:
		return nil, fmt.Errorf("%w: %w", console.ErrNobody, err)
	}
	role := string(a.Who.Role) + " of all projects"
	if !a.Who.All() {
		role = string(a.Who.Role) + " of " + strings.Join(a.Who.Projects, ", ")
	}
	return &console.Person{Name: a.Who.Actor, Role: role, Moves: a.Who.May(config.RoleOperator), Proof: d.sessions.CSRF(r), Fleet: consoleFleet{a, d.news}}, nil
}

// Begin implements console.Door.
func (d *consoleDoor) Begin(w http.ResponseWriter, r *http.Request, token string) error {
	return d.server.Login(w, r, token)
}

// End implements console.Door.
func (d *consoleDoor) End(w http.ResponseWriter) { d.sessions.End(w) }

// Field implements console.Door.
func (d *consoleDoor) Field() string { return auth.CSRFField }

// consoleFleet is the fleet as one person may see and move it.
type consoleFleet struct {
	*api.Access
	news *news
}

// Recent implements console.Fleet: what this controller heard, and of one group or region what is kept of it. Who sees some projects only hears of their groups.
func (f consoleFleet) Recent(ctx context.Context, about string, most int) ([]client.Event, error) {
	es := f.news.recent(about)
	if about != "" {
		q := map[string]any{"group": about}
		if strings.Contains(about, "/") || f.Query(ctx, "group", q, &fleet.GroupView{}) != nil {
			q = map[string]any{"region": about}
		}
		var w answers.Why
		if err := f.Query(ctx, "why", q, &w); err != nil {
			return nil, err
		}
		es = merged(es, w.History)
	}
	var found []client.Event
	seen := map[string]bool{}
	for _, e := range es {
		if len(found) == most {
			break
		}
		if f.sees(ctx, &e.Notice, seen) {
			found = append(found, e)
		}
	}
	return found, nil
}

// sees reports whether a person may hear of something; seen is what was found out of groups.
func (f consoleFleet) sees(ctx context.Context, n *events.Notice, seen map[string]bool) bool {
	if f.Who.All() || n.Group == "" {
		return f.Who.All()
	}
	ok, known := seen[n.Group]
	if !known {
		ok = f.Query(ctx, "group", map[string]any{"group": n.Group}, &fleet.GroupView{}) == nil
		seen[n.Group] = ok
	}
	return ok
}

// merged is what was heard and what is kept, each once, newest first.
func merged(heard []client.Event, kept []events.Envelope) []client.Event {
	known := map[string]bool{}
	for _, e := range heard {
		known[e.ID] = true
	}
	for _, env := range kept {
		if e, ok := client.Read(env); ok && !known[e.ID] {
			heard = append(heard, e)
		}
	}
	slices.SortStableFunc(heard, func(a, b client.Event) int { return b.Time.Compare(a.Time) })
	return heard
}

// newsKept is how many events a controller keeps of what it heard.
const newsKept = 1000

// news is what this controller heard lately, and who is to be woken by it.
type news struct {
	mu     sync.Mutex
	heard  []client.Event // newest last
	wakes  map[int]func()
	number int
}

// first are the types of events that are few, and read from the stream when a controller starts.
var first = []string{events.NoticeVerdict, events.NoticeAutomation, events.NoticeRollout, events.NoticeLeader}

// listen hears what is told until ctx ends.
func (n *news) listen(ctx context.Context, c *Controller) {
	b := client.New(c.bus)
	stop, err := b.Events(n.hear)
	if err != nil {
		c.log.Error("the console hears no events", telemetry.Err(err))
		return
	}
	for _, kind := range first {
		short, cancel := context.WithTimeout(ctx, queryLimit)
		if es, err := b.Kept(short, kind); err == nil {
			n.before(es)
		}
		cancel()
	}
	<-ctx.Done()
	stop()
}

func (n *news) hear(e client.Event) {
	n.mu.Lock()
	n.heard = append(n.heard, e)
	if over := len(n.heard) - newsKept; over > 0 {
		n.heard = slices.Clone(n.heard[over:])
	}
	wakes := make([]func(), 0, len(n.wakes))
	for _, w := range n.wakes {
		wakes = append(wakes, w)
	}
	n.mu.Unlock()
	for _, w := range wakes {
		w()
	}
}

// before puts what was told before this controller listened in front.
func (n *news) before(es []client.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(es, n.heard...)
	slices.SortStableFunc(n.heard, func(a, b client.Event) int { return a.Time.Compare(b.Time) })
}

func (n *news) recent(about string) (es []client.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range slices.Backward(n.heard) {
		if about == "" || e.Notice.Group == about || e.Notice.Group == "" && e.Notice.Region == about {
			es = append(es, e)
		}
	}
	return es
}

// Wake implements console.News.
func (n *news) Wake(f func()) (stop func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.wakes == nil {
		n.wakes = map[int]func(){}
	}
	n.number++
	at := n.number
	n.wakes[at] = f
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.wakes, at)
	}
}
