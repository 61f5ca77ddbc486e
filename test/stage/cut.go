package stage

import "fmt"

// nowhere is the hardware address of no machine: what is sent to it vanishes without an error, as on a cable that carries one way only.
const nowhere = "02:00:00:00:00:77"

// Cut makes everything vanish that one region sends to another; what comes back still arrives. Cut both ways and the two don't see each other, while both still see everybody
// else and the outside. ErrNoIsolation: this machine can't.
func (s *Stage) Cut(from, to string) error { return s.net.cut(from, to) }

// Mend ends Cut.
func (s *Stage) Mend(from, to string) error { return s.net.mend(from, to) }

// cut works at the sender: its own table of neighbours is wrong about one of them. That needs no packet filter in the kernel.
func (n *network) cut(from, to string) error {
	if n.shared != nil {
		return n.shared
	}
	return n.ip(from, fmt.Sprintf("neigh replace %s lladdr %s dev eth0 nud permanent", n.address(to), nowhere))
}

func (n *network) mend(from, to string) error {
	if n.shared != nil {
		return n.shared
	}
	return n.ip(from, fmt.Sprintf("neigh del %s dev eth0", n.address(to)))
}
