package console

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/rollout"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

// movesShown is how many moves of a rollout a page shows: those that are not simply done come first.
const movesShown = 200

// rolloutData is a plan or rollout.
type rolloutData struct {
	events.Rollout
	Waves  []waveData
	Shown  []moveData
	Hidden int // moves that are not shown
	Took   time.Duration
	Next   string
	Stale  string // why a plan can't be run; empty = it can
	Acts   []action
	Clocks clockData
}

type waveData struct {
	events.Wave
	Tally events.Tally
	State string // open, waits, over
	Bar   []segment
}

// segment is a piece of a bar: from, and how wide, in thousandths.
type segment struct {
	Tone     string
	At, Wide int
}

type moveData struct {
	events.Move
	Skip, Retry        action
	Serving, Protected time.Duration
}

func rolloutList(ctx context.Context, v *visit) (*page, error) {
	var all answers.Rollouts
	if err := v.query(ctx, "rollouts", nil, &all); err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Rollouts", at: "rollouts", parts: []part{{"rollouts-head", "rollouts-head", nil}, {"rollouts", "rollouts", all.Rollouts}}}), nil
}

func rolloutPage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.rollout(ctx)
	if err != nil {
		return nil, err
	}
	parts := []part{{"rollout-head", "rollout-head", d}, {"rollout-waves", "rollout-waves", d}, {"rollout-moves", "rollout-moves", d}}
	if d.State == events.RolloutPlanned {
		parts = append(parts, part{"rollout-run", "rollout-run", d})
	}
	return v.withPulse(ctx, &page{title: d.Verb + " of " + d.About(), at: "rollouts", parts: parts, still: d.State == events.RolloutPlanned}), nil
}

// rollout asks for a rollout, all its moves, and how it may be steered.
func (v *visit) rollout(ctx context.Context) (*rolloutData, error) {
	d := &rolloutData{}
	var moves []events.Move
	for {
		var p answers.Rollout
		if err := v.query(ctx, "rollout", map[string]any{"rollout": v.r.PathValue("rollout"), "from": len(moves)}, &p); err != nil {
			return nil, err
		}
		d.Rollout, moves = p.Rollout, append(moves, p.Moves...)
		if !p.More {
			break
		}
	}
	d.Took, d.Next = took(d.Began, d.Ended, v.now), words.RolloutNext(&d.Rollout)
	d.Stale = rollout.Stale(&d.Rollout, v.now)
	if !v.who.Moves && d.Stale == "" {
		d.Stale = v.mayNot()
	}
	for n, w := range d.Rollout.Waves {
		d.Waves = append(d.Waves, waveOf(&d.Rollout, n, w))
	}
	slices.SortStableFunc(moves, func(a, b events.Move) int { return rank(&a) - rank(&b) })
	if len(moves) > movesShown {
		d.Hidden, moves = len(moves)-movesShown, moves[:movesShown]
	}
	for i := range moves {
		d.Shown = append(d.Shown, moveData{Move: moves[i]})
	}
	d.Clocks = v.clocksOf(ctx, d.Shown)
	return d, v.maySteer(ctx, d)
}

// rank puts first what somebody should look at.
func rank(m *events.Move) int {
	return slices.Index([]events.MoveState{events.MoveFailed, events.MoveUnknown, events.MoveHeld, events.MoveRuns, events.MoveLeft, events.MoveWaits, events.MoveSkipped, events.MoveDone}, m.State)
}

func waveOf(r *events.Rollout, n int, w events.Wave) waveData {
	d := waveData{Wave: w}
	if n < len(r.Counted) {
		d.Tally = r.Counted[n]
	}
	switch {
	case r.State == events.RolloutPlanned:
	case n == r.Wave && !r.State.Over():
		d.State = "open"
	case n > r.Wave:
		d.State = "waits"
	default:
		d.State = "over"
	}
	at := 0
	for _, x := range []struct {
		n    int
		tone string
	}{{d.Tally.Done + d.Tally.Skipped, "ok"}, {d.Tally.Failed + d.Tally.Held + d.Tally.Unknown, "bad"}, {d.Tally.Runs, "busy"}} {
		if wide := x.n * 1000 / max(1, w.Moves); wide > 0 {
			d.Bar = append(d.Bar, segment{x.tone, at, wide})
			at += wide
		}
	}
	return d
}

// steerings are what may be done with a rollout, in order.
var steerings = []struct{ verb, label string }{
	{events.AskPause, "Pause…"}, {events.AskResume, "Resume…"}, {events.AskRetry, "Retry what failed…"}, {events.AskAbort, "Abort…"},
}

// maySteer asks what each steering would be answered now: of the rollout, and of each group that is shown.
func (v *visit) maySteer(ctx context.Context, d *rolloutData) error {
	if d.State == events.RolloutPlanned {
		return nil
	}
	var asks []events.Ask
	for _, s := range steerings {
		asks = append(asks, events.Ask{Verb: s.verb, Actor: v.who.Name, Rollout: d.ID})
	}
	for i := range d.Shown {
		for _, verb := range []string{events.AskSkip, events.AskRetry} {
			asks = append(asks, events.Ask{Verb: verb, Actor: v.who.Name, Rollout: d.ID, Group: d.Shown[i].Group})
		}
	}
	var would answers.Would
	if err := v.query(ctx, "would", map[string]any{"asks": asks}, &would); err != nil {
		return err
	}
	if len(would.Items) != len(asks) {
		return nil
	}
	may := func(i int, label string) action {
		a := action{Verb: asks[i].Verb, Label: label, To: fmt.Sprintf("%srollouts/%s/do/%s", Prefix, d.ID, asks[i].Verb), OK: would.Items[i].Accepted, Why: would.Items[i].Why}
		if asks[i].Group != "" {
			a.To += "?group=" + asks[i].Group
		}
		if !v.who.Moves {
			a.OK, a.Why = false, v.mayNot()
		}
		return a
	}
	for i, s := range steerings {
		d.Acts = append(d.Acts, may(i, s.label))
	}
	for i := range d.Shown {
		d.Shown[i].Skip, d.Shown[i].Retry = may(len(steerings)+2*i, "Skip…"), may(len(steerings)+2*i+1, "Retry…")
	}
	return nil
}

// steerData is the page on which steering is confirmed.
type steerData struct {
	events.Rollout
	Verb, Group string
	Typed       string // has to be typed; empty = nothing
	Says        string
	ID, Reason  string
	Refused     *refusal
}

var steerSays = map[string]string{
	events.AskPause: "Nothing begins any more until it is resumed. What is under way ends by itself.", events.AskResume: "It goes on; what failed so far counts no more against its budget.",
	events.AskSkip: "The group is left out; what comes after it no longer waits for it.", events.AskRetry: "What failed is taken up again.",
	events.AskAbort: "Nothing begins any more. What is under way ends by itself, and what is done stays done.", "run": "Exactly what this plan shows is done, or nothing if reality has moved since.",
}

func (v *visit) steering(ctx context.Context) (*steerData, error) {
	d := &steerData{Verb: v.r.PathValue("verb"), Group: v.r.FormValue("group"), ID: "console-" + strings.ToLower(rand.Text())}
	var ok bool
	if d.Says, ok = steerSays[d.Verb]; !ok || d.Verb == events.AskSkip && d.Group == "" {
		return nil, missing(fmt.Sprintf("%q is nothing that can be done with a rollout here", d.Verb))
	}
	var p answers.Rollout
	if err := v.query(ctx, "rollout", map[string]any{"rollout": v.r.PathValue("rollout"), "limit": 1}, &p); err != nil {
		return nil, err
	}
	d.Rollout = p.Rollout
	if d.Verb == "run" {
		d.Typed = d.About()
	}
	return d, nil
}

func steerPage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.steering(ctx)
	if err != nil {
		return nil, err
	}
	return d.page(0), nil
}

func (d *steerData) page(status int) *page {
	return &page{title: d.Verb + " rollout " + d.Rollout.ID, at: "rollouts", status: status, still: true, parts: []part{{"act", "steer", d}}}
}

func steer(ctx context.Context, v *visit, w http.ResponseWriter) error {
	d, err := v.steering(ctx)
	if err != nil {
		return err
	}
	f := v.r.PostForm
	d.Reason = strings.TrimSpace(f.Get("reason"))
	d.ID = formID(v.r, d.ID)
	ask := events.Ask{ID: d.ID, Verb: d.Verb, Actor: v.who.Name, Rollout: d.Rollout.ID, Group: d.Group, Reason: d.Reason}
	if d.Verb == "run" {
		ask.Verb, ask.Rollout, ask.Plan = d.Rollout.Verb, "", d.Rollout.Hash
	}
	switch {
	case !v.who.Moves:
		d.Refused = &refusal{Why: "nothing was done: " + v.mayNot()}
	case d.Typed != "" && strings.TrimSpace(f.Get("name")) != d.Typed:
		d.Refused = &refusal{Why: fmt.Sprintf("nothing was done: the name typed is %q, and this is of %s. Type %s to confirm", f.Get("name"), d.Typed, d.Typed)}
	case d.Reason == "":
		d.Refused = &refusal{Why: noReason}
	default:
		ans, err := v.ask(ctx, ask)
		if err != nil {
			return err
		}
		if ans.Accepted {
			flash(w, v.r, ans.Why)
			http.Redirect(w, v.r, Prefix+"rollouts/"+d.Rollout.ID, http.StatusSeeOther)
			return nil
		}
		d.Refused, d.ID = &refusal{Why: ans.Why}, "console-"+strings.ToLower(rand.Text())
	}
	v.c.write(w, v.r, v, d.page(http.StatusConflict))
	return nil
}

// planData is the form for a plan of many groups.
type planData struct {
	Do, Region, Select, Reason, ID string
	Regions                        []string
	Verbs                          []string
	Refused                        *refusal
	Why                            string
}

func (v *visit) planning(ctx context.Context) (*planData, error) {
	s, err := v.status(ctx)
	if err != nil {
		return nil, err
	}
	d := &planData{Do: v.r.FormValue("do"), Region: v.r.FormValue("region"), Select: strings.TrimSpace(v.r.FormValue("select")), ID: "console-" + strings.ToLower(rand.Text()), Verbs: events.PlanVerbs}
	for _, r := range s.View.Regions {
		d.Regions = append(d.Regions, r.Region)
	}
	if d.Do == "" {
		d.Do = events.AskFailback
	}
	if !v.who.Moves {
		d.Why = v.mayNot()
	}
	return d, nil
}

func planPage(ctx context.Context, v *visit) (*page, error) {
	d, err := v.planning(ctx)
	if err != nil {
		return nil, err
	}
	return d.page(0), nil
}

func (d *planData) page(status int) *page {
	return &page{title: "Plan a move of many groups", at: "rollouts", status: status, still: true, parts: []part{{"act", "plan", d}}}
}

// plan has a plan made, which moves nothing, and shows it.
func plan(ctx context.Context, v *visit, w http.ResponseWriter) error {
	d, err := v.planning(ctx)
	if err != nil {
		return err
	}
	ask := events.Ask{ID: formID(v.r, d.ID), Verb: events.AskPlan, Do: d.Do, Actor: v.who.Name, Region: d.Region, Select: d.Select, Reason: "planned in the console"}
	switch err := ask.Check(); {
	case d.Why != "":
		d.Refused = &refusal{Why: "nothing was planned: " + d.Why}
	case d.Region != "" && d.Select != "":
		d.Refused = &refusal{Why: "nothing was planned: choose a region, or groups by their labels, one of them"}
	case err != nil:
		d.Refused = &refusal{Why: "nothing was planned: " + err.Error()}
	default:
		ans, err := v.ask(ctx, ask)
		if err != nil {
			return err
		}
		if ans.Accepted && ans.Rollout != "" {
			http.Redirect(w, v.r, Prefix+"rollouts/"+ans.Rollout, http.StatusSeeOther)
			return nil
		}
		d.Refused = &refusal{Why: ans.Why}
	}
	v.c.write(w, v.r, v, d.page(http.StatusConflict))
	return nil
}
