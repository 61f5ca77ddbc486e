// Package stage builds a whole fleet on one machine and breaks it: three regions in network namespaces of their own, in them the real processes of
// the real binary and real PostgreSQL servers, writers inside and outside, and an audit of every acknowledged write. The demo and the
// end-to-end tests play on it. DESIGN.md has the reasons.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchback-dr/switchback/events"
)

// The regions: home of most groups, their recovery, and the witness that holds no data.
const (
	West    = "eu-west-1"
	Central = "eu-central-1"
	North   = "eu-north-1"
)

// Regions lists them in the order of their addresses.
var Regions = []string{West, Central, North}

// Group is one pair of servers.
type Group struct {
	Name string
	Home string      // region of its primary: West or Central; the recovery cluster is in the other
	Mode events.Mode // empty = auto
}

// Primary is the cluster at home.
func (g Group) Primary() events.Ref { return events.Ref{Region: g.Home, Cluster: g.Name + "-a"} }

// Recovery is the cluster in the other data region.
func (g Group) Recovery() events.Ref {
	if g.Home == West {
		return events.Ref{Region: Central, Cluster: g.Name + "-b"}
	}
	return events.Ref{Region: West, Cluster: g.Name + "-b"}
}

// Groups makes n groups: orders, billing, search, then g04 and so on. Every fourth one is at home in Central.
func Groups(n int) []Group {
	names := []string{"orders", "billing", "search"}
	var out []Group
	for i := range n {
		g := Group{Name: fmt.Sprintf("g%02d", i+1), Home: West}
		if i < len(names) {
			g.Name = names[i]
		}
		if i%4 == 3 {
			g.Home = Central
		}
		out = append(out, g)
	}
	return out
}

// Options say what to build.
type Options struct {
	Binary string  // the program; see Build to make it
	Groups []Group // at least one
	Shared bool    // make no namespaces even where that is possible
	Bare   bool    // servers and network only: none of our processes
	Keep   string  // directory to copy the logs to when it is closed; empty = they go with the stage
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
	if err := s.makeTemplate(); err != nil {
		return err
	}
	for i, g := range s.options.Groups {
		p, err := s.makeServer(g.Primary(), 5432+i, nil)
		if err != nil {
			return err
		}
		r, err := s.makeServer(g.Recovery(), 5432+i, p)
		if err != nil {
			return err
		}
		s.servers = append(s.servers, p, r)
	}
	if err := s.startServers(); err != nil {
		return err
	}
	a, err := makeAuthority(filepath.Join(s.home.dir, "tls"))
	for _, r := range Regions {
		if err == nil {
			err = s.writeRegion(r, a)
		}
	}
	return err
}

func (s *Stage) startServers() error {
	var all errgroup.Group
	all.SetLimit(4)
	for i := 0; i < len(s.servers); i += 2 {
		p, r := s.servers[i], s.servers[i+1]
		all.Go(func() error {
			if err := p.Start(s.ctx); err != nil {
				return err
			}
			if _, err := p.SQL(s.ctx, tables); err != nil {
				return fmt.Errorf("make tables of %s: %w", p.Ref, err)
			}
			if err := r.Start(s.ctx); err != nil {
				return err
			}
			return until(s.ctx, 30*time.Second, func(ctx context.Context) error {
				rows, err := p.SQL(ctx, "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")
				if err == nil && len(rows) == 0 {
					err = fmt.Errorf("%s does not stream from %s", r.Ref, p.Ref)
				}
				return err
			})
		})
	}
	return all.Wait()
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
	if err := s.startAll(func(p *process) bool { return !first(p) }); err != nil {
		return err
	}
	if out, err := s.Apply(Fleet(s.options.Groups)); err != nil {
		return fmt.Errorf("apply fleet: %w %s", err, out)
	}
	return s.WaitProtected(60 * time.Second)
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

// WaitLeader waits until the controller of a region leads and its hub server leads every replicated stream: then the loss of another region costs no election.
func (s *Stage) WaitLeader(region string, limit time.Duration) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		st, err := s.bus.Status(ctx)
		if err == nil && st.Leader != region+"/c1" {
			err = fmt.Errorf("%s leads, want %s/c1", st.Leader, region)
		}
		if err == nil {
			for _, stream := range events.Streams() {
				at, look := s.bus.StreamLeader(ctx, stream.Name)
				if look == nil && at != region {
					look = fmt.Errorf("stream %s is led from %s, want %s", stream.Name, at, region)
				}
				err = errors.Join(err, look)
			}
		}
		return err
	})
}

// WaitProtected waits until every group is under care, its passive is fit to be promoted and it is settled.
func (s *Stage) WaitProtected(limit time.Duration) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		views, err := s.bus.Groups(ctx)
		if err != nil {
			return err
		}
		var missing []string
		for _, g := range s.options.Groups {
			i := slices.IndexFunc(views, func(v GroupView) bool { return v.Group == g.Name })
			if i < 0 || !views[i].ready() {
				why := "nobody knows it"
				if i >= 0 {
					why = views[i].Rule + ": " + views[i].Why
				}
				missing = append(missing, g.Name+" ("+why+")")
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("not under care and protected: %s", strings.Join(missing, ", "))
		}
		return nil
	})
}

// WaitWhole waits until somebody leads and every stream has all of its servers, whoever leads them.
func (s *Stage) WaitWhole(limit time.Duration) error {
	return until(s.ctx, limit, func(ctx context.Context) error {
		_, err := s.bus.Status(ctx)
		for _, stream := range events.Streams() {
			_, look := s.bus.StreamLeader(ctx, stream.Name)
			err = errors.Join(err, look)
		}
		return err
	})
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

// keepLogs copies the logs of our processes and of the servers to where the caller wants them.
func (s *Stage) keepLogs() error {
	if err := os.MkdirAll(s.options.Keep, 0o755); err != nil {
		return fmt.Errorf("keep logs: %w", err)
	}
	for _, pattern := range []string{"log/*", "*/*/log", "*/*/data/switchback.log", "*/*.yaml", "fleet.yaml", "writes"} {
		found, _ := filepath.Glob(filepath.Join(s.home.dir, pattern)) // the only error is a bad pattern
		for _, from := range found {
			name, _ := filepath.Rel(s.home.dir, from)
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(s.options.Keep, strings.ReplaceAll(name, "/", "-")), b, 0o644)
			}
			if err != nil {
				return fmt.Errorf("keep logs: %w", err)
			}
		}
	}
	return nil
}
