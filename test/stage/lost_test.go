package stage

import (
	"slices"
	"strings"
	"testing"

	"github.com/switchback-dr/switchback/events"
)

// TestCompareLost goes through every way in which a list of lost commits can be wrong.
func TestCompareLost(t *testing.T) {
	t.Parallel()
	g := Groups(1)[0]
	old, young := g.Primary(), g.Recovery()
	write := func(n int64, by events.Ref, acked Instant, xid uint64) Write {
		return Write{Group: g.Name, Writer: "w", N: n, Sent: Instant(n) * 10 * ms, Acked: acked * ms, Server: by, XID: xid}
	}
	log := []Write{
		write(1, old, 1, 91), // of an earlier move, lost then
		write(10, old, 101, 700), write(11, old, 111, 701), write(12, old, 121, 1<<32|702),
		write(13, old, 0, 703), write(14, old, 0, 0), // never answered; of one the number came
		write(15, young, 151, 702), // another server's transaction of that number
		{Group: "other", Writer: "w", N: 12, Sent: 120 * ms, Acked: 121 * ms, Server: old, XID: 704},
	}
	now := map[Row]bool{{"w", 10}: true, {"w", 15}: true}
	said := func(ids ...uint64) *events.LostLog {
		l := &events.LostLog{Commits: len(ids)}
		for _, id := range ids {
			l.List = append(l.List, events.LostCommit{XID: id})
		}
		return l
	}
	many := said(701, 702)
	many.Commits = 5
	unread := said(701, 702)
	unread.Unread = "a segment is gone"
	for _, x := range []struct {
		name string
		said *events.LostLog
		bad  string // empty = equal
	}{
		{"exactly", said(701, 702), ""},
		{"one in doubt was committed", said(701, 702, 703), ""},
		{"so was the other", said(701, 702, 703, 900), ""},
		{"one commit is nobody's", said(701, 702, 900, 901), "900, 901"},
		{"one is missing", said(701), "4294967998"},
		{"one is there", said(700, 701, 702), "700"},
		{"one is listed twice", said(701, 701, 702), "twice"},
		{"not all are listed", many, "5 commits"},
		{"not counted", nil, "nobody counted"},
		{"not exact", unread, "a segment is gone"},
	} {
		a := CompareLost(Story{Group: g.Name, Old: old, New: young, Begin: 50 * ms}, log, now, x.said)
		text := strings.Join(a.Bad, "; ")
		if a.Equal() != (x.bad == "") || !strings.Contains(text, x.bad) {
			t.Errorf("%s: %q, want %q", x.name, text, x.bad)
		}
		if len(a.Lost) != 2 || len(a.Doubt) != 2 {
			t.Errorf("%s: lost %v, in doubt %v", x.name, a.Lost, a.Doubt)
		}
	}
}

// TestCompareLostLongList has more lost than a report lists: the counts must still agree, and everything listed be lost.
func TestCompareLostLongList(t *testing.T) {
	t.Parallel()
	g := Groups(1)[0]
	story := Story{Group: g.Name, Old: g.Primary(), New: g.Recovery()}
	var log []Write
	said := &events.LostLog{}
	for i := range int64(events.LostListed + 7) {
		log = append(log, Write{Group: g.Name, Writer: "w", N: i, Sent: Instant(i + 1), Acked: Instant(i + 2), Server: g.Primary(), XID: uint64(500 + i)})
		said.Commits++
		if i < events.LostListed {
			said.List = append(said.List, events.LostCommit{XID: uint64(500 + i)})
		}
	}
	if a := CompareLost(story, log, nil, said); !a.Equal() {
		t.Error(a.Bad)
	}
	said.Commits--
	if a := CompareLost(story, log, nil, said); a.Equal() {
		t.Error("a count that is one short was not seen")
	}
	said.Commits++
	said.List = slices.Delete(said.List, 3, 4)
	if a := CompareLost(story, log, nil, said); a.Equal() {
		t.Error("a list that is one short was not seen")
	}
}
