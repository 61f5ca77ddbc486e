// Package api serves what people and programs ask over HTTP, on every controller, whoever leads: /api/v1 by openapi.yaml, and what others mount beside it. It has no state of the fleet:
// it asks the leader over the bus as the CLI does, and what it is asked to do goes through the same door as everything else.
package api

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// Options is what a server is made of.
type Options struct {
	Fleet    Fleet
	Events   Events
	Tokens   *auth.Tokens
	Sessions *auth.Sessions
	Rate     int            // requests a second of one token, twice as many at once
	Proxies  []netip.Prefix // whose X-Forwarded-For counts
	Ready    func(context.Context) error
	Log      *slog.Logger
	Metrics  prometheus.Registerer
}

// Server is the HTTP side of a controller.
type Server struct {
	o        Options
	mux      *http.ServeMux
	rate     *auth.Limits
	failures *auth.Limits
	metrics  *metrics
	stopping chan struct{} // closed when streams are to end
	tail     *tail
	open     atomic.Int64 // streams
}

const (
	headerLimit  = 5 * time.Second
	bodyLimit    = 15 * time.Second
	answerWithin = 30 * time.Second // longer than any ask waits; streams go on beyond it
	idleLimit    = 2 * time.Minute
	grace        = 3 * time.Second
	maxHeader    = 32 << 10
	maxBody      = 1 << 20

	failuresPerSecond = 0.5 // of one address, without a valid token
	failuresBurst     = 20
)

// New returns a server of /api/v1. Others are mounted before it serves.
func New(o Options) *Server {
	s := &Server{
		o: o, mux: http.NewServeMux(), rate: auth.NewLimits(float64(o.Rate), 2*o.Rate), failures: auth.NewLimits(failuresPerSecond, failuresBurst), metrics: newMetrics(o.Metrics),
		stopping: make(chan struct{}),
	}
	s.tail = &tail{s: s, grown: make(chan struct{})}
	s.routes()
	return s
}

// Refuse writes why a request was not done, in the form of the surface it came in by.
type Refuse func(http.ResponseWriter, *http.Request, *Problem)

// Mount serves what is below prefix, which begins and ends with /, for who has a token or a session: h finds them with From. refuse writes refusals in h's own form; nil = as problems.
// Patterns that h knows are named in metrics as the route it sets with Route; else they are all one.
func (s *Server) Mount(prefix string, h http.Handler, refuse Refuse) {
	if refuse == nil {
		refuse = WriteProblem
	}
	s.mux.Handle(prefix, s.authenticate(h, refuse))
}

// MountOpen serves what is below prefix to anybody: pages to log in on, style sheets. h finds who asks with Session, if anybody is known.
func (s *Server) MountOpen(prefix string, h http.Handler) { s.mux.Handle(prefix, h) }

// Handler is all of it, for a test or another server.
func (s *Server) Handler() http.Handler { return s.outermost(s.mux) }

// Serve answers on l until ctx ends; then streams end at once, and open requests have 3 s. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener, conf *tls.Config) error {
	stop := context.AfterFunc(ctx, func() { close(s.stopping) })
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	tailed := make(chan struct{})
	go func() {
		defer close(tailed)
		s.tail.run(ctx)
	}()
	defer func() { cancel(); <-tailed }()
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	h := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug), // of connections: what the network does is no news
	}
	return telemetry.ServeWith(ctx, l, h)
}
