package config

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// Fleet is fleet.yaml: what the operators want.
type Fleet struct {
	Config events.FleetConfig
	Groups []events.GroupConfig // sorted by name
}

// What a group is unless its file says otherwise.
const (
	DefaultProject     = "default"
	DefaultPriority    = 100 // lower moves first, so a group that is given 10 goes before the rest
	maxPriority        = 1000
	maxRestores        = 10_000 // in one region: as good as no limit
	DefaultLossBytes   = 16 << 20
	DefaultLossSeconds = 10
)

// LoadFleet reads and checks a fleet file. The error is Problems, or says why the file can't be read.
func LoadFleet(path string) (*Fleet, error) { return load(path, ParseFleet) }

func load[T any](path string, parse func(string, []byte) (*T, error)) (*T, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parse(path, data)
}

// ParseFleet reads and checks the text of a fleet file; file is its name in errors.
func ParseFleet(file string, data []byte) (*Fleet, error) {
	var f fleet
	if err := read(file, data, f.read); err != nil {
		return nil, err
	}
	slices.SortFunc(f.out.Groups, func(a, b events.GroupConfig) int { return strings.Compare(a.Group, b.Group) })
	return &f.out, nil
}

// fleet is a file being read.
type fleet struct {
	out       Fleet
	def       events.GroupConfig
	notifiers []string
	depends   map[string][]dependency // by group
	used      map[events.Ref]string   // the group a cluster belongs to
}

func (f *fleet) read(o *object) {
	f.depends, f.used = map[string][]dependency{}, map[events.Ref]string{}
	word(o.get("version"), "1", "1")
	f.def = events.GroupConfig{
		Project: DefaultProject, Mode: events.ModeAuto, Isolation: events.IsolationFreeze, Priority: DefaultPriority, Restore: events.RestoreAuto,
		MaxLoss: events.LossBudget{Bytes: DefaultLossBytes, Seconds: DefaultLossSeconds},
	}
	f.out.Config = events.FleetConfig{Profile: events.Profiles()[0].Profile, MaxOut: 1}
	o.get("defaults").object(func(o *object) {
		f.out.Config.Profile = o.get("profile").profile()
		f.policy(o, &f.def)
		if f.def.MaxLoss.Unknown {
			o.get("replication").problem("max_loss: unknown is said of a group, not of all of them")
		}
	})
	o.get("notifiers").object(func(o *object) { o.each(f.notifier) })
	o.get("automation").object(f.automation)
	o.must("groups", "a map of groups by name").object(func(o *object) {
		o.each(f.group)
		f.checkDepends(o)
	})
}

// profile reads the name of a profile of durations.
func (v value) profile() string {
	var names []string
	for _, d := range events.Profiles() {
		names = append(names, d.Profile)
	}
	return word(v, names[0], names...)
}

func (f *fleet) automation(o *object) {
	c := &f.out.Config
	v := o.get("confirm")
	if confirm := v.duration(math.MinInt64, math.MinInt64, math.MaxInt64); confirm != math.MinInt64 {
		c.Confirm = events.Duration(confirm)
		if d, err := events.Profile(c.Profile); err == nil {
			d.Confirm = confirm
			for _, bad := range d.Check() {
				v.problem("%s", bad)
			}
		}
	}
	c.MaxOut = o.get("max_regions_out").integer(1, 1, 1000)
	c.MaxPerHour = o.get("max_groups_per_hour").integer(0, 0, math.MaxInt32)
	c.RestoresPerHost = o.get("restores_per_host").integer(0, 1, events.HostRestores)
	c.RestoresPerRegion = o.get("restores_per_region").integer(0, 1, maxRestores)
	o.get("approval").list(func(v value) {
		if s, ok := v.span(); ok {
			c.Approval = append(c.Approval, s)
		}
	})
	notify := o.get("notify")
	notify.list(func(v value) {
		if s, ok := v.text("the name of a notifier"); ok && !slices.Contains(f.notifiers, s) {
			v.problem("notifier %q is not in notifiers%s", s, meant(s, f.notifiers))
		}
	})
	notify.notYet("notify")
}

// span reads a class of priorities: 5, or 0-9.
func (v value) span() (s events.Span, ok bool) {
	text, ok := v.text("a priority or a range of them, as in 0-9")
	if !ok {
		return s, false
	}
	from, to, ranged := strings.Cut(text, "-")
	if !ranged {
		to = from
	}
	a, errA := strconv.Atoi(from)
	b, errB := strconv.Atoi(to)
	if errA != nil || errB != nil || a < 0 || b < a || b > maxPriority {
		v.problem("%q: want a priority from 0 to %d or a range of them, as in 0-9", text, maxPriority)
		return s, false
	}
	return events.Span{From: a, To: b}, true
}

// policy reads what both defaults and a group may say.
func (f *fleet) policy(o *object, g *events.GroupConfig) {
	g.Mode = word(o.get("mode"), g.Mode, events.ModeObserve, events.ModeManual, events.ModeAuto)
	g.Isolation = word(o.get("isolation"), g.Isolation, events.IsolationFreeze, events.IsolationKeepRunning)
	o.get("replication").object(func(o *object) { replication(o, g) })
	g.Restore = word(o.get("restore"), g.Restore, events.RestoreAuto, events.RestoreManual)
	o.get("failback").object(func(o *object) { failback(o, g) })
	g.Drill = o.get("drill").schedule(g.Drill)
	if v := o.get("hooks"); v.there() {
		v.object(func(o *object) { o.get("after_active").file("") })
		v.notYet("hooks")
	}
}

// seconds reads a plain number of seconds: more than 0, at most a day.
func (v value) seconds(def float64) float64 {
	s, ok := v.text("a number of seconds, like 10 or 0.5")
	if !ok {
		return def
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0 && n <= (24*time.Hour).Seconds()) {
		v.problem("%q: want a number of seconds, like 10 or 0.5, more than 0 and at most 86400", s)
		return def
	}
	return n
}

func (f *fleet) group(e entry) {
	g := f.def
	g.Group = e.key.name("group")
	before := len(e.value.r.problems)
	e.value.object(func(o *object) {
		if v := o.get("project"); v.there() {
			g.Project = v.name("project")
		}
		kind := o.must("kind", "postgres")
		g.Kind = word(kind, "", events.KindPostgres, events.KindAirflow, events.KindExec)
		f.clusters(o, &g)
		f.policy(o, &g)
		checkNoLog(o, &g)
		checkSync(o, &g)
		g.Priority = o.get("priority").integer(g.Priority, 0, maxPriority)
		o.get("depends_on").list(func(v value) {
			if on := v.name("group"); on != "" {
				g.DependsOn = append(g.DependsOn, on)
				f.depends[g.Group] = append(f.depends[g.Group], dependency{on, v})
			}
		})
		tasks(o, &g)
	})
	if len(e.value.r.problems) == before {
		f.out.Groups = append(f.out.Groups, g)
	}
}

// clusters reads a group's homes: two or more clusters, each in a region of its own and in no other group.
func (f *fleet) clusters(o *object, g *events.GroupConfig) {
	regions := map[string]events.Ref{}
	check := func(v value) (r events.Ref) {
		if r = v.ref(); r == (events.Ref{}) {
			return r
		}
		if other, there := regions[r.Region]; there {
			v.problem("%s is in the region of %s: want every cluster of a group in a region of its own", r, other)
		} else if group, there := f.used[r]; there {
			v.problem("%s belongs to group %s already: want it in one group", r, group)
		}
		regions[r.Region], f.used[r] = r, g.Group
		return r
	}
	g.Primary = check(o.must("primary", "region/cluster"))
	v := o.must("recovery", "a list of region/cluster, in order of preference")
	before := len(v.r.problems)
	v.list(func(v value) { g.Recovery = append(g.Recovery, check(v)) })
	if v.there() && len(g.Recovery) == 0 && len(v.r.problems) == before {
		v.problem("the list is empty: want at least one region/cluster")
	}
}
