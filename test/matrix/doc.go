// Package matrix strikes a whole fleet of real processes with every fault in its lists, in every way a group may be run, and measures what its clients and its servers saw:
// how long two of them were writable, what was lost and whether that was told, how long nobody wrote, how long until all was whole again. Lists and limits are data: planes,
// faults, steps, what is left out and why. DESIGN.md says how to read it.
package matrix
