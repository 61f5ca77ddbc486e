package postgres

import (
	"bufio"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/switchback-dr/switchback/events"
)

func TestRecordEnd(t *testing.T) {
	t.Parallel()
	const block, seg = 8192, 16 << 20
	for _, c := range []struct {
		start events.LSN
		total uint64
		want  events.LSN
	}{
		{0x4000028, 114, 0x40000A0},                     // measured
		{0x2000 - 120, 114, 0x2000},                     // ends with its page
		{0xB6BF98, 114, 0xB6C028},                       // runs into the next page, measured
		{0x1FFF8, 114, 0x20000 + 24 + 112},              // its first 8 bytes on the old page
		{seg - 8, 114, seg + 40 + 112},                  // the next page begins a segment
		{0x2000 - 8, 8192, 0x4000 + 24 + 16 + 0},        // over two page ends: 8 bytes, a page of 8168, 16 bytes
		{seg*3 - 16, 114, events.LSN(seg*3 + 40 + 104)}, // 98 bytes left, aligned to 104
	} {
		if got := recordEnd(c.start, c.total, block, seg); got != c.want {
			t.Errorf("record at %v of %d bytes ends at %v, want %v", c.start, c.total, got, c.want)
		}
	}
}

func TestDeliveredAndLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stop, replayed events.LSN
		want           bool
	}{{10, 10, true}, {10, 11, true}, {10, 9, false}, {0, 9, false}, {10, 0, false}, {0, 0, false}} {
		if Delivered(c.stop, c.replayed) != c.want {
			t.Errorf("delivered(%v, %v) is not %v", c.stop, c.replayed, c.want)
		}
	}
	for _, c := range []struct {
		written, promoted events.LSN
		want              events.Loss
	}{{10, 4, events.Loss{Known: true, Bytes: 6}}, {4, 10, events.Loss{Known: true}}, {0, 4, events.Loss{}}, {4, 0, events.Loss{}}} {
		if got := Lost(c.written, c.promoted); got != c.want {
			t.Errorf("lost(%v, %v) = %+v, want %+v", c.written, c.promoted, got, c.want)
		}
	}
}

func TestLagIsTheAgeOfWhatIsNotReplayed(t *testing.T) {
	t.Parallel()
	var l lagClock
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for i, c := range []struct {
		now           int
		end, replayed events.LSN
		want          time.Duration
	}{
		{0, 100, 100, 0},
		{1, 200, 100, 0},               // heard of just now
		{3, 300, 100, 2 * time.Second}, // 101 has been known since 1
		{4, 400, 250, time.Second},     // up to 200 is replayed: 251 since 3
		{5, 400, 399, time.Second},
		{9, 400, 400, 0},
		{10, 500, 400, 0},
		{12, 500, 400, 2 * time.Second}, // nothing new, and still behind
	} {
		if got := l.behind(at(c.now), c.end, c.replayed); got != c.want {
			t.Errorf("row %d: behind %v, want %v", i, got, c.want)
		}
	}
	for i := range 10 * lagSamples { // far behind for long: the oldest stays
		l.behind(at(20+i), events.LSN(1000+i), 400)
	}
	if got := l.behind(at(20+10*lagSamples), 9999, 400); got != time.Duration(10+10*lagSamples)*time.Second || len(l.samples) > lagSamples+1 {
		t.Errorf("behind %v with %d samples", got, len(l.samples))
	}
}

func TestConfigErrorsNameFieldAndValue(t *testing.T) {
	t.Parallel()
	ok := Config{Cluster: events.Ref{Region: "eu-west-1", Cluster: "orders-a"}, Data: "/srv/orders-a", Advertise: "10.0.0.1:5432"}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Config)
		names  []string
	}{
		{func(c *Config) { c.Cluster = events.Ref{} }, []string{"cluster"}},
		{func(c *Config) { c.Data = "" }, []string{"data", "postgresql@15-main"}},
		{func(c *Config) { c.Data = "srv/a" }, []string{"data", `"srv/a"`}},
		{func(c *Config) { c.Data = "/srv/$(id)" }, []string{"data", "$(id)"}},
		{func(c *Config) { c.Data = "/" }, []string{"data", `"/"`}},
		{func(c *Config) { c.Bin = "bin" }, []string{"bin", `"bin"`}},
		{func(c *Config) { c.Unit = "-H evil" }, []string{"unit", "-H evil"}},
		{func(c *Config) { c.User = "nobody-of-this-name" }, []string{"user", "nobody-of-this-name"}},
		{func(c *Config) { c.User = "root" }, []string{"user", "root"}},
		{func(c *Config) { c.Advertise = "10.0.0.1" }, []string{"advertise", "10.0.0.1", "host:port"}},
		{func(c *Config) { c.Advertise = "a:70000" }, []string{"advertise", "70000"}},
		{func(c *Config) { c.Replication.Slot = "A-b" }, []string{"replication.slot", "A-b"}},
		{func(c *Config) { c.Replication.User = "x' y" }, []string{"replication.user", "x' y"}},
		{func(c *Config) { c.Replication.PasswordFile = "pw" }, []string{"replication.password_file", `"pw"`}},
		{func(c *Config) { c.Replication.Options = "sslmode=require password = hunter2" }, []string{"replication.options", "password_file"}},
		{func(c *Config) { c.Data, c.Bin = "x", "y" }, []string{"data", "bin"}},
	} {
		bad := ok
		c.change(&bad)
		err := bad.Validate()
		if err == nil {
			t.Errorf("passed: %+v", bad)
			continue
		}
		for _, n := range c.names {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("%v: does not name %s", err, n)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: tells the secret", err)
		}
	}
}

func TestUpstreamFileIsReadBack(t *testing.T) {
	t.Parallel()
	d := &Driver{owner: owner{uid: uint32(os.Geteuid())}, cfg: Config{
		Cluster: events.Ref{Region: "r", Cluster: "orders-b"}, Data: t.TempDir(),
		Replication: Replication{User: "replicator", PasswordFile: "/etc/switchback/pgpass", Slot: "orders_b", Options: "sslmode=require"},
	}}
	if _, there := d.upstream(); there {
		t.Fatal("an upstream file where none is")
	}
	for _, u := range []upstream{{}, {source: "10.0.0.1:5432"}, {source: "[2001:db8::1]:5432"}, {source: "db.example:6432", cut: true}} {
		if err := os.WriteFile(d.path(upstreamFile), []byte(d.text(u)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, there := d.upstream(); got != u || !there {
			t.Errorf("read %+v, wrote %+v", got, u)
		}
		if follows := strings.Contains(d.text(u), "passfile"); follows != (u.source != "" && !u.cut) {
			t.Errorf("%+v:\n%s", u, d.text(u))
		}
		if u.source != "" && sourceOf(d.conninfo(u.source)) != u.source {
			t.Errorf("%q in %q is read as %q", u.source, d.conninfo(u.source), sourceOf(d.conninfo(u.source)))
		}
	}
}

func TestForkPoint(t *testing.T) {
	t.Parallel()
	d := &Driver{cfg: Config{Data: t.TempDir()}}
	if err := os.Mkdir(d.path("pg_wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path("pg_wal/0000000A.history"), []byte("1\t0/A0\tno recovery target specified\n\n9\t5/A1C0\tno recovery target specified\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at, err := d.forkPoint(10); err != nil || at != 0x50000A1C0 {
		t.Errorf("forked at %v, %v", at, err)
	}
	if _, err := d.forkPoint(11); err == nil {
		t.Error("a fork point without a history")
	}
}

// TestTrapAckIsReadyForQuery speaks the server's side: CommandComplete, then the end. A canary must not count it, nor one with a warning.
func TestTrapAckIsReadyForQuery(t *testing.T) {
	t.Parallel()
	complete := &pgproto3.CommandComplete{CommandTag: []byte("INSERT 0 1")}
	ready := &pgproto3.ReadyForQuery{TxStatus: 'I'}
	for name, c := range map[string]struct {
		answer []pgproto3.BackendMessage
		ok     bool
	}{
		"ready for query":      {[]pgproto3.BackendMessage{complete, ready}, true},
		"complete, then fatal": {[]pgproto3.BackendMessage{complete, &pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P01", Message: "terminating"}}, false},
		"complete, then gone":  {[]pgproto3.BackendMessage{complete}, false},
		"with a warning":       {[]pgproto3.BackendMessage{&pgproto3.NoticeResponse{Severity: "WARNING", Code: "01000", Message: "canceling wait"}, complete, ready}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go serveOnce(l, c.answer)
			dsn := filepath.Join(t.TempDir(), "dsn")
			if err := os.WriteFile(dsn, []byte("postgres://u@"+l.Addr().String()+"/postgres?sslmode=disable\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			d := &Driver{cfg: Config{DSNFile: dsn}, log: slog.New(slog.DiscardHandler)}
			link := newLink(d.dial("0"))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err = link.once(ctx, func(conn *pgx.Conn) error { return d.canary(ctx, link, conn) })
			if (err == nil) != c.ok {
				t.Errorf("canary: %v, want ok %v", err, c.ok)
			}
			link.close()
		})
	}
}

// serveOnce lets one client in and answers its first statement.
func serveOnce(l net.Listener, answer []pgproto3.BackendMessage) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	b := pgproto3.NewBackend(bufio.NewReader(conn), conn)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	for {
		m, err := b.Receive()
		if err != nil {
			return
		}
		if _, synced := m.(*pgproto3.Sync); synced {
			break
		}
	}
	b.Send(&pgproto3.ParseComplete{})
	b.Send(&pgproto3.BindComplete{})
	b.Send(&pgproto3.NoData{})
	for _, m := range answer {
		b.Send(m)
	}
	_ = b.Flush() // the client may have hung up: that is its verdict
}

// TestTrapsHaveTests reads testdata/traps.txt: every trap names its test, or says `later:` and why.
func TestTrapsHaveTests(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	files, err := filepath.Glob("*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[fn.Name.Name] = true
			}
		}
	}
	b, err := os.ReadFile("testdata/traps.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		by, trap, ok := strings.Cut(line, "|")
		by, trap = strings.TrimSpace(by), strings.TrimSpace(trap)
		switch reason, later := strings.CutPrefix(by, "later:"); {
		case !ok || trap == "":
			t.Errorf("traps.txt:%d: %q: want TEST | trap, or later: reason | trap", i+1, line)
		case later && strings.TrimSpace(reason) == "":
			t.Errorf("traps.txt:%d: later without a reason", i+1)
		case !later && !tests[by]:
			t.Errorf("traps.txt:%d: no test %s", i+1, by)
		}
		listed[by] = true
	}
	for name := range tests {
		if strings.HasPrefix(name, "TestTrap") && name != "TestTrapsHaveTests" && !listed[name] {
			t.Errorf("%s shows a trap that traps.txt does not list", name)
		}
	}
}
