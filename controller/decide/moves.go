package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// moves is the table of everything that changes who is active, or says why nobody does. First match wins.
var moves = [...]row{
	// A lost or contradicted record: a person rebuilds it; until then nothing of the group moves.
	{"refuse.rebuild", "every", "rebuild-record of what can't be, or that a person must decide", func(f *Facts) bool { return asks(events.AskRebuildRecord)(f) && f.notRebuildable() != "" }, refuseRebuild, ""},
	{"rebuild.dry-run", "every", "rebuild-record, dry run", func(f *Facts) bool { return asks(events.AskRebuildRecord)(f) && f.Ask.DryRun }, rebuildDryRun, ""},
	{"rebuild.asked", "every", "rebuild-record", asks(events.AskRebuildRecord), rebuild, "{actor} rebuilt the record of {group} from what agents claim: {reason}"},
	{"halt", "every", "the record and what agents persist contradict each other: see Halts", func(f *Facts) bool {
		h, _ := f.halted()
		return h != nil && !(f.Record != nil && (asks(events.AskArm)(f) || asks(events.AskDisarm)(f)))
	}, halting, ""},
	{"rebuild.proved", "fencing", "every other member of a rebuilt record said passive at its epoch", func(f *Facts) bool { return f.Ask == nil && rebuilding(f) && f.unproved(f.Record.Active) == "" }, appointRebuilt, ""},
	{"rebuild.wait", "fencing", "a rebuilt record waits for the word of the others", func(f *Facts) bool { return f.Ask == nil && rebuilding(f) }, func(f *Facts, o *Outcome) {
		o.Why = fmt.Sprintf("%s is to be the active of the rebuilt record; it is told so when %s said passive at epoch %d. `switchback rebuild-record %s --active … --unfenced --reason …` waives that",
			f.Record.Active, f.unproved(f.Record.Active), f.Record.Epoch, f.Config.Group)
	}, ""},

	// Birth (C0): a group comes under care only when there is exactly one writable cluster and the others stream from it.
	{"birth.removed", "none", "the group is removed from the configuration", func(f *Facts) bool { return f.Config.Removed }, nil, "{group} is not configured any more"},
	{"refuse.not-born", "none", "an operator asks", func(f *Facts) bool { return f.Ask != nil }, refuse,
		"{group} is not under care yet: `switchback why {group}` says what it waits for"},
	{"birth.two-claims", "none", "two agents report one of its clusters", lacks((*Facts).twoClaims), says((*Facts).twoClaims), ""},
	{"birth.wait-agents", "none", "a cluster has not been reported", lacks((*Facts).unreported), says((*Facts).unreported), ""},
	{"birth.not-one-writable", "none", "not exactly one cluster is writable", lacks((*Facts).notOneWritable), says((*Facts).notOneWritable), ""},
	{"birth.not-following", "none", "another cluster does not stream from it", lacks((*Facts).notFollowing), says((*Facts).notFollowing), ""},
	{"birth.wait-lease", "none", "an agent's lanes do not count yet", lacks((*Facts).unleased), says((*Facts).unleased), ""},
	{"birth", "none", "one writable, the others stream from it", func(*Facts) bool { return true }, birth, "{group} is under care: {active} is active"},

	// Released from care: the record is a tombstone.
	{"gone", "gone", "it was released, and not configured anew since", func(f *Facts) bool { return f.Ask == nil && (f.Config.Removed || f.Revision <= f.Record.Config) }, nil,
		"{group} was released from care"},
	{"refuse.gone", "gone", "an operator asks", func(f *Facts) bool { return f.Ask != nil }, refuse, "{group} was released from care: `switchback apply` takes it under care again"},
	{"rebirth.wait", "gone", "configured anew, but its clusters are not as a birth wants them", lacks((*Facts).unborn), says((*Facts).unborn), ""},
	{"rebirth", "gone", "configured anew: one writable, the others stream from it", func(*Facts) bool { return true }, birth, "{group} is under care again: {active} is active"},

	// What operators ask.
	{"ask.known", "any", "an operation has this ask's id", func(f *Facts) bool { return f.Ask != nil && len(f.knownAs()) > 0 },
		func(f *Facts, o *Outcome) {
			for _, id := range f.knownAs() {
				o.answer(f, true, id)
			}
		}, "this ask is under way or done already"},
	{"refuse.maintenance", "any", "maintenance of a cluster the group has not", func(f *Facts) bool { return asks(events.AskMaintenance)(f) && f.askedMember() == nil }, refuse,
		"{cluster} is no cluster of {group}"},
	{"refuse.approve", "any", "approve of a group that waits for no approval", func(f *Facts) bool {
		return asks(events.AskApprove)(f) && (f.cause() == causeNone || f.Permit.Rule != "wait.approval")
	}, func(f *Facts, o *Outcome) { refuse(f, o); o.Why = f.notApproved() }, ""},
	{"refuse.acknowledge", "any", "acknowledge of a group in no cool-down", func(f *Facts) bool { return asks(events.AskAcknowledge)(f) && f.Record.Settled }, refuse,
		"{group} is in no cool-down: automation has not moved it, or it has been stable since"},
	{"refuse.retry-tasks", "any", "retry-tasks while none can be", func(f *Facts) bool { return asks(events.AskRetryTasks)(f) && f.notRetried() != "" },
		func(f *Facts, o *Outcome) { refuse(f, o); o.Why = f.notRetried() }, ""},
	{"ask.dry-run", "any", "dry run of what switches something", func(f *Facts) bool { return f.Ask != nil && f.Ask.DryRun && !moving[f.Ask.Verb] },
		func(f *Facts, o *Outcome) { o.answer(f, true, "") }, "would {verb} {group} if it can be done then: nothing was done"},
	{"ask.approve", "any", "approve", asks(events.AskApprove), approve, "{actor} approved that automation moves {group}: {reason}"},
	{"ask.acknowledge", "any", "acknowledge", asks(events.AskAcknowledge), acknowledge, "{actor} acknowledged the last move of {group}, automation may move it again: {reason}"},
	{"ask.retry-tasks", "active", "retry-tasks", asks(events.AskRetryTasks), retryTasks, "{actor} asked to retry tasks of {group} that wait for a person: {reason}"},
	{"ask.disarm", "any", "disarm", asks(events.AskDisarm), disarm, "{actor} disarmed {group}: {reason}"},
	{"ask.arm", "any", "arm", asks(events.AskArm), disarm, "{actor} armed {group}"},
	{"ask.maintenance", "any", "maintenance", asks(events.AskMaintenance), maintain, ""},
	{"refuse.abort-rebuild", "fencing", "abort while a record is rebuilt", func(f *Facts) bool { return asks(events.AskAbort)(f) && rebuilding(f) }, refuse,
		"the record of {group} is being rebuilt, there is none to go back to: `switchback rebuild-record {group} --active …` names another active"},
	{"ask.abort", "any", "abort, before the promotion is recorded", func(f *Facts) bool {
		return asks(events.AskAbort)(f) && (f.Record.Phase != events.PhaseActive || preparing(f.Record))
	},
		func(f *Facts, o *Outcome) { abort(f, o); o.answer(f, true, f.Record.Op.ID) }, "{actor} aborted {op}: {active} goes on"},
	{"ask.abort-restore", "active", "abort while a cluster is restored", func(f *Facts) bool { return asks(events.AskAbort)(f) && len(f.abortable()) > 0 }, abortRestores,
		"{actor} aborted the restore: the cluster stays failed until it is restored again"},
	{"refuse.nothing-to-abort", "any", "abort, nothing runs that can be", asks(events.AskAbort), refuse,
		"{group} has no operation that can be aborted: from the recorded promotion on, only a new failover moves it"},
	{"refuse.unknown-verb", "any", "a verb groups don't take", func(f *Facts) bool { return f.Ask != nil && !moving[f.Ask.Verb] }, refuse, "{verb} is for regions, not for a group"},
	{"refuse.running", "any", "a move while one runs", func(f *Facts) bool {
		return f.Ask != nil && (f.Record.Phase != events.PhaseActive || preparing(f.Record))
	}, refuse,
		"{op} is under way ({phase}): wait for it, or `switchback abort {group}`"},
	{"refuse.removed", "active", "a move of a removed group", func(f *Facts) bool { return f.Ask != nil && f.Config.Removed && f.Ask.Verb != events.AskRelease }, refuse, "{group} is not configured any more"},
	{"refuse.observe", "active", "a move in mode observe", func(f *Facts) bool {
		return f.Ask != nil && f.Config.Mode == events.ModeObserve && f.Ask.Verb != events.AskRelease
	}, refuse,
		"{group} is only observed: nothing of it is fenced or moved until its mode is manual or auto"},
	{"refuse.blind", "active", "a move while the controller is blind", func(f *Facts) bool { return f.Ask != nil && f.Blind && !f.Ask.WhileBlind }, refuse,
		"the controller reaches fewer than half of the regions: repeat it with --while-blind --reason if you know better"},

	{"refuse.restore", "active", "restore, rebuild or protect of what can't be", func(f *Facts) bool {
		return (asks(events.AskRestore)(f) || asks(events.AskRebuild)(f) || asks(events.AskProtect)(f)) && f.notAskedFor() != ""
	}, func(f *Facts, o *Outcome) { refuse(f, o); o.Why = f.notAskedFor() }, ""},
	{"restore.dry-run", "active", "restore, rebuild or protect, dry run", func(f *Facts) bool {
		return (asks(events.AskRestore)(f) || asks(events.AskRebuild)(f) || asks(events.AskProtect)(f)) && f.Ask.DryRun
	}, restoreDryRun, ""},
	{"restore.asked", "active", "restore, rebuild or protect", func(f *Facts) bool {
		return asks(events.AskRestore)(f) || asks(events.AskRebuild)(f) || asks(events.AskProtect)(f)
	}, restoreAsked, "{actor} asked to {verb} it: {reason}"},

	{"refuse.restart", "active", "restart of what can't be", func(f *Facts) bool { return asks(events.AskRestart)(f) && f.notRestartable() != "" },
		func(f *Facts, o *Outcome) { refuse(f, o); o.Why = f.notRestartable() }, ""},
	{"restart.dry-run", "active", "restart, dry run", func(f *Facts) bool { return asks(events.AskRestart)(f) && f.Ask.DryRun },
		func(f *Facts, o *Outcome) { o.answer(f, true, "") }, "would stop {cluster} cleanly and start it again in its role; nothing was done"},
	{"restart.asked", "active", "restart", asks(events.AskRestart), restart, "{actor} asked to restart {cluster}: {reason}"},

	{"refuse.release", "active", "release of what can't be", func(f *Facts) bool { return asks(events.AskRelease)(f) && f.notReleasable() != "" },
		func(f *Facts, o *Outcome) {
			refuse(f, o)
			o.Why = "can't be released so that both databases go on: " + f.notReleasable()
		}, ""},
	{"release.dry-run", "active", "release, dry run", func(f *Facts) bool { return asks(events.AskRelease)(f) && f.Ask.DryRun },
		func(f *Facts, o *Outcome) { o.answer(f, true, "") }, "would let {group} go: its databases stay running as a plain pair, nothing fences them any more; nothing was done"},
	{"release.asked", "active", "release", asks(events.AskRelease), release, "{actor} released {group} from care: its databases go on as a plain pair"},

	{"refuse.at-home", "active", "failback of a group that is at home", func(f *Facts) bool { return asks(events.AskFailback)(f) && f.Record.Active == f.primary() }, refuse,
		"{group} is at home already: {active} is active"},
	{"refuse.scheduled", "active", "failback by the schedule, and automation may not act", func(f *Facts) bool {
		return asks(events.AskFailback)(f) && f.Ask.Actor == events.ActorSchedule && !f.Restore.OK
	}, func(f *Facts, o *Outcome) { refuse(f, o); o.Why = f.Restore.Why }, ""},
	{"refuse.failback", "active", "failback, the home is failed and can't be restored", func(f *Facts) bool { return asks(events.AskFailback)(f) && f.homeFailed() && f.homeHeld() != "" },
		func(f *Facts, o *Outcome) { refuse(f, o); o.Why = f.homeHeld() }, ""},
	{"failback.restore-dry-run", "active", "failback, the home is failed, dry run", func(f *Facts) bool { return asks(events.AskFailback)(f) && f.homeFailed() && f.Ask.DryRun },
		func(f *Facts, o *Outcome) {
			o.Why = fmt.Sprintf("would restore %s from %s, then swap them without loss; nothing was done", f.primary(), f.Record.Active)
			o.answer(f, true, "")
		}, ""},
	{"failback.restore", "active", "failback, the home is failed", func(f *Facts) bool { return asks(events.AskFailback)(f) && f.homeFailed() }, failbackRestore,
		"{actor} asked to bring {group} home: {reason}; its home is restored first"},
	{"refuse.drill", "active", "a drill while anything is wrong", func(f *Facts) bool { return asks(events.AskDrill)(f) && f.notDrillable() != "" },
		func(f *Facts, o *Outcome) { refuse(f, o); o.Why = "no drill: " + f.notDrillable() }, ""},
	{"refuse.swap", "active", "switchover, failback or drill before every gate is passed", func(f *Facts) bool { return swapAsked(f) && f.notReady(f.swapTarget()) != "" },
		func(f *Facts, o *Outcome) { refuse(f, o); o.Why = "nothing was begun: " + f.notReady(f.swapTarget()) }, ""},
	{"swap.dry-run", "active", "switchover, failback or drill, dry run", func(f *Facts) bool { return swapAsked(f) && f.Ask.DryRun },
		func(f *Facts, o *Outcome) {
			back := ""
			if f.Ask.Verb == events.AskDrill {
				back = ", and back once it is protected there"
			}
			loss := " without loss"
			if !f.logged() {
				loss = ""
			}
			o.Why = fmt.Sprintf("would swap %s from %s to %s%s%s; nothing was done", f.Config.Group, f.Record.Active, f.swapTarget(), loss, back)
			o.answer(f, true, "")
		}, ""},
	{"drill.asked", "active", "drill", asks(events.AskDrill), beginDrill, "{actor} asked for a drill of {group}, there and back: {reason}"},
	{"swap.asked", "active", "switchover or failback", swapAsked, prepareSwap, "{actor} asked for a {verb} of {group}: {reason}"},

	{"refuse.sync-set", "active", "failover of a silent active in sync to one that may lack acknowledged writes", func(f *Facts) bool { return f.Ask != nil && f.onlyOutside(f.asked()) != "" },
		func(f *Facts, o *Outcome) {
			refuse(f, o)
			o.Why = f.onlyOutside(f.asked()) + ": repeat it with --accept-loss to move all the same, and lose what it lacks"
		}, ""},
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

	// A planned swap before its intent: the active goes on serving, so that giving up costs nothing.
	{RuleNotReady, "active", "a gate is not passed any more", func(f *Facts) bool { return preparing(f.Record) && f.watched() && f.notReady(f.Record.Op.To) != "" },
		func(f *Facts, o *Outcome) {
			o.Why = "given up before anything was stopped: " + f.notReady(f.Record.Op.To)
			abort(f, o)
		}, ""},
	{"swap.intent", "active", "the checkpoint is written, and no task runs on it", func(f *Facts) bool {
		return preparing(f.Record) && f.prepared() && f.notReady(f.Record.Op.To) == "" && f.Uses.Busy == ""
	}, swapIntent,
		"every gate is passed: {from} is stopped cleanly, then {target} is promoted"},
	{"swap.no-checkpoint", "active", "the checkpoint does not come", func(f *Facts) bool { return preparing(f.Record) && f.prepareFailed() != "" },
		func(f *Facts, o *Outcome) {
			o.Why = "given up before anything was stopped: " + f.prepareFailed()
			abort(f, o)
		}, ""},
	{"wait.checkpoint", "active", "the active writes a checkpoint", func(f *Facts) bool { return preparing(f.Record) }, sayCheckpoint, "{active} writes a checkpoint, so that its shutdown is short; it goes on serving"},

	// FENCING: from the intent to the proof (C3).
	{"swap.killed", "fencing", "a swap whose old active was killed instead of stopped cleanly: where its log ends is not known", func(f *Facts) bool {
		_, known := f.stopResult()
		return swapping(f) && f.active().passiveAt(f.Record.Epoch) && !known
	}, abort, "{active} was not stopped cleanly, so nobody can say that everything arrived: {active} goes on"},
	{"swap.active-lost", "fencing", "a swap whose old active's agent fell silent (C7): if it is an outage, the rows for that take over", func(f *Facts) bool { return swapping(f) && f.active().Silent >= f.D.FenceAck }, abort,
		"{agent} fell silent before it said that {active} is stopped: {active} goes on, or is failed over if it is gone"},
	{"swap.target-lost", "fencing", "a swap whose target is lost (C7)", func(f *Facts) bool { return swapping(f) && f.targetLost() }, abort, "{target} was lost: {active} goes on"},
	{"swap.too-late", "fencing", "a swap whose old active did not stop in its time (C7)", func(f *Facts) bool { return swapping(f) && f.GapAge >= f.gapLimit() }, abort,
		"{active} did not stop in its time: {active} goes on"},
	{"proof.unfenced", "fencing", "a person waived the fence by name (C3d)", func(f *Facts) bool { return f.Record.Op.Unfenced != "" }, prove(events.ProofUnfenced),
		"fence of {active} waived: {proof}"},
	{"proof.ack", "fencing", "the old active reported passive at this epoch (C3b)", func(f *Facts) bool { return f.active().passiveAt(f.Record.Epoch) }, prove(events.ProofAck), "{active} fenced: {proof}"},
	{"proof.cut", "fencing", "in sync: the target has every acknowledged write, is cut for good, passive at this epoch and listed (C3e)", (*Facts).cutProves, prove(events.ProofCut),
		"{active} fenced: {proof}"},
	{"proof.external", "fencing", "the external fence of the target's agent says that the old active is fenced (C3c)", func(f *Facts) bool {
		r, ok := f.fenceResult()
		return ok && r.Outcome.OK()
	}, prove(events.ProofExternal), "{active} fenced: {proof}"},
	{"proof.lease", "fencing", "two revocations, L over, target passive at this epoch and listed (C3a)", func(f *Facts) bool {
		return !f.exempt() && f.Lease.Waited(f.Now) && f.target().passiveAt(f.Record.Epoch) && f.listed(f.Record.Target)
	}, prove(events.ProofLease), "{active} fenced: {proof}"},
	{"switch.target", "fencing", "the target is lost and another candidate is fit (C7)", func(f *Facts) bool { return f.targetLost() && f.none(events.Ref{}) == "" }, switchTarget,
		"{target} takes the place of the candidate that was lost"},
	{"abort.no-proof", "fencing", "no proof within the time of an attempt (C7)", func(f *Facts) bool { return f.PhaseAge >= f.D.Attempt }, abort,
		"no fence proof of {active} within the time of an attempt: {active} goes on"},
	{"fence.cut", "fencing", "in sync: the active's agent is silent, or did not stop it in its time, and the target is not told yet (C3e)", (*Facts).cutDue, orderCut,
		"{target} is cut, without it {active} acknowledges nothing; revoking the lease of {agent} too"},
	{"fence.external", "fencing", "the active is never frozen, its agent does not stop it, and the target's has an external fence (C3c)", func(f *Facts) bool {
		return !swapping(f) && f.exempt() && f.target().External && !f.Record.Op.External && (f.active().Silent > 0 || f.PhaseAge >= f.D.FenceAck)
	}, orderFence, "the agent of {target} runs its external fence against {active}"},
	{"fence.lease", "fencing", "the active's agent is silent, or did not stop it in its time (C2)", func(f *Facts) bool {
		return !swapping(f) && (!f.Record.Op.Planned || f.active().Silent > 0 || f.PhaseAge >= f.D.FenceAck)
	}, func(_ *Facts, o *Outcome) { o.Attempt = true }, "revoking the lease of {agent}"},
	{"wait.stop", "fencing", "the active's agent was asked to stop it", func(*Facts) bool { return true }, nil, "waiting for {agent} to stop {active}"},

	// PROVED: the target's receiver is cut, the loss is checked, the promotion recorded (C5, C6).
	{"swap.not-delivered", "proved", "a swap whose target lacks something", func(f *Facts) bool { return swapping(f) && f.notDelivered() != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.notDelivered() + ": " + f.Record.Active.String() + " goes on"
			abort(f, o)
		}, ""},
	{"swap.gap-too-long", "proved", "a swap that took too long (C7)", func(f *Facts) bool { return swapping(f) && f.GapAge >= f.gapLimit() }, abort,
		"it took too long: {active} goes on"},
	{"abort.loss", "proved", "more would be lost than the budget allows", func(f *Facts) bool { return f.cutLoss() != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.cutLoss() + ": " + f.Record.Active.String() + " goes on"
			abort(f, o)
		}, ""},
	{rulePromote, "proved", "the target's position stands still and is within budget", func(f *Facts) bool { return f.cutDone() }, promote, "{active} is appointed at epoch {epoch}"},
	{"abort.target-lost", "proved", "the target is lost before its promotion was recorded (C7)", func(f *Facts) bool { return f.targetLost() || f.cutRefused() != "" || f.PhaseAge >= f.D.Attempt }, abort,
		"{target} was lost before its promotion was recorded: {active} goes on"},
	{"wait.cut", "proved", "the target has not answered yet", func(*Facts) bool { return true }, nil, "waiting for {target} to let its position stand still"},

	// After the promotion was recorded: the target is active, whatever it answers (C6).
	{ruleServing, "active", "the new active acknowledges writes", func(f *Facts) bool {
		return f.Record.Running() && f.active().Reported && f.active().Report.Serving >= f.Record.Epoch
	}, done,
		"{active} serves at epoch {epoch}"},

	// A drill goes back by itself.
	{"drill.failed", "active", "a half of a drill ended otherwise than done, something else moved the group, or it takes too long", func(f *Facts) bool { return f.drillBroken() != "" },
		func(f *Facts, o *Outcome) {
			o.Why = "drill of " + f.Config.Group + " FAILED: " + f.drillBroken()
			failDrill(f.drillBroken(), f, o)
		}, ""},
	{"drill.passed", "active", "a drill is back, serves and is protected", func(f *Facts) bool { return f.drilled(2) }, passDrill, ""},
	{"drill.back", "active", "a drill is there, serves and is protected, and every gate back is passed", func(f *Facts) bool {
		return f.drilled(1) && f.cause() == causeNone && f.notBack() == ""
	}, drillBack, "the first half of the drill is done: it goes back to where it began"},
	{"wait.drill", "active", "a drill waits to go back, or to be protected", func(f *Facts) bool {
		return f.Record.Drill.Running() && !f.Record.Running() && f.cause() == causeNone
	}, func(f *Facts, o *Outcome) {
		o.Why = "drill " + f.Record.Drill.ID + " waits"
		if why := f.notBack(); why != "" {
			o.Why += ": " + why
		}
	}, ""},

	// The failback that waited for its restore.
	{"failback.next", "active", "its home was restored for a failback, and every gate is passed", func(f *Facts) bool {
		return f.Record.Next != nil && f.cause() == causeNone && f.notReady(f.Record.Next.To) == ""
	}, nextSwap, "its home is restored: it goes home now"},
	{"failback.given-up", "active", "its home was restored for a failback, but the gates are not passed in time", func(f *Facts) bool { return f.Record.Next != nil && f.nextTooLate() }, dropNext, ""},
	{"wait.failback", "active", "its home was restored for a failback", func(f *Facts) bool { return f.Record.Next != nil && f.cause() == causeNone },
		func(f *Facts, o *Outcome) {
			o.Why = "its home is restored; the swap waits: " + f.notReady(f.Record.Next.To)
		}, ""},

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
	{"wait.cluster-unconfirmed", "active", "its server is down, not long enough", func(f *Facts) bool { return f.cause() == causeDownUnconfirmed }, sayUnconfirmed,
		"{active} does not serve for {down} ({server}); its agent tries to restart it"},
	{"wait.permit", "active", "automation may not move it", func(f *Facts) bool { return !f.Permit.OK }, func(f *Facts, o *Outcome) { o.Rule = f.Permit.Rule }, "{permit}"},
	{"wait.sync-set", "active", "in sync, whoever is fit to be promoted may lack acknowledged writes", func(f *Facts) bool { return f.onlyOutside(events.Ref{}) != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.onlyOutside(events.Ref{}) + ": `switchback failover " + f.Config.Group + " --accept-loss` moves it all the same, and loses what it lacks"
		}, ""},
	{"wait.no-candidate", "active", "nothing is fit to be promoted", func(f *Facts) bool { return f.none(events.Ref{}) != "" },
		func(f *Facts, o *Outcome) {
			o.Why = fmt.Sprintf("nothing to promote: %s; it is moved by itself as soon as one is fit: `switchback group %s` shows each of its clusters", f.none(events.Ref{}), f.Config.Group)
		}, ""},
	{"wait.loss-budget", "active", "more would be lost than the budget allows, or nobody knows how much", func(f *Facts) bool { return f.overBudget(events.Ref{}) != "" },
		func(f *Facts, o *Outcome) {
			o.Why = f.overBudget(events.Ref{}) + ": `switchback failover " + f.Config.Group + " --accept-loss` moves it all the same"
		}, ""},
	{RuleTurn, "active", "its region is out, and others go first", func(f *Facts) bool { return f.cause() == causeRegionOut && f.Turn != "" }, nil, "waits for its turn: {turn}"},
	{"failover.region-out", "active", "its region is out", func(f *Facts) bool { return f.cause() == causeRegionOut }, failover, "{region}"},
	{"failover.cluster-down", "active", "its server is proved down, its agent alive", func(f *Facts) bool { return f.cause() == causeDown }, failover,
		"{from} does not serve for {down} ({server}) although its agent restarted it"},
	{"failover.agent-silent", "active", "its agent is silent and unsighted while its region is not out", func(*Facts) bool { return true }, failover,
		"agent {agent} is silent and nobody sees it or {from}"},
}

// RuleTurn is the row of a group that may move and waits for others.
const RuleTurn = "wait.turn"

// moving are the verbs that move a group or work on its clusters; the others switch something.
var moving = map[string]bool{
	events.AskFailover: true, events.AskRestore: true, events.AskRebuild: true, events.AskSwitchover: true, events.AskFailback: true, events.AskDrill: true, events.AskRestart: true,
	events.AskProtect: true, events.AskRelease: true,
}

func swapAsked(f *Facts) bool {
	return asks(events.AskSwitchover)(f) || asks(events.AskFailback)(f) || asks(events.AskDrill)(f)
}

// knownAs lists the operations an ask with this id began before.
func (f *Facts) knownAs() []string {
	if f.Ask.ID == "" {
		return nil
	}
	var ids []string
	for _, op := range f.Record.Operations() {
		if op.Ask == f.Ask.ID {
			ids = append(ids, op.ID)
		}
	}
	return ids
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
