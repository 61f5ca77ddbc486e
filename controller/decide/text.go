package decide

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/controller/gate"
	"github.com/switchback-dr/switchback/events"
)

func round(d time.Duration) string { return gate.Round(d) }

// ProofText says what a proof rests on, in facts an outsider can check.
func ProofText(p *events.Proof) string {
	if p == nil {
		return "none"
	}
	switch p.Kind {
	case events.ProofLease:
		var lanes []string
		for _, l := range p.Lanes {
			lanes = append(lanes, fmt.Sprintf("%d at seq %d", l.Lane, l.Revoked))
		}
		return fmt.Sprintf("lease: revoked on acceptors %s; last beat received %s before (needs %s); the target reported passive at epoch %d, no promise out",
			strings.Join(lanes, ", "), round(p.Waited), round(p.Needed), p.Target)
	case events.ProofAck:
		return "ack: " + p.Said
	case events.ProofExternal:
		return "external fence: " + p.Said
	case events.ProofUnfenced:
		return "WAIVED by " + p.Said
	}
	return string(p.Kind)
}

// LossText says what may be lost, without claiming more than is known.
func LossText(l *events.Loss) string {
	switch {
	case l == nil || !l.Known:
		return "unknown until restore"
	case l.Exact && l.Bytes == 0:
		return "nothing"
	case l.Exact:
		return fmt.Sprintf("%d B", l.Bytes)
	}
	return fmt.Sprintf("at least %d B by its last word; nothing acknowledged earlier than %s before the promotion", l.Bytes, round(l.Window))
}
