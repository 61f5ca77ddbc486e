package consoletest

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/switchback-dr/switchback/controller/console"
)

// The tokens that let one in, and what proves that a form is of a page.
const (
	Operator = "operator"
	Viewer   = "viewer"
	Proof    = "proof"
)

const cookie = "made-up"

// Door lets in who has one of the tokens.
type Door struct{ Fleet *Fleet }

// Who implements console.Door.
func (d *Door) Who(r *http.Request) (*console.Person, error) {
	k, err := r.Cookie(cookie)
	if err != nil {
		return nil, console.ErrNobody
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.PostFormValue(d.Field()) != Proof {
		return nil, console.ErrForged
	}
	p := &console.Person{Name: "alice", Role: "operator of all projects", Moves: true, Proof: Proof, Fleet: d.Fleet}
	if k.Value == Viewer {
		p.Name, p.Role, p.Moves = "victor", "viewer of all projects", false
	}
	return p, nil
}

// Begin implements console.Door.
func (d *Door) Begin(w http.ResponseWriter, _ *http.Request, token string) error {
	if token != Operator && token != Viewer {
		return errors.New("this token is not known: it was never made, or it was revoked")
	}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return nil
}

// End implements console.Door.
func (d *Door) End(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Path: "/", MaxAge: -1})
}

// Field implements console.Door.
func (d *Door) Field() string { return "csrf" }

// Console is a console of a fleet that is made up, whose time is now's.
func Console(f *Fleet, now func() time.Time, log *slog.Logger) *console.Console {
	return console.New(console.Options{
		Door: &Door{f}, News: f, Now: now, Log: log, Every: 200 * time.Millisecond,
		Explain: func(err error) console.Fault {
			status, why := Explain(err)
			return console.Fault{Status: status, Why: why}
		},
	})
}
