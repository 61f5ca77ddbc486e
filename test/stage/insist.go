package stage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Insist asks for a verb on a group until it is accepted: the same id is never done twice, so an ask nobody answered is repeated under it; one that was refused, as may be
// while an agent has not been heard again, is asked anew. more are further fields of the body, from a comma on. say is told every new reason of a refusal.
func (b *Bus) Insist(ctx context.Context, limit time.Duration, verb, group, id, more string, say func(why string)) error {
	deadline := time.Now().Add(limit)
	said := ""
	for n := 1; ; {
		a, err := b.Ask(ctx, "alice", verb, fmt.Sprintf(`{"id":"%s/%d","group":"%s","reason":"a test"%s}`, id, n, group, more))
		if err == nil && a.Accepted {
			return nil
		}
		if err == nil && len(a.Items) == 1 { // without an item nobody decided: asked again with the same id
			if a.Why != said {
				say(a.Why)
			}
			said, n = a.Why, n+1
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s: no answer to %s: %+v: %w", group, id, a, errors.Join(err, ctx.Err()))
		}
		time.Sleep(20 * time.Millisecond) // as patient as the other waits
	}
}
