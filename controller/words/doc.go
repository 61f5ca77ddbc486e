// Package words is what surfaces say in plain sentences: of a group, of a cluster, of an operation, and what a person can do next. The command line and the console take
// them from here, so that both say the same. It decides nothing: what is said of a decision comes from the row that made it.
package words
