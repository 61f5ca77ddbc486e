// Package ledger keeps one value in one file so that it survives a crash at any instant: an agent's ledger, which must be on disk before the
// agent acts on it or says it (I2).
package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrLocked says that another process has the ledger open: two agents on one ledger would each act on what the other never saw.
var ErrLocked = errors.New("ledger is in use by another process")

// ErrCorrupt says that a ledger is there and can't be read. It is never treated as empty: an empty ledger has forgotten every epoch.
var ErrCorrupt = errors.New("ledger is corrupt")

// File is a ledger open for writing; one process at a time has it. Not for concurrent use.
type File[T any] struct {
	path string
	lock *os.File
}

// document is the file's content. The sum finds what a disk or an editor changed inside valid JSON.
type document struct {
	Sum  uint32          `json:"crc32"` // of Body, IEEE
	Body json.RawMessage `json:"body"`
}

// Open takes the ledger for this process until Close or the process's end. Errors: ErrLocked.
// The lock is a file beside it, because Save replaces the ledger itself.
func Open[T any](path string) (*File[T], error) {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("open ledger %s: %w: stop the other agent, or give this one a ledger of its own", path, ErrLocked)
		}
		return nil, fmt.Errorf("lock ledger %s: %w", path, err)
	}
	return &File[T]{path, lock}, nil
}

// Close gives the ledger up.
func (f *File[T]) Close() error {
	// Closing alone would leave the lock with a child that is between its fork and its exec.
	err := syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)
	return errors.Join(err, f.lock.Close())
}

// Save returns once v is on disk in place of what was there: temporary file, fsync, rename, fsync of the directory. After an error the old or the new value is there, whole.
func (f *File[T]) Save(v T) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("save ledger: %w", err)
	}
	b, err := json.Marshal(document{crc32.ChecksumIEEE(body), body})
	if err != nil {
		return fmt.Errorf("save ledger: %w", err)
	}
	if err := Replace(f.path, append(b, '\n')); err != nil {
		return fmt.Errorf("save ledger: %w", err)
	}
	return nil
}

// Replace puts content on disk in place of path, whole or not at all, readable by its owner alone. One writer at a time.
func Replace(path string, content []byte) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	temp := path + ".new" // one writer, so one name; a crash leaves at most one, which the next save replaces
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return dir.Sync()
}

// Load reads the ledger back; false: there is none yet. Errors: ErrCorrupt.
func (f *File[T]) Load() (T, bool, error) { return Read[T](f.path) }

// Read reads a ledger that another process may have open, as the guard does: it sees the last value saved, whole. False: there is none yet. Errors: ErrCorrupt.
func Read[T any](path string) (T, bool, error) {
	var v T
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, false, nil
	} else if err != nil {
		return v, false, fmt.Errorf("load ledger: %w", err)
	}
	var d document
	if err := decode(b, &d); err != nil {
		return v, false, corrupt(path, err)
	}
	if sum := crc32.ChecksumIEEE(d.Body); sum != d.Sum {
		return v, false, corrupt(path, fmt.Errorf("its body sums to %d, the file says %d", sum, d.Sum))
	}
	if err := decode(d.Body, &v); err != nil {
		return v, false, corrupt(path, err)
	}
	return v, true, nil
}

func corrupt(path string, err error) error {
	return fmt.Errorf("load ledger %s: %w: %w; restore it from a copy, or remove it and let the agent rejoin: what it holds then stays frozen until the controller names it",
		path, ErrCorrupt, err)
}

// decode is strict: a field this version doesn't know was written by a newer one, and dropping it at the next save would forget it.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return errors.New("something follows the value")
	}
	return nil
}
