package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Airflow is how to reach and run one workflow cluster: by systemd units, or by processes.
type Airflow struct {
	Units     []string   // systemd units of whatever schedules or runs tasks
	Slice     string     // systemd slice that holds those and nothing else
	Bin       string     // the airflow program
	Home      string     // AIRFLOW_HOME
	EnvFile   SecretFile // NAME=value lines of its environment
	User      string     // OS user that runs it; empty = the agent's own
	Run       []string   // its commands that run on an active, as in scheduler
	Warm      []string   // units or commands that run on a passive as well, and run no task
	API       string     // URL of its REST API; empty = none
	Token     SecretFile // for the API: a bearer token, or
	APIUser   string     // … a user
	Password  SecretFile // … and its password
	DSN       SecretFile // file with the connection string of its metadata database
	Drain     time.Duration
	Stale     time.Duration
	Processes int    // the most it may have; 0 = as a scheduler of parallelism 32 may
	Advertise string // host:port under which clients reach it; empty = nobody has to
}

// What a drain may take: a planned move waits five minutes in all for what comes before it.
const (
	maxDrain = 4 * time.Minute
	maxStale = 10 * time.Minute
)

// airflowCommands are the commands of the program that run on one side only.
var airflowCommands = []string{"scheduler", "dag-processor", "triggerer", "celery worker", "kerberos"}

// airflowWarm are those that run no task.
var airflowWarm = []string{"api-server", "webserver"}

func airflowCluster(o *object) *Airflow {
	var a Airflow
	units, processes := o.get("units"), o.get("processes")
	units.list(func(v value) { a.Units = append(a.Units, v.unit()) })
	slice := o.get("slice")
	a.Slice = slice.unit()
	processes.object(func(o *object) {
		a.Bin = o.must("bin", "the path of the airflow program, as in /opt/af/bin/airflow").file("")
		a.Home = o.must("home", "its AIRFLOW_HOME").file("")
		a.EnvFile = o.get("env_file").secret()
		a.User, _ = o.get("user").text("an OS user")
		run := o.get("run")
		if a.Run = run.commands(airflowCommands); !run.there() {
			a.Run = slices.Clone(airflowCommands[:3])
		} else if !slices.Contains(a.Run, "scheduler") {
			run.problem("has no scheduler: want it among what is run and fenced")
		}
	})
	warm := o.get("warm")
	switch {
	case units.there() == processes.there():
		o.problem("want units (systemd units, and their slice) or processes ({bin: …, home: …, run: …}): one of them")
	case units.there() && !strings.HasSuffix(a.Slice, ".slice"):
		o.problem("want slice, the systemd slice that holds its units and nothing else, as in airflow.slice: all of it is frozen and killed as one")
	case units.there() && !slices.ContainsFunc(a.Units, func(u string) bool { return strings.Contains(u, "scheduler") }):
		units.problem("none of them is a scheduler by its name: want it among what is run and fenced")
	case processes.there() && slice.there():
		slice.problem("it belongs to units: processes are held by one of this program's own")
	}
	if processes.there() {
		a.Warm = warm.commands(airflowWarm)
	} else {
		warm.list(func(v value) { a.Warm = append(a.Warm, v.unit()) })
		for _, w := range a.Warm {
			if slices.Contains(a.Units, w) {
				warm.problem("%q stands in units, too: what is warm runs on both sides, what runs tasks on one", w)
			}
		}
	}
	a.api(o)
	a.DSN = o.must("dsn_file", "a file with the connection string of its metadata database, which names every host that one may be on, with target_session_attrs=read-write").secret()
	a.Drain = o.get("drain").duration(0, time.Second, maxDrain)
	a.Stale = o.get("stale").duration(0, time.Second, maxStale)
	a.Processes = o.get("max_processes").integer(0, 1, 100000)
	a.Advertise = o.get("advertise").address(true)
	return &a
}

// api reads where its API is, and who asks it.
func (a *Airflow) api(o *object) {
	v, token, user, password := o.get("api"), o.get("token_file"), o.get("user"), o.get("password_file")
	a.API, _ = v.text("a URL, as in http://127.0.0.1:8080")
	if u, err := url.Parse(a.API); v.there() && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		v.problem("is no URL: want http://host:port or https://host:port")
	}
	a.Token, a.Password = token.secret(), password.secret()
	a.APIUser, _ = user.text("a user of its API")
	switch {
	case user.there() != password.there():
		o.problem("has only one of user and password_file: want both")
	case token.there() && user.there():
		token.problem("is given beside user: want one of them")
	case v.there() && !token.there() && !user.there():
		v.problem("is given, but nobody to ask as: want token_file, or user and password_file")
	case !v.there() && (token.there() || user.there()):
		o.problem("says who asks its API, but not where that is: want api")
	}
}

// unit reads the name of a systemd unit; what has no suffix is a service.
func (v value) unit() string {
	u, ok := v.text("a systemd unit, as in airflow-scheduler")
	if ok && (strings.HasPrefix(u, "-") || strings.ContainsAny(u, "/ \t\n")) {
		v.problem("%q: want a systemd unit, as in airflow-scheduler", u)
	}
	return strings.TrimSuffix(u, ".service")
}

// commands reads a list of the program's commands, each once.
func (v value) commands(known []string) (cs []string) {
	v.list(func(v value) {
		c, ok := v.text("a command of airflow")
		switch {
		case ok && !slices.Contains(known, c):
			v.problem("%q: %s", c, want(c, known))
		case ok && slices.Contains(cs, c):
			v.problem("%q stands here twice", c)
		case ok:
			cs = append(cs, c)
		}
	})
	return cs
}

// AirflowDir is where the driver of a workflow cluster keeps what it has to remember.
func (a *Agent) AirflowDir(cluster string) string { return filepath.Join(a.State, "airflow-"+cluster) }

// Runs reports whether a systemd unit is one of a cluster's.
func (c *Cluster) Runs(unit string) bool {
	unit = strings.TrimSuffix(unit, ".service")
	if c.Airflow != nil {
		return slices.Contains(c.Airflow.Units, unit)
	}
	return strings.TrimSuffix(c.Unit(), ".service") == unit
}
