package regionagent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
)

// commands says what a cluster of kind exec lacks: programs that can be run, by nobody else's will; a place for what the driver remembers; and a probe that tells.
// Only the probe is run.
func (h *hostFacts) commands(ctx context.Context, c *cluster, name string, x *config.Exec) {
	what := "commands of " + name
	var bad []string
	for _, verb := range slices.Sorted(maps.Keys(x.Commands)) {
		if why := notToRun(x.Commands[verb][0], x.User); why != "" {
			bad = append(bad, verb+": "+why)
		}
	}
	if len(bad) > 0 {
		h.say("fail", what, "%s", strings.Join(bad, "; "))
	} else {
		h.say("ok", what, "%d programs are there and can be run", len(x.Commands))
	}
	if f, err := os.Stat(x.Dir); err != nil || !f.IsDir() {
		h.say("fail", "directory of "+name, "%s is not there, or no directory (%v): make it, owned by whoever owns the data beside it", x.Dir, err)
	}
	if c == nil {
		return // that it can't be cared for was said
	}
	short, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	switch p := c.driver.Probe(short); {
	case p.Server == events.ServerUnknown:
		h.say("fail", "probe of "+name, "tells nothing, so nothing of it is promoted or counted as down: %s", p.Error)
	case p.Server == events.ServerWritable && !p.CanaryOK:
		h.say("warn", "probe of "+name, "it is active and does not serve: %s", p.Error)
	case p.Server == events.ServerRecovery && !p.Streaming:
		h.say("warn", "probe of "+name, "it stands by and could not take over: %s", p.Error)
	default:
		h.say("ok", "probe of "+name, "it is %s", map[events.Server]string{
			events.ServerWritable: "active, and serves", events.ServerRecovery: "standing by, ready to take over", events.ServerDown: "down", events.ServerFrozen: "frozen",
		}[p.Server])
	}
}

// notToRun says why a program should not be run by the agent, "" if it may be.
func notToRun(path, user string) string {
	f, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return path + " is not there"
	case err != nil:
		return err.Error()
	case !f.Mode().IsRegular() || f.Mode().Perm()&0o111 == 0:
		return path + " can't be run: want chmod +x"
	}
	if os.Geteuid() != 0 || user != "" && user != "root" {
		return ""
	}
	for p := path; ; p = filepath.Dir(p) { // who may write above it may replace it
		f, err := os.Stat(p)
		if err != nil {
			return err.Error()
		}
		owner := f.Sys().(*syscall.Stat_t).Uid
		if owner != 0 || f.Mode().Perm()&0o022 != 0 && f.Mode()&os.ModeSticky == 0 {
			return fmt.Sprintf("%s runs as root, and others may change %s: want it and all above it root's own, or user", path, p)
		}
		if p == "/" {
			return ""
		}
	}
}
