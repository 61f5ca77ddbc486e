package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// moves is the table of everything that changes who is active, or says why nobody does. First match wins.
var moves = [...]row{
	// Birth (C0): a group comes under care only when there is exactly one writable cluster and the others stream from it.
	{"birth.removed", "none", "the group is removed from the configuration", func(f *Facts) bool { return f.Config.Removed }, nil, "{group} is not configured any more"},
	{"refuse.not-born", "none", "an operator asks", func(f *Facts) bool { return f.Ask != nil }, refuse,
		"{group} is not under care yet: `switchback why {group}` says what it waits for"},
	{"birth.record-lost", "none", "an agent's ledger knows the group at some epoch", func(f *Facts) bool { return f.anyLedger() }, nil,
		"agents remember {group} but the record does not: a person must look, with the agents' ledgers (epochs never restart below any agent's)"},
	{"birth.two-claims", "none", "two agents report one of its clusters", func(f *Facts) bool { return f.twoClaims() != "" }, func(f *Facts, o *Outcome) { o.Why = f.twoClaims() }, ""},
	{"birth.wait-agents", "none", "a cluster has not been reported", func(f *Facts) bool { return f.unreported() != "" },
		func(f *Facts, o *Outcome) { o.Why = f.unreported() + " has not been reported by any agent yet" }, ""},
	{"birth.not-one-writable", "none", "not exactly one cluster is writable", func(f *Facts) bool { return f.writable() != 1 },
		func(f *Facts, o *Outcome) {
			o.Why = fmt.Sprintf("%d of its clusters are writable: want exactly one", f.writable())
		}, ""},
	{"birth.not-following", "none", "another cluster does not stream from it", func(f *Facts) bool { return f.notFollowing() != "" },
		func(f *Facts, o *Outcome) { o.Why = f.notFollowing() }, ""},
	{"birth.wait-lease", "none", "an agent's lanes do not count yet", func(f *Facts) bool { return f.unleased() != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.unleased() + " has no lease yet: under care it would be frozen at once"
		}, ""},
	{"birth", "none", "one writable, the others stream from it", func(*Facts) bool { return true }, birth, "{group} is under care: {active} is active"},

	// What operators ask.
	{"ask.known", "any", "the running or last operation has this ask's id", func(f *Facts) bool { return f.Ask != nil && f.Record.Op != nil && f.Record.Op.Ask == f.Ask.ID },
		func(f *Facts, o *Outcome) { o.answer(f, true, f.Record.Op.ID) }, "this ask is operation {op} already"},
	{"ask.dry-run", "any", "abort, arm or disarm, dry run", func(f *Facts) bool { return f.Ask != nil && f.Ask.DryRun && f.Ask.Verb != events.AskFailover },
		func(f *Facts, o *Outcome) { o.answer(f, true, "") }, "would {verb} {group} if it can be done then: nothing was done"},
	{"ask.disarm", "any", "disarm", asks(events.AskDisarm), disarm, "{actor} disarmed {group}: {reason}"},
	{"ask.arm", "any", "arm", asks(events.AskArm), disarm, "{actor} armed {group}"},
	{"ask.abort", "any", "abort, before the promotion is recorded", func(f *Facts) bool { return asks(events.AskAbort)(f) && f.Record.Phase != events.PhaseActive },
		func(f *Facts, o *Outcome) { abort(f, o); o.answer(f, true, f.Record.Op.ID) }, "{actor} aborted {op}: {active} goes on"},
	{"refuse.nothing-to-abort", "any", "abort, nothing runs that can be", asks(events.AskAbort), refuse,
		"{group} has no operation that can be aborted: from the recorded promotion on, only a new failover moves it"},
	{"refuse.unknown-verb", "any", "a verb groups don't take", func(f *Facts) bool { return f.Ask != nil && f.Ask.Verb != events.AskFailover }, refuse, "{verb} is for regions, not for a group"},
	{"refuse.running", "any", "failover while one runs", func(f *Facts) bool { return f.Ask != nil && f.Record.Phase != events.PhaseActive }, refuse,
		"{op} is under way ({phase}): wait for it, or `switchback abort {group}`"},
	{"refuse.removed", "active", "failover of a removed group", func(f *Facts) bool { return f.Ask != nil && f.Config.Removed }, refuse, "{group} is not configured any more"},
	{"refuse.observe", "active", "failover in mode observe", func(f *Facts) bool { return f.Ask != nil && f.Config.Mode == events.ModeObserve }, refuse,
		"{group} is only observed: nothing of it is fenced or moved until its mode is manual or auto"},
	{"refuse.blind", "active", "failover while the controller is blind", func(f *Facts) bool { return f.Ask != nil && f.Blind && !f.Ask.WhileBlind }, refuse,
		"the controller reaches fewer than half of the regions: repeat it with --while-blind --reason if you know better"},
	{"refuse.no-candidate", "active", "failover without a fit target", func(f *Facts) bool { return f.Ask != nil && f.none(f.asked()) != "" },
		func(f *Facts, o *Outcome) {
			refuse(f, o)
			o.Why = "nothing to promote: " + f.none(f.asked())
		}, ""},
	{"refuse.loss", "active", "failover of a silent active beyond the loss budget", func(f *Facts) bool {
		return f.Ask != nil && !f.Ask.AcceptLoss && f.active().Silent > 0 && f.overBudget(f.asked()) != ""
	}, func(f *Facts, o *Outcome) {
		refuse(f, o)
		o.Why = f.overBudget(f.asked()) + ": repeat it with --accept-loss to move all the same"
	}, ""},
	{"failover.dry-run", "active", "failover, dry run", func(f *Facts) bool { return f.Ask != nil && f.Ask.DryRun }, dryRun, ""},
	{"failover.asked", "active", "failover", func(f *Facts) bool { return f.Ask != nil }, failover, "{actor} asked to fail over {group} to {target}: {reason}"},

	// FENCING: from the intent to the proof (C3).
	{"proof.unfenced", "fencing", "a person waived the fence by name (C3d)", func(f *Facts) bool { return f.Record.Op.Unfenced != "" }, prove(events.ProofUnfenced),
		"fence of {active} waived: {proof}"},
	{"proof.ack", "fencing", "the old active reported passive at this epoch (C3b)", func(f *Facts) bool { return f.active().passiveAt(f.Record.Epoch) }, prove(events.ProofAck), "{active} fenced: {proof}"},
	{"proof.lease", "fencing", "two revocations, L over, target passive at this epoch and listed (C3a)", func(f *Facts) bool {
		return f.Lease.Waited(f.Now) && f.target().passiveAt(f.Record.Epoch) && f.listed(f.Record.Target)
	}, prove(events.ProofLease), "{active} fenced: {proof}"},
	{"switch.target", "fencing", "the target is lost and another candidate is fit (C7)", func(f *Facts) bool { return f.targetLost() && f.none(events.Ref{}) == "" }, switchTarget,
		"{target} takes the place of the candidate that was lost"},
	{"abort.no-proof", "fencing", "no proof within the time of an attempt (C7)", func(f *Facts) bool { return f.PhaseAge >= f.D.Attempt }, abort,
		"no fence proof of {active} within the time of an attempt: {active} goes on"},
	{"fence.lease", "fencing", "the active's agent is silent, or did not stop it in its time (C2)", func(f *Facts) bool {
		return !f.Record.Op.Planned || f.active().Silent > 0 || f.PhaseAge >= f.D.FenceAck
	}, func(_ *Facts, o *Outcome) { o.Attempt = true }, "revoking the lease of {agent}"},
	{"wait.stop", "fencing", "the active's agent was asked to stop it", func(*Facts) bool { return true }, nil, "waiting for {agent} to stop {active}"},

	// PROVED: the target's receiver is cut, the loss is checked, the promotion recorded (C5, C6).
	{"abort.loss", "proved", "more would be lost than the budget allows", func(f *Facts) bool { return f.cutLoss() != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.cutLoss() + ": " + f.Record.Active.String() + " goes on"
			abort(f, o)
		}, ""},
	{"promote", "proved", "the target's position stands still and is within budget", func(f *Facts) bool { return f.cutDone() }, promote, "{active} is appointed at epoch {epoch}"},
	{"abort.target-lost", "proved", "the target is lost before its promotion was recorded (C7)", func(f *Facts) bool { return f.targetLost() || f.cutRefused() != "" || f.PhaseAge >= f.D.Attempt }, abort,
		"{target} was lost before its promotion was recorded: {active} goes on"},
	{"wait.cut", "proved", "the target has not answered yet", func(*Facts) bool { return true }, nil, "waiting for {target} to let its position stand still"},

	// After the promotion was recorded: the target is active, whatever it answers (C6).
	{"done.serving", "active", "the new active acknowledges writes", func(f *Facts) bool {
		return f.Record.Running() && f.active().Reported && f.active().Report.Serving >= f.Record.Epoch
	}, done,
		"{active} serves at epoch {epoch}"},

	// Automation.
	{"ok", "active", "no cause to move", func(f *Facts) bool { return f.cause() == causeNone }, nil, "{active} is active and nothing speaks against it"},
	{"wait.removed", "active", "the group is removed from the configuration", func(f *Facts) bool { return f.Config.Removed }, nil, "{group} is not configured any more: automation leaves it alone"},
	{"wait.region-suspect", "active", "its agent is silent, the region is not out", func(f *Facts) bool { return f.cause() == causeSuspect }, nil, "{region}"},
	{"wait.agent-unconfirmed", "active", "its agent is silent, not long enough or not looked for yet", func(f *Facts) bool { return f.cause() == causeAgentSuspect }, nil,
		"agent {agent} is silent for {silent} while others of its region beat; not confirmed yet"},
	{"wait.agent-seen", "active", "its agent is silent but somebody sees it", func(f *Facts) bool { return f.cause() == causeAgentSeen },
		func(f *Facts, o *Outcome) {
			o.Why = fmt.Sprintf("agent %s is silent for %s, but somebody still sees it: %s", f.active().Agent, round(f.active().Silent), f.active().Seen)
		}, ""},
	{"wait.cluster-unconfirmed", "active", "its server is down, not long enough", func(f *Facts) bool { return f.cause() == causeDownUnconfirmed }, nil,
		"{active} does not serve for {down} ({server}); its agent tries to restart it"},
	{"wait.permit", "active", "automation may not move it", func(f *Facts) bool { return !f.Permit.OK }, func(f *Facts, o *Outcome) { o.Rule = f.Permit.Rule }, "{permit}"},
	{"wait.no-candidate", "active", "nothing is fit to be promoted", func(f *Facts) bool { return f.none(events.Ref{}) != "" },
		func(f *Facts, o *Outcome) { o.Why = "nothing to promote: " + f.none(events.Ref{}) }, ""},
	{"wait.loss-budget", "active", "more would be lost than the budget allows, or nobody knows how much", func(f *Facts) bool { return f.overBudget(events.Ref{}) != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.overBudget(events.Ref{}) + ": `switchback failover " + f.Config.Group + " --accept-loss` moves it all the same"
		}, ""},
	{"failover.region-out", "active", "its region is out", func(f *Facts) bool { return f.cause() == causeRegionOut }, failover, "{region}"},
	{"failover.cluster-down", "active", "its server is proved down, its agent alive", func(f *Facts) bool { return f.cause() == causeDown }, failover,
		"{from} does not serve for {down} ({server}) although its agent restarted it"},
	{"failover.agent-silent", "active", "its agent is silent and unsighted while its region is not out", func(*Facts) bool { return true }, failover,
		"agent {agent} is silent and nobody sees it or {from}"},
}

func asks(verb string) func(*Facts) bool {
	return func(f *Facts) bool { return f.Ask != nil && f.Ask.Verb == verb }
}

// Row is one row of a table, for documents and tests.
type Row struct{ Table, ID, Phase, When, Why string }

// Rows lists both tables, in order.
func Rows() []Row {
	var rs []Row
	for i := range moves {
		rs = append(rs, Row{"moves", moves[i].id, moves[i].phase, moves[i].when, moves[i].why})
	}
	for i := range upkeeps {
		rs = append(rs, Row{"upkeep", upkeeps[i].id, upkeeps[i].phase, upkeeps[i].when, upkeeps[i].why})
	}
	return rs
}
