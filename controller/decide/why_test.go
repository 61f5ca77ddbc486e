package decide

import (
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/controller/gate"
)

// Whoever clears what stands in the way wants to know at once what stands behind it, and what happens then.
func TestEvidenceNamesEverythingInTheWay(t *testing.T) {
	t.Parallel()
	f := healthy(t)
	regionOut(f)
	f.Permit = gate.Permission{Rule: "wait.manual", Why: "mode manual", Also: []string{"disarmed by bob"}}
	f.Sent = 5000
	wantRule(t, f, "wait.manual")
	var said []string
	for _, x := range f.Evidence() {
		said = append(said, x.What+"="+x.Value)
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"automation=mode manual", "automation=disarmed by bob", "then wait.loss-budget=r2/b lacks", "once nothing blocks=it is moved by failover.region-out"} {
		if !strings.Contains(all, want) {
			t.Errorf("want %q in\n%s", want, all)
		}
	}
	for _, x := range healthy(t).Evidence() {
		if strings.HasPrefix(x.What, "then ") || x.What == "once nothing blocks" {
			t.Errorf("nothing is wrong, but it says %+v", x)
		}
	}
}
