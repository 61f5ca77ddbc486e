// Package apistage runs a whole controller in this process, its hub server inside, and serves its API to a test: the real one, over HTTP, with tokens from a real file.
package apistage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller"
	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
)

// Region is the controller's.
const Region = "eu-north-1"

// Stage is a controller that runs, and leads.
type Stage struct {
	URL    string // of its API
	Hub    string // of its hub server
	Bus    *bus.NATS
	Tokens string // the file
	t      testing.TB
}

// Start runs a controller until the test ends. Every line it logs goes to log.
func Start(t testing.TB, log io.Writer) *Stage {
	t.Helper()
	hub, api := freeAddress(t), freeAddress(t)
	s := &Stage{URL: "http://" + api, Hub: "nats://" + hub, Tokens: filepath.Join(t.TempDir(), "tokens.yaml"), t: t}
	text := fmt.Sprintf("region: %s\nname: c1\nprofile: fast\nprefer_leader: true\nnats: {embedded: {store: %s, client: %s}}\napi: {listen: %s, tokens: %s, rate: 10000, proxies: [127.0.0.1]}\n",
		Region, filepath.Join(t.TempDir(), "nats"), hub, api, s.Tokens)
	cfg, err := config.ParseController("controller.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- controller.Run(ctx, cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the controller ended: %v", err)
		}
	})
	s.ready(done)
	if s.Bus, err = bus.Connect(ctx, bus.Options{Servers: []bus.Server{{Region: Region, URL: s.Hub}}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Bus.Close)
	return s
}

// ready waits until the API says that it reaches a leader.
func (s *Stage) ready(ended <-chan error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/readyz", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		if r, err := http.DefaultClient.Do(req); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			s.t.Fatal("the controller ended: ", err)
		case <-ctx.Done():
			s.t.Fatal("no leader within a minute")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Token makes a token. No projects: all.
func (s *Stage) Token(actor string, role config.Role, projects ...string) string {
	s.t.Helper()
	if len(projects) == 0 {
		projects = []string{config.AllProjects}
	}
	token, _, err := auth.Add(s.Tokens, config.Token{Actor: actor, Role: role, Projects: projects})
	if err != nil {
		s.t.Fatal(err)
	}
	s.settled(token)
	return token
}

// settled waits until the controller has read the file again.
func (s *Stage) settled(token string) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		if r := s.Do(http.MethodGet, "/api/v1/groups?limit=1", token, "", "X-Forwarded-For: 192.0.2.1"); r.Status == http.StatusOK {
			return
		} else if time.Now().After(deadline) {
			s.t.Fatalf("a new token is not taken: %d %s", r.Status, r.Body)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-s.t.Context().Done():
			s.t.Fatal("ended")
		}
	}
}

// Apply stores the configuration of groups, as `switchback apply` does.
func (s *Stage) Apply(fleet string) {
	s.t.Helper()
	f, err := config.ParseFleet("fleet.yaml", []byte(fleet))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range f.Groups {
		s.store(events.StreamConfig, events.SubjectGroup(f.Groups[i].Group), &f.Groups[i])
	}
	s.store(events.StreamConfig, events.SubjectFleet, &f.Config)
}

// Answer is what the API said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Do sends one request; headers are "Name: value".
func (s *Stage) Do(method, path, token, body string, headers ...string) Answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	r, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Answer{r.StatusCode, r.Header, b}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *Stage) store(stream, subject string, v any) {
	s.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.Bus.Publish(s.t.Context(), bus.Out{Stream: stream, Subject: subject, Data: b}); err != nil {
		s.t.Fatal(err)
	}
}
