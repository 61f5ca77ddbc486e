package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

func TestSim(t *testing.T) {
	t.Parallel()
	r := person{}.run(t.Context(), "sim", "--seeds", "2", "--seed", "11", "--as", "alice")
	r.want(t, 0, "2 seeds in", "0 broke an invariant", "rows were reached")
	person{}.run(t.Context(), "sim", "--seed", "11", "-v", "-o", "json", "--as", "alice").want(t, 0, `"seeds": 1`, `"broken": []`)
	person{}.run(t.Context(), "sim", "--seeds", "0", "--as", "alice").want(t, exitUsage, "want at least 1")
	person{}.run(t.Context(), "sim", "--seeds", "13..12", "--as", "alice").want(t, exitUsage, "want FROM..TO")
	person{}.run(t.Context(), "sim", "--seeds", "11..12", "--as", "alice").want(t, 0, "2 seeds in")
	person{}.run(t.Context(), "sim", "--for", "1ms", "--as", "alice").want(t, 0, " seeds in", "0 broke")
	s, err := simulate(t.Context(), 11, 11, nil)
	if err != nil || s.Steps == 0 || s.Rows["birth"] == 0 {
		t.Errorf("nothing was simulated: %+v, %v", s, err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A hub server runs from its file, says that it is healthy, takes asks, and stops with 0.
func TestHub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	client, metrics := freeAddress(t), freeAddress(t)
	file := filepath.Join(dir, "hub.yaml")
	text := fmt.Sprintf("region: eu-north-1\nname: n1\nstore: %s\nclient: %s\nmetrics: {listen: %s}\n", filepath.Join(dir, "store"), client, metrics)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan result, 1)
	go func() { done <- person{}.run(ctx, "hub", "-c", file, "--as", "alice") }()
	eventually(t, "the hub is healthy", func() bool {
		r, err := http.Get("http://" + metrics + "/healthz")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	person{}.run(t.Context(), "status", "--hub", "nats://"+client, "--as", "alice", "--timeout", "300ms").want(t, exitUnreachable, "no controller answers")
	cancel()
	r := <-done
	r.want(t, 0, "accepts connections", "stopped")
}

func TestBadDaemons(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(file, []byte("regoin: eu-west-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"hub", "controller", "agent", "guard"} {
		person{}.run(t.Context(), verb, "--config", file, "--as", "alice").want(t, exitUsage, "x.yaml:1:1: ", "region")
		person{}.run(t.Context(), verb, "-c", "/nowhere.yaml", "--as", "alice").want(t, exitFailed, "no such file")
		person{}.run(t.Context(), verb, "--log-level", "loud", "--as", "alice").want(t, exitUsage, `log level "loud"`)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	person{}.run(t.Context(), "doctor", "--hub", "nats://127.0.0.1:1", "--as", "alice").want(t, exitUnreachable, "fail  hub hub-1", "not checked from here")
	s := newSite(t)
	s.run("doctor", "--timeout", "500ms").want(t, exitFailed, "no controller has ever led", "fail  controller: no controller answers", "no fleet is configured yet")
	s.store(events.StreamState, events.SubjectTerm, events.Term{Holder: "eu-north-1/c1"})
	s.store(events.StreamConfig, events.SubjectFleet, events.FleetConfig{Profile: "fast", MaxOut: 1})
	healthy := darkStatus()
	healthy.Bus = map[string]bool{"eu-north-1": true}
	healthy.View.Regions = healthy.View.Regions[:1]
	s.query("status", func(map[string]any) any { return healthy })
	s.run("doctor").want(t, 0, "FAST", "ok    hub eu-north-1", "reads the record in", "SWITCHBACK_OPS: as it should be; keeps everything for 30 days", "eu-north-1/c1 leads", "fail 0")
	healthy.View.Blind = true
	s.run("doctor", "-o", "json").want(t, exitFailed, `"result": "fail"`, "it is blind")
}

// A stream that is not as it should be is named, with the difference, and left alone.
func TestDoctorStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := &diagnosis{}
	d.streams(t.Context(), s.bus, 3) // of one server, where three are expected
	for _, f := range d.Findings {
		if f.Result != "fail" || !strings.Contains(f.Text, "differs") {
			t.Errorf("%+v: want a difference of replicas", f)
		}
	}
	if len(d.Findings) != len(events.Streams()) {
		t.Errorf("%d findings", len(d.Findings))
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := filepath.Join(home, ".config", "switchback", "config.yaml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, env, flag string
		code            int
		says            string
		not             string
	}{
		{"", "", "", exitUsage, "where is the hub? want --hub URL", ""},
		{"hub: [nats://127.0.0.1:1, nats://127.0.0.1:2]", "", "", exitUnreachable, "nats://127.0.0.1:1, nats://127.0.0.1:2", ""},
		{"hub: {eu-west-1: nats://127.0.0.1:3}", "", "", exitUnreachable, "nats://127.0.0.1:3", ""},
		{"hub: nats://127.0.0.1:4", "eu-west-1=nats://127.0.0.1:5", "", exitUnreachable, "nats://127.0.0.1:5", "127.0.0.1:4"},
		{"hub: nats://127.0.0.1:4", "nats://127.0.0.1:5", "nats://127.0.0.1:6,eu-west-1=nats://127.0.0.1:7", exitUnreachable, "127.0.0.1:6, nats://127.0.0.1:7", "127.0.0.1:5"},
		{"hubs: [nats://127.0.0.1:1]", "", "", exitUsage, "field hubs not found", ""},
		{"", "", "nats://bob:secret@127.0.0.1:1", exitUsage, "--hub: number 1 is not a hub server: want nats://host:port", "secret"},
		{"", "http://127.0.0.1:1", "", exitUsage, "SWITCHBACK_HUB: number 1", ""},
		{"", "", "EU=nats://127.0.0.1:1", exitUsage, `region "EU"`, ""},
		{"", "", "a=nats://127.0.0.1:1,a=nats://127.0.0.1:2", exitFailed, "listed twice", ""},
		{"hub: tls://127.0.0.1:1\nidentity: {cert: /nowhere.crt, cert_key: /nowhere.key, ca: /nowhere.ca}", "", "", exitFailed, "nowhere", ""},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.text == "" {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"status", "--as", "alice", "--timeout", "500ms"}
		if c.flag != "" {
			args = append(args, "--hub", c.flag)
		}
		r := person{env: map[string]string{"HOME": home, "SWITCHBACK_HUB": c.env}}.run(t.Context(), args...)
		r.want(t, c.code, c.says)
		if c.not != "" && strings.Contains(r.out+r.err, c.not) {
			t.Errorf("%+v: said %q", c, c.not)
		}
	}
}

func TestOSUser(t *testing.T) {
	t.Parallel()
	if u := osUser(); events.CheckName("actor", u) != nil {
		t.Errorf("%q is no name", u)
	}
}

// quoted is a command line as sentences, examples and documents show it: in backquotes, or after a prompt.
var quoted = regexp.MustCompile("`switchback ([a-z][^`]*)`|(?m:^ *\\$ (?:sudo )?switchback ([a-z].*?)(?: +#.*)?$)|ExecStart=/usr/bin/switchback ([a-z].*)")

// Whatever command line is shown to people is one that this program takes.
func TestShownCommandsExist(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for _, pattern := range []string{"README.md", "deploy/systemd/*.service", "cmd/switchback/*.go", "controller/*.go", "controller/*/*.go", "regionagent/*.go", "regionagent/*/*.go"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, p := range paths {
			if strings.HasSuffix(p, "_test.go") {
				continue
			}
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			texts[p] = string(b)
		}
	}
	for _, r := range decide.Rows() {
		texts["row "+r.ID] = r.Why
	}
	_, permits := gate.Rows()
	for _, r := range permits {
		texts["row "+r.ID] = r.Why
	}
	seen := 0
	for place, text := range texts {
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			line := m[1] + m[2] + m[3]
			seen++
			if err := takes(line); err != nil {
				t.Errorf("%s shows `switchback %s`: %v", place, line, err)
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d command lines were found: is the pattern right?", seen)
	}
}

// takes says why a command line is none of ours; its words may be placeholders.
func takes(line string) error {
	line = strings.NewReplacer("{group}", "orders", "{region}", "eu-west-1", "\\\"", "\"").Replace(line)
	if before, _, found := strings.Cut(line, "\" +"); found { // goes on in code
		line = before
	}
	var args []string
	for _, m := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
		args = append(args, strings.Trim(m, `"`))
	}
	root := (&app{}).root()
	root.SetArgs(args)
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd == root {
		return fmt.Errorf("no verb %q", args[0])
	}
	if len(rest) == 0 {
		return nil // the verb alone, as in a sentence
	}
	if len(rest) == 1 && !strings.HasPrefix(rest[0], "-") && cmd.HasSubCommands() {
		return fmt.Errorf("no verb %q", rest[0])
	}
	for i, r := range rest {
		if r == "--reason" && i == len(rest)-1 {
			rest = append(rest, "why")
		}
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	return nil
}
