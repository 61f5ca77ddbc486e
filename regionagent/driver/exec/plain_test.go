package exec

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// This test's own program is also what it cares for: a plain server on a Unix socket that writes a line for each request while it is active, and the commands
// that drive it. None of the two knows anything of the driver but the protocol and the standby file.

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "plain-server" {
		if err := plainServer(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 4 && os.Args[1] == "plain-command" {
		os.Exit(plainCommand(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// plainServer answers write, state, promote and quit, one a connection.
func plainServer(dir string) error {
	var active atomic.Bool
	_, err := os.Stat(filepath.Join(dir, standbyFile))
	active.Store(errors.Is(err, os.ErrNotExist))
	socket := filepath.Join(dir, "socket")
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			line, _ := bufio.NewReader(c).ReadString('\n')
			switch word := strings.TrimSpace(line); {
			case word == "quit":
				_ = os.Remove(filepath.Join(dir, "pid"))
				os.Exit(0)
			case word == "promote":
				active.Store(true)
				fmt.Fprintln(c, "ok")
			case word == "state" && active.Load():
				fmt.Fprintln(c, "active")
			case word == "state":
				fmt.Fprintln(c, "standby")
			case word == "write" && active.Load():
				fmt.Fprintln(c, "ok")
			default:
				fmt.Fprintln(c, "no")
			}
		}()
	}
}

func plainAsk(dir, word string) (string, error) {
	c, err := net.DialTimeout("unix", filepath.Join(dir, "socket"), time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, word); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}

func plainLaunch(dir string) error {
	cmd := osexec.Command("/proc/self/exe", "plain-server", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // whoever starts it in the test reaps it; a command is gone before
	for range 500 {
		if _, err := plainAsk(dir, "state"); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the server does not answer")
}

// plainCommand is every command of the protocol.
func plainCommand(verb, dir string) int {
	in, err := io.ReadAll(os.Stdin)
	var o Order
	if err = errors.Join(err, json.Unmarshal(in, &o)); err != nil || o.Version != Version || o.Verb != verb {
		fmt.Fprintln(os.Stderr, "order:", string(in), err)
		return exitRefused
	}
	state, err := plainAsk(dir, "state")
	up := err == nil
	switch {
	case verb == Probe && !up && errors.Is(err, os.ErrDeadlineExceeded):
		return exitRetry
	case verb == Probe && !up:
		fmt.Println(`{"state":"down"}`)
		return exitDone
	case verb == Probe:
		fmt.Printf(`{"state":%q,"serves":true,"ready":true}`, state)
		return exitDone
	case verb == "stop", verb == "restore" && up:
		_, _ = plainAsk(dir, "quit") // it ends instead of an answer
		up = false
	}
	switch {
	case verb != "stop" && !up:
		err = plainLaunch(dir)
	case verb == "promote", verb == "start":
		_, err = plainAsk(dir, "promote")
	default:
		err = nil
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitRetry
	}
	fmt.Println(`{"outcome":"done"}`)
	return exitDone
}

// plainDir is a short place for a socket, gone when the test ends with all that runs in it.
func plainDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sbx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(filepath.Join(dir, "pid")); err == nil {
			if pid, err := strconv.Atoi(string(b)); err == nil && pid > 1 {
				if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(line), dir) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

// plainCommands are the commands of the server in dir, by this test's own program.
func plainCommands(t *testing.T, dir string) map[string][]string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, name := range append(append([]string{}, Needed...), "restore") {
		all[name] = []string{exe, "plain-command", name, dir}
	}
	return all
}
