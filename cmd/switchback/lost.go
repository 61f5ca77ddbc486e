package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/client"
)

// commits lists lost commits one by one, and says where the rest is.
func (p *page) commits(o *events.Operation, kept string) {
	l := o.Lost
	switch {
	case l == nil && o.Loss != nil && o.Loss.Exact && o.Loss.Bytes == 0:
		p.line("no commit was lost")
		return
	case l == nil:
		old := o.From
		if words.Restores(o) {
			old = o.To
		}
		p.line("no list of lost commits: they are counted when %s is restored", old)
		return
	case len(l.List) == 0 && l.Commits == 0 && l.Unread == "":
		p.line("no commit was lost")
		return
	}
	var rows [][]string
	for _, c := range l.List {
		rows = append(rows, []string{strconv.FormatUint(c.XID, 10), c.LSN.String(), c.At.In(p.now.Location()).Format(time.DateTime + ".000")})
	}
	p.table([]string{">XID", "LSN", "COMMITTED"}, rows)
	if len(l.List) < l.Commits {
		rest := "the rest was not kept"
		if kept != "" {
			rest = "all of them are listed in " + words.Plain(kept)
		}
		p.line("the first %d of %s: %s", len(l.List), words.Grouped(int64(l.Commits)), rest)
	}
}

// keptAt is where what an operation lost is kept, as host:directory; "" if nothing is.
func keptAt(ctx context.Context, c *client.Client, group string, o *events.Operation) string {
	if o.Lost == nil || o.Lost.Kept == "" {
		return ""
	}
	old := o.From
	if words.Restores(o) {
		old = o.To
	}
	if g, err := groupOf(ctx, c, group, ""); err == nil && g.Record != nil {
		if m := g.Record.Member(old); m != nil {
			return m.Agent.Agent + ":" + o.Lost.Kept
		}
	}
	return fmt.Sprintf("%s on the host of %s", o.Lost.Kept, old)
}

// keptAt is the same of an operation that was followed; who followed it to its end does not wait long for it.
func (t *trip) keptAt(ctx context.Context, group string, o *events.Operation) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchLimit)
	defer cancel()
	return keptAt(ctx, t.c, group, o)
}
