package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/test/stage"
)

// demoCommand is `switchback demo`: a fleet on this machine, with real servers and real processes, to lose a region of.
func demoCommand() *cobra.Command {
	var script bool
	var groups int
	var keep, airflow string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Lose a region on this machine and see it move",
		Long: `Builds three regions on this machine, each in a network of its own, with real PostgreSQL pairs and the processes of this
very program, and writes to all of them all the time. Then you take a region away, see what happens, and bring it home. It runs the fast profile.
Nothing outside its own directory is touched, and nothing of it outlives it. Linux only; it needs PostgreSQL and iproute2.`,
		Example: "  switchback demo\n  switchback demo --script\n  switchback demo --airflow $(deploy/airflow/install.sh)",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if groups < 1 || groups > 20 {
				return fmt.Errorf("--groups %d: want 1 to 20", groups)
			}
			stage.Enter() // an ordinary user comes back here in a namespace of his own
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			d := &demo{out: c.OutOrStdout(), options: stage.Options{Binary: self, Groups: stage.Groups(groups), Keep: keep, Airflow: airflow}}
			if airflow != "" {
				d.options.Groups, d.options.Hosts = append(d.options.Groups, stage.Workflows(stage.West)...), 2 // a host is to freeze all of its processes in time
			}
			if script {
				return d.script(ctx)
			}
			return d.talk(ctx, bufio.NewScanner(c.InOrStdin()))
		},
	}
	c.Flags().BoolVar(&script, "script", false, "play an outage and an isolation unattended, there and back; fails if two servers ever acknowledged at once, or anything was lost that is not listed")
	c.Flags().IntVar(&groups, "groups", 3, "how many pairs of servers, 1 to 20")
	c.Flags().StringVar(&airflow, "airflow", "", "directory of a virtual environment with Apache Airflow: a pair of it is in the fleet, too, and loses its region in the middle of a run")
	c.Flags().StringVar(&keep, "keep", "", "directory to copy the logs to at the end")
	return c
}

// script plays both faults, each on a fleet of its own, there and back.
func (d *demo) script(ctx context.Context) error {
	for i, f := range []*fault{&outage, &isolate} {
		if i > 0 {
			d.say("")
		}
		if err := d.round(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// round builds a fleet, plays one fault, has everything brought home and judges it.
func (d *demo) round(ctx context.Context, f *fault) (err error) {
	if err := d.build(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stage.Close()) }()
	if why := d.stage.CanIsolate(); why != nil && f == &isolate {
		d.say("NOT SHOWN: %s: %v", f.name, why)
		return nil
	}
	d.say("> %s", f.name)
	if err := d.strike(ctx, f); err != nil {
		return err
	}
	d.say("> heal")
	if err := d.heal(ctx); err != nil {
		return err
	}
	d.say("> failback")
	home, err := d.failback(ctx)
	if err != nil {
		return err
	}
	if want := d.atWest(); home < want {
		return fmt.Errorf("%d of %d groups came home", home, want)
	}
	return d.close(ctx)
}
