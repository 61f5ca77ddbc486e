package bus

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/switchback-dr/switchback/events"
)

// Memory is a hub in memory: a Store with the servers of its regions, for many clients at once. It is what tests and testing/synctest use in
// place of NATS; the conformance suite holds it to the real one.
//
// As on the real hub a replicated stream needs more than half of the servers, a lane only its own, and what a client can reach is another
// matter than what runs (Client.Cut).
type Memory struct {
	mu       sync.Mutex
	store    *Store
	regions  []string
	down     map[string]bool
	clients  []*Client
	subs     []*memorySub
	doors    []*memoryDoor
	durables map[string]*durable
	asked    map[string]chan []byte // by reply subject
	serial   int
	stored   chan struct{} // closed and renewed whenever something may have been stored or come back
}

// durable is where one durable consumer of one stream stands.
type durable struct {
	busy chan struct{} // holds one token: a message at a time
	done events.Seq
}

type memorySub struct {
	client  *Client
	pattern string
	queue   chan struct{} // signals that there is something in waiting
	waiting []Message
}

type memoryDoor struct {
	client  *Client
	pattern string
	f       func(Message) []byte
}

// NewMemory makes a hub of one server per region around a store. Only it may use the store from then on; use Do for anything else.
func NewMemory(store *Store, regions ...string) *Memory {
	return &Memory{
		store: store, regions: regions, down: map[string]bool{}, durables: map[string]*durable{}, asked: map[string]chan []byte{},
		stored: make(chan struct{}),
	}
}

// Do runs f on the store while nobody else does, and delivers what came of it.
func (m *Memory) Do(f func(*Store)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m.store)
	m.deliver()
}

// Stop takes a region's server down, Start brings it back with everything it had stored.
func (m *Memory) Stop(region string) { m.turn(region, true) }

// Start brings a stopped server back.
func (m *Memory) Start(region string) { m.turn(region, false) }

func (m *Memory) turn(region string, down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[region] = down
	for _, c := range m.clients {
		c.settle(region)
	}
	m.wake()
}

// Client connects somebody to every server of the hub.
func (m *Memory) Client() *Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Client{memory: m, ways: map[string]*way{}}
	for _, r := range m.regions {
		c.ways[r] = &way{up: !m.down[r], gone: make(chan struct{})}
	}
	m.clients = append(m.clients, c)
	return c
}

// available reports whether a stream has the servers it needs.
func (m *Memory) available(s events.Stream) bool {
	if s.Region != "" {
		return !m.down[s.Region]
	}
	up := 0
	for _, r := range m.regions {
		if !m.down[r] {
			up++
		}
	}
	return 2*up > len(m.regions)
}

// commit stores a batch if its stream has its servers.
func (m *Memory) commit(ms []Out) (events.Seq, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.deliver()
	if st := m.store.takes(&ms[0]); st != nil && !m.available(st.config) {
		return 0, fmt.Errorf("publish %s: stream %s has lost its servers: %w", ms[0].Subject, st.config.Name, ErrUnavailable)
	}
	return m.store.Batch(ms)
}

// read runs a reading of one stream if it has its servers. Replicas answer without a quorum, so one server of a replicated stream is enough.
func (m *Memory) read(stream string, f func(*Store) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if st := m.store.streams[stream]; st != nil && st.config.Region != "" && m.down[st.config.Region] {
		return fmt.Errorf("read stream %s: %w", stream, ErrUnavailable)
	}
	return f(m.store)
}

// deliver hands what the store told to those who subscribe it and can be reached.
func (m *Memory) deliver() {
	for _, msg := range m.store.Heard() {
		m.tell(msg)
	}
	m.wake()
}

func (m *Memory) wake() {
	close(m.stored)
	m.stored = make(chan struct{})
}

func (m *Memory) tell(msg Message) {
	if answer, ok := m.asked[msg.Subject]; ok {
		delete(m.asked, msg.Subject)
		answer <- msg.Data
		return
	}
	for _, s := range m.subs {
		if s.client.nearest() != "" && Match(s.pattern, msg.Subject) {
			s.waiting = append(s.waiting, msg)
			select {
			case s.queue <- struct{}{}:
			default:
			}
		}
	}
}

// ask sends a request to one of those who serve its subject, else to its plain subscribers.
func (m *Memory) ask(subject string, data []byte) (reply string, answer chan []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	reply, answer = fmt.Sprintf("_INBOX.memory.%d", m.serial), make(chan []byte, 1)
	msg := Message{Subject: subject, Data: data, Reply: reply}
	takes := func(c *Client, pattern string) bool { return c.nearest() != "" && Match(pattern, subject) }
	serving := slices.DeleteFunc(slices.Clone(m.doors), func(d *memoryDoor) bool { return !takes(d.client, d.pattern) })
	if len(serving) > 0 {
		f := serving[m.serial%len(serving)].f
		go func() { answer <- f(msg) }()
		return reply, answer, nil
	}
	if !slices.ContainsFunc(m.subs, func(s *memorySub) bool { return takes(s.client, s.pattern) }) {
		return "", nil, fmt.Errorf("request %s: nobody serves it: %w", subject, ErrUnavailable)
	}
	m.asked[reply] = answer
	m.tell(msg)
	return reply, answer, nil
}

func (m *Memory) durable(stream, name string) *durable {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := stream + "/" + name
	d := m.durables[key]
	if d == nil {
		d = &durable{busy: make(chan struct{}, 1)}
		m.durables[key] = d
	}
	return d
}

func sortBySeq(ms []Message) {
	slices.SortFunc(ms, func(a, b Message) int { return cmp.Compare(a.Seq, b.Seq) })
}
