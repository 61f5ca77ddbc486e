package postgres

import (
	"bufio"
	"log/slog"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/switchback-dr/switchback/events"
)

// TestTrapSourceGoingDownSaysNothingOfSlots asks sources that let nobody in. One that shuts down has not said that it has no slot for us; one that refuses the role has.
func TestTrapSourceGoingDownSaysNothingOfSlots(t *testing.T) {
	t.Parallel()
	for code, told := range map[string]bool{"57P03": false, "57P01": false, "42501": true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go refuseAll(l, code)
		d := &Driver{cfg: Config{Cluster: events.Ref{Region: "r", Cluster: "c"}, Data: t.TempDir(), Replication: Replication{User: "replicator"}}, log: slog.New(slog.DiscardHandler)}
		if slot, ok := d.slotAt(t.Context(), l.Addr().String()); ok != told || slot != "" {
			t.Errorf("%s: slot %q, said %v; want said %v", code, slot, ok, told)
		}
	}
}

// refuseAll ends every session before it began.
func refuseAll(l net.Listener, code string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b := pgproto3.NewBackend(bufio.NewReader(conn), conn)
		m, err := b.ReceiveStartupMessage()
		if _, tls := m.(*pgproto3.SSLRequest); err == nil && tls {
			_, _ = conn.Write([]byte("N")) // the client may have hung up
			_, _ = b.ReceiveStartupMessage()
		}
		b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "not now"})
		_ = b.Flush()
		conn.Close()
	}
}
