package stage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// The tools a restore runs, by name.
const (
	Rewind     = "pg_rewind"
	BaseBackup = "pg_basebackup"
)

// WaitTool waits until one of PostgreSQL's tools works on a server and returns its process. One that only says its version, or only tries, doesn't count.
func (v *Server) WaitTool(ctx context.Context, name string, limit time.Duration) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(time.Millisecond) // a rewind of a small server takes half a second
	defer tick.Stop()
	for {
		err := each(func(p int) {
			args, ok := tool(p)
			if ok && filepath.Base(args[0]) == name && calledWith(args, v.Socket()) && !slices.Contains(args, "--version") && !slices.Contains(args, "--dry-run") {
				pid = p
			}
		})
		if err != nil || pid != 0 {
			return pid, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("no %s works on %s within %v", name, v.Ref, limit)
		case <-tick.C:
		}
	}
}

// KillTool waits for a tool as WaitTool does and kills it.
func (v *Server) KillTool(ctx context.Context, name string, limit time.Duration) error {
	pid, err := v.WaitTool(ctx, name, limit)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s was done with %s before it could be killed", name, v.Ref)
	}
	return err
}

// WaitWork waits until a restore of a cluster is in a phase, as the leader shows it: it hears so once per beat at most, so short phases may go by unseen.
func (b *Bus) WaitWork(ctx context.Context, group string, cluster events.Ref, phase string, limit time.Duration) error {
	return until(ctx, limit, func(ctx context.Context) error {
		v, err := b.Group(ctx, group)
		if err != nil {
			return err
		}
		c := v.Cluster(cluster)
		if c.Work == nil || c.Work.Phase != phase {
			return fmt.Errorf("%s is in no phase %s of a restore: %+v", cluster, phase, c.Work)
		}
		return nil
	})
}

// unitBurst and unitWait are what systemd allows by itself: so many starts in ten seconds, one 100 ms after the other.
const (
	unitBurst = 5
	unitWait  = 100 * time.Millisecond
)

// Unit plays the server's own unit, of a site that has Restart=always and knows nothing of us: whenever no process of it exists it is started, around every gate,
// until it failed too often. It returns when it gives up or ctx ends.
func (v *Server) Unit(ctx context.Context) error {
	for starts := 0; starts < unitBurst; {
		found, err := v.PIDs("")
		if err != nil {
			return fmt.Errorf("unit of %s: %w", v.Ref, err)
		}
		if len(found) == 0 {
			starts++
			_ = v.Launch() // one that fails counts too
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(unitWait):
		}
	}
	return nil
}

// Hammer is a client beside a server that is never told to stop: it connects as soon as the server lets it, keeps its session busy and comes back at once when
// that ends. It returns when ctx ends, with how often it got in.
func (v *Server) Hammer(ctx context.Context) (sessions int) {
	for ctx.Err() == nil {
		if _, err := v.SQL(ctx, "SELECT count(*) FROM public.writes; SELECT pg_sleep(0.2)"); err == nil {
			sessions++
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
	return sessions
}

// Stall stops a passive's WAL receiver where it stands; the link stays, and nothing comes any more. The returned function lets it go on.
func (v *Server) Stall() (resume func() error, err error) {
	found, err := v.PIDs("walreceiver")
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("stall %s: its WAL receivers are %v: %w", v.Ref, found, err)
	}
	send := func(sig syscall.Signal) error {
		if err := syscall.Kill(found[0], sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("send %v to the WAL receiver of %s: %w", sig, v.Ref, err)
		}
		return nil
	}
	return func() error { return send(syscall.SIGCONT) }, send(syscall.SIGSTOP)
}
