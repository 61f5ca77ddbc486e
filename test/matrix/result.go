package matrix

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Result is what one cell came to.
type Result struct {
	Fault   string          `json:"fault"`
	Plane   string          `json:"plane"`
	End     End             `json:"end"`             // moved or stayed
	By      string          `json:"by,omitempty"`    // the row that decided the last move, if there was one
	Ended   string          `json:"ended,omitempty"` // and how it ended
	Dual    events.Duration `json:"dual"`            // how long two servers acknowledged writes
	Late    int             `json:"late"`            // answers of the one that should have been silent
	LateTCP int             `json:"late_tcp"`        // of these, over TCP
	Probed  events.Duration `json:"probed"`          // how long two servers said that they were writable
	Outside int             `json:"lost_outside"`    // acknowledged writes that are gone: of the writer outside
	Inside  int             `json:"lost_inside"`     // of those beside the servers
	After   int             `json:"lost_after"`      // of all these, sent after the fault struck
	Home    int             `json:"lost_home"`       // on the way home afterwards, a planned move
	Again   int             `json:"home_again"`      // how often it was asked to go home again
	Told    string          `json:"told"`            // whether the reports say what was lost: "-" nothing was, yes, no
	Pause   events.Duration `json:"pause"`           // longest time without an acknowledged write by anybody
	RTO     events.Duration `json:"rto"`             // from the fault to the first acknowledged write elsewhere; -1 = none
	Rejoin  events.Duration `json:"rejoin"`          // from the end of the fault until one is active and the other a healthy passive
	Person  string          `json:"person,omitempty"`
	Terms   int             `json:"terms"` // changes of leader
	Bad     []string        `json:"bad,omitempty"`
}

func (r *Result) bad(format string, args ...any) {
	r.Bad = append(r.Bad, fmt.Sprintf(format, args...))
}

// columns are those of the table, with their widths; a negative one is aligned to the left.
var columns = []struct {
	title string
	width int
	text  func(*Result) string
}{
	{"fault", -46, func(r *Result) string { return r.Fault }},
	{"plane", -8, func(r *Result) string { return r.Plane }},
	{"end", -6, func(r *Result) string { return string(r.End) }},
	{"dual ms", 8, func(r *Result) string { return fmt.Sprint(r.Dual.D().Milliseconds()) }},
	{"late/TCP", 8, func(r *Result) string { return fmt.Sprintf("%d/%d", r.Late, r.LateTCP) }},
	{"probed", 6, func(r *Result) string { return fmt.Sprint(r.Probed.D().Milliseconds()) }},
	{"lost out/in", 11, func(r *Result) string { return fmt.Sprintf("%d/%d", r.Outside, r.Inside) }},
	{"cut", 4, func(r *Result) string { return fmt.Sprint(r.After) }},
	{"told", -4, func(r *Result) string { return r.Told }},
	{"pause", 7, func(r *Result) string { return seconds(r.Pause) }},
	{"RTO", 7, func(r *Result) string { return seconds(r.RTO) }},
	{"rejoin", 7, func(r *Result) string { return seconds(r.Rejoin) }},
	{"waits for", -9, func(r *Result) string { return r.Person }},
	{"", -4, func(r *Result) string {
		if len(r.Bad) > 0 {
			return "FAIL"
		}
		return "ok"
	}},
}

func seconds(d events.Duration) string {
	if d < 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.D().Seconds())
}

func line(text func(i int) string) string {
	var b strings.Builder
	for i, c := range columns {
		fmt.Fprintf(&b, "%*s  ", c.width, text(i))
	}
	return strings.TrimRight(b.String(), " ")
}

// Header is the first line of the table.
func Header() string { return line(func(i int) string { return columns[i].title }) }

// String is the line of one cell, with what is bad about it below.
func (r *Result) String() string {
	s := line(func(i int) string { return columns[i].text(r) })
	for _, b := range r.Bad {
		s += "\n    BAD: " + b
	}
	return s
}

// Report is everything a run came to, as `-json` writes it.
type Report struct {
	Began   time.Time `json:"began"`
	Took    string    `json:"took"`
	Results []Result  `json:"results"`
	Broken  []string  `json:"broken,omitempty"` // faults that could not be played to their end
	Skipped []Skip    `json:"skipped,omitempty"`
}

// Failed counts the cells that broke a limit, and the faults that could not be played.
func (r *Report) Failed() (n int) {
	for i := range r.Results {
		if len(r.Results[i].Bad) > 0 {
			n++
		}
	}
	return n + len(r.Broken)
}

// Write writes it as JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Closing is the last lines of a run: what was left out, what can't be played here, and the sum.
func (r *Report) Closing() string {
	var b strings.Builder
	why := map[string]int{}
	var order []string
	for _, s := range r.Skipped {
		if why[s.Why]++; why[s.Why] == 1 {
			order = append(order, s.Why)
		}
	}
	for _, w := range order {
		fmt.Fprintf(&b, "left out: %d cells: %s\n", why[w], w)
	}
	b.WriteString("NOT PLAYED HERE:")
	for _, l := range Impossible {
		fmt.Fprintf(&b, " %s (%s).", strings.ToUpper(l.Pattern), l.Why)
	}
	b.WriteString("\n" + r.kernelLease())
	fmt.Fprintf(&b, "%d cells, %d failed, in %s", len(r.Results), r.Failed(), r.Took)
	return b.String()
}

// kernelLease says what answered late although the kernel lease was in force, with its line's end; empty where none was. It cuts TCP, and no local socket.
func (r *Report) kernelLease() string {
	var cells, with, tcp, local, untold int
	for i := range r.Results {
		x := &r.Results[i]
		if !slices.ContainsFunc(Planes, func(p Plane) bool { return p.Name == x.Plane && p.Kernel }) {
			continue
		}
		cells, tcp, local = cells+1, tcp+x.LateTCP, local+x.Late-x.LateTCP
		if x.Late > x.LateTCP {
			with++
		}
		if x.Told == "no" {
			untold++
		}
	}
	if cells == 0 {
		return ""
	}
	return fmt.Sprintf("WITH THE KERNEL LEASE, in %d cells: %d late answers over TCP, which it cuts; %d over local sockets, which it does not, in %d cells; lost writes that no report lists: in %d cells\n",
		cells, tcp, local, with, untold)
}
