package regionagent

import (
	"errors"
	"fmt"

	"github.com/switchback-dr/switchback/pkg/telemetry"
	"github.com/switchback-dr/switchback/regionagent/guard"
)

// A guard that hangs is worth no more than a dead one, and is worse in one way: nobody starts it again. Its agent froze what must be held when it had been away for too
// long, so its active would stand still for as long as it hangs. The agent ends it, which extends no right and lets nothing run: the guard that is started
// next has no deadlines, so it freezes first, and the active goes on only when this agent has answered that one's ask and A9 holds.

// silentBeats is for how many beats in a row a guard must be found silent, after it was away for too long and the freeze was ordered, before it is ended. They are counted by the loop, which reads what
// has arrived in between: an agent that was paused itself finds its guard well.
const silentBeats = 4

// endSilent is called with every beat for which the guard is down.
func (a *agent) endSilent() {
	if a.silent++; a.silent < silentBeats || a.client == nil {
		return
	}
	switch err := a.client.Kill(); {
	case errors.Is(err, guard.ErrDown): // it ended by itself, and its supervisor has it started
	case err != nil && a.silent == silentBeats:
		a.log.Error("the guard hangs, and can't be ended: a person has to restart it", telemetry.Err(err))
	case err == nil && a.silent == silentBeats:
		a.log.Error("the guard hangs: it is killed, so that another is started", "beats", a.silent)
	}
}

// unheard counts hellos that nobody answered, one after the other; the second has whoever listens there ended.
type unheard int

func (n *unheard) failed(err error) (told string) {
	var silent *guard.SilentError
	if !errors.As(err, &silent) {
		*n = 0
		return ""
	}
	if *n++; *n < 2 {
		return ""
	}
	*n = 0
	if err := silent.Kill(); err != nil {
		return fmt.Sprintf("the guard answers no hello, and can't be ended: %v", err)
	}
	return "the guard answers no hello: it is killed, so that another is started"
}
