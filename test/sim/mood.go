package sim

import "time"

// mood weighs the entries of a schedule: rules differ in what it takes to need them.
type mood struct {
	name    string
	noise   string
	storm   time.Duration  // how long entries are drawn for
	gap     time.Duration  // the longest time between two entries
	burst   float64        // chance that the next entry follows at once
	focus   float64        // chance that an argument names the group in focus, or a place of it
	moments float64        // chance that an entry waits for a moment of that group
	more    map[string]int // weight by kind, else by class; what is in neither is not drawn. nil = every kind with its own
}

var moods = [...]mood{
	{"mixed", "some", storm, 6 * time.Second, 0.1, 0.2, 0.05, nil},
	// The bus is lost again and again while links and servers live: promises carry the actives.
	{"dark", "some", storm, 6 * time.Second, 0.1, 0.3, 0.05, map[string]int{
		"bus-lost": 16, "hub-down": 8, "agent-crash": 14, "host-reboots": 5, "region-isolated": 5, "failover": 10, "switchover": 4, "abort": 4, "restore": 4, "pair-cut": 4, "agent-paused": 3,
	}},
	// Operators ask and abort, messages are lost, agents crash.
	{"unsure", "heavy", storm, 6 * time.Second, 0.1, 0.3, 0.1, map[string]int{
		"operator": 3, "failover": 20, "abort": 14, "switchover": 12, "failback": 8, "restore": 10, "agent-crash": 10, "agent-paused": 6, "pair-cut": 6, "region-isolated": 4,
		"controller-paused": 6, "controller-dies": 4, "acceptor-wiped": 4, "hub-down": 4, "agent-and-guard-crash": 4, "fsync-crash": 4, "batch-held": 4,
	}},
	// Acceptors lose their disks, are slow, and are seen differently by leader and agents, while groups are failed over and back.
	{"lanes", "some", shortStorm, 2500 * time.Millisecond, 0.3, 0.6, 0.2, map[string]int{
		"acceptor-wiped": 10, "hub-down": 8, "lane-slow": 8, "lane-unheard": 8, "agent-crash": 8, "host-reboots": 4, "failover": 10, "abort": 8, "region-isolated": 4, "one-way-cut": 6,
		"batch-held": 2, "controller-dies": 3, "agent-paused": 4, "restore": 3,
	}},
	// The bus is away from an active and not from the others, agents crash and are back at once, candidates come and go.
	{"promises", "some", shortStorm, 2500 * time.Millisecond, 0.3, 0.7, 0.2, map[string]int{
		"bus-lost": 6, "region-isolated": 10, "one-way-cut": 6, "pair-cut": 6, "agent-crash": 14, "agent-and-guard-crash": 3, "host-reboots": 6, "failover": 10, "abort": 6, "member-leaves": 4,
		"hub-down": 6, "restore": 6, "host-paused": 2,
	}},
	// One group is moved again and again, at bad moments, and messages are lost.
	{"moves", "heavy", shortStorm, 1500 * time.Millisecond, 0.4, 0.9, 0.25, map[string]int{
		"failover": 20, "abort": 14, "switchover": 8, "failback": 6, "restore": 10, "agent-crash": 8, "agent-paused": 4, "pair-cut": 4, "controller-dies": 4, "batch-held": 6,
		"controller-paused": 4, "fsync-crash": 4, "region-isolated": 4, "host-reboots": 3, "lane-unheard": 3,
	}},
	// Leader and agents don't hear of each other what they should, while a group is failed over.
	{"deaf", "some", shortStorm, 1500 * time.Millisecond, 0.3, 0.8, 0.3, map[string]int{
		"failover": 18, "commands-lost": 12, "commands-late": 8, "reports-lost": 5, "lane-slow": 12, "lane-unheard": 10, "region-isolated": 6, "hub-down": 5, "abort": 6, "agent-crash": 6,
		"acceptor-wiped": 6, "controller-dies": 3, "server-hangs": 4, "restore": 4,
	}},
	// Guards and agents die together, stand still, and are back at once.
	{"guards", "some", shortStorm, 1500 * time.Millisecond, 0.4, 0.7, 0.2, map[string]int{
		"guard-crash": 14, "guard-paused": 10, "agent-and-guard-crash": 10, "agent-crash": 6, "agent-paused": 6, "host-reboots": 8, "host-paused": 4, "failover": 8, "switchover": 6, "abort": 4,
		"restore": 4, "server-crash": 6, "server-hangs": 6, "clock-jumps": 4, "bus-lost": 4, "region-isolated": 4,
	}},
	// People drill, approve, acknowledge, change policies and ask for what can't be, while hosts and regions are lost.
	{"care", "some", storm, 4 * time.Second, 0.2, 0.5, 0.1, map[string]int{
		"care": 4, "claimed-twice": 0, "operator": 2, "region-dies": 8, "region-isolated": 4, "host-reboots": 5, "server-crash": 5, "server-hangs": 4, "agent-crash": 4, "controller-dies": 3, "pair-cut": 4,
	}},
}

// shortStorm is long enough for rules that need one group to be moved a few times.
const shortStorm = 24 * time.Second

// byTurn is the mood of a seed by its remainder: moods added later change as few seeds as can be.
var byTurn = [32]string{
	"mixed", "dark", "unsure", "deaf", "lanes", "promises", "moves", "mixed", "guards", "unsure", "deaf", "mixed", "promises", "moves", "mixed", "deaf",
	"care", "dark", "unsure", "deaf", "lanes", "promises", "moves", "mixed", "guards", "unsure", "deaf", "mixed", "promises", "moves", "mixed", "deaf",
}

func moodOf(seed uint64) *mood {
	name := byTurn[seed%uint64(len(byTurn))]
	for i := range moods {
		if moods[i].name == name {
			return &moods[i]
		}
	}
	panic("sim: no mood is called " + name)
}

// InMood lists the first so many seeds from one on whose mood has a name; any mood where the name is empty.
func InMood(name string, from uint64, n int) []uint64 {
	var seeds []uint64
	for seed := from; len(seeds) < n; seed++ {
		if name == "" || moodOf(seed).name == name {
			seeds = append(seeds, seed)
		}
	}
	return seeds
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
