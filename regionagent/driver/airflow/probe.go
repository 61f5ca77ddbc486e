package airflow

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/regionagent/driver/exec"
	"github.com/switchback-dr/switchback/regionagent/freezer"
)

// settled is how long the database has to accept writes before a heartbeat that is missing is the scheduler's fault.
const settled = 5 * time.Second

// Ask implements exec.Body: what runs, by its processes; whether it is well, by the heartbeats of its jobs. The status code of its API says nothing, and is not asked.
func (b *body) Ask(context.Context) (exec.Answer, error) {
	b.once.Do(func() {
		go b.db.watch(b.life)
		go b.heat(b.life)
	})
	p, err := freezer.Find(b.run.tree())
	if err != nil {
		return exec.Answer{}, err
	}
	standby, parts, ended, err := b.run.found(p)
	if err != nil {
		return exec.Answer{}, err
	}
	a := exec.Answer{Alike: b.set.now(&b.cfg)}
	if why := b.db.waits(); why != "" {
		a.Waits = "waits for its database: " + why
	}
	cold := b.run.cold()
	switch {
	case standby:
		ready := true
		why := b.cfg.whole()
		if why == "" {
			why = cold
		}
		if why != "" {
			ready = false
			a.Why = "not ready to take over: " + why
		}
		a.State, a.Ready = "standby", &ready
		return a, nil
	case len(p.All) == 0:
		a.State, a.Why = "down", a.Waits
		return a, nil
	}
	last, err := b.last()
	if err != nil {
		return exec.Answer{}, err
	}
	lacks, mute := b.ill(parts, last.Job)
	serves := a.Waits == "" && !serious(lacks) && !serious(mute)
	if why := b.dead(parts, last); why != "" && len(lacks) == 0 {
		lacks = mute[:1] // its process is there, but it is not well: it is begun anew with all that hangs on it
	}
	a.State, a.Serves, a.Lacks = "active", &serves, lacks.String()
	switch {
	case a.Waits != "":
		a.Why = a.Waits
	case a.Lacks != "":
		a.Why = strings.Trim(a.Lacks+"; "+ended, "; ")
	default:
		a.Why = mute.String()
	}
	if cold != "" {
		a.Alarm = cold
	}
	return a, nil
}

// illness is what of an active does not run, or is not well.
type illness []ill

type ill struct{ part, why string }

// serious reports whether it can't do its work by it: without a scheduler, or with nobody who reads DAGs.
func serious(l illness) bool {
	for _, x := range l {
		if j := job(x.part); j == parts[0].job || j == parts[1].job && x.why == noProcess {
			return true
		}
	}
	return false
}

func (l illness) String() string {
	var all []string
	for _, x := range l {
		all = append(all, x.part+" "+x.why)
	}
	return strings.Join(all, ", ")
}

const (
	noProcess = "does not run"
	notYet    = "has not beaten yet"
)

// ill looks at every part: its process, and its heartbeat where it has one. The scheduler's comes first.
func (b *body) ill(runs map[string]bool, after int) (lacks, mute illness) {
	for _, part := range b.cfg.run() {
		kind := job(part)
		if !runs[part] {
			lacks = append(lacks, ill{part, noProcess})
			continue
		}
		if why := b.mute(kind, after); kind != "" && why != "" {
			if mute = append(mute, ill{part, why}); kind == parts[0].job {
				mute[0], mute[len(mute)-1] = mute[len(mute)-1], mute[0]
			}
		}
	}
	return lacks, mute
}

// mute says that no job of a kind has beaten for too long; empty = one has, or it may yet.
func (b *body) mute(kind string, after int) string {
	switch silent, there := b.db.silent(kind, after); {
	case !there:
		return notYet
	case silent > b.cfg.Stale:
		return fmt.Sprintf("has not beaten for %v", silent.Round(time.Second))
	}
	return ""
}

// slowStart is how long a scheduler may take until its first heartbeat.
const slowStart = 2 * time.Minute

// dead says why a scheduler is to be begun anew, with all that hangs on it; empty = it is not. One whose process is there has some time for its first heartbeat, and for the next one after
// its database was away.
func (b *body) dead(runs map[string]bool, last launched) string {
	for _, part := range b.cfg.run() {
		if job(part) != parts[0].job {
			continue
		}
		if !runs[part] {
			return part + " " + noProcess
		}
		why := b.mute(parts[0].job, last.Job)
		if age := time.Since(last.At); why == notYet && age >= 0 && age < slowStart || b.db.back() <= settled {
			why = ""
		}
		if why != "" {
			return part + " " + why
		}
	}
	return ""
}
