package account

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/tasks"
)

var zero = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

func key(dag, task string) events.TaskKey {
	return events.TaskKey{DAG: dag, Run: "r", Task: task, Map: -1}
}

// region is an Airflow that lost its side: of DAG etl three failed with what comes after them, one is up for retry, two are ghosts; DAGs held and never lost one task each.
func region() *fake {
	f := &fake{
		rows: map[events.TaskKey]*tasks.Instance{}, after: map[events.TaskKey][]events.TaskKey{}, tags: map[string][]string{"held": {"dr:hold"}, "never": {"dr:never"}},
		ends: map[events.TaskKey]string{}, clears: map[events.TaskKey]int{}, now: zero.Add(46 * time.Second),
		window: events.TaskWindow{From: zero, Cut: zero.Add(30 * time.Second), To: zero.Add(45 * time.Second), Jobs: []int64{1}},
	}
	put := func(k events.TaskKey, state string, job int64) {
		f.rows[k] = &tasks.Instance{TaskKey: k, State: state, Try: 1, Job: job, Open: true}
		if state == tasks.Failed || state == tasks.UpForRetry || state == tasks.UpstreamFailed {
			f.rows[k].End = zero.Add(10 * time.Second)
		}
	}
	for n := range 3 {
		put(key("etl", fmt.Sprintf("f%d", n)), tasks.Failed, 1)
		f.after[key("etl", fmt.Sprintf("f%d", n))] = []events.TaskKey{key("etl", "join")}
	}
	put(key("etl", "join"), tasks.UpstreamFailed, 0)
	put(key("etl", "u"), tasks.UpForRetry, 1)
	put(key("etl", "g0"), tasks.Running, 1)
	put(key("etl", "g1"), tasks.Queued, 1)
	put(key("held", "h"), tasks.Failed, 1)
	put(key("never", "n"), tasks.Failed, 1)
	return f
}

// stage is a keeper with all it needs, whose process can end and begin anew.
type stage struct {
	t     *testing.T
	f     *fake
	dir   string
	k     *Keeper
	parts map[int]events.TaskPart
	told  []events.TaskSummary
	may   error
	reg   *prometheus.Registry
	m     *Metrics
}

func newStage(t *testing.T, f *fake) *stage {
	s := &stage{t: t, f: f, dir: t.TempDir(), parts: map[int]events.TaskPart{}, reg: prometheus.NewRegistry()}
	s.m = NewMetrics(s.reg)
	s.begin()
	return s
}

func (s *stage) begin() {
	s.t.Helper()
	var err error
	s.k, err = New(Config{
		Cluster: events.Ref{Region: "r2", Cluster: "af-b"}, Dir: s.dir, Airflow: s.f, May: func(context.Context) error { return s.may }, Metrics: s.m.Of(events.Ref{Region: "r2", Cluster: "af-b"}),
		Publish: func(_ context.Context, p events.TaskPart) error { s.parts[p.Part] = p; return nil },
		Told:    func(_ context.Context, x *events.TaskSummary) { s.told = append(s.told, *x) },
	}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		s.t.Fatal(err)
	}
}

func policy() events.TaskPolicy {
	p := events.DefaultTaskPolicy()
	p.Pace = events.Duration(100 * time.Millisecond)
	return p
}

func (s *stage) open() {
	s.t.Helper()
	if r := s.k.Open(s.t.Context(), Order{Operation: "af-8", Group: "af", Epoch: 8, Policy: policy()}); !r.Outcome.OK() {
		s.t.Fatalf("%+v", r)
	}
}

// crash ends the process that a fake's crash stands for.
type crash struct{}

// run runs the keeper until done says so, with a round of the scheduler every two seconds; a crash ends it early and it begins anew. It returns how often it crashed.
func (s *stage) run(reset bool, done func() bool) (crashes int) {
	s.t.Helper()
	for range 600 {
		crashed := func() (c bool) {
			defer func() {
				if r := recover(); r != nil {
					if _, ours := r.(crash); !ours {
						panic(r)
					}
					c = true
				}
			}()
			s.k.pass(s.t.Context())
			s.k.tell(s.t.Context())
			return false
		}()
		if crashed {
			crashes++
			s.begin() // the old one's locks and files go with its process
			s.k.calm = time.Now().Add(settle)
		}
		if done() {
			return crashes
		}
		time.Sleep(2 * time.Second)
		s.f.now = s.f.now.Add(2 * time.Second)
		s.f.schedule(reset)
	}
	s.t.Fatalf("it does not end: %+v", s.k.all[0].entries)
	return 0
}

func (s *stage) closed() bool { return s.k.all[0].closed() }

// value is the sum of a metric's series.
func (s *stage) value(name string) (sum float64) {
	s.t.Helper()
	all, err := s.reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// result is what a task came to, in a word.
func (s *stage) result(k events.TaskKey) string {
	for _, e := range s.k.all[0].entries {
		if e.TaskKey == k {
			return fmt.Sprintf("%s %s %s", e.Class, e.Action, e.Result)
		}
	}
	return ""
}

func TestLedger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, region())
		s.f.rows[key("etl", "g0")].Note = "mine"
		s.open()
		s.run(true, s.closed)
		for k, want := range map[events.TaskKey]string{
			key("etl", "f0"): "failed cleared success", key("etl", "f1"): "failed cleared success", key("etl", "f2"): "failed cleared success", key("etl", "join"): "upstream-failed none success",
			key("etl", "u"): "up-for-retry none success", key("etl", "g0"): "ghost none success", key("etl", "g1"): "ghost none success", key("held", "h"): "failed waits ", key("never", "n"): "failed left-alone ",
		} {
			if got := s.result(k); got != want {
				t.Errorf("%s: %s, want %s", k, got, want)
			}
		}
		if !tasks.Marked(s.f.rows[key("etl", "f0")].Note, "af-8") || s.f.rows[key("etl", "g0")].Note != "mine" || s.f.rows[key("never", "n")].State != tasks.Failed {
			t.Errorf("%+v", s.f.rows)
		}
		if last := s.told[len(s.told)-1]; !last.Closed || last.Waits != 1 || last.Entries != 9 || last.Operation != "af-8" {
			t.Errorf("told %+v", last)
		}
		if p := s.parts[0]; !p.Summary.Closed || len(p.Entries) != 9 || !reflect.DeepEqual(p.Entries, s.k.all[0].entries) {
			t.Errorf("the bus has %+v", p)
		}

		// What waits is retried once a person says so; what is left alone never is.
		r := &events.TaskRetry{No: 1, Operation: "af-8", By: "ann", Reason: "looked at it"}
		if x := s.k.Retry(r); x.Outcome != events.Done || x.Why != "1 tasks of af-8 are retried" {
			t.Errorf("%+v", x)
		}
		if x := s.k.Retry(r); x.Outcome != events.AlreadyDone {
			t.Errorf("%+v", x)
		}
		if x := s.k.Retry(&events.TaskRetry{No: 2, Operation: "af-9"}); x.Outcome != events.Refused {
			t.Errorf("%+v", x)
		}
		s.run(true, s.closed)
		if got := s.result(key("held", "h")); got != "failed cleared success" || s.f.clears[key("never", "n")] != 0 {
			t.Errorf("held: %s, never cleared %d times", got, s.f.clears[key("never", "n")])
		}
		if p := s.parts[0]; !p.Summary.Closed || p.Summary.Waits != 0 || !s.k.all[0].told {
			t.Errorf("the bus has %+v", p.Summary)
		}
		if n, w := s.value("switchback_tasks_cleared_total"), s.value("switchback_tasks_window_seconds"); n != 4 || w != 45 {
			t.Errorf("metrics: %v cleared, a window of %v s", n, w)
		}
	})
}

// The process is ended at every change there is, before and after it took effect, and once more at the same place of the next process: no task is cleared twice by us, and all of them
// come to the same end.
func TestACrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, stuck := range []bool{false, true} { // ghosts that nobody resets are set failed first: two changes for one
		for _, when := range []string{"before", "after"} {
			for at := 1; at <= 9; at++ {
				t.Run(fmt.Sprintf("stuck=%v %s change %d", stuck, when, at), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						s := newStage(t, region())
						s.open()
						s.f.crash = func(call int, w string) {
							if w == when && call >= at && call < at+2 {
								s.f.mu.Unlock() // the request's, which is carried out or not
								defer s.f.mu.Lock()
								panic(crash{})
							}
						}
						s.run(!stuck, s.closed)
						for k, n := range s.f.clears {
							if n > 1 {
								t.Errorf("%s was cleared %d times", k, n)
							}
						}
						for _, k := range []string{"f0", "f1", "f2"} {
							if got := s.result(key("etl", k)); got != "failed cleared success" {
								t.Errorf("%s: %s", k, got)
							}
						}
						for _, k := range []string{"g0", "g1", "u", "join"} {
							if got := s.result(key("etl", k)); !strings.HasSuffix(got, " success") {
								t.Errorf("%s: %s", k, got)
							}
						}
						if got := s.result(key("never", "n")); got != "failed left-alone " {
							t.Error(got)
						}
					})
				})
			}
		}
	}
}

// A write that a crash cut short is not there; everything before it is.
func TestATornLine(t *testing.T) {
	t.Parallel()
	s := newStage(t, region())
	s.open()
	s.k.Close()
	path := filepath.Join(s.dir, "af-8"+suffix)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"i":1,"intent":{"do":"cl`...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.begin()
	if len(s.k.all) != 1 || len(s.k.all[0].intents) != 0 || len(s.k.all[0].entries) != 9 {
		t.Fatalf("%+v", s.k.all)
	}
	if err := s.k.all[0].write(line{I: 1, Intent: &tasks.Intent{Do: tasks.Clear, Try: 1}}); err != nil {
		t.Fatal(err)
	}
	s.k.Close()
	s.begin()
	if len(s.k.all[0].intents) != 1 {
		t.Error("an intent that was on disk is gone")
	}
	s.k.Close()
	for name, bad := range map[string]string{"an unknown field": `{"i":1,"colour":2}` + "\n", "no JSON": "x\n", "an entry that is not there": `{"i":99,"told":true}` + "\n"} {
		if err := os.WriteFile(path, append(whole, bad...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusalsAndOutages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, region())
		s.f.noSched = true
		if r := s.k.Open(t.Context(), Order{Operation: "af-8", Group: "af", Policy: policy()}); r.Outcome != events.Retry {
			t.Errorf("%+v", r)
		}
		s.f.noSched = false
		s.open()
		s.may = errors.New("af-b is not active here")
		s.k.pass(t.Context())
		s.k.tell(t.Context())
		if last := s.told[len(s.told)-1]; last.Stuck != "af-b is not active here" || s.f.calls != 0 {
			t.Errorf("%+v after %d calls", last, s.f.calls)
		}
		s.may, s.f.refuse = nil, errors.New("connection refused")
		s.k.pass(t.Context())
		s.k.tell(t.Context())
		if last := s.told[len(s.told)-1]; !strings.Contains(last.Stuck, "connection refused") {
			t.Errorf("%+v", last)
		}
		s.f.refuse = &Refusal{"404: no such DAG"}
		s.f.rows[key("etl", "join")].Open = false // the run is over without it
		s.run(true, s.closed)
		if got := s.result(key("etl", "f0")); got != "failed waits " {
			t.Error(got)
		}
		if e := s.k.all[0].entries[0]; !strings.Contains(e.Why, "404") {
			t.Errorf("%+v", e)
		}
	})
}

// An outage in place has a ledger of its own, named after the group; whoever asks for the same operation again gets the same one.
func TestLedgersOfOutagesInPlace(t *testing.T) {
	t.Parallel()
	s := newStage(t, region())
	for n := range 2 {
		s.f.window.Jobs = append(s.f.window.Jobs, int64(n+3)) // another one died
		if r := s.k.Open(t.Context(), Order{Group: "af", Epoch: 8, Policy: policy()}); r.Outcome != events.Done {
			t.Fatalf("%+v", r)
		}
	}
	if r := s.k.Open(t.Context(), Order{Group: "af", Epoch: 8, Policy: policy()}); r.Outcome != events.Done || len(s.k.all) != 2 {
		t.Fatalf("nothing died, and there are %d ledgers: %+v", len(s.k.all), r)
	}
	s.open()
	if r := s.k.Open(t.Context(), Order{Operation: "af-8", Group: "af", Policy: policy()}); r.Outcome != events.AlreadyDone {
		t.Errorf("%+v", r)
	}
	s.k.Close()
	s.begin()
	var got []string
	for _, b := range s.k.all {
		got = append(got, fmt.Sprint(b.Operation, " ", b.Local))
	}
	if want := []string{"af-8-local-1 true", "af-8-local-2 true", "af-8 false"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

// Ten thousand tasks: all of them arrive on the bus, in pieces, and none is cleared faster than the pace.
func TestMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := region()
		clear(f.rows)
		for n := range 10_000 {
			k := key(fmt.Sprintf("d%d", n%100), fmt.Sprintf("t%d", n))
			f.rows[k] = &tasks.Instance{TaskKey: k, State: tasks.Running, Try: 1, Job: 1, Open: true}
			if n < 300 {
				f.rows[k].State, f.rows[k].End = tasks.Failed, zero.Add(time.Second)
			}
		}
		s := newStage(t, f)
		s.open()
		began := time.Now()
		s.run(true, s.closed)
		if took := time.Since(began); took < 299*policy().Pace.D() {
			t.Errorf("300 retries took %s at a pace of %s", took, policy().Pace.D())
		}
		n := 0
		for p := range events.TaskParts(10_000) {
			for _, e := range s.parts[p].Entries {
				if e.Result == events.TaskOK {
					n++
				}
			}
		}
		if n != 10_000 || len(f.clears) != 300 {
			t.Errorf("%d of 10000 arrived with their result, %d were cleared", n, len(f.clears))
		}
	})
}
