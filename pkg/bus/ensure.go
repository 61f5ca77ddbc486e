package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/switchback-dr/switchback/events"
)

// ErrMissing: a stream is not there although it must be, for somebody reports a history. Its record must be rebuilt by a person, never made anew
// empty (4-bus, Streams).
var ErrMissing = errors.New("stream is missing, and there is a history")

// defaultDuplicates is the server's deduplication window where a stream names none.
const defaultDuplicates = 2 * time.Minute

// regionTag is the tag of a hub server, by which streams are pinned and leaders are steered.
func regionTag(region string) string { return "region:" + region }

// Ensure makes sure that the streams exist as they should, one by one, and reports differences as errors without changing what is there.
// replicas is how many servers the hub has; a stream gets no more. With refuseMissing a missing stream is ErrMissing: set it as soon as
// any agent reports a history. While the hub elects a leader, up to 10 s, it tries again until ctx ends.
func (n *NATS) Ensure(ctx context.Context, streams []events.Stream, replicas int, refuseMissing bool) error {
	var all []error
	for _, s := range streams {
		s.Replicas = min(s.Replicas, replicas)
		if s.Duplicates == 0 {
			s.Duplicates = defaultDuplicates
		}
		err := n.ensure(ctx, s, refuseMissing)
		for passing(err) && ctx.Err() == nil {
			select {
			case <-time.After(retryWait):
			case <-ctx.Done():
			}
			err = n.ensure(ctx, s, refuseMissing)
		}
		if err != nil {
			all = append(all, fmt.Errorf("stream %s: %w", s.Name, err))
		}
	}
	return errors.Join(all...)
}

// adminTimeout bounds one question about a stream: while its leader changes, the hub gives no answer at all.
const adminTimeout = 2 * time.Second

// passing reports whether an error is of a hub that has no leader just now, or whose leader does not know all of its servers yet: at a cold start it is
// elected before the last one has joined.
func passing(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.Code == 503 || api.ErrorCode == codeNoPeers
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, ErrUnavailable)
}

func (n *NATS) ensure(ctx context.Context, want events.Stream, refuseMissing bool) error {
	js, err := n.admin()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	st, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		if refuseMissing {
			return ErrMissing
		}
		made := configOf(want)
		made.FirstSeq = firstSeq(time.Now())
		st, err = js.CreateStream(ctx, made)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody else was first, with another configuration
		st, err = js.Stream(ctx, want.Name)
	}
	if err != nil {
		return fmt.Errorf("look up or create: %w", err)
	}
	if d := differences(configOf(want), st.CachedInfo().Config); len(d) > 0 {
		return fmt.Errorf("it exists and differs: %s", strings.Join(d, "; "))
	}
	return nil
}

// perSecond is how many sequences a stream may give out a second, over its life, before firstSeq of its successor could repeat one: no hub stores as many.
const perSecond = 10_000

// firstSeq is where the sequences of a stream made now begin: above any that a lost one under its name gave out. So terms, revisions, rejoins and the order of
// commands never repeat (m35), whatever disks were lost. Should the clock be wrong, agents' ledgers contradict the record and automation halts.
func firstSeq(now time.Time) uint64 { return uint64(max(now.Unix(), 0))*perSecond + 1 }

// admin is JetStream on the nearest connection that is up.
func (n *NATS) admin() (jetstream.JetStream, error) {
	up, err := n.healthy()
	if err != nil {
		return nil, err
	}
	up[0].mu.Lock()
	defer up[0].mu.Unlock()
	return up[0].js, nil
}

// configOf says everything about a stream, the server's defaults included, so that whatever somebody changed shows as a difference.
func configOf(s events.Stream) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
		Name: s.Name, Description: s.Doc, Subjects: s.Subjects, Replicas: s.Replicas, Storage: jetstream.FileStorage,
		MaxMsgsPerSubject: s.PerSubject, MaxAge: s.MaxAge, Duplicates: s.Duplicates, DenyDelete: s.DenyRemoval, DenyPurge: s.DenyRemoval,
		AllowDirect: true, AllowAtomicPublish: s.Atomic,
	}
	if s.PerSubject == 0 {
		c.MaxMsgsPerSubject = -1
	}
	if s.Memory {
		c.Storage = jetstream.MemoryStorage
	}
	if s.RepublishFrom != "" {
		c.RePublish = &jetstream.RePublish{Source: s.RepublishFrom, Destination: s.RepublishTo}
	}
	if s.Region != "" {
		c.Placement = &jetstream.Placement{Tags: []string{regionTag(s.Region)}}
	}
	return c
}

// PreferLeader moves the leader of a replicated stream, and those of its consumers, to a region's server if they are elsewhere. It costs the stream
// a moment without a leader (20 to 60 ms on a healthy hub), so call it when nothing is going on, and only while that region is healthy. It returns when
// the leaders were told, with an error if one of them gave no answer within 2 s.
func (n *NATS) PreferLeader(ctx context.Context, stream, region string) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	c, err := n.region(region)
	if err != nil {
		return err
	}
	server, up := c.serverName()
	if !up {
		return fmt.Errorf("move the leader of stream %s to hub region %s: %w", stream, region, ErrUnavailable)
	}
	st, err := n.stream(ctx, stream)
	if err != nil {
		return err
	}
	var all []error
	if elsewhere(st.CachedInfo().Cluster, server) {
		all = append(all, n.stepDown(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, server))
	}
	consumers := st.ListConsumers(ctx)
	for info := range consumers.Info() {
		if elsewhere(info.Cluster, server) {
			all = append(all, n.stepDown(ctx, "$JS.API.CONSUMER.LEADER.STEPDOWN."+stream+"."+info.Name, server))
		}
	}
	return errors.Join(append(all, consumers.Err())...)
}

// LedFrom tells the hub region that leads a stream now, "" while nobody does or it is a server we have no connection to.
func (n *NATS) LedFrom(ctx context.Context, stream string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	st, err := n.stream(ctx, stream)
	if err != nil {
		return "", err
	}
	cl := st.CachedInfo().Cluster
	for _, c := range n.conns {
		if server, _ := c.serverName(); cl != nil && cl.Leader != "" && server == cl.Leader {
			return c.server.Region, nil
		}
	}
	return "", nil
}

func (n *NATS) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	js, err := n.admin()
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", name, err)
	}
	st, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("look up stream %s: %w", name, err)
	}
	return st, nil
}

// elsewhere reports whether a raft group is led by another server although this one could.
func elsewhere(cl *jetstream.ClusterInfo, server string) bool {
	return cl != nil && cl.Leader != "" && cl.Leader != server &&
		slices.ContainsFunc(cl.Replicas, func(p *jetstream.PeerInfo) bool { return p.Name == server && p.Current && !p.Offline })
}

// stepDown asks a leader to hand over to a server.
func (n *NATS) stepDown(ctx context.Context, subject, server string) error {
	data, err := json.Marshal(map[string]any{"placement": map[string]string{"preferred": server}})
	if err != nil {
		return err
	}
	up, err := n.healthy()
	if err != nil {
		return err
	}
	m, err := up[0].ask(ctx, nil, &nats.Msg{Subject: subject, Data: data})
	if err != nil {
		return fmt.Errorf("step down to server %s: %w", server, err)
	}
	var answer struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", subject, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("step down to server %s: %w", server, answer.Error)
	}
	return nil
}
