package regionagent

import (
	"context"
	"encoding/json"
	"time"

	"github.com/switchback-dr/switchback/events"
	"github.com/switchback-dr/switchback/pkg/bus"
	"github.com/switchback-dr/switchback/regionagent/lease"
)

// laneWorker is the one goroutine of one lane: a client call may block for its connect timeout while a server is a black hole, and must delay no other lane
// (facts/lanes §6).
type laneWorker struct {
	a     *agent
	n     int
	beats chan laneJob
	reads chan laneJob
	place events.LanePlace
	port  bus.Lane
}

type laneJob struct {
	beat  lease.Beat
	place events.LanePlace
}

func newLaneWorker(a *agent, n int) *laneWorker {
	return &laneWorker{a: a, n: n, beats: make(chan laneJob, 4), reads: make(chan laneJob, 4)}
}

// beat and read hand a job over. The core has at most one publish and one read in flight per lane, so the queues never fill; if one is, the job's deadline has
// long passed and the answer it waits for says so.
func (l *laneWorker) beat(b lease.Beat, p events.LanePlace) {
	select {
	case l.beats <- laneJob{b, p}:
	default:
		l.a.log.Error("lane is stuck", "lane", l.n)
	}
}

func (l *laneWorker) read(p events.LanePlace) {
	select {
	case l.reads <- laneJob{place: p}:
	default:
		l.a.log.Error("lane is stuck", "lane", l.n)
	}
}

func (l *laneWorker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-l.beats:
			l.publish(ctx, j)
		case j := <-l.reads:
			l.last(ctx, j.place)
		}
	}
}

func (l *laneWorker) at(p events.LanePlace) bus.Lane {
	if l.port == nil || l.place != p {
		l.place, l.port = p, l.a.bus.Lane(l.n, p)
	}
	return l.port
}

// publish sends a beat. No answer by F/2 is unknown (A3); the late one may still land.
func (l *laneWorker) publish(ctx context.Context, j laneJob) {
	a, b := l.a, j.beat
	data, err := json.Marshal(b.Body)
	if err != nil {
		return // a body of numbers and words always encodes
	}
	short, cancel := context.WithTimeout(ctx, a.d.BeatDeadline())
	defer cancel()
	began := time.Now()
	seq, err := l.at(j.place).Publish(short, events.SubjectLane(b.Lane, b.Generation, a.ref), data, b.Expected)
	a.metrics.beat(l.n, string(b.Body.Kind), err, time.Since(began))
	a.post(ctx, func(now events.Instant) lease.Effects {
		if err != nil {
			return a.core.Lost(now, b.Lane, b.Generation, b.Body.No)
		}
		return a.core.Acked(now, b.Lane, b.Generation, b.Body.No, seq)
	})
}

func (l *laneWorker) last(ctx context.Context, p events.LanePlace) {
	a := l.a
	short, cancel := context.WithTimeout(ctx, a.d.BeatDeadline())
	defer cancel()
	var body events.LaneBody
	var seq events.Seq
	m, err := l.at(p).Last(short, events.SubjectLane(l.n, p.Generation, a.ref))
	if err == nil && m != nil {
		seq = m.Seq
		err = json.Unmarshal(m.Data, &body)
	}
	a.post(ctx, func(now events.Instant) lease.Effects {
		if err != nil {
			return a.core.ReadFailed(now, l.n, p.Generation)
		}
		return a.core.Read(now, l.n, p.Generation, seq, body)
	})
}
