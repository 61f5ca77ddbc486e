package stage

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// OutsideAddress is where whoever lives in no region is reached.
func (s *Stage) OutsideAddress() string { return s.net.address(Outside) }

// Scraped is where the metrics of the agent of a region's last host are read, which is the only one unless there are several.
func (s *Stage) Scraped(region string) string {
	return "http://" + net.JoinHostPort(s.net.address(region), strconv.Itoa(agentMetrics+(s.options.hosts()-1)*hostPorts)) + "/metrics"
}

// DialOutside connects as whoever lives in no region.
func (s *Stage) DialOutside(ctx context.Context, network, address string) (net.Conn, error) {
	return s.net.dial(Outside)(ctx, network, address)
}

// StartOutside starts a program outside every region, in a directory of its own, with its outputs in the file log there. It ends with the stage at the latest.
func (s *Stage) StartOutside(name string, cmd *exec.Cmd) error {
	dir := filepath.Join(s.home.dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.home.dir, "log", name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := s.net.start(Outside, cmd); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // reaped; how it ends is in its log
	return nil
}
