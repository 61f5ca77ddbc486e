package airflow

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow/rest"
)

// Config says how to reach and run one workflow cluster: by Units, or by Run.
type Config struct {
	Cluster   events.Ref
	Units     []string // systemd units of whatever runs tasks or schedules them, all of them in Slice
	Slice     string   // systemd slice that holds those and nothing else: it is frozen and killed as a whole
	Bin       string   // the airflow program
	Home      string   // AIRFLOW_HOME
	EnvFile   string   // NAME=value lines of its environment; secrets may stand there
	User      string   // OS user that runs it; empty = the agent's own
	Run       []string // what to run of it on an active, as in scheduler, dag-processor, triggerer
	Warm      []string // what runs on a passive as well, and runs no task: units, or commands as in api-server
	API       rest.Config
	DSNFile   string        // file with the connection string of the metadata database
	Drain     time.Duration // how long a planned move waits for running tasks to end
	Stale     time.Duration // how old a heartbeat may be: Airflow's scheduler_health_check_threshold
	Dir       string        // where the driver keeps what it has to remember; nobody but the agent's user may write there
	Advertise string        // host:port under which clients reach it; empty = nobody has to
	Self      []string      // program and arguments that run Hold; Run alone needs it
	Processes int           // the most it may have
	Cgroup    string        // where its processes are begun; empty = wherever the agent is
}

// What a configuration has where it says nothing.
const (
	DefaultDrain = 4 * time.Minute // a planned move waits five in all for what comes before it
	DefaultStale = 30 * time.Second
	// DefaultProcesses are the scheduler and its 32 workers with a supervisor and a task for each, and the rest.
	DefaultProcesses = 128
)

// parts are the words by which the part that schedules is known in a command or a unit's name; the others as they are called in Airflow's own list of jobs.
var parts = []struct{ word, job string }{{"scheduler", "SchedulerJob"}, {"dag-processor", "DagProcessorJob"}, {"triggerer", "TriggererJob"}}

// job is the type of the row by which a part shows that it is well; empty = it has none, as a worker.
func job(part string) string {
	for _, p := range parts {
		if strings.Contains(part, p.word) {
			return p.job
		}
	}
	return ""
}

// run is whatever has to run on an active.
func (c *Config) run() []string {
	if len(c.Units) > 0 {
		return c.Units
	}
	return c.Run
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case (len(c.Units) > 0) == (len(c.Run) > 0):
		return errors.New("kind airflow: want units, or processes with run: one of them")
	case len(c.Units) > 0 && !strings.HasSuffix(c.Slice, ".slice"):
		return fmt.Errorf("kind airflow: slice %q: want the systemd slice that all its units are in, as in airflow.slice: they are fenced as one", c.Slice)
	case len(c.Run) > 0 && (!filepath.IsAbs(c.Bin) || !filepath.IsAbs(c.Home)):
		return errors.New("kind airflow: processes: want bin (the path of the airflow program) and home (AIRFLOW_HOME)")
	case len(c.Run) > 0 && len(c.Self) == 0:
		return errors.New("kind airflow: processes: nothing to hold them")
	case !slices.ContainsFunc(c.run(), func(p string) bool { return job(p) == parts[0].job }):
		return fmt.Errorf("kind airflow: none of %v is a scheduler: want the one that is to be fenced among them", c.run())
	case c.DSNFile == "":
		return errors.New("kind airflow: no dsn_file: want the file with the connection string of its metadata database, naming every host it may be on, with target_session_attrs=read-write")
	case !filepath.IsAbs(c.Dir):
		return errors.New("kind airflow: no directory for what the driver has to remember")
	}
	for _, w := range c.Warm {
		if j := job(w); j == parts[0].job || j == parts[2].job || strings.Contains(w, "worker") {
			return fmt.Errorf("kind airflow: warm: %q runs tasks: want it among what runs on an active only", w)
		}
	}
	return nil
}
