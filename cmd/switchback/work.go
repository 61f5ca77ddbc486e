package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
)

const (
	workEvery = time.Second / 2  // how often a restore that is followed is looked at
	rateOver  = 10 * time.Second // what its rate is the mean of
	idleLong  = 10 * time.Second // standing still for so long is worth a word
)

// meter turns what is seen of a restore into a rate and the time left. It counts by the agent's clock: health comes when it comes.
type meter struct{ seen []events.Work } // of one phase, over the last rateOver

// see notes the newest and reports whether a phase began.
func (m *meter) see(w events.Work) (begun bool) {
	n := len(m.seen)
	begun = n == 0 || m.seen[n-1].Phase != w.Phase
	if begun || w.Done < m.seen[n-1].Done {
		m.seen = nil
	}
	if n := len(m.seen); n == 0 || w.Took > m.seen[n-1].Took {
		m.seen = append(m.seen, w)
	}
	for len(m.seen) > 2 && w.Took-m.seen[1].Took >= rateOver {
		m.seen = m.seen[1:]
	}
	return begun
}

// text is the newest with its rate and the time left: rewind 820 MB of 1.2 GB, 68 %, 41 MB/s, about 9.2s left.
func (m *meter) text() string {
	w := m.seen[len(m.seen)-1]
	if w.Total == 0 || w.Idle >= idleLong {
		return words.Work(&w)
	}
	text := fmt.Sprintf("%s %s of %s, %d %%", words.Plain(w.Phase), words.Size(w.Done), words.Size(w.Total), words.Percent(&w))
	took := w.Took - m.seen[0].Took
	if got := w.Done - m.seen[0].Done; got > 0 && took > 0 {
		rate := float64(got) / took.Seconds()
		text += fmt.Sprintf(", %s/s", words.Size(int64(rate)))
		if left := w.Total - w.Done; left > 0 {
			text += fmt.Sprintf(", about %s left", words.Age(time.Duration(float64(left)/rate*float64(time.Second))))
		}
	}
	return text
}

// watch looks at a group as long as it is followed: every new phase of a restore of its is a line, and how far it got the last line of a terminal.
func (t *trip) watch(ctx context.Context, group string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		meters := map[events.Ref]*meter{}
		tick := time.NewTicker(workEvery)
		defer tick.Stop()
		for {
			short, cancel := context.WithTimeout(ctx, watchLimit)
			g, err := groupOf(short, t.c, group, "")
			cancel()
			if err == nil {
				t.seen(g, meters)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

func (t *trip) seen(g *fleet.GroupView, meters map[events.Ref]*meter) {
	var now []string
	for i := range g.Clusters {
		c := &g.Clusters[i]
		if c.Op == "" || c.Work == nil {
			delete(meters, c.Cluster)
			continue
		}
		m := meters[c.Cluster]
		if m == nil {
			m = &meter{}
			meters[c.Cluster] = m
		}
		if m.see(*c.Work) {
			t.line.print(func(p *page) {
				p.line("%6.1f s  %s  %s  %s: %s", t.a.now().Sub(t.began).Seconds(), g.Group, p.paint(string(events.StateRebuilding)), c.Cluster, words.Work(c.Work))
			})
		}
		now = append(now, m.text())
	}
	t.line.say(strings.Join(now, "; "))
}
