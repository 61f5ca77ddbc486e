package postgres

import "testing"

// What a switch of the log leaves of its file belongs to it: a count that ends there is whole.
func TestSwitchTakesTheRestOfItsFile(t *testing.T) {
	t.Parallel()
	const block, seg = 8192, 4 << 20
	for line, want := range map[string]string{
		"rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, lsn: 0/00C43740, prev 0/00C43708, desc: SWITCH ":                  "0/1000000",
		"rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, lsn: 0/00C43740, prev 0/00C43708, desc: NOOP ":                    "0/C43758",
		"rmgr: Transaction len (rec/tot):     34/    34, tx:        741, lsn: 0/00C43740, prev 0/00C43708, desc: COMMIT 2026-11-30 SWITCH": "0/C43768",
	} {
		if got, err := lineEnd(line, block, seg); err != nil || got.String() != want {
			t.Errorf("%s: ends at %v (%v), want %s", line, got, err, want)
		}
	}
}
