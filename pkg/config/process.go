package config

import (
	"net"
	"net/url"
	"slices"

	"github.com/switchback-dr/switchback/events"
)

// Controller is controller.yaml.
type Controller struct {
	Region       string
	Name         string // default: the host's name
	PreferLeader bool   // leads whenever it is healthy; for the witness
	Embedded     *Hub   // a hub server inside this process; nil = none
	Servers      []Server
	Lanes        [events.Lanes]string // hub region of every acceptor; all empty = the first three regions of Servers, learned when they are connected
	Key          SecretFile           // seed of the nkey to connect with; empty = none
	TLS          TLS
	Profile      string // of durations; fleet-wide, so the same everywhere
	API          *API   // nil = none is served
	Metrics      string // host:port to serve /metrics and /healthz on; empty = none
}

// TLS names the certificate of a process and who may vouch for the other side; all empty = no TLS.
type TLS struct {
	Cert string
	Key  SecretFile
	CA   string
}

// Hub is one NATS server of the hub: hub.yaml, or nats.embedded of a controller.
type Hub struct {
	Region  string
	Name    string // unique in the hub; default: the host's name
	Store   string // directory
	Client  string // host:port for agents and controllers
	Cluster string // host:port for the other hub servers; empty in a hub of one
	Routes  []Route
	TLS     TLS
	Metrics string // host:port, hub.yaml only
}

// Route is where another hub server, or this one, takes routes.
type Route struct {
	Region  string // empty: not written in the file
	Address string // host:port
}

// LoadController reads and checks a controller's file. The error is Problems, or says why the file can't be read.
func LoadController(path string) (*Controller, error) { return load(path, ParseController) }

// ParseController reads and checks the text of a controller's file; file is its name in errors.
func ParseController(file string, data []byte) (*Controller, error) {
	var c Controller
	if err := read(file, data, c.read); err != nil {
		return nil, err
	}
	return &c, nil
}

// LoadHub reads and checks the file of a hub server that runs as a process of its own.
func LoadHub(path string) (*Hub, error) { return load(path, ParseHub) }

// ParseHub reads and checks the text of a hub server's file; file is its name in errors.
func ParseHub(file string, data []byte) (*Hub, error) {
	var h Hub
	err := read(file, data, func(o *object) {
		h.Region, h.Name = o.must("region", "the region of this host").name("region"), o.hostName()
		h.read(o)
		h.TLS = o.tls()
		h.Metrics = o.listen("metrics")
	})
	if err != nil {
		return nil, err
	}
	return &h, nil
}

func (c *Controller) read(o *object) {
	c.Region, c.Name = o.must("region", "the region of this host").name("region"), o.hostName()
	c.PreferLeader = o.get("prefer_leader").boolean()
	c.TLS = o.tls()
	c.Profile = o.get("profile").profile()
	c.Metrics = o.listen("metrics")
	o.get("api").object(func(o *object) {
		c.API = &API{}
		c.API.read(o, c.TLS)
	})
	n := o.must("nats", "embedded (a hub server in this process) or servers (region: URL)")
	n.object(func(n *object) {
		embedded, servers := n.get("embedded"), n.get("servers")
		c.Key = n.get("key").secret()
		embedded.object(func(o *object) {
			c.Embedded = &Hub{Region: c.Region, Name: c.Name, TLS: c.TLS}
			c.Embedded.read(o)
		})
		c.Servers = servers.servers()
		if !embedded.there() && !servers.there() {
			n.problem("names no hub: want embedded (a hub server in this process) or servers (region: URL)")
		} else if !servers.there() {
			c.Servers = c.Embedded.servers()
		}
	})
	c.lanes(o.get("lanes"))
}

// lanes reads which hub regions hold the acceptors; if it is not there they are the first three in order, and in a smaller hub in turn.
func (c *Controller) lanes(v value) {
	var known []string
	for _, s := range c.Servers {
		if s.Region != "" {
			known = append(known, s.Region)
		}
	}
	all := len(known) == len(c.Servers)
	if !v.there() {
		for i := range c.Lanes {
			if all && len(known) > 0 {
				c.Lanes[i] = known[i%len(known)]
			}
		}
		return
	}
	var lanes []string
	v.list(func(v value) {
		r := v.name("region")
		if r != "" && all && len(known) > 0 && !slices.Contains(known, r) {
			v.problem("%q is not a region of the hub: %s", r, want(r, known))
		} else if r != "" && slices.Contains(lanes, r) && (!all || len(known) >= events.Lanes) {
			v.problem("%q holds a lane already: want three regions", r)
		}
		lanes = append(lanes, r)
	})
	if v.there() && len(lanes) != events.Lanes {
		v.problem("names %d regions: want %d, one for each lane", len(lanes), events.Lanes)
		return
	}
	copy(c.Lanes[:], lanes)
}

func (h *Hub) read(o *object) {
	h.Store = o.must("store", "a directory, as in /var/lib/switchback/nats").file("")
	h.Client = o.must("client", "host:port for agents and controllers").address(true)
	routes, cluster := o.get("routes"), o.get("cluster")
	h.Cluster = cluster.address(true)
	add := func(v value, region string) {
		a := v.address(true)
		if slices.ContainsFunc(h.Routes, func(r Route) bool { return r.Address == a && a != "" }) {
			v.problem("%s stands in routes twice", a)
		} else if a == h.Cluster && region != "" && h.Region != "" && region != h.Region {
			v.problem("%s is this server's, whose region is %q, not %q", a, h.Region, region)
		}
		h.Routes = append(h.Routes, Route{region, a})
	}
	if routes.isMap() {
		routes.object(func(o *object) { o.each(func(e entry) { add(e.value, e.key.name("region")) }) })
	} else {
		routes.list(func(v value) { add(v, "") })
	}
	if routes.there() != cluster.there() {
		o.problem("has only one of cluster and routes: want both, or neither in a hub of one server")
	} else if routes.there() && h.Cluster != "" && !slices.ContainsFunc(h.Routes, func(r Route) bool { return r.Address == h.Cluster }) {
		routes.problem("lacks this server's own address %s: want every hub server, in the same order everywhere", h.Cluster)
	}
}

// servers are the hub's, by its routes: their hosts serve clients on the same port as this one. Where they don't, nats.servers says so.
func (h *Hub) servers() (all []Server) {
	if h == nil {
		return nil
	}
	scheme := "nats"
	if h.TLS.Cert != "" {
		scheme = "tls"
	}
	_, port, _ := net.SplitHostPort(h.Client)
	for _, r := range h.Routes {
		host, _, _ := net.SplitHostPort(r.Address)
		s := Server{r.Region, (&url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}).String()}
		if r.Address == h.Cluster {
			s = Server{h.Region, scheme + "://" + h.Client}
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		all = []Server{{h.Region, scheme + "://" + h.Client}}
	}
	return all
}

// listen reads {listen: host:port}.
func (o *object) listen(key string) (address string) {
	o.get(key).object(func(o *object) { address = o.must("listen", "host:port").address(false) })
	return address
}

func (o *object) tls() (t TLS) {
	o.get("tls").object(func(o *object) {
		t.Cert = o.must("cert", "the path of the certificate").file("")
		t.Key = o.must("key", "the path of the certificate's key").secret()
		t.CA = o.must("ca", "the path of the authorities' certificates").file("")
	})
	return t
}
