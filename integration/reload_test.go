package integration_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// reload runs `caddy reload`, as an operator does.
func (g *gateway) reload(t *testing.T, flags ...string) (output string, ok bool) {
	t.Helper()
	return g.caddy(t, append([]string{"reload", "--config", g.file, "--adapter", "caddyfile"}, flags...)...)
}

func (g *gateway) mustReload(t *testing.T, flags ...string) {
	t.Helper()
	if output, ok := g.reload(t, flags...); !ok {
		t.Fatalf("caddy reload: %s", output)
	}
}

// settle waits until a delivery gets that status 20 times in a row. For a moment after a
// reload, the old listener may still accept every other connection.
func (g *gateway) settle(t *testing.T, a *app, make func() delivery, status int) {
	t.Helper()
	running := 0
	await(t, fmt.Sprintf("status %d after the reload", status), func() (any, bool) {
		d := make()
		a.expect(d.id)
		resp := g.deliver(t, d)
		if running++; resp.status != status {
			running = 0
		}
		return resp.status, running == 20
	})
}

// load makes the gateway read its Caddyfile again, with a signal. It does not use the
// admin API, because Caddy 2.11.9 can deadlock when it gets a connection on a Unix socket
// while it replaces the listener there: the old listener waits in accept(2), its Close
// waits for that, and the reload waits for Close, until somebody else connects. That
// happens about once in a few thousand reloads.
func (g *gateway) load(t *testing.T) {
	t.Helper()
	reloaded := func(e entry) bool {
		return e.text("signal") == "SIGUSR1" && strings.Contains(e.text("msg"), "config from file")
	}
	before, _ := g.log.find(reloaded)
	if askToReload(g.process.Process) != nil { // the system has no such signal
		g.mustReload(t, "--force")
		return
	}
	line := g.log.waitFor(t, len(before)+1, "the reload", reloaded)[len(before)]
	if line.text("level") != "info" { // "failed to reload"
		t.Fatalf("reload: %v", line)
	}
}

// TestReloadInFlight: a delivery that is being received, or that the app is working on,
// survives a reload.
func TestReloadInFlight(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	receiving := authentic(chatBotKit, expect)
	c := g.dial(t)
	c.send(receiving.head())
	if resp := c.response("POST"); resp.status != http.StatusContinue { // the gate is reading
		t.Fatalf("status %d, want 100", resp.status)
	}
	c.send(chatBotKit[:20])

	working := authentic(strings.Repeat("x", 5_000_000), "X-App: "+appSlow)
	c2 := g.dial(t)
	c2.send(working.wire())
	a.begun(t, working.id)

	g.mustReload(t, "--force")
	answered(t, c2.response("POST"))
	delivered(t, a, working)
	g.mustReload(t, "--force")
	c.send(chatBotKit[20:])
	answered(t, c.response("POST"))
	delivered(t, a, receiving)
	g.accepts(t, a, authentic(chatBotKit))
}

// TestSecretRotation: a secret is changed without losing a delivery, with both secrets
// first and then only the new one. Caddy reads a secret's file again only with --force.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := newGateway(t)
	file := filepath.Join(g.dir, "secret")
	one := strings.Replace(canonical(a), "{env.WEBHOOK_SECRET}", "{file.{$HOME}/secret}", 1)
	both := strings.Replace(one, "secret {file", "secret old {env.WEBHOOK_SECRET}\n\t\t\tsecret new {file", 1)
	byOld := func() delivery { return authentic(chatBotKit) }
	byNew := func() delivery { return post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))) }

	writeFile(t, file, testSecret+"\n")
	g.write(t, one)
	g.start(t)
	g.accepts(t, a, byOld())
	g.refused(t, a, byNew(), 401, "signature_mismatch")

	writeFile(t, file, otherSecret+"\n")
	g.write(t, both)
	g.mustReload(t)
	g.settle(t, a, byNew, http.StatusOK)
	g.accepts(t, a, byOld())
	g.accepts(t, a, byNew())
	g.accepts(t, a, byNew().chunks())
	large := strings.Repeat("x", 1_000_000) // the second secret reads the body once more
	g.accepts(t, a, post(large, signedWith(otherSecret, []byte(large))))
	g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch")

	g.write(t, one)
	g.mustReload(t)
	g.settle(t, a, byOld, http.StatusUnauthorized)
	g.accepts(t, a, byNew())
	g.refused(t, a, byOld(), 401, "signature_mismatch")

	writeFile(t, file, testSecret+"\n") // and back, by changing only the file
	g.mustReload(t, "--force")
	g.settle(t, a, byOld, http.StatusOK)
	g.refused(t, a, byNew(), 401, "signature_mismatch")
}

// TestBadReload: a reload with a mistake leaves the running gate in place.
func TestBadReload(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	good := string(readFile(t, g.file))
	for name, bad := range map[string]string{
		"unset":   strings.Replace(good, "{env.WEBHOOK_SECRET}", "{env.NOWHERE}", 1),
		"empty":   strings.Replace(good, "{env.WEBHOOK_SECRET}", `""`, 1),
		"unknown": strings.Replace(good, "secret {env.WEBHOOK_SECRET}", "algorithms md5\n\t\t\tsecret {env.WEBHOOK_SECRET}", 1),
	} {
		writeFile(t, g.file, bad)
		if output, ok := g.reload(t, "--force"); ok || strings.Contains(output, testSecret) {
			t.Errorf("%s: loads: %v\n%s", name, ok, output)
		}
		g.accepts(t, a, authentic(chatBotKit))
		g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	}
}
