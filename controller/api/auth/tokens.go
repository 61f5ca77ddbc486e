package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/switchback-dr/switchback/pkg/config"
	"github.com/switchback-dr/switchback/pkg/telemetry"
)

// lookEvery is how often the file of tokens is looked at: a token that is taken out of it works no longer than that.
const lookEvery = time.Second

// Tokens are those of a file, as it stands now.
type Tokens struct {
	path string
	log  *slog.Logger
	now  func() time.Time
	set  atomic.Pointer[map[string]*config.Token] // by id
	seen stamp
}

// stamp is what a file looks like from outside, to see that it has changed.
type stamp struct {
	size int64
	mod  time.Time
	err  string
}

// Open reads the file of tokens. A file that is not there holds none; one that can't be read or understood is an error now, and later leaves the tokens as they were.
func Open(path string, log *slog.Logger) (*Tokens, error) {
	t := &Tokens{path: path, log: log, now: time.Now}
	t.seen = stampOf(t.path)
	if err := t.load(); err != nil {
		return nil, err
	}
	if len(*t.set.Load()) == 0 {
		log.Warn("nobody may use the API: there is no token; `switchback token create` makes one", "file", path)
	}
	return t, nil
}

// Watch reads the file again whenever it changes, until ctx ends.
func (t *Tokens) Watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.look()
		}
	}
}

// look reads the file again if it has changed. One that is gone holds no token any more, for removing it is how one shuts the door in a hurry; one that can't be understood changes
// nothing, for it is half written or a mistake.
func (t *Tokens) look() {
	now := stampOf(t.path)
	if now == t.seen {
		return
	}
	t.seen = now
	if err := t.load(); err != nil {
		t.log.Error("the tokens stay as they were: their file can't be read", "file", t.path, telemetry.Err(err))
		return
	}
	t.log.Info("tokens read again", "file", t.path, "tokens", len(*t.set.Load()))
}

func stampOf(path string) stamp {
	i, err := os.Stat(path)
	if err != nil {
		return stamp{err: err.Error()}
	}
	return stamp{size: i.Size(), mod: i.ModTime()}
}

func (t *Tokens) load() error {
	set := map[string]*config.Token{}
	all, err := config.LoadTokens(t.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for i := range all {
		set[all[i].ID] = &all[i]
	}
	t.set.Store(&set)
	return nil
}

// Check finds who a token speaks for. Errors: ErrNoToken, ErrBadToken, ErrExpired.
func (t *Tokens) Check(token string) (*Principal, error) {
	if token == "" {
		return nil, ErrNoToken
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	hash := sha256.Sum256([]byte(token))
	known := (*t.set.Load())[id]
	if known == nil || subtle.ConstantTimeCompare(hash[:], known.Hash[:]) != 1 {
		return nil, ErrBadToken
	}
	return t.current(known)
}

// byID finds who the token of that id speaks for, for a session that it began.
func (t *Tokens) byID(id string) (*Principal, error) {
	known := (*t.set.Load())[id]
	if known == nil {
		return nil, ErrBadToken
	}
	return t.current(known)
}

func (t *Tokens) current(known *config.Token) (*Principal, error) {
	if expired(known, t.now()) {
		return nil, ErrExpired
	}
	return principal(known), nil
}
