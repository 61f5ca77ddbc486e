package console

import (
	"cmp"
	"context"
	"net/url"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/events"
)

// perPage is how many groups a page of the list has.
const perPage = 50

// listData is one page of the list of groups.
type listData struct {
	answers.Groups
	Q     answers.Query
	Shows []answers.Show
	Sorts []choice
	Kinds []events.Kind
	Last  int    // place of the last group shown, from 1
	Next  string // address of the next page; empty = this is the last
	Start string // and of the first; empty = this is it
}

type choice struct{ Name, Words string }

var sortChoices = []choice{
	{"name", "name"}, {"worst", "trouble first"}, {"lag", "lag, most first"}, {"moved", "moved last first"}, {"active", "active region"}, {"project", "project"}, {"drill", "drilled longest ago"},
}

func groupList(ctx context.Context, v *visit) (*page, error) {
	d, err := v.list(ctx, "", perPage)
	if err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Groups", at: "groups", parts: []part{{"groups-filter", "groups-filter", d}, {"groups", "groups", d}}}), nil
}

func drillList(ctx context.Context, v *visit) (*page, error) {
	d, err := v.list(ctx, "drill", perPage)
	if err != nil {
		return nil, err
	}
	return v.withPulse(ctx, &page{title: "Drills", at: "drills", parts: []part{{"drills-head", "drills-head", d}, {"drills", "drills", d}}}), nil
}

// list asks for the page of groups that an address names.
func (v *visit) list(ctx context.Context, sort string, limit int) (*listData, error) {
	f := v.r.URL.Query()
	d := &listData{Shows: answers.Shows, Sorts: sortChoices, Kinds: events.Kinds()}
	d.Q = answers.Query{Match: f.Get("match"), Show: f.Get("show"), Sort: cmp.Or(f.Get("sort"), sort), Kind: events.Kind(f.Get("kind")), Project: f.Get("project"), Region: f.Get("region"), After: f.Get("after")}
	q := map[string]any{"match": d.Q.Match, "show": d.Q.Show, "sort": d.Q.Sort, "kind": d.Q.Kind, "project": d.Q.Project, "region": d.Q.Region, "after": d.Q.After, "limit": limit}
	if err := v.query(ctx, "groups", q, &d.Groups); err != nil {
		return nil, err
	}
	d.Last = d.First + len(d.Groups.Groups)
	if d.More {
		d.Next = v.with("after", d.Groups.Groups[len(d.Groups.Groups)-1].Group)
	}
	if d.Q.After != "" {
		d.Start = v.with("after", "")
	}
	return d, nil
}

// with is the address of this page with one parameter changed; empty takes it out.
func (v *visit) with(key, value string) string {
	q := v.r.URL.Query()
	if value == "" {
		q.Del(key)
	} else {
		q.Set(key, value)
	}
	u := url.URL{Path: v.r.URL.Path, RawQuery: q.Encode()}
	return u.String()
}

// First1 is the place of the first group shown, from 1.
func (d *listData) First1() int { return min(d.First+1, d.Total) }

// Link is the address of the list narrowed to a sort of groups, from its first page.
func (d *listData) Link(show string) string {
	q := url.Values{}
	for k, x := range map[string]string{"match": d.Q.Match, "show": show, "sort": d.Q.Sort, "kind": string(d.Q.Kind), "project": d.Q.Project, "region": d.Q.Region} {
		if x != "" {
			q.Set(k, x)
		}
	}
	return Prefix + "groups?" + q.Encode()
}
