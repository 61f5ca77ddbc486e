package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/switchback-dr/switchback/events"
)

// HubConfig is one embedded server of the hub. Raft timing is the server's own (facts: nats §1).
type HubConfig struct {
	Name     string // of the server; unique and the same at every start. A server that lost its disk gets a new one
	Region   string
	StoreDir string // where JetStream keeps its data
	Listen   Listen // for clients
	Cluster  string // name of the hub, the same on all of its servers; empty = one server alone
	Routing  Listen // for the other servers
	Routes   []string
	Users    []HubUser    // who may come in; none = everybody
	Log      *slog.Logger // nil = discard
}

// Listen is one listener.
type Listen struct {
	Host      string // empty = all addresses
	Port      int    // -1 = any free one
	Advertise string // host:port under which others reach it, where that differs
	TLS       *tls.Config
}

// HubUser is one party with its rights: patterns of subjects. No pattern means no limit.
type HubUser struct {
	NKey      string // public key
	Publish   []string
	Subscribe []string
}

// Hub is a running server.
type Hub struct {
	server *server.Server
	config HubConfig
}

// routePing is how often the hub's servers ask each other for a sign of life; two without an answer end the route.
const routePing = time.Second

// startTimeout is how long a server may take until it accepts connections; it needs no other server for that.
const startTimeout = 10 * time.Second

// StartHub starts one server and returns when it accepts connections; the hub can store when Ready says so.
func StartHub(c HubConfig) (*Hub, error) {
	if err := errors.Join(events.CheckName("hub server", c.Name), events.CheckName("hub region", c.Region)); err != nil {
		return nil, err
	}
	if c.StoreDir == "" {
		return nil, fmt.Errorf("hub server %s has no store directory: want one that outlives it", c.Name)
	}
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("set up hub server %s: %w", c.Name, err)
	}
	log := &hubLog{log: c.Log, failed: make(chan string, 1)}
	if c.Log == nil {
		log.log = slog.New(slog.DiscardHandler)
	}
	s.SetLoggerV2(log, false, false, false)
	h := &Hub{s, c}
	s.Start()
	if err := h.accepting(log); err != nil {
		h.Shutdown()
		return nil, fmt.Errorf("start hub server %s: %w", c.Name, err)
	}
	return h, nil
}

// accepting waits until the server accepts connections or reports why it can't.
func (h *Hub) accepting(log *hubLog) error {
	deadline := time.Now().Add(startTimeout)
	for !h.server.ReadyForConnections(50 * time.Millisecond) {
		select {
		case why := <-log.failed:
			return errors.New(why)
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it accepts no connections after %v", startTimeout)
		}
	}
	return nil
}

func (c HubConfig) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: c.Name, Host: c.Listen.Host, Port: c.Listen.Port, ClientAdvertise: c.Listen.Advertise,
		JetStream: true, StoreDir: c.StoreDir, SyncAlways: true, Tags: []string{regionTag(c.Region)}, JetStreamUniqueTag: regionTag(""),
		PingInterval: 5 * time.Second, MaxPingsOut: 2, NoSigs: true,
	}
	if c.Listen.TLS != nil {
		o.TLS, o.TLSConfig, o.TLSVerify = true, c.Listen.TLS, c.Listen.TLS.ClientAuth >= tls.RequireAnyClientCert
		o.TLSTimeout = 2
	}
	for _, u := range c.Users {
		o.Nkeys = append(o.Nkeys, &server.NkeyUser{Nkey: u.NKey, Permissions: u.permissions()})
	}
	if c.Cluster == "" {
		return o, nil
	}
	o.Cluster = server.ClusterOpts{
		Name: c.Cluster, Host: c.Routing.Host, Port: c.Routing.Port, Advertise: c.Routing.Advertise,
		PingInterval: routePing, MaxPingsOut: 2, // a server hands requests to members of a door behind a dead route until it finds the route dead
	}
	if c.Routing.TLS != nil {
		o.Cluster.TLSConfig, o.Cluster.TLSTimeout = c.Routing.TLS, 2
	}
	for _, r := range c.Routes {
		u, err := url.Parse(r)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("route %q of hub server %s: want nats-route://host:port", r, c.Name)
		}
		o.Routes = append(o.Routes, u)
	}
	return o, nil
}

func (u HubUser) permissions() *server.Permissions {
	p := &server.Permissions{}
	if len(u.Publish) > 0 {
		p.Publish = &server.SubjectPermission{Allow: u.Publish}
	}
	if len(u.Subscribe) > 0 {
		p.Subscribe = &server.SubjectPermission{Allow: u.Subscribe}
	}
	return p
}

// Ready waits until the hub as this server sees it can store: it knows a leader of the hub and is not behind. A single server is ready at once.
// Three servers take 4 to 8 s from a cold start.
func (h *Hub) Ready(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := h.server.Jsz(&server.JSzOptions{})
		alone := h.config.Cluster == ""
		if err == nil && !info.Disabled && (alone || info.Meta != nil && info.Meta.Leader != "" && h.server.JetStreamIsCurrent()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("hub server %s: the hub has no leader: %w", h.config.Name, ctx.Err())
		case <-tick.C:
		}
	}
}

// URL is where clients reach this server on this host.
func (h *Hub) URL() string { return h.server.ClientURL() }

// Shutdown stops the server and waits until it has stopped.
func (h *Hub) Shutdown() {
	h.server.Shutdown()
	h.server.WaitForShutdown()
}

// hubLog carries the server's words into ours.
type hubLog struct {
	log    *slog.Logger
	failed chan string
}

func (l *hubLog) Noticef(format string, v ...any) { l.log.Info(fmt.Sprintf(format, v...)) }
func (l *hubLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *hubLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *hubLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *hubLog) Tracef(string, ...any)           {}

// Fatalf does not end the process: it is the database's watchman that runs here, too. StartHub returns it as its error.
func (l *hubLog) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	l.log.Error(why)
	select {
	case l.failed <- why:
	default:
	}
}
