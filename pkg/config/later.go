package config

import (
	"strconv"
	"strings"
)

// What this version reads but does not do. Each is checked for its shape, then refused: it must never be ignored in silence.

// tasks reads what a workflow's group says about its task instances.
func tasks(o *object) {
	word(o.get("retry"), "", "safe", "all", "none")
	rate := o.get("rate")
	if s, ok := rate.text("a rate, as in 20/s"); ok {
		number, found := strings.CutSuffix(s, "/s")
		if n, err := strconv.ParseFloat(number, 64); !found || err != nil || !(n > 0) {
			rate.problem("%q: want a rate, as in 20/s", s)
		}
	}
	for _, key := range []string{"never", "ask"} {
		o.get(key).list(func(v value) { v.text("a tag") })
	}
}

// notifier reads one way to tell people.
func (f *fleet) notifier(e entry) {
	f.notifiers = append(f.notifiers, e.key.name("notifier"))
	e.value.object(func(o *object) {
		o.must("webhook", "{url_file, hmac_file}").object(func(o *object) {
			o.must("url_file", "the path of a file").secret()
			o.get("hmac_file").secret()
		})
	})
	e.key.notYet("a notifier")
}
