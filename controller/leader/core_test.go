package leader

import (
	"testing"
	"time"

	"github.com/switchback-dr/switchback/events"
)

const ttl = time.Second

func at(d time.Duration) events.Instant { return events.Instant(time.Minute + d) }

func TestClaimsOnlyAfterATimeoutWithoutASign(t *testing.T) {
	t.Parallel()
	c := New(ttl, 0, false, at(0))
	c.Polled(at(0), 5, 9, "r/c")
	for d := time.Duration(0); d <= ttl; d += ttl / 8 {
		if do, _ := c.Next(at(d)); do == Claim {
			t.Fatalf("claims %v after the last sign of life", d)
		}
	}
	c.Polled(at(ttl), 5, 10, "r/c")
	if do, _ := c.Next(at(ttl + ttl/2)); do == Claim {
		t.Fatal("claims although the lease was renewed half a TTL ago")
	}
	c.Polled(at(2*ttl), 5, 10, "r/c") // it goes on looking
	if do, _ := c.Next(at(2*ttl + 1)); do != Claim {
		t.Fatalf("wants %v a TTL after the last renewal: want a claim", do)
	}
	if c.Epoch() != 5 {
		t.Fatalf("expects epoch %d: want the last one seen", c.Epoch())
	}
}

func TestServerThatIsBehindIsNoSignOfLife(t *testing.T) {
	t.Parallel()
	c := New(ttl, 0, false, at(0))
	c.Polled(at(0), 5, 9, "r/c")
	c.Polled(at(ttl), 5, 7, "r/c")
	if do, _ := c.Next(at(ttl + 1)); do != Claim {
		t.Fatalf("wants %v: an older sequence counted as a renewal", do)
	}
}

func TestTrustCountsFromTheRequest(t *testing.T) {
	t.Parallel()
	c := New(ttl, 0, false, at(0))
	c.Claimed(at(0), 12)
	if c.Term() != 12 || !c.Leads(at(ttl*8/10-1)) || c.Leads(at(ttl*8/10)) {
		t.Fatalf("term %d", c.Term())
	}
	c.Renewed(at(ttl / 2))
	if !c.Leads(at(ttl)) {
		t.Fatal("a renewal did not prolong it")
	}
	if do, _ := c.Next(at(ttl)); do != Renew {
		t.Fatalf("wants %v: want a renewal every TTL/3", do)
	}
}

func TestAfterAFenceItWaitsAfterAMissingAnswerItClaims(t *testing.T) {
	t.Parallel()
	c := New(ttl, 1, false, at(0))
	c.Claimed(at(0), 12)
	c.Lost(at(1))
	if do, _ := c.Next(at(ttl / 2)); do == Claim || c.Term() != 0 {
		t.Fatal("a fenced leader claims at once")
	}
	c.Claimed(at(0), 12)
	c.Abandon(at(1))
	if do, _ := c.Next(at(2)); do != Claim {
		t.Fatalf("wants %v: nobody else is known to lead", do)
	}
}

func TestNothingIsClaimedOnSilence(t *testing.T) {
	t.Parallel()
	c := New(ttl, 0, true, at(0))
	for d := time.Duration(0); d < 30*ttl; d += ttl / 8 {
		if do, _ := c.Next(at(d)); do == Claim {
			t.Fatal("claims although no poll was ever answered")
		}
		c.PollFailed(at(d))
	}
}

// One that stood still itself has not seen that the leader did: it would take a healthy leader's term when it goes on.
func TestPausedFollowerLooksBeforeItClaims(t *testing.T) {
	t.Parallel()
	for _, prefer := range []bool{false, true} {
		c := New(ttl, 0, prefer, at(0))
		c.Polled(at(0), 5, 9, "r/c")
		gone := 20 * ttl
		if do, _ := c.Next(at(gone)); do != Poll {
			t.Fatalf("wants %v after a pause: want it to look first", do)
		}
		c.Polled(at(gone+1), 5, 40, "r/c")
		if do, _ := c.Next(at(gone + ttl/2)); do == Claim {
			t.Fatal("claims although the leader was seen to renew")
		}
		c.Polled(at(gone+ttl), 5, 40, "r/c")
		if do, _ := c.Next(at(gone + ttl + 2)); do != Claim {
			t.Fatalf("wants %v a TTL after what it saw last: want a claim", do)
		}
	}
}

func TestPreferredTakesOverOnceSteady(t *testing.T) {
	t.Parallel()
	c := New(ttl, 0, true, at(0))
	var claimed time.Duration
	for d, n := time.Duration(0), events.Seq(1); d < 30*ttl && claimed == 0; d += ttl / 8 {
		n++
		c.Polled(at(d), 5, n, "r/other")
		if do, _ := c.Next(at(d)); do == Claim {
			claimed = d
		}
	}
	if claimed <= preferAfter*ttl {
		t.Fatalf("took over after %v: want it steady for %v first", claimed, preferAfter*ttl)
	}
}

// TestARefusedClaimIsFollowedByWhatIsThere: the hub was put back from a backup of before the term that everybody knows.
func TestARefusedClaimIsFollowedByWhatIsThere(t *testing.T) {
	t.Parallel()
	c := New(ttl, 0, false, at(0))
	c.Polled(at(0), 50, 60, "x")
	c.Polled(at(1), 12, 14, "x")
	if c.Epoch() != 50 {
		t.Fatalf("claims expect %d: an answer of a server that is behind lowered it", c.Epoch())
	}
	c.Lost(at(ttl + 1)) // the claim that expected 50 was refused
	c.Polled(at(ttl+2), 12, 14, "x")
	if c.Epoch() != 12 {
		t.Fatalf("claims expect %d for ever: 12 is what is there", c.Epoch())
	}
	c.Polled(at(2*ttl+2), 12, 14, "x") // it goes on looking
	if do, _ := c.Next(at(2*ttl + 3)); do != Claim {
		t.Fatalf("wants %v: less than what was known is no sign of life", do)
	}
}
