// Package drivertest holds what every driver must pass, and an in-memory driver that passes it.
//
// Run is the conformance suite: it makes pairs of clusters through an Env and does to them what happens to real ones. Fake is a toy
// cluster for whoever needs a driver at the port without a server behind it.
package drivertest
