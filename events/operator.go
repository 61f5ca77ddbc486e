package events

import (
	"encoding/json"
	"fmt"
)

// Ask is what an operator, a cron entry or an API publishes: one verb on one group or region. All doors publish the same asks.
type Ask struct {
	ID         string `json:"id"`    // makes it idempotent; given by the door when empty
	Verb       string `json:"verb"`  // failover, abort, arm, disarm, approve
	Actor      string `json:"actor"` // from the subject, never from the body
	Group      string `json:"group,omitempty"`
	Region     string `json:"region,omitempty"`
	To         string `json:"to,omitempty"` // region/cluster to promote; empty = best candidate
	Reason     string `json:"reason,omitempty"`
	AcceptLoss bool   `json:"accept_loss,omitempty"` // move even beyond the loss budget or with unknown lag
	Unfenced   bool   `json:"unfenced,omitempty"`    // waive the fence proof; needs a reason
	WhileBlind bool   `json:"while_blind,omitempty"` // act although the controller is blind; needs a reason
	DryRun     bool   `json:"dry_run,omitempty"`
}

// EventType names the payload in the catalogue.
func (Ask) EventType() string { return "switchback.ask" }

// Verbs an Ask may carry.
const (
	AskFailover = "failover"
	AskAbort    = "abort"
	AskArm      = "arm"
	AskDisarm   = "disarm"
	AskApprove  = "approve"
)

// AskVerbs lists them in the order help shows them.
var AskVerbs = []string{AskFailover, AskAbort, AskArm, AskDisarm, AskApprove}

// DecodeAsk reads the body of an operator event strictly: a plain JSON ask, or a CloudEvents 1.0 envelope whose id makes it idempotent
// and whose data is the ask. Unknown fields are refused, so that a misspelt option can't be lost.
func DecodeAsk(actor, verb string, body []byte) (Ask, error) {
	var a Ask
	var env Envelope
	if json.Unmarshal(body, &env) == nil && env.SpecVersion != "" {
		if err := strict(env.Data, &a); err != nil {
			return Ask{}, fmt.Errorf("data of the event: %w", err)
		}
		a.ID = env.ID
	} else if len(body) > 0 {
		if err := strict(body, &a); err != nil {
			return Ask{}, err
		}
	}
	if a.Verb != "" && a.Verb != verb {
		return Ask{}, fmt.Errorf("body says verb %q, subject says %q: want them equal, or leave the body's out", a.Verb, verb)
	}
	a.Actor, a.Verb = actor, verb
	return a, a.Check()
}

// Check says what is wrong with an ask by itself, before anybody looks at the fleet.
func (a Ask) Check() error {
	if err := CheckName("actor", a.Actor); err != nil {
		return err
	}
	known := false
	for _, v := range AskVerbs {
		known = known || v == a.Verb
	}
	if !known {
		return fmt.Errorf("verb %q: want one of %v", a.Verb, AskVerbs)
	}
	if a.Group != "" && a.Region != "" {
		return fmt.Errorf("%s names group %q and region %q: want one of them", a.Verb, a.Group, a.Region)
	}
	if a.Group == "" && a.Region == "" && a.Verb != AskArm && a.Verb != AskDisarm {
		return fmt.Errorf("%s names neither group nor region: want one of them", a.Verb)
	}
	if a.Group != "" {
		if err := CheckName("group", a.Group); err != nil {
			return err
		}
	}
	if a.Region != "" {
		if err := CheckName("region", a.Region); err != nil {
			return err
		}
	}
	if a.To != "" {
		if _, err := ParseRef(a.To); err != nil {
			return err
		}
	}
	if (a.Unfenced || a.WhileBlind) && a.Reason == "" {
		return fmt.Errorf("%s with unfenced or while_blind gives no reason: want one, it is written down with your name", a.Verb)
	}
	return nil
}

// Answer is what became of an ask, per group it touched.
type Answer struct {
	ID       string       `json:"id"`
	Hash     string       `json:"hash"`     // of the ask, so that the same id with another body is refused
	Accepted bool         `json:"accepted"` // at least one group moves, or the switch was thrown
	Why      string       `json:"why"`
	Items    []AnswerItem `json:"items,omitempty"`
}

// AnswerItem is the answer for one group.
type AnswerItem struct {
	Group     string `json:"group"`
	Accepted  bool   `json:"accepted"`
	Operation string `json:"operation,omitempty"`
	Rule      string `json:"rule"`
	Why       string `json:"why"`
}

// EventType names the payload in the catalogue.
func (Answer) EventType() string { return "switchback.answer" }
