package drivertest

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// WellNamed has promtool look at the names, help and types of what a driver measures: it finds nothing wrong with them.
func WellNamed(t *testing.T, all []driver.Metric) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("no promtool here: run deploy/need.sh prometheus")
	}
	by := map[string][]driver.Metric{}
	for _, m := range all {
		by[m.Name] = append(by[m.Name], m)
	}
	var page bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(by)) {
		kind := "gauge"
		if by[name][0].Counter {
			kind = "counter"
		}
		fmt.Fprintf(&page, "# HELP %s %s\n# TYPE %s %s\n", name, by[name][0].Help, name, kind)
		for _, m := range by[name] {
			var labels []string
			for i := 0; i < len(m.Labels); i += 2 {
				labels = append(labels, fmt.Sprintf("%s=%q", m.Labels[i], m.Labels[i+1]))
			}
			fmt.Fprintf(&page, "%s{%s} %g\n", name, strings.Join(labels, ","), m.Value)
		}
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = &page
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
