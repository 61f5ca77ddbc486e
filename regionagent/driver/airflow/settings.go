package airflow

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// settings are what of Airflow's own settings a move depends on, by section.key: of the environment file, else of airflow.cfg in its home. What an environment of units says is not known here.
type settings map[string]string

func readSettings(cfg *Config) settings {
	s := settings{}
	if cfg.Home != "" {
		if b, err := os.ReadFile(filepath.Join(cfg.Home, "airflow.cfg")); err == nil {
			section := ""
			for line := range strings.Lines(string(b)) {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
					section = strings.ToLower(line[1 : len(line)-1])
				} else if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
					s[section+"."+strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
				}
			}
		}
	}
	if cfg.EnvFile != "" {
		env, _ := readEnv(cfg.EnvFile) // what is wrong with it keeps a side from being ready
		for _, e := range env {
			name, v, _ := strings.Cut(e, "=")
			if rest, ok := strings.CutPrefix(name, "AIRFLOW__"); ok {
				if section, k, ok := strings.Cut(rest, "__"); ok {
					s[strings.ToLower(section)+"."+strings.ToLower(k)] = v
				}
			}
		}
	}
	return s
}

func (s settings) seconds(name string, def time.Duration) time.Duration {
	if n, err := strconv.ParseFloat(s[name], 64); err == nil && n > 0 {
		return time.Duration(n * float64(time.Second))
	}
	return def
}

// keys must be the same on both sides: what one has encrypted or signed the other has to read.
var keys = []struct{ what, setting string }{
	{"fernet key", "core.fernet_key"}, {"API secret key", "api.secret_key"}, {"JWT secret", "api_auth.jwt_secret"}, {"webserver secret key", "webserver.secret_key"},
}

// The print of a key says whether two are the same, and nothing else: it takes a tenth of a second to make, so that nobody tries many.
const (
	printRounds = 200_000
	printBytes  = 8
)

// alike is what has to be the same on both sides: prints of the keys, and how tasks are run.
func (s settings) alike() (all []events.Alike) {
	for _, k := range keys {
		if v := s[k.setting]; v != "" {
			b, err := pbkdf2.Key(sha256.New, v, []byte("switchback airflow "+k.setting), printRounds, printBytes)
			if err == nil { // else it is not known
				all = append(all, events.Alike{What: k.what, Print: hex.EncodeToString(b)})
			}
		}
	}
	if v := s["core.executor"]; v != "" {
		all = append(all, events.Alike{What: "executor", Print: v})
	}
	return all
}

// known are the settings as they were read last; a print costs much, and a probe has little time.
type known struct {
	mu    sync.Mutex
	stamp string
	busy  bool
	alike []events.Alike
}

// now is what has to be alike, as it was read last; it is read again, beside the probe that asks, when a file changed.
func (k *known) now(cfg *Config) []events.Alike {
	stamp := ""
	for _, f := range []string{filepath.Join(cfg.Home, "airflow.cfg"), cfg.EnvFile} {
		if st, err := os.Stat(f); err == nil {
			stamp += fmt.Sprintf("%s %d %d;", f, st.Size(), st.ModTime().UnixNano())
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if stamp != k.stamp && !k.busy {
		k.busy = true
		go func() {
			alike := readSettings(cfg).alike()
			k.mu.Lock()
			defer k.mu.Unlock()
			k.alike, k.stamp, k.busy = alike, stamp, false
		}()
	}
	return k.alike
}

// Finding is one thing about the settings of a cluster.
type Finding struct {
	OK   bool
	What string
	Text string
}

// Findings says what of Airflow's own settings makes a move slower or unsafe, for doctor.
func (d *Driver) Findings() (fs []Finding) {
	s := readSettings(&d.cfg)
	say := func(ok bool, what, format string, args ...any) {
		fs = append(fs, Finding{ok, what, fmt.Sprintf(format, args...)})
	}
	orphans := s.seconds("scheduler.orphaned_tasks_check_interval", 5*time.Minute)
	say(orphans <= time.Minute, "orphaned_tasks_check_interval", "%v: tasks of a scheduler that ends beside us lie for as long (a move by us does not wait for it); 10 s to 1 min does no harm", orphans)
	beat := s.seconds("scheduler.scheduler_health_check_threshold", DefaultStale)
	say(beat <= DefaultStale, "scheduler_health_check_threshold", "%v: a scheduler that hangs is noticed after it", beat)
	for _, k := range keys[:3] {
		if s[k.setting] == "" {
			say(k.setting == "core.fernet_key", k.what, "not found in its environment file or airflow.cfg: it has to be set, and the same on both sides, or what one side signs the other refuses")
		}
	}
	say(d.api != nil, "api", "%s", map[bool]string{true: d.cfg.API.URL, false: "none: tasks that a move hits are neither listed nor retried"}[d.api != nil])
	return fs
}
