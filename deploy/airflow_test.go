package deploy

import (
	"regexp"
	"strings"
	"testing"
)

// TestAirflowLocked: what is installed is one version of each package with its hashes, from wherever the machine takes packages; and the Airflow that was asked for.
func TestAirflowLocked(t *testing.T) {
	t.Parallel()
	pinned := regexp.MustCompile(`^[a-z0-9][a-z0-9-]*==[^ ]+( ; .+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+$`)
	for _, path := range []string{"airflow/requirements.lock", "airflow/uv.lock"} {
		text := read(t, path)
		if strings.Contains(text, "://") || strings.Contains(text, "--index") || strings.Contains(text, "--find") {
			t.Errorf("%s names a place to take packages from", path)
		}
		if all := packages(text); len(all) == 0 || strings.Join(all, "") != text {
			t.Errorf("%s does not begin with a package", path)
		}
		for _, p := range packages(text) {
			if !pinned.MatchString(p) {
				t.Errorf("%s: not one version with its hashes:\n%s", path, p)
			}
		}
		for line := range strings.Lines(read(t, strings.TrimSuffix(path, "lock")+"in")) {
			if want, exact := strings.CutSuffix(line, "\n"); exact && strings.Contains(want, "==") && !strings.Contains(text, want+" ") {
				t.Errorf("%s: locked is another version than %s: make airflow-lock", path, want)
			}
		}
	}
}

// packages splits a lock.
func packages(text string) (all []string) {
	for line := range strings.Lines(text) {
		if n := len(all); !strings.HasPrefix(line, " ") {
			all = append(all, line)
		} else if n > 0 {
			all[n-1] += line
		}
	}
	return all
}
