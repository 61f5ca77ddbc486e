package stage

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/driver/airflow"
)

// Workflow is one Airflow installation of a workflow group: its home, in one region.
type Workflow struct {
	Ref      events.Ref
	Home     string // AIRFLOW_HOME
	Venv     string // with Airflow's programs in bin
	API      string // base address of its api-server
	Env      string // file with its settings, one NAME=VALUE a line
	Password string // file with the password of the API's user
	DSN      string // file with the address of its metadata database, both servers in it

	group Group
}

// User is whom its API knows.
func (*Workflow) User() string { return WorkflowUser }

// WorkflowUser is who the stage, and the driver, are to Airflow's API.
const WorkflowUser = "admin"

const (
	workflowPassword = "stage"
	apiPort          = 8080
	logPort          = 8793 // of the scheduler; the triggerer's is the next one
)

// What runs on the active alone, and what runs on both sides.
var (
	workflowRuns = []string{"scheduler", "dag-processor"}
	workflowWarm = []string{"api-server"}
)

//go:embed dags/*.py
var dags embed.FS

// workflowEnv is Airflow as small as it goes and, but for that, with its defaults: how long it takes to see ghosts and heartbeats by itself is what a failover has to get along with.
var workflowEnv = template.Must(template.New("").Parse(`AIRFLOW_HOME={{.Home}}
HOME={{.Home}}
PATH={{.Venv}}/bin:/usr/bin:/bin
LC_ALL=C.UTF-8
PYTHONDONTWRITEBYTECODE=1
STAGE_LINES={{.Lines}}
STAGE_DSN={{.DSN}}
AIRFLOW__CORE__EXECUTOR=LocalExecutor
AIRFLOW__CORE__PARALLELISM=10
AIRFLOW__CORE__LOAD_EXAMPLES=False
AIRFLOW__CORE__DAGS_FOLDER={{.DAGs}}
AIRFLOW__CORE__HOSTNAME_CALLABLE=socket.gethostname
AIRFLOW__CORE__FERNET_KEY={{.Key}}
AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS={{.User}}:admin
AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE={{.Home}}/passwords.json
AIRFLOW__CORE__EXECUTION_API_SERVER_URL={{.API}}/execution/
AIRFLOW__API__HOST={{.Host}}
AIRFLOW__API__PORT={{.Port}}
AIRFLOW__API__WORKERS=1
AIRFLOW__API__BASE_URL={{.API}}
AIRFLOW__API__SECRET_KEY={{.Key}}
AIRFLOW__API_AUTH__JWT_SECRET={{.Key}}
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN={{.Conn}}
AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE=2
AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW=4
AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES=1
AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT={{.LogPort}}
AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT={{.TriggerPort}}
AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC=2
AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC=3
AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=30
AIRFLOW__WORKERS__EXECUTION_API_RETRIES=30
AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX=5
`))

// makeWorkflows makes every workflow group, and its tables in its database.
func (s *Stage) makeWorkflows() error {
	for _, g := range s.options.Groups {
		if g.Kind() != events.KindAirflow {
			continue
		}
		if err := s.makeWorkflow(g); err != nil {
			return err
		}
		if err := s.migrate(g); err != nil {
			return err
		}
	}
	return nil
}

// makeWorkflow makes both homes of a workflow group, with the same DAGs and the same keys.
func (s *Stage) makeWorkflow(g Group) error {
	if _, err := os.Stat(filepath.Join(s.options.Airflow, "bin", "airflow")); err != nil {
		return fmt.Errorf("no Airflow: %w: run deploy/need.sh airflow", err)
	}
	at := filepath.Join(s.home.dir, g.Name)
	lines, code := at+".lines", at+".dags"
	err := errors.Join(s.ownFile(lines, ""), os.Mkdir(code, 0o755))
	all, _ := dags.ReadDir("dags") // embedded: it is there
	for _, f := range all {
		text, _ := dags.ReadFile("dags/" + f.Name())
		err = errors.Join(err, os.WriteFile(filepath.Join(code, f.Name()), text, 0o644))
	}
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	key := base64.URLEncoding.EncodeToString(secret)
	var hosts []string
	for _, ref := range s.group(g.Database).Clusters() {
		hosts = append(hosts, s.Server(ref).Address())
	}
	for i, ref := range g.Clusters() {
		home := filepath.Join(s.dir(ref.Region), ref.Cluster)
		w := &Workflow{
			Ref: ref, Home: home, Venv: s.options.Airflow, Env: home + ".env", Password: home + ".password", DSN: home + ".dsn", group: g,
			API: "http://" + net.JoinHostPort(s.net.address(ref.Region), strconv.Itoa(apiPort)),
		}
		var env strings.Builder
		err := workflowEnv.Execute(&env, map[string]any{
			"Home": w.Home, "Venv": w.Venv, "API": w.API, "Lines": lines, "DAGs": code, "Key": key, "User": WorkflowUser, "Host": s.net.address(ref.Region), "Port": apiPort,
			"Conn": connection("postgresql+psycopg2", hosts), "DSN": connection("postgresql", hosts), "LogPort": logPort + 10*i, "TriggerPort": logPort + 10*i + 1,
		})
		err = errors.Join(err, os.Mkdir(home, 0o755), s.owner.own(home), s.ownFile(w.Env, env.String()), s.ownFile(w.Password, workflowPassword),
			s.ownFile(w.DSN, connection("postgresql", hosts)), s.ownFile(filepath.Join(home, "passwords.json"), fmt.Sprintf(`{%q: %q}`, WorkflowUser, workflowPassword)))
		if err != nil {
			return fmt.Errorf("make workflow %s: %w", ref, err)
		}
		s.workflows = append(s.workflows, w)
	}
	return nil
}

// metadataSettings let in all that two installations connect, one of them but for a warm api-server: a scheduler and a DAG processor keep one to three sessions each, an api-server some more.
const metadataSettings = "max_connections = 24\n"

// holdsMetadata says whether a server is of a group that is some workflow group's database.
func (s *Stage) holdsMetadata(ref events.Ref) bool {
	for _, g := range s.options.Groups {
		if g.Database != "" && slices.Contains(s.group(g.Database).Clusters(), ref) {
			return true
		}
	}
	return false
}

// connection reaches whichever of the servers takes writes. One that is dark costs two seconds, not the minutes that TCP would wait.
func connection(scheme string, hosts []string) string {
	if strings.Contains(scheme, "+") { // SQLAlchemy's way to name several
		return scheme + "://airflow@/airflow?host=" + strings.Join(hosts, "&host=") + "&target_session_attrs=read-write&connect_timeout=2"
	}
	return scheme + "://airflow@" + strings.Join(hosts, ",") + "/airflow?target_session_attrs=read-write&connect_timeout=2"
}

// ownFile writes a file that is the servers' account's alone.
func (s *Stage) ownFile(path, text string) error {
	return errors.Join(os.WriteFile(path, []byte(text), 0o600), s.owner.own(path))
}

// migrate makes the tables of a workflow group in its database, at home. It takes about 8 s of one core.
func (s *Stage) migrate(g Group) error {
	db := s.Server(s.group(g.Database).Primary())
	if _, err := db.SQL(s.ctx, "CREATE ROLE airflow LOGIN"); err != nil {
		return fmt.Errorf("make role of %s: %w", g.Name, err)
	}
	if _, err := db.SQL(s.ctx, "CREATE DATABASE airflow OWNER airflow"); err != nil {
		return fmt.Errorf("make database of %s: %w", g.Name, err)
	}
	w := s.Workflow(g.Primary())
	cmd, err := w.command(s, "db", "migrate")
	if err == nil {
		err = run(cmd, func(c *exec.Cmd) error { return s.net.start(w.Ref.Region, c) })
	}
	if err != nil {
		return fmt.Errorf("make tables of %s: %w", g.Name, err)
	}
	return nil
}

// startWorkflows begins every workflow group as its agents would, the active at home, the passive standing by, and returns when its scheduler and DAG processor beat.
func (s *Stage) startWorkflows() error {
	for _, w := range s.workflows {
		if err := s.begin(w); err != nil {
			return fmt.Errorf("start workflow %s: %w", w.Ref, err)
		}
	}
	var all errgroup.Group
	for _, w := range s.workflows {
		all.Go(func() error {
			return until(s.ctx, 2*time.Minute, func(ctx context.Context) error { return s.ready(ctx, w) })
		})
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("start api-servers: %w", err)
	}
	for _, g := range s.options.Groups {
		if g.Kind() != events.KindAirflow {
			continue
		}
		err := until(s.ctx, 90*time.Second, func(ctx context.Context) error {
			rows, err := s.Server(s.group(g.Database).Primary()).SQLOf(ctx, "airflow", "SELECT job_type FROM job WHERE state = 'running'")
			if err == nil && len(rows) < 2 {
				err = fmt.Errorf("only %v run", rows)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("start workflow group %s: %w", g.Name, err)
		}
	}
	return nil
}

// begin has a holder for what runs tasks, and one for what is warm.
func (s *Stage) begin(w *Workflow) error {
	agent := config.Agent{State: filepath.Join(s.dir(w.Ref.Region), "state")}
	for _, p := range s.processes {
		if p.kind == Agent && p.region == w.Ref.Region {
			agent.State = p.state // of the last host
		}
	}
	dir := agent.AirflowDir(w.Ref.Cluster)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	side := airflow.Spec{Dir: dir, Name: "holder", Standby: filepath.Join(dir, "standby"), Bin: filepath.Join(w.Venv, "bin", "airflow"), Home: w.Home, EnvFile: w.Env, User: s.owner.name, Run: workflowRuns}
	warm := side
	warm.Name, warm.Standby, warm.Run = "warm", "", workflowWarm
	if w.Ref != w.group.Primary() {
		if err := os.WriteFile(side.Standby, nil, 0o600); err != nil {
			return err
		}
	}
	for _, spec := range []airflow.Spec{warm, side} {
		b, err := json.Marshal(spec)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, spec.Name+".json")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return err
		}
		log, err := os.OpenFile(filepath.Join(dir, spec.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		cmd := exec.Command(s.options.Binary, "hold", file)
		cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, log, log, &syscall.SysProcAttr{Setsid: true}
		if err := s.net.start(w.Ref.Region, cmd); err != nil {
			return err
		}
		go func() { _ = cmd.Wait() }() // reaped; what it holds, its agent tells
	}
	return nil
}

// command is Airflow's own program in a home.
func (w *Workflow) command(s *Stage, args ...string) (*exec.Cmd, error) {
	env, err := os.ReadFile(w.Env)
	cmd := exec.CommandContext(s.ctx, filepath.Join(w.Venv, "bin", "airflow"), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = w.Home, strings.Split(strings.TrimSpace(string(env)), "\n"), s.owner.attr()
	return cmd, err
}

// Workflow finds an Airflow installation.
func (s *Stage) Workflow(ref events.Ref) *Workflow {
	for _, w := range s.workflows {
		if w.Ref == ref {
			return w
		}
	}
	return nil
}

// group finds a group by its name.
func (s *Stage) group(name string) Group {
	for _, g := range s.options.Groups {
		if g.Name == name {
			return g
		}
	}
	return Group{}
}
