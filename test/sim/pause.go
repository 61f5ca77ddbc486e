package sim

import "slices"

// pause is a process or a whole host that stands still: what comes to it waits, and is done in order once nobody holds it any more.
type pause struct {
	holders int
	backlog []func()
}

func (p *pause) on() bool { return p.holders > 0 }

// hold makes it stand still until the returned function runs.
func (p *pause) hold() (end func()) {
	p.holders++
	return func() {
		if p.holders--; p.holders > 0 {
			return
		}
		waited := slices.Clone(p.backlog)
		p.backlog = nil
		for _, f := range waited {
			f()
		}
	}
}

func (p *pause) later(f func()) { p.backlog = append(p.backlog, f) }
