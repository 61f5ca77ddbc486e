package stage

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// tokens is the file of the API's tokens, the same for every controller.
func (s *Stage) tokens() string { return filepath.Join(s.home.dir, "tokens.yaml") }

// API is where a region's controller serves the API, if the stage was built with it.
func (s *Stage) API(region string) string {
	return "https://" + net.JoinHostPort(s.net.address(region), ownAPIPort)
}

// CA is the file of the authority that vouches for every process of the stage.
func (s *Stage) CA() string { return filepath.Join(s.home.dir, "tls", "ca.crt") }

// Token makes a token of the API by the program, as anybody would; controllers know it within a second.
func (s *Stage) Token(ctx context.Context, actor, role, project string) (string, error) {
	out, err := s.Command(ctx, "token", "create", actor, "--role", role, "--project", project, "--file", s.tokens())
	if err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	return strings.TrimSpace(out), nil
}
