package model

import "testing"

// small is how many states of every configuration are searched in every test run; `make model` searches them all.
const small = 6000

func TestTheRulesHoldInTheFirstStatesOfEveryConfiguration(t *testing.T) {
	t.Parallel()
	moved := 0
	for _, c := range Cases() {
		r, err := Explore(&c, small, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.Bad != "" {
			t.Errorf("%s: %s", c.Name, r.Bad)
			for i, l := range r.Trace {
				t.Logf("%3d %s", i+1, l)
			}
		}
		moved += r.Moved
	}
	if moved == 0 {
		t.Error("nobody was promoted in any state: the search shows nothing")
	}
}
