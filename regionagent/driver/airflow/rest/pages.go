package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// maxListed is the most entries one list is read to: what is longer is an error, never a part that looks like the whole.
const maxListed = 200_000

// list reads every page of a collection; key is its name in the answer. Where the API has cursors they are used: with offsets an entry that changes while the pages are read may be
// missed.
func list[T any](ctx context.Context, c *Client, path, key string, query url.Values, cursor bool) ([]T, error) {
	var all []T
	seen := map[string]bool{}
	for next := ""; ; {
		q := maps.Clone(query)
		if q == nil {
			q = url.Values{}
		}
		q.Set("limit", strconv.Itoa(pageSize))
		if cursor {
			q.Set("cursor", next)
		}
		if next == "" && len(all) > 0 {
			q.Set("offset", strconv.Itoa(len(all)))
		}
		var page map[string]json.RawMessage
		if err := c.do(ctx, call{method: http.MethodGet, path: path, query: q, to: &page}); err != nil {
			return nil, err
		}
		var part []T
		var total, capped *int
		var after *string
		if err := errors.Join(field(page, key, &part), field(page, "total_entries", &total), field(page, "total_entries_limit", &capped), field(page, "next_cursor", &after)); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		if page[key] == nil {
			return nil, fmt.Errorf("GET %s: the answer has no %s", path, key)
		}
		all = append(all, part...)
		switch {
		case len(all) > maxListed:
			return nil, fmt.Errorf("GET %s: more than %d entries", path, maxListed)
		case after != nil && *after != "" && seen[*after]:
			return nil, fmt.Errorf("GET %s: its pages go round in a circle", path)
		case after != nil && *after != "":
			next = *after
			seen[next] = true
		case capped != nil || len(part) == 0 || total == nil || len(all) >= *total: // by cursors, and there is no next; or all of it by offsets
			return all, nil
		default:
			next = ""
		}
	}
}

func field(page map[string]json.RawMessage, name string, to any) error {
	raw := page[name]
	if raw == nil {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
