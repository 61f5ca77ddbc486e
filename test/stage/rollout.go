package stage

import (
	"context"

	"github.com/switchback-dr/switchback/controller/answers"
)

// Rollout is a plan or rollout as the leader shows it, with its first moves.
func (b *Bus) Rollout(ctx context.Context, id string) (r answers.Rollout, err error) {
	err = b.query(ctx, "rollout", answers.Query{Rollout: id}, &r)
	return r, err
}

// Rollouts are all that are stored, the newest first.
func (b *Bus) Rollouts(ctx context.Context) (answers.Rollouts, error) {
	var all answers.Rollouts
	err := b.query(ctx, "rollouts", struct{}{}, &all)
	return all, err
}
