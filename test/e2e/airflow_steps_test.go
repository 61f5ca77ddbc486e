//go:build airflow

package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

const (
	// workflowServes bounds how long after its database was promoted a workflow serves; on a calm machine it takes a third of that.
	workflowServes = 30 * time.Second
	// runEnds bounds a run of the DAG of 22, on a busy machine.
	runEnds = 3 * time.Minute
	// away is how long the database is away where it stands.
	away = 35 * time.Second
)

// regionKilled kills everything in the home region while ten tasks run, and holds what became of them against what the ledger says.
func (w *workflows) regionKilled() {
	w.t.Helper()
	before, names := w.unpaused(), w.series(stage.West)
	hit := w.tenRun("r1")
	skip := w.heard()
	w.do(w.KillRegion(stage.West))
	if open, _ := w.open("r1"); fmt.Sprint(open) != fmt.Sprint(hit) {
		w.t.Fatalf("the region was killed too late: %v run, not %v", open, hit)
	}
	w.told(skip, w.flows, events.NoticeServing, nil)
	if to := w.view(w.flows.Name).Active(); to != w.flows.Recovery() {
		w.t.Fatalf("%s is active", to)
	}
	took := w.since(skip, events.Notice{Type: events.NoticePromoted, Group: w.db.Name}, events.Notice{Type: events.NoticeServing, Group: w.flows.Name})
	w.t.Logf("killed while %v ran; the workflow serves %v after the promotion of its database was recorded", hit, took.Round(time.Millisecond))
	if took > workflowServes {
		w.t.Errorf("the workflow serves %v after its database was promoted, want at most %v", took, workflowServes)
	}
	if states := w.ends("r1", runEnds); states["nightly"] != "success" || states["never"] != "failed" || states["hold"] != "failed" {
		w.t.Errorf("runs ended %v", states)
	}
	w.ranAgain("r1", hit)
	w.ledger("r1", func(es []events.TaskEntry) string {
		var listed []string
		for _, e := range es {
			name := e.DAG + " " + e.Task
			if e.Class == events.TaskTwice && e.Action == events.TaskLeft && !slices.Contains(hit, name) {
				continue // it ended after the last heartbeat of the scheduler that was killed
			}
			listed = append(listed, name)
			want := map[string]events.TaskAction{"never": events.TaskLeft, "hold": events.TaskWaits, "nightly": events.TaskNone}[e.DAG]
			if e.Class != events.TaskGhost || e.Action != want || e.Try != 1 || e.DAG == "nightly" && (e.Result != events.TaskOK || e.After != 2) {
				return entryText(&e)
			}
		}
		if slices.Sort(listed); fmt.Sprint(listed) != fmt.Sprint(hit) {
			return fmt.Sprintf("it lists %v, hit were %v", listed, hit)
		}
		return ""
	})
	if after := w.unpaused(); after != before {
		w.t.Errorf("not paused are %s, before it %s", after, before)
	}
	now := w.series(stage.Central)
	for _, name := range names { // others begin with the first task that failed or ended
		if !slices.Contains(now, name) {
			w.t.Errorf("the series of the active are %v, without %s", now, name)
		}
	}
}

// tenRun begins the DAG of 22, and the two whose tags say what may be done with them, and waits until eight of the one and both others run.
func (w *workflows) tenRun(run string) (hit []string) {
	w.t.Helper()
	w.trigger(run, 8*time.Second, "nightly")
	w.wait("the first task of "+run+" is done", func() error {
		if _, done := w.open(run); done == 0 {
			return fmt.Errorf("%v", w.tries(run))
		}
		return nil
	})
	w.trigger(run, 25*time.Second, "never", "hold")
	return w.running(run, 10)
}

// ranAgain: by the database and by what the tasks said, exactly those that were hit and whose DAG allows it began a second time, and everything of it ended once; what its DAG does not allow began once.
func (w *workflows) ranAgain(run string, hit []string) {
	w.t.Helper()
	for l, n := range w.tries(run) {
		want := [2]int{1, 1}
		cut := slices.Contains(hit, l.DAG+" "+l.Task)
		again := cut && l.DAG == "nightly"
		if cut && l.Try == 1 {
			want = [2]int{1, 0}
		}
		if n != want || l.Try > 2 || l.Try == 2 && !again {
			w.t.Errorf("%s %s: try %d began and ended %v times, want %v", l.DAG, l.Task, l.Try, n, want)
		}
	}
	var lost, want []string
	for _, h := range hit {
		if strings.HasPrefix(h, "nightly ") {
			want = append(want, h)
		}
	}
	for _, r := range w.rows("SELECT dag_id || ' ' || task_id FROM task_instance_history WHERE run_id = '" + run + "' ORDER BY 1") {
		lost = append(lost, r[0])
	}
	if fmt.Sprint(lost) != fmt.Sprint(want) {
		w.t.Errorf("Airflow's database has earlier tries of %v, want of %v", lost, want)
	}
	if waited := w.rows("SELECT coalesce(max(extract(epoch FROM h.end_date - j.end_date)), 0)::int FROM task_instance_history h, job j WHERE h.run_id = '" + run +
		"' AND j.job_type = 'SchedulerJob' AND j.id = h.queued_by_job_id")[0][0]; len(waited) > 2 {
		w.t.Errorf("a ghost waited %s s until it was reset", waited)
	}
}

// comesHome brings both groups home in the middle of a run: no task is lost, none runs twice, and what is paused is what was.
func (w *workflows) comesHome() {
	w.t.Helper()
	before := w.unpaused()
	w.do(w.StartRegion(stage.West))
	w.wait("both groups are whole", func() error {
		for _, g := range []stage.Group{w.db, w.flows} {
			if why := w.view(g.Name).Whole(); why != "" {
				return fmt.Errorf("%s: %s", g.Name, why)
			}
		}
		return nil
	})
	w.trigger("r2", 3*time.Second, "nightly")
	w.wait("r2 is in the middle", func() error {
		if open, done := w.open("r2"); len(open) < 3 || done < 1 {
			return fmt.Errorf("%v run, %d are done", open, done)
		}
		return nil
	})
	w.rolloutEnds(w.failbackRegion(stage.West))
	w.atHome(w.db, w.flows)
	if states := w.ends("r2", runEnds); states["nightly"] != "success" {
		w.t.Errorf("runs ended %v", states)
	}
	w.ranAgain("r2", nil)
	if n := len(w.tries("r2")); n != 22 {
		w.t.Errorf("%d tasks ran", n)
	}
	if after := w.unpaused(); after != before {
		w.t.Errorf("not paused are %s, before it %s", after, before)
	}
}

// databaseAway takes the database away where it stands, as a broken disk would, and gives it back: nothing is moved, whoever of Airflow ended runs again, and what failed is retried as its
// DAG allows.
func (w *workflows) databaseAway() {
	w.t.Helper()
	epochs := func() string { return fmt.Sprint(w.view(w.db.Name).Record.Epoch, w.view(w.flows.Name).Record.Epoch) }
	before := epochs()
	w.wait("automation leaves the database alone", func() error {
		a, err := w.Bus().Ask(w.shortly(), "alice", events.AskDisarm, `{"id":"leave-it","group":"af-db","reason":"its disk is being changed"}`)
		if err == nil && !a.Accepted {
			err = fmt.Errorf("%s", a.Why)
		}
		return err
	})
	w.trigger("r3", 25*time.Second, "lookup", "never", "hold")
	hit := w.running("r3", 6)
	db := w.Server(w.db.Primary())
	w.do(db.Spoil())
	w.do(db.Kill())
	gone := time.Now()
	w.wait("its time is over", func() error {
		if left := away - time.Since(gone); left > 0 {
			return fmt.Errorf("%v left", left)
		}
		return nil
	})
	w.do(db.Mend())
	w.wait("a scheduler and a DAG processor that began since run", func() error {
		rows := w.rows("SELECT job_type FROM job WHERE state = 'running' AND latest_heartbeat > now() - interval '10 seconds' AND start_date > to_timestamp(" + fmt.Sprint(gone.Unix()) +
			") AND job_type IN ('SchedulerJob', 'DagProcessorJob') ORDER BY 1")
		if len(rows) != 2 {
			return fmt.Errorf("%v", rows)
		}
		return nil
	})
	w.t.Logf("the database was away for %v; Airflow runs again %v after it was killed", away, time.Since(gone).Round(time.Second))
	states := w.ends("r3", runEnds)
	for until := time.Now().Add(runEnds); states["lookup"] != "success" && time.Now().Before(until); states = w.ends("r3", runEnds) { // it may have failed before it is retried
		time.Sleep(100 * time.Millisecond)
	}
	if states["lookup"] != "success" {
		w.t.Errorf("runs ended %v", states)
	}
	w.asAllowed("r3", hit)
	if after := epochs(); after != before {
		w.t.Errorf("epochs are %s, were %s: something was moved", after, before)
	}
}

// ledger waits until a ledger of the workflow has a result, or a word that there will be none, for every task of a run in it, and nothing of it is wrong.
func (w *workflows) ledger(run string, wrong func([]events.TaskEntry) string) {
	w.t.Helper()
	w.wait("the ledger has every task of "+run+" that was hit", func() error {
		out, err := w.Command(w.shortly(), "tasks", "list", w.flows.Name, "-o", "json")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var all answers.Tasks
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return err
		}
		var of []events.TaskEntry
		for _, e := range all.Entries {
			if e.Run != run {
				continue
			}
			if of = append(of, e); !e.Over() {
				return fmt.Errorf("%s is not over", entryText(&e))
			}
		}
		if why := wrong(of); why != "" {
			return errors.New(why)
		}
		return nil
	})
}

// entryText is all of an entry: as a plain value it would print as its name alone.
func entryText(e *events.TaskEntry) string {
	b, _ := json.Marshal(e) // plain data
	return string(b)
}

// asAllowed: of a run that failed in an outage, what its DAG allows was retried, once; the rest was not, and is listed with the word that says so. One of them a person retries.
func (w *workflows) asAllowed(run string, hit []string) {
	w.t.Helper()
	states := map[string][]string{} // by task: state, try
	for _, r := range w.rows("SELECT dag_id || ' ' || task_id, state, try_number FROM task_instance WHERE run_id = '" + run + "'") {
		states[r[0]] = r[1:]
	}
	w.t.Logf("hit were %v, they are %v", hit, states)
	w.ledger(run, func(es []events.TaskEntry) string {
		listed := map[string]bool{}
		for _, e := range es {
			now := states[e.DAG+" "+e.Task]
			listed[e.DAG+" "+e.Task] = true
			switch {
			case e.Class == events.TaskTwice: // it ended well, though late
			case e.DAG == "never" && (e.Action != events.TaskLeft || now[0] != "failed" || now[1] != "1"),
				e.DAG == "hold" && (e.Action != events.TaskWaits || now[0] != "failed" || now[1] != "1"),
				e.Class == events.TaskFailed && e.DAG == "lookup" && (e.Action != events.TaskCleared || e.Result != events.TaskOK || now[0] != "success" || now[1] != "2"):
				return fmt.Sprintf("%s, and in Airflow's database it is %v", entryText(&e), now)
			}
		}
		for _, h := range hit {
			if states[h][1] != "1" && !listed[h] {
				return fmt.Sprintf("it does not list %s, which is %v", h, states[h])
			}
		}
		return ""
	})
	if states["hold once"][0] != "failed" {
		w.t.Log("the task that is to wait did not fail, so nobody retries it")
		return
	}
	if out, err := w.Command(w.shortly(), "tasks", "retry", w.flows.Name, "--dag", "hold", "--reason", "its file has come", "--yes"); err != nil {
		w.t.Fatalf("retry: %v\n%s", err, out)
	}
	w.wait("the task that waited ran again", func() error {
		if got := w.rows("SELECT state, try_number FROM task_instance WHERE run_id = '" + run + "' AND dag_id = 'hold'")[0]; got[0] != "success" || got[1] != "2" {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	if got := w.rows("SELECT state, try_number FROM task_instance WHERE run_id = '" + run + "' AND dag_id = 'never'")[0]; fmt.Sprint(got) != fmt.Sprint(states["never once"]) {
		w.t.Errorf("the task that is never to be retried is %v, was %v", got, states["never once"])
	}
}

// series are the names of Airflow's own series under the role active, as the agent of a region shows them; promtool finds nothing wrong with its page.
func (w *workflows) series(region string) (names []string) {
	w.t.Helper()
	want := fmt.Sprintf(`cloud_region=%q`, region)
	client := &http.Client{Transport: &http.Transport{DialContext: w.DialOutside, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	var page []byte
	w.wait("the agent of "+region+" shows a workflow that is active", func() error {
		resp, err := client.Get(w.Scraped(region))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if page, err = io.ReadAll(resp.Body); err != nil {
			return err
		}
		names = nil
		for lines := bufio.NewScanner(bytes.NewReader(page)); lines.Scan(); {
			line := lines.Text()
			if name, _, _ := strings.Cut(line, "{"); strings.HasPrefix(name, "airflow_") && strings.Contains(line, `role="active"`) && strings.Contains(line, want) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		if !slices.Contains(names, "airflow_pool_open_slots") || !slices.Contains(names, "airflow_scheduler_heartbeat") {
			return fmt.Errorf("%v", names)
		}
		return nil
	})
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = bytes.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil {
		w.t.Errorf("promtool: %v\n%s", err, out)
	}
	return names
}
