package airflow

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestMain has the test's own program hold processes too, as the program does, and stand in for Airflow's parts where what is tested is the driver's own.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold" {
		exit(Hold(os.Args[2]))
	}
	if len(os.Args) == 2 && filepath.Base(os.Args[0]) == "standin" {
		exit(standIn(os.Args[1]))
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// standIn is a part of Airflow as the driver sees one: a process that writes its row in the list of jobs, beats, and ends it when it is told to end.
func standIn(part string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	conn, err := pgx.Connect(ctx, os.Getenv("STANDIN_DSN"))
	if err != nil {
		return err
	}
	var id int
	if err := conn.QueryRow(ctx, "INSERT INTO job (job_type, state, latest_heartbeat) VALUES ($1, 'running', now()) RETURNING id", job(part)).Scan(&id); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			_, err := conn.Exec(context.Background(), "UPDATE job SET state = 'success' WHERE id = $1", id)
			return err
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := conn.Exec(context.Background(), "UPDATE job SET latest_heartbeat = now() WHERE id = $1", id); err != nil {
			return err
		}
	}
}
