// Package console is the browser's way to the fleet, served by every controller: pages that are whole without a script, and live with one. It has no state of the fleet and decides
// nothing: it asks the leader as the CLI does, says what it hears in the same words, and what a person does leaves as an ask through the same door.
package console

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// Prefix is where the console is served.
const Prefix = "/console/"

// Fleet is the fleet as one person may see and move it: what they may not see is not there, what they may not ask is refused.
type Fleet interface {
	// Query asks `switchback.q.<what>`.
	Query(ctx context.Context, what string, q map[string]any, into any) error
	// Ask puts an ask through the door under the person's name. An answer that was not accepted is no error.
	Ask(ctx context.Context, a events.Ask) (events.Answer, error)
	// Recent is what was told last, newest first, at most so many; about a group or region, or (about "") of all.
	Recent(ctx context.Context, about string, most int) ([]client.Event, error)
}

// Person is who looks.
type Person struct {
	Name  string // the actor of what they ask
	Role  string // in words
	Moves bool   // their role lets them ask for moves
	Proof string // that a form is of this session's pages
	Fleet Fleet
}

// Door lets people in.
type Door interface {
	// Who is whose session a request has; of a request that may change something it also checks that a page of the console made it. Errors: ErrNobody, ErrForged.
	Who(r *http.Request) (*Person, error)
	// Begin begins a session with a token. The error is a sentence for who gave it.
	Begin(w http.ResponseWriter, r *http.Request, token string) error
	// End ends the session.
	End(w http.ResponseWriter)
	// Field is the name of the form's field that carries Proof.
	Field() string
}

// The ways in which nobody is let in.
var (
	ErrNobody = errors.New("log in first")
	ErrForged = errors.New("the request does not prove that a page of this console made it: go back, load the page again, and repeat it")
)

// News says that something was told, as this controller hears it.
type News interface {
	// Wake has f called, never blocking, whenever something is told, until stop is called.
	Wake(f func()) (stop func())
}

// Fault is an error as people are told it.
type Fault struct {
	Status int
	Why    string
	Remedy string // what would make it possible, where Why does not say so
}

// Options is what a console is made of.
type Options struct {
	Door    Door
	News    News
	Explain func(error) Fault // of what Fleet returns
	Now     func() time.Time
	Every   time.Duration // how often a live page looks again although nothing is told; 0 = a second
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Route   func(r *http.Request, pattern string) // names a request for logs and metrics of the server; nil = nobody asks
	Open    time.Duration                         // how long a live page is served until it is to ask anew; 0 = 5 minutes
}

// Console serves the pages.
type Console struct {
	o       Options
	mux     *http.ServeMux
	metrics *metrics
	clocks  *clocks
}

//go:embed static
var static embed.FS

// New returns a console. A template that is wrong fails its tests, not a request.
func New(o Options) *Console {
	if o.Every == 0 {
		o.Every = time.Second
	}
	if o.Open == 0 {
		o.Open = 5 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Route == nil {
		o.Route = func(*http.Request, string) {}
	}
	c := &Console{o: o, mux: http.NewServeMux(), metrics: newMetrics(o.Metrics), clocks: newClocks()}
	c.routes()
	return c
}

func (c *Console) routes() {
	c.mux.HandleFunc("GET "+Prefix+"login", c.loginPage)
	c.mux.HandleFunc("POST "+Prefix+"login", c.login)
	c.mux.HandleFunc("GET "+Prefix+"static/{name}", c.asset)
	for _, r := range []struct {
		path string
		page builder
	}{
		{"{$}", overview}, {"groups", groupList}, {"groups/{group}", groupPage}, {"groups/{group}/why", whyPage}, {"groups/{group}/events", groupEvents},
		{"groups/{group}/cycle", cyclePage}, {"groups/{group}/do/{verb}", actPage}, {"regions/{region}", regionPage}, {"rollouts", rolloutList},
		{"rollouts/{rollout}", rolloutPage}, {"rollouts/{rollout}/do/{verb}", steerPage}, {"plans", planPage}, {"drills", drillList}, {"events", eventLog},
		{"automation/{verb}", automationPage},
	} {
		c.mux.HandleFunc("GET "+Prefix+r.path, c.show(r.path, r.page))
	}
	c.mux.HandleFunc("GET "+Prefix+"operations/{operation}", c.report)
	for _, r := range []struct {
		path string
		do   doer
	}{
		{"logout", logout}, {"groups/{group}/do/{verb}", act}, {"rollouts/{rollout}/do/{verb}", steer}, {"plans", plan}, {"automation/{verb}", throw},
	} {
		c.mux.HandleFunc("POST "+Prefix+r.path, c.change(r.path, r.do))
	}
	c.mux.HandleFunc(Prefix, func(w http.ResponseWriter, r *http.Request) {
		c.o.Route(r, "console other")
		if v, ok := c.visit(w, r); ok {
			c.fail(w, r, v, Fault{Status: http.StatusNotFound, Why: "there is no such page", Remedy: "the pages of this console are listed above"})
		}
	})
}

// policy allows what a page of the console needs: its own style sheet, script and requests, and nothing of anybody else's.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP serves a request below Prefix.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	c.mux.ServeHTTP(w, r)
}
