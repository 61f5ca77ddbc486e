package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	c.o.Route(r, "console login")
	c.letIn(w, r, "", http.StatusOK)
}

// letIn shows the form; why is what was wrong with the last try.
func (c *Console) letIn(w http.ResponseWriter, r *http.Request, why string, status int) {
	v := &visit{c: c, r: r, who: &Person{}, now: c.o.Now().UTC(), begun: time.Now()}
	d := struct{ Why, Then string }{why, then(r)}
	c.write(w, r, v, &page{title: "Log in", status: status, still: true, parts: []part{{"main-part", "login", d}}})
}

// then is the page somebody wanted before they were asked to log in: one of ours, or the overview.
func then(r *http.Request) string {
	to := r.FormValue("then")
	if !strings.HasPrefix(to, Prefix) || strings.ContainsAny(to, "\\\r\n") || strings.HasPrefix(to, Prefix+"login") {
		return Prefix
	}
	return to
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	c.o.Route(r, "console login")
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		c.letIn(w, r, ErrForged.Error(), http.StatusForbidden)
		return
	}
	if err := c.o.Door.Begin(w, r, strings.TrimSpace(r.PostFormValue("token"))); err != nil {
		c.letIn(w, r, err.Error(), http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, then(r), http.StatusSeeOther)
}

func logout(_ context.Context, v *visit, w http.ResponseWriter) error {
	v.c.o.Door.End(w)
	http.Redirect(w, v.r, Prefix+"login", http.StatusSeeOther)
	return nil
}

// sums are the digests of the style sheet and the script: they stand in their addresses, so that a browser may keep them.
var sums = digests("console.css", "console.js")

func digests(names ...string) map[string]string {
	all := map[string]string{}
	for _, n := range names {
		b, err := static.ReadFile(path.Join("static", n))
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(b)
		all[n] = hex.EncodeToString(sum[:8])
	}
	return all
}

var types = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// asset serves what pages are drawn with, to anybody.
func (c *Console) asset(w http.ResponseWriter, r *http.Request) {
	c.o.Route(r, "console static")
	name := r.PathValue("name")
	b, err := static.ReadFile(path.Join("static", name))
	if err != nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	if r.URL.Query().Get("v") == sums[name] && sums[name] != "" {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(b)
}
