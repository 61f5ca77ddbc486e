package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/config"
)

func (a *app) applyCommand() *cobra.Command {
	var file string
	var dry bool
	cmd := &cobra.Command{
		Use: "apply -f FLEET.YAML", Short: "Make the fleet's configuration what the file says", Args: cobra.NoArgs,
		Long: `Reads and checks the whole file, compares it with what is configured, and writes what differs. A group that the file does not name is removed: its databases
run on, and nothing moves or fences them any more. If somebody else changes the configuration meanwhile nothing is written.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withChanges(cmd, file, func(ctx context.Context, b bus.Bus, cs *changes) error {
				if !dry {
					if err := a.sureOfRemovals(cs); err != nil {
						return err
					}
					if err := cs.write(ctx, b); err != nil {
						return err
					}
				}
				return a.showValue(cs, func(p *page) { p.changes(cs, dry) })
			})
		},
	}
	fileFlag(cmd, &file)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would change, and write nothing")
	return cmd
}

func (a *app) diffCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "diff -f FLEET.YAML", Short: "What apply would change", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withChanges(cmd, file, func(_ context.Context, _ bus.Bus, cs *changes) error {
				return a.showValue(cs, func(p *page) { p.changes(cs, true) })
			})
		},
	}
	fileFlag(cmd, &file)
	return cmd
}

func fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "the fleet's file")
}

// withChanges reads the file before it reaches for the hub: what is wrong in it needs nobody else.
func (a *app) withChanges(cmd *cobra.Command, file string, f func(context.Context, bus.Bus, *changes) error) error {
	if file == "" {
		return usage("which file? want -f FLEET.YAML")
	}
	want, err := config.LoadFleet(file)
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return &failure{exitUsage, fmt.Errorf("%s can't be applied, nothing was written:\n%w", file, problems)}
	} else if errors.Is(err, os.ErrNotExist) {
		return usage("%w", err)
	} else if err != nil {
		return err
	}
	b, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	cs, err := readChanges(ctx, b, want)
	if err != nil {
		return err
	}
	return f(ctx, b, cs)
}

// sureOfRemovals asks before groups lose their care: a wrong or cut-off file looks just like it.
func (a *app) sureOfRemovals(cs *changes) error {
	var gone []string
	for _, g := range cs.Groups {
		if g.What == removed {
			gone = append(gone, g.Group)
		}
	}
	switch len(gone) {
	case 0:
		return nil
	case 1:
		return a.confirm(gone[0]+" is not in the file: it will be removed, and nothing protects it any more", gone[0])
	}
	return a.confirm(fmt.Sprintf("%d groups are not in the file, %s and others: they will be removed, and nothing protects them any more", len(gone), gone[0]), fmt.Sprint(len(gone)))
}

func (p *page) changes(cs *changes, dry bool) {
	n := 0
	line := func(name, what string, fields []field) {
		if what != same {
			n++
		}
		p.line("%s  %s", name, what)
		for _, f := range fields {
			p.line("    %s: %s → %s", f.Field, f.Old, f.New)
		}
	}
	line("(fleet)", cs.Fleet.What, cs.Fleet.Fields)
	for _, g := range cs.Groups {
		line(g.Group, g.What, g.Fields)
	}
	if dry && n > 0 {
		p.line("%d to change: nothing was written", n)
	}
}
