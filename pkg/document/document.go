// Package document is a text for people, written once and rendered as Markdown or as one printable page of HTML: reports and runbooks.
//
// It holds plain text only. Whatever comes from servers and people is escaped for the form it is rendered in, so no name or reason can add a heading, a link or
// a script.
package document

import (
	"html/template"
	"io"
	"strings"
)

// Document is a title, a line below it, and sections.
type Document struct {
	Title    string
	Subtitle string
	Sections []*Section
}

// Section is a heading with what stands below it, in this order: paragraphs, a table, a list, commands to be typed.
type Section struct {
	Heading  string
	Level    int // 2 or 3
	Text     []string
	Heads    []string // of the table; a head that begins with > is aligned right
	Rows     [][]string
	List     []string
	Commands []string
}

// Section begins a section of the first level, and returns it to be filled.
func (d *Document) Section(heading string) *Section { return d.begin(heading, 2) }

// Under begins a section below the last one of the first level.
func (d *Document) Under(heading string) *Section { return d.begin(heading, 3) }

func (d *Document) begin(heading string, level int) *Section {
	s := &Section{Heading: heading, Level: level}
	d.Sections = append(d.Sections, s)
	return s
}

// Say adds a paragraph; an empty one is none.
func (s *Section) Say(text string) *Section {
	if text != "" {
		s.Text = append(s.Text, text)
	}
	return s
}

// Row adds a row of the table.
func (s *Section) Row(cells ...string) { s.Rows = append(s.Rows, cells) }

// Type adds a command.
func (s *Section) Type(command string) { s.Commands = append(s.Commands, command) }

// Point adds an entry of the list.
func (s *Section) Point(text string) { s.List = append(s.List, text) }

// plain makes one line of text without control characters.
func plain(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)), " ")
}

// escape keeps Markdown from taking a character for a sign.
var escape = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`, "|", `\|`, "#", `\#`, "~", `\~`)

// span is a piece of a line: text, or code that stood between backticks.
type span struct {
	Text string
	Code bool
}

// spans takes a line apart at its pairs of backticks, as our sentences quote commands. In what others wrote they make code, too, and code is shown as it is.
func spans(s string) (all []span) {
	parts := strings.Split(plain(s), "`")
	if len(parts)%2 == 0 { // the last one has no partner
		n := len(parts) - 2
		parts = append(parts[:n:n], parts[n]+"`"+parts[n+1])
	}
	for i, p := range parts {
		if p != "" {
			all = append(all, span{p, i%2 == 1})
		}
	}
	return all
}

// md is text for Markdown. A dash or a plus is a sign only where a line begins; a bar ends a cell even within code.
func md(s string) string {
	var b strings.Builder
	for _, x := range spans(s) {
		switch {
		case x.Code:
			b.WriteString("`" + strings.ReplaceAll(x.Text, "|", `\|`) + "`")
		case b.Len() == 0 && (x.Text[0] == '-' || x.Text[0] == '+'):
			b.WriteString(`\` + escape.Replace(x.Text))
		default:
			b.WriteString(escape.Replace(x.Text))
		}
	}
	return b.String()
}

// Markdown writes the document as GitHub's Markdown.
func (d *Document) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# " + md(d.Title) + "\n")
	if d.Subtitle != "" {
		b.WriteString("\n" + md(d.Subtitle) + "\n")
	}
	for _, s := range d.Sections {
		s.markdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Section) markdown(b *strings.Builder) {
	b.WriteString("\n" + strings.Repeat("#", s.Level) + " " + md(s.Heading) + "\n")
	for _, t := range s.Text {
		b.WriteString("\n" + md(t) + "\n")
	}
	if len(s.Rows) > 0 {
		s.table(b)
	}
	if len(s.List) > 0 {
		b.WriteString("\n")
		for _, p := range s.List {
			b.WriteString("- " + md(p) + "\n")
		}
	}
	if len(s.Commands) > 0 {
		if len(s.List) > 0 {
			b.WriteString("\n<!-- -->\n") // else the block would belong to the last entry
		}
		b.WriteString("\n")
		for _, c := range s.Commands {
			b.WriteString("    " + plain(c) + "\n")
		}
	}
}

func (s *Section) table(b *strings.Builder) {
	row := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + md(c) + " ")
		}
		b.WriteString("|\n")
	}
	var heads, line []string
	for _, h := range s.Heads {
		heads = append(heads, strings.TrimPrefix(h, ">"))
		if strings.HasPrefix(h, ">") {
			line = append(line, "---:")
		} else {
			line = append(line, "---")
		}
	}
	b.WriteString("\n")
	row(heads)
	b.WriteString("|" + strings.Join(line, "|") + "|\n")
	for _, r := range s.Rows {
		row(r)
	}
}

// page is the whole of it: no script, nothing fetched, black on white when printed.
var page = template.Must(template.New("document").Funcs(template.FuncMap{
	"plain": plain,
	"spans": spans,
	"head":  func(h string) string { return strings.TrimPrefix(h, ">") },
	"right": func(heads []string, i int) bool { return i < len(heads) && strings.HasPrefix(heads[i], ">") },
}).Parse(`{{define "text"}}{{range spans .}}{{if .Code}}<code>{{.Text}}</code>{{else}}{{.Text}}{{end}}{{end}}{{end -}}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{plain .Title}}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --line: #d0d7de; --code: #f3f5f7; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --dim: #a0a8b2; --line: #3a424c; --code: #20262d; --paper: #14181d } }
@media print { :root { --ink: #000; --dim: #333; --line: #999; --code: #fff; --paper: #fff } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid var(--line) } h3 { font-size: 1rem; margin-bottom: .3rem }
.dim { color: var(--dim); margin-top: .2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: .7rem 0 } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th { color: var(--dim); font-weight: 600 } .right { text-align: right; font-variant-numeric: tabular-nums }
code { background: var(--code); padding: 0 .2rem; border-radius: 3px }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 4px; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere }
h2, h3 { break-after: avoid } tr, pre, li { break-inside: avoid }
</style>
</head>
<body>
<main>
<h1>{{plain .Title}}</h1>
{{- with .Subtitle}}
<p class="dim">{{plain .}}</p>
{{- end}}
{{- range $s := .Sections}}
{{if eq .Level 2}}<h2>{{plain .Heading}}</h2>{{else}}<h3>{{plain .Heading}}</h3>{{end}}
{{- range .Text}}
<p>{{template "text" .}}</p>
{{- end}}
{{- with .Rows}}
<div class="wide"><table>
<thead><tr>{{range $i, $h := $s.Heads}}<th scope="col"{{if right $s.Heads $i}} class="right"{{end}}>{{head $h}}</th>{{end}}</tr></thead>
<tbody>
{{- range .}}
<tr>{{range $i, $c := .}}<td{{if right $s.Heads $i}} class="right"{{end}}>{{template "text" $c}}</td>{{end}}</tr>
{{- end}}
</tbody>
</table></div>
{{- end}}
{{- with .List}}
<ul>
{{- range .}}
<li>{{template "text" .}}</li>
{{- end}}
</ul>
{{- end}}
{{- with .Commands}}
<pre>{{range $i, $c := .}}{{if $i}}
{{end}}{{plain $c}}{{end}}</pre>
{{- end}}
{{- end}}
</main>
</body>
</html>
`))

// HTML writes the document as one page that needs nothing else.
func (d *Document) HTML(w io.Writer) error { return page.Execute(w, d) }
