package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"context"
)

// ErrNotOffered says that this version of Airflow has no such thing.
var ErrNotOffered = errors.New("this version of Airflow does not offer it")

// Error is an answer that is no yes.
type Error struct {
	Method, Path string
	Status       int    // HTTP
	Detail       string // what it said, in one line
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Status is the HTTP status of an error's answer; 0 = there was no answer, or no error.
func Status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

const maxDetail = 300

// detail reads what a refusal says: {"detail": text, or a list of {"loc", "msg"}} of both versions, or plain text.
func detail(b []byte) string {
	var of struct {
		Detail json.RawMessage `json:"detail"`
		Title  string          `json:"title"`
	}
	text := string(b)
	if err := json.Unmarshal(b, &of); err == nil {
		var s string
		var list []struct {
			Loc []any  `json:"loc"`
			Msg string `json:"msg"`
		}
		switch {
		case json.Unmarshal(of.Detail, &s) == nil && s != "":
			text = s
		case json.Unmarshal(of.Detail, &list) == nil && len(list) > 0:
			var all []string
			for _, l := range list {
				all = append(all, fmt.Sprintf("%v %s", l.Loc, l.Msg))
			}
			text = strings.Join(all, "; ")
		case len(of.Detail) > 0:
			text = string(of.Detail)
		case of.Title != "":
			text = of.Title
		}
	}
	return strings.Join(strings.Fields(fmt.Sprintf("%.*s", maxDetail, text)), " ")
}

func dialer(limit time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return (&net.Dialer{Timeout: limit}).DialContext
}
