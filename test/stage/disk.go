package stage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// diskSize holds a small server, a copy of it and its log.
const diskSize = "384m"

// ErrNoDisks says that this machine lets us make no file systems, so none can be filled.
var ErrNoDisks = errors.New("no file system of its own can be made for a server here")

// mountDisk gives a server's directory a file system of its own, in memory. The warden takes it away.
func mountDisk(dir string) error {
	if err := unix.Mount("switchback-stage", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size="+diskSize+",mode=755"); err != nil {
		return fmt.Errorf("%w: mount %s: %w (root can)", ErrNoDisks, dir, err)
	}
	return nil
}

func (v *Server) ballast() string { return filepath.Join(v.Socket(), "ballast") }

// FillDisk leaves not one free byte on the file system of a server. It must have one of its own (Options.Disks).
func (v *Server) FillDisk() error {
	var st unix.Statfs_t
	if err := unix.Statfs(v.Socket(), &st); err != nil {
		return fmt.Errorf("fill disk of %s: %w", v.Ref, err)
	}
	if st.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("fill disk of %s: it has no file system of its own: %w", v.Ref, ErrNoDisks)
	}
	f, err := os.Create(v.ballast())
	if err != nil {
		return fmt.Errorf("fill disk of %s: %w", v.Ref, err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return fmt.Errorf("fill disk of %s: %w", v.Ref, err)
		}
	}
	return nil
}

// FreeDisk ends FillDisk.
func (v *Server) FreeDisk() error {
	if err := os.Remove(v.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free disk of %s: %w", v.Ref, err)
	}
	return nil
}
