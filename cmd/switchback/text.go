package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// show prints an answer: as JSON or YAML just as it came, else by table.
func (a *app) show(raw json.RawMessage, table func(p *page)) error {
	var err error
	switch a.output {
	case "json":
		var b bytes.Buffer
		if err = json.Indent(&b, raw, "", "  "); err == nil {
			_, err = fmt.Fprintln(a.out, b.String())
		}
	case "yaml":
		var n yaml.Node // JSON is YAML; only its style has to change
		if err = yaml.Unmarshal(raw, &n); err == nil {
			block(&n)
			enc := yaml.NewEncoder(a.out)
			enc.SetIndent(2)
			err = enc.Encode(&n)
		}
	default:
		table(a.page())
	}
	return err
}

// showValue is show for what did not come as JSON.
func (a *app) showValue(v any, table func(p *page)) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.show(raw, table)
}

func block(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		block(c)
	}
}

// page is what the printers of tables need.
type page struct {
	w     io.Writer
	color bool
	now   time.Time
}

func (a *app) page() *page { return &page{a.out, a.terminal, a.now()} }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// table prints rows under heads, every column as wide as it must be; a head that begins with > is aligned right.
func (p *page) table(heads []string, rows [][]string) {
	width, names := make([]int, len(heads)), make([]string, len(heads))
	for i, h := range heads {
		names[i] = strings.TrimPrefix(h, ">")
		width[i] = utf8.RuneCountInString(names[i])
		for _, r := range rows {
			width[i] = max(width[i], utf8.RuneCountInString(r[i]))
		}
	}
	row := func(cells []string) {
		var b strings.Builder
		for i, c := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(c))
			gap := "  "
			if i == 0 {
				gap = ""
			}
			if strings.HasPrefix(heads[i], ">") {
				b.WriteString(gap + pad + p.paint(c))
			} else {
				b.WriteString(gap + p.paint(c) + pad)
			}
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
	row(names)
	for _, r := range rows {
		row(r)
	}
}

// colours of words that mean something.
var colours = map[string]string{
	"out": "31", "failed": "31", "NO": "31", "REFUSED": "31", "FAILED": "31", "FAIL": "31", "not-ready": "31", "stale": "33", "fail": "31", "suspect": "33", "degraded": "33", "DISARMED": "33", "warn": "33", "ABORTED": "33",
	"REBUILDING": "33", "RELEASED": "33",
	"healthy": "32", "active": "32", "SERVING": "32", "RESTORED": "32", "PROTECTED": "32", "DONE": "32", "ok": "32",
}

func (p *page) paint(word string) string {
	if c := colours[word]; p.color && c != "" {
		return "\x1b[" + c + "m" + word + "\x1b[0m"
	}
	return word
}
