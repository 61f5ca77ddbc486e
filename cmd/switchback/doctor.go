package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/client"
)

// finding is one thing that was checked.
type finding struct {
	Result string `json:"result"` // ok, warn or fail
	What   string `json:"what"`
	Text   string `json:"text"`
}

// diagnosis is what doctor found out, and what it can't.
type diagnosis struct {
	Profile   string     `json:"profile"`
	Durations []duration `json:"durations"`
	Findings  []finding  `json:"findings"`
	Unchecked []string   `json:"unchecked"`
}

// duration is one row of the table of durations.
type duration struct {
	Symbol  string          `json:"symbol"`
	Meaning string          `json:"meaning"`
	Value   events.Duration `json:"value"`
	Min     events.Duration `json:"min"`
	Max     events.Duration `json:"max"`
}

// unchecked is what nobody can see from here.
var unchecked = []string{
	"how fast each host freezes its clusters (S): each agent measures it when it starts, and takes no lease if it is too slow",
	"whether each guard runs and holds its clusters, and whether a host's clock counts a pause: look at the hosts",
	"the profile in every process's own file: it has to be the same everywhere",
	"each server's disk, its archive, and whether pg_rewind could bring it home",
	"what other identities than this one may do on the bus",
}

func (d *diagnosis) found(result, what, format string, args ...any) {
	d.Findings = append(d.Findings, finding{result, what, fmt.Sprintf(format, args...)})
}

func (a *app) doctorCommand() *cobra.Command {
	host, path := false, ""
	c := &cobra.Command{
		Use: "doctor", Short: "Check the hub, the streams, the controllers and the durations, or this host; says what it can't check", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if host {
				return a.doctorHost(cmd.Context(), path)
			}
			o, err := a.hubOptions()
			if err != nil {
				return err
			}
			d := &diagnosis{Unchecked: unchecked}
			reached := d.hub(cmd.Context(), o, a.limit(connectLimit))
			if reached {
				err = a.examine(cmd.Context(), o, d)
			}
			if err != nil {
				return err
			}
			d.durations()
			if err := a.showValue(d, func(p *page) { p.diagnosis(d) }); err != nil {
				return err
			}
			if !reached {
				return &failure{exitUnreachable, errSilent}
			}
			return d.verdict()
		},
	}
	c.Flags().BoolVar(&host, "host", false, "look at this host instead: how its clusters are fenced and what that lacks (as root)")
	c.Flags().StringVarP(&path, "config", "c", agentFile, "with --host: the agent's file")
	return c
}

func (d *diagnosis) verdict() error {
	for _, f := range d.Findings {
		if f.Result == "fail" {
			return &failure{exitFailed, errSilent}
		}
	}
	return nil
}

// hub reaches for every hub server by itself and has it read the record's stream: a server that accepts connections and serves no stream is no help.
func (d *diagnosis) hub(ctx context.Context, o bus.Options, limit time.Duration) (reached bool) {
	for _, s := range o.Servers {
		what := fmt.Sprintf("hub %s (%s)", s.Region, s.URL)
		alone := o
		alone.Servers = []bus.Server{s}
		began := time.Now()
		b, err := reach(ctx, alone, limit)
		if err != nil {
			d.found("fail", what, "%v", err)
			continue
		}
		reached = true
		connected := time.Since(began)
		short, cancel := context.WithTimeout(ctx, limit)
		began = time.Now()
		m, err := b.Last(short, events.StreamState, events.SubjectTerm)
		cancel()
		b.Close()
		switch {
		case err != nil:
			d.found("fail", what, "connected in %s, but it reads no record: %v", gate.Round(connected), err)
		case m == nil:
			d.found("warn", what, "connected in %s; no controller has ever led", gate.Round(connected))
		default:
			d.found("ok", what, "connected in %s, reads the record in %s", gate.Round(connected), gate.Round(time.Since(began)))
		}
	}
	if n := len(o.Servers); n < 3 {
		d.found("warn", "hub", "%d servers are named here: automatic failover needs three failure domains", n)
	}
	return reached
}

// examine looks at what is stored and who leads.
func (a *app) examine(ctx context.Context, o bus.Options, d *diagnosis) error {
	b, err := reach(ctx, o, a.limit(connectLimit))
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(ctx, a.limit(answerLimit))
	defer cancel()
	d.streams(ctx, b, len(o.Servers))
	if m, err := b.Last(ctx, events.StreamConfig, events.SubjectFleet); err != nil {
		d.found("fail", "configuration", "%v", err)
	} else if m == nil {
		d.found("warn", "configuration", "no fleet is configured yet: switchback apply -f fleet.yaml")
	} else {
		var c events.FleetConfig
		if err := json.Unmarshal(m.Data, &c); err != nil {
			d.found("fail", "configuration", "%s can't be read: %v", m.Subject, err)
		}
		d.Profile = c.Profile
	}
	d.controllers(ctx, client.New(b))
	return nil
}

// streams compares every stream with what it should be, how long it keeps what it has included. It makes none and changes none.
func (d *diagnosis) streams(ctx context.Context, b *bus.NATS, servers int) {
	for _, s := range events.Streams() {
		short, cancel := context.WithTimeout(ctx, connectLimit)
		err := b.Ensure(short, []events.Stream{s}, min(3, servers), true)
		cancel()
		keeps := fmt.Sprintf("the last %d of each subject, however old", s.PerSubject)
		if s.MaxAge > 0 {
			keeps = fmt.Sprintf("everything for %d days", int(s.MaxAge.Hours()/24))
		}
		switch {
		case errors.Is(err, bus.ErrMissing):
			d.found("fail", s.Name, "is missing: a controller makes it when it starts for the first time")
		case errors.Is(err, bus.ErrDenied):
			d.found("warn", s.Name, "can't be checked by this identity: %v", err)
		case err != nil:
			d.found("fail", s.Name, "%v", err)
		default:
			d.found("ok", s.Name, "as it should be; keeps %s", keeps)
		}
	}
}

// controllers asks the leader.
func (d *diagnosis) controllers(ctx context.Context, c *client.Client) {
	var s answers.Status
	if err := c.Query(ctx, "status", struct{}{}, &s); err != nil {
		d.found("fail", "controller", "%v", err)
		return
	}
	d.found("ok", "controller", "%s leads, term %d", s.Leader, s.Term)
	if s.View.Blind {
		d.found("fail", "controller", "it is blind: it reaches fewer than half of the regions, and automation moves nothing")
	}
	for region, up := range words.Sorted(s.Bus) {
		if !up {
			d.found("fail", "controller", "the leader does not reach the hub server in %s", region)
		}
	}
	if why := s.View.Automation.Disarmed; why != "" {
		d.found("warn", "automation", "disarmed for the fleet: %s", why)
	}
	for _, kind := range events.Kinds() {
		if why, ok := s.View.Automation.Kinds[kind]; ok {
			d.found("warn", "automation", "disarmed for kind %s: %s", kind, why)
		}
	}
	for _, r := range s.View.Regions {
		switch {
		case r.Disarmed != "":
			d.found("warn", "region "+r.Region, "automation is disarmed: %s", r.Disarmed)
		case r.Verdict != events.VerdictHealthy:
			d.found("fail", "region "+r.Region, "%s: %s", r.Verdict, r.Why)
		default:
			d.found("ok", "region "+r.Region, "%s: %s (agents: %d of %d beat)", r.Verdict, r.Why, r.Fresh, r.Agents)
		}
	}
	if s.Unprotected > 0 {
		d.found("warn", "groups", "%d of %d are unprotected", s.Unprotected, s.Groups)
	}
}

// durations lists the table of the fleet's profile and checks its relations.
func (d *diagnosis) durations() {
	if d.Profile == "" {
		d.found("warn", "durations", "the fleet's profile is not known from here: the default's are shown")
	}
	t, err := events.Profile(d.Profile)
	if err != nil {
		d.found("fail", "durations", "%v", err)
		return
	}
	for _, r := range events.Table {
		d.Durations = append(d.Durations, duration{r.Symbol, r.Meaning, events.Duration(*r.Get(&t)), events.Duration(r.Min), events.Duration(r.Max)})
	}
	d.Profile = t.Profile
	if bad := t.Check(); len(bad) > 0 {
		d.found("fail", "durations", "%s", strings.Join(bad, "; "))
		return
	}
	d.found("ok", "durations", "profile %s: every bound and relation holds; L %v ≥ F+S+M %v, a beat is late after %v, its answer after %v", t.Profile, t.Wait, t.Honoured(), t.Silent(), t.BeatDeadline())
}

func (p *page) diagnosis(d *diagnosis) {
	var rows [][]string
	for _, r := range d.Durations {
		rows = append(rows, []string{r.Symbol, r.Value.String(), r.Min.String() + " to " + r.Max.String(), r.Meaning})
	}
	p.table([]string{"DURATION", ">" + strings.ToUpper(d.Profile), "BOUNDS", "MEANING"}, rows)
	p.findings(d)
}

func (p *page) findings(d *diagnosis) {
	count := map[string]int{}
	for _, f := range d.Findings {
		count[f.Result]++
		p.line("%-4s  %s: %s", f.Result, f.What, words.Plain(f.Text))
	}
	p.line("ok %d   warn %d   fail %d", count["ok"], count["warn"], count["fail"])
	p.line("not checked from here:")
	for _, u := range d.Unchecked {
		p.line("  - %s", u)
	}
}
