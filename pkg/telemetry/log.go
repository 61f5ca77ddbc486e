package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// The keys of log records. A record about one of these uses the key, so that a search over all processes finds it.
const (
	KeyRegion  = "region"
	KeyAgent   = "agent"
	KeyCluster = "cluster"
	KeyGroup   = "group"
	KeyEpoch   = "epoch"
	KeyTerm    = "term"
	KeyRule    = "rule"
	KeyCommand = "cmd"
	KeyTook    = "took"
	KeyErr     = "err"
)

// Err is the attribute of an error. Nil is written as an empty text.
func Err(err error) slog.Attr {
	if err == nil {
		return slog.String(KeyErr, "")
	}
	return slog.String(KeyErr, err.Error())
}

// ParseLevel reads the value of a --log-level flag: debug, info, warn or error.
func ParseLevel(s string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if s == strings.ToLower(l.String()) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", s)
}

// NewLogger writes text if w is a terminal and one JSON object per line otherwise. Level may be changed while it runs if it is a *slog.LevelVar.
func NewLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if Terminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// Terminal tells whether w is a terminal: a person reads it, not a program.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	if err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device too
	return err == nil && !os.SameFile(st, null)
}
