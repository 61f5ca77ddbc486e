package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// sign says who asks: by a token, which version 3 gives for a password, or by the password itself.
func (c *Client) sign(ctx context.Context, r *http.Request) error {
	if c.cfg.TokenFile != "" {
		t, err := secret(c.cfg.TokenFile)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+t)
		return nil
	}
	password, err := secret(c.cfg.PasswordFile)
	if err != nil {
		return err
	}
	g, err := c.Generation(ctx)
	if err != nil {
		return err
	}
	if g == V2 {
		r.SetBasicAuth(c.cfg.User, password)
		return nil
	}
	t := c.kept()
	if t == "" {
		if t, err = c.token(ctx, password); err != nil {
			return err
		}
	}
	r.Header.Set("Authorization", "Bearer "+t)
	return nil
}

// token has a password exchanged for a token, which is used until it is refused.
func (c *Client) token(ctx context.Context, password string) (string, error) {
	var got struct {
		Token string `json:"access_token"`
	}
	err := c.once(ctx, call{
		method: http.MethodPost, path: "/auth/token", open: true, to: &got, body: map[string]string{"username": c.cfg.User, "password": password},
	})
	if err == nil && got.Token == "" {
		err = errors.New("POST /auth/token: the answer has no access_token")
	}
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	c.word = got.Token
	c.mu.Unlock()
	return got.Token, nil
}

// kept is the token in use; empty = none.
func (c *Client) kept() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.word
}

// forget drops a token, if it is still the one in use.
func (c *Client) forget(t string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.word == t {
		c.word = ""
	}
}

func secret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("read secret: %s is empty", file)
	}
	return s, nil
}
