package config

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"
)

// AllProjects stands in a token's projects for every project, and for what belongs to none: regions, the fleet.
const AllProjects = "*"

// Role says how much a token may do.
type Role string

// The roles, each of which may do all that the ones before it may.
const (
	RoleViewer   Role = "viewer"   // looks
	RoleOperator Role = "operator" // moves and steers
	RoleAdmin    Role = "admin"    // waives proofs, releases groups, rebuilds records
)

// Roles lists them, the least first.
func Roles() []Role { return []Role{RoleViewer, RoleOperator, RoleAdmin} }

// Digest is the SHA-256 of a token.
type Digest [32]byte

// String is as the file of tokens has it.
func (d Digest) String() string { return "sha256:" + hex.EncodeToString(d[:]) }

// MarshalText writes it so in JSON, too.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Token is one line of tokens.yaml: who may use the API. The token itself stands nowhere, only its digest.
type Token struct {
	ID       string    // names it; a part of the token, no secret
	Actor    string    // who asks, as the audit shows it
	Role     Role      //
	Projects []string  // sees and moves groups of these; AllProjects = everything
	Hash     Digest    // of the token
	Created  time.Time // zero = not written down
	Expires  time.Time // zero = never
	Note     string
}

// LoadTokens reads and checks a file of tokens. The error is Problems, or says why the file can't be read.
func LoadTokens(path string) ([]Token, error) {
	ts, err := load(path, func(file string, data []byte) (*[]Token, error) {
		ts, err := ParseTokens(file, data)
		return &ts, err
	})
	if err != nil {
		return nil, err
	}
	return *ts, nil
}

// ParseTokens reads and checks the text of a file of tokens; file is its name in errors.
func ParseTokens(file string, data []byte) (ts []Token, err error) {
	err = read(file, data, func(o *object) {
		o.must("tokens", "a list, as `switchback token create` writes it").list(func(v value) {
			var t Token
			v.object(t.read)
			if t.ID != "" && slices.ContainsFunc(ts, func(x Token) bool { return x.ID == t.ID }) {
				v.problem("the token %s stands here twice", t.ID)
			}
			ts = append(ts, t)
		})
	})
	if err != nil {
		return nil, err
	}
	return ts, nil
}

var tokenID = regexp.MustCompile(`^[a-z0-9]{4,32}$`)

func (t *Token) read(o *object) {
	id := o.must("id", "what names it, as `switchback token create` writes it")
	if s, ok := id.text("4 to 32 of a-z and 0-9"); ok && !tokenID.MatchString(s) {
		id.problem("is no id of a token: want 4 to 32 of a-z and 0-9") // not shown: it may be the token
	} else {
		t.ID = s
	}
	t.Actor = o.must("actor", "who asks, as the audit shows it").name("actor")
	t.Role = word(o.must("role", list([]string{string(RoleViewer), string(RoleOperator), string(RoleAdmin)})), RoleViewer, Roles()...)
	projects := o.must("projects", `a list of projects, or ["*"] for all`)
	projects.list(func(v value) {
		if s, ok := v.text("the name of a project"); ok && s == AllProjects {
			t.Projects = append(t.Projects, s)
		} else if ok {
			t.Projects = append(t.Projects, v.name("project"))
		}
	})
	if projects.isList() && len(t.Projects) == 0 {
		projects.problem(`the list is empty: want at least one project, or ["*"] for all`)
	}
	hash := o.must("hash", "sha256: and 64 hexadecimal digits")
	if s, ok := hash.text("sha256: and 64 hexadecimal digits"); ok {
		digits, found := strings.CutPrefix(s, "sha256:")
		if b, err := hex.DecodeString(digits); !found || err != nil || len(b) != len(t.Hash) {
			hash.problem("is no digest: want sha256: and 64 hexadecimal digits, as `switchback token create` writes it")
		} else {
			copy(t.Hash[:], b)
		}
	}
	t.Created, t.Expires = o.get("created").instant(), o.get("expires").instant()
	t.Note, _ = o.get("note").text("words")
}

// instant reads a moment; the zero one if the key is not there.
func (v value) instant() time.Time {
	s, ok := v.text("a moment, as in 2027-01-31T00:00:00Z")
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		v.problem("%q is no moment: want it as in 2027-01-31T00:00:00Z", s)
	}
	return t
}
