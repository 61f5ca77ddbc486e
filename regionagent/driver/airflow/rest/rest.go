package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Config says where an API is and who asks it.
type Config struct {
	URL          string // as in http://127.0.0.1:8080, with the path it is served under if there is one
	TokenFile    string // file with a bearer token; or
	User         string // … a user
	PasswordFile string // … and the file with its password. Files are read again whenever they are needed
}

// Generation is which API an Airflow speaks.
type Generation int

// The generations.
const (
	V2 Generation = 2 // Airflow 2.x: /api/v1
	V3 Generation = 3 // Airflow 3: /api/v2
)

func (g Generation) base() string {
	if g == V2 {
		return "/api/v1"
	}
	return "/api/v2"
}

// Client asks one API. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
	mu   sync.Mutex
	gen  Generation // 0 = not known yet, or not since it was last out of reach
	word string     // the token in use
}

// What a client gives itself. A limit of the whole request is the caller's, by its context.
const (
	dialLimit = 2 * time.Second
	maxAnswer = 64 << 20 // bytes
	pageSize  = 100      // the most an Airflow gives by default (maximum_page_limit)
)

// New makes a client. It asks nothing. An error names what of cfg is wrong.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("api: %w: want http://host:port or https://host:port", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "":
		return nil, fmt.Errorf("api: %q: want http://host:port or https://host:port", u.Redacted())
	case (cfg.User == "") != (cfg.PasswordFile == ""):
		return nil, errors.New("api: only one of user and password_file: want both")
	case cfg.User == "" && cfg.TokenFile == "":
		return nil, errors.New("api: nobody to ask as: want token_file, or user and password_file")
	case cfg.User != "" && cfg.TokenFile != "":
		return nil, errors.New("api: token_file and user: want one of them")
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.MaxIdleConnsPerHost, t.IdleConnTimeout = nil, 4, 30*time.Second // it stands beside the agent
	t.DialContext = dialer(dialLimit)
	return &Client{cfg: cfg, http: &http.Client{
		Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a password goes nowhere else
	}}, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Generation finds out which API is served; asked again it knows, until the API was out of reach.
func (c *Client) Generation(ctx context.Context) (Generation, error) {
	c.mu.Lock()
	g := c.gen
	c.mu.Unlock()
	if g != 0 {
		return g, nil
	}
	for _, g := range []Generation{V3, V2} {
		var v Version
		err := c.once(ctx, call{method: http.MethodGet, path: g.base() + "/version", open: true, to: &v})
		if Status(err) == http.StatusNotFound || err == nil && v.Version == "" {
			continue
		}
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		c.gen = g
		c.mu.Unlock()
		return g, nil
	}
	return 0, fmt.Errorf("no API of Airflow 3 or 2 at %s: neither /api/v2/version nor /api/v1/version is one", c.cfg.URL)
}

// Version is what an Airflow says of itself.
type Version struct {
	Version    string `json:"version"`
	GitVersion string `json:"git_version"`
}

// Version asks for the version.
func (c *Client) Version(ctx context.Context) (v Version, err error) {
	return v, c.do(ctx, call{method: http.MethodGet, path: "/version", open: true, to: &v})
}

// call is one request.
type call struct {
	method string
	path   string // below the generation's base; with the base when it is asked by once
	query  url.Values
	body   any
	open   bool // nobody has to say who they are
	to     any  // where the answer goes; nil = nowhere
}

// do asks below the base of the API that is served. A token that was kept and does not hold any more is asked for again, once: version 3 says 403 then, as to whoever may not.
func (c *Client) do(ctx context.Context, q call) error {
	g, err := c.Generation(ctx)
	if err != nil {
		return err
	}
	q.path = g.base() + q.path
	kept := c.kept()
	err = c.once(ctx, q)
	if s := Status(err); kept != "" && !q.open && (s == http.StatusUnauthorized || s == http.StatusForbidden) {
		c.forget(kept)
		err = c.once(ctx, q)
	}
	return err
}

func (c *Client) once(ctx context.Context, q call) error {
	var body io.Reader
	if q.body != nil {
		b, err := json.Marshal(q.body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", q.method, q.path, err)
		}
		body = bytes.NewReader(b)
	}
	u := c.cfg.URL + q.path
	if len(q.query) > 0 {
		u += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, u, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if !q.open {
		if err := c.sign(ctx, r); err != nil {
			return err
		}
	}
	return c.send(r, q)
}

func (c *Client) send(r *http.Request, q call) error {
	resp, err := c.http.Do(r)
	if err != nil {
		c.mu.Lock()
		c.gen = 0 // whatever answers next may be another version
		c.mu.Unlock()
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err // its text repeats the address with the query
		}
		return fmt.Errorf("%s %s: %w", q.method, q.path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: read the answer: %w", q.method, q.path, err)
	case len(b) > maxAnswer:
		return fmt.Errorf("%s %s: the answer has more than %d bytes", q.method, q.path, maxAnswer)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return &Error{Method: q.method, Path: q.path, Status: resp.StatusCode, Detail: detail(b)}
	case q.to == nil || len(b) == 0:
		return nil
	}
	if err := json.Unmarshal(b, q.to); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", q.method, q.path, err)
	}
	return nil
}
