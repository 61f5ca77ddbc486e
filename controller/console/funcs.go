package console

import (
	"embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

//go:embed templates
var templates embed.FS

var pages = template.Must(template.New("console").Funcs(template.FuncMap{
	"age": words.Age, "size": words.Size, "lag": words.Lag, "round": gate.Round, "grouped": func(n int) string { return words.Grouped(int64(n)) },
	"clock": func(t, now time.Time) string { return words.Clock(t.UTC(), now.UTC()) }, "iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"ago": ago, "since": func(d time.Duration, now time.Time) template.HTML { return ago(since(now, d), now) },
	"spans": spans, "tone": tone, "headline": words.Headline, "proof": decide.ProofText, "loss": decide.LossText, "lost": words.Lost, "work": words.Work, "note": words.Note,
	"leastLag": answers.LeastLag, "served": words.Served, "clockOf": words.ClockOf, "restores": words.Restores, "how": words.How, "data": words.Data, "dict": dict, "upper": strings.ToUpper, "join": strings.Join,
	"home": func(g *fleet.GroupView) bool { return g.Record != nil && g.Record.Active == g.Config.Primary }, "bars": bars, "safe": protectedText, "planned": func(r events.Rollout) string { return words.PlanLoss(&r) }, "inc": func(n, most int) int { return min(n+1, most) },
	"remark2": func(g *fleet.GroupView, i int) string { return words.Remark(g, &g.Clusters[i]) },
	"row":     func(g fleet.GroupView) *fleet.GroupView { return &g }, "percent": words.Percent, "dur": func(d events.Duration) time.Duration { return d.D() }, "drillWait": drillWait,
}).ParseFS(templates, "templates/*.html"))

// dict makes what a template hands to another one: name, value, name, value.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict of %d: want names and values", len(pairs))
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m, nil
}

// ago is how long an instant is past, which the script counts on; "never" for none.
func ago(t, now time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-at="%d">%s</time>`, t.UTC().Format(time.RFC3339), t.UnixMilli(), words.Age(now.Sub(t)))) //nolint:gosec // nothing in it is anybody's text
}

// span is a piece of a sentence: text, or a command that stood between backticks.
type span struct {
	Text string
	Code bool
}

func spans(s string) (all []span) {
	for i, p := range strings.Split(words.Plain(s), "`") {
		if p != "" {
			all = append(all, span{p, i%2 == 1})
		}
	}
	return all
}

// tones give words that mean something their colour and sign. Any other word is idle.
var tones = map[string]string{
	string(events.VerdictHealthy): "ok", string(events.VerdictDegraded): "warn", string(events.VerdictSuspect): "warn", string(events.VerdictOut): "bad",
	string(events.RoleActive): "ok", string(events.RolePassive): "idle", string(events.RoleFailed): "bad",
	string(events.StateRunning): "ok", string(events.StateRebuilding): "busy", string(events.StateRebalancing): "busy", string(events.StatePoweroff): "bad", string(events.StateUnknown): "idle",
	string(decide.Ready): "ok", string(decide.Stale): "warn", string(decide.NotReady): "bad",
	string(events.RolloutRunning): "busy", string(events.RolloutPaused): "warn", string(events.RolloutHalted): "bad", string(events.RolloutDone): "ok", string(events.RolloutAborted): "warn",
	string(events.MoveRuns): "busy", string(events.MoveUnknown): "warn", string(events.MoveHeld): "warn", events.DrillPass: "ok", events.DrillFail: "bad",
	"Active": "ok", "Passive": "idle", "Failed": "bad", "Rebuilding": "busy", "Rebalancing": "busy", "yes": "ok", "sync": "ok", "not in sync": "warn", "NO": "bad", "AWAY": "warn",
	events.NoticeDecision: "busy", events.NoticeWait: "warn", events.NoticeRefused: "warn", events.NoticeFenced: "busy", events.NoticePromoted: "busy", events.NoticeServing: "ok",
	events.NoticeProtected: "ok", events.NoticeRestoring: "busy", events.NoticeRestored: "ok", events.NoticeBorn: "ok", events.NoticeResumed: "ok", events.NoticeAlarm: "bad",
	events.NoticeAutomation: "warn", events.NoticeRollout: "busy",
}

func tone(word any) string {
	if t := tones[fmt.Sprint(word)]; t != "" {
		return t
	}
	return "idle"
}

// protectedText says whether a group is protected, as the list of the command line does.
func protectedText(g *fleet.GroupView) string { return words.GroupRow(g)[6] }

// phase is a piece of the bar that shows how long an operation's phases took: from, and how wide, in thousandths.
type phase struct {
	events.PhaseTime
	At, Wide, No int
}

func bars(o *events.Operation) (all []phase) {
	var sum time.Duration
	for _, p := range o.Phases {
		sum += p.Took
	}
	at := 0
	for i, p := range o.Phases {
		wide := 0
		if sum > 0 {
			wide = int(p.Took * 1000 / sum)
		}
		all = append(all, phase{p, at, wide, i % 6})
		at += wide
	}
	return all
}

// drillWait is what a drill took of writes: the longer of its halves.
func drillWait(d *events.Drill) (most time.Duration) {
	for _, l := range d.Legs {
		most = max(most, l.Gap)
	}
	return most
}
