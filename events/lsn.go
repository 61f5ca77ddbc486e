package events

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a position in a PostgreSQL write-ahead log; zero means unknown.
type LSN uint64

// String renders it as PostgreSQL does, X/Y in hexadecimal; unknown is "-".
func (l LSN) String() string {
	if l == 0 {
		return "-"
	}
	return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l))
}

// ParseLSN reads PostgreSQL's form; "" and "-" are unknown.
func ParseLSN(s string) (LSN, error) {
	if s == "" || s == "-" {
		return 0, nil
	}
	high, low, _ := strings.Cut(s, "/")
	hi, err := strconv.ParseUint(high, 16, 32)
	lo, err2 := strconv.ParseUint(low, 16, 32)
	if err != nil || err2 != nil {
		return 0, fmt.Errorf("LSN %q: want two hexadecimal numbers, as in 5/A1C0", s)
	}
	return LSN(hi<<32 | lo), nil
}

// MarshalText writes PostgreSQL's form.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (l *LSN) UnmarshalText(b []byte) (err error) {
	*l, err = ParseLSN(string(b))
	return err
}
