package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Agent is agent.yaml, which the guard of the same host reads too.
type Agent struct {
	Region   string
	Name     string // default: the host's name
	Hub      []Server
	Key      SecretFile // seed of the nkey to connect with; empty = none
	TLS      TLS
	Peers    string // host:port other regions' agents and controllers dial; empty = not to be sighted, and no promises
	Metrics  string // host:port to serve /metrics and /healthz on; empty = none
	Guarding string // host:port for the guard's own /metrics and /healthz; empty = none
	Fence    Fence
	State    string    // directory of the ledger and of the guard's socket
	Profile  string    // of durations; fleet-wide, so the same everywhere
	Clusters []Cluster // sorted by name
	Export   *Export   // nil: its clusters' metrics are not collected
}

// Fence is how an agent's clusters are fenced.
type Fence struct {
	External        string        // program this agent runs to make another host unable to acknowledge a write; empty = none
	ExternalTimeout time.Duration // how long it may take
	Freeze          string        // auto = cgroup where the guard has the server's, else sigstop
	Kernel          string        // the kernel lease: auto = where the host can; off; require = no lease without it
}

// What fence.kernel can be.
const (
	KernelAuto    = "auto"
	KernelOff     = "off"
	KernelRequire = "require"
)

// defaultExternalTimeout is how long an external fence may take where nothing says otherwise.
const defaultExternalTimeout = 20 * time.Second

// Cluster is one cluster an agent cares for.
type Cluster struct {
	Name     string
	Postgres *Postgres // one of these
	Exec     *Exec
	Airflow  *Airflow
}

// Postgres is how to find and reach one PostgreSQL server. What is empty the driver finds out, or it has a default there.
type Postgres struct {
	Unit        string     // systemd unit that runs it; Debian's postgresql@15-main also tells the data directory; empty = run by pg_ctl
	Data        string     // data directory; empty = the unit's
	Bin         string     // directory of pg_ctl and its like; empty = by the version of the data directory
	User        string     // OS user that owns the server; empty = the owner of the data directory
	DSN         SecretFile // file with the connection string for probes; empty = the local socket
	Advertise   string     // host:port under which clients and peers reach it; empty = the host's name and the server's port
	RebuildRate int64      // bytes per second a restore may fetch; 0 = as fast as it goes
	Replication Replication
}

// Replication is how a standby connects to its upstream.
type Replication struct {
	User     string     // empty = the driver's default
	Password SecretFile // in libpq's pgpass format; empty = trust, or a certificate
	Slot     string     // empty = none
	Options  string     // further libpq keywords, as in sslmode=verify-full
}

// DefaultState is the directory of an agent that names none.
const DefaultState = "/var/lib/switchback/agent"

// Ledger is the file of the agent's ledger.
func (a *Agent) Ledger() string { return filepath.Join(a.State, "ledger.json") }

// GuardSocket is the Unix socket between an agent and its guard.
func (a *Agent) GuardSocket() string { return filepath.Join(a.State, "guard.sock") }

// GuardHandover is the file in which a guard that stops leaves its deadlines to the next one.
func (a *Agent) GuardHandover() string { return filepath.Join(a.State, "guard.handover") }

// Permit is the file in which the agent permits one start of a cluster to its start gate.
func (a *Agent) Permit(cluster string) string { return filepath.Join(a.State, "permit-"+cluster) }

// GateLog is the file in which the start gates note what they refused.
func (a *Agent) GateLog() string { return filepath.Join(a.State, "gates.json") }

// Measured is the file of what the freezer's self-test found.
func (a *Agent) Measured() string { return filepath.Join(a.State, "freeze.json") }

// Overrides is the file of the overrides that people gave on this host.
func (a *Agent) Overrides() string { return filepath.Join(a.State, "overrides.json") }

// LoadAgent reads and checks an agent's file. The error is Problems, or says why the file can't be read.
func LoadAgent(path string) (*Agent, error) { return load(path, ParseAgent) }

// ParseAgent reads and checks the text of an agent's file; file is its name in errors.
func ParseAgent(file string, data []byte) (*Agent, error) {
	var a Agent
	if err := read(file, data, a.read); err != nil {
		return nil, err
	}
	slices.SortFunc(a.Clusters, func(x, y Cluster) int { return cmp.Compare(x.Name, y.Name) })
	return &a, nil
}

func (a *Agent) read(o *object) {
	a.Region, a.Name = o.must("region", "the region of this host").name("region"), o.hostName()
	a.Hub = o.must("hub", "region: URL for each hub server, or a list of URLs").servers()
	o.get("identity").object(func(o *object) {
		a.Key = o.get("key").secret()
		cert, key, ca := o.get("cert"), o.get("cert_key"), o.get("ca")
		a.TLS = TLS{cert.file(""), key.secret(), ca.file("")}
		if n := count(cert, key, ca); n != 0 && n != 3 {
			o.problem("has only some of cert, cert_key and ca: want all three, or none")
		}
	})
	o.get("listen").object(func(o *object) {
		a.Peers, a.Metrics, a.Guarding = o.get("peers").address(true), o.get("metrics").address(false), o.get("guard_metrics").address(false)
	})
	o.get("fence").object(func(o *object) {
		a.Fence.Freeze = word(o.get("freeze"), "", "auto", "cgroup", "sigstop")
		a.Fence.Kernel = word(o.get("kernel"), "", KernelAuto, KernelOff, KernelRequire)
		external, limit := o.get("external"), o.get("external_timeout")
		a.Fence.External = external.file("")
		if a.Fence.ExternalTimeout = limit.duration(0, time.Second, 10*time.Minute); limit.there() && !external.there() {
			limit.problem("is given without external: want the command it is the limit of, too")
		}
	})
	a.Fence.ExternalTimeout = cmp.Or(a.Fence.ExternalTimeout, defaultExternalTimeout)
	a.Fence.Freeze, a.Fence.Kernel = cmp.Or(a.Fence.Freeze, "auto"), cmp.Or(a.Fence.Kernel, KernelAuto)
	state := o.get("state")
	if a.State = state.file(DefaultState); len(a.GuardSocket()) > 107 {
		state.problem("%q: the guard's socket in it would have %d characters: want at most 107", a.State, len(a.GuardSocket()))
	}
	a.Profile = o.get("profile").profile()
	o.get("metrics").object(a.export)
	o.must("clusters", "a map of clusters by name").object(func(o *object) { o.each(a.cluster) })
	a.checkData(o)
}

func count(vs ...value) (n int) {
	for _, v := range vs {
		if v.there() {
			n++
		}
	}
	return n
}

func (a *Agent) cluster(e entry) {
	c := Cluster{Name: e.key.name("cluster")}
	e.value.object(func(o *object) {
		pg := o.get("postgres")
		pg.object(func(o *object) { c.Postgres = postgres(o) })
		ex := o.get("exec")
		ex.object(func(o *object) { c.Exec = execCluster(o) })
		af := o.get("airflow")
		af.object(func(o *object) { c.Airflow = airflowCluster(o) })
		switch kinds := count(pg, ex, af); {
		case kinds == 0 && len(o.entries) == 0:
			o.problem("says nothing of the cluster: want postgres: {unit: …}, postgres: {data: …}, airflow: {processes: …} or exec: {commands: …}")
		case kinds > 1:
			o.problem("is more than one of postgres, airflow and exec: want one kind")
		}
	})
	a.Clusters = append(a.Clusters, c)
}

// debianUnit is a unit whose name tells where its data is.
var debianUnit = regexp.MustCompile(`^postgresql@\d+-.+$`)

// What pg_basebackup takes as a rate, in bytes per second.
const (
	rebuildRateLeast = 32e3
	rebuildRateMost  = 1e9
)

func postgres(o *object) *Postgres {
	var p Postgres
	unit, data, user := o.get("unit"), o.get("data"), o.get("user")
	p.Unit, _ = unit.text("a systemd unit, as in postgresql@15-main")
	p.Data = data.file("")
	switch {
	case !unit.there() && !data.there():
		o.problem("names no server: want unit (a systemd unit) or data (a data directory)")
	case strings.HasPrefix(p.Unit, "-") || strings.ContainsAny(p.Unit, "/ \t\n"):
		unit.problem("%q: want a systemd unit, as in postgresql@15-main", p.Unit)
	case unit.there() && !data.there() && !debianUnit.MatchString(p.Unit):
		unit.problem("%q does not tell where its data is, as postgresql@15-main would: want data too", p.Unit)
	}
	p.Bin = o.get("bin").file("")
	if p.User, _ = user.text("an OS user"); p.User == "root" {
		user.problem("root can't run PostgreSQL: want the user that owns the data directory")
	}
	p.DSN = o.get("dsn_file").secret()
	p.Advertise = o.get("advertise").address(true)
	p.RebuildRate = o.get("rebuild_rate").rate(rebuildRateLeast, rebuildRateMost)
	o.get("replication").object(func(o *object) {
		r := &p.Replication
		r.User, _ = o.get("user").text("a role of the database")
		r.Password = o.get("password_file").secret()
		r.Slot, _ = o.get("slot").text("the name of a replication slot")
		options := o.get("options")
		if r.Options, _ = options.text("libpq keywords, as in sslmode=verify-full"); strings.Contains(r.Options, "password") {
			options.problem("holds a password: want it in password_file")
		}
	})
	return &p
}

// checkData refuses two clusters that are one server.
func (a *Agent) checkData(o *object) {
	used := map[string]string{}
	for _, c := range a.Clusters {
		for _, what := range c.places() {
			if other, dup := used[what]; dup && !strings.HasSuffix(what, " ") {
				o.get("clusters").problem("%s and %s have the same %s: want one cluster for each server", other, c.Name, what)
			}
			used[what] = c.Name
		}
	}
}

// hostName reads the name of a process; if it is not there, it is the host's, without its domain and with - for what a name can't hold.
func (o *object) hostName() string {
	v := o.get("name")
	if v.there() {
		return v.name("process")
	}
	host, err := os.Hostname()
	n := sanitize(host)
	if err != nil || n == "" {
		o.problem("name is missing and the host's (%q) can't be one: want name, 1 to 63 of a-z, 0-9 and -", host)
	}
	return n
}

func sanitize(host string) string {
	short, _, _ := strings.Cut(strings.ToLower(host), ".")
	n := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, short)
	n = strings.TrimLeft(n, "-")
	return fmt.Sprintf("%.63s", n)
}
