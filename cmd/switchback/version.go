package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/telemetry"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "What this program was built from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := telemetry.Build()
			return a.showValue(map[string]string{"version": b.Version, "revision": b.Revision, "go": b.Go}, func(p *page) {
				p.line("switchback %s %s %s", b.Version, b.Revision, b.Go)
			})
		},
	}
}
