package config

import (
	"net"
	"net/netip"
)

// DefaultTokens is where the tokens stand unless a controller's file says otherwise.
const DefaultTokens = "/etc/switchback/tokens.yaml"

// DefaultRate is how many requests a second each token may make.
const DefaultRate = 50

// API says how a controller serves its API: api of controller.yaml.
type API struct {
	Listen   string         // host:port
	Cert     string         // of the server; default: that of the process
	Key      SecretFile     // its key
	Insecure bool           // served without TLS beyond this host: whoever listens on the way has the tokens
	Tokens   string         // file of the tokens, read again whenever it changes
	Sessions SecretFile     // key that sessions are signed with, the same on all controllers; empty = one of this process
	Rate     int            // requests a second of one token; twice as many at once
	Proxies  []netip.Prefix // whose word on where a request came from counts
}

// TLS reports whether it is served with TLS.
func (a *API) TLS() bool { return a.Cert != "" }

func (a *API) read(o *object, process TLS) {
	listen := o.must("listen", "host:port")
	a.Listen = listen.address(false)
	o.get("tls").object(func(o *object) {
		a.Cert = o.must("cert", "the path of the certificate").file("")
		a.Key = o.must("key", "the path of the certificate's key").secret()
	})
	if !o.get("tls").there() {
		a.Cert, a.Key = process.Cert, process.Key
	}
	a.Insecure = o.get("insecure").boolean()
	a.Tokens = o.get("tokens").file(DefaultTokens)
	o.get("sessions").object(func(o *object) {
		a.Sessions = o.must("key", "the path of a file with at least 32 random characters").secret()
	})
	a.Rate = o.get("rate").integer(DefaultRate, 1, 10_000)
	o.get("proxies").list(func(v value) { a.Proxies = append(a.Proxies, v.prefix()) })
	if o.get("tls").there() && a.Insecure {
		o.get("insecure").problem("says that there is no TLS, and tls that there is: want one of them")
	}
	if a.Listen != "" && !a.TLS() && !a.Insecure && !loopback(a.Listen) {
		listen.problem("%s is reached from other hosts, and tokens would cross the network in the clear: want tls: {cert, key}, or an address of this host alone as 127.0.0.1, or insecure: true where something else encrypts",
			a.Listen)
	}
}

// loopback reports whether only this host can reach an address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// prefix reads an address, or a network as in 10.0.0.0/8.
func (v value) prefix() (p netip.Prefix) {
	s, ok := v.text("a network, as in 10.0.0.0/8, or an address")
	if !ok {
		return p
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		v.problem("%q: want a network, as in 10.0.0.0/8, or an address", s)
	}
	return p
}
