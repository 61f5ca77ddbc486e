package answers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/fleet"
	"github.com/switchback-dr/switchback/events"
)

// many is groups in order of name, of which every third is away from home and every fifth needs a person.
func many(n int) (all []fleet.GroupView) {
	west, central := events.Ref{Region: "eu-west-1", Cluster: "a"}, events.Ref{Region: "eu-central-1", Cluster: "b"}
	for i := range n {
		r := &events.Record{Active: west, Phase: events.PhaseActive, Op: &events.Operation{Ended: "done"}, Since: time.Unix(int64(i%7), 0)}
		if i%3 == 0 {
			r.Active = central
		}
		all = append(all, fleet.GroupView{
			Group: fmt.Sprintf("g%05d", i), Config: events.GroupConfig{Primary: west, Project: []string{"shop", "bank"}[i%2], Kind: events.KindPostgres, Mode: events.ModeAuto},
			Record: r, NeedsPerson: i%5 == 0, Protected: i%4 != 0,
			Clusters: []fleet.ClusterView{{Cluster: west}, {Cluster: central, Role: events.RolePassive, Lag: int64(i % 11)}},
		})
	}
	return all
}

// Every order pages through every group exactly once, whatever else is asked for.
func TestListPages(t *testing.T) {
	t.Parallel()
	all := many(1003)
	for _, sort := range []string{"", "name", "project", "active", "worst", "lag", "moved", "drill"} {
		for _, show := range append([]answers.Show{{}}, answers.Shows...) {
			q, seen, last := answers.Query{Sort: sort, Show: show.Name, Limit: 100}, map[string]bool{}, 0
			for {
				p, err := answers.List(all, q)
				if err != nil {
					t.Fatal(err)
				}
				if p.First != len(seen) || p.Counts[""] != len(all) {
					t.Fatalf("%q %q: a page begins at %d after %d, of %d", sort, show.Name, p.First, len(seen), p.Counts[""])
				}
				for _, g := range p.Groups {
					seen[g.Group], q.After = true, g.Group
				}
				last = p.Total
				if show.Name != "" && p.Total != p.Counts[show.Name] {
					t.Fatalf("%q %q: %d groups, counted %d", sort, show.Name, p.Total, p.Counts[show.Name])
				}
				if !p.More {
					break
				}
			}
			if len(seen) != last {
				t.Errorf("%q %q: paged through %d of %d", sort, show.Name, len(seen), last)
			}
		}
	}
}

// A page goes on although the group it begins after is gone, or is no longer one of those that are shown.
func TestListGoesOn(t *testing.T) {
	t.Parallel()
	all := many(20)
	first, err := answers.List(all, answers.Query{Show: "away", Limit: 3})
	if err != nil || first.Groups[2].Group != "g00006" {
		t.Fatalf("%+v, %v", first, err)
	}
	all[6].Record.Active = all[6].Config.Primary
	next, err := answers.List(all, answers.Query{Show: "away", Limit: 3, After: "g00006"})
	if err != nil || next.Groups[0].Group != "g00009" {
		t.Errorf("after one that came home: %+v, %v", next, err)
	}
	next, err = answers.List(append(all[:6:6], all[7:]...), answers.Query{Limit: 3, After: "g00006"})
	if err != nil || next.Groups[0].Group != "g00007" {
		t.Errorf("after one that is gone: %+v, %v", next, err)
	}
}

func TestListNarrows(t *testing.T) {
	t.Parallel()
	all := many(20)
	for name, c := range map[string]struct {
		q    answers.Query
		want int
	}{
		"by name": {answers.Query{Match: "0001"}, 11}, "by project": {answers.Query{Project: "bank"}, 10}, "by kind": {answers.Query{Kind: events.KindAirflow}, 0},
		"by region": {answers.Query{Region: "eu-central-1"}, 20}, "by another region": {answers.Query{Region: "mars"}, 0}, "who need a person": {answers.Query{Show: "needs"}, 4},
	} {
		p, err := answers.List(all, c.q)
		if err != nil || p.Total != c.want {
			t.Errorf("%s: %d, %v, want %d", name, p.Total, err, c.want)
		}
	}
	for _, q := range []answers.Query{{Sort: "colour"}, {Show: "blue"}} {
		if _, err := answers.List(all, q); err == nil {
			t.Errorf("%+v is not refused", q)
		}
	}
}

// A group is found by the name of a cluster, in whatever region that is.
func TestListNamed(t *testing.T) {
	t.Parallel()
	all := many(4)
	all[2].Clusters[1].Cluster.Cluster = "b2"
	for named, want := range map[string]int{"a": 4, "b": 3, "b2": 1, "nobody": 0} {
		p, err := answers.List(all, answers.Query{Named: []string{named, "eu-west-1"}})
		if err != nil || p.Total != want {
			t.Errorf("%s: %d groups, %v; want %d", named, p.Total, err, want)
		}
	}
}
