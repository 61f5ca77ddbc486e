package postgrestest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
)

// TestWardenOutlivesKilledMaker kills a process that made a server, frozen at that, and looks that nothing is left of it.
func TestWardenOutlivesKilledMaker(t *testing.T) {
	t.Parallel()
	const role = "SWITCHBACK_TEST_LAB_MAKER"
	if os.Getenv(role) != "" {
		s := Primary(t)
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		fmt.Println("made", s.Data)
		select {} // until killed
	}
	maker := exec.Command(os.Args[0], "-test.run", "^TestWardenOutlivesKilledMaker$")
	maker.Env = append(os.Environ(), role+"=1")
	out, err := maker.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := maker.Start(); err != nil {
		t.Fatal(err)
	}
	data := ""
	for lines := bufio.NewScanner(out); data == "" && lines.Scan(); {
		data, _ = strings.CutPrefix(lines.Text(), "made ")
		if data == lines.Text() {
			data = ""
		}
	}
	if pids, err := postgres.PIDs(data); data == "" || err != nil || len(pids) < 3 {
		t.Errorf("no server to leave behind: %q, %v, %v", data, pids, err)
	}
	if err := maker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = maker.Wait() // killed, as it says
	lab := filepath.Dir(filepath.Dir(data))
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		pids, err := postgres.PIDs(data)
		if _, gone := os.Stat(lab); err == nil && len(pids) == 0 && os.IsNotExist(gone) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v in %s (%v)", pids, lab, err)
		}
	}
}
