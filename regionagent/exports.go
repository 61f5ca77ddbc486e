package regionagent

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/export"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// exporter makes the export of the clusters' metrics, nil if the agent's file has none. own takes the exporter's own metrics, scraped what it collects.
func (a *agent) exporter(e *config.Export, own, scraped prometheus.Registerer, log *slog.Logger) (*export.Exporter, error) {
	if e == nil {
		return nil, nil
	}
	c := export.Config{Every: e.Every, Subjects: a.subjects, Log: log, Reg: own}
	if w := e.Write; w != nil {
		c.Write = &export.Write{
			URL: w.URL, User: w.User, PasswordFile: string(w.Password), BearerFile: string(w.Bearer), Headers: w.Headers, Labels: w.Labels, CA: w.CA, Buffer: w.Buffer,
		}
	}
	x, err := export.New(c, a.cfg.State)
	if err != nil {
		return nil, err
	}
	return x, scraped.Register(x)
}

// subjects is what the loop knows of the clusters now.
func (a *agent) subjects(ctx context.Context) ([]export.Subject, error) {
	told := make(chan []export.Subject, 1)
	a.post(ctx, func(now events.Instant) lease.Effects {
		var all []export.Subject
		for _, v := range a.core.Views(now) {
			c := a.find(v.Cluster)
			if c == nil {
				continue
			}
			s := export.Subject{Ref: c.ref, Kind: c.kind, Group: v.Group, Role: exportedRole(v, now), Epoch: v.Epoch, Up: c.last.CanaryOK || c.last.Streaming}
			s.Meter, _ = c.driver.(driver.Meter)
			all = append(all, s)
		}
		told <- all
		return a.core.Tick(now)
	})
	select {
	case all := <-told:
		return all, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// exportedRole is the role a series bears. An active without the right to run is frozen, or about to be: it must not be shown as a second active beside the next one.
func exportedRole(v lease.View, now events.Instant) string {
	if v.Role == events.RoleActive && !v.Exempt && v.Right <= now {
		return "frozen"
	}
	return roleName(v.Role)
}
