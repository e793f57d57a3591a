package redis

import (
	"context"
	"slices"
	"sync"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
)

// credentials are what the servers want to know. A password in a file is read again for each
// connection, so that it can be changed without a reload. While the file cannot be read, or
// is empty because it is being written, the last good one counts.
type credentials struct {
	username  string
	reference string // of the password
	failed    func(error)

	mu    sync.Mutex
	known []string // every password that was in use, the last one at the end
}

// newCredentials follows the password only where it is in a file.
func newCredentials(c *config, failed func(error)) *credentials {
	return &credentials{username: c.username, reference: c.passwordFile, failed: failed, known: []string{c.password}}
}

// current is called by go-redis for each connection. The file is read without the lock, which
// every error waits for: a disk may not answer.
func (c *credentials) current(context.Context) (username, password string, err error) {
	if c.reference == "" {
		return c.username, c.last(), nil
	}
	now, err := secretref.Resolve(c.reference)
	if err != nil {
		c.failed(err)
		return c.username, c.last(), nil
	}
	c.use(now)
	return c.username, now, nil
}

func (c *credentials) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[len(c.known)-1]
}

// use puts a password at the end of those that were in use.
func (c *credentials) use(password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = append(slices.DeleteFunc(c.known, func(p string) bool { return p == password }), password)
}

// passwords are all that an error could repeat.
func (c *credentials) passwords() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.known)
}
