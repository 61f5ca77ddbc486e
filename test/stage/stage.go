// Package stage builds a whole fleet on one machine and breaks it: three regions in network namespaces of their own, in them the real processes of
// the real binary and real PostgreSQL servers, writers inside and outside, and an audit of every acknowledged write. The demo and the
// end-to-end tests play on it. DESIGN.md has the reasons.
package stage

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
)

// Options say what to build.
type Options struct {
	Binary string        // the program; see Build to make it
	Groups []Group       // at least one
	Shared bool          // make no namespaces even where that is possible
	Bare   bool          // servers and network only: none of our processes
	Kernel string        // fence.kernel of every agent: auto, off or require; empty = off
	Keep   string        // directory to copy the logs to when it is closed; empty = they go with the stage
	Every  time.Duration // how often each writer writes; 0 = Every
	Local  bool          // a writer beside each server over TCP, too
	Disks  bool          // every server has a small file system of its own, which can be filled; ErrNoDisks where the machine allows none

	Commands string // absolute path of the program that is every command of the groups of plain processes; it is called with the verb, the directory and the file to write to

	Airflow string // virtual environment with Apache Airflow, for groups with a Database

	API bool // every controller serves the API, to whoever holds a token of Token

	Metrics string // metrics of every agent's file, in YAML; OUTSIDE in it is the address of whoever receives them there

	Settings string // more lines for every server's postgresql.conf
	Fleet    string // what stands under automation in the fleet's file, in YAML
	Hosts    int    // database hosts of each region, each with an agent and a guard, that share its servers; 0 = 1
	Profile  string // of durations; empty = fast
}

const defaultProfile = "fast"

func (o *Options) profile() string { return cmp.Or(o.Profile, defaultProfile) }
func (o *Options) hosts() int      { return max(1, o.Hosts) }

// limit bounds how long so many groups take to come under care on a busy machine.
func (o *Options) limit() time.Duration {
	return time.Minute + time.Duration(len(o.Groups))*3*time.Second
}

// Stage is a running fleet. Its methods may be called from one goroutine; writers and followers run beside it.
type Stage struct {
	options   Options
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	home      *home
	net       *network
	owner     owner
	bin       string // of PostgreSQL
	template  string
	servers   []*Server
	plains    []*Plain
	workflows []*Workflow
	processes []*process
	bus       *Bus
}

// Build makes a stage and returns when every group is under care and protected. It takes about 15 s. Whatever happens afterwards, nothing of it outlives
// this process; Close ends it before.
func Build(ctx context.Context, o Options) (s *Stage, err error) {
	s = &Stage{options: o}
	s.ctx, s.cancel = context.WithCancel(ctx)
	if o.Shared {
		s.net, err = loopback(Regions, errors.New("not wanted"))
	} else {
		s.net, err = makeNetwork(Regions)
	}
	if err != nil {
		return nil, fmt.Errorf("build stage: %w", err)
	}
	if s.owner, err = findOwner(); err == nil {
		s.home, err = makeHome()
	}
	if err == nil {
		err = s.raise()
	}
	if err == nil && !o.Bare {
		err = s.runFleet()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build stage: %w", err), s.Close())
	}
	return s, nil
}

// raise makes files and servers, the standbys streaming.
func (s *Stage) raise() error {
	dirs := []string{filepath.Join(s.home.dir, "log"), s.dir(West), s.dir(Central), s.dir(North)}
	for _, d := range dirs {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	for i, g := range s.options.Groups {
		if g.Plain {
			if err := s.makePlain(g); err != nil {
				return err
			}
		}
		if g.Kind() != events.KindPostgres {
			continue
		}
		if s.template == "" {
			if err := s.makeTemplate(); err != nil {
				return err
			}
		}
		var primary *Server
		for _, ref := range g.Clusters() {
			v, err := s.makeServer(ref, 5432+i, primary)
			if err != nil {
				return err
			}
			if primary == nil {
				primary = v
			}
			s.servers = append(s.servers, v)
		}
	}
	if err := s.startServers(); err != nil {
		return err
	}
	if err := s.makeWorkflows(); err != nil {
		return err
	}
	a, err := makeAuthority(filepath.Join(s.home.dir, "tls"))
	for _, r := range Regions {
		if err == nil {
			err = s.writeRegion(r, a)
		}
	}
	if err == nil && !s.options.Bare {
		err = s.startWorkflows()
	}
	return err
}

func (s *Stage) startServers() error {
	var all errgroup.Group
	all.SetLimit(4)
	for _, g := range s.options.Groups {
		all.Go(func() error { return s.startGroup(g) })
	}
	return all.Wait()
}

// startGroup starts a group's servers and returns when all the others stream from the primary.
func (s *Stage) startGroup(g Group) error {
	switch g.Kind() {
	case events.KindExec:
		return s.startPlain(g)
	case events.KindAirflow:
		return nil // once its database has what it needs
	}
	p := s.Server(g.Primary())
	if err := p.Start(s.ctx); err != nil {
		return err
	}
	if _, err := p.SQL(s.ctx, tables); err != nil {
		return fmt.Errorf("make tables of %s: %w", p.Ref, err)
	}
	others := g.Clusters()[1:]
	for _, ref := range others {
		if err := s.Server(ref).Start(s.ctx); err != nil {
			return err
		}
	}
	return until(s.ctx, 30*time.Second, func(ctx context.Context) error {
		rows, err := p.SQL(ctx, "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")
		if err == nil && len(rows) < len(others) {
			err = fmt.Errorf("%d of %d stream from %s", len(rows), len(others), p.Ref)
		}
		return err
	})
}

// runFleet starts the processes, the hub and the witness first, applies the fleet file and waits until the fleet is at rest: every group under care and
// protected, leader and streams where they stay while everybody is well.
func (s *Stage) runFleet() (err error) {
	first := func(p *process) bool { return p.kind == Hub || p.kind == Controller && p.region == North }
	if err := s.startAll(first); err != nil {
		return err
	}
	if s.bus, err = s.connect(); err != nil {
		return err
	}
	if err := s.WaitLeader(North, 60*time.Second); err != nil {
		return err
	}
	if err := s.measure(); err != nil {
		return err
	}
	if err := s.startAll(func(p *process) bool { return !first(p) }); err != nil {
		return err
	}
	if out, err := s.Apply(fleetFile(s.options.profile(), s.options.Fleet, s.options.Groups)); err != nil {
		return fmt.Errorf("apply fleet: %w %s", err, out)
	}
	return s.WaitProtected(s.options.limit())
}

func (s *Stage) startAll(which func(*process) bool) error {
	for _, p := range s.processes {
		if which(p) {
			if err := s.start(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure has one host's agent of each size measure S before any of them works, where a region has several: in life they don't share a machine, and here each would slow down the
// self-test of every other. What an agent measured is kept for the next one of the same boot, and this machine is the host of all of them: so theirs is what the one of their size found.
func (s *Stage) measure() error {
	if s.options.hosts() == 1 {
		return nil
	}
	d, err := events.Profile(s.options.profile())
	if err != nil {
		return err
	}
	found := map[int]string{} // by the servers of a host: a file of what was measured
	for _, p := range s.processes {
		if p.kind != Agent {
			continue
		}
		own := measuredFile(p.state)
		if known, ok := found[p.servers]; ok {
			b, err := os.ReadFile(known)
			if err == nil {
				err = os.WriteFile(own, b, 0o600)
			}
			if err != nil {
				return fmt.Errorf("give a host of %s what was measured: %w", p.region, err)
			}
			continue
		}
		if err := s.start(p); err != nil {
			return err
		}
		err := until(s.ctx, time.Minute, func(context.Context) error { return inTime(own, d.Freeze) }) // one that is too slow measures again by itself
		if err == nil {
			err = p.signal(syscall.SIGTERM, true)
		}
		if err != nil {
			return fmt.Errorf("measure a host of %s: %w", p.region, err)
		}
		found[p.servers] = own
	}
	return nil
}

func measuredFile(state string) string {
	file := config.Agent{State: state}
	return file.Measured()
}

// inTime says whether an agent measured that it can freeze everything within a limit.
func inTime(path string, limit time.Duration) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var m struct{ Body struct{ Took time.Duration } }
	if err = json.Unmarshal(b, &m); err == nil && m.Body.Took > limit {
		err = fmt.Errorf("to freeze everything takes %v, want %v", m.Body.Took, limit)
	}
	return err
}

func (s *Stage) dir(region string) string { return filepath.Join(s.home.dir, region) }

// Dir is the directory of the stage, gone after Close.
func (s *Stage) Dir() string { return s.home.dir }

// Bus is the stage's own connection to the hub, from outside every region.
func (s *Stage) Bus() *Bus { return s.bus }

// Groups are the groups it was built with.
func (s *Stage) Groups() []Group { return s.options.Groups }

// Server finds a server.
func (s *Stage) Server(ref events.Ref) *Server {
	for _, v := range s.servers {
		if v.Ref == ref {
			return v
		}
	}
	return nil
}

// Close kills every process of the stage, frozen ones too, and removes its files and networks. It may be called more than once.
func (s *Stage) Close() error {
	s.cancel()
	if s.bus != nil {
		s.bus.close()
	}
	var err error
	if s.home != nil {
		err = kill(s.home.dir)
		if s.options.Keep != "" {
			err = errors.Join(err, s.keepLogs())
		}
		err = errors.Join(err, s.home.close())
		s.home = nil
		s.net.close()
	}
	return err
}
