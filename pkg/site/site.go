// Package site turns what configuration files say of the hub into what the bus takes: the one place where the two meet.
package site

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
)

// StartHub starts a hub server from its configuration, as a process of its own or embedded in a controller.
func StartHub(h *config.Hub, log *slog.Logger) (*bus.Hub, error) {
	conf, err := h.TLS.Server()
	if err != nil {
		return nil, err
	}
	c := bus.HubConfig{Name: h.Name, Region: h.Region, StoreDir: h.Store, Log: log}
	if c.Listen, err = listen(h.Client, conf); err != nil {
		return nil, err
	}
	if h.Cluster != "" {
		c.Cluster = "switchback"
		if c.Routing, err = listen(h.Cluster, conf); err != nil {
			return nil, err
		}
	}
	for _, r := range h.Routes {
		if r.Address != h.Cluster {
			c.Routes = append(c.Routes, "nats-route://"+r.Address)
		}
	}
	return bus.StartHub(c)
}

func listen(address string, conf *tls.Config) (bus.Listen, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return bus.Listen{}, fmt.Errorf("listen on %q: %w", address, err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return bus.Listen{}, fmt.Errorf("listen on %q: want a number as port", address)
	}
	return bus.Listen{Host: host, Port: n, TLS: conf}, nil
}

// Hub says how to reach the hub: with TLS where the URLs say so, for the same certificate serves the peers too.
func Hub(servers []config.Server, t config.TLS, name string, key config.SecretFile) (bus.Options, error) {
	o := bus.Options{Name: name, NKey: string(key)}
	secure := false
	for _, s := range servers {
		if s.Region == "" {
			return o, fmt.Errorf("hub server %s has no region: want {region: url, …}, for a lane is published only to its own region's server", s.URL)
		}
		o.Servers = append(o.Servers, bus.Server{Region: s.Region, URL: s.URL})
		secure = secure || strings.HasPrefix(s.URL, "tls://")
	}
	if secure {
		conf, err := t.Client()
		if err != nil {
			return o, err
		}
		o.TLS = conf
	}
	return o, nil
}
