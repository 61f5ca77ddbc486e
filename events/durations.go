package events

import (
	"encoding/json"
	"fmt"
	"time"
)

// Duration is a time.Duration that is written as text ("1.5s") on the wire and in configuration.
type Duration time.Duration

// D returns the plain duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String renders it as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalJSON writes "1.5s".
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads "1.5s".
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("duration %s: want a quoted duration like \"1.5s\"", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("duration %q: want a number and a unit, like 250ms, 1.5s, 2m", s)
	}
	*d = Duration(v)
	return nil
}

// Durations is one profile of the system's durations (2-safety, Time). Profiles are fleet-wide.
type Durations struct {
	Profile string

	Beat   time.Duration // h: how often an agent beats, per lane
	Run    time.Duration // F: right to run, counted from when the acknowledged beat was sent
	Freeze time.Duration // S: worst time to freeze everything on a host; measured at start-up, larger = no lease
	Margin time.Duration // M: clock-rate and scheduling margin; also the largest tolerated jump between clocks
	Wait   time.Duration // L: what the controller waits from when it received the last beat; a promise lasts as long

	Confirm        time.Duration // how long a region must look out before automation acts
	ClusterConfirm time.Duration // how long a cluster must be proved down, its agent alive
	Flapping       time.Duration // observed stability before automation moves a group again
	TTL            time.Duration // controller leadership

	FenceAck   time.Duration // how long a planned fence may take before the attempt starts
	Promote    time.Duration // how long a promotion may take before it is an alarm
	Attempt    time.Duration // how long FENCING or PROVED may last before it is aborted
	SwitchGap  time.Duration // how long a switchover's gap may last before it is aborted
	Prepare    time.Duration // how long a switchover may wait for its checkpoint and, after a restore, for lag to be gone
	Restart    time.Duration // how long a planned restart may take: until then automation does not count the cluster as down
	SyncWait   time.Duration // how long commits of a group in sync may wait before whoever they wait for is replaced, or they go on alone
	Stalled    time.Duration // how long a restore may stand still before it is an alarm
	KillAfter  time.Duration // a frozen server nobody released is killed
	ReRead     time.Duration // how often an agent re-reads its own commands
	Probe      time.Duration // how often an agent probes each cluster
	FullHealth time.Duration // how often an agent sends a full health snapshot
	LaneReread time.Duration // how often an UNKNOWN lane is read until it is known
	HoldResume time.Duration // how long beyond L a RESUME waits for an agent under an attempt (C8)
}

// Profiles returns the durations of every profile, the default first.
func Profiles() []Durations {
	base := Durations{
		FenceAck: 2 * time.Second, Promote: 10 * time.Second, SwitchGap: 30 * time.Second, Prepare: 5 * time.Minute, Restart: 5 * time.Minute, Stalled: time.Minute, ReRead: 5 * time.Second,
		FullHealth: 15 * time.Second, LaneReread: 50 * time.Millisecond, HoldResume: time.Second,
	}
	safe, fast := base, base
	safe.Profile, safe.Beat, safe.Run, safe.Freeze, safe.Margin, safe.Wait = "safe", 500*time.Millisecond, 5*time.Second, 500*time.Millisecond, 500*time.Millisecond, 6*time.Second
	safe.Confirm, safe.ClusterConfirm, safe.Flapping, safe.TTL, safe.KillAfter = 10*time.Second, 20*time.Second, 15*time.Minute, 3*time.Second, 60*time.Second
	safe.Probe, safe.Attempt, safe.SyncWait = time.Second, 60*time.Second, 5*time.Second
	fast.Profile, fast.Beat, fast.Run, fast.Freeze, fast.Margin, fast.Wait = "fast", 250*time.Millisecond, 1500*time.Millisecond, 250*time.Millisecond, 250*time.Millisecond, 2*time.Second
	fast.Confirm, fast.ClusterConfirm, fast.Flapping, fast.TTL, fast.KillAfter = 2*time.Second, 10*time.Second, 5*time.Minute, time.Second, 30*time.Second
	fast.Probe, fast.Attempt, fast.SyncWait = 250*time.Millisecond, 30*time.Second, 2*time.Second
	return []Durations{safe, fast}
}

// Profile returns the durations of one profile; the empty name is the default.
func Profile(name string) (Durations, error) {
	all := Profiles()
	if name == "" {
		return all[0], nil
	}
	for _, d := range all {
		if d.Profile == name {
			return d, nil
		}
	}
	return Durations{}, fmt.Errorf("profile %q: want %s or %s", name, all[0].Profile, all[1].Profile)
}

// BeatDeadline is how long an agent waits for the answer to a beat: F/2, never h (facts/lanes.md, overload).
func (d Durations) BeatDeadline() time.Duration { return d.Run / 2 }

// Silent is how long a beat may be overdue before the bus counts as silent (G1).
func (d Durations) Silent() time.Duration { return 2 * d.Beat }

// Honoured is F+S+M: how long after it was sent a beat can at worst keep a server writable. It travels in every beat.
func (d Durations) Honoured() time.Duration { return d.Run + d.Freeze + d.Margin }

// Row is one line of the table of durations, as `doctor` prints it.
type Row struct {
	Symbol, Meaning string
	Get             func(*Durations) *time.Duration
	Min, Max        time.Duration // bounds, inclusive
}

// Table is every duration with its bounds; Check enforces it.
var Table = []Row{
	{"h", "beat", func(d *Durations) *time.Duration { return &d.Beat }, 50 * time.Millisecond, 5 * time.Second},
	{"F", "right to run, from when the acknowledged beat was sent", func(d *Durations) *time.Duration { return &d.Run }, 500 * time.Millisecond, time.Minute},
	{"S", "worst time to freeze everything on a host", func(d *Durations) *time.Duration { return &d.Freeze }, 50 * time.Millisecond, 10 * time.Second},
	{"M", "clock-rate and scheduling margin", func(d *Durations) *time.Duration { return &d.Margin }, 50 * time.Millisecond, 10 * time.Second},
	{"L", "wait from when the last beat was received", func(d *Durations) *time.Duration { return &d.Wait }, time.Second, 2 * time.Minute},
	{"confirm", "a region must look out this long before automation acts", func(d *Durations) *time.Duration { return &d.Confirm }, time.Second, time.Hour},
	{"cluster confirm", "a cluster must be proved down this long, its agent alive", func(d *Durations) *time.Duration { return &d.ClusterConfirm }, time.Second, time.Hour},
	{"flapping", "observed stability before automation moves a group again", func(d *Durations) *time.Duration { return &d.Flapping }, time.Second, 24 * time.Hour},
	{"TTL", "controller leadership", func(d *Durations) *time.Duration { return &d.TTL }, 500 * time.Millisecond, time.Minute},
	{"fence ack", "a planned fence's answer, then the attempt", func(d *Durations) *time.Duration { return &d.FenceAck }, 100 * time.Millisecond, time.Minute},
	{"promote", "a promotion, then an alarm", func(d *Durations) *time.Duration { return &d.Promote }, time.Second, 10 * time.Minute},
	{"attempt", "fencing without a proof, then abort", func(d *Durations) *time.Duration { return &d.Attempt }, 5 * time.Second, 10 * time.Minute},
	{"switchover gap", "a switchover's gap, then abort", func(d *Durations) *time.Duration { return &d.SwitchGap }, time.Second, 10 * time.Minute},
	{"prepare", "a switchover's checkpoint, then abort", func(d *Durations) *time.Duration { return &d.Prepare }, 10 * time.Second, time.Hour},
	{"restart", "a planned restart, then it counts as down", func(d *Durations) *time.Duration { return &d.Restart }, 10 * time.Second, time.Hour},
	{"sync wait", "commits wait for a standby, then it is replaced or they go on alone", func(d *Durations) *time.Duration { return &d.SyncWait }, time.Second, 10 * time.Minute},
	{"stalled", "a restore without progress, then an alarm", func(d *Durations) *time.Duration { return &d.Stalled }, time.Second, time.Hour},
	{"kill-after", "a frozen server nobody released is killed", func(d *Durations) *time.Duration { return &d.KillAfter }, time.Second, time.Hour},
	{"re-read", "an agent re-reads its own commands", func(d *Durations) *time.Duration { return &d.ReRead }, 100 * time.Millisecond, time.Minute},
	{"probe", "an agent probes each cluster", func(d *Durations) *time.Duration { return &d.Probe }, 50 * time.Millisecond, time.Minute},
	{"full health", "an agent sends a full health snapshot", func(d *Durations) *time.Duration { return &d.FullHealth }, time.Second, 10 * time.Minute},
	{"lane re-read", "an UNKNOWN lane is read", func(d *Durations) *time.Duration { return &d.LaneReread }, 10 * time.Millisecond, time.Second},
	{"hold resume", "a RESUME waits this long beyond L under an attempt", func(d *Durations) *time.Duration { return &d.HoldResume }, 0, time.Minute},
}

// Check returns every bound and relation that d breaks, in words; none means it may be used.
func (d Durations) Check() []string {
	var bad []string
	for _, r := range Table {
		if v := *r.Get(&d); v < r.Min || v > r.Max {
			bad = append(bad, fmt.Sprintf("%s (%s) is %v: want %v to %v", r.Symbol, r.Meaning, v, r.Min, r.Max))
		}
	}
	rel := func(ok bool, s string, a ...any) {
		if !ok {
			bad = append(bad, fmt.Sprintf(s, a...))
		}
	}
	rel(d.Wait >= d.Honoured(), "L is %v: want at least F+S+M = %v (without it an old active may still write when the new one starts)", d.Wait, d.Honoured())
	rel(d.Run >= 4*d.Beat, "F is %v: want at least 4 beats = %v", d.Run, 4*d.Beat)
	rel(d.KillAfter > d.Run, "kill-after is %v: want more than F = %v", d.KillAfter, d.Run)
	rel(d.Attempt > d.Wait+d.FenceAck, "attempt is %v: want more than L + fence ack = %v", d.Attempt, d.Wait+d.FenceAck)
	rel(d.SyncWait > 2*d.Probe, "sync wait is %v: want more than two probes = %v", d.SyncWait, 2*d.Probe)
	rel(d.FullHealth > d.Probe, "full health is %v: want more than probe = %v", d.FullHealth, d.Probe)
	return bad
}
