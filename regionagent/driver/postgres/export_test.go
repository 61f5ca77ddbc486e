package postgres

import "github.com/switchback-dr/switchback/regionagent/driver"

// OnReach has a driver call f at each point at which a restore can be interrupted; exchange false is a file system that can't exchange two names.
func OnReach(d driver.Driver, exchange bool, f func(point string)) {
	d.(*Driver).reached, d.(*Driver).twoNames = f, !exchange
}

// SlotOf is the name of a cluster's slot.
var SlotOf = slotOf
