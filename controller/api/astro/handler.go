package astro

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/controller/api"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

const (
	mostBody    = 1 << 20
	defaultPage = 20
	mostPage    = 1000
)

// request is one request, and the workflow groups of its project.
type request struct {
	*http.Request
	caller api.Caller
	groups []fleet.GroupView
}

func (h *Handler) routes() {
	const clusters = "/platform/v1beta1/organizations/{organization}/clusters"
	for pattern, f := range map[string]func(*request) (any, error){
		"GET " + clusters:                 (*request).list,
		"GET " + clusters + "/{cluster}":  (*request).get,
		"POST " + clusters + "/{cluster}": (*request).update,
	} {
		h.mux.HandleFunc(pattern, h.serve(f))
	}
	h.mux.HandleFunc("/platform/", func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, http.StatusBadRequest, fmt.Sprintf("%s %s is not answered here: this is the part of Astro's API that disaster recovery is about; /api/openapi.yaml has the rest", r.Method, r.URL.Path))
	})
}

// fault is Astro's shape of an error.
type fault struct {
	Message    string `json:"message"`
	RequestID  string `json:"requestId"`
	StatusCode int    `json:"statusCode"`
}

// WriteError answers with an error in Astro's shape. Who mounts the handler uses it for what never gets here.
func WriteError(w http.ResponseWriter, status int, message string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	write(w, status, fault{message, rand.Text(), status})
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // nothing here can't be encoded
		status, b = http.StatusInternalServerError, []byte(`{"message":"the answer can't be encoded","requestId":"","statusCode":500}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // who went away hears nothing
}

// serve lets a request in that may see its project, and may change something if it wants to.
func (h *Handler) serve(f func(*request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, path, _ := strings.Cut(r.Pattern, " ")
		api.Route(r, path)
		q := &request{Request: r, caller: h.caller(r)}
		err := q.enter()
		var v any
		if err == nil {
			v, err = f(q)
		}
		switch r, ok := errors.AsType[*api.Refused](err); {
		case ok:
			WriteError(w, r.Status, r.Why)
		case err != nil:
			WriteError(w, http.StatusServiceUnavailable, "nobody can say now: "+err.Error())
		default:
			write(w, http.StatusOK, v)
		}
	}
}

func (q *request) enter() error {
	project := q.PathValue("organization")
	if err := events.CheckName("project", project); err != nil {
		return api.Refusal(http.StatusBadRequest, "organization: %v", err)
	}
	if !q.caller.Sees(project) {
		return api.Refusal(http.StatusForbidden, "this token does not see project %s", project)
	}
	if q.Method == http.MethodPost {
		if err := q.caller.MayAsk(&events.Ask{Verb: events.AskFailback}); err != nil {
			return api.Refusal(http.StatusForbidden, "%v", err)
		}
	}
	return q.look()
}

func (q *request) look() error {
	all, err := q.caller.Project(q.Context(), q.PathValue("organization"))
	q.groups = nil
	for _, g := range all {
		if g.Config.Kind == events.KindAirflow && len(g.Config.Recovery) > 0 && !(g.Config.Removed && (g.Record == nil || g.Record.Gone != "")) {
			q.groups = append(q.groups, g)
		}
	}
	return err
}

func (q *request) list() (any, error) {
	offset, err := q.number("offset", 0, 0, 1<<30)
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit", defaultPage, 0, mostPage)
	if err != nil {
		return nil, err
	}
	out := struct {
		Clusters   []Cluster `json:"clusters"`
		Limit      int       `json:"limit"`
		Offset     int       `json:"offset"`
		TotalCount int       `json:"totalCount"`
	}{[]Cluster{}, limit, offset, len(q.groups)}
	for i := offset; i < len(q.groups) && len(out.Clusters) < limit; i++ {
		out.Clusters = append(out.Clusters, clusterOf(&q.groups[i]))
	}
	return out, nil
}

func (q *request) number(key string, def, least, most int) (int, error) {
	s := q.URL.Query().Get(key)
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, api.Refusal(http.StatusBadRequest, "%s %q: want a number from %d to %d", key, s, least, most)
	}
	return n, nil
}

func (q *request) find() (*fleet.GroupView, error) {
	for i := range q.groups {
		if q.groups[i].Group == q.PathValue("cluster") {
			return &q.groups[i], nil
		}
	}
	return nil, api.Refusal(http.StatusNotFound, "no workflow group is called %q in project %s: clusters here are groups of kind airflow", q.PathValue("cluster"), q.PathValue("organization"))
}

func (q *request) get() (any, error) {
	g, err := q.find()
	if err != nil {
		return nil, err
	}
	return clusterOf(g), nil
}

// update fails a group over or back. It is answered as soon as that is begun; status and failoverInProgress tell the rest.
func (q *request) update() (any, error) {
	g, err := q.find()
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, q.Body, mostBody))
	if err != nil {
		return nil, api.Refusal(http.StatusBadRequest, "the body can't be read: %v", err)
	}
	u, err := parseUpdate(body)
	if err == nil {
		err = u.check(g)
	}
	if err != nil {
		return nil, err
	}
	to, err := u.boolean("isFailedOver")
	if err != nil || to == nil {
		return clusterOf(g), err
	}
	a, err := wanted(g, *to)
	if err != nil || a == nil {
		return clusterOf(g), err
	}
	if err := q.ask(*a); err != nil {
		return nil, err
	}
	if err := q.look(); err != nil {
		return nil, err
	}
	return q.get()
}

func (q *request) ask(a events.Ask) error {
	a.ID, a.Actor = rand.Text(), q.caller.Actor
	if err := q.caller.MayAsk(&a); err != nil {
		return api.Refusal(http.StatusForbidden, "%v", err)
	}
	ans, err := q.caller.Ask(q.Context(), a)
	if err != nil {
		p := api.Explain(err)
		return api.Refusal(p.Status, "%s", p.Detail)
	}
	if ans.Accepted {
		return nil
	}
	why, rule := ans.Why, "refuse.ask"
	if len(ans.Items) > 0 {
		why, rule = ans.Items[0].Why, ans.Items[0].Rule
	}
	return api.Refusal(http.StatusConflict, "%s (rule %s)", why, rule)
}
