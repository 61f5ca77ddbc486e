package calendar

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ fields, zone, after, next string }{
		{"0 3 * * 6", "", "2026-11-30T12:00:00Z", "2026-12-05T03:00:00Z"},
		{"0 3 * * 6", "Europe/Helsinki", "2026-11-30T12:00:00Z", "2026-12-05T01:00:00Z"},
		{"*/15 * * * *", "UTC", "2026-11-30T12:07:30Z", "2026-11-30T12:15:00Z"},
		{"30 3 29 3 *", "Europe/Helsinki", "2026-01-01T00:00:00Z", "2027-03-29T00:30:00Z"}, // 03:30 of 2026-03-29 does not exist there: the clocks go forward
		{"0 10 1 * *", "America/New_York", "2026-11-30T12:00:00Z", "2026-12-01T15:00:00Z"},
	} {
		cal, err := Parse(c.fields, c.zone, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := cal.Next(at(t, c.after)); !ok || !got.Equal(at(t, c.next)) {
			t.Errorf("%s in %q after %s: %v, want %s", c.fields, c.zone, c.after, got.UTC(), c.next)
		}
	}
}

// An occurrence may be begun late, by as much as the file says and no more; of two that could be, the later counts.
func TestNow(t *testing.T) {
	t.Parallel()
	cal, err := Parse("0 */2 * * *", "", 3*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[string]string{
		"2026-11-30T12:00:00Z": "2026-11-30T12:00:00Z", "2026-11-30T13:59:59Z": "2026-11-30T12:00:00Z", "2026-11-30T11:59:59Z": "2026-11-30T10:00:00Z",
	} {
		if got, ok := cal.Now(at(t, now)); !ok || !got.Equal(at(t, want)) {
			t.Errorf("at %s: %v %v, want %s", now, got, ok, want)
		}
	}
	if cal, err = Parse("0 3 * * 6", "", 0); err != nil {
		t.Fatal(err)
	}
	if got, ok := cal.Now(at(t, "2026-12-05T03:59:59Z")); !ok || !got.Equal(at(t, "2026-12-05T03:00:00Z")) {
		t.Errorf("within an hour: %v %v", got, ok)
	}
	if got, ok := cal.Now(at(t, "2026-12-05T04:00:01Z")); ok {
		t.Errorf("more than an hour late, but %v may be begun", got)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for fields, says := range map[string]string{
		"TZ=0": "and the zone in zone", "CRON_TZ=UTC 0 3 * * 6": "and the zone in zone", "TZ=Europe/Helsinki": "and the zone in zone",
		"0 3 * *": "has 4 fields", "": "has 0 fields", "@daily": "has 1 fields", "0 0 3 * * 6": "has 6 fields", "61 * * * *": "61", "x * * * *": "x", "0 0 31 2 *": "never comes", "0 0 30 2 *": "never comes",
	} {
		if _, err := Parse(fields, "", 0); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %q", fields, err, says)
		}
	}
	for _, zone := range []string{"Local", "Mars/Base", "../etc/passwd"} {
		if _, err := Parse("0 3 * * 6", zone, 0); err == nil || !strings.Contains(err.Error(), "not a time zone") {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
}

// FuzzParse: whatever is written, it is read or refused; what was read comes, later than asked for.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 3 * * 6", "TZ=0", "TZ=Europe/Helsinki", "CRON_TZ= * * * *", "0 0 31 2 *", "*/0 * * * *", "1-0 * * * *", "0 0 * * 7", "59-70/2 , - / *", "? ? ? ? ?", "@every 1s * * *", "0 0 1 JAN MON"} {
		f.Add(s, "Europe/Helsinki")
	}
	f.Add("* * * * *", "")
	f.Fuzz(func(t *testing.T, fields, zone string) {
		c, err := Parse(fields, zone, time.Hour)
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC)
		next, ok := c.Next(now)
		if ok && !next.After(now) {
			t.Fatalf("%q in %q: %v is not after %v", fields, zone, next, now)
		}
		if began, ok := c.Now(now); ok && (began.After(now) || now.Sub(began) > time.Hour) {
			t.Fatalf("%q in %q: %v may not be begun at %v", fields, zone, began, now)
		}
	})
}
