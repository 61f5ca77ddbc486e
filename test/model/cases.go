package model

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// lanes: one leased agent on three acceptors; the target's lanes never fail.
func lanes() Config {
	return Config{Hosts: 2, Groups: []string{"g"}, Run: 2, Wait: 2, Epochs: 2, Perfect: []bool{false, true}, PromptWords: true, Aim: []int{1}}
}

// life: the same with the lease as one register.
func life() Config {
	c := lanes()
	c.Coupled = true
	return c
}

// Case is a configuration, and how it is used.
type Case struct {
	Config
	Aid   bool // only a removed rule is looked for here
	Whole bool // small: always searched to its end
}

// Cases are all configurations. Those that are no aid must hold in every state.
func Cases() []Case {
	var cs []Case
	add := func(name string, c Config, change func(*Config)) {
		c.Name = name
		if change != nil {
			change(&c)
		}
		cs = append(cs, Case{Config: c})
	}
	aid := func(name string, c Config, change func(*Config)) {
		add(name, c, change)
		cs[len(cs)-1].Aid = true
	}
	whole := func(name string, c Config, change func(*Config)) {
		add(name, c, change)
		cs[len(cs)-1].Whole = true
	}
	add("life", life(), nil)
	add("life/acks", life(), func(c *Config) { c.LostAcks = true })
	add("life/delayed", life(), func(c *Config) { c.Delayed = 1 })
	add("life/crash", life(), func(c *Config) { c.Crashes = 1 })
	add("life/guard", life(), func(c *Config) { c.Guards, c.Crashes = 1, 1 })
	add("life/disk", life(), func(c *Config) { c.Disks = 1 })
	add("life/leader", life(), func(c *Config) { c.Leaders = 1 })
	add("life/reboot", life(), func(c *Config) { c.Reboots = 1 })
	add("life/slow", life(), func(c *Config) { c.Slow = true })
	add("life/two-groups", life(), func(c *Config) { c.Groups = []string{"g", "k"} })
	add("life/long", life(), func(c *Config) { c.Epochs = 4 })
	aid("life/short", life(), func(c *Config) { c.Wait = 1 })
	add("guard", life(), func(c *Config) { c.LazyGuard, c.Crashes = true, 1 })
	add("late", life(), func(c *Config) { c.LateMail, c.Epochs = true, 3 })
	add("words", life(), func(c *Config) { c.PromptWords, c.Epochs = false, 4 })
	add("both", life(), func(c *Config) { c.Perfect, c.Epochs, c.Aim = []bool{true, true}, 3, nil })
	add("grants", life(), func(c *Config) { c.Grants = true })
	add("grants/crash", life(), func(c *Config) { c.Grants, c.Crashes = true, 1 })
	add("three", life(), func(c *Config) {
		c.Hosts, c.Perfect, c.Grants, c.Aim = 3, []bool{false, true, true}, true, nil
	})
	add("list", life(), func(c *Config) {
		c.Perfect, c.Begin, c.Crashes, c.Aim, c.Epochs = []bool{true, false}, listWaits, 1, []int{0}, 3
	})
	whole("alone", life(), func(c *Config) {
		c.Answers, c.Leaderless, c.Runs, c.Disks, c.Run, c.Wait = true, true, true, 1, 3, 3
	})
	add("ledger", life(), func(c *Config) { c.Ledgers, c.Persons, c.Rejoins = 1, 1, 1 })
	whole("ledger/stay", life(), func(c *Config) { c.Ledgers, c.Persons, c.Rejoins, c.Epochs = 1, 1, 1, 1 })
	add("sync", life(), func(c *Config) { c.Perfect, c.Sync, c.Writes, c.From = []bool{true, true}, true, 1, told })
	whole("sync/deaf", life(), func(c *Config) { c.Perfect, c.Sync, c.Writes, c.Deaf, c.From = []bool{true, true}, true, 1, true, told })
	add("sync/leave", life(), func(c *Config) { c.Perfect, c.Sync, c.Writes, c.Waits = []bool{true, true}, true, 2, 1 })
	add("sync/lease", life(), func(c *Config) { c.Sync, c.Writes, c.From = true, 2, told })
	add("exempt", life(), func(c *Config) { c.Isolation = events.IsolationKeepRunning })
	add("lanes", lanes(), nil)
	add("lanes/acks", lanes(), func(c *Config) { c.LostAcks = true })
	add("lanes/disk", lanes(), func(c *Config) { c.Disks = 1 })
	add("lanes/long", lanes(), func(c *Config) { c.Epochs = 3 })
	return cs
}

// FindCase returns the configuration of a name.
func FindCase(name string) (Case, error) {
	for _, c := range Cases() {
		if c.Name == name {
			return c, nil
		}
	}
	return Case{}, fmt.Errorf("no configuration is called %q", name)
}
