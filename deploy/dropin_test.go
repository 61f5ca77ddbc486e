package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dropIn = "systemd/postgresql@.service.d/switchback.conf"

// TestDropIn looks at what a server's unit gets: the gate before every start, our stop first and the unit's own after it, and no signal that is followed by SIGCONT.
func TestDropIn(t *testing.T) {
	t.Parallel()
	settings := map[string][]string{}
	section := ""
	for line := range strings.Lines(read(t, dropIn)) {
		line = strings.TrimSpace(line)
		name, value, is := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = line
		case is:
			settings[section+name] = append(settings[section+name], value)
		default:
			t.Errorf("%q is neither a section, a setting nor a remark", line)
		}
	}
	for name, want := range map[string][]string{
		"[Unit]Wants":           {"switchback-guard.service"},
		"[Unit]After":           {"switchback-guard.service"},
		"[Service]ExecStartPre": {"+/usr/bin/switchback guard gate --config /etc/switchback/agent.yaml --unit %n"},
		"[Service]ExecStop":     {"", "+/usr/bin/switchback guard stop --config /etc/switchback/agent.yaml --unit %n", "-/usr/bin/pg_ctlcluster --skip-systemctl-redirect -m fast %i stop"},
		"[Service]KillSignal":   {"SIGKILL"},
	} {
		if !slices.Equal(settings[name], want) {
			t.Errorf("%s is %q: want %q", name, settings[name], want)
		}
		delete(settings, name)
	}
	for name := range settings {
		t.Errorf("%s: a setting that this test does not know: say here why it is safe", name)
	}
}

// TestDropInVerifies lets systemd read it as part of Debian's own unit, or of one like it.
func TestDropInVerifies(t *testing.T) {
	t.Parallel()
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed, so systemd has not read the drop-in")
	}
	dir := t.TempDir()
	unit, err := os.ReadFile("/lib/systemd/system/postgresql@.service")
	if err != nil {
		unit = []byte("[Service]\nType=forking\nExecStart=-/bin/true start\nExecStop=/bin/true stop\n")
	}
	programs := regexp.MustCompile(`/usr/bin/(switchback|pg_ctlcluster)`)
	for path, text := range map[string]string{
		"postgresql@.service":                   string(unit),
		"postgresql@.service.d/switchback.conf": read(t, dropIn),
		"switchback-guard.service":              read(t, "systemd/switchback-guard.service"),
		"postgresql.service":                    "[Service]\nType=oneshot\nExecStart=/bin/true\nRemainAfterExit=on\n",
	} {
		to := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(programs.ReplaceAllString(text, "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), verify, "verify", "--man=no", filepath.Join(dir, "postgresql@15-main.service"))
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "switchback") {
			t.Error(strings.TrimSpace(line)) // a word it does not know is only a warning
		}
	}
}
