package main

import (
	"context"
	"encoding/json"

	"github.com/switchback-dr/switchback/controller/answers"
	"github.com/switchback-dr/switchback/controller/words"
	"github.com/switchback-dr/switchback/pkg/client"
)

// noticesOf reads what was told of an operation, oldest first; nothing where that can't be read: the report itself is what counts.
func noticesOf(ctx context.Context, c *client.Client, group, operation string) (all []words.Told) {
	short, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	var w answers.Why
	var raw json.RawMessage
	if err := query(short, c, "why", about(group, ""), &raw, &w); err != nil {
		return nil
	}
	for _, e := range told(&w) {
		if e.Notice.Operation == operation {
			all = append(all, words.Told{At: e.Time, Notice: e.Notice})
		}
	}
	return all
}
