// Command matrix plays the fault matrix of package test/matrix on the binary it is given, prints the table as it goes and fails if a limit was broken.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/switchback-dr/switchback/test/matrix"
	"github.com/switchback-dr/switchback/test/stage"
)

func main() {
	stage.Enter()
	var (
		binary = flag.String("binary", "bin/switchback", "the program to play on")
		cells  = flag.String("cells", "", `regular expression of the cells to play, each called "fault / plane"; empty = all`)
		short  = flag.Bool("short", false, "only the faults that every `make test` plays")
		list   = flag.Bool("list", false, "say which cells there are, and why some are left out; play none")
		file   = flag.String("json", "", "file to write the results to")
	)
	flag.Parse()
	ok, err := run(*binary, *cells, *file, *short, *list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(binary, cells, file string, short, list bool) (ok bool, err error) {
	o := matrix.Options{Faults: matrix.Faults(), Say: func(line string) { fmt.Println(line) }}
	if short {
		o.Faults, o.Only = matrix.Short()
	}
	if cells != "" {
		if o.Only, err = regexp.Compile(cells); err != nil {
			return false, fmt.Errorf("-cells: %w", err)
		}
	}
	if list {
		say(o)
		return true, nil
	}
	if o.Binary, err = filepath.Abs(binary); err == nil {
		_, err = os.Stat(o.Binary)
	}
	if err != nil {
		return false, fmt.Errorf("the program to play on: %w (make build)", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r := matrix.Run(ctx, o)
	fmt.Println(r.Closing())
	if file != "" {
		f, err := os.Create(file)
		if err == nil {
			err = r.Write(f)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return false, fmt.Errorf("write the results: %w", err)
		}
	}
	return r.Failed() == 0 && len(r.Results) > 0 && ctx.Err() == nil, nil
}

func say(o matrix.Options) {
	plays, skipped := matrix.Plan(o.Faults, o.Only)
	for _, p := range plays {
		for _, x := range p.Planes {
			fmt.Printf("%s / %s\n", p.Name, x.Name)
		}
	}
	for _, s := range skipped {
		fmt.Printf("left out: %s / %s: %s\n", s.Fault, s.Plane, s.Why)
	}
}
