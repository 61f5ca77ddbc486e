package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/switchback-dr/switchback/pkg/config"
)

// fileHead is what a new file of tokens begins with.
const fileHead = "# Who may use the API of Switchback's controllers. Written by `switchback token create`; the same on every controller.\n" +
	"# A token itself stands nowhere, only its SHA-256: a token is 130 random bits, so its digest tells nobody anything.\n"

// Add makes a token and adds it to the file, which is made if it is not there. It returns the token itself, which is kept nowhere.
func Add(path string, t config.Token) (token, id string, err error) {
	token, id, hash := NewToken()
	t.ID, t.Hash = id, hash
	err = edit(path, func(list *yaml.Node) error {
		var n yaml.Node
		if err := n.Encode(fileToken(&t)); err != nil {
			return fmt.Errorf("encode a token: %w", err)
		}
		list.Style = 0
		list.Content = append(list.Content, &n)
		return nil
	})
	if err != nil {
		return "", "", err
	}
	return token, id, nil
}

// Remove takes tokens out of the file: the one of that id, or all of that actor. It returns their ids.
func Remove(path string, is func(*config.Token) bool) (ids []string, err error) {
	all, err := config.LoadTokens(path)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if is(&all[i]) {
			ids = append(ids, all[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return ids, edit(path, func(list *yaml.Node) error {
		list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool {
			var t struct{ ID string }
			return n.Decode(&t) == nil && slices.Contains(ids, t.ID)
		})
		return nil
	})
}

// inFile is a token as the file has it.
type inFile struct {
	ID       string   `yaml:"id"`
	Actor    string   `yaml:"actor"`
	Role     string   `yaml:"role"`
	Projects []string `yaml:"projects,flow"`
	Hash     string   `yaml:"hash"`
	Created  string   `yaml:"created,omitempty"`
	Expires  string   `yaml:"expires,omitempty"`
	Note     string   `yaml:"note,omitempty"`
}

func fileToken(t *config.Token) inFile {
	return inFile{t.ID, t.Actor, string(t.Role), t.Projects, t.Hash.String(), moment(t.Created), moment(t.Expires), t.Note}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// edit changes the list of tokens and puts the file in place whole, or leaves it as it was. Comments stay. Two at a time take turns, by a lock on the directory's lock file.
func edit(path string, f func(list *yaml.Node) error) error {
	lock, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock the tokens: %w", err)
	}
	doc, mode, err := readFile(path)
	if err != nil {
		return err
	}
	list := tokensOf(doc)
	if list == nil {
		return fmt.Errorf("edit %s: there is no list of tokens", path)
	}
	if err := f(list); err != nil {
		return err
	}
	data, err := yaml.Marshal(doc)
	if err != nil {
		return fmt.Errorf("encode tokens: %w", err)
	}
	if _, err := config.ParseTokens(path, data); err != nil { // what would not be understood is never put in place
		return err
	}
	return replace(path, data, mode)
}

func readFile(path string) (doc *yaml.Node, mode fs.FileMode, err error) {
	data, mode := []byte(fileHead+"tokens: []\n"), fs.FileMode(0o644) // it holds no secret, and controllers run as another user
	if i, err := os.Stat(path); err == nil {
		if _, err := config.LoadTokens(path); err != nil {
			return nil, 0, err
		}
		mode = i.Mode().Perm()
		if data, err = os.ReadFile(path); err != nil {
			return nil, 0, fmt.Errorf("read tokens: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("read tokens: %w", err)
	}
	doc = &yaml.Node{}
	if err := yaml.Unmarshal(data, doc); err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", path, err)
	}
	return doc, mode, nil
}

// tokensOf finds the list in the document.
func tokensOf(doc *yaml.Node) *yaml.Node {
	if len(doc.Content) == 0 {
		return nil
	}
	top := doc.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == "tokens" && top.Content[i+1].Kind == yaml.SequenceNode {
			return top.Content[i+1]
		}
	}
	return nil
}

// replace puts a file in place whole: who reads it sees the old one or the new one, after a power cut too.
func replace(path string, data []byte, mode fs.FileMode) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if i, serr := os.Stat(path); serr == nil {
		if st := i.Sys().(*syscall.Stat_t); int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid() {
			err = errors.Join(err, os.Chown(tmp.Name(), int(st.Uid), int(st.Gid)))
		}
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("write tokens: %w", err)
	}
	return nil
}
