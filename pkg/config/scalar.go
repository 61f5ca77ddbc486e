package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchback-dr/switchback/events"
)

// word reads one of a few words; def if the key is not there.
func word[T ~string](v value, def T, words ...T) T {
	plain := make([]string, len(words))
	for i, w := range words {
		plain[i] = string(w)
	}
	s, ok := v.text(list(plain))
	if ok && !slices.Contains(plain, s) {
		v.problem("%q: %s", s, want(s, plain))
		ok = false
	}
	if !ok {
		return def
	}
	return T(s)
}

// name reads a name of what.
func (v value) name(what string) string {
	s, ok := v.text("the name of a " + what)
	if !ok {
		return ""
	}
	if err := events.CheckName(what, s); err != nil {
		v.problem("%v", err)
		return ""
	}
	return s
}

// ref reads region/cluster.
func (v value) ref() (r events.Ref) {
	s, ok := v.text("region/cluster, as in eu-west-1/orders-a")
	if !ok {
		return r
	}
	r, err := events.ParseRef(s)
	if err != nil {
		v.problem("%v", err)
	}
	return r
}

// duration reads a duration between min and max, both inclusive; def if the key is not there.
func (v value) duration(def, lo, hi time.Duration) time.Duration {
	s, ok := v.text("a duration, like 250ms, 10s or 2m")
	if !ok {
		return def
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		v.problem("%q is not a duration: want a number and a unit, like 250ms, 10s or 2m", s)
	case d < lo || d > hi:
		v.problem("%s: want %v to %v", s, lo, hi)
	default:
		return d
	}
	return def
}

// integer reads a whole number between lo and hi, both inclusive; def if the key is not there.
func (v value) integer(def, lo, hi int) int {
	s, ok := v.text("a whole number")
	if !ok {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < lo || n > hi {
		v.problem("%q: want a whole number from %d to %d", s, lo, hi)
		return def
	}
	return n
}

// boolean reads true or false.
func (v value) boolean() bool {
	return word(v, "false", "true", "false") == "true"
}

// units of size, the longest suffix first.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseSize reads a size in bytes: a number and one of B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024).
// It is at least 1 B and at most 2^60 B.
func ParseSize(s string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil {
			break
		}
		if size := n * u.bytes; size >= 1 && size <= 1<<60 {
			return int64(size), nil
		}
		return 0, fmt.Errorf("size %q: want at least 1B and at most 1048576TiB", s)
	}
	return 0, fmt.Errorf("size %q: want a number and a unit, like 16MiB or 200MB (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)", s)
}

// size reads bytes; def if the key is not there.
func (v value) size(def int64) int64 {
	s, ok := v.text("a size, like 16MiB")
	if !ok {
		return def
	}
	n, err := ParseSize(s)
	if err != nil {
		v.problem("%v", err)
		return def
	}
	return n
}

// rate reads bytes per second between lo and hi, both inclusive; 0 if the key is not there.
func (v value) rate(lo, hi int64) int64 {
	s, ok := v.text("a size per second, like 200MB/s")
	if !ok {
		return 0
	}
	number, per := strings.CutSuffix(s, "/s")
	n, err := ParseSize(number)
	switch {
	case err != nil || !per:
		v.problem("rate %q: want a size per second, like 200MB/s", s)
	case n < lo || n > hi:
		v.problem("rate %q: want %s/s to %s/s; without it a restore goes as fast as it can", s, sizeText(lo), sizeText(hi))
	default:
		return n
	}
	return 0
}

// sizeText writes a size as ParseSize reads it, in the largest unit of 1000 that it is a whole number of.
func sizeText(n int64) string {
	unit := 0
	for n >= 1000 && n%1000 == 0 && unit < 4 {
		n, unit = n/1000, unit+1
	}
	return strconv.FormatInt(n, 10) + []string{"B", "kB", "MB", "GB", "TB"}[unit]
}

// file reads an absolute path; def if the key is not there.
func (v value) file(def string) string {
	s, ok := v.text("an absolute path")
	if !ok {
		return def
	}
	if !filepath.IsAbs(s) {
		v.problem("%q: want an absolute path, beginning with /", s)
		return def
	}
	return filepath.Clean(s)
}

// SecretFile is the path of a file that holds a secret. The file is read when the secret is needed, and only its path is ever printed.
type SecretFile string

// secret reads the path of a file that holds a secret. What it refuses it does not print: it may be the secret itself.
func (v value) secret() SecretFile {
	s, ok := v.text("the absolute path of a file")
	if ok && !filepath.IsAbs(s) {
		v.problem("is not an absolute path: want the path of the file that holds it, beginning with /")
		return ""
	}
	return SecretFile(s)
}

// Read returns what the file holds, without the line's end. The error names the file, never its content.
func (f SecretFile) Read() (string, error) {
	b, err := os.ReadFile(string(f))
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	if s == "" {
		return "", fmt.Errorf("read secret: %s is empty", f)
	}
	return s, nil
}

// address reads host:port. What others dial (dialled) needs a host that means something to them; what is listened on alone may leave it out.
func (v value) address(dialled bool) string {
	s, ok := v.text("host:port, as in 10.0.1.17:8701")
	if !ok {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 {
		v.problem("%q: want host:port, as in 10.0.1.17:8701, with a port from 1 to 65535", s)
		return ""
	}
	if ip, err := netip.ParseAddr(host); dialled && (host == "" || err == nil && ip.IsUnspecified()) {
		v.problem("%q: want the address that other regions dial, not every address of this host", s)
		return ""
	}
	return s
}

// Server is one NATS server of the hub.
type Server struct {
	Region string // empty: not written in the file; learned from the server when it is connected
	URL    string // nats://host:port or tls://host:port
}

// server reads nats://host:port or tls://host:port. What it refuses it does not print: it may hold a password.
func (v value) server() string {
	s, ok := v.text("a URL, as in tls://10.0.1.5:4222")
	if !ok {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "nats" && u.Scheme != "tls"):
		v.problem("is not the URL of a NATS server: want nats://host:port or tls://host:port")
	case u.User != nil:
		v.problem("holds a user or password: want tls://host:port, and the key of an identity in a file")
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		v.problem("has more than a host and a port: want %s://%s", u.Scheme, u.Host)
	case u.Hostname() == "":
		v.problem("has no host: want %s://host:port", u.Scheme)
	case u.Port() == "":
		return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), "4222")
	default:
		return s
	}
	return ""
}

// servers reads the hub: a map region → URL, or a list of URLs whose regions are learned when they are connected. The order of the file stays.
func (v value) servers() (all []Server) {
	if !v.there() {
		return nil
	}
	seen, before := map[string]bool{}, len(v.r.problems)
	add := func(v value, region string) {
		u := v.server()
		if u == "" {
			return
		}
		if seen[u] {
			v.problem("%s stands in the hub twice", u)
			return
		}
		seen[u] = true
		all = append(all, Server{region, u})
	}
	if v.isMap() {
		v.object(func(o *object) {
			o.each(func(e entry) { add(e.value, e.key.name("region")) })
		})
	} else {
		v.list(func(e value) { add(e, "") })
	}
	if len(all) == 0 && len(v.r.problems) == before {
		v.problem("names no server: want one URL for each hub region")
	}
	return all
}
