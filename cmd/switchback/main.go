// Command switchback is all of Switchback: hub, controller, agent and guard, and the verbs by which people look, move and steer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/client"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// The exit codes (5-surfaces, CLI).
const (
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what does not stop for the first
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv, now: time.Now, terminal: telemetry.Terminal(os.Stdout), asks: telemetry.Terminal(os.Stdin)}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// app is one run of the program: where it reads and writes, and its global flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	now      func() time.Time
	terminal bool // out is one: colours and a progress line
	asks     bool // in is one: somebody can answer a question

	hub     []string
	api     []string
	token   string // the file
	actor   string
	output  string
	timeout time.Duration
	yes     bool
	running bool // a verb has begun: what fails from here on is no mistake of usage
}

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error { return &failure{exitUsage, fmt.Errorf(format, args...)} }

// errSilent has been said already.
var errSilent = errors.New("")

// run runs one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	code := a.code(err)
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(a.err, "%s: %s\n", cmd.CommandPath(), words.Plain(err.Error()))
	}
	if code == exitUsage {
		fmt.Fprintf(a.err, "see: %s --help\n", cmd.CommandPath())
	}
	return code
}

func (a *app) code(err error) int {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	switch {
	case !a.running, errors.Is(err, client.ErrNoReason):
		return exitUsage
	case errors.Is(err, client.ErrNoController), errors.Is(err, bus.ErrUnavailable), errors.Is(err, bus.ErrUnknown):
		return exitUnreachable
	}
	return exitFailed
}
