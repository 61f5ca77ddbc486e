package main

import (
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/regionagent/kernel"
)

// TestDoctorHost says in one last line whether the kernel lease can run, and what is in its way.
func TestDoctorHost(t *testing.T) {
	t.Parallel()
	ok := kernel.Result{What: "cgroup v2", OK: true, Text: "mounted at /sys/fs/cgroup"}
	for _, c := range []struct {
		name string
		host kernel.Host
		word string
		text string
	}{
		{"all is there", kernel.Host{ok}, "ok", "can run here, and does"},
		{"no privilege", kernel.Host{ok, {What: "privilege", Text: "want root"}}, "warn", "can't run here: a host that is paused whole may answer for an instant when it goes on (privilege: want root)"},
		{"kvm-clock", kernel.Host{ok, {What: "clock", Weak: true, Text: "kvm-clock"}}, "warn", "with the limit named above"},
		{"worst first", kernel.Host{{What: "clock", Weak: true, Text: "kvm-clock"}, {What: "program", Text: "no BPF"}}, "warn", "(program: no BPF)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var d diagnosis
			d.kernelLease(c.host)
			last := d.Findings[len(d.Findings)-1]
			if last.Result != c.word || !strings.Contains(last.Text, c.text) {
				t.Errorf("%+v: want %s, %q", last, c.word, c.text)
			}
			for i, r := range c.host {
				if (d.Findings[i].Result == "ok") != r.OK {
					t.Errorf("%+v is told as %+v", r, d.Findings[i])
				}
			}
		})
	}
}
