package stage

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
)

// The ports of every region's address; PostgreSQL's begin at 5432.
const (
	clientPort     = "4222"
	clusterPort    = "6222"
	peersPort      = 8701 // of a region's first host; each further one adds hostPorts
	agentMetrics   = 8702
	hostPorts      = 10
	controlMetrics = "8703"
	hubMetrics     = "8704"
	ownAPIPort     = "8700"
)

// site is what the templates see.
type site struct {
	Region, Address, Dir string
	Witness              bool
	Regions              []string
	Addresses            map[string]string
	Agent, Controller    identity
	Export               string
	Bin, User, Kernel    string
	Profile, Name, State string
	Peers, Metrics       int
	Tokens               string    // file of the API's tokens; empty = no API
	Servers              []*Server // of the host
	Plains               []*Plain  // of the host
	Workflows            []*Workflow
}

var files = template.Must(template.New("").Parse(`
{{- define "hub"}}region: {{.Region}}
name: hub-{{.Region}}
store: {{.Dir}}/nats
client: {{.Address}}:` + clientPort + `
cluster: {{.Address}}:` + clusterPort + `
routes: {{"{"}}{{range $i, $r := .Regions}}{{if $i}}, {{end}}{{$r}}: {{index $.Addresses $r}}:` + clusterPort + `{{end}}}
metrics: {listen: {{.Address}}:` + hubMetrics + `}
{{end}}
{{- define "servers"}}{{"{"}}{{range $i, $r := .Regions}}{{if $i}}, {{end}}{{$r}}: nats://{{index $.Addresses $r}}:` + clientPort + `{{end}}}{{end}}
{{- define "controller"}}region: {{.Region}}
name: c1
{{if .Witness}}prefer_leader: true
{{end}}profile: {{.Profile}}
nats: {servers: {{template "servers" .}}}
tls: {cert: {{.Controller.Cert}}, key: {{.Controller.Key}}, ca: {{.Controller.CA}}}
metrics: {listen: {{.Address}}:` + controlMetrics + `}
{{if .Tokens}}api: {listen: {{.Address}}:` + ownAPIPort + `, tokens: {{.Tokens}}}
{{end}}{{end}}
{{- define "agent"}}region: {{.Region}}
name: {{.Name}}
hub: {{template "servers" .}}
identity: {cert: {{.Agent.Cert}}, cert_key: {{.Agent.Key}}, ca: {{.Agent.CA}}}
listen: {peers: {{.Address}}:{{.Peers}}, metrics: {{.Address}}:{{.Metrics}}}
state: {{.State}}
profile: {{.Profile}}
{{if .Kernel}}fence: {kernel: {{.Kernel}}}
{{end}}{{if .Export}}metrics: {{.Export}}
{{end}}clusters:
{{- range .Servers}}
  {{.Ref.Cluster}}: {postgres: {data: {{.Data}}, bin: {{$.Bin}}, user: {{$.User}}, advertise: {{.Address}}}}
{{- end}}
{{- range .Plains}}{{$p := .}}
  {{.Ref.Cluster}}:
    exec:
      commands: {{"{"}}{{range $i, $v := $.Verbs}}{{if $i}}, {{end}}{{$v}}: [{{$p.Commands}}, {{$v}}, {{$p.Dir}}, {{$p.Out}}]{{end}}}
      dir: {{.Dir}}
      pid_file: {{.Dir}}/pid
      match: {{.Dir}}
      processes: 4
{{- end}}
{{- range .Workflows}}
  {{.Ref.Cluster}}:
    airflow:
      processes: {bin: {{.Venv}}/bin/airflow, home: {{.Home}}, env_file: {{.Env}}, user: {{$.User}}, run: [scheduler, dag-processor]}
      warm: [api-server]
      api: {{.API}}
      user: {{.User}}
      password_file: {{.Password}}
      dsn_file: {{.DSN}}
      drain: 60s
      max_processes: 28
{{- end}}
{{end}}`))

// Verbs are the commands that plain processes have.
func (site) Verbs() []string {
	return []string{"probe", "start", "start-standby", "promote", "stop", "restore"}
}

// writeRegion makes a region's directory with the files of its processes.
func (s *Stage) writeRegion(region string, a *authority) error {
	d := site{
		Region: region, Address: s.net.address(region), Dir: s.dir(region), Witness: region == North, Regions: Regions, Addresses: map[string]string{},
		Bin: s.bin, User: s.owner.name, Kernel: cmp.Or(s.options.Kernel, config.KernelOff), Profile: s.options.profile(),
		Export: strings.ReplaceAll(s.options.Metrics, "OUTSIDE", s.net.address(Outside)),
	}
	for _, r := range Regions {
		d.Addresses[r] = s.net.address(r)
	}
	if s.options.API {
		d.Tokens = s.tokens()
	}
	var err error
	d.Controller, err = a.issue(region+"-controller", d.Address)
	for _, k := range []Kind{Hub, Controller} {
		err = errors.Join(err, s.writeProcess(k, "", filepath.Join(d.Dir, string(k)+".yaml"), d))
	}
	for n := range s.options.hosts() {
		if err == nil {
			err = s.writeHost(n, a, d)
		}
	}
	if err != nil {
		return fmt.Errorf("write files of %s: %w", region, err)
	}
	return nil
}

// writeHost does so for one of its database hosts, which holds every so manieth server; one that would hold none is not there.
func (s *Stage) writeHost(n int, a *authority, d site) (err error) {
	i := 0
	for _, v := range s.servers {
		if v.Ref.Region != d.Region {
			continue
		}
		if i%s.options.hosts() == n {
			d.Servers = append(d.Servers, v)
		}
		i++
	}
	for _, p := range s.plains {
		if n == 0 && p.Ref.Region == d.Region {
			d.Plains = append(d.Plains, p)
		}
	}
	for _, w := range s.workflows {
		if n == s.options.hosts()-1 && w.Ref.Region == d.Region { // the last one: not where its database is, if there are several
			d.Workflows = append(d.Workflows, w)
		}
	}
	if len(d.Servers)+len(d.Plains)+len(d.Workflows) == 0 {
		return nil
	}
	more := ""
	if n > 0 {
		more = fmt.Sprint("-", n+1)
	}
	d.Name, d.State, d.Peers, d.Metrics = fmt.Sprint("db", n+1), filepath.Join(d.Dir, "state"+more), peersPort+n*hostPorts, agentMetrics+n*hostPorts
	if d.Agent, err = a.issue(d.Region+"-agent"+more, d.Address); err != nil {
		return err
	}
	config := filepath.Join(d.Dir, string(Agent)+more+".yaml") // the guard reads its agent's file
	return errors.Join(os.Mkdir(d.State, 0o700), s.writeProcess(Guard, more, config, d), s.writeProcess(Agent, more, config, d))
}

// writeProcess writes a process's file and makes it known.
func (s *Stage) writeProcess(k Kind, more, config string, d site) error {
	name := string(k)
	if k == Guard {
		name = string(Agent)
	}
	s.processes = append(s.processes, &process{kind: k, region: d.Region, config: config, state: d.State, servers: len(d.Servers), log: filepath.Join(s.home.dir, "log", d.Region+"-"+string(k)+more)})
	return render(config, name, d)
}

func render(path, name string, d site) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(files.ExecuteTemplate(f, name, d), f.Close())
}

// Fleet is the text of the fleet file for these groups.
func Fleet(groups []Group) string { return fleetFile(defaultProfile, "", groups) }

func fleetFile(profile, automation string, groups []Group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\ndefaults: {profile: %s}\n", profile)
	if automation != "" {
		fmt.Fprintf(&b, "automation: {%s}\n", automation)
	}
	b.WriteString("groups:\n")
	for _, g := range groups {
		mode := g.Mode
		if mode == "" {
			mode = events.ModeAuto
		}
		all := g.Clusters()
		others := make([]string, len(all)-1)
		for i, c := range all[1:] {
			others[i] = c.String()
		}
		more := ""
		if g.Restore != "" {
			more = ", restore: " + string(g.Restore)
		}
		kind := g.Kind()
		if !kind.Logged() {
			more += ", replication: {max_loss: unknown}"
		}
		if g.Database != "" {
			more += ", depends_on: [" + g.Database + "]"
		}
		if g.Policy != "" {
			more += ", " + g.Policy
		}
		fmt.Fprintf(&b, "  %s: {kind: %s, primary: %s, recovery: [%s], mode: %s%s}\n", g.Name, kind, g.Primary(), strings.Join(others, ", "), mode, more)
	}
	return b.String()
}

// Apply gives the fleet a new file, through the binary.
func (s *Stage) Apply(fleet string) (string, error) {
	path := filepath.Join(s.home.dir, "fleet.yaml")
	if err := os.WriteFile(path, []byte(fleet), 0o644); err != nil {
		return "", fmt.Errorf("write fleet file: %w", err)
	}
	return s.Command(s.ctx, "apply", "-f", path)
}

// hub lists the addresses for clients, the witness first: in most stories it is the one that stays.
func (s *Stage) hubs() []string {
	order := slices.Clone(Regions)
	slices.Reverse(order)
	var out []string
	for _, r := range order {
		out = append(out, r+"=nats://"+net.JoinHostPort(s.net.address(r), clientPort))
	}
	return out
}

func (s *Stage) hubList() string { return strings.Join(s.hubs(), ",") }
