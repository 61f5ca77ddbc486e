package events

import "time"

// Sync says who of a group in sync has every acknowledged write. It changes around the active's own setting: whoever joins is told to the server first, and
// stands in Set once the server was seen to wait; whoever leaves has left here before the server is told. So each of Set is one that the server waits for,
// whatever was lost on the way, and every commit waits for all of Told: one of Set that is cut stops them all (C3e).
type Sync struct {
	Version uint64    `json:"version"`        // rises with each change of Told, and whenever the server has to be seen waiting anew
	Told    []Ref     `json:"told,omitempty"` // whom the active is told to wait for, the last to join first
	Set     []Ref     `json:"set,omitempty"`  // who has every acknowledged write; each is one of Told
	Once    bool      `json:"once,omitempty"` // Set was not empty since this active was appointed: from then on `strict` holds
	Alone   time.Time `json:"alone,omitzero"` // Set is empty since then, by the leader's wall clock
	Why     string    `json:"why,omitempty"`  // why it is
}

// epochVersions is how many versions an epoch has to itself. A record that is rebuilt begins at a higher epoch, and so above every version there was.
const epochVersions = 1 << 20

// Holds reports whether a cluster has every acknowledged write of its group.
func (s *Sync) Holds(c Ref) bool { return s != nil && holds(s.Set, c) }

// Members are those who have every acknowledged write; nobody where the group never was in sync.
func (s *Sync) Members() []Ref {
	if s == nil {
		return nil
	}
	return s.Set
}

// Tells reports whether the active is told to wait for a cluster.
func (s *Sync) Tells(c Ref) bool { return s != nil && holds(s.Told, c) }

// Order is what the active is told; nil if the group never was in sync.
func (s *Sync) Order() *SyncOrder {
	if s == nil {
		return nil
	}
	o := &SyncOrder{Version: s.Version}
	for _, c := range s.Told {
		o.Names = append(o.Names, c.Cluster)
	}
	return o
}

// Tell orders the active to wait for the clusters of told, and for nobody else. Whoever is not among them has left the set with that.
func (s *Sync) Tell(e Epoch, told []Ref) {
	s.Version = max(s.Version+1, uint64(e)*epochVersions)
	s.Told = told
	var set []Ref
	for _, c := range s.Set {
		if holds(told, c) {
			set = append(set, c)
		}
	}
	s.Set = set
}

func (s *Sync) clone() *Sync {
	if s == nil {
		return nil
	}
	c := *s
	c.Told, c.Set = append([]Ref(nil), s.Told...), append([]Ref(nil), s.Set...)
	return &c
}

func holds(rs []Ref, r Ref) bool {
	for _, x := range rs {
		if x == r {
			return true
		}
	}
	return false
}
