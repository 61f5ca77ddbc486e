package bus

// On is the region of the server that a plain subscription is on, "" if on none.
func (n *NATS) On(pattern string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.subs {
		if on := s.where(); s.pattern == pattern && on != nil {
			return on.server.Region
		}
	}
	return ""
}
