package words

import (
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/controller/decide"
	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/document"
)

// Told is a notice and when it was told.
type Told struct {
	At     time.Time
	Notice events.Notice
}

// Report writes an operation down for people who were not there: what happened, how long it took, what proves that it was safe, what was lost.
func Report(group string, o *events.Operation, kept string, told []Told, now time.Time) *document.Document {
	state := "running"
	if o.Ended != "" {
		state = o.Ended
	}
	d := &document.Document{Title: o.ID + Headline(o), Subtitle: fmt.Sprintf("group %s, %s; written at %s", group, state, now.UTC().Format(time.RFC3339))}
	s := d.Section("What happened and why")
	s.Heads = []string{"fact", "value"}
	s.Row("verb", o.Verb)
	s.Row("began", o.Began.UTC().Format(time.RFC3339))
	s.Row("by", o.By)
	s.Row("rule", o.Rule)
	for _, x := range []struct{ what, value string }{{"why", o.Why}, {"asked as", o.Ask}, {"end", o.EndWhy}, {"fence waived by", o.Unfenced}} {
		if x.value != "" {
			s.Row(x.what, x.value)
		}
	}
	reportTimes(d, o)
	if o.Proof != nil {
		reportProof(d, o)
	}
	reportData(d, o, kept, now)
	if o.Tasks != nil {
		reportTasks(d, o.Tasks)
	}
	if len(told) > 0 {
		t := d.Section("What was told")
		t.Heads = []string{"at", "rule", "sentence"}
		for _, e := range told {
			t.Row(e.At.UTC().Format(time.RFC3339), e.Notice.Rule, e.Notice.Why)
		}
	}
	return d
}

// reportTimes are the two clocks, and the time of each phase.
func reportTimes(d *document.Document, o *events.Operation) {
	s := d.Section("Times")
	s.Heads = []string{"clock or phase", ">took"}
	if o.Ended == "" || o.Ended == "done" {
		if !Restores(o) {
			s.Row("serving again", ClockOf(Served(o)))
		}
		if o.Verb != events.AskRestart {
			s.Row("protected again", ClockOf(o.Protected))
		}
	}
	for _, ph := range o.Phases {
		s.Row("phase "+ph.Phase, gate.Round(ph.Took))
	}
}

// reportProof is the stored fence proof (I3), in facts an outsider can check.
func reportProof(d *document.Document, o *events.Operation) {
	s := d.Section("Fence proof: why the old active could not acknowledge a write any more").Say(decide.ProofText(o.Proof))
	s.Heads = []string{"acceptor", ">revocation stored at sequence", ">beat it replaced"}
	for _, l := range o.Proof.Lanes {
		s.Row(fmt.Sprint(l.Lane), fmt.Sprint(l.Revoked), fmt.Sprint(l.Replaced))
	}
}

// reportTasks is what became of the tasks of a workflow.
func reportTasks(d *document.Document, t *events.TaskSummary) {
	s := d.Section("Tasks").Say(decide.TasksText(t))
	s.Heads = []string{"class", "action", "result", ">tasks"}
	for _, x := range t.Totals {
		s.Row(string(x.Class), string(x.Action), string(x.Result), fmt.Sprint(x.Count))
	}
}

// reportData is what became of the data: how far the target was, what was lost, where that is kept.
func reportData(d *document.Document, o *events.Operation, kept string, now time.Time) {
	s := d.Section("Data")
	if o.How != "" {
		s.Say(How(o))
	}
	if o.Promoted != 0 || o.Loss != nil && o.Loss.NoLog {
		s.Say(Data(o))
	}
	if o.Lost == nil {
		if len(s.Text) == 0 {
			s.Say("Nothing of it changed.")
		}
		return
	}
	s.Say("Lost: " + Lost(o.Lost, kept, now))
	if len(o.Lost.List) == 0 {
		return
	}
	u := d.Under("Lost commits")
	u.Heads = []string{">transaction", "position", "committed at, by the old server's clock"}
	for _, c := range o.Lost.List {
		u.Row(fmt.Sprint(c.XID), c.LSN.String(), c.At.UTC().Format(time.RFC3339Nano))
	}
	if more := o.Lost.Commits - len(o.Lost.List); more > 0 {
		u.Row("…", fmt.Sprintf("%s more", Grouped(int64(more))), "the whole list is kept beside its log")
	}
}
