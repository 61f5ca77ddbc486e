package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type entry struct {
	Epoch uint64 `json:"epoch"`
	Text  string `json:"text"`
}

func open(t *testing.T, path string) *File[entry] {
	t.Helper()
	f, err := Open[entry](path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // a second Close is no matter here
	return f
}

func TestSaveAndLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	f := open(t, path)
	if v, ok, err := f.Load(); ok || err != nil {
		t.Fatalf("a new ledger holds %v, %v, %v", v, ok, err)
	}
	for i := range uint64(3) {
		want := entry{i, `with "quotes" <and> more`}
		if err := f.Save(want); err != nil {
			t.Fatal(err)
		}
		for _, read := range []func() (entry, bool, error){f.Load, func() (entry, bool, error) { return Read[entry](path) }} {
			if got, ok, err := read(); got != want || !ok || err != nil {
				t.Fatalf("got %v, %v, %v; want %v", got, ok, err, want)
			}
		}
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", st.Mode(), err)
	}
}

func TestSaveThatFailsKeepsTheOldValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	f := open(t, path)
	if err := f.Save(entry{Epoch: 7}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil { // root ignores permissions, not this
		t.Fatal(err)
	}
	if err := f.Save(entry{Epoch: 8}); err == nil {
		t.Fatal("a save that can't write reported success")
	}
	if got, ok, err := f.Load(); got.Epoch != 7 || !ok || err != nil {
		t.Fatalf("got %v, %v, %v; want the old value", got, ok, err)
	}
}

func TestRemainsOfACrashedSaveAreReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := os.WriteFile(path+".new", []byte(strings.Repeat("half", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	if err := f.Save(entry{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := f.Load(); got.Epoch != 1 || !ok || err != nil {
		t.Fatalf("got %v, %v, %v", got, ok, err)
	}
}

// No change of a single byte, no cut and no addition of anything but space is taken for a ledger, or for none.
func TestCorruptionIsNeverRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	f := open(t, path)
	want := entry{12, "text"}
	if err := f.Save(want); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{"empty": {}, "more": append(whole[:len(whole):len(whole)], '{'), "other": []byte(`{"crc32":0,"body":{},"new":1}`)}
	for i := range len(whole) - 1 { // the last is the line's end
		changed := append([]byte(nil), whole...)
		changed[i] ^= 1
		bad[fmt.Sprintf("byte %d changed", i)] = changed
		bad[fmt.Sprintf("cut at %d", i)] = whole[:i]
	}
	for name, content := range bad {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, ok, err := f.Load()
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, %v, %v; want ErrCorrupt and the file's name\n%s", name, got, ok, err, content)
		}
	}
}

func TestFieldOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	newer, err := Open[map[string]any](path)
	if err != nil {
		t.Fatal(err)
	}
	if err := newer.Save(map[string]any{"epoch": 1, "text": "", "promise": 5}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Read[entry](path); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "promise") {
		t.Fatalf("%v; want the unknown field named", err)
	}
	_ = newer.Close()
}

const holdFlag = "hold-the-ledger"

// TestMain is also the other process.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == holdFlag {
		if _, err := Open[entry](os.Args[2]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("open")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the test ends or says so
		return
	}
	os.Exit(m.Run())
}

func TestTwoAgentsOnOneLedger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	other := exec.Command(os.Args[0], holdFlag, path)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "open\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	if _, err := Open[entry](path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("opened twice: %v; want ErrLocked and the file's name", err)
	}
	if err := other.Process.Kill(); err != nil { // a crash leaves no lock behind
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	_ = in.Close()
	open(t, path)
}

// A child that is between its fork and its exec has every file of its parent's for a moment.
func TestLockEndsWithCloseWhoeverHasTheFileToo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	f := open(t, path)
	child, err := syscall.Dup(int(f.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(child)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open[entry](path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close() // nothing was written
}
