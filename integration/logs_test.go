package integration_test

import (
	"strings"
	"testing"
)

// TestLogsKeepSecrets: with all that Caddy can log turned on, and the secret a
// literal in the Caddyfile, no line holds the secret, a digest that was computed,
// or a body (threat A8). What the client sent in a field is Caddy's to log.
func TestLogsKeepSecrets(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	site := strings.Replace(canonical(a, "secret "+literalSecret), ":{$PORT} {\n", ":{$PORT} {\n\tlog\n", 1)
	g := startGateway(t, "{\n\tdebug\n}\n"+site, "SERVERS=trace")
	g.accepts(t, a, post(chatBotKit, signedWith(literalSecret, []byte(chatBotKit))))
	for _, fields := range [][]string{nil, {forgedField}, {"X-Hub-Signature: sha256="}} {
		d := post(chatBotKit, fields...)
		g.deliver(t, d)
		a.nothing(t, d.id)
	}
	g.log.wait(t, "logs.trace", func(e entry) bool {
		return e.text("logger") == "http.log.trace" && e.text("msg") == "webhook_auth"
	})
	log := g.log.String()
	for name, forbidden := range map[string]string{"the body": "conversation.create", "a computed digest": goodHex} {
		if strings.Contains(log, forbidden) {
			t.Errorf("the log contains %s:\n%s", name, log)
		}
	}
}

// TestLogNamesTheGate: with several gates in one Caddy, the log says which refused.
func TestLogNamesTheGate(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "name billing"))
	d := post(chatBotKit)
	g.refusal(t, g.deliver(t, d), 401, "missing_signature")
	a.nothing(t, d.id)
	if line := g.log.wait(t, "the refusal", reason("missing_signature")); line.text("name") != "billing" {
		t.Errorf("the log names %q, want billing", line.text("name"))
	}
}

// TestPlaceholders: what the gate found out is there for the rest of the route,
// and for the error routes.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	g := startGateway(t, `:{$PORT} {
	webhook_auth {
		secret old {env.OLD_SECRET}
		secret new {env.WEBHOOK_SECRET}
	}
	respond "{http.webhook_auth.verified} {http.webhook_auth.secret} {http.webhook_auth.algorithm} {http.webhook_auth.reason}."
	handle_errors {
		respond "{http.webhook_auth.verified} {http.webhook_auth.secret} {http.webhook_auth.algorithm} {http.webhook_auth.reason}."
	}
}
`, "OLD_SECRET="+otherSecret)
	for _, tt := range []struct {
		delivery delivery
		status   int
		body     string
	}{
		{authentic(chatBotKit), 200, "true new sha256 ."},
		{post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))), 200, "true old sha256 ."},
		{post(chatBotKit, forgedField), 401, "false   signature_mismatch."},
		{post(chatBotKit), 401, "false   missing_signature."},
	} {
		if resp := g.deliver(t, tt.delivery); resp.status != tt.status || resp.body != tt.body {
			t.Errorf("answer %d %q, want %d %q", resp.status, resp.body, tt.status, tt.body)
		}
	}
}
