package telemetry

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Lint returns what is wrong with the switchback_* series of a gatherer: no cloud_region, or no help. It is wrong to have none
// at all, so that a test that looks at the wrong registry fails.
func Lint(g prometheus.Gatherer) []string {
	families, err := g.Gather()
	if err != nil {
		return []string{fmt.Sprintf("gather: %v", err)}
	}
	var bad []string
	seen := 0
	for _, f := range families {
		name := f.GetName()
		if !strings.HasPrefix(name, "switchback_") {
			continue
		}
		seen++
		if f.GetHelp() == "" {
			bad = append(bad, name+" has no help")
		}
		for _, m := range f.GetMetric() {
			region := ""
			for _, l := range m.GetLabel() {
				if l.GetName() == LabelRegion {
					region = l.GetValue()
				}
			}
			if region == "" {
				bad = append(bad, fmt.Sprintf("%s{%s} has no %s", name, m.GetLabel(), LabelRegion))
			}
		}
	}
	if seen == 0 {
		bad = append(bad, "there is no switchback_* series")
	}
	return bad
}
