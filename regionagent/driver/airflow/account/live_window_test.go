package account

import (
	"testing"
	"time"
)

// One scheduler that was begun and died at once does not move the window: it began when the one before it was heard last.
func TestAWindowBeginsWithTheLastSchedulerThatWasWell(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }
	for name, x := range map[string]struct {
		dead []job
		want int64
	}{
		"one":                        {[]job{{id: 3, start: at(0), beat: at(500)}}, 3},
		"two attempts after it":      {[]job{{id: 5, start: at(560), beat: at(565)}, {id: 4, start: at(530), beat: at(531)}, {id: 3, start: at(0), beat: at(500)}, {id: 2, start: at(-900), beat: at(-10)}}, 3},
		"two at a time on that side": {[]job{{id: 4, start: at(0), beat: at(501)}, {id: 3, start: at(0), beat: at(500)}}, 4},
		"none was ever well":         {[]job{{id: 2, start: at(20), beat: at(22)}, {id: 1, start: at(0), beat: at(2)}}, 1},
	} {
		if got := since(x.dead).id; got != x.want {
			t.Errorf("%s: job %d, want %d", name, got, x.want)
		}
	}
}
