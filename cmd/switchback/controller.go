package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller"
	"github.com/switchback-dr/switchback/pkg/config"
)

func (a *app) controllerCommand() *cobra.Command {
	return daemon(a, "controller", "One controller, with a hub server inside if its file says so", "/etc/switchback/controller.yaml", config.LoadController, controller.Run)
}
