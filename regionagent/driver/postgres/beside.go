package postgres

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/switchback-dr/switchback/events"
)

// What a restore keeps in the directory beside the data, <data>.switchback: a rewind deletes what it does not know inside the data, and a copy
// replaces it whole.
const (
	journalFile  = "restore.json"  // the restore under way, or the last one
	identityFile = "identity.conf" // settings that a copied postgresql.conf must not give: port and listening places
	siteDir      = "site"          // the site's own configuration files, as they were before a rewind
	newDir       = "new"           // a copy under way
	asideDir     = "aside"         // the data, for the moment in which the copy takes its place
	oldDir       = "old"           // what the copy replaced, until the copy streams
	runDir       = "run"           // the socket of a server that only recovers
	recoverLog   = "recover.log"   // and what it printed
)

// beside is a path in the directory beside the data.
func (d *Driver) beside(name string) string { return filepath.Join(d.cfg.Data+".switchback", name) }

// makeBeside makes that directory, or one in it, as the server's owner's. What is there already must be a directory of the owner's: a link could
// lead us anywhere.
func (d *Driver) makeBeside(name string) error {
	for _, dir := range []string{d.beside(""), d.beside(name)} {
		if err := d.makeOwned(dir); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) makeOwned(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil && os.Geteuid() == 0:
		err = os.Lchown(dir, int(d.owner.uid), int(d.owner.gid))
	case errors.Is(err, os.ErrExist):
		info, look := os.Lstat(dir)
		if look != nil || !info.IsDir() || info.Sys().(*syscall.Stat_t).Uid != d.owner.uid {
			return fmt.Errorf("make %s: something is there: want nothing, or a directory of %s's (%v)", dir, d.cfg.User, look)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	return syncDir(filepath.Dir(dir))
}

// private is the directory of the socket that no client knows: the path of a socket has at most 107 bytes.
func (d *Driver) private() string {
	if dir := d.beside(runDir); len(dir) < 85 {
		return dir
	}
	return fmt.Sprintf("/tmp/switchback-%x", sha256.Sum256([]byte(d.cfg.Data)))[:40]
}

// journal is what a restore must still know after the agent died: the loss is counted once, before anything is overwritten.
type journal struct {
	Step   string          `json:"step"`
	Source string          `json:"source"`
	Stage  string          `json:"stage"`
	Writer bool            `json:"writer,omitempty"` // it was a former active's data
	Group  string          `json:"group,omitempty"`  // of our mark
	Broken bool            `json:"broken,omitempty"` // the data in place is half rewound or not dressed: nobody may start it
	Fresh  bool            `json:"fresh,omitempty"`  // there was no data, so its settings are the source's
	How    string          `json:"how,omitempty"`
	Copied int64           `json:"copied,omitempty"`
	Lost   *events.LostLog `json:"lost,omitempty"`
}

// The stages of a restore, by which it is taken up again.
const (
	stageBegun  = "begun"  // nothing is overwritten yet
	stageRewind = "rewind" // pg_rewind is at it
	stageDress  = "dress"  // the data is the source's, its settings are not ours again yet
	stageCopy   = "copy"   // a copy is made in newDir
	stageSwap   = "swap"   // the copy is whole: it takes the data's place now
	stageFollow = "follow" // the data is what it has to be: it only has to start and stream
	stageDone   = "done"   // it streamed
)

// What a restore kept of the data.
const (
	howFollowed = "followed"
	howRewound  = "rewound"
	howCopied   = "copied"
)

// broken says why nobody may start the data in place; empty = a restore left nothing half done. A journal that can't be read is no reason: it is not
// what makes data whole.
func (d *Driver) broken() string {
	if j, err := d.journal(); err == nil && (j.Broken || j.Stage == stageSwap) {
		return fmt.Sprintf("a restore from %s was interrupted (%s): the data is no server's until it is asked for again", j.Source, j.Stage)
	}
	return ""
}

// journal reads it; none is the zero value.
func (d *Driver) journal() (j journal, err error) {
	b, err := d.read(d.beside(journalFile))
	if errors.Is(err, os.ErrNotExist) {
		return j, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &j)
	}
	if err != nil {
		return j, fmt.Errorf("read the journal of the last restore %s: %w", d.beside(journalFile), err)
	}
	return j, nil
}

// note makes the journal durable.
func (d *Driver) note(j journal) error {
	if err := d.makeBeside(""); err != nil {
		return err
	}
	b, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if _, err = d.writeIfChanged(d.beside(journalFile), string(b)+"\n"); err == nil {
		d.reach(j.Stage)
	}
	return err
}

// reach says that a point was reached at which a restore can be interrupted; tests die there.
func (d *Driver) reach(point string) {
	if d.reached != nil {
		d.reached(point)
	}
}
