package regionagent

import (
	"context"
	"encoding/json"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/boottime"
)

// healthTeller sends health, one message per beat: changed clusters only, everything every FullHealth (4-bus, Rules).
type healthTeller struct {
	a     *agent
	full  uint64
	delta uint64
	at    time.Time
	asked atomic.Bool // somebody wants a full one
	sent  map[events.Ref]events.ClusterHealth
	out   chan bus.Out
}

func newHealthTeller(ctx context.Context, a *agent) *healthTeller {
	h := &healthTeller{a: a, sent: map[events.Ref]events.ClusterHealth{}, out: make(chan bus.Out, 1)}
	go h.run(ctx)
	return h
}

// beat is called by the loop once a beat.
func (h *healthTeller) beat() {
	a := h.a
	m := events.Health{
		Agent: a.ref, Nonce: a.nonce, Version: telemetry.Build().Version, Peer: a.cfg.Peers, Cert: a.cert, Alarms: a.alarms(), Foreign: a.core.Foreign(),
		Right: max(0, a.core.LaneRight().Sub(boottime.Now())),
	}
	if f := a.measured.Load(); f != nil {
		m.Freeze, m.FreezeMax = string(f.How), f.Took
	}
	part := "delta"
	h.delta++
	if h.asked.Swap(false) || h.full == 0 || time.Since(h.at) >= a.d.FullHealth {
		h.full, h.delta, h.at, part = h.full+1, 0, time.Now(), "full"
	}
	m.External = a.cfg.Fence.External != ""
	m.Full, m.Delta = h.full, h.delta
	for _, c := range a.clusters {
		if c.last.Cluster == (events.Ref{}) {
			continue // not probed yet
		}
		last := c.last
		last.Kernel = a.kernelWord(c)
		if part == "full" || !reflect.DeepEqual(h.sent[c.ref], last) {
			m.Clusters = append(m.Clusters, last)
			h.sent[c.ref] = last
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		a.log.Error("health can't be told", telemetry.Err(err))
		return
	}
	select {
	case h.out <- bus.Out{Subject: events.SubjectHealth(a.ref, part), Data: data}:
	default: // the last one is still on its way: the next one tells all
		h.asked.Store(true)
	}
}

func (h *healthTeller) run(ctx context.Context) {
	for {
		var o bus.Out
		select {
		case <-ctx.Done():
			return
		case o = <-h.out:
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		if _, err := h.a.bus.Publish(short, o); err != nil {
			h.a.log.Debug("health not stored", telemetry.Err(err))
		}
		cancel()
	}
}

// alarms lists what needs a person.
func (a *agent) alarms() []string {
	var as []string
	if why := a.slow.Load(); why != nil {
		as = append(as, "takes no lease: "+*why)
	}
	if f := a.core.Foreign(); f != "" {
		as = append(as, "somebody else beats on its lanes (start "+f+"): a cloned host, or a lost ledger; it takes no lease until a person decides: see to it that no other host runs as "+a.ref.String()+", ask `switchback rejoin "+a.ref.String()+" --reason …`, then restart this agent")
	}
	for _, d := range a.bus.Denied() {
		as = append(as, "the bus forbids: "+d)
	}
	for _, c := range a.clusters {
		if o := a.over.known[c.ref.String()].Told(); o.Text != "" {
			as = append(as, c.ref.String()+" was overridden: "+o.Text)
		}
	}
	if a.unguarded(boottime.Now()) {
		as = append(as, "the guard is down")
	}
	return append(as, a.kernelAlarms()...)
}
