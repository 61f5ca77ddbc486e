package model

import "errors"

// without takes one rule of the protocol away for what is explored from now on. Only the build that Removed makes can do that; this one has every rule.
func without(string) error { return errors.New("built with every rule: nothing can be taken away") }

// Without is without, for the command that runs one search.
func Without(rule string) error { return without(rule) }
