package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// Problem is why a request was not done (RFC 9457), in the words of whoever refused it. Every refusal says what would make it possible: in Detail where a rule
// refused, whose sentences do, else in Remedy.
type Problem struct {
	Type     string         `json:"type"` // /api/problems/KIND, where it is explained
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail"`
	Instance string         `json:"instance,omitempty"` // the request, as logs name it
	Remedy   string         `json:"remedy,omitempty"`
	Rule     string         `json:"rule,omitempty"`   // of a refusal
	Answer   *events.Answer `json:"answer,omitempty"` // the leader's whole answer, where it refused

	retry int // seconds; 0 = asking again helps nothing
}

// Error is the sentence.
func (p *Problem) Error() string { return p.Detail }

// problemBase begins every type.
const problemBase = "/api/problems/"

// Kind is the last part of the type.
func (p *Problem) Kind() string { return strings.TrimPrefix(p.Type, problemBase) }

// kind is a sort of problem. Rules of the leader that refuse are kinds of their own, by their ids.
type kind struct {
	id     string
	status int
	title  string
	remedy string
}

var (
	kindBadRequest  = kind{"bad-request", http.StatusBadRequest, "the request is not understood", "see /api/openapi.yaml for what this path takes"}
	kindNoReason    = kind{"no-reason", http.StatusBadRequest, "no reason is given", "say why in reason: it is written down with your name"}
	kindNoToken     = kind{"no-token", http.StatusUnauthorized, "nobody is asking", "send Authorization: Bearer TOKEN; `switchback token create` makes one"}
	kindBadToken    = kind{"bad-token", http.StatusUnauthorized, "the token is not valid", "`switchback token create` makes another one"}
	kindForbidden   = kind{"forbidden", http.StatusForbidden, "this token may not do that", ""}
	kindCrossSite   = kind{"cross-site", http.StatusForbidden, "the request comes from another site", "use the console's own forms: they carry the token that proves it"}
	kindNotFound    = kind{"not-found", http.StatusNotFound, "there is no such thing", "see /api/v1/groups for the groups this token sees, /api/openapi.yaml for paths"}
	kindMethod      = kind{"method", http.StatusMethodNotAllowed, "this path does not take this method", "see Allow"}
	kindRefused     = kind{"refuse.ask", http.StatusConflict, "refused by a rule", "see detail"}
	kindChanged     = kind{"changed", http.StatusPreconditionFailed, "the group has changed", "look at it again, and ask with the ETag it has now"}
	kindTooLarge    = kind{"too-large", http.StatusRequestEntityTooLarge, "the body is too large", "send at most 1 MiB"}
	kindContentType = kind{"content-type", http.StatusUnsupportedMediaType, "the body is of another type", "send application/json"}
	kindIDUsed      = kind{"id-used", http.StatusUnprocessableEntity, "this Idempotency-Key was used for something else", "use a new one, or send the very same request"}
	kindTooMany     = kind{"too-many", http.StatusTooManyRequests, "too many requests", "wait as long as Retry-After says"}
	kindInternal    = kind{"internal", http.StatusInternalServerError, "this controller failed", "look into its log for the request named in instance, or ask another controller"}
	kindNoLeader    = kind{"no-leader", http.StatusServiceUnavailable, "no controller leads", "ask again; what was asked with an Idempotency-Key is done once however often it is asked"}
)

// kinds is every sort but those of rules.
var kinds = []kind{
	kindBadRequest, kindNoReason, kindNoToken, kindBadToken, kindForbidden, kindCrossSite, kindNotFound, kindMethod, kindRefused, kindChanged, kindTooLarge, kindContentType, kindIDUsed,
	kindTooMany, kindInternal, kindNoLeader,
}

// of makes a problem of this kind.
func (k kind) of(detail string) *Problem {
	return &Problem{Type: problemBase + k.id, Title: k.title, Status: k.status, Detail: detail, Remedy: k.remedy}
}

// after adds how many seconds later asking again may help.
func (p *Problem) after(seconds int) *Problem {
	p.retry = max(1, seconds)
	return p
}

// WriteProblem writes a problem in this API's own form.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	p.Instance = requestURN(r)
	b, err := json.Marshal(p)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(b, '\n')) // who asked may be gone
}
