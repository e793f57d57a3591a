package redis_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/storetest"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// A password in a file can be changed while the gateway runs: each new connection takes the
// one that is there. While the file is empty, the last one counts.
func TestPasswordChanges(t *testing.T) {
	server := startServer(t)
	file := filepath.Join(t.TempDir(), "password")
	writes := func(text string) { storetest.Must(t, os.WriteFile(file, []byte(text), 0o600)) }
	writes(password)
	m := server.patient()
	m.Password = "{file." + file + "}"
	s, admin := open(t, m), server.client(t)
	storetest.Claim(t, s, 1, lease, replay.Fresh)

	const changed = "another-" + password
	storetest.Must(t, admin.ConfigSet(t.Context(), "requirepass", changed).Err())
	writes(changed)
	storetest.Must(t, admin.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "no").Err())
	eventually(t, "the new password is used", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease))
		return err == nil && (state == replay.Fresh || state == replay.InFlight)
	})

	writes("")
	again := server.as(t, changed)
	storetest.Must(t, again.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err())
	storetest.Claim(t, s, 3, lease, replay.Fresh)

	writes("a-third-" + password)
	storetest.Must(t, again.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err())
	if _, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(4), lease)); err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("with a wrong password: %v", err)
	}
}
