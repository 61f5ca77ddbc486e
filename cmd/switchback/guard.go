package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent"
)

func (a *app) guardCommand() *cobra.Command {
	return daemon(a, "guard", "The guard of this host: fences what the agent does not speak for in time", "/etc/switchback/agent.yaml", config.LoadAgent, regionagent.RunGuard)
}
