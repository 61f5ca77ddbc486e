package fleet

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// An approval of a region that is well is stored, then ends: never both in one batch, which the server would refuse, of this leader and of every one after it that is handed the same ask.
func TestApproveOfARegionThatIsWell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.f.regionOf("r1").judged.Verdict = events.VerdictHealthy
	in := AskSeen{Ask: events.Ask{ID: "a", Verb: events.AskApprove, Actor: "ann", Region: "r1", Reason: "r"}, Hash: "h"}
	w.f.judgedAt = w.now.Boot // as judged just now
	eff := w.apply(in)
	if len(eff.Answers) != 1 || !eff.Answers[0].Accepted {
		t.Fatalf("%+v", eff.Answers)
	}
	for range 3 {
		w.now.Boot = w.now.Boot.Add(time.Millisecond)
		more := w.apply(Tick{})
		eff.Batches, eff.Tell = append(eff.Batches, more.Batches...), append(eff.Tell, more.Tell...)
	}
	for _, b := range eff.Batches {
		seen := map[string]bool{}
		for _, x := range b {
			if seen[x.Subject] {
				t.Errorf("%s is written twice in one batch", x.Subject)
			}
			seen[x.Subject] = true
		}
	}
	if w.f.automation.Regions["r1"].Approved != "" {
		t.Error("the approval of a region that is well stands")
	}
}
