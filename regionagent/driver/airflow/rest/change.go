package rest

import (
	"context"
	"net/http"
	"net/url"
)

// ClearOrder is which task instances of a DAG are to run again. Without Tasks all of the run's are meant; without Do nothing is changed, and what would be is told.
type ClearOrder struct {
	Run        string
	Tasks      []TaskKey // of that run
	OnlyFailed bool      // failed and upstream-failed ones alone
	Downstream bool      // and what comes after them
	Note       string    // version 3: kept with each, at most 1,000 characters. 2.x has none here: see SetNote
	NotRunning bool      // version 3: refused (409) if one of them runs. Never clear one that runs: it would be stuck as restarting
	Do         bool
}

// Clear has task instances run again, and their run go on, and says which. 2.x clears all of a mapped task, whatever Index says.
func (c *Client) Clear(ctx context.Context, dag string, o ClearOrder) ([]TaskInstance, error) {
	g, err := c.Generation(ctx)
	if err != nil {
		return nil, err
	}
	// Both versions have defaults that do less than one would think: everything is said.
	body := map[string]any{
		"dry_run": !o.Do, "only_failed": o.OnlyFailed, "only_running": false, "reset_dag_runs": true, "include_upstream": false, "include_downstream": o.Downstream,
		"include_future": false, "include_past": false, "dag_run_id": o.Run,
	}
	ids := make([]any, 0, len(o.Tasks))
	for _, k := range o.Tasks {
		if g == V3 && k.Index >= 0 {
			ids = append(ids, []any{k.Task, k.Index})
		} else {
			ids = append(ids, k.Task)
		}
	}
	if len(ids) > 0 {
		body["task_ids"] = ids
	}
	if g == V3 {
		body["prevent_running_task"] = o.NotRunning
		if o.Note != "" {
			body["note"] = o.Note
		}
	}
	var got struct {
		Tasks []TaskInstance `json:"task_instances"`
	}
	err = c.do(ctx, call{method: http.MethodPost, path: "/dags/" + url.PathEscape(dag) + "/clearTaskInstances", body: body, to: &got})
	return got.Tasks, err
}

// SetState forces the state of one task instance: success, failed or skipped. A try that runs is not ended by it before its next heartbeat.
func (c *Client) SetState(ctx context.Context, k TaskKey, s State, note string) error {
	g, err := c.Generation(ctx)
	if err != nil {
		return err
	}
	body := map[string]any{"new_state": s}
	if g == V2 {
		body["dry_run"] = false
	} else if note != "" {
		body["note"] = note
	}
	if err := c.do(ctx, call{method: http.MethodPatch, path: k.path(), body: body}); err != nil || g == V3 || note == "" {
		return err
	}
	return c.SetNote(ctx, k, note)
}

// SetNote writes a note on one task instance, in place of the one it had.
func (c *Client) SetNote(ctx context.Context, k TaskKey, note string) error {
	g, err := c.Generation(ctx)
	if err != nil {
		return err
	}
	q := call{method: http.MethodPatch, path: k.path(), body: map[string]any{"note": note}, query: url.Values{"update_mask": {"note"}}}
	if g == V2 {
		q.path, q.query = q.path+"/setNote", nil
	}
	return c.do(ctx, q)
}
