package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// page is a page in parts. Each part is looked at again while the page is open, and sent to the browser when it has changed.
type page struct {
	title  string
	at     string // entry of the navigation it belongs to
	parts  []part
	status int  // 0 = 200
	still  bool // a form is being filled in: nothing of it changes by itself
}

// part is an element of a page, by its id, and the template of what is in it.
type part struct {
	id, template string
	data         any
}

// visit is one request of one person.
type visit struct {
	c     *Console
	r     *http.Request
	who   *Person
	now   time.Time
	begun time.Time
}

// mayNot is why somebody who may only look is refused.
func (v *visit) mayNot() string {
	return fmt.Sprintf("you are logged in as %s, %s: that takes an operator's token", v.who.Name, v.who.Role)
}

// noReason is what whoever gives no reason is told.
const noReason = "nothing was done: say why, it is written down with your name"

type (
	builder func(ctx context.Context, v *visit) (*page, error)
	doer    func(ctx context.Context, v *visit, w http.ResponseWriter) error
)

// scope is what a template gets: what it is about, and who looks when.
type scope struct {
	D     any
	Who   *Person
	Now   time.Time
	Field string
	Here  string // path of the page
}

func (v *visit) scope(d any) scope { return scope{d, v.who, v.now, v.c.o.Door.Field(), v.r.URL.Path} }

// query asks the fleet, as whoever looks may.
func (v *visit) query(ctx context.Context, what string, q map[string]any, into any) error {
	return v.who.Fleet.Query(ctx, what, q, into)
}

// visit finds out who looks. Not ok: they were sent to log in, or turned away.
func (c *Console) visit(w http.ResponseWriter, r *http.Request) (*visit, bool) {
	who, err := c.o.Door.Who(r)
	switch {
	case err == nil:
		return &visit{c: c, r: r, who: who, now: c.o.Now().UTC(), begun: time.Now()}, true
	case errors.Is(err, ErrNobody) && strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrNobody):
		to := Prefix + "login"
		if r.Method == http.MethodGet && r.URL.Path != Prefix {
			to += "?then=" + url.QueryEscape(r.URL.RequestURI())
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	default:
		f := Fault{Status: http.StatusForbidden, Why: err.Error()}
		c.write(w, r, &visit{c: c, r: r, who: &Person{}, now: c.o.Now().UTC()}, &page{title: "Refused", status: f.Status, parts: []part{{"main-part", "fault", f}}, still: true})
	}
	return nil, false
}

// show serves a page: whole, its parts alone, or as a stream of the parts that change.
func (c *Console) show(path string, build builder) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.o.Route(r, "console "+path)
		v, ok := c.visit(w, r)
		switch {
		case !ok:
		case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
			c.live(w, r, v, build)
		default:
			p, err := build(r.Context(), v)
			if err != nil {
				c.fail(w, r, v, c.explain(err))
				return
			}
			c.write(w, r, v, p)
		}
	}
}

// change serves a form.
func (c *Console) change(path string, do doer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.o.Route(r, "console "+path)
		v, ok := c.visit(w, r)
		if !ok {
			return
		}
		if err := do(r.Context(), v, w); err != nil {
			c.fail(w, r, v, c.explain(err))
		}
	}
}

func (c *Console) explain(err error) Fault {
	if f, ok := errors.AsType[*faultError](err); ok {
		return Fault(*f)
	}
	return c.o.Explain(err)
}

// faultError is a fault of the console's own finding.
type faultError Fault

// Error is the sentence.
func (f *faultError) Error() string { return f.Why }

func (c *Console) fail(w http.ResponseWriter, r *http.Request, v *visit, f Fault) {
	c.metrics.faults.Inc()
	c.write(w, r, v, &page{title: "Not done", status: f.Status, parts: []part{{"main-part", "fault", f}}, still: true})
}

// shown is a part as it is sent: its element's id, its text, and a digest of that without the ages in it, which the script counts on by itself.
type shown struct {
	ID   string        `json:"id"`
	Sum  string        `json:"sum"`
	HTML template.HTML `json:"html"`
}

var ages = regexp.MustCompile(`(?s)<time.*?</time>`)

func (v *visit) render(p *page) ([]shown, error) {
	var all []shown
	for _, x := range p.parts {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, x.template, v.scope(x.data)); err != nil {
			return nil, fmt.Errorf("render %s: %w", x.template, err)
		}
		sum := sha256.Sum256(ages.ReplaceAll(b.Bytes(), nil))
		all = append(all, shown{x.id, hex.EncodeToString(sum[:6]), template.HTML(b.String())}) //nolint:gosec // it comes from html/template
	}
	return all, nil
}

// write writes a page, whole or, for the script, its parts.
func (c *Console) write(w http.ResponseWriter, r *http.Request, v *visit, p *page) {
	parts, err := v.render(p)
	if err != nil {
		c.o.Log.Error("a page can't be shown", "page", p.title, telemetry.Err(err))
		http.Error(w, "this page can't be shown: the controller's log says why", http.StatusInternalServerError)
		return
	}
	status := p.status
	if status == 0 {
		status = http.StatusOK
	}
	if r.Header.Get("X-Parts") != "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(parts) // who asked may be gone
		return
	}
	said := takeFlash(w, r)
	var b bytes.Buffer
	err = pages.ExecuteTemplate(&b, "layout", v.scope(map[string]any{"Title": p.title, "At": p.at, "Parts": parts, "Said": said, "Still": p.still, "Style": sums["console.css"], "Script": sums["console.js"]}))
	if err != nil {
		c.o.Log.Error("a page can't be shown", "page", p.title, telemetry.Err(err))
		http.Error(w, "this page can't be shown: the controller's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
	c.metrics.pages.Observe(time.Since(v.begun).Seconds())
}

// flashName is the cookie that carries a sentence over a redirect.
const flashName = "switchback-said"

// flash is said on the next page.
func flash(w http.ResponseWriter, r *http.Request, text string) {
	http.SetCookie(w, &http.Cookie{Name: flashName, Value: base64.RawURLEncoding.EncodeToString([]byte(text)), Path: Prefix, MaxAge: 30, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
}

func takeFlash(w http.ResponseWriter, r *http.Request) string {
	k, err := r.Cookie(flashName)
	if err != nil {
		return ""
	}
	http.SetCookie(w, &http.Cookie{Name: flashName, Path: Prefix, MaxAge: -1, HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
	text, err := base64.RawURLEncoding.DecodeString(k.Value)
	if err != nil || len(text) > 2000 {
		return ""
	}
	return string(text)
}
