package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/pkg/config"
)

// The ways in which a session is none.
var (
	ErrNoSession = errors.New("there is no session")
	ErrEnded     = errors.New("this session has ended: log in again")
	ErrCrossSite = errors.New("the request does not prove that a page of the console made it")
)

const (
	sessionFor = 12 * time.Hour // a shift: then one logs in again
	minKey     = 32

	// CSRFHeader and CSRFField carry the proof that a page of the console made a request: the one for scripts, the other for forms.
	CSRFHeader = "X-Csrf-Token"
	CSRFField  = "csrf"
)

// Sessions are begun by a token and carried by a signed cookie, which no controller has to remember: where all have the same key, a session is good on each. It is as good as its
// token: it ends when that is revoked, expires, or changes its role.
type Sessions struct {
	key    []byte
	tokens *Tokens
	secure bool // the browser sees TLS
	cross  *http.CrossOriginProtection
	now    func() time.Time
}

// claim is what the cookie says, signed.
type claim struct {
	Token string `json:"t"` // id
	Until int64  `json:"u"` // unix seconds
	Nonce string `json:"n"`
}

// NewSessions returns the sessions of a controller. Without a key they are signed with one of this process: they end with it, and other controllers don't know them.
func NewSessions(key config.SecretFile, tokens *Tokens, secure bool) (*Sessions, error) {
	s := &Sessions{tokens: tokens, secure: secure, cross: http.NewCrossOriginProtection(), now: time.Now}
	if key == "" {
		s.key = []byte(rand.Text() + rand.Text())
		return s, nil
	}
	k, err := key.Read()
	if err != nil {
		return nil, err
	}
	if len(k) < minKey {
		return nil, fmt.Errorf("the key of sessions in %s has %d characters: want at least %d, random, as `openssl rand -hex 32` makes them", key, len(k), minKey)
	}
	s.key = []byte(k)
	return s, nil
}

// cookieName is one that a browser takes only from this host over TLS; without TLS it would take none of that name.
func (s *Sessions) cookieName() string {
	if s.secure {
		return "__Host-switchback"
	}
	return "switchback"
}

// Begin begins a session with a token and sets its cookie. Errors: those of Tokens.Check.
func (s *Sessions) Begin(w http.ResponseWriter, token string) (*Principal, error) {
	who, err := s.tokens.Check(token)
	if err != nil {
		return nil, err
	}
	c := claim{Token: who.Token, Until: s.now().Add(sessionFor).Unix(), Nonce: rand.Text()}
	body, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode the session: %w", err)
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	s.set(w, text+"."+s.sign("session", text), int(sessionFor/time.Second))
	return who, nil
}

// End takes the cookie away. A copy of it is good until it expires or its token is revoked.
func (s *Sessions) End(w http.ResponseWriter) { s.set(w, "", -1) }

func (s *Sessions) set(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookieName(), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.secure,
		SameSite: http.SameSiteLaxMode, // a link in a page or a mail finds one logged in; nothing that changes anything is a link
	})
}

// sign signs a text for one purpose.
func (s *Sessions) sign(purpose, text string) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte("switchback/" + purpose + "/" + text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// cookie reads the signed text of a request's session.
func (s *Sessions) cookie(r *http.Request) (text string, c claim, err error) {
	k, err := r.Cookie(s.cookieName())
	if err != nil {
		return "", c, ErrNoSession
	}
	text, mac, _ := strings.Cut(k.Value, ".")
	if subtle.ConstantTimeCompare([]byte(mac), []byte(s.sign("session", text))) != 1 {
		return "", c, ErrEnded // of another key, or forged: the same to who holds it
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(body, &c) != nil || s.now().Unix() >= c.Until {
		return "", c, ErrEnded
	}
	return text, c, nil
}

// Look finds who a request's session speaks for, to show something. Errors: ErrNoSession, ErrEnded, those of the token.
func (s *Sessions) Look(r *http.Request) (*Principal, error) {
	_, c, err := s.cookie(r)
	if err != nil {
		return nil, err
	}
	return s.tokens.byID(c.Token)
}

// Check is Look; and what may change something has to come from a page of the console: by what the browser says of where it comes from, and by the proof that CSRF gives
// those pages. Errors: also ErrCrossSite.
func (s *Sessions) Check(r *http.Request) (*Principal, error) {
	who, err := s.Look(r)
	if err != nil {
		return nil, err
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return who, nil
	}
	text, _, err := s.cookie(r)
	if err != nil {
		return nil, err
	}
	proof := r.Header.Get(CSRFHeader)
	if proof == "" {
		proof = r.PostFormValue(CSRFField)
	}
	if s.cross.Check(r) != nil || subtle.ConstantTimeCompare([]byte(proof), []byte(s.sign("csrf", text))) != 1 {
		return nil, ErrCrossSite
	}
	return who, nil
}

// CSRF is the proof for the pages of a request's session; "" without one. It is good as long as the session.
func (s *Sessions) CSRF(r *http.Request) string {
	text, _, err := s.cookie(r)
	if err != nil {
		return ""
	}
	return s.sign("csrf", text)
}
