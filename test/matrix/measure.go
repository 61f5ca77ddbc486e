package matrix

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/test/stage"
)

// answer is one server's word that it is writable: an acknowledged write, or a probe's.
type answer struct {
	server     events.Ref
	sent, came stage.Instant
	tcp        bool
}

// acks are the acknowledged writes of a group that were sent since an instant, by send time.
func acks(log []stage.Write, group string, since stage.Instant) (all []answer) {
	for _, x := range log {
		if x.Group == group && x.Acked != 0 && x.Sent >= since {
			all = append(all, answer{x.Server, x.Sent, x.Acked, x.Writer == stage.OutsideWriter || strings.HasSuffix(x.Writer, stage.OverTCP)})
		}
	}
	return inOrder(all)
}

// heard are the answers to the probes of a group since an instant.
func heard(log []stage.Probe, group string, since stage.Instant) (all []answer) {
	for _, x := range log {
		if x.Group == group && x.Sent >= since {
			all = append(all, answer{x.Server, x.Sent, x.Answered, false})
		}
	}
	return inOrder(all)
}

func inOrder(all []answer) []answer {
	slices.SortStableFunc(all, func(a, b answer) int { return cmp.Compare(a.sent, b.sent) })
	return all
}

// twice says that two servers answered at once.
type twice struct {
	long time.Duration // from when the first answer of a new one was asked for to the last answer of another one
	late int           // answers of others after that
	tcp  int           // and of these, over TCP
	sent stage.Instant // when the newest of these was asked for
}

// overlap finds two servers that answered at once. Every promotion may bring a new one; a change of server beyond them is one that should have been silent. The order of all
// must be that of sending.
func overlap(all []answer, promotions int) (o twice) {
	if len(all) == 0 {
		return o
	}
	reigns, since := all[0].server, all[0].sent
	var before []answer // of the reigns before
	for _, x := range all {
		switch {
		case x.server == reigns:
		case promotions > 0:
			promotions--
			reigns, since = x.server, x.sent
			for _, y := range before {
				if y.server != reigns && y.came > since {
					o.add(y, since)
				}
			}
			before = nil
		default:
			o.add(x, since)
		}
		before = append(before, x)
	}
	return o
}

func (o *twice) add(x answer, since stage.Instant) {
	o.long, o.late = max(o.long, x.came.Sub(since)), o.late+1
	o.sent = max(o.sent, x.sent)
	if x.tcp {
		o.tcp++
	}
}

// both is what two stretches of time come to.
func (o twice) both(p twice) twice {
	return twice{max(o.long, p.long), o.late + p.late, o.tcp + p.tcp, max(o.sent, p.sent)}
}

// pause is the longest time without an answer within two instants.
func pause(all []answer, from, to stage.Instant) (longest time.Duration) {
	var came []stage.Instant
	for _, x := range all {
		came = append(came, x.came)
	}
	slices.Sort(came)
	last := from
	for _, at := range came {
		if at <= from {
			continue
		}
		longest = max(longest, min(at, to).Sub(last))
		if last = at; at >= to {
			return longest
		}
	}
	return max(longest, to.Sub(last))
}

// elsewhere is how long after an instant another server than the first one answered first; -1 = never.
func elsewhere(all []answer, first events.Ref, since stage.Instant) time.Duration {
	for _, x := range all {
		if x.server != first && x.sent >= since {
			return x.came.Sub(since)
		}
	}
	return -1
}

// missing are the acknowledged writes of a group since an instant that are not among the rows of its active.
func missing(log []stage.Write, group string, since stage.Instant, rows map[stage.Row]bool) (lost []stage.Write) {
	for _, x := range log {
		if x.Group == group && x.Acked != 0 && x.Sent >= since && !rows[stage.Row{Writer: x.Writer, N: x.N}] {
			lost = append(lost, x)
		}
	}
	return lost
}

// split counts lost writes by who sent them and when: outside and inside, before the fault and after it.
func split(lost []stage.Write, fault stage.Instant) (outside, inside, after int) {
	for _, x := range lost {
		if x.Writer == stage.OutsideWriter {
			outside++
		} else {
			inside++
		}
		if x.Sent >= fault {
			after++
		}
	}
	return outside, inside, after
}
