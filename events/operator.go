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
	Agent      string   `json:"agent,omitempty"`   // region/agent, for rejoin
	To         string   `json:"to,omitempty"`      // region/cluster to promote, or that is the active of a rebuilt record; empty = best candidate
	Reason     string   `json:"reason,omitempty"`
	AcceptLoss bool     `json:"accept_loss,omitempty"` // move even beyond the loss budget or with unknown lag
	Unfenced   bool     `json:"unfenced,omitempty"`    // waive the fence proof; needs a reason
	WhileBlind bool     `json:"while_blind,omitempty"` // act although the controller is blind; needs a reason
	Copy       bool     `json:"copy,omitempty"`        // restore, rebuild: copy the data anew, even where it could be kept
	For        Duration `json:"for,omitempty"`         // maintenance: how long; 0 ends it
	DryRun     bool     `json:"dry_run,omitempty"`

	// Of retry-tasks: the ledger, and which of its entries; all empty = everything that waits in the newest one.
	Operation string `json:"operation,omitempty"`
	DAG       string `json:"dag,omitempty"`
	Task      string `json:"task,omitempty"`

	// Of plans and rollouts (see Rollout).
	Do      string   `json:"do,omitempty"`      // plan: the verb that is planned
	Groups  []string `json:"groups,omitempty"`  // these groups
	Select  string   `json:"select,omitempty"`  // groups with these labels: project=shop,kind=postgres
	Plan    string   `json:"plan,omitempty"`    // run this stored plan: its id or hash
	Rollout string   `json:"rollout,omitempty"` // steer this one: its id
	Limits  *Limits  `json:"limits,omitempty"`  // where they differ from the defaults

	Until time.Time `json:"until,omitzero"`  // of a rollout: no move of it begins after that; zero = no end
	Calls string    `json:"calls,omitempty"` // by a schedule: the occurrence it answers

	From     string   `json:"from,omitempty"`     // where it came from, as the door that took it knows; for the audit, never from a body
	Projects []string `json:"projects,omitempty"` // it may touch groups of these alone; empty = all
	If       string   `json:"if,omitempty"`       // refused unless its group's record still has this tag (GroupTag)
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
	AskAbort       = "abort"
	AskArm         = "arm"
	AskDisarm      = "disarm"
	AskApprove     = "approve"
	AskAcknowledge = "acknowledge"
	AskMaintenance = "maintenance"
	AskRestart     = "restart"
	AskProtect     = "protect"
	AskRelease     = "release"
	AskDrill       = "drill"
	AskPlan        = "plan"
	AskPause       = "pause"
	AskResume      = "resume"
	AskSkip        = "skip"
	AskRetry       = "retry"

	AskRetryTasks    = "retry-tasks"
	AskRebuildRecord = "rebuild-record"
	AskRejoin        = "rejoin"
)

// ActorSchedule is who asks by the schedules of the fleet file. It asks for nothing where automation is disarmed.
const ActorSchedule = "schedule"

// PlanVerbs are the verbs a plan may be of.
var PlanVerbs = []string{AskFailover, AskFailback, AskSwitchover, AskDrill}

// about is what a verb may name.
type about uint8

const (
	aboutGroup about = 1 << iota
	aboutRegion
	aboutCluster
	aboutKind
	aboutMany    // groups, select, or a plan of them
	aboutRollout // a rollout; with skip and retry a group of it
	aboutFleet   // nothing at all
	aboutAgent
)

// askVerbs lists them in the order help shows them, with what each may be about.
var askVerbs = []struct {
	verb  string
	about about
}{
	{AskFailover, aboutGroup | aboutRegion | aboutMany}, {AskRestore, aboutGroup | aboutCluster}, {AskRebuild, aboutGroup | aboutCluster},
	{AskSwitchover, aboutGroup | aboutRegion | aboutMany}, {AskFailback, aboutGroup | aboutRegion | aboutMany}, {AskDrill, aboutGroup | aboutRegion | aboutMany},
	{AskPlan, aboutGroup | aboutRegion | aboutMany}, {AskAbort, aboutGroup | aboutRollout}, {AskPause, aboutRollout}, {AskResume, aboutRollout},
	{AskSkip, aboutRollout}, {AskRetry, aboutRollout},
	{AskArm, aboutGroup | aboutRegion | aboutKind | aboutFleet}, {AskDisarm, aboutGroup | aboutRegion | aboutKind | aboutFleet},
	{AskApprove, aboutGroup | aboutRegion}, {AskAcknowledge, aboutGroup | aboutRegion}, {AskMaintenance, aboutCluster}, {AskRestart, aboutCluster},
	{AskProtect, aboutGroup | aboutCluster}, {AskRelease, aboutGroup}, {AskRetryTasks, aboutGroup},
	{AskRebuildRecord, aboutGroup | aboutFleet}, {AskRejoin, aboutAgent},
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
	if a.From != "" {
		return Ask{}, fmt.Errorf("body says that it comes from %q: the door says where it comes from, leave it out", a.From)
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
	if err := a.checkMany(); err != nil {
		return err
	}
	for _, r := range []string{a.Cluster, a.Agent, a.To} {
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
	if a.Verb == AskRebuildRecord && a.To != "" && a.Reason == "" {
		return fmt.Errorf("%s with --active gives no reason: want one, it is written down with your name", a.Verb)
	}
	if a.Verb == AskRebuildRecord && (a.To != "" || a.Unfenced) && a.Group == "" {
		return fmt.Errorf("%s with --active or --unfenced names no group: one is decided at a time", a.Verb)
	}
	if err := a.checkTasks(); err != nil {
		return err
	}
	if a.Verb == AskRejoin && a.Reason == "" {
		return fmt.Errorf("%s gives no reason: want one, it is written down with your name", a.Verb)
	}
	if a.If != "" && a.Group == "" {
		return fmt.Errorf("%s with if %q names no group: the tag of a group's record is meant", a.Verb, a.If)
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
	named, want := []string{}, []string{}
	for _, x := range []struct {
		what, name string
		bit        about
	}{
		{"group", a.Group, aboutGroup}, {"region", a.Region, aboutRegion}, {"cluster", a.Cluster, aboutCluster}, {"kind", string(a.Kind), aboutKind}, {"agent", a.Agent, aboutAgent},
		{"groups", strings.Join(a.Groups, ","), aboutMany},
		{"select", a.Select, aboutMany}, {"plan", a.Plan, aboutMany}, {"rollout", a.Rollout, aboutRollout},
	} {
		if may&x.bit != 0 {
			want = append(want, x.what)
		}
		switch {
		case x.name == "":
		case x.what == "group" && may&aboutRollout != 0 && a.Rollout != "": // one group of the rollout
		case may&x.bit == 0:
			return fmt.Errorf("%s names %s %q: it is not about a %s", a.Verb, x.what, x.name, x.what)
		case x.what == "cluster": // its group may be named too: the leader checks that it is its
			named = append(named[:0:0], x.what)
		default:
			named = append(named, x.what)
		}
	}
	switch {
	case len(named) > 1:
		return fmt.Errorf("%s names %s: want one of them", a.Verb, strings.Join(named, " and "))
	case a.Kind != "" && !slices.Contains(Kinds(), a.Kind):
		return fmt.Errorf("kind %q: want one of %v", a.Kind, Kinds())
	case len(named) == 0 && may&aboutFleet == 0:
		return fmt.Errorf("%s names neither %s: want one of them", a.Verb, strings.Join(want, " nor "))
	}
	return nil
}

// checkMany says what is wrong with what only asks about many groups carry.
func (a Ask) checkMany() error {
	for _, g := range a.Groups {
		if err := CheckName("group", g); err != nil {
			return err
		}
	}
	if _, err := ParseSelect(a.Select); err != nil {
		return err
	}
	switch {
	case a.Verb == AskPlan && !slices.Contains(PlanVerbs, a.Do):
		return fmt.Errorf("plan of %q: want one of %v", a.Do, PlanVerbs)
	case a.Verb == AskPlan && a.Plan != "":
		return fmt.Errorf("plan names plan %q: want groups, a region or a selector to plan for", a.Plan)
	case a.Verb != AskPlan && a.Do != "":
		return fmt.Errorf("%s with do %q: only plan takes it", a.Verb, a.Do)
	case a.Verb == AskSkip && a.Group == "":
		return fmt.Errorf("skip names no group: want the group of %s to leave out", a.Rollout)
	case a.Limits != nil && a.Limits.Budget > 100:
		return fmt.Errorf("budget %g: want a percentage, at most 100", a.Limits.Budget)
	case a.Plan != "" && a.Limits != nil:
		return fmt.Errorf("%s runs plan %q and sets limits: a plan is run as it was shown, so plan anew with them", a.Verb, a.Plan)
	}
	return nil
}

// longestTaskName is the longest id of a DAG or task that Airflow takes, in characters.
const longestTaskName = 250

// checkTasks says what is wrong with what only a retry of tasks carries.
func (a Ask) checkTasks() error {
	named := a.Operation + a.DAG + a.Task
	switch {
	case a.Verb != AskRetryTasks && named != "":
		return fmt.Errorf("%s names tasks (operation %q, dag %q, task %q): only %s takes them", a.Verb, a.Operation, a.DAG, a.Task, AskRetryTasks)
	case a.Verb != AskRetryTasks:
		return nil
	case a.Reason == "":
		return fmt.Errorf("%s gives no reason: want one, it is written down with your name", a.Verb)
	case a.Task != "" && a.DAG == "":
		return fmt.Errorf("%s names task %q and no dag: want the DAG it is of, too", a.Verb, a.Task)
	case len(a.DAG) > longestTaskName || len(a.Task) > longestTaskName:
		return fmt.Errorf("%s: a dag or task of more than %d characters, which Airflow does not take", a.Verb, longestTaskName)
	case a.Operation != "":
		return CheckName("operation", a.Operation)
	}
	return nil
}

// Label is one condition of a selector.
type Label struct{ Key, Value string }

// ParseSelect reads a selector: key=value with commas, all of which must hold. Keys: project, kind, region (where it is active).
func ParseSelect(s string) ([]Label, error) {
	if s == "" {
		return nil, nil
	}
	var ls []Label
	for _, part := range strings.Split(s, ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok || v == "" || k != "project" && k != "kind" && k != "region" {
			return nil, fmt.Errorf("selector %q: want project=NAME, kind=KIND or region=REGION, with commas for several that must all hold", part)
		}
		ls = append(ls, Label{k, v})
	}
	return ls, nil
}

// Many reports whether the ask is for a plan of many groups, or runs one.
func (a *Ask) Many() bool {
	return a.Verb == AskPlan || a.Plan != "" || len(a.Groups) > 0 || a.Select != "" ||
		a.Region != "" && slices.Contains(PlanVerbs, a.Verb)
}

// Answer is what became of an ask, per group it touched.
type Answer struct {
	ID       string       `json:"id"`
	Hash     string       `json:"hash"`     // of the ask, so that the same id with another body is refused
	Accepted bool         `json:"accepted"` // at least one group moves, or the switch was thrown
	Why      string       `json:"why"`
	Items    []AnswerItem `json:"items,omitempty"`
	Rollout  string       `json:"rollout,omitempty"` // the plan made, or the rollout begun or steered
}

// AnswerItem is the answer for one group.
type AnswerItem struct {
	Group     string `json:"group"`
	Accepted  bool   `json:"accepted"`
	Operation string `json:"operation,omitempty"`
	Rule      string `json:"rule"`
	Why       string `json:"why"`
	Facts     []Fact `json:"facts,omitempty"` // the evidence, where a person must judge it
}

// EventType names the payload in the catalogue.
func (Answer) EventType() string { return "switchback.answer" }
