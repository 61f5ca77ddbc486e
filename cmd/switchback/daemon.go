package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// daemon is a verb that runs until it is told to stop: it reads one file, whole or not at all, and logs to standard error.
func daemon[T any](a *app, name, short, file string, load func(string) (*T, error), run func(context.Context, *T, *slog.Logger) error) *cobra.Command {
	var path, level string
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := telemetry.ParseLevel(level)
			if err != nil {
				return usage("--log-level: %w", err)
			}
			c, err := load(path)
			if problems, ok := errors.AsType[config.Problems](err); ok {
				return usage("%s is not as it should be:\n%w", path, problems)
			} else if err != nil {
				return err
			}
			log := telemetry.NewLogger(a.err, l)
			b := telemetry.Build()
			log.Info("starts", "process", name, "config", path, "version", b.Version, "revision", b.Revision)
			if err := run(cmd.Context(), c, log); err != nil && !(errors.Is(err, context.Canceled) && cmd.Context().Err() != nil) {
				return fmt.Errorf("run with %s: %w", path, err)
			}
			log.Info("stopped", "process", name)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", file, "its file")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	complete(cmd, "log-level", []string{"debug", "info", "warn", "error"})
	return cmd
}
