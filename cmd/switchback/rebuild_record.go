package main

import (
	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

func (a *app) rebuildRecordCommand() *cobra.Command {
	ask := events.Ask{Verb: events.AskRebuildRecord}
	var apply bool
	cmd := &cobra.Command{
		Use: "rebuild-record [GROUP]", Short: "Write a lost or contradicted record anew, from what agents claim", Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeGroup,
		Long: `Shows what each agent claims of a group whose record is lost, or contradicted by a ledger, and what would be written; with --apply writes it, above every epoch that
any ledger has seen. Without a group: of every such group, and where the whole record is lost it is made anew, empty, first. Nothing is guessed: where two claim to be
the active, or none, or an agent is not heard, --active says which it is; it is told so only when all others said passive. An active that runs goes on meanwhile.

After the loss of all hub disks: switchback rebuild-record --apply --reason …, then switchback apply -f fleet.yaml, then switchback rebuild-record, and with --apply.
An empty hub is better than an old backup of it: what is lost halts by itself, what is old looks like a record.`,
		Example: `  switchback rebuild-record
  switchback rebuild-record --apply --reason "all hub disks were lost"
  switchback rebuild-record orders --active eu-west-1/orders-a --reason "its peer burnt down" --apply`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				ask.Group = args[0]
			}
			ask.DryRun = !apply
			if err := a.prepare(&ask); err != nil {
				return err
			}
			if apply {
				if err := a.sureOfRecord(cmd, &ask); err != nil {
					return err
				}
			}
			return a.throw(cmd, ask)
		},
	}
	askFlags(cmd, &ask)
	f := cmd.Flags()
	f.BoolVar(&apply, "apply", false, "write it (default: only show what would be written)")
	f.StringVar(&ask.To, "active", "", "region/cluster that is the active; needs --reason")
	f.BoolVar(&ask.Unfenced, "unfenced", false, "do not wait for the word of the others: TWO COPIES MAY ACCEPT WRITES; needs --reason")
	return cmd
}

// sureOfRecord has the person type what the ask is about.
func (a *app) sureOfRecord(cmd *cobra.Command, ask *events.Ask) error {
	name, what := ask.Group, "the record of "+ask.Group+" is written anew"
	if name == "" {
		return a.confirm("the record of every group that ledgers contradict is written anew", "rebuild-record")
	}
	if ask.To != "" {
		what += ", with " + ask.To + " as its active"
	}
	if ask.Unfenced {
		what += ", WITHOUT the word of the others: if one of them runs, two copies accept writes"
	}
	return a.sure(cmd, ask, name, func(*fleet.GroupView) string { return what })
}
