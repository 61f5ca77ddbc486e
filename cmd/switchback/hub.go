package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/site"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

func (a *app) hubCommand() *cobra.Command {
	return daemon(a, "hub", "One NATS server of the hub", "/etc/switchback/hub.yaml", config.LoadHub, runHub)
}

// runHub runs one hub server until ctx ends. It is healthy once it can store.
func runHub(ctx context.Context, c *config.Hub, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	h, err := site.StartHub(c, log)
	if err != nil {
		return err
	}
	defer h.Shutdown()
	log.Info("accepts connections", telemetry.KeyRegion, c.Region, "url", h.URL())
	if c.Metrics == "" {
		<-ctx.Done()
		return nil
	}
	reg, _, err := telemetry.NewRegistry(c.Region)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.Metrics)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	return telemetry.Serve(ctx, l, telemetry.Mux(reg, h.Ready), log)
}
