package account

import (
	"context"
	"fmt"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// tellAtTimes tells in the middle of a long pass.
func (k *Keeper) tellAtTimes(ctx context.Context) {
	if time.Since(k.toldAt) >= tellEvery {
		k.tell(ctx)
	}
}

// tell says what has changed: every piece to the bus, then the newest summary to the agent. What the bus does not take is told the next time.
func (k *Keeper) tell(ctx context.Context) {
	k.toldAt = time.Now()
	k.mu.Lock()
	all := append([]*book(nil), k.all...)
	k.mu.Unlock()
	for _, b := range all {
		if err := k.publish(ctx, b); err != nil && ctx.Err() == nil {
			k.log.Warn("pieces of a ledger are not on the bus yet", "operation", b.Operation, "err", err)
		}
	}
	if len(all) == 0 {
		return
	}
	k.mu.Lock()
	s := all[len(all)-1].summary()
	k.mu.Unlock()
	k.cfg.Metrics.show(&s)
	if s.Same(k.last) {
		return
	}
	k.last = &s
	k.cfg.Told(ctx, &s)
}

// publish stores the pieces that the bus has not. Once it has all of a closed ledger that is written down, and they are not told again by the next process.
func (k *Keeper) publish(ctx context.Context, b *book) error {
	k.mu.Lock()
	var due []events.TaskPart
	for n := range b.revision {
		if p := b.part(n, k.cfg.Cluster); !b.told && k.sent[piece(&p)] != p.Revision+1 {
			due = append(due, p)
		}
	}
	if len(due) > 0 && b.closed() { // each of them says that it is
		due = due[:0]
		for n := range b.revision {
			due = append(due, b.part(n, k.cfg.Cluster))
		}
	}
	k.mu.Unlock()
	for i := range due {
		if err := k.cfg.Publish(ctx, due[i]); err != nil {
			return err
		}
		k.sent[piece(&due[i])] = due[i].Revision + 1
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for n := range b.revision {
		p := b.part(n, k.cfg.Cluster)
		if b.told || !p.Summary.Closed || k.sent[piece(&p)] != p.Revision+1 {
			return nil
		}
	}
	if err := b.write(line{Told: true}); err != nil {
		return k.reopen(b, err)
	}
	return nil
}

func piece(p *events.TaskPart) string { return fmt.Sprintf("%s %d", p.Summary.Operation, p.Part) }
