package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Exec is how to reach one cluster of kind exec: whatever is cared for by commands.
type Exec struct {
	Commands  map[string][]string      // program and its arguments, by what it is for
	Limits    map[string]time.Duration // how long one may take, by what it is for
	User      string                   // OS user who runs them; empty = the agent's own
	Dir       string                   // directory beside its data, for the standby file and what the driver has to remember
	PIDFile   string                   // names the parent of all its processes
	Match     string                   // with PIDFile: what that process's command line or working directory holds
	Unit      string                   // systemd unit that runs it
	Cgroup    string                   // directory of a cgroup that holds its processes and nothing else
	Listen    string                   // host:port it answers on here, proved closed after a kill; empty = none
	Advertise string                   // host:port under which clients and peers reach it; empty = nobody has to
	Processes int                      // the most it may have
}

// What commands are for. The first five have to be there.
var execCommands = []string{"probe", "start", "start-standby", "promote", "stop", "cut", "follow", "restore", "release"}

const execNeeded = 5

// How long a command may take: one that changes something without keeping up its order's own limit is of no use, but a restore takes as long as it takes.
const (
	maxExecLimit    = time.Minute
	maxProbeLimit   = 700 * time.Millisecond // of the agent's second for a probe
	maxRestoreLimit = 7 * 24 * time.Hour
	defaultExecSize = 32
)

func execCluster(o *object) *Exec {
	x := Exec{Commands: map[string][]string{}, Limits: map[string]time.Duration{}}
	o.must("commands", "{"+strings.Join(execCommands[:execNeeded], ": …, ")+": …}").object(func(o *object) {
		for i, name := range execCommands {
			v := o.get(name)
			if x.Commands[name] = v.argv(); len(x.Commands[name]) == 0 {
				delete(x.Commands, name)
			}
			if !v.there() && i < execNeeded {
				o.problem("%s is missing: want the path of a program, or [program, argument, …]", name)
			}
		}
	})
	o.get("limits").object(func(o *object) {
		for _, name := range execCommands {
			most := maxExecLimit
			switch name {
			case "probe":
				most = maxProbeLimit
			case "restore":
				most = maxRestoreLimit
			}
			v := o.get(name)
			if d := v.duration(0, 10*time.Millisecond, most); d > 0 {
				x.Limits[name] = d
				if _, runs := x.Commands[name]; !runs {
					v.problem("is the limit of a command that is not in commands")
				}
			}
		}
	})
	x.User, _ = o.get("user").text("an OS user")
	x.Dir = o.must("dir", "a directory beside its data, for what the driver has to remember and the standby file").file("")
	pid, match, unit, cgroup := o.get("pid_file"), o.get("match"), o.get("unit"), o.get("cgroup")
	x.PIDFile = pid.file("")
	x.Match, _ = match.text("a part of the process's command line or working directory")
	x.Unit, _ = unit.text("a systemd unit")
	x.Cgroup = cgroup.file("")
	switch {
	case !pid.there() && !unit.there() && !cgroup.there():
		o.problem("names no processes: want unit (a systemd unit), cgroup or pid_file; what can't be found can't be fenced")
	case pid.there() && x.Match == "":
		o.problem("pid_file without match: want a part of that process's command line or working directory, or a recycled pid could be hit")
	case !pid.there() && match.there():
		match.problem("it belongs to pid_file: want both, or none")
	case x.Unit != "" && (strings.HasPrefix(x.Unit, "-") || strings.ContainsAny(x.Unit, "/ \t\n")):
		unit.problem("%q: want a systemd unit, as in shop.service", x.Unit)
	}
	if x.Unit != "" && !strings.Contains(x.Unit, ".") {
		x.Unit += ".service"
	}
	x.Listen, x.Advertise = o.get("listen").address(false), o.get("advertise").address(true)
	x.Processes = o.get("processes").integer(defaultExecSize, 1, 100000)
	return &x
}

// argv reads a program, or a list of a program and its arguments. There is no shell between.
func (v value) argv() (argv []string) {
	if !v.there() || !v.isList() {
		if p := v.file(""); p != "" {
			argv = []string{p}
		}
		return argv
	}
	first := true
	v.list(func(v value) {
		if first {
			if p := v.file(""); p != "" {
				argv = append(argv, p)
			}
			first = false
			return
		}
		if s, ok := v.text("an argument"); ok {
			argv = append(argv, s)
		}
	})
	if first {
		v.problem("the list is empty: want [program, argument, …]")
	}
	return argv
}

// checkNoLog checks what a group of a kind without a log says of its data, of which nobody can say what a move loses. Automation moves it only if its file accepts that in so many words.
func checkNoLog(o *object, g *events.GroupConfig) {
	if g.Kind.Logged() {
		if g.MaxLoss.Unknown {
			o.get("replication").problem("max_loss: unknown belongs to kinds airflow and exec: kind %s knows what it may lose", g.Kind)
		}
		return
	}
	unknown := g.MaxLoss.Unknown
	g.MaxLoss, g.WhenAlone = events.LossBudget{Unknown: unknown}, ""
	r := o.get("replication")
	if r.isMap() {
		for _, key := range []string{"bytes", "seconds"} {
			r.in("max_loss").in(key).refuse(fmt.Sprintf("kind %s has no log, so nobody can measure it: want max_loss: unknown, or nothing", g.Kind))
		}
		if g.Replication == events.ReplicateSync {
			r.in("mode").refuse(fmt.Sprintf("kind %s has no commits that could wait: remove it", g.Kind))
		}
	}
	g.Replication = events.ReplicateAsync
	if g.Kind == events.KindAirflow { // it has no data of its own: what may be lost is its database's, by that one's budget
		g.MaxLoss.Unknown, unknown = true, true
	}
	if g.Mode == events.ModeAuto && !unknown {
		o.problem("nobody can say what a failover of kind exec loses, so automation would wait for you each time: want replication: {max_loss: unknown} to have it moved all the same, or mode: manual")
	}
}

// in is a value inside a map; the zero node if there is none.
func (v value) in(key string) value {
	if v.isMap() {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if v.node.Content[i].Value == key {
				return value{v.r, v.node.Content[i+1], join(v.path, key)}
			}
		}
	}
	return value{r: v.r, path: join(v.path, key)}
}

func (v value) refuse(why string) {
	if v.there() {
		v.problem("%s", why)
	}
}

// Kind is what a cluster is made of.
func (c *Cluster) Kind() events.Kind {
	switch {
	case c.Exec != nil:
		return events.KindExec
	case c.Airflow != nil:
		return events.KindAirflow
	}
	return events.KindPostgres
}

// Unit is the systemd unit that runs a cluster; empty = none is known.
func (c *Cluster) Unit() string {
	switch {
	case c.Exec != nil:
		return c.Exec.Unit
	case c.Postgres != nil:
		return c.Postgres.Unit
	}
	return ""
}

// places are what no two clusters of a host may share.
func (c *Cluster) places() []string {
	switch {
	case c.Exec != nil:
		return []string{"unit " + strings.TrimSuffix(c.Exec.Unit, ".service"), "dir " + c.Exec.Dir, "pid_file " + c.Exec.PIDFile, "cgroup " + c.Exec.Cgroup}
	case c.Airflow != nil:
		return []string{"slice " + c.Airflow.Slice, "home " + c.Airflow.Home}
	case c.Postgres != nil:
		return []string{"unit " + c.Postgres.Unit, "data " + c.Postgres.Data}
	}
	return nil
}
