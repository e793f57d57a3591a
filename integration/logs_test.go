package integration_test

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLogsKeepSecrets: with everything that Caddy can log turned on, and the secret as a
// literal in the Caddyfile, no line holds the secret, a computed digest or a body (threat
// A8). Caddy may log what the client sent in a field.
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

// TestLogNamesTheGate: with several gates in one Caddy, the log says which one refused.
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

// TestPlaceholders: the rest of the route and the error routes can read the verdict.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	g := startGateway(t, `:{$PORT} {
	webhook_auth {
		secret old {env.OLD_SECRET}
		secret new {env.WEBHOOK_SECRET}
		on_refusal handle_errors
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
		{post(chatBotKit, forgedField), 401, "false  sha256 signature_mismatch."},
		{post(chatBotKit), 401, "false   missing_signature."},
	} {
		if resp := g.deliver(t, tt.delivery); resp.status != tt.status || resp.body != tt.body {
			t.Errorf("answer %d %q, want %d %q", resp.status, resp.body, tt.status, tt.body)
		}
	}
}

// TestSecretStaysInside: with everything that Caddy can show turned on, it shows nothing
// that a stranger does not know: no secret in any encoding, no computed digest, no body.
func TestSecretStaysInside(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := newGateway(t, "SERVERS=trace", "OLD_SECRET="+otherSecret)
	writeFile(t, filepath.Join(g.dir, "secret"), testSecret+"\n")
	g.write(t, "{\n\tdebug\n}\n"+`:{$PORT} {
	log
	handle_errors {
		respond "{err.message} {err.trace} {http.webhook_auth.reason} {http.webhook_auth.secret} {http.vars.webhook_auth}"
	}
	handle /webhook {
		webhook_auth {
			secret {file.{$HOME}/secret}
			secret old {env.OLD_SECRET}
			on_refusal handle_errors
		}
		reverse_proxy `+a.addr+`
	}
}
`)
	g.start(t)
	var shown strings.Builder
	bodies := []string{`{"unique":"b0dy-one"}`, `{"unique":"b0dy-two"}`, "{\n  \"unique\": \"b0dy-three\"\n}"}
	for i, fields := range [][]string{
		{forgedField},
		{signedWith(testSecret+"\n", []byte(bodies[1]))},                              // near: a newline too much
		{signed([]byte(`{"unique":"b0dy-three"}`)), "Content-Type: application/json"}, // near: indented on its way
	} {
		d := post(bodies[i], fields...)
		resp := g.deliver(t, d)
		shown.WriteString(resp.head + resp.body)
		id := resp.header.Get(errorID)
		g.log.wait(t, "the diagnosis", func(e entry) bool { return e.text("error_id") == id && e.text("diagnosis") != "" })
		a.nothing(t, d.id)
	}
	g.accepts(t, a, authentic(chatBotKit))
	shown.WriteString(g.admin(t, "/metrics") + g.admin(t, "/config/") + g.log.String())
	for _, secret := range []string{testSecret, otherSecret} {
		encoded := base64.StdEncoding.EncodeToString([]byte(secret))
		for _, forbidden := range []string{secret, encoded[:len(encoded)-4], hex.EncodeToString([]byte(secret)), "b0dy-"} {
			if strings.Contains(shown.String(), forbidden) {
				t.Errorf("%q is shown:\n%s", forbidden, &shown)
			}
		}
		for _, body := range bodies {
			if digest := hmacHex("sha256", secret, []byte(body)); strings.Contains(shown.String(), digest) {
				t.Errorf("a digest that was computed is shown:\n%s", &shown)
			}
		}
	}
}

// TestAccessLog: the verdict and the secret's name are in Caddy's access log.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, strings.Replace(canonical(a), ":{$PORT} {\n", ":{$PORT} {\n\tlog\n", 1))
	g.accepts(t, a, authentic(chatBotKit))
	g.deliver(t, post(chatBotKit))
	access := func(e entry) bool { return strings.HasPrefix(e.text("logger"), "http.log.access") }
	lines := g.log.waitFor(t, 2, "the access log", access)
	for i, want := range []struct{ verdict, user string }{{"verified", "1"}, {"missing_signature", ""}} {
		if lines[i].text("webhook_auth") != want.verdict || lines[i].text("user_id") != want.user {
			t.Errorf("line %d: %v, want %v", i, lines[i], want)
		}
	}
}

// TestFlood: 10,000 forged requests cost the log a bounded number of lines, which account
// for every request. All authentic deliveries among them get through.
func TestFlood(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	const senders, each = 10, 1000
	start := time.Now()
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			client := newClient(new(http.Transport))
			defer client.CloseIdleConnections()
			for range each {
				resp, err := client.Do(post(chatBotKit, forgedField).request(t, "http://"+g.addr))
				if err != nil || resp.StatusCode != http.StatusUnauthorized {
					t.Errorf("answer %v, %v", resp, err)
					return
				}
				resp.Body.Close()
			}
		})
	}
	for range 50 {
		g.accepts(t, a, authentic(chatBotKit))
	}
	group.Wait()
	lines, _ := g.log.find(message("delivery refused"))
	told := len(lines)
	for _, line := range lines {
		dropped, _ := line["dropped"].(float64)
		told += int(dropped)
	}
	seconds := int(time.Since(start).Seconds()) + 2
	if most := 100*seconds + senders*each/1000; len(lines) > most {
		t.Errorf("%d lines in %d s, want at most %d", len(lines), seconds, most)
	}
	if refused := g.metrics(t)[`deliveries_total{name="hub",reason="signature_mismatch",result="refused"}`]; refused != senders*each {
		t.Errorf("%v are counted, want %d", refused, senders*each)
	}
	if told <= senders*each-1000 || told > senders*each { // the last ones are not logged yet
		t.Errorf("%d lines account for %d refusals of %d", len(lines), told, senders*each)
	}
	if found, _ := g.log.find(message("delivery diagnosed")); len(found) > seconds+5 {
		t.Errorf("%d diagnoses in %d s", len(found), seconds)
	}
}

// TestTracing: the verdict is in the span, if the operator asks for it.
func TestTracing(t *testing.T) {
	t.Parallel()
	spans := make(chan string, 100)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		spans <- string(body)
	}))
	t.Cleanup(collector.Close)
	a := startApp(t)
	site := strings.Replace(canonical(a), ":{$PORT} {\n", ":{$PORT} {\n\ttracing {\n\t\tspan_attributes {\n\t\t\twebhook.verdict \"<{http.webhook_auth.reason}{http.webhook_auth.secret}>\"\n\t\t}\n\t}\n", 1)
	g := startGateway(t, site, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=50")
	g.accepts(t, a, authentic(chatBotKit))
	g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	var sent string
	for timeout := time.After(patience); !strings.Contains(sent, "<1>") || !strings.Contains(sent, "<missing_signature>"); {
		select {
		case more := <-spans:
			sent += more
		case <-timeout:
			t.Fatalf("no span has the verdicts: %q", sent)
		}
	}
}
