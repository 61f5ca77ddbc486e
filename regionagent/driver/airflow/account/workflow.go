package account

// Workflow is a driver of a cluster that runs tasks, each of which is accounted for after something hit them.
type Workflow interface {
	// Tasks is the way to them; nil: its API is not configured, so nothing can be retried and no ledger is kept.
	Tasks() Airflow
}
