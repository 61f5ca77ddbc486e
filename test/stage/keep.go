package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// keepLogs copies the logs of our processes and of the servers to where the caller wants them.
func (s *Stage) keepLogs() error {
	if err := os.MkdirAll(s.options.Keep, 0o755); err != nil {
		return fmt.Errorf("keep logs: %w", err)
	}
	for _, pattern := range []string{"log/*", "*/*/log", "*/*/data/switchback.log", "*/*.yaml", "*/state*/airflow-*/*.log", "fleet.yaml", "writes"} {
		found, _ := filepath.Glob(filepath.Join(s.home.dir, pattern)) // the only error is a bad pattern
		for _, from := range found {
			name, _ := filepath.Rel(s.home.dir, from)
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(s.options.Keep, strings.ReplaceAll(name, "/", "-")), b, 0o644)
			}
			if err != nil {
				return fmt.Errorf("keep logs: %w", err)
			}
		}
	}
	return nil
}
