package freezer

import (
	"errors"
	"fmt"

	"github.com/switchback-dr/switchback/regionagent/boottime"
	"github.com/switchback-dr/switchback/regionagent/driver"
	"github.com/switchback-dr/switchback/regionagent/ledger"
)

// Session is one session that the parent of a tree began. Whatever is in it goes on when its leader, or the parent, is gone: a program that writes its own title has written over its
// environment too, so that its session is what is left to know it by.
type Session struct {
	Leader int    `json:"leader"`
	Start  uint64 `json:"start"` // of the leader: a number that was used again is another session
}

// sessionList is the file of a tree's sessions.
type sessionList struct {
	Boot     string    `json:"boot"`
	Sessions []Session `json:"sessions"`
}

// keepSessions is how many sessions a file names: what is left of older ones is nothing.
const keepSessions = 32

// NoteSession adds the session of a leader that has just been begun to a tree's file; on disk when it returns.
func NoteSession(file string, leader int) error {
	boot, err := boottime.Boot()
	if err != nil {
		return err
	}
	q, err := readProcess(fmt.Sprint(leader))
	if errors.Is(err, errGone) {
		return nil
	} else if err != nil {
		return err
	}
	l, _, err := readSessions(file)
	if err != nil || l.Boot != boot {
		l = sessionList{Boot: boot}
	}
	l.Sessions = append(l.Sessions, Session{leader, q.Start})
	l.Sessions = l.Sessions[max(0, len(l.Sessions)-keepSessions):]
	return l.save(file)
}

func readSessions(file string) (sessionList, bool, error) { return ledger.Read[sessionList](file) }

func (l sessionList) save(file string) error {
	f, err := ledger.Open[sessionList](file)
	if err != nil {
		return err
	}
	return errors.Join(f.Save(l), f.Close())
}

// sessions adds what is in the tree's sessions, and what descends from that.
func sessions(t driver.Tree, all []Process, ours map[int]bool) error {
	if t.Sessions == "" {
		return nil
	}
	l, there, err := readSessions(t.Sessions)
	if err != nil || !there {
		return err
	}
	boot, err := boottime.Boot()
	if err != nil || boot != l.Boot {
		return err
	}
	begun, taken := map[int]uint64{}, map[int]bool{}
	for _, s := range l.Sessions {
		begun[s.Leader] = s.Start // the last one of a number is the one that may live
	}
	for _, q := range all {
		if start, is := begun[q.PID]; is && q.Start != start {
			taken[q.PID] = true // somebody else's by now
		}
	}
	for _, q := range all {
		if start, is := begun[q.Session]; is && !taken[q.Session] && q.Start >= start {
			ours[q.PID] = true
		}
	}
	descendants(all, ours)
	return nil
}
