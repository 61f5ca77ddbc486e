package decide

import (
	"fmt"

	"github.com/switchback-dr/switchback/events"
)

// A kind without a log moves as any other: fenced the same, by the same proofs. What differs is what can be known of its data: nothing is compared, nothing is counted.

// logged reports whether the group's clusters have a log to compare.
func (f *Facts) logged() bool { return f.Config.Kind.Logged() }

// noLog says what is not known of a group without a log.
func (f *Facts) noLog() string { return noLog(f.Config.Kind) }

func noLog(k events.Kind) string {
	return fmt.Sprintf("what is lost is not known: kind %s has no log to compare", k)
}

// unmeasured says why a target without a log is promoted by a person's word only; "" if its group accepts what nobody can measure, or the old active was stopped cleanly.
func (f *Facts) unmeasured(target events.Ref) string {
	if f.Config.MaxLoss.Unknown {
		return ""
	}
	if f.Record.Phase != events.PhaseActive {
		if _, clean := f.stopResult(); clean {
			return ""
		}
	}
	return fmt.Sprintf("nobody can say what %s lacks of %s: kind %s has no log to compare (with max_loss: unknown in its replication automation moves it all the same)", target, f.Record.Active, f.Config.Kind)
}

// notFollows says of a passive that it could not take over now.
func (f *Facts) notFollows(c, active *Cluster) string {
	if f.logged() {
		return fmt.Sprintf("%s does not stream from %s", c.Cluster, active.Cluster)
	}
	why := ""
	if c.Health.Error != "" {
		why = ": " + c.Health.Error
	}
	return fmt.Sprintf("%s does not say that it could take over from %s%s", c.Cluster, active.Cluster, why)
}

func (f *Facts) serverText(c *Cluster) string {
	if f.logged() {
		return fmt.Sprintf("%s, LSN %s", c.Health.Server, c.Health.LSN)
	}
	return string(c.Health.Server)
}
