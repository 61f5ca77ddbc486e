// Package config reads Switchback's configuration files: fleet.yaml (what the operators want), and one file for each process.
//
// Reading is strict. Every problem of a file is reported at once, each with file:line:column, the path of the key, the value and what would
// be right; an unknown key is a problem, and so is anything that this version would silently ignore. Secrets are named by file, read as late as
// possible and never printed.
package config
