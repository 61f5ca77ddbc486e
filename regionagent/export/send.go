package export

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
)

// Write says where to push, and as whom.
type Write struct {
	URL          string
	User         string // basic
	PasswordFile string
	BearerFile   string
	Headers      map[string]string
	Labels       map[string]string // on every series that is pushed
	CA           string            // file of the authorities to trust; empty = the system's
	Buffer       int64             // bytes on disk
	Least, Most  time.Duration     // between two tries; 0 = the default
	Limit        time.Duration     // of one try; 0 = the default
}

// How a receiver that is away is tried again.
const (
	defaultLeast = 500 * time.Millisecond
	defaultMost  = 30 * time.Second
	defaultLimit = 15 * time.Second
	maxAsked     = 5 * time.Minute // the most that a receiver may ask us to wait
)

// sender pushes the buffer's batches, oldest first, one at a time: a receiver takes the samples of a series in order only.
type sender struct {
	cfg     Write
	buffer  *buffer
	metrics *metrics
	log     *slog.Logger
	api     *remote.API
	status  atomic.Int64 // of the last answer; 0 = there was none
	asked   atomic.Int64 // time.Duration that the last answer asked us to wait
}

func newSender(cfg Write, b *buffer, m *metrics, log *slog.Logger) (*sender, error) {
	s := &sender{cfg: cfg, buffer: b, metrics: m, log: log}
	if s.cfg.Least <= 0 {
		s.cfg.Least = defaultLeast
	}
	if s.cfg.Most <= 0 {
		s.cfg.Most = defaultMost
	}
	if s.cfg.Limit <= 0 {
		s.cfg.Limit = defaultLimit
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("export: remote_write.url: %w", err)
	}
	path := strings.TrimPrefix(u.Path, "/")
	u.Path = "/"
	under := http.DefaultTransport.(*http.Transport).Clone()
	if cfg.CA != "" {
		pem, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("export: %s holds no certificate", cfg.CA)
		}
		under.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	client := &http.Client{Transport: &transport{s, under}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // secrets go nowhere else
	// Tries are spaced here, for as long as it takes: the library makes one, and of what may help another at once.
	s.api, err = remote.NewAPI(u.String(), remote.WithAPIPath(path), remote.WithAPIHTTPClient(client),
		remote.WithAPIBackoff(remote.BackoffConfig{Min: time.Millisecond, Max: time.Millisecond, MaxRetries: 1}))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return s, nil
}

// transport adds who we are to each request, read anew so that a changed secret is used, and notes how it was answered.
type transport struct {
	s     *sender
	under http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := &t.s.cfg
	for name, value := range c.Headers {
		r.Header.Set(name, value)
	}
	switch {
	case c.BearerFile != "":
		token, err := secret(c.BearerFile)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	case c.User != "":
		password, err := secret(c.PasswordFile)
		if err != nil {
			return nil, err
		}
		r.SetBasicAuth(c.User, password)
	}
	resp, err := t.under.RoundTrip(r)
	if err == nil {
		t.s.status.Store(int64(resp.StatusCode))
		if n, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && n > 0 {
			t.s.asked.Store(int64(min(time.Duration(n)*time.Second, maxAsked)))
			resp.Header.Del("Retry-After") // waited for here, not in the middle of a try
		}
	}
	return resp, err
}

// secret reads a file that holds one. The error names the file, never what it holds.
func secret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return text, nil
}

func (s *sender) run(ctx context.Context) {
	wait := s.cfg.Least
	for {
		x, data, there := s.buffer.first()
		if !there {
			select {
			case <-ctx.Done():
				return
			case <-s.buffer.news:
			}
			continue
		}
		err := s.send(ctx, data)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			s.metrics.sent.Add(float64(x.samples))
			s.metrics.up.Set(1)
			s.buffer.remove(x)
			if wait > s.cfg.Least {
				s.log.Info("the receiver of metrics is back")
			}
			wait = s.cfg.Least
			continue
		case s.never():
			s.metrics.dropped.WithLabelValues("refused").Add(float64(x.samples))
			s.log.Error("the receiver refuses metrics for good: dropped", "samples", x.samples, "err", err)
			s.buffer.remove(x)
			continue
		}
		s.metrics.up.Set(0)
		s.metrics.retries.Inc()
		if wait == s.cfg.Least {
			s.log.Warn("metrics were not taken: kept, and tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, time.Duration(s.asked.Load()))):
		}
		wait = min(2*wait, s.cfg.Most)
	}
}

func (s *sender) send(ctx context.Context, data []byte) error {
	short, cancel := context.WithTimeout(ctx, s.cfg.Limit)
	defer cancel()
	s.status.Store(0)
	s.asked.Store(0)
	_, err := s.api.Write(short, remote.WriteV1MessageType, request(data))
	if err == nil && s.status.Load() == 0 {
		err = errors.New("no answer")
	}
	return err
}

// never reports whether the last answer says that these samples are never taken, by anybody: malformed to it, too old, or twice with different values. What a person can
// settle, such as a wrong password or path, is waited for.
func (s *sender) never() bool {
	switch s.status.Load() {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
