package airflow

import "github.com/switchback-dr/switchback/regionagent/driver/airflow/account"

var _ account.Workflow = (*Driver)(nil)

// Tasks implements account.Workflow.
func (d *Driver) Tasks() account.Airflow {
	if d.live == nil {
		return nil
	}
	return d.live
}
