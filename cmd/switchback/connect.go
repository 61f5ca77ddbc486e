package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/site"
)

const (
	connectLimit = 3 * time.Second
	answerLimit  = 15 * time.Second // the door answers within 10 s, if only to say that nobody leads
	followLimit  = 10 * time.Minute
	restoreLimit = 24 * time.Hour // a copy takes as long as it takes
)

// settings is ~/.config/switchback/config.yaml: where the hub is, and who we are to it.
type settings struct {
	Hub      yaml.Node `yaml:"hub"`
	Identity struct {
		Key     config.SecretFile `yaml:"key"`
		Cert    string            `yaml:"cert"`
		CertKey config.SecretFile `yaml:"cert_key"`
		CA      string            `yaml:"ca"`
	} `yaml:"identity"`
	API struct {
		URLs  []string          `yaml:"urls"`
		Token config.SecretFile `yaml:"token"`
		CA    string            `yaml:"ca"`
	} `yaml:"api"`
}

func (a *app) settings() (s settings, path string, err error) {
	dir := a.env("XDG_CONFIG_HOME")
	if dir == "" {
		if a.env("HOME") == "" {
			return s, "", nil
		}
		dir = filepath.Join(a.env("HOME"), ".config")
	}
	path = filepath.Join(dir, "switchback", "config.yaml")
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, path, nil
	} else if err != nil {
		return s, path, fmt.Errorf("read settings: %w", err)
	}
	defer file.Close()
	dec := yaml.NewDecoder(file)
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		return s, path, usage("%s: %w", path, err)
	}
	return s, path, nil
}

// servers says where the hub is: by --hub, else by the environment, else by the settings.
func (a *app) servers(s settings, path string) ([]config.Server, error) {
	words, from := a.hub, "--hub"
	if len(words) == 0 && a.env("SWITCHBACK_HUB") != "" {
		words, from = strings.Split(a.env("SWITCHBACK_HUB"), ","), "SWITCHBACK_HUB"
	}
	if len(words) == 0 {
		from = path + ": hub"
		switch s.Hub.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(s.Hub.Content); i += 2 {
				words = append(words, s.Hub.Content[i].Value+"="+s.Hub.Content[i+1].Value)
			}
		case yaml.SequenceNode:
			for _, n := range s.Hub.Content {
				words = append(words, n.Value)
			}
		case yaml.ScalarNode:
			words = strings.Split(s.Hub.Value, ",")
		}
	}
	if len(words) == 0 {
		return nil, usage("where is the hub? want --hub URL,URL,…, or SWITCHBACK_HUB, or hub: in %s", path)
	}
	var all []config.Server
	for i, w := range words {
		server, err := parseServer(strings.TrimSpace(w), i)
		if err != nil {
			return nil, usage("%s: %w", from, err)
		}
		all = append(all, server)
	}
	return all, nil
}

// parseServer reads URL or region=URL. A server without a region is named by its place: the name is only shown. What is refused is not shown: it may hold a password.
func parseServer(s string, place int) (config.Server, error) {
	region, address, named := strings.Cut(s, "=")
	if !named {
		region, address = fmt.Sprintf("hub-%d", place+1), s
	}
	if err := events.CheckName("region", region); err != nil {
		return config.Server{}, err
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "nats" && u.Scheme != "tls") || u.Hostname() == "" || u.Path != "" || u.User != nil {
		return config.Server{}, fmt.Errorf("%s is not a hub server: want nats://host:port or tls://host:port, or region=URL", fmt.Sprintf("number %d", place+1))
	}
	if u.Port() == "" {
		u.Host += ":4222"
	}
	return config.Server{Region: region, URL: u.String()}, nil
}

// hubOptions says how to reach the hub.
func (a *app) hubOptions() (bus.Options, error) {
	s, path, err := a.settings()
	if err != nil {
		return bus.Options{}, err
	}
	servers, err := a.servers(s, path)
	if err != nil {
		return bus.Options{}, err
	}
	id := s.Identity
	o, err := site.Hub(servers, config.TLS{Cert: id.Cert, Key: id.CertKey, CA: id.CA}, "cli "+a.actor, id.Key)
	if err != nil {
		return o, fmt.Errorf("%s: %w", path, err)
	}
	return o, nil
}

// connect reaches the hub, by at least one of its servers.
func (a *app) connect(ctx context.Context) (*bus.NATS, error) {
	if len(a.api) > 0 || a.env("SWITCHBACK_API") != "" {
		return nil, usage("this verb reads and writes what only the bus has: want --hub, and no --api (nor SWITCHBACK_API)")
	}
	o, err := a.hubOptions()
	if err != nil {
		return nil, err
	}
	return reach(ctx, o, a.limit(connectLimit))
}

func reach(ctx context.Context, o bus.Options, limit time.Duration) (*bus.NATS, error) {
	short, cancel := context.WithTimeout(ctx, min(limit, connectLimit))
	defer cancel()
	b, err := bus.Connect(short, o)
	if err != nil {
		return nil, err
	}
	for _, up := range b.Regions() {
		if up {
			return b, nil
		}
	}
	_, why := b.Request(short, events.Prefix+"q.status", nil) // says whether it was refused or never reached
	b.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var urls []string
	for _, s := range o.Servers {
		urls = append(urls, s.URL)
	}
	return nil, fmt.Errorf("reach the hub at %s: %w", strings.Join(urls, ", "), why)
}

// asking connects, runs f with a client and a context that bounds an answer, and disconnects.
func (a *app) asking(cmd *cobra.Command, f func(context.Context, *client.Client) error) error {
	c, done, err := a.client(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	return f(ctx, c)
}
