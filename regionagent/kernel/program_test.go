package kernel

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/events"
)

// frame is an Ethernet frame with a segment or datagram in it: header lengths in bytes, payload at its end.
func frame(v6 bool, protocol byte, options, tcpOptions, payload int) []byte {
	b := make([]byte, 14, 200)
	if v6 {
		binary.BigEndian.PutUint16(b[12:], 0x86dd)
		ip := make([]byte, 40)
		ip[0], ip[6] = 0x60, protocol
		binary.BigEndian.PutUint16(ip[4:], uint16(20+tcpOptions+payload))
		b = append(b, ip...)
	} else {
		binary.BigEndian.PutUint16(b[12:], 0x0800)
		ip := make([]byte, 20+options)
		ip[0], ip[9] = 0x40|byte(5+options/4), protocol
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+20+tcpOptions+payload))
		b = append(b, ip...)
	}
	tcp := make([]byte, 20+tcpOptions+payload)
	tcp[12] = byte(5+tcpOptions/4) << 4
	return append(b, tcp...)
}

// TestProgram has the kernel judge single packets.
func TestProgram(t *testing.T) {
	if h := Check(); !h.Can() {
		t.Skipf("NOT TESTED: no kernel lease here: %v", h.Why())
	}
	shared, err := newWords()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	marks, err := newMarks()
	if err != nil {
		t.Fatal(err)
	}
	defer marks.Close()
	p, err := newProgram(shared, marks)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	a := &attached{path: "/", marks: marks}
	if err := a.open(shared); err != nil {
		t.Fatal(err)
	}
	defer a.close()
	future, over := now().Add(time.Hour), now().Add(-time.Second)
	const tcp = unix.IPPROTO_TCP
	for _, c := range []struct {
		name     string
		deadline events.Instant
		life     uint64
		port     uint64 // the packet is sent from port 0
		frame    []byte
		passes   bool
		counted  int
	}{
		{"in time", future, 0, 0, frame(false, tcp, 0, 0, 100), true, 0},
		{"without end", events.Never, 0, 0, frame(false, tcp, 0, 0, 100), true, 0},
		{"late", over, 0, 0, frame(false, tcp, 0, 0, 1), false, wordLate},
		{"void", 0, 0, 0, frame(false, tcp, 0, 0, 1), false, wordLate},
		{"late, without data", over, 0, 0, frame(false, tcp, 0, 0, 0), true, 0},
		{"late, without data, with options", over, 0, 0, frame(false, tcp, 8, 12, 0), true, 0},
		{"late, one byte after options", over, 0, 0, frame(false, tcp, 8, 12, 1), false, wordLate},
		{"late, IPv6", over, 0, 0, frame(true, tcp, 0, 12, 1), false, wordLate},
		{"late, IPv6, without data", over, 0, 0, frame(true, tcp, 0, 12, 0), true, 0},
		{"late, IPv6, an extension", over, 0, 0, frame(true, unix.IPPROTO_HOPOPTS, 0, 0, 0), false, wordLate},
		{"late, a datagram", over, 0, 0, frame(false, unix.IPPROTO_UDP, 0, 0, 0), false, wordLate},
		{"of a former life, in time", future, 1, 0, frame(false, tcp, 0, 0, 1), false, wordFormer},
		{"of a former life, without data", future, 1, 0, frame(false, tcp, 0, 0, 0), true, 0},
		{"late, another port", over, 1, 5432, frame(false, tcp, 0, 0, 100), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.store(wordDeadline, uint64(c.deadline))
			a.store(wordLife, c.life)
			a.store(wordPort, c.port)
			before := []uint64{wordLate: a.load(wordLate), wordFormer: a.load(wordFormer)}
			got, _, err := p.Test(c.frame)
			if err != nil || (got == 1) != c.passes {
				t.Errorf("verdict %d, %v: want passes %v", got, err, c.passes)
			}
			for _, n := range []int{wordLate, wordFormer} {
				want := before[n]
				if n == c.counted {
					want++
				}
				if a.load(n) != want {
					t.Errorf("counter %d went from %d to %d, want %d", n, before[n], a.load(n), want)
				}
			}
		})
	}
}

// BenchmarkPacket is what the kernel needs to judge one packet, by its own count, without what a real socket's mark adds.
func BenchmarkPacket(b *testing.B) {
	shared, err := newWords()
	if err != nil {
		b.Skipf("NOT MEASURED: no kernel lease here: %v", err)
	}
	defer shared.Close()
	marks, err := newMarks()
	if err != nil {
		b.Fatal(err)
	}
	defer marks.Close()
	p, err := newProgram(shared, marks)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	a := &attached{path: "/", marks: marks}
	if err := a.open(shared); err != nil {
		b.Fatal(err)
	}
	defer a.close()
	for _, c := range []struct {
		name     string
		deadline events.Instant
		port     uint64
	}{{"in time", events.Never, 0}, {"another port", 0, 1}, {"late", 0, 0}} {
		b.Run(c.name, func(b *testing.B) {
			a.store(wordDeadline, uint64(c.deadline))
			a.store(wordPort, c.port)
			var all []time.Duration
			for b.Loop() {
				_, each, err := p.Benchmark(packet(100), 100_000, func() {})
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, each)
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "ns/packet")
			b.ReportMetric(float64(all[0].Nanoseconds()), "ns/packet-least")
		})
	}
}

// TestNames keeps what the kernel lists within what it lists, and a guard's own from whatever is there.
func TestNames(t *testing.T) {
	for _, n := range []string{programName, wordsName, marksName} {
		if len(n) > 15 {
			t.Errorf("%q has %d characters: the kernel keeps 15, and the next guard would not find it", n, len(n))
		}
	}
	if a, b := home("/sys/fs/cgroup", "/srv/orders-a/data"), home("/sys/fs/cgroup", "/srv/orders-b/data"); a == b || home("/sys/fs/cgroup", "/srv/orders-a/data/") != a {
		t.Errorf("two servers have one home, or one has two: %s %s", a, b)
	}
}
