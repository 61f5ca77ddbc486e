package sim

// event is something that will happen.
type event struct {
	when at
	seq  uint64 // orders what happens at one instant
	do   func()
}

func (e *event) before(o *event) bool { return e.when < o.when || e.when == o.when && e.seq < o.seq }

// queue is a heap of events, the next one first.
type queue []event

func (q *queue) push(e event) {
	h := append(*q, e)
	*q = h
	i := len(h) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

func (q *queue) pop() event {
	h := *q
	top, n := h[0], len(h)-1
	e := h[n]
	h[n] = event{} // what it would do is not held on to
	h = h[:n]
	*q = h
	i := 0
	for child := 1; child < n; child = 2*i + 1 {
		if child+1 < n && h[child+1].before(&h[child]) {
			child++
		}
		if !h[child].before(&e) {
			break
		}
		h[i] = h[child]
		i = child
	}
	if n > 0 {
		h[i] = e
	}
	return top
}
