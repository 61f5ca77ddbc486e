// Package hygiene checks the tree itself: that the pure packages are pure, that imports point one way, that every package says what it is, and a few
// habits that no compiler knows. Each check takes a tree and returns what is wrong with it, so that its own test can hand it a tree that is.
package hygiene
