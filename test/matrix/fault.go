package matrix

import "time"

// Fault is one row of the matrix: what happens, for how long, and what is expected of every group.
type Fault struct {
	Name  string
	Do    []Act         // at once, in this order; undone in the opposite one
	Hold  time.Duration // how long it lasts; 0 = until what is expected has happened
	Early bool          // it strikes before anybody asks for the move of a plane that is being moved
	Then  []Act         // once every group that is to move has moved, before the rest is undone
	Move  *Move         // every group is being moved when it strikes; nil = nobody asked for anything
	At    Step          // of that move; the zero one = before it
	Need  Need          // of the stage
	Want  Want          // of every plane
	Plan  *Want         // of a group whose switchover has just begun; nil = it may go either way, within planLimit

	Paused bool // the whole host stands still and goes on: the design lets its sessions answer late in async, and wants every such write reported
	Terms  int  // more changes of leader than this break a limit; 0 = any number
	Short  bool // in every `make test`
}

// Want is what is expected of a group.
type Want struct {
	End   End
	Pause time.Duration // longest time without an acknowledged write by anybody; 0 = Hold and thawLimit
	Hold  string        // the verb a person has to ask before it is whole again; empty = everything is automatic
	Heard string        // what some event must say; empty = nothing in particular
}

// End is where a group is active in the end.
type End string

// The ends.
const (
	Moved  End = "moved"  // elsewhere
	Stayed End = "stayed" // where it was, all the time
	Either End = "either"
)

// Need is what a fault wants of the stage it is played on.
type Need struct {
	Disks  bool // file systems that can be filled
	Kernel bool // set by the plan, for the planes that want it
}

// The limits. A machine with two busy cores is slower than a fleet's.
const (
	planLimit   = 45 * time.Second // a switchover that is struck is over or given up after 30 s, and the active writes again
	moveLimit   = 20 * time.Second // out after 2 s, L 2 s, promotion
	downLimit   = 30 * time.Second // a server must be proved down for 10 s first
	hiccup      = 3 * time.Second  // nobody's right lapses for longer than F and a beat
	thawLimit   = 5 * time.Second  // from the end of a fault until frozen sessions go on
	syncLimit   = 6 * time.Second  // a passive that is lost leaves the sync set, in degrade
	haltLimit   = time.Second      // from the order to stand still until everything does
	rejoinLimit = 60 * time.Second // from the end of a fault until the group is whole
)

// The kinds of act.
const (
	KillRegion  Verb = "kill region"
	Isolate     Verb = "isolate"
	Cut         Verb = "cut"
	Pause       Verb = "pause"
	HaltServers Verb = "halt servers"
	HaltMasters Verb = "halt postmasters"
	HaltWAL     Verb = "halt WAL receivers"
	HaltHost    Verb = "halt host"
	Kill        Verb = "kill"
	Loop        Verb = "crash loop"
	StopBus     Verb = "stop bus"
	RollBus     Verb = "roll bus"
	FillDisks   Verb = "fill disks"
	SlowArchive Verb = "slow archive"
	Boot        Verb = "boot"
	AskAbort    Verb = "ask abort"
)

// Verb is a kind of act; what it does stands in verbs.
type Verb string

// Act is one thing done to the fleet.
type Act struct {
	Verb  Verb
	Where string        // a region, or Leader
	To    string        // of a cut
	What  What          // of our processes
	For   time.Duration // it ends by itself after so long; 0 = with the fault
}
