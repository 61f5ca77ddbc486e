package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// complaintKept is how much of what a child says on its error output is kept, in bytes: the end of it, where the reason is.
const complaintKept = 8 << 10

// child runs one of PostgreSQL's programs that may take hours and hands over each line it prints, on either output. It dies with us: what it writes to
// the data directory must not go on beside the next agent's work. The error has the end of its error output.
func (d *Driver) child(ctx context.Context, out, complaint func(line string), name string, args ...string) error {
	path := filepath.Join(d.cfg.Bin, name)
	cmd := d.program(ctx, os.Geteuid() == 0, path, args...)
	cmd.Env = append(cmd.Env, "TZ=UTC") // pg_waldump's commit times
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var tail bytes.Buffer
	o, closeOut := lines(out)
	e, closeComplaint := lines(func(line string) {
		tail.WriteString(line + "\n")
		if extra := tail.Len() - complaintKept; extra > 0 {
			tail.Next(extra)
		}
		complaint(line)
	})
	cmd.Stdout, cmd.Stderr = o, e
	done := make(chan error, 1)
	go func() { // the signal comes when the thread ends that began the child, not the process
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- cmd.Run()
	}()
	err := <-done // Run obeys ctx
	closeOut()
	closeComplaint()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil { // killed, and its own child does not know yet
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), ProbeLimit)
		defer cancel()
		if left := d.endLeftovers(short); left != nil {
			d.log.Warn("a killed child left something at work", "err", left)
		}
	}
	return failed(ctx, path, err, tail.String())
}

// lineKept is how much of a line is handed over, in bytes: pg_waldump prints the whole of a logical message on one.
const lineKept = 4 << 10

// lines hands over what is written to w line by line; end waits for the last of them.
func lines(each func(string)) (w io.Writer, end func()) {
	r, pw := io.Pipe()
	var over sync.WaitGroup
	over.Go(func() {
		b := bufio.NewReaderSize(r, lineKept)
		for inside := false; ; {
			part, err := b.ReadSlice('\n')
			if text := strings.TrimRight(string(part), "\r\n"); text != "" && !inside {
				each(text)
			}
			if inside = errors.Is(err, bufio.ErrBufferFull); err != nil && !inside {
				return
			}
		}
	})
	return pw, func() { pw.Close(); over.Wait() }
}

// endLeftovers kills what an earlier agent's restore may have left at work on this data: a child of a killed agent dies a moment after it, and
// pg_basebackup's own child a moment after that.
func (d *Driver) endLeftovers(ctx context.Context) error {
	found, err := d.leftovers()
	for _, pid := range found {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is what we want
	}
	if err != nil || len(found) == 0 {
		return err
	}
	d.log.Warn("killed what an earlier restore left at work", "pids", fmt.Sprint(found))
	return poll(ctx, fast, func() (bool, error) {
		found, err := d.leftovers()
		return len(found) == 0, err
	})
}

func (d *Driver) leftovers() ([]int, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, base := range names {
		exe, err := os.Readlink(base + "/exe")
		if name := filepath.Base(exe); err != nil || name != "pg_rewind" && name != "pg_basebackup" {
			continue
		}
		b, _ := os.ReadFile(base + "/cmdline") // gone meanwhile: no argument is ours
		args := strings.Split(string(b), "\x00")
		for i, a := range args[:len(args)-1] {
			if next := args[i+1]; a == "-D" && (next == d.cfg.Data || next == d.beside(newDir)) {
				pid, _ := strconv.Atoi(filepath.Base(base))
				found = append(found, pid)
			}
		}
	}
	return found, nil
}
