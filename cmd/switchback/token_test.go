package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A token is shown once and stands nowhere; it is listed and revoked by its id or its actor; a file with comments keeps them.
func TestToken(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(file, []byte("# ours\ntokens: [] # none yet\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) result {
		return person{}.run(t.Context(), append([]string{"token", "-f", file, "--as", "root"}, args...)...)
	}
	made := run("create", "alice", "--role", "operator", "--project", "shop", "--project", "bank", "--expires", "24h", "--note", "laptop")
	made.want(t, 0, "sbt_", "the only time")
	token := strings.TrimSpace(made.out)
	run("create", "bob", "--all-projects", "-o", "json").want(t, 0, `"token": "sbt_`)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), token) || !strings.Contains(string(text), "# ours") || strings.Count(string(text), "sha256:") != 2 {
		t.Errorf("the file:\n%s", text)
	}
	if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", i.Mode(), err)
	}
	l := run("list")
	l.want(t, 0, "alice", "operator", "shop,bank", "2026-11-22T12:00:00Z", "laptop", "bob", "viewer", "never")
	if strings.Contains(l.out, "sha256") || strings.Contains(run("list", "-o", "json").out, "sha256") {
		t.Error("digests are listed")
	}
	run("revoke", "alice").want(t, 0, "revoked: ")
	if l := run("list"); strings.Contains(l.out, "alice") || !strings.Contains(l.out, "bob") {
		t.Errorf("after alice's was revoked:\n%s", l.out)
	}
	run("revoke", "alice").want(t, exitFailed, "no token has the id or the actor")
	for says, args := range map[string][]string{
		"of which projects?": {"create", "eve"}, `--role "root"`: {"create", "eve", "--role", "root", "--all-projects"}, `actor "Eve"`: {"create", "Eve", "--all-projects"},
		"--project: project": {"create", "eve", "--project", "a b"},
	} {
		run(args...).want(t, exitUsage, says)
	}
	if err := os.WriteFile(file, []byte("tokens: [{id: x}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("create", "eve", "--all-projects").want(t, exitFailed, "tokens.yaml:1:")
}
