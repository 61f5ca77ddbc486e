// Package auth says who asks: by a token in the request, or by the cookie of a session that a token began. It knows what each role may do, and how often
// anybody may try. No token is kept, logged or told; what is kept is its SHA-256.
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/config"
)

// Principal is who asks.
type Principal struct {
	Actor    string      // the name that the audit shows, and the actor of what is asked on the bus
	Token    string      // id of the token, no secret
	Role     config.Role //
	Projects []string    // nil = all
}

// All reports whether it sees all projects, and what belongs to none.
func (p *Principal) All() bool { return p.Projects == nil }

// Sees reports whether it sees groups of a project.
func (p *Principal) Sees(project string) bool { return p.All() || slices.Contains(p.Projects, project) }

// May reports whether its role is at least r.
func (p *Principal) May(r config.Role) bool {
	return slices.Index(config.Roles(), p.Role) >= slices.Index(config.Roles(), r)
}

// The ways in which nobody is found to be asking. What is told of them is all that who holds no token may know.
var (
	ErrNoToken  = errors.New("want a token: Authorization: Bearer TOKEN (or aivenv1 TOKEN)")
	ErrBadToken = errors.New("this token is not known: it was never made, or it was revoked")
	ErrExpired  = errors.New("this token has expired: `switchback token create` makes another one")
)

// tokenPrefix begins every token, so that who finds one knows what it opens.
const tokenPrefix = "sbt_"

// NewToken makes a token of 130 random bits: the token itself, to be shown once, its id, and its digest, to be kept. A plain SHA-256 is enough, and slower digests would
// be worse: they make guessable passwords hard to guess, which a token of 130 bits is already, and would let anybody keep this host busy with wrong ones.
func NewToken() (token, id string, hash config.Digest) {
	id = strings.ToLower(rand.Text()[:10])
	token = tokenPrefix + id + "_" + strings.ToLower(rand.Text())
	return token, id, sha256.Sum256([]byte(token))
}

// schemes are the words before a token in the Authorization header: the usual one, and the one that Aiven's clients send.
var schemes = []string{"bearer", "aivenv1"}

// Bearer takes the token out of a request; "" if there is none.
func Bearer(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !slices.Contains(schemes, strings.ToLower(scheme)) {
		return ""
	}
	return strings.TrimSpace(token)
}

// Denied is why a principal may not do something.
type Denied struct {
	Need string // what would make it possible
	Why  string
}

// Error is the sentence.
func (d *Denied) Error() string { return d.Why }

// admins are the verbs that only an admin may ask for: each can undo a safety, or takes a group out of care.
var admins = []string{events.AskRelease, events.AskRebuildRecord, events.AskRejoin}

// MayAsk says why a principal may not ask for something, whatever it is about; nil if it may. That what it is about is of its projects is for the leader to see, who
// knows them.
func (p *Principal) MayAsk(a *events.Ask) error {
	need := config.RoleOperator
	what := a.Verb
	switch {
	case slices.Contains(admins, a.Verb):
		need = config.RoleAdmin
	case a.Unfenced:
		need, what = config.RoleAdmin, a.Verb+" with unfenced"
	}
	if !p.May(need) {
		return &Denied{Need: "a token of role " + string(need), Why: fmt.Sprintf("%s needs the role %s: token %s of %s has the role %s", what, need, p.Token, p.Actor, p.Role)}
	}
	return nil
}

// expired reports whether a token's time is over.
func expired(t *config.Token, now time.Time) bool {
	return !t.Expires.IsZero() && !now.Before(t.Expires)
}

// principal is who a token speaks for.
func principal(t *config.Token) *Principal {
	p := &Principal{Actor: t.Actor, Token: t.ID, Role: t.Role}
	if !slices.Contains(t.Projects, config.AllProjects) {
		p.Projects = slices.Clone(t.Projects)
		slices.Sort(p.Projects)
	}
	return p
}
