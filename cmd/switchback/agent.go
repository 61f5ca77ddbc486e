package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent"
)

func (a *app) agentCommand() *cobra.Command {
	return daemon(a, "agent", "The agent of this host's clusters", "/etc/switchback/agent.yaml", config.LoadAgent, regionagent.Run)
}
