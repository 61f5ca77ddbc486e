package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// project is that of every group of TestAiven.
const project = "crdr-test"

// aiven is a person with a shell outside every region, who has avn, jq and curl, and a token; nothing of ours.
type aiven struct {
	*play
	env []string
}

// TestAiven moves real groups by Aiven's own command line and by curl alone: the commands are those that Aiven publishes for a failover and for a failback in two steps, with only names
// replaced, and after each step the published status lines print what the documentation shows.
func TestAiven(t *testing.T) {
	groups := stage.Groups(2)
	for i := range groups {
		groups[i].Mode, groups[i].Policy = events.ModeManual, "project: "+project
	}
	p := beginWith(t, stage.Options{Groups: groups, Every: 40 * time.Millisecond, API: true})
	a := p.aiven()
	p.part("looks", func(p *play) { (&aiven{p, a.env}).looks(groups[0]) })
	p.part("API tab", func(p *play) { (&aiven{p, a.env}).published(groups[1], curl) })
	p.part("CLI tab, a region lost", func(p *play) { (&aiven{p, a.env}).outage(groups[0]) })
}

// aiven finds the tools and makes a token.
func (p *play) aiven() *aiven {
	p.t.Helper()
	root, err := filepath.Abs("../..")
	p.do(err)
	venv := filepath.Join(root, ".cache", "avn", "bin")
	for _, tool := range []string{filepath.Join(venv, "avn"), "jq", "curl", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			p.t.Fatalf("%v: run deploy/need.sh avn", err)
		}
	}
	token, err := p.Token(p.t.Context(), "alice", "operator", project)
	p.do(err)
	a := &aiven{p, []string{
		"PATH=" + venv + ":" + os.Getenv("PATH"), "AIVEN_WEB_URL=" + p.API(stage.North), "AIVEN_AUTH_TOKEN=" + token, "AIVEN_TOKEN=" + token, "AIVEN_PROJECT=" + project, "PROJECT_NAME=" + project,
		"AIVEN_CONFIG_DIR=" + p.t.TempDir(), "AIVEN_CA_CERT=" + p.CA(), "REQUESTS_CA_BUNDLE=" + p.CA(), "CURL_CA_BUNDLE=" + p.CA(), "SSL_CERT_FILE=" + p.CA(),
	}}
	p.wait("the token is known", func() error {
		_, err := a.try("avn service list --json")
		return err
	})
	return a
}

// try runs a line of shell and returns what it printed.
func (a *aiven) try(line string) (string, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	return a.RunOutside(ctx, a.env, "bash", "-euo", "pipefail", "-c", line)
}

// sh runs a line that must succeed.
func (a *aiven) sh(line string) string {
	a.t.Helper()
	out, err := a.try(line)
	if err != nil {
		a.t.Fatalf("%s: %v %s", line, err, out)
	}
	return out
}

// not runs a line that must fail with a sentence.
func (a *aiven) not(says, line string) {
	a.t.Helper()
	out, err := a.try(line)
	if exit(err) != 1 || !strings.Contains(err.Error(), says) {
		a.t.Errorf("%s: exit %d, %s %v; want 1 and %q", line, exit(err), out, err, says)
	}
}

// status is the published status line of a service.
func (a *aiven) status(service string) string {
	a.t.Helper()
	return a.sh("avn service get " + service + ` --project $PROJECT_NAME --json | jq '{state: .state, disaster_recovery_role: .disaster_recovery_role}'`)
}

// documented is what jq prints of a state and a role.
func documented(state, role string) string {
	return fmt.Sprintf("{\n  \"state\": %q,\n  \"disaster_recovery_role\": %q\n}\n", state, role)
}

// expect holds the published status lines of both services against the documentation.
func (a *aiven) expect(what string, g stage.Group, primary, recovery string) {
	a.t.Helper()
	for service, want := range map[string]string{g.Primary().Cluster: primary, g.Recovery().Cluster: recovery} {
		if got := a.status(service); got != want {
			a.t.Errorf("%s: %s prints %s want %s", what, service, got, want)
		}
	}
}

// avn and curl are the two ways in which the documentation changes a role, as they stand there.
func avn(service, role string) string {
	return "avn service update " + service + ` \
   --disaster-recovery-role ` + role
}

func curl(service, role string) string {
	return `curl --request PUT \
  --url $AIVEN_WEB_URL/v1/project/$PROJECT_NAME/service/` + service + ` \
  -H "Authorization: Bearer $AIVEN_AUTH_TOKEN" \
  -H 'content-type: application/json' \
  --data '{"disaster_recovery_role": "` + role + `"}'`
}

// looks is everything that only reads, by avn.
func (a *aiven) looks(g stage.Group) {
	a.t.Helper()
	primary, recovery := g.Primary().Cluster, g.Recovery().Cluster
	a.sh("avn service wait " + primary + " " + recovery)
	for line, want := range map[string]string{
		"avn service list":               primary,
		"avn service get -v " + recovery: g.Recovery().Region,
		"avn service get " + primary + " --format '{service_name} {service_uri}'": primary + " postgres://" + a.Server(g.Primary()).Address(),
		"avn service types":                        "pg",
		"avn service integration-list " + recovery: typeDR,
		"avn service integration-list " + primary + " --json | jq -r '.[].source_service, length'":                     primary + "\n1\n",
		"avn service connection-info pg uri " + primary + " --username avnadmin":                                       a.Server(g.Primary()).Address(),
		"avn service connection-info pg uri " + primary + " --usage disaster_recovery":                                 a.Server(g.Recovery()).Address(),
		"avn service integration-create -t disaster_recovery -s " + primary + " -d " + recovery:                        "",
		"avn service get " + primary + " --json | jq -r '.metadata.switchback.group, .service_integrations[0].active'": g.Name + "\ntrue\n",
	} {
		if out := a.sh(line); !strings.Contains(out, want) {
			a.t.Errorf("%s: %s; want %q", line, out, want)
		}
	}
	a.not("no service is called nowhere", "avn service get nowhere")
	a.not("only an active can be given up", avn(recovery, "failed"))
	a.not("release needs the role admin", "avn service integration-delete $(avn service integration-list "+primary+" --json | jq -r '.[].service_integration_id')")
	a.not("this token is not known", "AIVEN_AUTH_TOKEN=sbt_x_y avn service list")
	a.not("does not see project other", "avn service list --project other")
}

// typeDR is the integration's type.
const typeDR = "disaster_recovery"

// published fails a group over and back as the documentation has it, both sides well.
func (a *aiven) published(g stage.Group, change func(service, role string) string) {
	a.t.Helper()
	began := stage.Clock()
	primary, recovery := g.Primary().Cluster, g.Recovery().Cluster
	a.expect("at first", g, documented("RUNNING", "active"), documented("RUNNING", "passive"))
	a.sh(change(primary, "failed"))
	a.sh("avn service wait " + recovery)
	a.expect("failed over", g, documented("POWEROFF", "failed"), documented("RUNNING", "active"))
	a.not("restore it first", avn(primary, "active"))
	a.sh(change(primary, "failed")) // again: it is so
	answer := a.sh(change(primary, "passive") + ` | jq '.service | {state: .state, disaster_recovery_role: .disaster_recovery_role}'`)
	if answer != documented("REBUILDING", "passive") {
		a.t.Errorf("the answer to passive: %s want REBUILDING and passive", answer)
	}
	a.sh("avn service wait " + primary + " " + recovery)
	a.expect("restored", g, documented("RUNNING", "passive"), documented("RUNNING", "active"))
	a.sh(change(primary, "active"))
	a.sh("avn service wait " + primary + " " + recovery)
	a.expect("home", g, documented("RUNNING", "active"), documented("RUNNING", "passive"))
	a.atHome(g)
	a.course(g, began, nil, g.Primary(), g.Recovery(), g.Primary())
}

// outage loses the region of a group for good: it is failed over by avn, then comes back, is rewound, and goes home, by avn.
func (a *aiven) outage(g stage.Group) {
	a.t.Helper()
	primary, recovery := g.Primary().Cluster, g.Recovery().Cluster
	if err := a.CanIsolate(); err != nil {
		a.t.Skip("nothing that only the lost side has can be made here: ", err)
	}
	began := stage.Clock()
	a.do(a.Isolate(g.Home))
	a.wait("the lost side has what nobody else has", func() error {
		if n := len(a.acks(g.Name, g.Primary(), began)); n < 5 {
			return fmt.Errorf("%d writes", n)
		}
		return nil
	})
	a.do(a.KillRegion(g.Home))
	a.sh(avn(primary, "failed"))
	a.sh("avn service wait " + recovery)
	a.expect("failed over", g, documented("POWEROFF", "failed"), documented("RUNNING", "active"))
	a.typed(primary, recovery)

	a.do(a.Heal(g.Home)) // not before: a killed region's kernel goes on sending
	a.do(a.StartRegion(g.Home))
	release := a.holdRewind(g)
	a.wait("the region is back", func() error { _, err := a.try(avn(primary, "passive")); return err })
	a.expect("the primary is restored", g, documented("REBUILDING", "passive"), documented("RUNNING", "active"))
	a.not("is being rebuilt", avn(primary, "active"))
	var nodes []struct {
		Name, State      string
		Progress_updates []struct{ Phase string }
	}
	a.do(json.Unmarshal([]byte(a.sh("avn service get "+primary+" --json | jq .node_states")), &nodes))
	if len(nodes) != 1 || nodes[0].State != "syncing_data" {
		a.t.Errorf("node states while it is rebuilt: %+v", nodes)
	}
	a.do(release())
	a.sh("avn service wait " + primary + " " + recovery)
	a.expect("restored", g, documented("RUNNING", "passive"), documented("RUNNING", "active"))
	a.sh(avn(primary, "active"))
	a.sh("avn service wait " + primary + " " + recovery)
	a.expect("home", g, documented("RUNNING", "active"), documented("RUNNING", "passive"))
	a.atHome(g)
	v := a.view(g.Name)
	if v.Record.Op.By != "alice" || v.Record.Op.Verb != events.AskFailback {
		a.t.Errorf("the last move is a %s by %s", v.Record.Op.Verb, v.Record.Op.By)
	}
	a.t.Logf("%s went there and home in %v, by avn alone", g.Name, stage.Clock().Sub(began).Round(time.Second))
}

// holdRewind holds the rewind of a primary where it stands as soon as it begins, so that slow clients see the group while it is rebuilt. The returned function lets it go on.
func (a *aiven) holdRewind(g stage.Group) (release func() error) {
	held := make(chan error, 1)
	pid := 0
	go func() {
		found, err := a.Server(g.Primary()).WaitTool(a.t.Context(), stage.Rewind, serveLimit)
		if err == nil {
			pid, err = found, syscall.Kill(found, syscall.SIGSTOP)
		}
		held <- err
	}()
	return func() error {
		if err := <-held; err != nil {
			return fmt.Errorf("hold the rewind of %s: %w", g.Primary(), err)
		}
		return syscall.Kill(pid, syscall.SIGCONT)
	}
}

// typed asks with Aiven's own typed Go client, while a group is failed over.
func (a *aiven) typed(primary, recovery string) {
	a.t.Helper()
	bin := filepath.Join(a.t.TempDir(), "typed")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = filepath.Join("..", "conformance", "typed")
	if out, err := build.CombinedOutput(); err != nil {
		a.t.Fatalf("build the typed client: %v %s", err, out)
	}
	out, err := a.RunOutside(a.shortly(), a.env, bin, project, primary, recovery)
	if err != nil {
		a.t.Errorf("%v %s", err, out)
	}
	a.t.Log(out)
}
