package postgres_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

func TestNeverOurChild(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	a.do(events.Done, driver.Action{Verb: driver.Start})
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.postmaster()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	if f := strings.Fields(rest); len(f) < 2 || f[1] == fmt.Sprint(os.Getpid()) {
		t.Errorf("the postmaster's parent is us: %q", rest)
	}
}

func TestTreeFindsTheServer(t *testing.T) {
	t.Parallel()
	a := one(t)
	for range 2 {
		tree := a.d.Tree()
		want := driver.Tree{
			PIDFile: a.Data + "/postmaster.pid", Match: a.Data, Signal: a.Data + "/standby.signal", Mark: a.Data + "/switchback.mark", Address: a.Address(),
		}
		if tree != want {
			t.Errorf("tree %+v, want %+v", tree, want)
		}
		if err := a.Server.Kill(); err != nil { // the same of a server that is down
			t.Fatal(err)
		}
	}
	hidden := a.Data + "/hidden.pid" // the fixture cleans up by it
	if err := os.Rename(a.Data+"/postmaster.pid", hidden); err != nil {
		t.Fatal(err)
	}
	defer os.Rename(hidden, a.Data+"/postmaster.pid")
	if got := newSubject(t, a.Server).d.Tree().Address; got != a.Address() {
		t.Errorf("a new driver of a server that is down: address %q, want %q", got, a.Address())
	}
}

func TestStartThatFailsPutsTheSignalBack(t *testing.T) {
	t.Parallel()
	a := one(t)
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	if err := a.Configure("shared_preload_libraries = 'no_such_library'"); err != nil {
		t.Fatal(err)
	}
	r := a.do(events.Retry, driver.Action{Verb: driver.Start})
	if !strings.Contains(r.Why, "no_such_library") {
		t.Errorf("why %q: want the server's own reason", r.Why)
	}
	if !exists(t, a, "standby.signal") {
		t.Error("a start that failed left no standby.signal")
	}
	if err := a.Configure("shared_preload_libraries = ''"); err != nil {
		t.Fatal(err)
	}
	a.do(events.Done, driver.Action{Verb: driver.Start})
}

func TestLinksInTheDataDirectoryAreNotFollowedAway(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root could read more than the server's owner")
	}
	a := one(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("{\"group\": \"secret\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := exists(t, a, "switchback.conf")
	for _, name := range []string{"switchback.mark", "postgresql.conf"} {
		path := filepath.Join(a.Data, name)
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if err := os.Symlink(secret, path); err != nil {
			t.Fatal(err)
		}
	}
	if h := a.probe(); h.Mark != "" {
		t.Errorf("mark %q read through a link to a file of root's", h.Mark)
	}
	if r := a.d.Do(t.Context(), driver.Action{Verb: driver.Start}); r.Outcome.OK() || !strings.Contains(r.Why, "read") {
		t.Errorf("settings rendered through a link to a file of root's: %+v", r)
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "{\"group\": \"secret\"}\n" || before {
		t.Errorf("the file behind the link: %q (%v)", b, err)
	}
}

// TestDebianUnit runs a server by pg_ctlcluster, its configuration outside its data directory, known by the name of its unit alone.
func TestDebianUnit(t *testing.T) {
	if _, err := exec.LookPath("pg_createcluster"); err != nil {
		t.Skipf("NOT TESTED: no postgresql-common on this host: %v", err)
	}
	lab := postgrestest.Shared(t)
	s, err := lab.Make(postgrestest.Name("d"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	etc := filepath.Join(s.Socket, "etc")
	t.Setenv("PG_CLUSTER_CONF_ROOT", etc)
	major := filepath.Base(filepath.Dir(lab.Bin))
	name := strings.ReplaceAll(s.Name, "-", "")
	if err := os.Remove(filepath.Join(s.Data, "postgresql.conf")); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(etc, major, name)
	if err := os.MkdirAll(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(conf, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("postgresql.conf", fmt.Sprintf("data_directory = '%s'\nhba_file = '%s/pg_hba.conf'\nident_file = '%s/pg_ident.conf'\nport = %d\nunix_socket_directories = '%s'\nlisten_addresses = '127.0.0.1'\nmax_connections = 60\n",
		s.Data, s.Data, s.Data, s.Port, s.Socket))
	write("start.conf", "manual\n")
	if out, err := exec.Command("chown", "-R", lab.User, etc).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if err := os.Symlink(filepath.Join(s.Socket, "log"), filepath.Join(conf, "log")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Socket, "log"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("chown", lab.User, filepath.Join(s.Socket, "log")).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	d, err := postgres.New(postgres.Config{Cluster: events.Ref{Region: "eu-west-1", Cluster: s.Name}, Unit: "postgresql@" + major + "-" + name}, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	a := subject{s, t, d}
	if tree := d.Tree(); tree.Unit == "" || tree.Match != s.Data || tree.Address != s.Address() {
		t.Errorf("tree: %+v", tree)
	}
	a.untilServer(events.ServerDown)
	a.do(events.Done, driver.Action{Verb: driver.Start})
	if h := a.probe(); h.Server != events.ServerWritable || !h.CanaryOK {
		t.Errorf("probe: %+v", h)
	}
	if off := a.must("SHOW restart_after_crash"); off != "off" {
		t.Errorf("restart_after_crash is %s", off)
	}
	a.do(events.Done, driver.Action{Verb: driver.Stop})
	a.do(events.Done, driver.Action{Verb: driver.StartStandby})
	a.untilServer(events.ServerRecovery)
}

// BenchmarkPromote is the time from the order to the driver's answer, after the first acknowledged write.
func BenchmarkPromote(b *testing.B) {
	var serving time.Duration
	for b.Loop() {
		b.StopTimer()
		a, s := pair(b)
		until(b, "streaming", func() bool { return s.probe().Streaming })
		a.do(events.Done, driver.Action{Verb: driver.Stop})
		b.StartTimer()
		serving += s.do(events.Done, driver.Action{Verb: driver.Promote}).Took
	}
	b.ReportMetric(float64(serving.Microseconds())/float64(b.N)/1000, "ms/promote")
}

// BenchmarkStop is the time from the order to the answer that has the end of the log.
func BenchmarkStop(b *testing.B) {
	var took time.Duration
	for b.Loop() {
		b.StopTimer()
		a, s := pair(b)
		until(b, "streaming", func() bool { return s.probe().Streaming })
		b.StartTimer()
		took += a.do(events.Done, driver.Action{Verb: driver.Stop}).Took
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N)/1000, "ms/stop")
}

// BenchmarkSwitchover is the gap of a planned move: the stop, the cut up to its end, the promotion, up to the first acknowledged write.
func BenchmarkSwitchover(b *testing.B) {
	var stop, cut, promote time.Duration
	for b.Loop() {
		b.StopTimer()
		a, s := pair(b, "wal_retrieve_retry_interval = 5s")
		a.do(events.AlreadyDone, driver.Action{Verb: driver.Start})
		until(b, "streaming", func() bool { return s.probe().Streaming })
		a.do(events.AlreadyDone, driver.Action{Verb: driver.Checkpoint})
		tend(b, s, a.Name) // as an agent does all the time: its connection is warm
		b.StartTimer()
		r := a.do(events.Done, driver.Action{Verb: driver.Stop})
		c := s.do(events.Done, driver.Action{Verb: driver.Cut, Until: r.LSN})
		if c.Replayed < r.LSN {
			b.Fatalf("cut at %v, stopped at %v", c.Replayed, r.LSN)
		}
		p := s.do(events.Done, driver.Action{Verb: driver.Promote})
		stop, cut, promote = stop+r.Took, cut+c.Took, promote+p.Took
	}
	for name, d := range map[string]time.Duration{"ms/stop": stop, "ms/cut": cut, "ms/promote": promote, "ms/gap": stop + cut + promote} {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N)/1000, name)
	}
}
