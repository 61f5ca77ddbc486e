package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// API says where the API is and who asks.
type API struct {
	URLs  []string // of controllers, in order of preference; any of them will do
	Token string
	TLS   *tls.Config // nil = the system's authorities
}

// ErrToken: the API does not know who asks, or that may not do this. What would help is in the text.
var ErrToken = errors.New("not permitted by the API")

// ErrNoReason: the API wants a reason for everything that changes something.
var ErrNoReason = errors.New("the API wants a reason for everything that changes something (--reason)")

const (
	dialLimit   = 3 * time.Second // for how long no controller may be reached at all
	answerLimit = 15 * time.Second
	answerMost  = 64 << 20
)

// NewAPI returns a client that goes by the API.
func NewAPI(a API) *Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig, t.Proxy = a.TLS, nil // what moves databases goes through nobody's hands
	return &Client{&apiWay{urls: a.URLs, token: a.Token, http: &http.Client{
		Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for nobody else
	}}}
}

// apiWay reaches the leader by the API of any controller.
type apiWay struct {
	urls  []string
	token string
	http  *http.Client
}

// problem is how the API refuses.
type problem struct {
	Type, Title, Detail, Remedy string
	Answer                      *events.Answer
}

func (w *apiWay) query(ctx context.Context, what string, body []byte) ([]byte, error) {
	path, err := pathOf(what, body)
	if err != nil {
		return nil, err
	}
	b, err := w.get(ctx, path)
	if err != nil {
		return nil, err
	}
	if what == "group" && strings.HasPrefix(path, "/clusters/") {
		var c struct{ Group json.RawMessage }
		if err := json.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("read the answer to %s: %w", what, err)
		}
		return c.Group, nil
	}
	return b, nil
}

// pathOf is where the API answers a query of the bus.
func pathOf(what string, body []byte) (string, error) {
	var q map[string]any
	if err := json.Unmarshal(body, &q); err != nil {
		return "", fmt.Errorf("read query %s: %w", what, err)
	}
	text := func(name string) string {
		s, _ := q[name].(string)
		delete(q, name)
		return url.PathEscape(s)
	}
	path := ""
	switch what {
	case "status", "groups", "rollouts":
		path = "/" + what
	case "rollout":
		path = "/rollouts/" + text("rollout")
	case "group":
		group, cluster := text("group"), text("cluster")
		if path = "/groups/" + group; group == "" {
			path = "/clusters/" + strings.ReplaceAll(cluster, "%2F", "/")
		}
	case "why":
		group, region := text("group"), text("region")
		if path = "/groups/" + group + "/why"; group == "" {
			path = "/regions/" + region + "/why"
		}
	case "report":
		operation, group := text("operation"), text("group")
		if path = "/operations/" + operation; operation == "" {
			path = "/groups/" + group + "/operation"
		}
	default:
		return "", fmt.Errorf("query %s is not one of the API", what)
	}
	v := url.Values{}
	for name, x := range q {
		switch x := x.(type) {
		case string:
			if x != "" {
				v.Set(name, x)
			}
		case float64:
			v.Set(name, strconv.FormatFloat(x, 'f', -1, 64))
		}
	}
	if len(v) > 0 {
		path += "?" + v.Encode()
	}
	return path, nil
}

func (w *apiWay) ask(ctx context.Context, a events.Ask) (events.Answer, error) {
	id := a.ID
	a.ID, a.Actor, a.From, a.Projects = "", "", "", nil // who asks, and for what, is the token's
	b, err := json.Marshal(a)
	if err != nil {
		return events.Answer{}, fmt.Errorf("encode ask: %w", err)
	}
	var body map[string]json.RawMessage
	if err := json.Unmarshal(b, &body); err != nil {
		return events.Answer{}, fmt.Errorf("encode ask: %w", err)
	}
	delete(body, "id")
	delete(body, "actor")
	if b, err = json.Marshal(body); err != nil {
		return events.Answer{}, fmt.Errorf("encode ask: %w", err)
	}
	status, b, err := w.do(ctx, http.MethodPost, "/asks", b, id)
	if err != nil {
		return events.Answer{}, fmt.Errorf("%w (it may have been taken: --id %s asks for the same thing again)", err, id)
	}
	var ans events.Answer
	if status >= 400 {
		p, err := refusal(status, b)
		if err != nil {
			return ans, err
		}
		if p.Answer == nil {
			return ans, fmt.Errorf("the API refuses %s: %s", a.Verb, p.Detail)
		}
		return *p.Answer, nil
	}
	if err := json.Unmarshal(b, &ans); err != nil {
		return ans, fmt.Errorf("read the answer to %s: %w", a.Verb, err)
	}
	return ans, nil
}

// refusal reads a problem. What is wrong with the token, or that there is no reason, is an error of its own.
func refusal(status int, b []byte) (p problem, err error) {
	if err := json.Unmarshal(b, &p); err != nil || p.Detail == "" {
		return p, fmt.Errorf("the API answers %d %s, which is no problem as it describes them: is this a controller?", status, http.StatusText(status))
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return p, fmt.Errorf("%w: %s (%s)", ErrToken, p.Detail, p.Remedy)
	case strings.HasSuffix(p.Type, "/no-reason"):
		return p, ErrNoReason
	case status == http.StatusNotFound || p.Answer != nil:
		return p, nil
	}
	return p, fmt.Errorf("the API refuses: %s", p.Detail)
}

// get looks at something. Errors: Refusal, those of do.
func (w *apiWay) get(ctx context.Context, path string) ([]byte, error) {
	status, b, err := w.do(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		p, err := refusal(status, b)
		if err != nil {
			return nil, err
		}
		return nil, Refusal(p.Detail)
	}
	return b, nil
}

// do asks any controller, until one answers or ctx ends. One that can't be reached, or reaches no leader, makes room for the next.
func (w *apiWay) do(ctx context.Context, method, path string, body []byte, key string) (status int, answer []byte, err error) {
	began, reached := time.Now(), false
	for i := 0; ; i++ {
		status, answer, wait, err := w.try(ctx, w.urls[i%len(w.urls)], method, path, body, key)
		if err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			return status, answer, nil
		}
		reached = reached || err == nil
		if err == nil {
			var p problem
			_ = json.Unmarshal(answer, &p) // what is no problem says nothing
			err = fmt.Errorf("%d: %s", status, p.Detail)
		}
		if !reached && time.Since(began) > dialLimit && i+1 >= len(w.urls) {
			return 0, nil, fmt.Errorf("%w at %s: %w", ErrNoController, strings.Join(w.urls, ", "), err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
			return 0, nil, fmt.Errorf("ask the API: %w", ctx.Err())
		case ctx.Err() != nil:
			return 0, nil, fmt.Errorf("%w at %s: %w", ErrNoController, strings.Join(w.urls, ", "), err)
		}
	}
}

// try asks one controller once, and says how long to wait before the next try.
func (w *apiWay) try(ctx context.Context, base, method, path string, body []byte, key string) (status int, answer []byte, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	req, err := w.request(ctx, base, method, path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, retryWait, err
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	r, err := w.http.Do(req)
	if err != nil {
		return 0, nil, retryWait, err
	}
	defer r.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(r.Body, answerMost))
	wait = retryWait
	if s, perr := strconv.Atoi(r.Header.Get("Retry-After")); perr == nil && r.StatusCode == http.StatusTooManyRequests {
		wait = time.Duration(s) * time.Second
	}
	return r.StatusCode, answer, wait, err
}

func (w *apiWay) request(ctx context.Context, base, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base, "/")+"/api/v1"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the API: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	return req, nil
}
