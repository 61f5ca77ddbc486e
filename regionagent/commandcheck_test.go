package regionagent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/pkg/config"
)

// TestHostCheckOfCommands: doctor says of a cluster of kind exec what of its programs, its directory and its probe does not hold.
func TestHostCheckOfCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := &config.Exec{Dir: dir, PIDFile: filepath.Join(dir, "pid"), Match: dir, Processes: 2, Commands: map[string][]string{
		"probe": {"/bin/sh", "-c", `echo '{"state":"standby","ready":true}'`}, "start": {"/bin/true"}, "start-standby": {"/bin/true"}, "promote": {"/bin/true"}, "stop": {"/bin/true"},
	}}
	a := &agent{cfg: &config.Agent{Region: "r1", State: dir}, log: slog.New(slog.DiscardHandler)}
	if err := a.addCluster(config.Cluster{Name: "shop-a", Exec: x}, nil); err != nil {
		t.Fatal(err)
	}
	check := func() string {
		var h hostFacts
		h.commands(t.Context(), a.clusters[0], "shop-a", x)
		var b strings.Builder
		for _, f := range h {
			b.WriteString(f.Result + " " + f.What + ": " + f.Text + "\n")
		}
		return b.String()
	}
	if got := check(); strings.Contains(got, "fail") || strings.Contains(got, "warn") || !strings.Contains(got, "ok probe of shop-a: it is standing by, ready to take over") {
		t.Errorf("nothing is wrong: %s", got)
	}
	plain := filepath.Join(dir, "stop")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x.Commands["stop"], x.Commands["promote"] = []string{plain}, []string{"/nobody/there"}
	x.Commands["probe"][2], x.Dir = `echo '{"state":"active","serves":true}'`, filepath.Join(dir, "gone")
	got := check()
	for _, want := range []string{"fail commands of shop-a: promote: /nobody/there is not there; stop: " + plain + " can't be run", "fail directory of shop-a", "fail probe of shop-a: tells nothing", "could not be fenced"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if os.Geteuid() != 0 {
		return // nobody else's will is of interest then
	}
	mine := filepath.Join(dir, "mine")
	if err := os.WriteFile(mine, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	if why := notToRun(mine, ""); !strings.Contains(why, "others may change") {
		t.Errorf("a program that anybody may change: %q", why)
	}
	if why := notToRun(mine, "nobody"); why != "" {
		t.Errorf("… and that is not run as root: %q", why)
	}
}
