package kernel

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/regionagent/driver/postgres/postgrestest"
)

// BenchmarkServer runs pgbench over TCP with and without the program on the server's cgroup, one after the other in each round, the first one changing. It reports the
// ratios with/without as median, least and most over the rounds, and what the kernel says a packet costs. A round takes 4 × 5 s:
//
//	go test -run '^$' -bench Server -benchtime 6x ./regionagent/kernel
func BenchmarkServer(b *testing.B) {
	for _, kind := range []struct{ name, flag string }{{"select", "-S"}, {"write", "-N"}} {
		b.Run(kind.name, func(b *testing.B) { measure(b, kind.flag) })
	}
}

func measure(b *testing.B, flag string) {
	bed := newBed(b)
	bed.hold(time.Hour)
	bed.inForce()
	bed.pgbench("-i", "-s", "10", "-q")
	stats, err := ebpf.EnableStats(0) // BPF_STATS_RUN_TIME
	if err != nil {
		b.Fatal(err)
	}
	defer stats.Close()
	var tps, p99 []float64
	var ran time.Duration
	var packets uint64
	for round := 0; b.Loop(); round++ {
		got := map[bool]run{}
		for _, fenced := range []bool{round%2 == 0, round%2 != 0} {
			if fenced {
				bed.lease.Until(name, bed.tree, events.Never)
				bed.inForce()
			} else {
				bed.lease.Free(name, bed.tree)
				until(b, 5*time.Second, "it is taken off", func() bool { return !bed.lease.State(name).InForce })
			}
			got[fenced] = bed.run(flag)
			if fenced {
				f := bed.lease.fence(name)
				f.mu.Lock()
				if s, err := f.at.program.Stats(); err == nil {
					ran, packets = ran+s.Runtime, packets+s.RunCount
				}
				f.mu.Unlock()
			}
		}
		b.Logf("round %d: with %v, without %v", round, got[true], got[false])
		tps, p99 = append(tps, got[true].tps/got[false].tps), append(p99, got[true].p99/got[false].p99)
	}
	for unit, all := range map[string][]float64{"tps": tps, "p99": p99} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], unit+"-ratio")
		b.ReportMetric(all[0], unit+"-least")
		b.ReportMetric(all[len(all)-1], unit+"-most")
	}
	b.ReportMetric(float64(ran.Nanoseconds())/float64(packets), "ns/packet")
	b.ReportMetric(float64(packets)/float64(len(tps))/5, "packets/s")
}

// run is what pgbench measured.
type run struct{ tps, p50, p99 float64 } // per second; milliseconds

func (r run) String() string {
	return fmt.Sprintf("%.0f tps, p50 %.2f ms, p99 %.2f ms", r.tps, r.p50, r.p99)
}

func (bed *bed) run(flag string) (r run) {
	dir, err := os.MkdirTemp("", "sbbench-")
	if err != nil {
		bed.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		bed.t.Fatal(err)
	}
	out := bed.pgbench(flag, "-n", "-c", "8", "-j", "2", "-T", "5", "-l", "--log-prefix", filepath.Join(dir, "log"))
	for line := range strings.Lines(out) {
		if n, ok := strings.CutPrefix(line, "tps = "); ok {
			r.tps, _ = strconv.ParseFloat(strings.Fields(n)[0], 64)
		}
	}
	var all []float64
	logs, _ := filepath.Glob(filepath.Join(dir, "log*")) // the only error is a bad pattern
	for _, path := range logs {
		f, err := os.Open(path)
		if err != nil {
			bed.t.Fatal(err)
		}
		for s := bufio.NewScanner(f); s.Scan(); { // client transaction latency_us ...
			us, err := strconv.ParseFloat(strings.Fields(s.Text())[2], 64)
			if err != nil {
				bed.t.Fatal(err)
			}
			all = append(all, us/1000)
		}
		f.Close()
	}
	if slices.Sort(all); r.tps == 0 || len(all) == 0 {
		bed.t.Fatalf("pgbench says nothing: %s", out)
	}
	r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
	return r
}

// pgbench runs it over TCP, outside the server's cgroup.
func (bed *bed) pgbench(args ...string) string {
	lab := postgrestest.Shared(bed.t)
	cmd := exec.Command(filepath.Join(lab.Bin, "pgbench"), append([]string{"-h", "127.0.0.1", "-p", strconv.Itoa(bed.server.Port), "-U", lab.User}, append(args, "postgres")...)...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		bed.t.Fatalf("pgbench: %v: %s", err, out)
	}
	return string(out)
}
