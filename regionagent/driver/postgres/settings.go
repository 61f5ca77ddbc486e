package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Our files in the data directory. A rewind or a base backup copies all of them from the other side, so every start renders them anew and
// none is believed without the cluster's name in it.
const (
	signalFile   = "standby.signal"
	neutralFile  = "switchback.conf"          // settings that hold in either role
	upstreamFile = "switchback.upstream.conf" // whom it follows
	writerFile   = "switchback.writer"        // its log was last written by itself
	markFile     = "switchback.mark"          // under our care
	logFile      = "switchback.log"           // what a server started by pg_ctl prints
)

func (d *Driver) path(name string) string { return filepath.Join(d.cfg.Data, name) }

// neutral is what must hold in either role. restart_after_crash: a restart inside the postmaster would read standby.signal and come up in
// recovery (facts, measured); the gate restarts instead. A server whose settings were copied has its own place to listen after that.
const (
	neutral = "# Written by Switchback at every start; changes are lost.\n" +
		"restart_after_crash = off\n" +
		"hot_standby = on\n" +
		"recovery_target_timeline = 'latest'\n"
	neutralEnd = "include_if_exists = '" + upstreamFile + "'\ninclude_if_exists = '" + syncFile + "'\n"
)

// The settings our two files give. An ALTER SYSTEM of one of them would win over us, so it is reset.
var (
	neutralSettings  = []string{"restart_after_crash", "hot_standby", "recovery_target_timeline"}
	upstreamSettings = []string{"primary_conninfo", "primary_slot_name"}
)

// render puts our settings in place. The include is the last line of the site's postgresql.conf, which keeps ours the last word but for
// postgresql.auto.conf.
func (d *Driver) render() error {
	if err := d.ownWaits(); err != nil {
		return err
	}
	conf, err := d.configFile()
	if err != nil {
		return err
	}
	include := neutralFile
	if filepath.Dir(conf) != d.cfg.Data {
		include = d.path(neutralFile)
	}
	b, err := d.read(conf)
	if err != nil {
		return fmt.Errorf("render settings: %w", err)
	}
	body := withoutOurs(string(b))
	if body != "" && !strings.HasSuffix(body, "\n") {
		body += "\n"
	}
	identity, err := d.read(d.beside(identityFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("render settings: %w", err)
	}
	if _, err := d.writeIfChanged(d.path(neutralFile), neutral+string(identity)+neutralEnd); err != nil {
		return err
	}
	body += fmt.Sprintf("include_if_exists = '%s' %s\n", include, includeMark)
	if info, err := os.Lstat(conf); err == nil && !info.Mode().IsRegular() && body != string(b) {
		return fmt.Errorf("render settings: %s is no regular file: make its last line: include_if_exists = '%s' %s", conf, d.path(neutralFile), includeMark)
	}
	_, err = d.writeIfChanged(conf, body)
	return err
}

// includeMark ends the line of ours in the site's postgresql.conf.
const includeMark = "# switchback: keep this line last"

// withoutOurs is the site's postgresql.conf without it.
func withoutOurs(conf string) string {
	var keep strings.Builder
	for line := range strings.Lines(conf) {
		if !strings.HasSuffix(strings.TrimSpace(line), includeMark) {
			keep.WriteString(line)
		}
	}
	return keep.String()
}

// dropAlterSystem takes our settings out of postgresql.auto.conf of a server that is down (pg_basebackup -R writes them there).
func (d *Driver) dropAlterSystem(settings []string) error {
	path := d.path("postgresql.auto.conf")
	b, err := d.read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read settings of ALTER SYSTEM: %w", err)
	}
	var keep strings.Builder
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		if !slices.Contains(settings, strings.ToLower(strings.TrimSpace(name))) {
			keep.WriteString(line)
		}
	}
	_, err = d.writeIfChanged(path, keep.String())
	return err
}

// resetAlterSystem does the same to a running one.
func resetAlterSystem(ctx context.Context, c *pgx.Conn, settings []string) error {
	rows, err := c.Query(ctx, `SELECT name FROM pg_file_settings WHERE name = ANY($1) AND sourcefile LIKE '%/postgresql.auto.conf'`, settings)
	if err != nil {
		return fmt.Errorf("look for settings of ALTER SYSTEM: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for settings of ALTER SYSTEM: %w", err)
	}
	for _, name := range names {
		if _, err := c.Exec(ctx, "ALTER SYSTEM RESET "+name); err != nil {
			return fmt.Errorf("reset %s: %w", name, err)
		}
	}
	return nil
}

// upstream is whom a standby follows. A cut keeps the source, so that it can be undone.
type upstream struct {
	source string // host:port, empty = nobody
	slot   string // of ours on the source, empty = none
	cut    bool
}

// text renders the file. A cut, and a server that follows nobody, fetch no log from an archive either: it would move the LSN that stands.
func (d *Driver) text(u upstream) string {
	var b strings.Builder
	b.WriteString("# Written by Switchback; changes are lost.\n")
	if u.source != "" {
		fmt.Fprintf(&b, "# source %s\n", u.source)
	}
	if u.slot != "" {
		fmt.Fprintf(&b, "# slot %s\n", u.slot)
	}
	if u.cut {
		b.WriteString("# cut\n")
	}
	if u.cut || u.source == "" {
		b.WriteString("primary_conninfo = ''\nrestore_command = ''\n")
		return b.String()
	}
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	fmt.Fprintf(&b, "primary_conninfo = %s\nprimary_slot_name = %s\n", quote(d.conninfo(u.source)), quote(d.slotName(u)))
	return b.String()
}

// slotName is the slot it uses there: the site's own, else ours.
func (d *Driver) slotName(u upstream) string { return cmp.Or(d.cfg.Replication.Slot, u.slot) }

// conninfo is how it connects to a source that checkHostPort has passed. Its application_name is the cluster's, for the upstream's views and
// synchronous_standby_names.
func (d *Driver) conninfo(source string) string {
	host, port, _ := net.SplitHostPort(source)
	r := d.cfg.Replication
	s := fmt.Sprintf("host=%s port=%s user=%s application_name=%s connect_timeout=5", host, port, r.User, d.cfg.Cluster.Cluster)
	if r.PasswordFile != "" {
		s += " passfile='" + r.PasswordFile + "'"
	}
	if r.Options != "" {
		s += " " + r.Options
	}
	return s
}

// upstream reads the file back; without one it follows nobody that we know.
func (d *Driver) upstream() (u upstream, there bool) {
	b, err := d.read(d.path(upstreamFile))
	if err != nil {
		return u, false
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if s, ok := strings.CutPrefix(line, "# source "); ok {
			u.source = s
		}
		if s, ok := strings.CutPrefix(line, "# slot "); ok {
			u.slot = s
		}
		u.cut = u.cut || line == "# cut"
	}
	return u, true
}

func (d *Driver) setUpstream(u upstream) (changed bool, err error) {
	return d.writeIfChanged(d.path(upstreamFile), d.text(u))
}

// own is the content of the writer and mark files.
type own struct {
	Cluster  string `json:"cluster"`
	Group    string `json:"group,omitempty"`    // mark
	Timeline uint32 `json:"timeline,omitempty"` // writer: it was made writable on this timeline by its gate or a promotion
}

func (d *Driver) readOwn(name string) (o own, err error) {
	b, err := d.read(d.path(name))
	if err != nil {
		return o, err
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fmt.Errorf("read %s: %w", name, err)
	}
	return o, nil
}

func (d *Driver) writeOwn(name string, o own) (changed bool, err error) {
	o.Cluster = d.cfg.Cluster.String()
	b, err := json.Marshal(o)
	if err != nil {
		return false, err
	}
	return d.writeIfChanged(d.path(name), string(b)+"\n")
}
