package matrix

import (
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Move is a move on whose way something is struck.
type Move struct {
	Name  string
	Verb  string // asked for, of every group; empty = Cause makes it happen
	Cause []Act
	Hold  string // whom the old side waits for afterwards: the verb a person has to ask; empty = nobody
	Steps []Step
}

// Step is a row of the table of moves that a move passes, in their order.
type Step struct {
	Row   string
	Heard string        // the row whose event is waited for, if this one has none
	After time.Duration // then this much longer
	Verb  events.Verb   // the work an agent has in hand meanwhile, if any
	Late  bool          // the promotion is recorded: an abort is refused from here on
}

// Moves are all moves with all their steps.
var Moves = []Move{
	{Name: "failover", Verb: events.AskFailover, Hold: events.AskRestore, Steps: []Step{
		{Row: "failover.asked"}, {Row: "proof.ack", Verb: events.VerbCut}, {Row: "promote", Late: true}, {Row: "done.serving", Late: true},
	}},
	{Name: "switchover", Verb: events.AskSwitchover, Steps: []Step{
		{Row: "swap.asked", Verb: events.VerbCheckpoint}, {Row: "swap.intent", Verb: events.VerbStop}, {Row: "proof.ack", Verb: events.VerbCut},
		{Row: "promote", Verb: events.VerbRestore, Late: true}, {Row: "done.serving", Late: true},
	}},
	{Name: "region lost", Cause: []Act{{Verb: KillRegion, Where: Home}}, Steps: []Step{
		{Row: "failover.region-out"}, {Row: "fence.lease", Heard: "failover.region-out", After: 20 * time.Millisecond}, {Row: "proof.lease"}, {Row: "promote", Late: true}, {Row: "done.serving", Late: true},
	}},
}

// Unstruck says why no fault waits for a row of the tables. Patterns as of path.Match.
var Unstruck = []Left{
	{"birth*", "the group is not under care yet: nothing of it moves"},
	{"gone", "released: nothing of it moves"},
	{"rebirth*", "as a birth"},
	{"refuse.*", "nothing is recorded and nobody is told to do anything"},
	{"*.dry-run", "nothing is recorded"},
	{"*-dry-run", "nothing is recorded"},
	{"ask.*", "switches something in one record; the faults that abort at every step are ask.abort"},
	{"restore.*", "a restore is no step of a move: test/e2e strikes at its steps"},
	{"failback.*", "a restore, then the steps of a switchover: test/e2e strikes at them"},
	{"drill.*", "a switchover there and back: its steps are those of a switchover"},
	{"halt*", "agents and record contradict each other: automation stands still"},
	{"rebuild.*", "a person rebuilds a lost record: nothing is moved"},
	{"restart.*", "a planned restart moves nothing"},
	{"release.*", "a release moves nothing"},
	{"wait.*", "nothing is recorded: what it waits for is the step before it"},
	{"ok", "nothing is recorded"},
	{"swap.*", "an end of a switchover that other faults bring about, told in one batch"},
	{"abort.*", "an end of a move that other faults bring about, told in one batch"},
	{"switch.target", "needs a second recovery cluster: test/e2e has one"},
	{"proof.unfenced", "a person waives the fence and I1 with it"},
	{"failover.cluster-down", "begins the steps of a failover that was asked for"},
	{"failover.agent-silent", "begins the steps of a lost region"},
	{"*.external", "an external fence is a program of the site's, and a stage has none"},
	{"fence.cut", "the fence of a group in sync: it moves beside the others at the steps of a lost region"},
	{"proof.cut", "the proof of a group in sync: it moves beside the others at the steps of a lost region"},
	{"sync.*", "who has every acknowledged write is recorded in one batch; the next leader does it again"},
	{"drain.*", "only of a group of kind airflow: the matrix has databases; test/e2e drains a real one"},
	{"tasks.*", "only of a group of kind airflow: a ledger of tasks is opened after the move is done"},
	{"upkeep.*", "brings a list or a name up to date in one batch; the next leader does it again"},
}

// NoWork says which verbs of agents no step has in hand, and why.
var NoWork = []Left{
	{string(events.VerbFollow), "undoes a cut when a move is aborted: the faults that abort at every step"},
	{string(events.VerbFence), "an external fence is a program of the site's, and a stage has none"},
	{string(events.VerbRestart), "a planned restart moves nothing"},
	{string(events.VerbRelease), "a release moves nothing"},
	{string(events.VerbAccount), "only of a group of kind airflow: its move is done by then"},
	{string(events.VerbRetryTasks), "only of a group of kind airflow: it moves nothing"},
}

// Left is something left out, and why.
type Left struct{ Pattern, Why string }
