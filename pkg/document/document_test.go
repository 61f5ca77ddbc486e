package document_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/pkg/document"
)

var update = flag.Bool("update", false, "record the golden files anew")

func everything() *document.Document {
	d := &document.Document{Title: "orders-8 failover", Subtitle: "by automation"}
	s := d.Section("Times").Say("Serving again after 2.3 s.").Say("")
	s.Heads = []string{"phase", ">took"}
	s.Row("detect", "2.0 s")
	s.Row("promote", "0.3 s")
	u := d.Under("Next").Say("Then type `switchback why orders`, and ` alone is text.")
	u.Type("switchback failback orders")
	u.Type("switchback report orders")
	u.Point("its home is restored first")
	u.Point("then they are swapped")
	return d
}

func render(t *testing.T, f func(io.Writer) error) string {
	t.Helper()
	var b strings.Builder
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestForms(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*document.Document) func(io.Writer) error{
		"everything.md": func(d *document.Document) func(io.Writer) error { return d.Markdown }, "everything.html": func(d *document.Document) func(io.Writer) error { return d.HTML },
	} {
		got := render(t, f(everything()))
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// What people and servers write is text, wherever it stands.
func TestNothingBreaksOut(t *testing.T) {
	t.Parallel()
	evil := "a</pre></td><script>alert(1)</script>\n# heading\n| cell | [x](javascript:1) `<b>|code` *b* `\x1b[31m"
	d := &document.Document{Title: evil, Subtitle: evil}
	s := d.Section(evil).Say(evil)
	s.Heads = []string{"h"}
	s.Row(evil)
	s.Type(evil)
	s.Point(evil)
	html := render(t, d.HTML)
	if strings.Contains(html, "<script>") || strings.Contains(html, "<b>") || strings.Contains(html, "\x1b") || strings.Contains(html, "</pre></td>") {
		t.Errorf("something broke out of the HTML:\n%s", html)
	}
	text := render(t, d.Markdown)
	for _, bad := range []string{"\n# heading", "\x1b", "\n| cell"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q broke out of the Markdown:\n%s", bad, text)
		}
	}
	for line := range strings.Lines(strings.ReplaceAll(text, `\]`, "")) {
		for _, bad := range []string{"<script>", "](", " *"} {
			if !strings.HasPrefix(line, "    ") && strings.Contains(line, bad) {
				t.Errorf("Markdown would take %q for a sign: %s", bad, line)
			}
		}
	}
}
