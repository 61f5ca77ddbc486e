package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// place is where a server listens.
type place struct {
	port   int
	socket string // directory of its unix socket, empty = none
	listen string // a TCP address it listens on, empty = none
}

func (p place) unix() string {
	return filepath.Join(p.socket, ".s.PGSQL."+strconv.Itoa(p.port))
}

// address is the port that must be closed once the server is gone.
func (p place) address() string {
	host, _, _ := strings.Cut(p.listen, ",")
	switch host = strings.TrimSpace(host); host {
	case "":
		return ""
	case "*", "0.0.0.0", "localhost":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(p.port))
}

// where is the running server's place by its pid file, else the configured one. The last answer is kept for while the files can't tell.
func (d *Driver) where(ctx context.Context) (place, error) {
	if f, err := readPIDFile(d.cfg.Data); err == nil && f.port > 0 && (f.socket != "" || f.listen != "") {
		p := place{f.port, f.socket, f.listen}
		if f.socket != d.private() { // nobody's place but for a while
			d.lastPlace.Store(&p)
		}
		return p, nil
	}
	if p := d.lastPlace.Load(); p != nil {
		return *p, nil
	}
	return d.configured(ctx)
}

// placeLimit bounds how long the configuration files may take to be asked.
const placeLimit = 15 * time.Second

// configured is the place that the files of a server give which is down. They are asked by running its program, which may take longer on a busy host than whoever wants to know may
// wait: then that goes on for whoever asks next.
func (d *Driver) configured(ctx context.Context) (place, error) {
	moved := d.moved.Load()
	asked := d.placing.DoChan(fmt.Sprint(moved), func() (any, error) {
		short, cancel := context.WithTimeout(d.life, placeLimit)
		defer cancel()
		p, err := d.askFiles(short)
		if err == nil && d.moved.Load() == moved {
			d.lastPlace.CompareAndSwap(nil, &p) // a server that came up meanwhile knows better
		}
		return p, err
	})
	select {
	case r := <-asked:
		return r.Val.(place), r.Err
	case <-ctx.Done():
		return place{}, fmt.Errorf("ask the configuration files where the server listens: %w", ctx.Err())
	}
}

// forgetPlace has the files asked anew: they are others.
func (d *Driver) forgetPlace() {
	d.moved.Add(1)
	d.lastPlace.Store(nil)
}

func (d *Driver) askFiles(ctx context.Context) (p place, err error) {
	for name, take := range map[string]func(string) error{
		"port":             func(s string) (err error) { p.port, err = strconv.Atoi(s); return err },
		"listen_addresses": func(s string) error { p.listen = s; return nil },
		"unix_socket_directories": func(s string) error {
			p.socket, _, _ = strings.Cut(s, ",")
			p.socket = strings.TrimSpace(p.socket)
			return nil
		},
	} {
		s, err := d.setting(ctx, name)
		if err == nil {
			err = take(s)
		}
		if err != nil {
			return place{}, err
		}
	}
	return p, nil
}

// advertised is the place that the agent's configuration gives, none if it does not.
func (d *Driver) advertised() (p place) {
	if host, port, err := net.SplitHostPort(d.cfg.Advertise); err == nil {
		p.listen = host
		p.port, _ = strconv.Atoi(port) // Validate has passed it
	}
	return p
}

// setting asks the configuration files, as the server would read them.
func (d *Driver) setting(ctx context.Context, name string) (string, error) {
	conf, err := d.configFile()
	if err != nil {
		return "", err
	}
	out, err := d.tool(ctx, "postgres", "-D", d.cfg.Data, "-c", "config_file="+conf, "-C", name)
	return strings.TrimSpace(out), err
}

// configFile is the server's postgresql.conf: in the data directory, or where Debian keeps it.
func (d *Driver) configFile() (string, error) {
	path := filepath.Join(d.cfg.Data, "postgresql.conf")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if m := debianUnit.FindStringSubmatch(d.cfg.Unit); m != nil {
		root := os.Getenv("PG_CLUSTER_CONF_ROOT")
		if root == "" {
			root = "/etc/postgresql"
		}
		return filepath.Join(root, m[1], m[2], "postgresql.conf"), nil
	}
	return "", fmt.Errorf("find postgresql.conf: it is not in %s, and unit %q does not tell where", d.cfg.Data, d.cfg.Unit)
}

// closed reports whether nobody listens where the server would. The answer of a live but silent host is "not closed".
func (d *Driver) closed(ctx context.Context) (bool, error) {
	p, err := d.where(ctx)
	if err != nil && d.empty() { // and no settings to ask
		p, err = d.advertised(), nil
	}
	if err != nil {
		return false, err
	}
	refuses := func(network, addr string) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, addr)
		if err == nil {
			conn.Close()
			return fmt.Errorf("somebody listens on %s", addr)
		}
		if errors.Is(err, syscall.ECONNREFUSED) || network == "unix" && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	if p.socket != "" {
		err = refuses("unix", p.unix())
	}
	if a := p.address(); err == nil && a != "" {
		err = refuses("tcp", a)
	}
	return err == nil, err
}
