package rest

import (
	"context"
	"net/http"
	"time"
)

// Health is what an Airflow says of its parts. The HTTP status says nothing: it is 200 also where everything is down.
type Health struct {
	Metadatabase Component `json:"metadatabase"`
	Scheduler    Component `json:"scheduler"`
	Triggerer    Component `json:"triggerer"`
	DAGProcessor Component `json:"dag_processor"` // of 2.x only where it runs on its own
}

// Component is one part. Beat is by the clock of the host that wrote it.
type Component struct {
	Status string // healthy or unhealthy; empty = there is none, or none was ever seen
	Beat   time.Time
}

// OK reports whether it says that it is well.
func (c Component) OK() bool { return c.Status == "healthy" }

// Health asks for it; nobody has to say who they are.
func (c *Client) Health(ctx context.Context) (Health, error) {
	g, err := c.Generation(ctx)
	if err != nil {
		return Health{}, err
	}
	path := "/monitor/health"
	if g == V2 {
		path = "/health"
	}
	var got struct {
		Metadatabase struct {
			Status *string `json:"status"`
		} `json:"metadatabase"`
		Scheduler struct {
			Status *string    `json:"status"`
			Beat   *time.Time `json:"latest_scheduler_heartbeat"`
		} `json:"scheduler"`
		Triggerer struct {
			Status *string    `json:"status"`
			Beat   *time.Time `json:"latest_triggerer_heartbeat"`
		} `json:"triggerer"`
		DAGProcessor struct {
			Status *string    `json:"status"`
			Beat   *time.Time `json:"latest_dag_processor_heartbeat"`
		} `json:"dag_processor"`
	}
	err = c.do(ctx, call{method: http.MethodGet, path: path, open: true, to: &got})
	return Health{
		Metadatabase: component(got.Metadatabase.Status, nil), Scheduler: component(got.Scheduler.Status, got.Scheduler.Beat),
		Triggerer: component(got.Triggerer.Status, got.Triggerer.Beat), DAGProcessor: component(got.DAGProcessor.Status, got.DAGProcessor.Beat),
	}, err
}

func component(status *string, beat *time.Time) (c Component) {
	if status != nil {
		c.Status = *status
	}
	if beat != nil {
		c.Beat = *beat
	}
	return c
}
