package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// DAG is one DAG as the last parse left it.
type DAG struct {
	ID            string    `json:"dag_id"`
	Paused        bool      `json:"is_paused"`
	Tags          []string  `json:"-"`
	Stale         bool      `json:"is_stale"` // version 3: its file is gone
	Parsed        time.Time `json:"last_parsed_time"`
	ImportErrors  bool      `json:"has_import_errors"`
	Bundle        string    `json:"bundle_name"`    // version 3
	BundleVersion string    `json:"bundle_version"` // version 3; empty = its bundle has none
	Fileloc       string    `json:"fileloc"`
}

// UnmarshalJSON reads tags as both versions write them: [{"name": …}].
func (d *DAG) UnmarshalJSON(b []byte) error {
	type plain DAG
	of := struct {
		*plain
		Tags []struct {
			Name string `json:"name"`
		} `json:"tags"`
	}{plain: (*plain)(d)}
	if err := json.Unmarshal(b, &of); err != nil {
		return err
	}
	d.Tags = nil
	for _, t := range of.Tags {
		d.Tags = append(d.Tags, t.Name)
	}
	return nil
}

// DAGs lists every DAG that Airflow knows and whose file is there, sorted by id.
func (c *Client) DAGs(ctx context.Context) ([]DAG, error) {
	return list[DAG](ctx, c, "/dags", "dags", url.Values{"order_by": {"dag_id"}}, false)
}

// Pause pauses a DAG or has it go on.
func (c *Client) Pause(ctx context.Context, dag string, paused bool) error {
	return c.do(ctx, call{
		method: http.MethodPatch, path: "/dags/" + url.PathEscape(dag), query: url.Values{"update_mask": {"is_paused"}}, body: map[string]bool{"is_paused": paused},
	})
}

// Run is one run of a DAG.
type Run struct {
	DAG         string    `json:"dag_id"`
	ID          string    `json:"dag_run_id"`
	State       State     `json:"state"`
	Type        string    `json:"run_type"`
	Start       time.Time `json:"start_date"`
	End         time.Time `json:"end_date"`
	Note        string    `json:"note"`
	LogicalDate time.Time `json:"logical_date"`
}

// Runs lists the runs of a DAG (empty: of all) in certain states (none: in any).
func (c *Client) Runs(ctx context.Context, dag string, states ...State) ([]Run, error) {
	if dag == "" {
		dag = "~"
	}
	v := url.Values{"order_by": {"id"}}
	for _, s := range states {
		v.Add("state", string(s))
	}
	path := "/dags/~/dagRuns"
	if dag != "~" {
		path = "/dags/" + url.PathEscape(dag) + "/dagRuns"
	}
	return list[Run](ctx, c, path, "dag_runs", v, false)
}

// Run asks for one run.
func (c *Client) Run(ctx context.Context, dag, id string) (r Run, err error) {
	return r, c.do(ctx, call{method: http.MethodGet, path: runPath(dag, id), to: &r})
}

// Trigger begins a run of a DAG, named id. One that is there already is a 409.
func (c *Client) Trigger(ctx context.Context, dag, id string) (r Run, err error) {
	g, err := c.Generation(ctx)
	if err != nil {
		return r, err
	}
	body := map[string]any{"dag_run_id": id}
	if g == V3 {
		body["logical_date"] = nil // it has to be said
	}
	return r, c.do(ctx, call{method: http.MethodPost, path: "/dags/" + url.PathEscape(dag) + "/dagRuns", body: body, to: &r})
}

// Job is one process of Airflow as its row says. Its is_alive is not told: it was found true of ghosts.
type Job struct {
	ID       int       `json:"id"`
	Type     string    `json:"job_type"` // SchedulerJob, TriggererJob, DagProcessorJob
	State    string    `json:"state"`
	Hostname string    `json:"hostname"`
	Beat     time.Time `json:"latest_heartbeat"` // by the clock of its host
	Start    time.Time `json:"start_date"`
	End      time.Time `json:"end_date"` // zero = not over
	Executor string    `json:"executor_class"`
}

// Jobs lists the rows of a type (empty: of all). 2.x: ErrNotOffered.
func (c *Client) Jobs(ctx context.Context, kind string) ([]Job, error) {
	g, err := c.Generation(ctx)
	if err != nil {
		return nil, err
	}
	if g == V2 {
		return nil, fmt.Errorf("list jobs: %w", ErrNotOffered)
	}
	v := url.Values{"order_by": {"id"}}
	if kind != "" {
		v.Set("job_type", kind)
	}
	return list[Job](ctx, c, "/jobs", "jobs", v, false)
}

// Pool is how many tasks of a kind may run at a time. Open is below 0 where more run than slots are left.
type Pool struct {
	Name     string `json:"name"`
	Slots    int    `json:"slots"` // -1 = as many as there are
	Open     int    `json:"open_slots"`
	Occupied int    `json:"occupied_slots"`
	Running  int    `json:"running_slots"`
	Queued   int    `json:"queued_slots"`
}

// Pools lists them.
func (c *Client) Pools(ctx context.Context) ([]Pool, error) {
	return list[Pool](ctx, c, "/pools", "pools", nil, false)
}

// ImportError is why a file with DAGs can't be read.
type ImportError struct {
	ID       int       `json:"import_error_id"`
	At       time.Time `json:"timestamp"`
	Filename string    `json:"filename"`
	Bundle   string    `json:"bundle_name"` // version 3
	Trace    string    `json:"stack_trace"`
}

// ImportErrors lists them.
func (c *Client) ImportErrors(ctx context.Context) ([]ImportError, error) {
	return list[ImportError](ctx, c, "/importErrors", "import_errors", nil, false)
}

// Connection is one connection, without what it keeps secret.
type Connection struct {
	ID   string `json:"connection_id"`
	Type string `json:"conn_type"`
}

// Connections lists those that stand in the metadata database.
func (c *Client) Connections(ctx context.Context) ([]Connection, error) {
	return list[Connection](ctx, c, "/connections", "connections", nil, false)
}
