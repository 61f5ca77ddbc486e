package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/switchback-dr/switchback/events"
)

// What the driver keeps in the cluster's directory.
const (
	standbyFile = "standby"   // makes whatever is started beside the driver stand by (I8): the guard places it before a kill
	markFile    = "mark.json" // whose the data is
	ownFile     = "own.json"
	runningFile = "running.json"
)

// own is what the driver has to remember of the cluster's data, because nobody else does.
type own struct {
	Wrote    bool   `json:"wrote,omitempty"`    // its data was last written by itself: only then may it be started active
	Clean    bool   `json:"clean,omitempty"`    // its last stop was clean
	Cut      bool   `json:"cut,omitempty"`      // told to stand still
	Source   string `json:"source,omitempty"`   // whom it was told to follow last
	Broken   bool   `json:"broken,omitempty"`   // a restore was begun and has not ended
	Restored string `json:"restored,omitempty"` // the step that copied it anew last
	Released bool   `json:"released,omitempty"`
}

type mark struct {
	Group string `json:"group"`
}

// read reads what the driver remembers; of what it never wrote down it remembers nothing.
func (d *Driver) read() (own, error) {
	var o own
	err := d.readFile(ownFile, &o)
	if errors.Is(err, fs.ErrNotExist) {
		return own{}, nil
	}
	return o, err
}

func (d *Driver) readFile(name string, to any) error {
	d.words.Lock()
	defer d.words.Unlock()
	b, err := os.ReadFile(d.path(name))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("read %s: %w", d.path(name), err)
	}
	return nil
}

// write returns once v is on disk in the place of what was there.
func (d *Driver) write(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d.words.Lock()
	defer d.words.Unlock()
	f, err := os.CreateTemp(d.cfg.Dir, "."+name+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(append(b, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), d.path(name))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return d.syncDir()
}

func (d *Driver) syncDir() error {
	dir, err := os.Open(d.cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// remove removes a file and says whether it was there; on disk when it returns.
func (d *Driver) remove(name string) (bool, error) {
	err := os.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, d.syncDir()
}

// placeStandby makes whatever is started beside the driver stand by; on disk when it returns.
func (d *Driver) placeStandby() error {
	f, err := os.OpenFile(d.path(standbyFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return d.syncDir()
	} else if err != nil {
		return fmt.Errorf("place %s: %w", filepath.Base(d.path(standbyFile)), err)
	}
	return errors.Join(f.Sync(), f.Close(), d.syncDir())
}

func (d *Driver) standsBy() bool {
	_, err := os.Lstat(d.path(standbyFile))
	return err == nil
}

// mark says whose the data is, or takes that back.
func (d *Driver) mark(group string) events.Result {
	var was mark
	err := d.readFile(markFile, &was)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unknown("%v", err)
	}
	if was.Group == group {
		return events.Result{Outcome: events.AlreadyDone}
	}
	if group == "" {
		_, err = d.remove(markFile)
	} else {
		var o own
		if o, err = d.read(); err == nil && o.Released {
			o.Released = false
			err = d.write(ownFile, o)
		}
		if err == nil {
			err = d.write(markFile, mark{group})
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refused("no directory %s to mark: %v", d.cfg.Dir, err)
	case err != nil:
		return unknown("mark: %v", err)
	}
	return events.Result{Outcome: events.Done}
}
