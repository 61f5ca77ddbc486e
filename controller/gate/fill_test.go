package gate

import "testing"

func TestFill(t *testing.T) {
	t.Parallel()
	for sentence, want := range map[string]string{
		"":                            "",
		"nothing to fill":             "nothing to fill",
		"{group} is in {region}":      "g1 is in r1",
		"{group}{group}":              "g1g1",
		"{unknown} stays, {group}":    "{unknown} stays, g1",
		"an open { and {group":        "an open { and {group",
		"what is put in is not: {it}": "what is put in is not: {group}",
	} {
		if got := Fill(sentence, "{group}", "g1", "{region}", "r1", "{it}", "{group}"); got != want {
			t.Errorf("%q: %q, want %q", sentence, got, want)
		}
	}
}
