package events

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ask is what an operator, a cron entry or an API publishes: one verb on one group or region. All doors publish the same asks.
type Ask struct {
	ID         string   `json:"id"`    // makes it idempotent; given by the door when empty
	Verb       string   `json:"verb"`  // one of AskVerbs
	Actor      string   `json:"actor"` // from the subject, never from the body
	Group      string   `json:"group,omitempty"`
	Region     string   `json:"region,omitempty"`
	Kind       Kind     `json:"kind,omitempty"`    // arm, disarm: every group of a kind
	Cluster    string   `json:"cluster,omitempty"` // region/cluster, for the verbs of one cluster; names its group too
	To         string   `json:"to,omitempty"`      // region/cluster to promote; empty = best candidate
	Reason     string   `json:"reason,omitempty"`
	AcceptLoss bool     `json:"accept_loss,omitempty"` // move even beyond the loss budget or with unknown lag
	Unfenced   bool     `json:"unfenced,omitempty"`    // waive the fence proof; needs a reason
	WhileBlind bool     `json:"while_blind,omitempty"` // act although the controller is blind; needs a reason
	Copy       bool     `json:"copy,omitempty"`        // restore, rebuild: copy the data anew, even where it could be kept
	For        Duration `json:"for,omitempty"`         // maintenance: how long; 0 ends it
	DryRun     bool     `json:"dry_run,omitempty"`
}

// EventType names the payload in the catalogue.
func (Ask) EventType() string { return "switchback.ask" }

// Verbs an Ask may carry.
const (
	AskFailover    = "failover"
	AskRestore     = "restore"
	AskRebuild     = "rebuild"
	AskSwitchover  = "switchover"
	AskFailback    = "failback"
	AskDrill       = "drill"
	AskAbort       = "abort"
	AskArm         = "arm"
	AskDisarm      = "disarm"
	AskApprove     = "approve"
	AskAcknowledge = "acknowledge"
	AskMaintenance = "maintenance"
	AskRestart     = "restart"
	AskProtect     = "protect"
	AskRelease     = "release"
)

// ActorSchedule is who asks by the schedules of the fleet file. It asks for nothing where automation is disarmed.
const ActorSchedule = "schedule"

// about is what a verb may name.
type about uint8

const (
	aboutGroup about = 1 << iota
	aboutRegion
	aboutCluster
	aboutKind
	aboutFleet // nothing at all
)

// askVerbs lists them in the order help shows them, with what each may be about.
var askVerbs = []struct {
	verb  string
	about about
}{
	{AskFailover, aboutGroup | aboutRegion}, {AskRestore, aboutGroup | aboutCluster}, {AskRebuild, aboutGroup | aboutCluster}, {AskSwitchover, aboutGroup},
	{AskFailback, aboutGroup}, {AskDrill, aboutGroup}, {AskAbort, aboutGroup}, {AskArm, aboutGroup | aboutRegion | aboutKind | aboutFleet},
	{AskDisarm, aboutGroup | aboutRegion | aboutKind | aboutFleet},
	{AskApprove, aboutGroup | aboutRegion}, {AskAcknowledge, aboutGroup | aboutRegion}, {AskMaintenance, aboutCluster}, {AskRestart, aboutCluster}, {AskProtect, aboutGroup | aboutCluster}, {AskRelease, aboutGroup},
}

// AskVerbs lists the verbs in the order help shows them.
func AskVerbs() []string {
	vs := make([]string, len(askVerbs))
	for i := range askVerbs {
		vs[i] = askVerbs[i].verb
	}
	return vs
}

// DecodeAsk reads the body of an operator event strictly: a plain JSON ask, or a CloudEvents 1.0 envelope whose id makes it idempotent
// and whose data is the ask. Unknown fields are refused, so that a misspelt option can't be lost.
func DecodeAsk(actor, verb string, body []byte) (Ask, error) {
	var a Ask
	var env Envelope
	if json.Unmarshal(body, &env) == nil && env.SpecVersion != "" {
		if err := strict(env.Data, &a); err != nil {
			return Ask{}, fmt.Errorf("data of the event: %w", err)
		}
		a.ID = env.ID
	} else if len(body) > 0 {
		if err := strict(body, &a); err != nil {
			return Ask{}, err
		}
	}
	if a.Verb != "" && a.Verb != verb {
		return Ask{}, fmt.Errorf("body says verb %q, subject says %q: want them equal, or leave the body's out", a.Verb, verb)
	}
	a.Actor, a.Verb = actor, verb
	return a, a.Check()
}

// Check says what is wrong with an ask by itself, before anybody looks at the fleet.
func (a Ask) Check() error {
	if err := CheckName("actor", a.Actor); err != nil {
		return err
	}
	if err := a.checkAbout(); err != nil {
		return err
	}
	if a.Group != "" {
		if err := CheckName("group", a.Group); err != nil {
			return err
		}
	}
	if a.Region != "" {
		if err := CheckName("region", a.Region); err != nil {
			return err
		}
	}
	for _, r := range []string{a.Cluster, a.To} {
		if r == "" {
			continue
		}
		if _, err := ParseRef(r); err != nil {
			return err
		}
	}
	if a.For < 0 || a.For.D() > MaintenanceMost {
		return fmt.Errorf("for %v: want 0 (it ends now) to %v", a.For.D(), MaintenanceMost)
	}
	if (a.Unfenced || a.WhileBlind) && a.Reason == "" {
		return fmt.Errorf("%s with unfenced or while_blind gives no reason: want one, it is written down with your name", a.Verb)
	}
	return nil
}

// MaintenanceMost is the longest maintenance that may be asked for at once.
const MaintenanceMost = 7 * 24 * time.Hour

// checkAbout says whether the verb is known and may name what the ask names.
func (a Ask) checkAbout() error {
	var may about
	for _, v := range askVerbs {
		if v.verb == a.Verb {
			may = v.about
		}
	}
	if may == 0 {
		return fmt.Errorf("verb %q: want one of %v", a.Verb, AskVerbs())
	}
	named, want := 0, []string{}
	for _, x := range []struct {
		what, name string
		bit        about
	}{{"group", a.Group, aboutGroup}, {"region", a.Region, aboutRegion}, {"cluster", a.Cluster, aboutCluster}, {"kind", string(a.Kind), aboutKind}} {
		if may&x.bit != 0 {
			want = append(want, x.what)
		}
		if x.name == "" {
			continue
		}
		named++
		if may&x.bit == 0 {
			return fmt.Errorf("%s names %s %q: it is not about a %s", a.Verb, x.what, x.name, x.what)
		}
	}
	switch {
	case a.Group != "" && a.Region != "":
		return fmt.Errorf("%s names group %q and region %q: want one of them", a.Verb, a.Group, a.Region)
	case a.Kind != "" && named > 1:
		return fmt.Errorf("%s names kind %q and something else: want one of them", a.Verb, a.Kind)
	case a.Kind != "" && !slices.Contains(Kinds(), a.Kind):
		return fmt.Errorf("kind %q: want one of %v", a.Kind, Kinds())
	case named == 0 && may&aboutFleet == 0:
		return fmt.Errorf("%s names neither %s: want one of them", a.Verb, strings.Join(want, " nor "))
	}
	return nil
}

// Answer is what became of an ask, per group it touched.
type Answer struct {
	ID       string       `json:"id"`
	Hash     string       `json:"hash"`     // of the ask, so that the same id with another body is refused
	Accepted bool         `json:"accepted"` // at least one group moves, or the switch was thrown
	Why      string       `json:"why"`
	Items    []AnswerItem `json:"items,omitempty"`
}

// AnswerItem is the answer for one group.
type AnswerItem struct {
	Group     string `json:"group"`
	Accepted  bool   `json:"accepted"`
	Operation string `json:"operation,omitempty"`
	Rule      string `json:"rule"`
	Why       string `json:"why"`
}

// EventType names the payload in the catalogue.
func (Answer) EventType() string { return "switchback.answer" }
