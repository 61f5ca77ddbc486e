package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/api/auth"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
)

func (a *app) tokenCommand() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use: "token", Short: "Who may use the API: make, list and revoke tokens", Args: cobra.NoArgs,
		Long: `Edits the file of tokens of this host's controller. Put the same file on every controller: each reads it again within a second.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVarP(&file, "file", "f", config.DefaultTokens, "the file of tokens")
	cmd.AddCommand(a.tokenCreateCommand(&file), a.tokenListCommand(&file), a.tokenRevokeCommand(&file))
	return cmd
}

// madeToken is what -o json and yaml show of a new token: the only time that it is shown.
type madeToken struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

func (a *app) tokenCreateCommand(file *string) *cobra.Command {
	role, projects, life, note := "", []string{}, time.Duration(0), ""
	cmd := &cobra.Command{
		Use: "create ACTOR", Short: "Make a token and show it, once", Args: cobra.ExactArgs(1),
		Example: `  switchback token create alice --role operator --project shop
  switchback token create ci --role viewer --all-projects --expires 720h`,
		RunE: func(cmd *cobra.Command, args []string) error {
			t := config.Token{Actor: args[0], Role: config.Role(role), Projects: projects, Created: a.now().Truncate(time.Second), Note: note}
			all, err := cmd.Flags().GetBool("all-projects")
			if err != nil {
				return err
			}
			if t, err = newToken(t, all, life); err != nil {
				return err
			}
			token, id, err := auth.Add(*file, t)
			if err != nil {
				return err
			}
			return a.showValue(madeToken{id, token}, func(p *page) {
				p.line("%s", token)
				fmt.Fprintf(a.err, "token %s of %s, role %s, projects %s, is in %s: this is the only time that it is shown\n", id, t.Actor, t.Role, strings.Join(t.Projects, ","), *file)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&role, "role", string(config.RoleViewer), "viewer looks, operator moves and steers, admin may waive proofs, release groups and rebuild records")
	f.StringSliceVar(&projects, "project", nil, "sees and moves groups of this project alone; may be given again")
	f.Bool("all-projects", false, "sees and moves everything, regions and the fleet too")
	f.DurationVar(&life, "expires", 0, "how long it works from now on (default: until it is revoked)")
	f.StringVar(&note, "note", "", "what it is for")
	complete(cmd, "role", []string{string(config.RoleViewer), string(config.RoleOperator), string(config.RoleAdmin)})
	return cmd
}

// newToken checks what is wanted of a token.
func newToken(t config.Token, all bool, life time.Duration) (config.Token, error) {
	if err := events.CheckName("actor", t.Actor); err != nil {
		return t, usage("%w", err)
	}
	if !slices.Contains(config.Roles(), t.Role) {
		return t, usage("--role %q: want viewer, operator or admin", t.Role)
	}
	if all == (len(t.Projects) > 0) {
		return t, usage("of which projects? want --project NAME, or --all-projects")
	}
	for _, p := range t.Projects {
		if err := events.CheckName("project", p); err != nil {
			return t, usage("--project: %w", err)
		}
	}
	if all {
		t.Projects = []string{config.AllProjects}
	}
	if life < 0 {
		return t, usage("--expires %v: want more than 0", life)
	} else if life > 0 {
		t.Expires = t.Created.Add(life)
	}
	return t, nil
}

func (a *app) tokenListCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The tokens there are; not the tokens themselves", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			ts, err := config.LoadTokens(*file)
			if err != nil {
				return err
			}
			listed := []listedToken{}
			for _, t := range ts {
				listed = append(listed, listedToken{t.ID, t.Actor, t.Role, t.Projects, t.Created, t.Expires, t.Note})
			}
			return a.showValue(map[string]any{"tokens": listed}, func(p *page) {
				rows := [][]string{}
				for _, t := range ts {
					rows = append(rows, []string{t.ID, t.Actor, string(t.Role), strings.Join(t.Projects, ","), day(t.Created), expiry(t.Expires, a.now()), words.Plain(t.Note)})
				}
				p.table([]string{"ID", "ACTOR", "ROLE", "PROJECTS", "CREATED", "EXPIRES", "NOTE"}, rows)
			})
		},
	}
}

// listedToken is what -o json and yaml show of a token.
type listedToken struct {
	ID       string      `json:"id"`
	Actor    string      `json:"actor"`
	Role     config.Role `json:"role"`
	Projects []string    `json:"projects"`
	Created  time.Time   `json:"created,omitzero"`
	Expires  time.Time   `json:"expires,omitzero"`
	Note     string      `json:"note,omitempty"`
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

func expiry(t, now time.Time) string {
	switch {
	case t.IsZero():
		return "never"
	case !now.Before(t):
		return "EXPIRED " + day(t)
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *app) tokenRevokeCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID or ACTOR", Short: "Take a token out, or every one of an actor: within a second it works no longer", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			ids, err := auth.Remove(*file, func(t *config.Token) bool { return t.ID == args[0] || t.Actor == args[0] })
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				return fmt.Errorf("no token has the id or the actor %q: `switchback token list` lists them", args[0])
			}
			return a.showValue(map[string]any{"revoked": ids}, func(p *page) { p.line("revoked: %s", strings.Join(ids, ", ")) })
		},
	}
}
