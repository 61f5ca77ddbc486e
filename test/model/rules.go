package model

import (
	"reflect"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// ruleKind says how a field is kept in a state.
type ruleKind uint8

const (
	ruleWhole   ruleKind = iota // as it is
	ruleSkip                    // not at all: it changes nothing but what people read
	ruleNumber                  // a counter: only its order counts
	ruleAttempt                 // the id of an attempt
	ruleLane                    // the number of an acceptor: all are alike
	ruleDue                     // a deadline: how long it is over does not matter
	ruleFlag                    // whether it is zero
	ruleAge                     // when something was: older than age does not matter
)

type rule struct {
	kind ruleKind
	age  func(*events.Durations) time.Duration
	keep func(d *events.Durations, parent, elem reflect.Value) bool // of a slice: the elements that still matter
}

func aged(f func(*events.Durations) time.Duration) rule { return rule{kind: ruleAge, age: f} }

// waiting is how long an order of a group in sync is looked at.
var waiting = aged(func(d *events.Durations) time.Duration { return min(roundUp(d.SyncWait), oldest(d)) })

// known means that all that counts is whether it ever was.
var known = aged(func(*events.Durations) time.Duration { return 0 })

// wait and silence are how long the two ages that rules ask for are looked at.
var (
	wait    = aged(func(d *events.Durations) time.Duration { return d.Wait })
	silence = aged(func(d *events.Durations) time.Duration { return max(d.Silent(), d.FenceAck) })
	beat    = aged(func(d *events.Durations) time.Duration { return roundUp(d.Beat) })
	retried = aged(func(d *events.Durations) time.Duration { return roundUp(d.BeatDeadline() + d.Beat) })
)

func roundUp(d time.Duration) time.Duration { return (d + Tick - 1) / Tick * Tick }

// oldest is the age beyond which no duration of a configuration looks.
func oldest(d *events.Durations) time.Duration {
	most := d.Wait + d.HoldResume
	if d.KillAfter < far {
		most = max(most, d.KillAfter)
	}
	return roundUp(most) + Tick
}

var (
	skip    = rule{kind: ruleSkip}
	number  = rule{kind: ruleNumber}
	attempt = rule{kind: ruleAttempt}
	laneNo  = rule{kind: ruleLane}
	due     = rule{kind: ruleDue}
	flag    = rule{kind: ruleFlag}
)

// rules are the fields that are not kept as they are. A field that is not named here is kept whole: a new one can make the search longer, never wrong.
var rules = map[string]map[string]rule{
	"lease.Agent":    {"asked": beat, "started": wait, "looked": skip},
	"lease.lane":     {"no": number, "lease": due, "readAt": skip, "beatAt": beat, "ackAt": silence, "sent": {keep: stillSent}},
	"lease.sentBeat": {"no": number},
	"lease.cluster": {
		"wait": skip, "retryAt": due, "stepAt": due, "handed": due, "held": due, "promise": due, "failures": skip,
	},
	"lease.grant":   {"until": due},
	"lease.Entry":   {"Results": {keep: stillAsked}},
	"lease.Beat":    {"Lane": laneNo},
	"lease.Action":  {"Rule": skip},
	"lease.Left":    {"Left": skip},
	"lease.Guarded": {"Deadline": due},
	"lease.Guard":   {"answered": beat},

	"events.Report":    {"No": skip, "Results": {keep: stillAsked}},
	"events.Result":    {"Took": skip},
	"events.LaneBody":  {"No": number, "Attempt": attempt, "Active": skip},
	"events.Operation": {"Why": skip, "EndWhy": skip, "Rule": skip, "Phases": skip, "Loss": skip, "Ask": skip, "Began": skip, "Serving": flag, "Protected": flag, "Lost": skip},
	"events.Proof":     {"Lanes": skip, "Waited": skip, "Needed": skip, "Said": skip},
	"events.Record":    {"Since": skip},
	"events.Candidate": {"Cert": skip},
	"time.Time":        {"wall": skip, "ext": skip, "loc": skip},

	"fleet.Fleet": {
		"attempts": number, "judgedAt": skip, "looks": skip, "moved": skip, "blind": skip, "started": silence, "lanesSeq": skip, "autoSeq": skip, "gathered": skip,
	},
	"fleet.region": {"judged": skip, "since": skip, "outAt": skip, "lookAt": skip, "lookers": skip},
	"fleet.agent":  {"beatAt": silence, "right": skip, "sights": skip, "metAt": known, "saidAt": skip},
	"fleet.group": {
		"rule": skip, "why": skip, "stable": skip, "words": skip, "revision": skip, "opSince": known, "ordered": waiting, "gap": known, "since": silence, "answers": skip, "ask": skip, "members": skip,
	},
	"fleet.told":       {"at": known},
	"fleet.cluster":    {"healthAt": known, "goodAt": skip, "streamAt": skip, "listedAt": wait},
	"fleet.laneKnown":  {"received": wait, "reading": retried, "pendAt": beat},
	"fleet.attempt":    {"id": attempt, "started": aged(func(d *events.Durations) time.Duration { return roundUp(d.Wait + d.HoldResume) })},
	"fleet.revoke":     {"received": wait, "at": wait, "triedAt": retried, "rev": skip, "replaced": skip},
	"fleet.resumed":    {"at": aged(func(d *events.Durations) time.Duration { return roundUp(d.Silent() + d.Beat) })},
	"fleet.LaneKey":    {"Lane": laneNo},
	"fleet.Revocation": {"Attempt": attempt},
	"fleet.Record":     {"Revision": skip},
	"model.register":   {"Lane": laneNo},
	"model.reading":    {"Lane": laneNo},
}

func ruleOf(t reflect.Type, name string) rule {
	return rules[typeName(t)][name]
}

// stillSent keeps the publishes that can still extend a lease, and the one in flight.
func stillSent(d *events.Durations, lane, s reflect.Value) bool {
	at := events.Instant(s.FieldByName("at").Int())
	return at.Add(d.Run) > epochNow || lane.FieldByName("flight").Bool() && s.FieldByName("no").Uint() == lane.FieldByName("no").Uint()
}

// stillAsked keeps the results of steps at the epoch seen: nobody asks for older ones.
func stillAsked(_ *events.Durations, parent, result reflect.Value) bool {
	parts := strings.Split(result.FieldByName("Step").String(), "/")
	if len(parts) < 2 {
		return true
	}
	n := uint64(0)
	for _, c := range parts[1] {
		n = n*10 + uint64(c-'0')
	}
	return n >= parent.FieldByName("Seen").Uint()
}
