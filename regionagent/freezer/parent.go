package freezer

import (
	"errors"
	"strconv"

	"github.com/switchback-dr/switchback/regionagent/driver"
)

// Parent is the process that a tree's pid file names, if it is ours and not dead; the zero Process if there is none.
func Parent(t driver.Tree) (driver.Process, error) {
	pid, err := parent(t)
	if pid == 0 || err != nil {
		return driver.Process{}, err
	}
	p, err := readProcess(strconv.Itoa(pid))
	switch {
	case errors.Is(err, errGone), err == nil && p.gone():
		return driver.Process{}, nil
	case err != nil:
		return driver.Process{}, err
	}
	return driver.Process{PID: pid, Start: p.Start}, nil
}

// Started is when a process began, in ticks since boot: with its pid it names the process for good.
func Started(pid int) (uint64, error) {
	p, err := readProcess(strconv.Itoa(pid))
	return p.Start, err
}
