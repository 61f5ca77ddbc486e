package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/pkg/config"
)

// client reaches the controllers, by the API if one is named, else by the bus. done ends what it took.
func (a *app) client(ctx context.Context) (c *client.Client, done func(), err error) {
	api, err := a.apiOptions()
	if err != nil {
		return nil, nil, err
	}
	if api != nil {
		return client.NewAPI(*api), func() {}, nil
	}
	b, err := a.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	return client.New(b), b.Close, nil
}

// apiOptions says how to go by the API: by --api, else by the environment, else, if neither names a hub, by the settings. nil = by the bus.
func (a *app) apiOptions() (*client.API, error) {
	s, path, err := a.settings()
	if err != nil {
		return nil, err
	}
	urls, from := a.api, "--api"
	if len(urls) == 0 && len(a.hub) == 0 && a.env("SWITCHBACK_API") != "" {
		urls, from = strings.Split(a.env("SWITCHBACK_API"), ","), "SWITCHBACK_API"
	}
	if len(urls) == 0 && len(a.hub) == 0 && a.env("SWITCHBACK_HUB") == "" {
		urls, from = s.API.URLs, path+": api.urls"
	}
	if len(urls) == 0 {
		return nil, nil
	}
	o := &client.API{}
	for i, u := range urls {
		u, err := apiURL(strings.TrimSpace(u))
		if err != nil {
			return nil, usage("%s: number %d %w", from, i+1, err)
		}
		o.URLs = append(o.URLs, u)
	}
	file := config.SecretFile(a.token)
	if file == "" {
		file = config.SecretFile(a.env("SWITCHBACK_TOKEN_FILE"))
	}
	if file == "" {
		file = s.API.Token
	}
	if file == "" {
		return nil, usage("which token? want --token-file FILE, or SWITCHBACK_TOKEN_FILE, or api.token in %s: `switchback token create` on a controller's host makes one", path)
	}
	if o.Token, err = file.Read(); err != nil {
		return nil, err
	}
	if s.API.CA != "" {
		if o.TLS, err = (config.TLS{CA: s.API.CA}).Client(); err != nil {
			return nil, err
		}
	} else {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return o, nil
}

// apiURL checks where the API is said to be. What is refused is not shown: it may hold a password.
func apiURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return "", errors.New("is not where an API is: want https://host:port")
	case u.Scheme == "http" && !local(u.Hostname()):
		return "", errors.New("would send the token over the network in the clear: want https://, or http:// to this host alone")
	}
	return u.Scheme + "://" + u.Host, nil
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
