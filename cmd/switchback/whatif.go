package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/controller/journal"
	"github.com/switchback-dr/switchback/controller/whatif"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

// liveFleet is the only fleet a forecast can be made of, besides none.
const liveFleet = "live"

// forecast are the flags of a what-if.
type forecast struct {
	fleet string
	lose  []string
}

func (f *forecast) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.fleet, "fleet", "", "live: instead of random schedules, say what the core would do with the fleet as it is now; needs --lose")
	cmd.Flags().StringSliceVar(&f.lose, "lose", nil, "with --fleet live: the regions that are lost, all at once")
	complete(cmd, "fleet", []string{liveFleet})
}

// wanted reports whether a forecast is asked for, and what is wrong with how.
func (f *forecast) wanted(cmd *cobra.Command) (bool, error) {
	switch {
	case f.fleet == "" && len(f.lose) == 0:
		return false, nil
	case f.fleet != liveFleet:
		return false, usage("--fleet %q: want live, with --lose REGION", f.fleet)
	case len(f.lose) == 0:
		return false, usage("--fleet live: want --lose REGION, which region is lost")
	}
	for _, other := range []string{"seeds", "seed", "for"} {
		if cmd.Flags().Changed(other) {
			return false, usage("--fleet live and --%s: want one of them", other)
		}
	}
	return true, nil
}

// foresee reads the fleet's stored state and asks the core what it would do. It writes nothing.
func (a *app) foresee(cmd *cobra.Command, lose []string) error {
	b, err := a.connect(cmd.Context())
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), a.limit(answerLimit))
	defer cancel()
	s, err := journal.New(b, nil).Snapshot(ctx, 0, "")
	if err != nil {
		return err
	}
	s.Region = witness(s.Lanes, lose)
	d, err := events.Profile(s.Fleet.Profile)
	if err != nil {
		return err
	}
	f, err := whatif.Lose(s, d, a.now(), lose)
	if err != nil {
		return usage("%w", err)
	}
	return a.showValue(f, func(p *page) { p.forecast(&f) })
}

// witness is the hub region from which the imagined leader looks: one that is left.
func witness(l events.LaneSet, lost []string) string {
	left := ""
	for _, p := range l.Lanes {
		if !strings.Contains(","+strings.Join(lost, ",")+",", ","+p.Region+",") {
			left = p.Region
		}
	}
	return left
}

// forecast prints what would happen, in order, then where each group ends.
func (p *page) forecast(f *whatif.Forecast) {
	p.line("if %s were lost now (nothing is touched; agents that are left are taken to do at once what they are told):", strings.Join(f.Lost, " and "))
	for _, e := range f.Events {
		about := e.Group
		if about == "" {
			about = e.Region
		}
		p.line("%6.1f s  %s  %s  %s", e.At.Seconds(), words.Plain(about), p.paint(words.Plain(e.Type)), words.Plain(e.Why))
	}
	if len(f.Groups) == 0 {
		p.line("nothing is active there: no group moves")
		return
	}
	var rows [][]string
	left := 0
	for i := range f.Groups {
		g := &f.Groups[i]
		to, serving := "-", "-"
		if g.To != (events.Ref{}) {
			to, serving = g.To.String(), gate.Round(g.Serving.Round(100*time.Millisecond))
		} else {
			left++
		}
		rows = append(rows, []string{g.Group, g.From.String(), to, serving, words.Plain(g.Says())})
	}
	p.table([]string{"GROUP", "FROM", "TO", ">SERVING AFTER", "LOSS, OR WHY IT IS LEFT BEHIND"}, rows)
	p.line("%s", fmt.Sprintf("%d of %d groups move by themselves, %d are left behind", len(f.Groups)-left, len(f.Groups), left))
}
