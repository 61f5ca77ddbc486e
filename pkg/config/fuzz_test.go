package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFiles: whatever a file holds, reading it does not panic, and every problem names the file, a line and a column that it has.
func FuzzFiles(f *testing.F) {
	seeds, err := filepath.Glob("testdata/files/*")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		for _, text := range inputs(string(b)) {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte("a: &x [*x]"))
	f.Add([]byte("? [a]\n: b"))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for kind, parse := range parsers {
			_, err := parse("x.yaml", data)
			if err == nil {
				continue
			}
			var ps Problems
			if !errors.As(err, &ps) || len(ps) == 0 {
				t.Fatalf("%s: %v is not a list of problems", kind, err)
			}
			for i, p := range ps {
				if p.File != "x.yaml" || p.Line < 1 || p.Column < 1 || p.Text == "" {
					t.Errorf("%s: %#v names no place or says nothing", kind, p)
				}
				if i > 0 && ps[i-1].Line > p.Line {
					t.Errorf("%s: line %d after line %d", kind, p.Line, ps[i-1].Line)
				}
			}
		}
	})
}

// inputs are the files in a transcript.
func inputs(transcript string) (all []string) {
	for _, part := range strings.Split(transcript, "\n\n") {
		if _, rest, ok := strings.Cut(part, "\n"); ok {
			text, _, _ := strings.Cut(rest, "\n----\n")
			all = append(all, text)
		}
	}
	return all
}
