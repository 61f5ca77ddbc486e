package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/test/apistage"
)

const waysFleet = `
groups:
  orders: {project: shop, kind: postgres, primary: eu-west-1/orders-a, recovery: [eu-central-1/orders-b]}
  ledger: {project: bank, kind: postgres, primary: eu-west-1/ledger-a, recovery: [eu-central-1/ledger-b]}
`

// passing is what differs between two looks at the same thing: how long ago it was, when, and which ask it was.
var passing = regexp.MustCompile(`\d+(\.\d+)?(ns|µs|ms|s|m|h|d)\b|\d+(\.\d+)? (s|ms)\b|"since": ?\d+|since: \d+|\d\d:\d\d:\d\d|by-(bus|api)-\d+|"age": ?"[^"]*"|2026-[0-9T:.Z-]+`)

// The same command says the same by the bus and by the API of a real controller, and ends with the same code.
func TestBothWays(t *testing.T) {
	t.Parallel()
	s := apistage.Start(t, io.Discard)
	s.Apply(waysFleet)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(s.Token("alice", config.RoleAdmin)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := []string{"--hub", apistage.Region + "=" + s.Hub, "--as", "alice"}
	api := []string{"--api", s.URL, "--token-file", file, "--as", "alice"}
	for i, line := range []string{
		"status", "status -o json", "groups", "groups -o yaml", "groups --match led", "group orders", "group orders -o json", "group nobody", "why orders", "why --region eu-west-1", "why nobody",
		"report orders", "report nothing-1", "rollout list", "rollout show x", "events", "events orders", "events -o json",
		"disarm --reason r --id ID", "arm --reason r --id ID", "arm --reason r --id ID -o json", "disarm orders --reason r --id ID", "failover orders --reason r --yes --id ID", "failover orders --reason r --yes -o json --id ID",
		"failover orders --dry-run", "drill orders --reason r --id ID", "restore eu-west-1/orders-a --reason r --id ID", "maintenance eu-west-1/orders-a --for 10m --reason r --id ID",
		"approve --region eu-west-1 --reason r --id ID", "failover --region eu-west-1 --dry-run", "switchover nobody --reason r --yes --id ID", "rebuild-record", "rejoin eu-west-1/db1 --reason r --yes --id ID",
	} {
		t.Run(line, func(t *testing.T) {
			id := func(way string) string { return fmt.Sprintf("by-%s-%d", way, i) }
			one := person{}.run(t.Context(), append(append([]string{}, bus...), strings.Fields(strings.ReplaceAll(line, "ID", id("bus")))...)...)
			two := person{}.run(t.Context(), append(append([]string{}, api...), strings.Fields(strings.ReplaceAll(line, "ID", id("api")))...)...)
			for _, r := range []*result{&one, &two} {
				r.out, r.err = passing.ReplaceAllString(r.out, "~"), passing.ReplaceAllString(r.err, "~")
			}
			if d := cmp.Diff(one, two, cmp.AllowUnexported(result{})); d != "" {
				t.Errorf("(-bus +api)\n%s", d)
			}
			if one.out+one.err == "" && !strings.HasPrefix(line, "events") { // of which there may be none yet
				t.Error("nothing was said")
			}
		})
	}
}

// What is wrong with the way to the API, or the token, is said, and the token never.
func TestAPIOptions(t *testing.T) {
	t.Parallel()
	s := apistage.Start(t, io.Discard)
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	viewer, wrong := write("viewer", s.Token("vera", config.RoleViewer)), write("wrong", "sbt_nonsense")
	for _, c := range []struct {
		env  map[string]string
		line string
		code int
		says string
	}{
		{nil, "status --api " + s.URL, exitUsage, "which token?"},
		{nil, "status --api http://10.0.0.1:8700 --token-file " + viewer, exitUsage, "in the clear"},
		{nil, "status --api https://me:secret@h --token-file " + viewer, exitUsage, "is not where an API is"},
		{nil, "status --api " + s.URL + " --token-file " + wrong, exitFailed, "not permitted by the API: this token is not known"},
		{nil, "status --api " + s.URL + " --token-file /nowhere", exitFailed, "no such file"},
		{nil, "status --api http://127.0.0.1:1," + s.URL + " --token-file " + viewer, 0, "leader"},
		{nil, "status --timeout 1s --api http://127.0.0.1:1 --token-file " + viewer, exitUnreachable, "no controller answers"},
		{map[string]string{"SWITCHBACK_API": s.URL, "SWITCHBACK_TOKEN_FILE": viewer}, "status", 0, "leader"},
		{nil, "arm --reason r --api " + s.URL + " --token-file " + viewer, exitFailed, "needs the role operator"},
		{nil, "disarm --yes --api " + s.URL + " --token-file " + write("op", s.Token("otto", config.RoleOperator)), exitUsage, "--reason"},
		{nil, "apply -f " + write("f.yaml", "groups: {}\n") + " --api " + s.URL + " --token-file " + viewer, exitUsage, "only the bus has"},
	} {
		r := person{env: c.env}.run(t.Context(), append(strings.Fields(c.line), "--as", "alice")...)
		r.want(t, c.code, c.says)
		if strings.Contains(r.out+r.err, "me:secret") || strings.Contains(r.out+r.err, "sbt_") {
			t.Errorf("%s: a secret was said: %s", c.line, r.err)
		}
	}
}
