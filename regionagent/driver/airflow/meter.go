package airflow

import (
	"context"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

var _ driver.Meter = (*Driver)(nil)

// Measure implements driver.Meter. Only an active tells Airflow's own numbers: a passive would read them in the same database, and every sum over both would count them twice. One whose
// database does not answer has airflow_up 0 and nothing else.
func (d *Driver) Measure(ctx context.Context) ([]driver.Metric, error) {
	up := driver.Metric{Name: "airflow_up", Help: "1 if it runs here and its metadata database answers."}
	p, err := freezer.Find(d.run.tree())
	standby := len(p.All) == 0
	if err == nil && !standby {
		standby, _, _, err = d.run.found(p)
	}
	if err != nil || standby {
		d.meter.close()
		return []driver.Metric{up}, err
	}
	all, err := d.meter.measure(ctx)
	if len(all) > 0 {
		up.Value = 1
	}
	return append(all, up), err
}
