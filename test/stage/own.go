package stage

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const entered = "SWITCHBACK_STAGE_ENTERED"

// Enter gives an ordinary user what root has: the right to make networks. It runs this program once more, with the same arguments, in a user namespace of its
// own in which it is the same user, and ends with its exit code. As root, where it did so already, or where the machine forbids it, it returns at once.
// Call it first in main or TestMain.
func Enter() {
	if os.Geteuid() == 0 || os.Getenv(entered) != "" {
		return
	}
	uid, gid := os.Getuid(), os.Getgid()
	attr := &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN},
		Pdeathsig:   syscall.SIGTERM, // so that it ends, and cleans up, when we are killed
	}
	runtime.LockOSThread() // the death signal is of the thread that started it
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = attr
	if probe.Run() != nil {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr, cmd.Env = attr, append(os.Environ(), entered+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM) // the terminal sends them to both; the inner one decides
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "enter a user namespace:", err)
		os.Exit(1)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(exit.ExitCode(), 1))
	}
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// owner is the account the database servers run as: ourselves, or postgres when we are root.
type owner struct {
	name string
	cred *syscall.Credential // nil = ourselves
}

func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			return owner{}, fmt.Errorf("who am I: %w", err)
		}
		return owner{name: me.Username}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf("PostgreSQL never runs as root, and there is no user postgres: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return owner{u.Username, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, errors.Join(err1, err2)
}

func (o owner) own(path string) error {
	if o.cred == nil {
		return nil
	}
	return os.Chown(path, int(o.cred.Uid), int(o.cred.Gid))
}

func (o owner) attr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: o.cred}
}
