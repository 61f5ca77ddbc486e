package model

// lanes: one leased agent on three acceptors; the target's lanes never fail.
func lanes() Config {
	return Config{Hosts: 2, Groups: []string{"g"}, Run: 2, Wait: 2, Epochs: 3, Perfect: []bool{false, true}, PromptWords: true, Aim: []int{1}}
}

// life: the lease as one register, both agents leased.
func life() Config {
	return Config{Hosts: 2, Groups: []string{"g"}, Run: 2, Wait: 2, Epochs: 3, Coupled: true, PromptWords: true}
}

// Cases are the configurations that must hold.
func Cases() []Config {
	var cs []Config
	add := func(name string, c Config, change func(*Config)) {
		c.Name = name
		if change != nil {
			change(&c)
		}
		cs = append(cs, c)
	}
	add("life", life(), func(c *Config) { c.Epochs, c.Perfect = 2, []bool{false, true} })
	add("lanes", lanes(), func(c *Config) { c.Epochs = 2 })
	add("grants", life(), func(c *Config) { c.Epochs, c.Perfect, c.Grants = 2, []bool{false, true}, true })
	add("list", life(), func(c *Config) {
		c.Perfect, c.Begin, c.Crashes, c.Aim = []bool{true, false}, listWaits, 1, []int{0}
	})
	add("alone", life(), func(c *Config) {
		c.Perfect, c.Answers, c.Leaderless, c.Runs, c.Disks, c.Run, c.Wait = []bool{false, true}, true, true, true, 1, 3, 3
	})
	return cs
}
