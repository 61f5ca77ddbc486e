package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/switchback-dr/switchback/events"
)

// release leaves a running server in its role, as if we had never been there: whom it follows becomes a setting of its own, and our mark, files, gate
// and slots go. What was kept of lost commits stays.
func (d *Driver) release(ctx context.Context) events.Result {
	h := d.rested(ctx)
	if h.Server != events.ServerRecovery {
		if r := must(h, events.ServerWritable); r != nil {
			return *r
		}
	}
	u, there := d.upstream()
	if u.cut {
		return refused("its receiver is cut from %s: let it follow first, or it would follow nobody for good", u.source)
	}
	already := !d.left()
	var settings [][2]string
	if there && h.Server == events.ServerRecovery && u.source != "" {
		settings = [][2]string{{"primary_conninfo", d.conninfo(u.source)}, {"primary_slot_name", d.slotName(u)}}
	}
	err := d.work.use(ctx, func(c *pgx.Conn) error { return hand(ctx, c, settings) })
	if err == nil && h.Server == events.ServerWritable {
		_, err = remove(d.path(signalFile)) // it would come up in recovery
	}
	if err == nil {
		err = d.dropInclude()
	}
	for _, name := range []string{upstreamFile, syncFile, neutralFile, writerFile, markFile, copyFile} {
		if err == nil {
			_, err = remove(d.path(name))
		}
	}
	if err == nil {
		err = d.work.use(ctx, func(c *pgx.Conn) error { return letGo(ctx, c) })
	}
	if err != nil {
		return unknown("release: %v", err)
	}
	r := done(already)
	r.Timeline = h.Timeline
	return r
}

// left reports whether anything of ours is in the data.
func (d *Driver) left() bool {
	for _, name := range []string{upstreamFile, syncFile, neutralFile, writerFile, markFile} {
		if exists(d.path(name)) {
			return true
		}
	}
	return false
}

// hand makes settings the server's own, before the files that give them go.
func hand(ctx context.Context, c *pgx.Conn, settings [][2]string) error {
	for _, s := range settings {
		value := "'" + strings.ReplaceAll(s[1], "'", "''") + "'"
		if _, err := c.Exec(ctx, "ALTER SYSTEM SET "+s[0]+" = "+value); err != nil {
			return fmt.Errorf("set %s: %w", s[0], err)
		}
	}
	return nil
}

// letGo makes the server forget our settings and drops our slots that nobody uses.
func letGo(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, "SELECT pg_reload_conf()")
	if err == nil {
		_, err = c.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND starts_with(slot_name, '"+slotPrefix+"')")
	}
	return err
}

// dropInclude takes our line out of the site's postgresql.conf. Where a copy brought the source's settings, the line for this server's own place to listen
// stays, as that is not in there.
func (d *Driver) dropInclude() error {
	conf, err := d.configFile()
	if err != nil {
		return err
	}
	b, err := d.read(conf)
	if err != nil {
		return err
	}
	body := withoutOurs(string(b))
	if identity, err := d.read(d.beside(identityFile)); err == nil {
		body += "\n# this server's own place to listen, in place of the one above\n" + string(identity)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := d.writeIfChanged(conf, body); err != nil {
		return err
	}
	_, err = remove(d.beside(identityFile))
	return err
}
