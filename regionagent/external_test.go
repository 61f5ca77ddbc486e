package regionagent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// hook is an agent whose external fence is this shell script; what the script reads it keeps beside itself.
func hook(t *testing.T, script string, limit time.Duration) (*agent, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fence")
	syscall.ForkLock.RLock() // what another test starts meanwhile would hold the file open for writing, and nobody may run such a one
	err := os.WriteFile(path, []byte("#!/bin/sh\ncat > "+path+".in\n"+script+"\n"), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return &agent{cfg: &config.Agent{Fence: config.Fence{External: path, ExternalTimeout: limit}}, log: slog.New(slog.DiscardHandler)}, path + ".in"
}

// TestExternalFenceProvesOnlyWhatItSays: exit code 0 and fenced: true together, within its time. Whatever else it does is no proof.
func TestExternalFenceProvesOnlyWhatItSays(t *testing.T) {
	t.Parallel()
	victim := &events.Victim{Cluster: events.Ref{Region: "r1", Cluster: "a"}, Agent: events.AgentRef{Region: "r1", Agent: "h"}, Address: "10.0.0.1:5432"}
	for name, c := range map[string]struct {
		script string
		want   events.Outcome
		says   string
	}{
		"fenced":          {`echo '{"fenced":true,"why":"power off","facts":[{"what":"power","value":"off"}]}'`, events.Done, "power off"},
		"says nothing":    {`exit 0`, events.Retry, "can't be read"},
		"says no":         {`echo '{"fenced":false,"why":"no such host"}'`, events.Retry, "no such host"},
		"failed":          {`echo '{"fenced":true}'; echo unreachable >&2; exit 1`, events.Retry, "unreachable"},
		"refused":         {`echo '{"why":"not one of mine"}'; exit 2`, events.Refused, "not one of mine"},
		"another code":    {`echo '{"fenced":true}'; exit 7`, events.Retry, "exit code 7"},
		"killed":          {`kill -9 $$`, events.Retry, "exit code"},
		"too slow":        {`echo '{"fenced":true}'; sleep 60`, events.Retry, "did not end"},
		"talks too much":  {`yes '{"fenced":true}' | head -c 200000`, events.Retry, "can't be read"},
		"two words of it": {`echo '{"fenced":true} and more'`, events.Retry, "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := 10 * time.Second
			if name == "too slow" {
				limit = 300 * time.Millisecond
			}
			a, in := hook(t, c.script, limit)
			r := a.external(t.Context(), &cluster{ref: events.Ref{Region: "r2", Cluster: "b"}}, lease.Action{Step: "g/5/fence", Group: "g", Victim: victim})
			if r.Outcome != c.want || !strings.Contains(r.Why, c.says) {
				t.Fatalf("%s, %q: want %s, and %q in it", r.Outcome, r.Why, c.want, c.says)
			}
			read, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			const want = `{"version":1,"step":"g/5/fence","group":"g","by":"r2/b","victim":{"cluster":"r1/a","agent":"r1/h","address":"10.0.0.1:5432"}}`
			if string(read) != want {
				t.Fatalf("read %s\nwant %s", read, want)
			}
			if name == "fenced" && len(r.Facts) != 1 {
				t.Fatalf("facts %v", r.Facts)
			}
		})
	}
	a, _ := hook(t, "", time.Second)
	a.cfg.Fence.External = ""
	if r := a.external(t.Context(), &cluster{}, lease.Action{Victim: victim}); r.Outcome != events.Refused {
		t.Fatalf("%s by an agent without one", r.Outcome)
	}
}
