package rollout

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// Node is a group as far as its order matters.
type Node struct {
	Name     string
	Priority int // lower moves first
	After    []string
}

// Order sorts groups so that each comes after those of them it depends on, then by priority, then by name. What others wait for takes the most urgent priority of
// those. Dependencies on groups that are not among them don't count. A circle of dependencies has no order: its names are returned, first and last the same.
func Order(nodes []Node) (ordered []Node, circle []string) {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	at := map[string]int{}
	for i, n := range nodes {
		at[n.Name] = i
	}
	o := ordering{nodes: nodes, at: at, state: make([]int, len(nodes)), before: make([][]int, len(nodes))}
	for i := range nodes {
		if o.visit(i); o.circle != nil {
			return nil, o.circle
		}
	}
	free := &ready{urgent: o.urgency()}
	left := make([]int, len(nodes)) // how many it still waits for
	for i := range nodes {
		if left[i] = len(o.needs(i)); left[i] == 0 {
			heap.Push(free, i)
		}
	}
	for free.Len() > 0 {
		i := heap.Pop(free).(int)
		ordered = append(ordered, nodes[i])
		for _, d := range o.before[i] {
			if left[d]--; left[d] == 0 {
				heap.Push(free, d)
			}
		}
	}
	return ordered, nil
}

// ready is a heap of the nodes that wait for nothing any more: the most urgent first, then by name, which is their order.
type ready struct {
	urgent []int
	nodes  []int
}

func (r *ready) Len() int { return len(r.nodes) }
func (r *ready) Less(a, b int) bool {
	i, j := r.nodes[a], r.nodes[b]
	return cmp.Or(cmp.Compare(r.urgent[i], r.urgent[j]), cmp.Compare(i, j)) < 0
}
func (r *ready) Swap(a, b int) { r.nodes[a], r.nodes[b] = r.nodes[b], r.nodes[a] }
func (r *ready) Push(x any)    { r.nodes = append(r.nodes, x.(int)) }
func (r *ready) Pop() any {
	last := r.nodes[len(r.nodes)-1]
	r.nodes = r.nodes[:len(r.nodes)-1]
	return last
}

// ordering is a depth-first search over the dependencies.
type ordering struct {
	nodes  []Node
	at     map[string]int
	state  []int   // 1 = on the way, 2 = done
	before [][]int // by what it is waited for
	way    []int
	post   []int // every node after those it depends on
	circle []string
}

// needs lists the nodes one depends on, each once.
func (o *ordering) needs(i int) []int {
	var ns []int
	for _, name := range o.nodes[i].After {
		if j, among := o.at[name]; among && !slices.Contains(ns, j) {
			ns = append(ns, j)
		}
	}
	return ns
}

func (o *ordering) visit(i int) {
	if o.state[i] != 0 || o.circle != nil {
		return
	}
	o.state[i], o.way = 1, append(o.way, i)
	for _, j := range o.needs(i) {
		if o.state[j] == 1 {
			for _, k := range o.way[slices.Index(o.way, j):] {
				o.circle = append(o.circle, o.nodes[k].Name)
			}
			o.circle = append(o.circle, o.nodes[j].Name)
			return
		}
		o.before[j] = append(o.before[j], i)
		if o.visit(j); o.circle != nil {
			return
		}
	}
	o.state[i], o.way, o.post = 2, o.way[:len(o.way)-1], append(o.post, i)
}

// urgency is each node's priority, or that of the most urgent one that waits for it.
func (o *ordering) urgency() []int {
	u := make([]int, len(o.nodes))
	for _, i := range slices.Backward(o.post) {
		u[i] = o.nodes[i].Priority
		for _, d := range o.before[i] {
			u[i] = min(u[i], u[d])
		}
	}
	return u
}
