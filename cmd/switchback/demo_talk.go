package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/switchback-dr/switchback/test/stage"
)

// errQuit ends the talk.
var errQuit = errors.New("quit")

// talk takes orders from a terminal. Anything that is not the demo's own is a verb of this program, run on the demo's fleet.
func (d *demo) talk(ctx context.Context, in *bufio.Scanner) (err error) {
	if err := d.build(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stage.Close()) }()
	d.say("type:  outage   isolate   heal   failback   switchover   restore   status   quit      or any other verb, as in: why orders")
	lines := make(chan string)
	go func() {
		for in.Scan() {
			lines <- in.Text()
		}
		close(lines)
	}()
	for {
		fmt.Fprint(d.out, "> ")
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				line = "quit"
			}
			err := d.obey(ctx, strings.Fields(line))
			switch {
			case errors.Is(err, errQuit):
				return d.close(ctx)
			case ctx.Err() != nil:
				return nil
			case err != nil:
				d.say("%v", err) // the fleet is still there to be looked at
			}
		}
	}
}

// obey does what one line says.
func (d *demo) obey(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return nil
	}
	if len(words) == 1 {
		switch words[0] {
		case "quit", "exit":
			return errQuit
		case outage.name, isolate.name:
			return d.mayStrike(ctx, faults[words[0]])
		case "heal":
			if d.fault == nil {
				d.say("nothing is broken")
				return nil
			}
			return d.heal(ctx)
		case "failback":
			_, err := d.failback(ctx)
			return err
		case "switchover":
			return d.switchover(ctx)
		case "restore":
			return d.restore(ctx)
		}
	}
	text, err := d.stage.Command(ctx, words...)
	fmt.Fprint(d.out, text)
	return err
}

// mayStrike strikes where there is something to strike.
func (d *demo) mayStrike(ctx context.Context, f *fault) error {
	if d.fault != nil {
		d.say("%s was struck already: heal first", stage.West)
		return nil
	}
	if why := d.stage.CanIsolate(); why != nil && f == &isolate {
		return why
	}
	left, err := d.left(ctx, func(v stage.GroupView) string { return v.Home() })
	if err != nil {
		return err
	}
	if len(left) > 0 {
		d.say("not everything is home, so there is less to see: failback first (%s)", strings.Join(left, "; "))
		return nil
	}
	return d.strike(ctx, f)
}
