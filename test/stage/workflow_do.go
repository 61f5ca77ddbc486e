package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Call asks the API of an Airflow, as somebody outside every region does, and reads its answer into out, if that is not nil.
func (s *Stage) Call(ctx context.Context, w *Workflow, method, path string, in, out any) error {
	client := &http.Client{Transport: &http.Transport{DialContext: s.DialOutside, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	var token struct {
		Token string `json:"access_token"`
	}
	if err := call(ctx, client, "", "POST", w.API+"/auth/token", map[string]string{"username": WorkflowUser, "password": workflowPassword}, &token); err != nil {
		return err
	}
	return call(ctx, client, token.Token, method, w.API+"/api/v2"+path, in, out)
}

func call(ctx context.Context, client *http.Client, token, method, url string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == http.StatusConflict {
		return errThere
	}
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, b)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	return err
}

// errThere says that what is to be made is there already.
var errThere = errors.New("409: it is there already")

// Trigger begins a run of a DAG whose tasks take so long each. One that is there already is as good: it was asked for before, and the answer came too late.
func (s *Stage) Trigger(ctx context.Context, w *Workflow, dag, run string, each time.Duration) error {
	err := s.Call(ctx, w, "POST", "/dags/"+dag+"/dagRuns", map[string]any{"dag_run_id": run, "logical_date": nil, "conf": map[string]any{"seconds": each.Seconds()}}, nil)
	if errors.Is(err, errThere) {
		return nil
	}
	return err
}

// ready asks an api-server for what every task asks first. It is not ready for tasks before it has answered that once.
func (s *Stage) ready(ctx context.Context, w *Workflow) error {
	client := &http.Client{Transport: &http.Transport{DialContext: s.DialOutside, DisableKeepAlives: true}, Timeout: time.Minute}
	return call(ctx, client, "", "GET", w.API+"/execution/health", nil, nil)
}

// TaskLine is what a task said outside any database: that a try of it starts, or ends.
type TaskLine struct {
	DAG, Run, Task string
	Try            int
	End            bool // else it starts
	At             time.Time
}

// OpenTries are the tries of tasks of a run that began and did not end, as "dag task", in the order they began, and how many ended.
func (s *Stage) OpenTries(group, run string) (open []string, done int, err error) {
	all, err := s.TaskLines(group)
	for i, l := range all {
		if l.Run != run {
			continue
		}
		if l.End {
			done++
			continue
		}
		ended := slices.ContainsFunc(all[i:], func(e TaskLine) bool {
			return e.End && e.DAG == l.DAG && e.Run == l.Run && e.Task == l.Task && e.Try == l.Try
		})
		if !ended {
			open = append(open, l.DAG+" "+l.Task)
		}
	}
	return open, done, err
}

// TaskLines are what the tasks of a workflow group said so far, in the order they said it.
func (s *Stage) TaskLines(group string) (all []TaskLine, err error) {
	b, err := os.ReadFile(filepath.Join(s.home.dir, group+".lines"))
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			return all, fmt.Errorf("a task said %q", line)
		}
		try, err1 := strconv.Atoi(f[3])
		at, err2 := strconv.ParseFloat(f[5], 64)
		if err1 != nil || err2 != nil {
			return all, fmt.Errorf("a task said %q", line)
		}
		all = append(all, TaskLine{DAG: f[0], Run: f[1], Task: f[2], Try: try, End: f[4] == "end", At: time.UnixMilli(int64(at * 1000))})
	}
	return all, err
}
