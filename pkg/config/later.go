package config

// What this version reads but does not do. Each is checked for its shape, then refused: it must never be ignored in silence.

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
