package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/test/stage"
)

// demoCommand is `switchback demo`: a fleet on this machine, with real servers and real processes, to lose a region of.
func demoCommand() *cobra.Command {
	var script bool
	var groups int
	var keep string
	c := &cobra.Command{
		Use:   "demo",
		Short: "Lose a region on this machine and see it move",
		Long: `Builds three regions on this machine, each in a network of its own, with real PostgreSQL pairs and the processes of this
very program, and writes to all of them all the time. Then you take a region away and see what happens. It runs the fast profile.
Nothing outside its own directory is touched, and nothing of it outlives it. Linux only; it needs PostgreSQL and iproute2.`,
		Example: "  switchback demo\n  switchback demo --script",
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
			d := &demo{out: c.OutOrStdout(), options: stage.Options{Binary: self, Groups: stage.Groups(groups), Keep: keep}}
			if script {
				return d.script(ctx)
			}
			return d.talk(ctx, bufio.NewScanner(c.InOrStdin()))
		},
	}
	c.Flags().BoolVar(&script, "script", false, "play an outage and an isolation unattended; fails if two servers ever acknowledged at once, or more was lost than reported")
	c.Flags().IntVar(&groups, "groups", 3, "how many pairs of servers, 1 to 20")
	c.Flags().StringVar(&keep, "keep", "", "directory to copy the logs to at the end")
	return c
}

// script plays both faults, each on a fleet of its own.
func (d *demo) script(ctx context.Context) error {
	for i, f := range []fault{outage, isolate} {
		if i > 0 {
			d.say("")
		}
		if err := d.round(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// round builds a fleet, plays one fault and judges it.
func (d *demo) round(ctx context.Context, f fault) (err error) {
	if err := d.build(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stage.Close()) }()
	if why := d.stage.CanIsolate(); why != nil && f.name == isolate.name {
		d.say("NOT SHOWN: %s: %v", f.name, why)
		return nil
	}
	if err := d.warm(ctx); err != nil {
		return err
	}
	d.say("> %s", f.name)
	if err := d.strike(f); err != nil {
		return err
	}
	if err := d.follow(ctx, f); err != nil {
		return err
	}
	return d.judge(ctx, f)
}

// talk takes orders from a terminal. Anything that is not the demo's own is a verb of this program, run on the demo's fleet.
func (d *demo) talk(ctx context.Context, in *bufio.Scanner) (err error) {
	if err := d.build(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stage.Close()) }()
	d.say("type:  outage   isolate   heal   status   quit      or any other verb, as in: why orders")
	lines := make(chan string)
	go func() {
		for in.Scan() {
			lines <- in.Text()
		}
		close(lines)
	}()
	var struck *fault
	for {
		fmt.Fprint(d.out, "> ")
		var line string
		var more bool
		select {
		case <-ctx.Done():
			return nil
		case line, more = <-lines:
		}
		words := strings.Fields(line)
		switch {
		case !more || len(words) == 1 && words[0] == "quit":
			if struck == nil {
				return nil
			}
			return d.judge(ctx, *struck)
		case len(words) == 0:
		case len(words) == 1 && (words[0] == outage.name || words[0] == isolate.name):
			if struck != nil {
				d.say("%s was struck already. Bringing it home is not in this version: quit, and start again.", stage.West)
				continue
			}
			f := map[string]fault{outage.name: outage, isolate.name: isolate}[words[0]]
			if why := d.stage.CanIsolate(); why != nil && f.name == isolate.name {
				d.say("%v", why)
				continue
			}
			if err := d.warm(ctx); err != nil {
				return err
			}
			if err := d.strike(f); err != nil {
				return err
			}
			struck = &f
			if err := d.follow(ctx, f); err != nil {
				return err
			}
		case len(words) == 1 && words[0] == "heal":
			if struck == nil {
				d.say("nothing is broken")
				continue
			}
			if err := struck.heal(d.stage); err != nil {
				return err
			}
			d.say("%s is back. What was moved stays moved; its old servers stay read-only.", stage.West)
		default:
			text, err := d.stage.Command(ctx, words...)
			fmt.Fprint(d.out, text)
			if err != nil {
				d.say("%v", err)
			}
		}
	}
}
