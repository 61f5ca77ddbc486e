package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// parsers is every kind of file, by the word the transcripts use.
var parsers = map[string]func(file string, data []byte) (any, error){
	"fleet":      func(f string, d []byte) (any, error) { return ParseFleet(f, d) },
	"controller": func(f string, d []byte) (any, error) { return ParseController(f, d) },
	"hub":        func(f string, d []byte) (any, error) { return ParseHub(f, d) },
	"agent":      func(f string, d []byte) (any, error) { return ParseAgent(f, d) },
	"tokens":     func(f string, d []byte) (any, error) { return ParseTokens(f, d) },
}

// TestFiles runs the transcripts in testdata: a file, and what becomes of it. `-rewrite` records them anew.
func TestFiles(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/files", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			parse := parsers[d.Cmd]
			if parse == nil {
				d.Fatalf(t, "want fleet, controller, hub, agent or tokens")
			}
			got, err := parse("x.yaml", []byte(d.Input))
			if err != nil {
				return err.Error() + "\n"
			}
			b, err := json.MarshalIndent(got, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			return string(b) + "\n"
		})
	})
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	_, err := LoadFleet(filepath.Join(t.TempDir(), "no.yaml"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want an error that says that the file does not exist", err)
	}
}

// TestSecretsAreNotPrinted puts a secret wherever somebody might paste one.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for _, c := range []struct{ kind, text string }{
		{"agent", "region: a\nname: b\nhub: [nats://me:hunter2@h:4222]\nclusters: {}\n"},
		{"agent", "region: a\nname: b\nhub: ['nats://me:hunter2@h:4222%zz']\nclusters: {}\n"},
		{"agent", "region: a\nname: b\nhub: nats://me:hunter2@h:4222\nclusters: {}\n"},
		{"agent", "region: a\nname: b\nhub: [nats://h]\nidentity: {key: hunter2}\nclusters: {}\n"},
		{"agent", "region: a\nname: b\nhub: [nats://h]\nidentity: hunter2\nclusters: {}\n"},
		{"agent", "region: a\nname: b\nhub: [nats://h]\nclusters: {c: {postgres: {unit: x, dsn_file: 'password=hunter2'}}}\n"},
		{"agent", "region: a\nname: b\nhub: [nats://h]\nclusters: {c: {postgres: {unit: x, password: hunter2}}}\n"},
		{"agent", "region: a\nname: b\nhub: [nats://h]\nclusters: {c: {postgres: 'password=hunter2'}}\n"},
		{"fleet", "groups: {}\nnotifiers: {p: {webhook: {url_file: 'https://h/hunter2'}}}\n"},
		{"fleet", "groups: {}\nnotifiers: {p: {webhook: 'https://h/hunter2'}}\n"},
	} {
		_, err := parsers[c.kind]("x.yaml", []byte(c.text))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s\ngot %v\nwant an error without the secret", c.text, err)
		}
	}
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := SecretFile(path).Read(); got != "s3cret" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := SecretFile(path).Read(); err == nil {
		t.Errorf("an empty secret was read as %q", got)
	}
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"db17": "db17", "DB17.example.com": "db17", "_my_host": "my-host", "---": "", "": "",
		strings.Repeat("x", 80): strings.Repeat("x", 63),
	} {
		if got := sanitize(host); got != want {
			t.Errorf("sanitize(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1B": 1, "16MiB": 16 << 20, "200MB": 200e6, "1.5GiB": 3 << 29, "4 kB": 4000, "1TB": 1e12,
		"": -1, "16": -1, "MiB": -1, "0B": -1, "0.5B": -1, "-1MB": -1, "NaNB": -1, "InfB": -1, "1e30B": -1, "16mib": -1, "16 M": -1,
	} {
		got, err := ParseSize(text)
		if (want == -1) != (err != nil) || err == nil && got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"observe", "manual", "auto"}
	for got, want := range map[string]string{"atuo": "auto", "Auto": "auto", "manul": "manual", "observed": "observe", "x": "", "drill": "", "": ""} {
		if n := nearest(got, words); n != want {
			t.Errorf("nearest(%q) = %q, want %q", got, n, want)
		}
	}
}

// TestLargeFleet reads a fleet of the size it is built for; anything quadratic would not end.
func TestLargeFleet(t *testing.T) {
	t.Parallel()
	const n = 100_000
	var b strings.Builder
	b.WriteString("groups:\n")
	for i := range n {
		fmt.Fprintf(&b, "  g%d: {kind: postgres, primary: a/g%d, recovery: [b/g%d]", i, i, i)
		if i > 0 {
			fmt.Fprintf(&b, ", depends_on: [g%d]", i-1)
		}
		b.WriteString("}\n")
	}
	f, err := ParseFleet("x.yaml", []byte(b.String()))
	if err != nil || len(f.Groups) != n {
		t.Fatalf("want %d groups, got %v", n, err)
	}
}
