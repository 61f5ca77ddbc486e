package postgres

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/switchback-dr/switchback/events"
)

// syncFile holds whom commits wait for, once the server was ever told.
const syncFile = "switchback.sync.conf"

// syncSettings are the settings it gives.
var syncSettings = []string{"synchronous_standby_names"}

// oddName stands first in every other setting. No cluster can have the name, so nobody is waited for by it, but it moves everybody's priority: a link's process
// shows by its own priority whether it has read this setting, or still goes by the one before.
const oddName = "switchback_odd"

// waits is an order as it lies in the data directory. Version 0 is nobody's: a follower's, or a server's that was just appointed.
type waits struct {
	version uint64
	names   []string
	odd     bool   // every other one
	cluster string // whose order it is: a copy or rewind brings the source's
}

// setting makes a commit wait for every one of the names, never for some of them: one that is cut then stops them all (C3e).
func (w waits) setting() string {
	if len(w.names) == 0 {
		return ""
	}
	var quoted []string
	if w.odd {
		quoted = append(quoted, `"`+oddName+`"`)
	}
	for _, n := range w.names {
		quoted = append(quoted, `"`+n+`"`)
	}
	return fmt.Sprintf("FIRST %d (%s)", len(w.names), strings.Join(quoted, ", "))
}

// priority is what the process of a link under that name shows once it has read the setting.
func (w waits) priority(name string) int {
	i := slices.Index(w.names, name)
	if i < 0 {
		return 0
	}
	if w.odd {
		i++
	}
	return i + 1
}

func (w waits) text() string {
	odd := ""
	if w.odd {
		odd = " odd"
	}
	return fmt.Sprintf("# Written by Switchback; changes are lost.\n# order %d of %s%s\n# for %s\nsynchronous_standby_names = '%s'\n", w.version, w.cluster, odd, strings.Join(w.names, " "), w.setting())
}

// waits reads the order back; there is none of this cluster's if the file is not there, or is another's.
func (d *Driver) waits() (w waits, there bool) {
	b, err := d.read(d.path(syncFile))
	if err != nil {
		return w, !errors.Is(err, os.ErrNotExist)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 5 && f[1] == "order":
			w.version, _ = strconv.ParseUint(f[2], 10, 64) // 0 is nobody's, as it should be
			w.cluster, w.odd = f[4], len(f) > 5
		case len(f) > 1 && f[1] == "for":
			w.names = f[2:]
		}
	}
	if w.cluster != d.cfg.Cluster.String() {
		return waits{}, true
	}
	return w, true
}

// setWaits writes an order, in the other form than the one before.
func (d *Driver) setWaits(o events.SyncOrder) (waits, error) {
	w, _ := d.waits()
	if w.version == o.Version && w.cluster != "" && slices.Equal(w.names, o.Names) {
		return w, nil
	}
	w = waits{version: o.Version, names: o.Names, odd: !w.odd, cluster: d.cfg.Cluster.String()}
	_, err := d.writeIfChanged(d.path(syncFile), w.text())
	return w, err
}

// waitForNobody makes an order that lies here nobody's, where one does: whoever follows, or was just appointed, must not wait for whom another server waited for.
func (d *Driver) waitForNobody() error {
	if !exists(d.path(syncFile)) {
		return nil
	}
	_, err := d.setWaits(events.SyncOrder{})
	return err
}

// ownWaits replaces an order that came with another server's data.
func (d *Driver) ownWaits() error {
	if w, there := d.waits(); there && w.cluster == "" {
		return d.waitForNobody()
	}
	return nil
}

// orderSettings are the settings of ALTER SYSTEM that would win over an order that lies here.
func (d *Driver) orderSettings() []string {
	if !exists(d.path(syncFile)) {
		return nil
	}
	return syncSettings
}
