package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// count runs go's own tests of a small module, so that what is read is what go really writes.
func count(t *testing.T, files map[string]string) (out, last string, err error) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false")
	text, testErr := cmd.CombinedOutput() // it may fail: that is what is counted
	if len(text) == 0 {
		t.Fatalf("go test said nothing: %v", testErr)
	}
	var b bytes.Buffer
	file := filepath.Join(dir, "counts")
	err = run(bytes.NewReader(text), &b, file)
	saved, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatal(readErr)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if last = lines[len(lines)-1]; last+"\n" != string(saved) {
		t.Errorf("last line %q, saved %q", last, saved)
	}
	return b.String(), last, err
}

const head = "package p\n\nimport \"testing\"\n\n"

func TestCounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files map[string]string
		last  string
		fails bool
		says  []string
	}{
		{"passes", map[string]string{"p_test.go": head + "func TestA(t *testing.T) { t.Run(\"x\", func(*testing.T) {}) }"}, "2 passed, 0 failed, 0 skipped", false, []string{"ok   m"}},
		{
			"fails and skips", map[string]string{"p_test.go": head + "func TestA(t *testing.T) { t.Error(\"broken\") }\nfunc TestB(t *testing.T) { t.Skip(\"no disk\") }\nfunc TestC(t *testing.T) {}"},
			"1 passed, 1 failed, 1 skipped", true, []string{"broken", "SKIP m TestB: p_test.go:6: no disk", "!!! 1 skipped"},
		},
		{
			"does not build", map[string]string{"p_test.go": head + "func TestA(t *testing.T) { nothing() }", "q/q_test.go": head + "func TestA(t *testing.T) {}"},
			"1 passed, 1 failed, 0 skipped", true, []string{"undefined: nothing"},
		},
		{"panics", map[string]string{"p_test.go": head + "func TestA(t *testing.T) { panic(\"oh\") }\nfunc TestB(t *testing.T) {}"}, "0 passed, 1 failed, 0 skipped", true, []string{"panic: oh"}},
		{"exits", map[string]string{"p_test.go": "package p\n\nimport (\n\"os\"\n\"testing\"\n)\n\nfunc TestA(t *testing.T) { os.Exit(3) }"}, "0 passed, 1 failed, 0 skipped", true, []string{"TestA"}},
		{"has nothing", map[string]string{"p.go": "package p"}, "0 passed, 0 failed, 0 skipped", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, last, err := count(t, c.files)
			if last != c.last || (err != nil) != c.fails {
				t.Errorf("got %q and %v, want %q\n%s", last, err, c.last, out)
			}
			for _, s := range c.says {
				if !strings.Contains(out, s) {
					t.Errorf("want %q in\n%s", s, out)
				}
			}
		})
	}
}

// TestCutOff: the stream ends while a test runs, as when go itself is killed.
func TestCutOff(t *testing.T) {
	t.Parallel()
	in := "{\"Action\":\"run\",\"Package\":\"m\",\"Test\":\"TestA\"}\n{\"Action\":\"output\",\"Package\":\"m\",\"Test\":\"TestA\",\"Output\":\"half\\n\"}\n"
	var b bytes.Buffer
	if err := run(strings.NewReader(in), &b, ""); err == nil || !strings.Contains(b.String(), "half") {
		t.Errorf("got %v and\n%s", err, b.String())
	}
}
