package freezer

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/freezer/freezertest"
)

func TestKillOfARunningTree(t *testing.T) {
	t.Parallel()
	tree := freezertest.Churn(t)
	o, err := Kill(freezertest.Limit(t), tree)
	if err != nil || o.Processes < 3 {
		t.Fatalf("kill: %+v, %v", o, err)
	}
	freezertest.Still(t, tree)
	wantSignalFile(t, tree)
}

func TestKillPlacesTheSignalFileOfAStoppedServer(t *testing.T) {
	t.Parallel()
	dir := freezertest.Home(t)
	tree := driver.Tree{PIDFile: filepath.Join(dir, "pid"), Match: dir, Signal: filepath.Join(dir, "standby.signal")}
	if _, err := Kill(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
	wantSignalFile(t, tree)
}

func TestKillWithoutItsSignalFileKillsAndSaysSo(t *testing.T) {
	t.Parallel()
	tree := freezertest.Churn(t)
	tree.Signal = filepath.Join(filepath.Dir(tree.Signal), "missing", "standby.signal")
	_, err := Kill(freezertest.Limit(t), tree)
	if err == nil || !strings.Contains(err.Error(), "without its signal file") {
		t.Fatalf("kill: %v; want the missing signal file named", err)
	}
	freezertest.Still(t, tree)
}

func TestKillNeverFollowsALinkAsSignalFile(t *testing.T) {
	t.Parallel()
	dir := freezertest.Home(t)
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, filepath.Join(dir, "standby.signal")); err != nil {
		t.Fatal(err)
	}
	if err := PlaceSignal(filepath.Join(dir, "standby.signal")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the link's target was made: %v", err)
	}
}

func TestKillWantsThePortClosed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tree := freezertest.Churn(t)
	tree.Address = l.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Kill(ctx, tree); err == nil || !strings.Contains(err.Error(), tree.Address) {
		t.Fatalf("kill: %v; want the open port named", err)
	}
	freezertest.Still(t, tree)
	_ = l.Close()
	if _, err := Kill(freezertest.Limit(t), tree); err != nil {
		t.Fatal(err)
	}
}
