package config

import (
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Export is the metrics of an agent's clusters: how often they are collected and where they are pushed. The same lines serve both sides of a group: nothing in them says
// who is active.
type Export struct {
	Every time.Duration
	Write *RemoteWrite // nil: only served at listen.metrics
}

// RemoteWrite is a receiver of Prometheus's remote write.
type RemoteWrite struct {
	URL      string
	User     string // basic authentication; empty = none
	Password SecretFile
	Bearer   SecretFile // bearer token; empty = none
	Headers  map[string]string
	Labels   map[string]string // on every series that is pushed
	CA       string            // certificates to trust; empty = the system's
	Buffer   int64             // bytes on disk for what is not taken yet
}

// How often clusters are measured, and how much is kept through an outage of the receiver, where nothing says otherwise.
const (
	defaultEvery  = 15 * time.Second
	defaultBuffer = 64 << 20
)

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// reserved are the labels that every series has by itself.
var reserved = []string{"cloud_region", "group", "cluster", "role", "kind"}

func (a *Agent) export(o *object) {
	e := Export{Every: o.get("every").duration(defaultEvery, time.Second, 5*time.Minute)}
	w := o.get("remote_write")
	w.object(func(o *object) {
		var rw RemoteWrite
		rw.URL = o.must("url", "the URL of a receiver, as in https://metrics.example/api/v1/write").receiver()
		user, password, bearer := o.get("user"), o.get("password_file"), o.get("bearer_file")
		rw.User, _ = user.text("a user")
		rw.Password, rw.Bearer = password.secret(), bearer.secret()
		switch {
		case user.there() != password.there():
			o.problem("has only one of user and password_file: want both, or none")
		case bearer.there() && user.there():
			bearer.problem("there is a user too: want one way to say who we are")
		}
		rw.Headers = o.get("headers").texts(func(name string, v value) {
			k := textproto.CanonicalMIMEHeaderKey(name)
			if k == "Authorization" || k == "Host" || strings.HasPrefix(k, "Content-") || strings.HasPrefix(k, "X-Prometheus-") || !headerName.MatchString(name) {
				v.problem("header %q can't be set: want another name; who we are goes into bearer_file, or user and password_file", name)
			}
		})
		rw.Labels = o.get("labels").texts(func(name string, v value) {
			if !labelName.MatchString(name) || strings.HasPrefix(name, "__") || slices.Contains(reserved, name) {
				v.problem("label %q can't be set: want letters, digits and _, and none of %s", name, strings.Join(reserved, ", "))
			}
		})
		rw.CA = o.get("ca").file("")
		buffer := o.get("buffer")
		if rw.Buffer = buffer.size(defaultBuffer); rw.Buffer < 1<<20 {
			buffer.problem("want at least 1MiB")
		}
		e.Write = &rw
	})
	if !w.there() && a.Metrics == "" {
		o.problem("goes nowhere: want remote_write, or listen.metrics for whoever scrapes")
	}
	a.Export = &e
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// texts reads a map of texts and hands each to check.
func (v value) texts(check func(name string, v value)) map[string]string {
	if !v.there() {
		return nil
	}
	out := map[string]string{}
	v.object(func(o *object) {
		o.each(func(e entry) {
			if s, ok := e.value.text("a text"); ok {
				out[e.name] = s
			}
			check(e.name, e.key)
		})
	})
	return out
}

// receiver reads http or https URL. What it refuses it does not print: it may hold a password.
func (v value) receiver() string {
	s, ok := v.text("a URL, as in https://metrics.example/api/v1/write")
	if !ok {
		return ""
	}
	switch u, err := url.Parse(s); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		v.problem("is not the URL of a receiver: want https://host/path or http://host/path")
	case u.User != nil:
		v.problem("holds a user or password: want user and password_file, or bearer_file")
	case u.Path == "" || u.Path == "/":
		v.problem("has no path: want it whole, as in https://metrics.example/api/v1/write")
	default:
		return s
	}
	return ""
}
