package postgres

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/switchback-dr/switchback/events"
)

// Config says how to reach and run one server. Unit or Data is required, everything else can be found on the host.
type Config struct {
	Cluster events.Ref `yaml:"-"` // whom it serves; its cluster name is the application_name of its replication link

	Unit        string      `yaml:"unit"`         // systemd unit that runs it; Debian's postgresql@15-main also tells data, user and bin
	Data        string      `yaml:"data"`         // data directory, absolute; default from a Debian unit
	Bin         string      `yaml:"bin"`          // directory of pg_ctl and postgres; default by the version of the data directory
	User        string      `yaml:"user"`         // OS user that owns the server; default the owner of Data
	DSNFile     string      `yaml:"dsn_file"`     // connection string of a superuser; default the local socket as User, by peer authentication
	Advertise   string      `yaml:"advertise"`    // host:port where clients and peers reach it; default the host's name and the server's port
	Replication Replication `yaml:"replication"`  // how it connects to an upstream
	RebuildRate int64       `yaml:"rebuild_rate"` // bytes per second that a copy may take from its source; 0 = unlimited, else 32 kB to 1 GB

	Cgroup string `yaml:"-"` // cgroup of version 2 to start it in, made if it is missing; empty = its starter's, or its unit's

	Metrics *Metrics `yaml:"-"` // shared by an agent's drivers; nil = not counted
}

// Replication is the standby's side of a replication link.
type Replication struct {
	User         string `yaml:"user"`          // default "replicator"
	PasswordFile string `yaml:"password_file"` // in libpq's pgpass format, readable by the server's owner alone; empty = trust or a certificate
	Slot         string `yaml:"slot"`          // primary_slot_name, empty = none
	Options      string `yaml:"options"`       // further libpq keywords, as in sslmode=verify-full sslrootcert=/etc/switchback/ca.crt
}

// ErrConfig is in every error about a Config.
var ErrConfig = errors.New("postgres")

func wrong(field string, value any, want string, args ...any) error {
	return fmt.Errorf("%w: %s %q: want %s", ErrConfig, field, value, fmt.Sprintf(want, args...))
}

var (
	debianUnit = regexp.MustCompile(`^postgresql@(\d+)-(.+?)(\.service)?$`)
	slotName   = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
	majorOnly  = regexp.MustCompile(`^\d+$`)
	secret     = regexp.MustCompile(`(?i)\b(ssl)?password\s*=`)
)

// Validate checks the shape of every field and returns all that is wrong, each naming the field, the value and what would be right. It looks
// at the host only for the OS user; a data directory may be missing while it is rebuilt.
func (c Config) Validate() error {
	var bad []error
	if c.Cluster.Region == "" || c.Cluster.Cluster == "" {
		bad = append(bad, wrong("cluster", c.Cluster, "region/cluster"))
	}
	if c.Data == "" && !debianUnit.MatchString(c.Unit) {
		bad = append(bad, wrong("data", c.Data, "the data directory, unless unit is one of Debian's, as in postgresql@15-main (unit is %q)", c.Unit))
	}
	for field, dir := range map[string]string{"data": c.Data, "bin": c.Bin, "dsn_file": c.DSNFile, "replication.password_file": c.Replication.PasswordFile} {
		if dir != "" && (!filepath.IsAbs(dir) || filepath.Clean(dir) == "/" || strings.ContainsAny(dir, "'\"$`\n\\")) {
			bad = append(bad, wrong(field, dir, "an absolute path without quotes, $, backslashes or line ends"))
		}
	}
	if strings.ContainsAny(c.Unit, "/ \n") || strings.HasPrefix(c.Unit, "-") {
		bad = append(bad, wrong("unit", c.Unit, "the name of a systemd unit"))
	}
	if c.User != "" {
		if _, err := user.Lookup(c.User); err != nil {
			bad = append(bad, wrong("user", c.User, "an OS user of this host (%v)", err))
		} else if c.User == "root" {
			bad = append(bad, wrong("user", c.User, "not root: PostgreSQL refuses to run as root"))
		}
	}
	if c.Advertise != "" {
		if err := checkHostPort(c.Advertise); err != nil {
			bad = append(bad, wrong("advertise", c.Advertise, "host:port (%v)", err))
		}
	}
	if s := c.Replication.Slot; s != "" && !slotName.MatchString(s) {
		bad = append(bad, wrong("replication.slot", s, "1 to 63 of a-z, 0-9 and _"))
	}
	if r := c.RebuildRate; r != 0 && (r < minRate || r > maxRate) {
		bad = append(bad, wrong("rebuild_rate", strconv.FormatInt(r, 10), "0 (unlimited), or %d to %d bytes per second, which is what pg_basebackup can keep to", int64(minRate), int64(maxRate)))
	}
	for field, s := range map[string]string{"replication.user": c.Replication.User, "replication.options": c.Replication.Options} {
		if strings.ContainsAny(s, "'\n\\") {
			bad = append(bad, wrong(field, s, "no quotes, backslashes or line ends"))
		}
	}
	if secret.MatchString(c.Replication.Options) { // pg_rewind and pg_basebackup get them on their command lines, which everybody on the host can read
		bad = append(bad, wrong("replication.options", secret.FindString(c.Replication.Options)+"…", "no secrets: put a password into replication.password_file"))
	}
	return errors.Join(bad...)
}

// What pg_basebackup can keep to, in bytes per second.
const (
	minRate = 32e3
	maxRate = 1 << 30
)

func checkHostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("port %q is not one of 1 to 65535", port)
	}
	if host == "" || strings.ContainsAny(host, "'\\ \n,") {
		return fmt.Errorf("%q is not a host", host)
	}
	return nil
}

// complete fills in what can be found on this host.
func (c Config) complete() (Config, error) {
	if c.Data == "" {
		if err := c.fromDebian(); err != nil {
			return c, err
		}
	}
	c.Data = filepath.Clean(c.Data)
	if c.User == "" {
		if err := c.findUser(); err != nil {
			return c, err
		}
	}
	if c.Bin == "" {
		if err := c.findBin(); err != nil {
			return c, err
		}
	}
	if _, err := os.Stat(filepath.Join(c.Bin, "pg_ctl")); err != nil {
		return c, wrong("bin", c.Bin, "a directory that holds pg_ctl (%v)", err)
	}
	if c.Replication.User == "" {
		c.Replication.User = "replicator"
	}
	return c, nil
}

// fromDebian asks the host's registry of clusters.
func (c *Config) fromDebian() error {
	m := debianUnit.FindStringSubmatch(c.Unit)
	out, err := exec.Command("pg_lsclusters", "--no-header").Output()
	if err != nil {
		return fmt.Errorf("%w: unit %q: run pg_lsclusters: %w", ErrConfig, c.Unit, err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 6 && f[0] == m[1] && f[1] == m[2] {
			c.Data = f[5]
			if _, err := user.Lookup(f[4]); err == nil && c.User == "" { // <unknown> while there is no data
				c.User = f[4]
			}
			return nil
		}
	}
	return wrong("unit", c.Unit, "a cluster that pg_lsclusters shows")
}

// put is where the data may be: in its place, or beside it in the middle of a restore.
func (c *Config) put() []string { return []string{c.Data, c.Data + ".switchback/" + oldDir} }

// findUser looks at who owns the data. Where there is none yet, it is the user that packages make.
func (c *Config) findUser() error {
	for _, dir := range c.put() {
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		u, err := user.LookupId(strconv.Itoa(int(info.Sys().(*syscall.Stat_t).Uid)))
		if err != nil {
			return fmt.Errorf("%w: look up owner of %s: %w", ErrConfig, dir, err)
		}
		if c.User = u.Username; c.User == "root" {
			return wrong("user", c.User, "a data directory that is not root's: %s", dir)
		}
		return nil
	}
	if _, err := user.Lookup("postgres"); err != nil {
		return wrong("user", "", "the OS user that is to own the server, as there is no data in %s (%v)", c.Data, err)
	}
	c.User = "postgres"
	return nil
}

// findBin looks where Debian's and the PGDG's packages install each major version. Where there is no data yet, it is the only one installed.
func (c *Config) findBin() error {
	major := "*"
	for _, dir := range c.put() {
		b, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
		if v := strings.TrimSpace(string(b)); err == nil && majorOnly.MatchString(v) {
			major = v
			break
		}
	}
	var found []string
	for _, pattern := range []string{"/usr/lib/postgresql/" + major + "/bin/pg_ctl", "/usr/pgsql-" + major + "/bin/pg_ctl"} {
		m, _ := filepath.Glob(pattern) // the only error is a bad pattern
		found = append(found, m...)
	}
	switch {
	case len(found) == 1:
		c.Bin = filepath.Dir(found[0])
		return nil
	case major == "*":
		return wrong("bin", "", "the directory of pg_ctl, as %s/PG_VERSION can't tell (installed: %v)", c.Data, found)
	}
	return wrong("bin", "", "the directory of pg_ctl: PostgreSQL %s is not where packages install it (found %v)", major, found)
}
