package exec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// ProbeLimit is what a probe gives itself when ctx has no deadline.
const ProbeLimit = 2 * time.Second

// dialLimit bounds the look at the port of what is said to be down.
const dialLimit = 200 * time.Millisecond

// The states a probe's command knows.
const (
	stateActive  = "active"  // it does its work, or could at any moment
	stateStandby = "standby" // it can't do its work, and can be told to; whether anything of it runs is its own affair
	stateDown    = "down"    // nothing of it runs, and it has to be started first
	stateEmpty   = "empty"   // down, and there is nothing in its place yet
)

// Probe implements driver.Driver.
func (d *Driver) Probe(ctx context.Context) events.ClusterHealth { return d.look(ctx) }

// look says what is true. The command says it, and what it says is held against the processes that the guard would fence: active without any could not be fenced, and
// down with some is not down. Whatever does not fit is unknown, never down.
func (d *Driver) look(ctx context.Context) events.ClusterHealth {
	h := events.ClusterHealth{Cluster: d.cfg.Cluster, Kind: d.cfg.Kind, Server: events.ServerUnknown, Address: d.cfg.Advertise}
	if at, ok := ctx.Deadline(); !ok || time.Until(at) > ProbeLimit {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ProbeLimit)
		defer cancel()
	}
	var m mark
	if err := d.readFile(markFile, &m); err == nil {
		h.Mark = m.Group
	} else if !errors.Is(err, fs.ErrNotExist) {
		h.Error = err.Error()
	}
	if err := ctx.Err(); err != nil {
		h.Error = err.Error()
		return h
	}
	tree := d.Tree()
	if held, err := freezer.Held(tree); err != nil {
		h.Error = err.Error()
		return h
	} else if held {
		h.Server = events.ServerFrozen
		return h
	}
	at, _ := ctx.Deadline()
	talk, cancel := context.WithTimeout(ctx, time.Until(at)*7/10) // the rest is for looking at processes
	defer cancel()
	began := time.Now()
	said, err := d.ask(talk)
	took := time.Since(began)
	p, found := freezer.Find(tree)
	if held, e := freezer.Held(tree); e == nil && held {
		h.Server = events.ServerFrozen // meanwhile: what the command said is of before, or of a process that can't answer
		return h
	}
	if err := errors.Join(err, found); err != nil {
		h.Error = err.Error()
		return h
	}
	d.judge(ctx, &h, said, len(p.All), took)
	return h
}

// ask has the probe's command say what it sees.
func (d *Driver) ask(ctx context.Context) (Answer, error) {
	var said Answer
	if b := d.cfg.Body; b != nil {
		return b.Ask(ctx)
	}
	e := d.run(ctx, Order{Verb: Probe})
	if e.err != nil {
		return said, e.err
	}
	err := json.Unmarshal(e.out, &said)
	switch {
	case e.code != exitDone:
		return said, fmt.Errorf("probe ended with exit code %d: %s%.300s", e.code, said.Why, e.bad)
	case err != nil || len(e.out) >= maxAnswer:
		return said, fmt.Errorf("what probe said can't be read: want {\"state\": \"active\", \"serves\": true} or the like (%v)", err)
	case said.State == stateActive && said.Serves == nil:
		return said, errors.New("probe said active, but not whether it serves: want serves: true or false")
	case said.State == stateStandby && said.Ready == nil:
		return said, errors.New("probe said standby, but not whether it is ready to take over: want ready: true or false")
	}
	return said, nil
}

func (d *Driver) judge(ctx context.Context, h *events.ClusterHealth, said Answer, processes int, took time.Duration) {
	h.Alarm, h.Hinders, h.Waits, h.Lacks, h.Alike = said.Alarm, said.Hinders, said.Waits, said.Lacks, said.Alike
	if said.Why != "" {
		h.Error = said.Why
	}
	switch {
	case said.State == stateActive && processes == 0:
		h.Error = "probe says active, but no process of it is found: by that pid file, unit or cgroup it could not be fenced"
	case said.State == stateActive:
		h.Server, h.Canary, h.CanaryOK = events.ServerWritable, took, *said.Serves
	case said.State == stateStandby:
		own, err := d.read()
		if err != nil {
			h.Error = err.Error()
			return
		}
		h.Server, h.Stopped = events.ServerRecovery, fmt.Sprintf("its probe says that it stands by, %d processes%s", processes, d.withFile())
		h.Upstream, h.Streaming = own.Source, *said.Ready && !own.Cut && !own.Broken
	case (said.State == stateDown || said.State == stateEmpty) && processes > 0:
		h.Error = fmt.Sprintf("probe says %s, but %d processes of it exist", said.State, processes)
	case said.State == stateDown || said.State == stateEmpty:
		if err := d.closed(ctx); err != nil {
			h.Error = fmt.Sprintf("probe says %s, but %v", said.State, err)
			return
		}
		h.Server, h.Empty = events.ServerDown, said.State == stateEmpty
		h.Stopped = "its probe says " + said.State + ", no process of it" + d.withFile()
		if d.cfg.Listen != "" {
			h.Stopped += ", port closed"
		}
	default:
		h.Error = fmt.Sprintf("probe said state %q: want active, standby, down or empty", said.State)
	}
}

func (d *Driver) withFile() string {
	if d.standsBy() {
		return ", " + standbyFile + " file present"
	}
	return ""
}

// closed says why its port is not known to refuse connections.
func (d *Driver) closed(ctx context.Context) error {
	if d.cfg.Listen == "" {
		return nil
	}
	conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(ctx, "tcp", d.cfg.Listen)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case err == nil:
		_ = conn.Close() // nothing was said
		return fmt.Errorf("somebody accepts connections on %s", d.cfg.Listen)
	}
	return fmt.Errorf("%s is not known to be closed: %w", d.cfg.Listen, err)
}
