package regionagent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHostCheckFindsTheGateInUnits(t *testing.T) {
	t.Parallel()
	dropIn, err := os.ReadFile("../deploy/systemd/postgresql@.service.d/switchback.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("postgresql@.service.d/switchback.conf", string(dropIn))
	put("plain@.service", "[Service]\nExecStart=/bin/true\n")
	put("half@15-main.service.d/own.conf", "[Service]\nExecStartPre=+/usr/bin/switchback guard gate --unit %n\n#KillSignal=SIGKILL\n")
	for unit, want := range map[string]string{
		"postgresql@15-main": "ok", "postgresql@15-main.service": "ok", "plain@15-main": "fail", "half@15-main": "fail", "": "warn",
	} {
		var h hostFacts
		h.gate("orders-a", unit, []string{filepath.Join(dir, "nothing"), dir}, "KillSignal=SIGKILL")
		if len(h) != 1 || h[0].Result != want {
			t.Errorf("%q: %+v, want %s", unit, h, want)
		}
	}
}

func TestHostCheckNamesTheClock(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{"kvm-clock\n": "warn", "tsc\n": "ok", "xen\n": "warn"} {
		file := filepath.Join(t.TempDir(), "source")
		if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		var h hostFacts
		h.clock(file, "/nothing")
		h.clock("/nothing", "/nothing")
		if len(h) != 2 || h[0].Result != want || !strings.Contains(h[0].Text, strings.TrimSpace(source)) || h[1].Result != "warn" {
			t.Errorf("%q: %+v, want %s, then warn", source, h, want)
		}
	}
}

// TestHostCheck looks at a host with a server and without a guard.
func TestHostCheck(t *testing.T) {
	s := newHome(t, underCare)
	s.cfg.Profile = "safe"
	got := map[string]HostFact{}
	for _, f := range CheckHost(t.Context(), s.cfg, slog.New(slog.DiscardHandler)) {
		got[f.What] = f
	}
	for what, want := range map[string]string{"freezer of orders-a": "warn by signals", "guard": "fail none listens", "gate of orders-a": "warn it has no unit"} {
		if f := got[what]; !strings.HasPrefix(f.Result+" "+f.Text, want) {
			t.Errorf("%s: %+v, want %q", what, f, want)
		}
	}
	if f := got["freeze (S)"]; f.Text == "" || f.Result == "warn" {
		t.Errorf("%+v: want how long a freeze takes", f)
	}
	s.guardIt(lapsing(t))
	s.until("the guard is found", func() bool {
		var h hostFacts
		h.guard(s.cfg)
		return len(h) == 3 && h[0].Result == "ok"
	})
}
