package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/api/aiven"
	"github.com/switchback-dr/switchback/controller/api/astro"
	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// surface is what the API has of this controller: queries of whoever leads, by the bus, and this controller's own door, which stores what is asked and passes on the leader's answer.
type surface struct {
	c   *Controller
	bus *client.Client
}

// Query asks the leader.
func (s surface) Query(ctx context.Context, what string, q, into any) error {
	return s.bus.Query(ctx, what, q, into)
}

// Ask puts an ask through the door.
func (s surface) Ask(ctx context.Context, a events.Ask) (events.Answer, error) {
	if lost := s.c.onLoss.Load(); lost != nil {
		return events.Answer{ID: a.ID}, fmt.Errorf("%w: the record is lost: `switchback rebuild-record` over the bus makes it anew", client.ErrNoController)
	}
	ans, err := s.c.put(ctx, a)
	switch {
	case err == nil || errors.Is(err, api.ErrIDUsed):
		return ans, err
	default:
		return ans, fmt.Errorf("%w: %w", client.ErrNoController, err)
	}
}

// ready says whether this controller reaches whoever leads.
func (s surface) ready(ctx context.Context) error {
	var status struct{}
	return s.bus.Query(ctx, "status", struct{}{}, &status)
}

// listenAPI takes the API's address; what it returns serves there until its context ends. Without api in the configuration there is none.
func (c *Controller) listenAPI(scoped prometheus.Registerer) (serve func(context.Context), err error) {
	cfg := c.cfg.API
	if cfg == nil {
		return func(context.Context) {}, nil
	}
	tokens, err := auth.Open(cfg.Tokens, c.log)
	if err != nil {
		return nil, fmt.Errorf("read the tokens of the API: %w", err)
	}
	sessions, err := auth.NewSessions(cfg.Sessions, tokens, cfg.TLS())
	if err != nil {
		return nil, err
	}
	var conf *tls.Config
	if cfg.TLS() {
		pair, err := auth.OpenPair(cfg.Cert, string(cfg.Key), c.log)
		if err != nil {
			return nil, err
		}
		conf = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Get}
	} else if cfg.Insecure {
		c.log.Warn("the API is served WITHOUT TLS, as its configuration says: whoever listens on the network on the way has the tokens", "listen", cfg.Listen)
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	fleet := surface{c, client.New(c.bus)}
	server := api.New(api.Options{
		Fleet: fleet, Events: c.bus, Tokens: tokens, Sessions: sessions, Rate: cfg.Rate, Proxies: cfg.Proxies, Ready: fleet.ready, Log: c.log, Metrics: scoped,
	})
	aiven.Mount(server)
	astro.Mount(server)
	told := &news{}
	c.mountConsole(server, sessions, told, scoped)
	return func(ctx context.Context) {
		go tokens.Watch(ctx)
		go told.listen(ctx, c)
		if err := server.Serve(ctx, l, conf); err != nil {
			c.log.Error("the API stopped", telemetry.Err(err))
		}
	}, nil
}
