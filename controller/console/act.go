package console

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

// actData is the page on which a person confirms what they ask for.
type actData struct {
	*groupData
	Verb     string
	Head     string
	Danger   string
	Foretell action
	Typed    bool // the name has to be typed
	Targets  []string
	Options  []option
	ID       string
	Reason   string
	Refused  *refusal
}

// option is a word that lets a refusal pass, offered only where it was refused for that.
type option struct{ Name, Words string }

// refusal is what an ask was answered, and what a person gave.
type refusal struct{ Why, Rule string }

// heads are the titles of the pages.
var heads = map[string]string{
	events.AskFailover: "Fail over %s", events.AskFailback: "Promote the primary of %s to active", events.AskRestore: "Restore the primary service of %s", events.AskSwitchover: "Switch %s over",
	events.AskRebuild: "Rebuild a passive of %s", events.AskDrill: "Drill %s, there and back", events.AskAbort: "Abort what is under way with %s", events.AskArm: "Arm automation for %s",
	events.AskDisarm: "Disarm automation for %s", events.AskAcknowledge: "Acknowledge the last move of %s", events.AskApprove: "Approve that automation moves %s",
}

// untyped are the verbs that no name is typed for: they stop something, or can be taken back at once.
var untyped = []string{events.AskAbort, events.AskArm, events.AskDisarm, events.AskAcknowledge, events.AskApprove}

func actPage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.acting(ctx)
	if err != nil {
		return nil, err
	}
	return d.page(0), nil
}

func (d *actData) page(status int) *page {
	return &page{title: d.Head, at: "groups", status: status, still: true, parts: []part{{"act", "act", d}}}
}

func (v *visit) acting(ctx context.Context) (*actData, error) {
	verb := v.r.PathValue("verb")
	if !slices.Contains(menu, verb) {
		return nil, missing(fmt.Sprintf("%q is nothing that can be done with a group here", verb))
	}
	g, err := v.group(ctx)
	if err != nil {
		return nil, err
	}
	d := &actData{groupData: g, Verb: verb, Head: fmt.Sprintf(heads[verb], g.Group), ID: "console-" + strings.ToLower(rand.Text()), Foretell: g.Acts[verb], Typed: !slices.Contains(untyped, verb)}
	if verb == events.AskFailback && g.Cycle.At == failedOver {
		d.Head = fmt.Sprintf("Fail %s back to its primary", g.Group)
	}
	ask := v.asking(g.GroupView, verb)
	switch verb {
	case events.AskFailover:
		d.Danger = words.FailoverDanger(&ask)
	case events.AskFailback:
		d.Danger = words.FailbackDanger(&ask, g.GroupView)
	case events.AskSwitchover:
		d.Danger = words.SwitchoverDanger(&ask, g.GroupView)
	case events.AskDrill:
		d.Danger = fmt.Sprintf("drill of %s: it is swapped there and back, and each time %s", g.Group, words.Swap)
	case events.AskRestore, events.AskRebuild:
		d.Danger = restoreDanger(&ask)
	}
	if verb == events.AskFailover || verb == events.AskSwitchover {
		if p := words.Passives(g.GroupView); len(p) > 1 {
			d.Targets = p
		}
	}
	d.offer()
	return d, nil
}

func restoreDanger(ask *events.Ask) string {
	if ask.Cluster == "" {
		return ""
	}
	return fmt.Sprintf("%s of %s: it is made to follow again. What only it has is counted, kept beside it and listed in the report; then it is undone there", ask.Verb, ask.Cluster)
}

// offer adds what lets a refusal pass, where the refusal itself says so.
func (d *actData) offer() {
	for _, o := range []struct{ rule, name, says string }{
		{"refuse.loss", "accept_loss", "Move although more may be lost than the budget allows, or nobody knows how much"},
		{"refuse.sync-set", "accept_loss", "Move all the same, and lose what the new active lacks"},
		{"refuse.blind", "while_blind", "Act although this controller reaches fewer than half of the regions: I know better"},
	} {
		if d.Foretell.Rule == o.rule {
			d.Options = append(d.Options, option{o.name, o.says})
		}
	}
}

// act asks for what was confirmed.
func act(ctx context.Context, v *visit, w http.ResponseWriter) error {
	d, err := v.acting(ctx)
	if err != nil {
		return err
	}
	f := v.r.PostForm
	ask := v.asking(d.GroupView, d.Verb)
	ask.DryRun, ask.Reason = false, strings.TrimSpace(f.Get("reason"))
	ask.AcceptLoss, ask.WhileBlind = f.Get("accept_loss") == "yes", f.Get("while_blind") == "yes"
	if to := f.Get("to"); to != "" && slices.Contains(d.Targets, to) {
		ask.To = to
	}
	d.ID = formID(v.r, d.ID)
	ask.ID = d.ID
	d.Reason = ask.Reason
	switch {
	case d.Typed && strings.TrimSpace(f.Get("name")) != d.Group:
		d.Refused = &refusal{Why: fmt.Sprintf("nothing was done: the name typed is %q, and this is about %s. Type %s to confirm", f.Get("name"), d.Group, d.Group)}
	case ask.Reason == "":
		d.Refused = &refusal{Why: noReason}
	case !v.who.Moves:
		d.Refused = &refusal{Why: "nothing was done: " + d.Foretell.Why}
	}
	if d.Refused != nil {
		v.c.write(w, v.r, v, d.page(http.StatusUnprocessableEntity))
		return nil
	}
	ans, err := v.ask(ctx, ask)
	if err != nil {
		return err
	}
	if !ans.Accepted {
		d.Refused, d.ID = &refusal{Why: ans.Why}, "console-"+strings.ToLower(rand.Text())
		if len(ans.Items) == 1 {
			d.Refused.Rule, d.Foretell.Rule = ans.Items[0].Rule, ans.Items[0].Rule
			d.Options = nil
			d.offer()
		}
		v.c.write(w, v.r, v, d.page(http.StatusConflict))
		return nil
	}
	flash(w, v.r, ans.Why)
	http.Redirect(w, v.r, Prefix+"groups/"+d.Group+after(d.Verb), http.StatusSeeOther)
	return nil
}

// after is the page of a group on which one sees what becomes of a verb.
func after(verb string) string {
	if verb == events.AskFailover || verb == events.AskRestore || verb == events.AskFailback {
		return "/cycle"
	}
	return ""
}

// ask asks, and counts it.
func (v *visit) ask(ctx context.Context, a events.Ask) (events.Answer, error) {
	ans, err := v.who.Fleet.Ask(ctx, a)
	if err == nil {
		v.c.metrics.asks.WithLabelValues(a.Verb, strconv.FormatBool(ans.Accepted)).Inc()
		v.c.o.Log.Info("asked", "verb", a.Verb, "actor", v.who.Name, "id", a.ID, "accepted", ans.Accepted)
	}
	return ans, err
}

// automationData is the page on which automation is armed or disarmed for the fleet or a region.
type automationData struct {
	Verb, Region, Kind string
	What               string
	ID, Reason         string
	Refused            *refusal
	Why                string // not offered: why
}

func (v *visit) throwing() (*automationData, error) {
	d := &automationData{Verb: v.r.PathValue("verb"), Region: v.r.FormValue("region"), ID: "console-" + strings.ToLower(rand.Text()), What: "the whole fleet"}
	if d.Verb != events.AskArm && d.Verb != events.AskDisarm && (d.Verb != events.AskApprove || d.Region == "") {
		return nil, missing(fmt.Sprintf("%q is nothing that can be done with automation here", d.Verb))
	}
	if d.Region != "" {
		if err := events.CheckName("region", d.Region); err != nil {
			return nil, missing(err.Error())
		}
		d.What = d.Region
	}
	if !v.who.Moves {
		d.Why = v.mayNot()
	}
	return d, nil
}

func automationPage(_ context.Context, v *visit) (*page, error) {
	d, err := v.throwing()
	if err != nil {
		return nil, err
	}
	return d.page(0), nil
}

func (d *automationData) page(status int) *page {
	return &page{title: "Automation", at: "overview", status: status, still: true, parts: []part{{"act", "automation", d}}}
}

// throw arms or disarms.
func throw(ctx context.Context, v *visit, w http.ResponseWriter) error {
	d, err := v.throwing()
	if err != nil {
		return err
	}
	d.Reason = strings.TrimSpace(v.r.PostForm.Get("reason"))
	switch {
	case d.Why != "":
		d.Refused = &refusal{Why: "nothing was done: " + d.Why}
	case d.Reason == "":
		d.Refused = &refusal{Why: noReason}
	}
	if d.Refused == nil {
		ans, err := v.ask(ctx, events.Ask{ID: formID(v.r, d.ID), Verb: d.Verb, Actor: v.who.Name, Region: d.Region, Reason: d.Reason})
		if err != nil {
			return err
		}
		if ans.Accepted {
			flash(w, v.r, ans.Why)
			http.Redirect(w, v.r, Prefix, http.StatusSeeOther)
			return nil
		}
		d.Refused = &refusal{Why: ans.Why}
	}
	v.c.write(w, v.r, v, d.page(http.StatusConflict))
	return nil
}

// formID is the id a form was sent with, so that sending it twice asks once; what is none of ours is replaced.
func formID(r *http.Request, fresh string) string {
	if id := r.PostForm.Get("id"); strings.HasPrefix(id, "console-") && len(id) < 64 {
		return id
	}
	return fresh
}

// took is how long something has taken until now, or took until its end.
func took(began, ended, now time.Time) time.Duration {
	if ended.IsZero() {
		return now.Sub(began)
	}
	return ended.Sub(began)
}
