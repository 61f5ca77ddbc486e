//go:build airflow

package e2e_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// TestWorkflows tells one story on real Airflow, whose metadata database is a group beside it. Its region is killed while ten tasks run, eight of them of a DAG of 22; later it comes home in the
// middle of a run; then its database is away for 35 s where it stands. What became of the tasks is judged by Airflow's own database, and by what the tasks wrote outside any.
func TestWorkflows(t *testing.T) {
	began := time.Now()
	w := beginWorkflows(t)
	t.Logf("built after %v", time.Since(began).Round(time.Second))
	w.regionKilled()
	w.comesHome()
	w.databaseAway()
	t.Logf("the whole of it took %v", time.Since(began).Round(time.Second))
}

// workflows is a play with a workflow group.
type workflows struct {
	*play
	db, flows stage.Group
}

func beginWorkflows(t *testing.T) *workflows {
	t.Helper()
	venv, err := exec.Command("../../deploy/airflow/install.sh", "--where").Output()
	if err != nil {
		t.Fatal("no Airflow here: run deploy/need.sh airflow")
	}
	both := stage.Workflows(stage.West)
	return &workflows{db: both[0], flows: both[1], play: beginWith(t, stage.Options{Groups: both, Airflow: strings.TrimSpace(string(venv)), Metrics: "{every: 1s}", Hosts: 2, Profile: "safe"})}
}

// at is the Airflow that works, or is to.
func (w *workflows) active() *stage.Workflow { return w.Workflow(w.view(w.flows.Name).Active()) }

// rows asks Airflow's database, on the server that is active by its group's record.
func (w *workflows) rows(sql string) (rows [][]string) {
	w.t.Helper()
	w.wait("Airflow's database answers", func() (err error) {
		rows, err = w.Server(w.view(w.db.Name).Active()).SQLOf(w.shortly(), "airflow", sql)
		return err
	})
	return rows
}

// trigger begins a run of each of some DAGs, where Airflow works now.
func (w *workflows) trigger(run string, each time.Duration, dags ...string) {
	w.t.Helper()
	for _, dag := range dags {
		w.wait(dag+" is begun", func() error { return w.Trigger(w.shortly(), w.active(), dag, run, each) })
	}
}

// tries are what the tasks of a run said: how often each try began and ended.
type tries map[stage.TaskLine][2]int

func (w *workflows) tries(run string) tries {
	w.t.Helper()
	all, err := w.TaskLines(w.flows.Name)
	w.do(err)
	out := tries{}
	for _, l := range all {
		if l.Run != run {
			continue
		}
		end := l.End
		l.End, l.At = false, time.Time{}
		n := out[l]
		n[map[bool]int{false: 0, true: 1}[end]]++
		out[l] = n
	}
	return out
}

// open are the tries that began and did not end, by DAG and task; done how many ended.
func (w *workflows) open(run string) (open []string, done int) {
	w.t.Helper()
	open, done, err := w.OpenTries(w.flows.Name, run)
	w.do(err)
	slices.Sort(open)
	return open, done
}

// running waits until so many tasks of a run run at once, and returns them.
func (w *workflows) running(run string, want int) (open []string) {
	w.t.Helper()
	w.wait(fmt.Sprintf("%d tasks of %s run", want, run), func() error {
		var done int
		if open, done = w.open(run); len(open) != want {
			return fmt.Errorf("%d run, %d are done", len(open), done)
		}
		return nil
	})
	return open
}

// ends waits until the runs of a name are over, and returns the state of each by its DAG.
func (w *workflows) ends(run string, limit time.Duration) (states map[string]string) {
	w.t.Helper()
	until := time.Now().Add(limit)
	for {
		states = map[string]string{}
		over := true
		for _, r := range w.rows("SELECT dag_id, state FROM dag_run WHERE run_id = '" + run + "'") {
			states[r[0]] = r[1]
			over = over && (r[1] == "success" || r[1] == "failed")
		}
		if over && len(states) > 0 {
			return states
		}
		if time.Now().After(until) {
			w.t.Fatalf("the runs %s are not over after %v: %v; %v", run, limit, states, w.rows("SELECT dag_id, task_id, state, try_number, queued_by_job_id FROM task_instance WHERE state <> 'success' OR state IS NULL"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// unpaused are the DAGs that are not paused, by Airflow's database.
func (w *workflows) unpaused() string {
	w.t.Helper()
	return fmt.Sprint(w.rows("SELECT dag_id FROM dag WHERE NOT is_paused ORDER BY 1"))
}

// since is the time from one notice to another.
func (w *workflows) since(skip int, from, to events.Notice) time.Duration {
	w.t.Helper()
	at := map[string]time.Time{}
	all, _ := w.Bus().Events()
	for _, e := range all[skip:] {
		for _, n := range []events.Notice{from, to} {
			if key := n.Type + n.Group; e.Notice.Type == n.Type && e.Notice.Group == n.Group && at[key].IsZero() {
				at[key] = e.Envelope.Time
			}
		}
	}
	return at[to.Type+to.Group].Sub(at[from.Type+from.Group])
}
