package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/api/auth"
)

// call is what is known of a request on its way through.
type call struct {
	id     string
	from   netip.Addr
	route  string // for metrics: a pattern, never a path
	access *Access
	status int
}

type callKey struct{}

func callOf(r *http.Request) *call {
	c, _ := r.Context().Value(callKey{}).(*call)
	if c == nil {
		return &call{}
	}
	return c
}

// From is the fleet as who asks may see and move it; nil where nobody had to say who they are.
func From(r *http.Request) *Access { return callOf(r).access }

// Route names a request in metrics and logs: by its pattern, so that there are few.
func Route(r *http.Request, pattern string) { callOf(r).route = pattern }

func requestURN(r *http.Request) string { return "urn:switchback:request:" + callOf(r).id }

// answer notes what a handler answers.
type answer struct {
	http.ResponseWriter
	c *call
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader notes the status.
func (a *answer) WriteHeader(status int) {
	if a.c.status == 0 {
		a.c.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write notes that the status is 200 if nothing was said of it.
func (a *answer) Write(b []byte) (int, error) {
	if a.c.status == 0 {
		a.c.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// outermost bounds, counts and logs every request, and survives a handler that panics. Neither query nor headers are logged: a secret may stand in the wrong place.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		c := &call{id: strings.ToLower(rand.Text()[:16]), from: s.address(r), route: "other"}
		r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
		h := w.Header()
		h.Set("X-Request-Id", c.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(began.Add(bodyLimit)) // where it can't be set, as in a test, there is none
		_ = control.SetWriteDeadline(began.Add(answerWithin))
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		aw := &answer{w, c}
		defer func() {
			if p := recover(); p != nil {
				s.survive(aw, r, p)
			}
			s.metrics.request(c, r.Method, time.Since(began))
			s.o.Log.Debug("request", "id", c.id, "method", r.Method, "route", c.route, "status", c.status, "from", c.from.String(), "actor", actorOf(c), "took", time.Since(began))
		}()
		next.ServeHTTP(aw, r)
	})
}

func actorOf(c *call) string {
	if c.access == nil {
		return ""
	}
	return c.access.Who.Actor
}

// survive answers for a handler that panicked. What it panicked with stays in the log: it may hold anything.
func (s *Server) survive(w *answer, r *http.Request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // it is compared as net/http does
		panic(p)
	}
	s.metrics.panics.Inc()
	s.o.Log.Error("a request panicked", "id", w.c.id, "route", w.c.route, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.c.status == 0 {
		WriteProblem(w, r, kindInternal.of("this controller failed on the request; its log says why, under the id in instance"))
	}
}

// address is where a request came from: the peer, or what proxies say that the configuration trusts, the last that is none of them.
func (s *Server) address(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	from := ap.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !s.trusted(from) {
			break
		}
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		from = a.Unmap()
	}
	return from
}

func (s *Server) trusted(a netip.Addr) bool {
	return slices.ContainsFunc(s.o.Proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// authenticate lets through who has a valid token or session, with Access in the request. A valid token is never refused for the failures of others at its address; wrong ones are,
// after a few.
func (s *Server) authenticate(next http.Handler, refuse Refuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callOf(r)
		who, err := s.who(r)
		if err != nil {
			s.turnAway(w, r, err, refuse)
			return
		}
		c.access = &Access{Who: who, From: s.from(c, who), fleet: s.o.Fleet}
		if wait := s.rate.Take(who.Token, time.Now()); wait > 0 {
			s.metrics.limited.WithLabelValues("token").Inc()
			s.refuse(w, r, kindTooMany.of(fmt.Sprintf("token %s asks more than %d times a second", who.Token, s.o.Rate)).after(seconds(wait)), refuse)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Session is the fleet as who has a request's session may see and move it; for what is mounted open. What may change something has to prove that a page of ours made it. Errors: those
// of auth.Sessions.Check.
func (s *Server) Session(r *http.Request) (*Access, error) {
	who, err := s.o.Sessions.Check(r)
	if err != nil {
		return nil, err
	}
	c := callOf(r)
	c.access = &Access{Who: who, From: s.from(c, who), fleet: s.o.Fleet}
	return c.access, nil
}

// Login begins a session with a token. After a few wrong ones of an address it takes its time. The error is a sentence for who gave the token.
func (s *Server) Login(w http.ResponseWriter, r *http.Request, token string) error {
	_, err := s.o.Sessions.Begin(w, token)
	if err == nil {
		return nil
	}
	s.metrics.failures.WithLabelValues("login").Inc()
	if wait := s.failures.Take(auth.AddressKey(callOf(r).from), time.Now()); wait > 0 {
		s.metrics.limited.WithLabelValues("address").Inc()
		return fmt.Errorf("too many tries from this address were without a valid token: wait %d s", seconds(wait))
	}
	return err
}

// from says where a request came from, as the audit shows it.
func (s *Server) from(c *call, who *auth.Principal) string {
	return fmt.Sprintf("api %s token %s", c.from, who.Token)
}

// who finds out who asks: by a token, or by a session, which for anything but looking has to prove that the request is of the console's own pages.
func (s *Server) who(r *http.Request) (*auth.Principal, error) {
	if r.Header.Get("Authorization") != "" || s.o.Sessions == nil {
		return s.o.Tokens.Check(auth.Bearer(r))
	}
	who, err := s.o.Sessions.Check(r)
	if errors.Is(err, auth.ErrNoSession) {
		return nil, auth.ErrNoToken
	}
	return who, err
}

func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, err error, refuse Refuse) {
	why, p := "bad", kindBadToken.of(err.Error())
	switch {
	case errors.Is(err, auth.ErrNoToken):
		why, p = "none", kindNoToken.of(err.Error())
	case errors.Is(err, auth.ErrExpired):
		why = "expired"
	case errors.Is(err, auth.ErrCrossSite):
		why, p = "cross-site", kindCrossSite.of(err.Error())
	}
	s.metrics.failures.WithLabelValues(why).Inc()
	if wait := s.failures.Take(auth.AddressKey(callOf(r).from), time.Now()); wait > 0 {
		s.metrics.limited.WithLabelValues("address").Inc()
		p = kindTooMany.of("too many requests from this address were without a valid token").after(seconds(wait))
	} else if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="switchback"`)
	}
	s.refuse(w, r, p, refuse)
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, p *Problem, refuse Refuse) {
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.retry))
	}
	refuse(w, r, p)
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
