package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/regionagent"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow"
)

// holdCommand is what the agent begins as the parent of a workflow cluster's processes. It is nobody's to call.
func (a *app) holdCommand() *cobra.Command {
	return &cobra.Command{
		Use: regionagent.HoldVerb + " FILE", Short: "Hold the processes of a workflow cluster (begun by the agent)", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return airflow.Hold(args[0]) },
	}
}
