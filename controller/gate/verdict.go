// Package gate judges regions and says what automation may do: detection and permission, kept apart from decision (2-safety, Verdicts).
//
// Both are ordered tables of rows, first match wins; every judgement carries the row, the sentence operators see and the facts behind it.
//
// Pure: standard library only; no clock, I/O, goroutine, logging, randomness or map order.
package gate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// RegionFacts is the evidence on one region.
type RegionFacts struct {
	Region    string
	Agents    int           // known to hold clusters there
	Silent    int           // of them, without a beat for 2h
	SilentFor time.Duration // how long *every* agent of it has been silent; 0 if one is not
	Watched   time.Duration // how long this leader has watched (a new leader decides nothing about absence before a full horizon)
	Horizon   time.Duration // what a full horizon is
	Confirm   time.Duration // how long it must look out
	Blind     bool          // the controller itself is blind
	Lookers   []Looker      // other regions that looked since the silence began, sorted by region
	Others    int           // other regions that could look
	Troubles  []string      // clusters down, replication broken, lag over budget: in words
	Quiet     []Silence     // the silent agents, sorted
}

// Looker is one other region's last look.
type Looker struct {
	Region string
	Age    time.Duration
	Sees   []string // what it saw: "agent db17 (tls)"; empty = nothing
}

// Silence is one silent agent, and who looked at it since.
type Silence struct {
	Agent   string
	For     time.Duration
	Lookers []Looker
	Says    []string // its alarms, if it tells of itself although it does not beat
}

// shown bounds the agents and clusters that a judgement names; the rest is counted.
const shown = 5

// Judgement is the verdict on a region, with its reasons.
type Judgement struct {
	Verdict events.Verdict
	Rule    string
	Why     string

	evidence *RegionFacts // never changed
}

// Facts is the evidence behind the verdict, as people are shown it.
func (j *Judgement) Facts() []events.Fact {
	if j.evidence == nil {
		return nil
	}
	return j.evidence.facts()
}

type verdictRow struct {
	id   string
	when func(f *RegionFacts) bool
	is   events.Verdict
	why  string
}

// verdicts is the table, strongest evidence first.
var verdicts = [...]verdictRow{
	{"region.no-agents", func(f *RegionFacts) bool { return f.Agents == 0 }, events.VerdictHealthy, "no agents: nothing to judge"},
	{"region.all-beating", func(f *RegionFacts) bool { return f.Silent == 0 && len(f.Troubles) == 0 }, events.VerdictHealthy, "every agent beats"},
	{"region.troubled", func(f *RegionFacts) bool { return f.Silent == 0 }, events.VerdictDegraded, "every agent beats, but {troubles}"},
	{"region.part-silent", func(f *RegionFacts) bool { return f.Silent < f.Agents }, events.VerdictDegraded, "{silent} of {agents} agents are silent: {quiet}"},
	{"region.seen", func(f *RegionFacts) bool { return f.seen() }, events.VerdictSuspect, "no beat for {for}, but somebody still sees it: {sees}{says}"},
	{"region.blind", func(f *RegionFacts) bool { return f.Blind }, events.VerdictSuspect, "no beat for {for}, but the controller reaches fewer than half of the regions and can't judge"},
	{"region.not-watched", func(f *RegionFacts) bool { return f.Watched < f.Horizon }, events.VerdictSuspect, "no beat seen, but this leader has watched for {watched} of {horizon} only"},
	{"region.unconfirmed", func(f *RegionFacts) bool { return f.SilentFor < f.Confirm }, events.VerdictSuspect, "no beat for {for}, needs {confirm}"},
	{"region.unlooked", func(f *RegionFacts) bool { return len(f.Lookers) < min(2, f.Others) || f.Others == 0 }, events.VerdictSuspect,
		"no beat for {for}, but only {lookers} of the {need} other regions needed have looked"},
	{"region.out", func(f *RegionFacts) bool { return true }, events.VerdictOut, "silent {for}; {who} looked, nobody sees it"},
}

func (f *RegionFacts) seen() bool {
	for _, l := range f.Lookers {
		if len(l.Sees) > 0 {
			return true
		}
	}
	return false
}

// Judge finds the first row that matches.
func Judge(f RegionFacts) Judgement {
	for i := range verdicts {
		if r := &verdicts[i]; r.when(&f) {
			return Judgement{r.is, r.id, f.say(r.why), &f}
		}
	}
	return Judgement{Verdict: events.VerdictSuspect}
}

func (f *RegionFacts) say(s string) string {
	if !strings.Contains(s, "{") {
		return s
	}
	return FillBy(s, f.word)
}

// word is what stands for a name in a row's sentence; false = it is no name.
func (f *RegionFacts) word(name string) (string, bool) {
	switch name {
	case "for":
		return Round(f.SilentFor), true
	case "confirm":
		return Round(f.Confirm), true
	case "watched":
		return Round(f.Watched), true
	case "horizon":
		return Round(f.Horizon), true
	case "silent":
		return strconv.Itoa(f.Silent), true
	case "agents":
		return strconv.Itoa(f.Agents), true
	case "lookers":
		return strconv.Itoa(len(f.Lookers)), true
	case "need":
		return strconv.Itoa(min(2, max(1, f.Others))), true
	case "who":
		var who []string
		for _, l := range f.Lookers {
			who = append(who, l.Region)
		}
		return strings.Join(who, " and "), true
	case "sees":
		var sees []string
		for _, l := range f.Lookers {
			for _, x := range l.Sees {
				sees = append(sees, l.Region+" got an answer of "+x)
			}
		}
		return strings.Join(sees, ", "), true
	case "troubles":
		return first(f.Troubles), true
	case "quiet":
		return first(f.silences()), true
	case "says":
		says := ""
		for _, x := range f.Quiet[:min(len(f.Quiet), shown)] {
			says += x.says()
		}
		return says, true
	}
	return "", false
}

// silences names the silent agents, each with its age and who sees it.
func (f *RegionFacts) silences() (all []string) {
	for _, s := range f.Quiet {
		all = append(all, s.Agent+" for "+Round(s.For)+s.seen()+s.says())
	}
	return all
}

func (s Silence) seen() string {
	looked := ", nobody has looked yet"
	for _, l := range s.Lookers {
		if len(l.Sees) > 0 {
			return fmt.Sprintf(", %s got an answer of %s", l.Region, l.Sees[0])
		}
		looked = ", looked at and not seen"
	}
	return looked
}

func (s Silence) says() string {
	if len(s.Says) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s itself says: %s", s.Agent, strings.Join(s.Says, "; "))
}

// first joins what there is room for.
func first(all []string) string {
	if n := len(all) - shown; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), n)
	}
	return strings.Join(all, ", ")
}

func (f *RegionFacts) facts() []events.Fact {
	fs := []events.Fact{
		{What: "agents silent", Value: strconv.Itoa(f.Silent) + " of " + strconv.Itoa(f.Agents), Blocks: f.Silent > 0 && f.Silent < f.Agents},
		{What: "silent for", Value: Round(f.SilentFor) + " (needs " + Round(f.Confirm) + ")", Blocks: f.Silent > 0 && f.Silent == f.Agents && f.SilentFor < f.Confirm},
		{What: "watched by this leader for", Value: Round(f.Watched) + " (needs " + Round(f.Horizon) + ")", Blocks: f.Silent > 0 && f.Watched < f.Horizon},
	}
	for _, s := range f.Quiet[:min(len(f.Quiet), shown)] {
		fs = append(fs, events.Fact{What: "agent " + s.Agent, Value: "silent for " + Round(s.For) + s.seen() + s.says()})
	}
	for _, t := range f.Troubles[:min(len(f.Troubles), shown)] {
		fs = append(fs, events.Fact{What: "trouble", Value: t})
	}
	for _, l := range f.Lookers {
		v := "looked and saw nothing"
		if len(l.Sees) > 0 {
			v = "sees " + strings.Join(l.Sees, ", ")
		}
		fs = append(fs, events.Fact{What: l.Region, Value: v, Age: events.Duration(l.Age.Round(10 * time.Millisecond)), Blocks: len(l.Sees) > 0})
	}
	return fs
}

// Round writes a duration as people read it: 2.3 s, 12 ms, 3m15s.
func Round(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	default:
		return d.Round(time.Second).String()
	}
}

// Blind reports whether a controller that reaches so many regions of all is blind: fewer than half.
func Blind(reached, all int) bool { return 2*reached < all }
