package matrix

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/switchback-dr/switchback/test/stage"
)

func TestMain(m *testing.M) {
	stage.Enter()
	os.Exit(m.Run())
}

// TestShort plays the most telling faults on real processes.
func TestShort(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "switchback")
	build := exec.Command("go", "build", "-o", binary, "../../cmd/switchback")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	faults, cells := Short()
	r := Run(t.Context(), Options{Binary: binary, Faults: faults, Only: cells, Say: func(line string) { t.Log(line) }})
	t.Log(r.Closing())
	if len(r.Results) == 0 {
		t.Error("nothing was played")
	}
	for _, b := range r.Broken {
		t.Error(b)
	}
	for _, x := range r.Results {
		for _, b := range x.Bad {
			t.Errorf("%s / %s: %s", x.Fault, x.Plane, b)
		}
	}
	for _, s := range r.Skipped {
		t.Logf("NOT PLAYED: %s / %s: %s", s.Fault, s.Plane, s.Why)
	}
}
