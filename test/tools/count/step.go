package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// step runs a command and writes what `go test -json` would write of a package with one test, so that it is counted among the tests. The command's output is the
// test's; that it failed is its error.
func step(pkg string, command []string, w io.Writer) error {
	if len(command) == 0 {
		return fmt.Errorf("-as %s: want a command after --", pkg)
	}
	e := event{Action: "run", Package: pkg, Test: strings.Join(command, " ")}
	out := json.NewEncoder(w)
	if err := out.Encode(e); err != nil {
		return fmt.Errorf("begin %s: %w", e.Test, err)
	}
	began := time.Now()
	err := said(exec.Command(command[0], command[1:]...), func(line string) error {
		e.Action, e.Output = "output", line
		return out.Encode(e)
	})
	e.Action, e.Output, e.Elapsed = "pass", "", time.Since(began).Seconds()
	if err != nil {
		e.Action, e.Output = "output", err.Error()+"\n"
		_ = out.Encode(e) // the end below says the same, and is checked
		e.Action, e.Output = "fail", ""
	}
	whole := e
	whole.Test = ""
	for _, end := range []event{e, whole} {
		if err := out.Encode(end); err != nil {
			return fmt.Errorf("end %s: %w", e.Test, err)
		}
	}
	return err
}

// said runs a command and hands over each line of what it says.
func said(c *exec.Cmd, line func(string) error) error {
	r, w := io.Pipe()
	c.Stdout, c.Stderr = w, w
	if err := c.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	ended := make(chan error, 1)
	go func() {
		err := c.Wait()
		w.Close()
		ended <- err
	}()
	lines := bufio.NewReader(r)
	for {
		text, err := lines.ReadString('\n')
		if text != "" {
			if err := line(text); err != nil {
				r.CloseWithError(err) // whatever it says from now on is lost, and so is its success
				<-ended
				return fmt.Errorf("pass on its output: %w", err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("%s: %w", strings.Join(c.Args, " "), err)
	}
	return nil
}
