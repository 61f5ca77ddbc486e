package postgres

import "context"

// slotAt is the slot that this cluster may use on a source, made there if need be; empty = none.
func (d *Driver) slotAt(ctx context.Context, address string) string { return d.cfg.Replication.Slot }
