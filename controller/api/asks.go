package api

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// askRoute is an operation that asks for one verb about what its path names.
func askRoute(path, verb string, fields ...string) route {
	return route{"POST", path, nil, func(_ *Server, r *http.Request) (*reply, error) { return putAsk(r, verb, fields) }}
}

// What may stand in the body, beside reason and dry_run, which each takes.
var (
	moveFields = []string{"to", "while_blind"}
	loseFields = []string{"to", "while_blind", "accept_loss", "unfenced"}
	copyFields = []string{"copy", "while_blind"}
	manyFields = []string{"while_blind", "limits"}
)

var groupAsks = []route{
	askRoute("/groups/{group}/failover", events.AskFailover, loseFields...),
	askRoute("/groups/{group}/switchover", events.AskSwitchover, moveFields...),
	askRoute("/groups/{group}/failback", events.AskFailback, "while_blind"),
	askRoute("/groups/{group}/drill", events.AskDrill, moveFields...),
	askRoute("/groups/{group}/restore", events.AskRestore, copyFields...),
	askRoute("/groups/{group}/rebuild", events.AskRebuild, copyFields...),
	askRoute("/groups/{group}/protect", events.AskProtect, "while_blind"),
	askRoute("/groups/{group}/release", events.AskRelease, "while_blind"),
	askRoute("/groups/{group}/tasks/retry", events.AskRetryTasks, "operation", "dag", "task"),
	askRoute("/groups/{group}/abort", events.AskAbort),
	askRoute("/groups/{group}/arm", events.AskArm),
	askRoute("/groups/{group}/disarm", events.AskDisarm),
	askRoute("/groups/{group}/approve", events.AskApprove),
	askRoute("/groups/{group}/acknowledge", events.AskAcknowledge),
}

var otherAsks = []route{
	askRoute("/regions/{region}/failover", events.AskFailover, slices.Concat(manyFields, []string{"accept_loss"})...),
	askRoute("/regions/{region}/switchover", events.AskSwitchover, manyFields...),
	askRoute("/regions/{region}/failback", events.AskFailback, manyFields...),
	askRoute("/regions/{region}/drill", events.AskDrill, manyFields...),
	askRoute("/regions/{region}/arm", events.AskArm),
	askRoute("/regions/{region}/disarm", events.AskDisarm),
	askRoute("/regions/{region}/approve", events.AskApprove),
	askRoute("/regions/{region}/acknowledge", events.AskAcknowledge),
	askRoute("/clusters/{region}/{cluster}/restore", events.AskRestore, copyFields...),
	askRoute("/clusters/{region}/{cluster}/rebuild", events.AskRebuild, copyFields...),
	askRoute("/clusters/{region}/{cluster}/protect", events.AskProtect, "while_blind"),
	askRoute("/clusters/{region}/{cluster}/restart", events.AskRestart, "while_blind"),
	askRoute("/clusters/{region}/{cluster}/maintenance", events.AskMaintenance, "for"),
	askRoute("/arm", events.AskArm, "kind"),
	askRoute("/disarm", events.AskDisarm, "kind"),
}

// idempotencyKey is what a key may be: it is the ask's id.
var idempotencyKey = regexp.MustCompile(`^[!-~]{1,128}$`)

// putAsk puts what a path and a body ask for through the door.
func putAsk(r *http.Request, verb string, fields []string) (*reply, error) {
	a := events.Ask{Verb: verb}
	if err := decodeAsk(r, &a, fields); err != nil {
		return nil, err
	}
	if g := r.PathValue("group"); g != "" {
		a.Group = g
	}
	if x := r.PathValue("rollout"); x != "" {
		a.Rollout = x
	}
	if x := r.PathValue("agent"); x != "" {
		a.Agent = r.PathValue("region") + "/" + x
	} else if c := r.PathValue("cluster"); c != "" {
		a.Cluster = r.PathValue("region") + "/" + c
	} else if x := r.PathValue("region"); x != "" {
		a.Region = x
	}
	if err := withHeaders(r, &a); err != nil {
		return nil, err
	}
	if err := exists(r, &a); err != nil {
		return nil, err
	}
	return through(r, &a)
}

// through puts an ask through the door, and shows its answer.
func through(r *http.Request, a *events.Ask) (*reply, error) {
	ans, err := From(r).Ask(r.Context(), *a)
	if err != nil {
		return nil, err
	}
	return answered(a, &ans)
}

// decodeAsk reads a body of which only some fields are for this verb.
func decodeAsk(r *http.Request, a *events.Ask, fields []string) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		return kindBadRequest.of("the body ended early")
	}
	if len(b) == 0 {
		return nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return kindContentType.of("the body has no Content-Type: application/json")
	}
	var given map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&given); err != nil {
		return kindBadRequest.of("the body is not a JSON object: " + err.Error())
	}
	if dec.More() || given == nil {
		return kindBadRequest.of("the body is not one JSON object")
	}
	may := append([]string{"reason", "dry_run"}, fields...)
	for name, v := range given {
		switch {
		case !slices.Contains(may, name):
			return kindBadRequest.of(fmt.Sprintf("%q is not for %s: want %s", name, a.Verb, strings.Join(may, ", ")))
		case string(v) == "null":
			return kindBadRequest.of(fmt.Sprintf("%s is null: leave it out, or give a value", name))
		}
	}
	if err := json.Unmarshal(b, a); err != nil {
		return kindBadRequest.of("the body is not what this path takes: " + err.Error())
	}
	return nil
}

// withHeaders takes what headers say of an ask: its id, and which state of its group it is about.
func withHeaders(r *http.Request, a *events.Ask) error {
	a.ID = r.Header.Get("Idempotency-Key")
	if a.ID == "" {
		a.ID = rand.Text()
	} else if !idempotencyKey.MatchString(a.ID) {
		return kindBadRequest.of("Idempotency-Key: want 1 to 128 printable characters without spaces, and a new one for each thing asked, as a UUID is")
	}
	match := r.Header.Get("If-Match")
	if match == "" || match == "*" {
		return nil
	}
	tag, ok := strings.CutPrefix(match, `"`)
	tag, ok2 := strings.CutSuffix(tag, `"`)
	if !ok || !ok2 || a.Group == "" || a.Rollout != "" {
		return kindBadRequest.of(`If-Match: want the ETag of the group, as in "8-1234", on a path of a group`)
	}
	a.If = tag
	return nil
}

// exists says that what the path names is not there, or not of the principal's projects, which is the same to it.
func exists(r *http.Request, a *events.Ask) error {
	access := From(r)
	switch {
	case a.Rollout != "":
		var x struct{}
		return access.Query(r.Context(), "rollout", map[string]any{"rollout": a.Rollout, "limit": 1}, &x)
	case a.Group != "" || a.Cluster != "":
		var g struct{}
		return access.Query(r.Context(), "group", map[string]any{"group": a.Group, "cluster": a.Cluster}, &g)
	case access.Who.All() || len(a.Groups) > 0 || a.Select != "":
		return nil
	}
	p := kindForbidden.of(fmt.Sprintf("%s here is about more than the projects of token %s", a.Verb, access.Who.Token))
	p.Remedy = `use a token of all projects ("*"), or ask about a group`
	return p
}

// refuseChanged is the rule by which the leader refuses an ask about another state of its group.
const refuseChanged = "refuse.changed"

// answered is the reply to an ask: its answer if it was accepted, else the refusal.
func answered(a *events.Ask, ans *events.Answer) (*reply, error) {
	if !ans.Accepted {
		return nil, refused(ans)
	}
	p := &reply{body: ans, header: http.Header{}}
	if ans.Rollout != "" && !a.DryRun && a.Many() {
		p.status = http.StatusAccepted
		p.header.Set("Location", base+"/rollouts/"+ans.Rollout)
	}
	for _, i := range ans.Items {
		if i.Accepted && i.Operation != "" && !a.DryRun {
			p.status = http.StatusAccepted
			if len(ans.Items) == 1 {
				p.header.Set("Location", base+"/operations/"+i.Operation)
			}
		}
	}
	return p, nil
}

// refused makes a problem of a refusal: its kind is the rule that refused first.
func refused(ans *events.Answer) *Problem {
	rule, why := kindRefused.id, ans.Why
	for _, i := range ans.Items {
		if !i.Accepted && i.Rule != "" {
			rule = i.Rule
			break
		}
	}
	p := kindRefused.of(why)
	if rule == refuseChanged {
		p = kindChanged.of(why)
	} else {
		p.Type = problemBase + rule
	}
	p.Rule, p.Answer = rule, ans
	return p
}
