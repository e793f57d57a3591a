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

// current is called by go-redis for each connection.
func (c *credentials) current(context.Context) (username, password string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.known[len(c.known)-1]
	if c.reference == "" {
		return c.username, last, nil
	}
	now, err := secretref.Resolve(c.reference)
	switch {
	case err != nil:
		c.failed(err)
	case now != last:
		c.known, last = append(slices.DeleteFunc(c.known, func(p string) bool { return p == now }), now), now
	}
	return c.username, last, nil
}

// passwords are all that an error could repeat.
func (c *credentials) passwords() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.known)
}
