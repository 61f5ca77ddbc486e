package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/document"
)

// forms are those in which a document is written.
var forms = []string{"markdown", "html"}

// formFlag adds --format to a verb whose answer is a document, too.
func formFlag(cmd *cobra.Command, form *string) {
	cmd.Flags().StringVar(form, "format", "", "write a document instead: markdown, or html (one printable page)")
	complete(cmd, "format", forms)
}

// checkForm says what is wrong with --format.
func (a *app) checkForm(form string) error {
	switch {
	case form == "":
		return nil
	case !slices.Contains(forms, form):
		return usage("--format %q: want markdown or html", form)
	case a.output != "table":
		return usage("--format %s and --output %s: want one of them", form, a.output)
	}
	return nil
}

// write prints a document.
func (a *app) write(d *document.Document, form string) error {
	if form == "html" {
		return d.HTML(a.out)
	}
	return d.Markdown(a.out)
}
