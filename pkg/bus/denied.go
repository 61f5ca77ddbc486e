package bus

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// Denied lists what the bus forbids us, sorted: "publish SUBJECT", "subscribe SUBJECT", or "connect: …". An entry stays until the same thing is
// allowed. It is an alarm of its own: whoever sees only timeouts would take it for a partition.
func (n *NATS) Denied() []string {
	all := map[string]bool{}
	for _, c := range n.conns {
		c.mu.Lock()
		for what := range c.denied {
			all[what] = true
		}
		if c.refused != nil {
			all["connect to hub region "+c.server.Region+": "+c.refused.Error()] = true
		}
		c.mu.Unlock()
	}
	return slices.Sorted(maps.Keys(all))
}

// refusal notes that the server answers but does not let us in: a matter of rights, not of the network.
func (c *conn) refusal(err error) {
	if err == nil || !(errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired)) {
		return
	}
	c.mu.Lock()
	known := c.refused != nil
	c.refused = err
	c.mu.Unlock()
	if !known {
		c.metrics.denied.WithLabelValues(c.server.Region).Inc()
		c.log.Error("hub server does not let us in", "region", c.server.Region, "err", err)
	}
}

const (
	denyPublish   = "publish "
	denySubscribe = "subscribe "
)

// violation reads the server's "-ERR 'Permissions Violation for Publish to "x"'".
var violation = regexp.MustCompile(`(?i)permissions violation for (publish|subscription)(?: with reply of)?(?: to)? "(\S+)"`)

// trouble latches permission errors; everything else asynchronous is only logged.
func (c *conn) trouble(err error) {
	c.refusal(err)
	if !errors.Is(err, nats.ErrPermissionViolation) {
		c.log.Warn("hub connection", "region", c.server.Region, "err", err)
		return
	}
	c.metrics.denied.WithLabelValues(c.server.Region).Inc()
	what := "something: " + err.Error()
	subject := ""
	if m := violation.FindStringSubmatch(err.Error()); m != nil {
		subject, what = m[2], denySubscribe+m[2]
		if strings.EqualFold(m[1], "publish") {
			what = denyPublish + m[2]
		}
	}
	c.mu.Lock()
	_, known := c.denied[what]
	c.denied[what] = err.Error()
	for f := range c.flights {
		if slices.Contains(f.subjects, subject) {
			f.once.Do(func() { close(f.denied) })
		}
	}
	c.mu.Unlock()
	if !known {
		c.log.Error("the bus forbids this", "region", c.server.Region, "what", what)
	}
}
