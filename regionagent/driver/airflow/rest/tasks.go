package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// State is the state of a task instance or of a DAG run.
type State string

// The states of task instances. A run is queued, running, success or failed. Empty: not scheduled yet.
const (
	Scheduled       State = "scheduled"
	Queued          State = "queued"
	Running         State = "running"
	Restarting      State = "restarting" // cleared while it ran
	Success         State = "success"
	Failed          State = "failed"
	UpForRetry      State = "up_for_retry"
	UpForReschedule State = "up_for_reschedule"
	UpstreamFailed  State = "upstream_failed"
	Skipped         State = "skipped"
	Deferred        State = "deferred" // waits in a triggerer
	Removed         State = "removed"
	AwaitingInput   State = "awaiting_input" // of a person; version 3 only
)

// TaskKey names one task instance.
type TaskKey struct {
	DAG   string `json:"dag_id"`
	Run   string `json:"dag_run_id"`
	Task  string `json:"task_id"`
	Index int    `json:"map_index"` // of a mapped task; else -1
}

func (k TaskKey) String() string {
	s := k.DAG + " " + k.Run + " " + k.Task
	if k.Index >= 0 {
		s += fmt.Sprintf("[%d]", k.Index)
	}
	return s
}

// path is where a task instance stands.
func (k TaskKey) path() string {
	p := runPath(k.DAG, k.Run) + "/taskInstances/" + url.PathEscape(k.Task)
	if k.Index >= 0 {
		p += "/" + strconv.Itoa(k.Index)
	}
	return p
}

func runPath(dag, run string) string {
	return "/dags/" + url.PathEscape(dag) + "/dagRuns/" + url.PathEscape(run)
}

// TaskInstance is one task of one run, or one try of it. Times are by the clocks of Airflow's hosts.
type TaskInstance struct {
	TaskKey
	ID       string    `json:"id"` // version 3: of this try, another after a reset; empty in a list of tries
	State    State     `json:"state"`
	Try      int       `json:"try_number"`
	MaxTries int       `json:"max_tries"`
	Start    time.Time `json:"start_date"` // zero = not begun
	End      time.Time `json:"end_date"`   // zero = not over
	Hostname string    `json:"hostname"`
	Executor string    `json:"executor"`
	Pool     string    `json:"pool"`
	Queue    string    `json:"queue"`
	Operator string    `json:"operator"`
	Note     string    `json:"note"`
	PID      int       `json:"pid"`
	Queued   time.Time `json:"queued_when"`
}

// TaskQuery is which task instances are wanted; what is empty does not matter.
type TaskQuery struct {
	DAG, Run      string
	StartedBefore time.Time // begun then or earlier. One that never began is not among them: ask for its state
	EndedAfter    time.Time // over then or later, or not over yet
	States        []State
}

// TaskInstances lists them. Those whose time overlaps a window are the ones with StartedBefore at its end and EndedAfter at its begin.
func (c *Client) TaskInstances(ctx context.Context, q TaskQuery) ([]TaskInstance, error) {
	g, err := c.Generation(ctx)
	if err != nil {
		return nil, err
	}
	dag, run := q.DAG, q.Run
	if dag == "" {
		dag = "~"
	}
	if run == "" {
		run = "~"
	}
	v := url.Values{}
	if !q.StartedBefore.IsZero() {
		v.Set("start_date_lte", stamp(q.StartedBefore))
	}
	if !q.EndedAfter.IsZero() && g == V3 {
		v.Set("end_date_gte", stamp(q.EndedAfter))
	}
	for _, s := range q.States {
		v.Add("state", string(s))
	}
	path := runPath(dag, run) + "/taskInstances"
	if dag == "~" {
		path = "/dags/~/dagRuns/~/taskInstances"
	}
	if g == V3 {
		v.Set("order_by", "id")
	}
	all, err := list[TaskInstance](ctx, c, path, "task_instances", v, g == V3)
	if err != nil || g == V3 || q.EndedAfter.IsZero() {
		return all, err
	}
	kept := all[:0] // 2.x would leave out by end_date_gte what is not over yet
	for _, t := range all {
		if t.End.IsZero() || !t.End.Before(q.EndedAfter) {
			kept = append(kept, t)
		}
	}
	return kept, nil
}

// TaskInstance asks for one.
func (c *Client) TaskInstance(ctx context.Context, k TaskKey) (t TaskInstance, err error) {
	return t, c.do(ctx, call{method: http.MethodGet, path: k.path(), to: &t})
}

// Tries lists every try of a task instance, the first one first. 2.x has it since 2.10.
func (c *Client) Tries(ctx context.Context, k TaskKey) ([]TaskInstance, error) {
	var got struct {
		Tries []TaskInstance `json:"task_instances"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: k.path() + "/tries", to: &got})
	return got.Tries, err
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
