package hygiene

import (
	"fmt"
	"strings"
)

// layer says what the packages of a directory may import of this tree. "x/..." is x and all below it.
type layer struct {
	dir string // exact, or "x/..." ; the first row that matches counts
	may []string
}

// layers is the direction of imports (1-overview, Layout): down the list only, and no package with I/O imports another beside it. Tests may
// import anything; a package below another (bustest, postgrestest) may import that one.
var layers = []layer{
	{"events", nil},

	{"pkg/bus/...", []string{"events"}},
	{"pkg/config/...", []string{"events", "pkg/calendar"}},
	{"pkg/telemetry/...", nil},
	{"pkg/sight", []string{"events"}},
	{"pkg/site", []string{"events", "pkg/bus", "pkg/config"}}, // the one place where files and bus meet
	{"pkg/calendar/...", nil},
	{"pkg/document", nil},
	{"pkg/client/...", []string{"events", "pkg/bus"}}, // speaks to the bus or to the API

	{"regionagent/lease", []string{"events"}},
	{"regionagent/boottime", []string{"events"}},
	{"regionagent/ledger", nil},
	{"regionagent/looks", nil},
	{"regionagent/driver/exec/...", []string{"events", "regionagent/driver", "regionagent/freezer"}}, // it knows its processes only as whoever fences them does
	{"regionagent/driver/airflow/tasks", []string{"events"}},
	{"regionagent/driver/airflow/account", []string{"events", "regionagent/driver/airflow/rest", "regionagent/driver/airflow/tasks", "regionagent/ledger"}},
	{"regionagent/driver/airflow/...", []string{"events", "regionagent/driver", "regionagent/driver/airflow/account", "regionagent/driver/airflow/rest", "regionagent/driver/exec", "regionagent/freezer", "regionagent/ledger"}}, // what exec does around commands, around its own
	{"regionagent/driver/postgres/...", []string{"events", "regionagent/driver", "regionagent/looks", "pkg/telemetry"}},
	{"regionagent/driver/...", []string{"events", "regionagent/driver", "pkg/telemetry"}},
	{"regionagent/freezer/...", []string{"events", "regionagent/driver", "regionagent/boottime", "regionagent/ledger", "regionagent/looks"}},
	{"regionagent/export", []string{"events", "regionagent/driver"}},
	{"regionagent/kernel/...", []string{"events", "regionagent/driver", "regionagent/freezer"}},
	{"regionagent/guard/...", []string{"events", "regionagent/lease", "regionagent/boottime", "regionagent/ledger", "regionagent/driver", "regionagent/freezer", "pkg/telemetry"}},
	{"regionagent/...", []string{"events", "pkg/...", "regionagent/..."}}, // the agent itself wires its parts

	{"controller/gate", []string{"events"}},
	{"controller/decide", []string{"events", "controller/gate"}},
	{"controller/rollout", []string{"events", "controller/gate", "controller/decide"}},
	{"controller/fleet", []string{"events", "controller/gate", "controller/decide", "controller/rollout"}},
	{"controller/answers", []string{"events", "controller/fleet"}},
	{"controller/words", []string{"events", "controller/gate", "controller/decide", "controller/rollout", "controller/fleet", "pkg/document"}},
	{"controller", []string{"events", "pkg/...", "controller/..."}}, // the shell wires its parts
	{"controller/console/...", []string{"events", "pkg/client", "pkg/document", "pkg/telemetry", "controller/gate", "controller/decide", "controller/rollout", "controller/fleet", "controller/answers", "controller/words", "controller/console/..."}},
	{"controller/api/...", []string{"events", "pkg/...", "controller/gate", "controller/decide", "controller/rollout", "controller/fleet", "controller/answers", "controller/words", "controller/api/..."}}, // surfaces over one server
	{"controller/...", []string{"events", "pkg/...", "controller/gate", "controller/decide", "controller/rollout", "controller/fleet", "controller/answers", "controller/words"}},

	{"cmd/...", []string{"events", "pkg/...", "regionagent/...", "controller/...", "test/sim/...", "test/stage/...", "deploy/..."}},
	{"test/...", []string{"events", "pkg/...", "regionagent/...", "controller/...", "test/...", "deploy/..."}},
	{"deploy/...", []string{"pkg/config"}},
}

func matches(pattern, dir string) bool {
	if base, all := strings.CutSuffix(pattern, "/..."); all {
		return dir == base || strings.HasPrefix(dir, base+"/")
	}
	return dir == pattern
}

// CheckLayers returns the imports that point the wrong way, and packages that no row is about.
func CheckLayers(t *Tree) (bad []string) {
	for _, p := range t.Packages {
		l := layerOf(p.Dir)
		if l == nil {
			bad = append(bad, fmt.Sprintf("%s: no row of the table of layers is about it: add one to test/hygiene/layers.go that says what it may import", p.Dir))
			continue
		}
		for _, f := range p.Code {
			for _, s := range f.Imports() {
				if dir, ok := inside(importPath(s)); ok && !l.allows(p.Dir, dir) {
					bad = append(bad, fmt.Sprintf("%s: %s imports %s, its layer may import %s", t.at(s), p.Dir, dir, strings.Join(append([]string{"itself"}, l.may...), ", ")))
				}
			}
		}
	}
	return bad
}

func layerOf(dir string) *layer {
	for i := range layers {
		if matches(layers[i].dir, dir) {
			return &layers[i]
		}
	}
	return nil
}

func (l *layer) allows(from, dir string) bool {
	if strings.HasPrefix(from, dir+"/") && dir != "regionagent" && dir != "controller" {
		return true
	}
	for _, m := range l.may {
		if matches(m, dir) {
			return true
		}
	}
	return false
}
