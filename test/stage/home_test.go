package stage

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// killed is the environment variable that makes this test binary build a home, start a process in it and wait to be killed.
const killed = "SWITCHBACK_STAGE_KILLED"

// TestHelperKilled is the process that TestNothingIsLeft kills. Alone it does nothing.
func TestHelperKilled(t *testing.T) {
	if os.Getenv(killed) == "" {
		return
	}
	h, err := makeHome()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("/bin/sleep", "300")
	child.Dir = filepath.Join(h.dir, "region")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := os.Mkdir(child.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(killed) == "warden" {
		_ = h.warden.Process.Kill()
		_ = h.warden.Wait()
	}
	os.Stdout.WriteString("home " + h.dir + "\n")
	select {}
}

// TestNothingIsLeft kills the owner of a home by SIGKILL: its warden clears it. If the warden is killed first, the next stage does.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"owner", "warden"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestHelperKilled$")
		cmd.Env = append(os.Environ(), killed+"="+who)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := out.Read(b)
		dir := strings.TrimSpace(strings.TrimPrefix(string(b[:n]), "home "))
		if err != nil || !strings.Contains(dir, homePrefix) {
			t.Fatalf("%s: %q %v", who, b[:n], err)
		}
		if left, err := pids(dir); err != nil || len(left) != 1 {
			t.Fatalf("%s: processes %v in %s (%v): want one to clear", who, left, dir, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed, as it was told
		if who == "warden" {
			sweepLeftovers(filepath.Dir(dir))
		}
		wait(t, "the home of a killed "+who+" is cleared", func() bool {
			left, err := pids(dir)
			_, gone := os.Stat(dir)
			return err == nil && len(left) == 0 && os.IsNotExist(gone)
		})
	}
}
