package sim

import "time"

// mood weighs the entries of a schedule: rules differ in what it takes to need them. A seed's mood is seed modulo moods.
type mood struct {
	name    string
	noise   string
	gap     time.Duration  // the longest time between two entries
	burst   float64        // chance that the next entry follows at once
	focus   float64        // chance that an argument names the group in focus, or a place of it
	moments float64        // chance that an entry waits for a moment of that group
	more    map[string]int // weight by kind, else by class; what is in neither is not drawn. nil = every kind with its own
}

var moods = [...]mood{
	{"mixed", "some", 6 * time.Second, 0.1, 0.2, 0.05, nil},
	// The bus is lost again and again while links and servers live: promises carry the actives.
	{"dark", "some", 6 * time.Second, 0.1, 0.3, 0.05, map[string]int{
		"bus-lost": 16, "hub-down": 8, "agent-crash": 14, "host-reboots": 5, "region-isolated": 5, "failover": 10, "switchover": 4, "abort": 4, "restore": 4, "pair-cut": 4, "agent-paused": 3,
	}},
	// Operators ask and abort, messages are lost, agents crash.
	{"unsure", "heavy", 6 * time.Second, 0.1, 0.3, 0.1, map[string]int{
		"operator": 3, "failover": 20, "abort": 14, "switchover": 12, "failback": 8, "restore": 10, "agent-crash": 10, "agent-paused": 6, "pair-cut": 6, "region-isolated": 4,
		"controller-paused": 6, "controller-dies": 4, "acceptor-wiped": 4, "hub-down": 4, "agent-and-guard-crash": 4, "fsync-crash": 4, "batch-held": 4,
	}},
}

// weights is how often each of kinds is drawn in this mood, and their sum.
func (m *mood) weights() (ws []int, total int) {
	for i := range kinds {
		k := &kinds[i]
		weight := k.weight
		if m.more != nil {
			weight = m.more[k.class]
			if own, ok := m.more[k.name]; ok {
				weight = own
			}
		}
		ws = append(ws, weight)
		total += weight
	}
	return ws, total
}
