package integration_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// The parts of an answer that are the same for every refusal.
const (
	errorID   = "Webhook-Auth-Error-Id"
	challenge = "Www-Authenticate"
)

// refused sends d and fails the test unless it gets that status, the log says why and
// nothing reaches the app. It returns the answer.
func (g *gateway) refused(t *testing.T, a *app, d delivery, status int, why string) response {
	t.Helper()
	resp := g.deliver(t, d)
	g.refusal(t, resp, status, why)
	a.nothing(t, d.id)
	return resp
}

// refusal fails the test unless resp is that refusal and exactly one line of the log has
// its error id, with the reason.
func (g *gateway) refusal(t *testing.T, resp response, status int, why string) {
	t.Helper()
	if resp.status != status || resp.body != "" {
		t.Errorf("answer %d %q, want %d and no body", resp.status, resp.body, status)
	}
	if got := resp.header.Get(challenge); (got == "HMAC") != (status == http.StatusUnauthorized) {
		t.Errorf("WWW-Authenticate %q with status %d", got, status)
	}
	id := resp.header.Get(errorID)
	if id == "" {
		t.Fatalf("no %s in the answer:\n%s", errorID, resp.head)
	}
	byID := func(e entry) bool { return e.text("error_id") == id && e.text("msg") != "delivery diagnosed" }
	line := g.log.wait(t, "the line of the refusal", byID)
	if line.text("reason") != why || line.text("msg") != "delivery refused" || line["status"] != float64(status) {
		t.Errorf("the log says %v, want reason %s", line, why)
	}
	if lines, _ := g.log.find(byID); len(lines) != 1 {
		t.Errorf("%d lines of the log have the error id, want 1", len(lines))
	}
}

// badSignatures lists all the ways to be refused with 401. Each is a POST of chatBotKit
// with these fields.
var badSignatures = []struct {
	name, why string
	fields    []string
}{
	// B1: only a field with the right name in the header section counts.
	{"none", "missing_signature", nil},
	{"another field", "missing_signature", []string{"X-Signature: " + goodValue}},
	{"Authorization", "missing_signature", []string{"Authorization: HMAC " + goodValue}},
	{"cookie", "missing_signature", []string{"Cookie: X-Hub-Signature=" + goodValue}},
	{"underscores", "missing_signature", []string{"X_Hub_Signature: " + goodValue}}, // Caddy CVE-2026-52845
	{"dots", "missing_signature", []string{"X.Hub.Signature: " + goodValue}},
	{"a proxy's prefix", "missing_signature", []string{"X-Forwarded-X-Hub-Signature: " + goodValue}},
	{"claims to be verified", "missing_signature", []string{"X-Webhook-Auth-Verified: true", "User-Agent: kube-probe/1.30"}},

	// B9: recipients disagree on which of several values counts.
	{"two lines", "ambiguous_signature", []string{goodField, goodField}},
	{"good and bad line", "ambiguous_signature", []string{goodField, forgedField}},
	{"bad and good line", "ambiguous_signature", []string{forgedField, goodField}},
	{"two lines, one in lower case", "ambiguous_signature", []string{goodField, "x-hub-signature: " + goodValue}},
	{"comma list", "ambiguous_signature", []string{goodField + ", " + goodValue}},
	{"comma at the end", "ambiguous_signature", []string{goodField + ","}},
	{"two lines of -256", "ambiguous_signature", []string{goodField256, goodField256}},

	// B2, B7, B10, B11: the value is one algorithm, one `=` and the whole digest.
	{"empty", "malformed_signature", []string{"X-Hub-Signature:"}},
	{"blank", "malformed_signature", []string{"X-Hub-Signature:   "}},
	{"digest alone", "malformed_signature", []string{"X-Hub-Signature: " + goodHex}},
	{"name alone", "malformed_signature", []string{"X-Hub-Signature: sha256"}},
	{"no digest", "malformed_signature", []string{"X-Hub-Signature: sha256="}},
	{"no name", "malformed_signature", []string{"X-Hub-Signature: =" + goodHex}},
	{"first byte alone", "malformed_signature", []string{"X-Hub-Signature: sha256=" + goodHex[:2]}}, // CVE-2024-21491
	{"half of it", "malformed_signature", []string{"X-Hub-Signature: sha256=" + goodHex[:32]}},
	{"a digit less", "malformed_signature", []string{goodField[:len(goodField)-1]}},
	{"a digit more", "malformed_signature", []string{goodField + "0"}},
	{"twice", "malformed_signature", []string{goodField + goodHex}},
	{"not hex", "malformed_signature", []string{"X-Hub-Signature: sha256=" + strings.Repeat("zz", 32)}},
	{"hex up to the last digit", "malformed_signature", []string{goodField[:len(goodField)-1] + "g"}},
	{"base64", "malformed_signature", []string{"X-Hub-Signature: sha256=" + base64.StdEncoding.EncodeToString([]byte(goodHex)[:32])}},
	{"0x", "malformed_signature", []string{"X-Hub-Signature: sha256=0x" + goodHex}},
	{"blank inside", "malformed_signature", []string{"X-Hub-Signature: sha256= " + goodHex}},
	{"quoted", "malformed_signature", []string{`X-Hub-Signature: sha256="` + goodHex + `"`}},
	{"parameter", "malformed_signature", []string{goodField + ";v=1"}},
	{"wide digits", "malformed_signature", []string{"X-Hub-Signature: sha256=" + strings.Repeat("\uff11", 64)}},
	{"8 kB", "malformed_signature", []string{"X-Hub-Signature: sha256=" + strings.Repeat("a", 8<<10)}},
	{"sha512 with a digest of sha256", "malformed_signature", []string{"X-Hub-Signature: sha512=" + goodHex}},

	// B4, B5, B6: the field chooses only among what is allowed, and by its exact name.
	{"SHA256", "algorithm_not_allowed", []string{"X-Hub-Signature: SHA256=" + goodHex}},
	{"sha-256", "algorithm_not_allowed", []string{"X-Hub-Signature: sha-256=" + goodHex}},
	{"hmac-sha256", "algorithm_not_allowed", []string{"X-Hub-Signature: hmac-sha256=" + goodHex}},
	{"HS256", "algorithm_not_allowed", []string{"X-Hub-Signature: HS256=" + goodHex}},
	{"text before", "algorithm_not_allowed", []string{"X-Hub-Signature: v1 sha256=" + goodHex}},
	{"blank before =", "algorithm_not_allowed", []string{"X-Hub-Signature: sha256 =" + goodHex}},
	{"sha1, valid", "algorithm_not_allowed", []string{"X-Hub-Signature: sha1=" + hmacHex("sha1", testSecret, []byte(chatBotKit))}},
	{"sha1 with a digest of sha256", "algorithm_not_allowed", []string{"X-Hub-Signature: sha1=" + goodHex}},
	{"md5", "algorithm_not_allowed", []string{"X-Hub-Signature: md5=" + goodHex[:32]}},
	{"none=", "algorithm_not_allowed", []string{"X-Hub-Signature: none="}},

	// The digest decides.
	{"zeros", "signature_mismatch", []string{forgedField}},
	{"last digit changed", "signature_mismatch", []string{goodField[:len(goodField)-1] + flip(goodHex[63:])}},
	{"first digit changed", "signature_mismatch", []string{"X-Hub-Signature: sha256=" + flip(goodHex[:1]) + goodHex[1:]}},
	{"another secret", "signature_mismatch", []string{signedWith(otherSecret, []byte(chatBotKit))}},
	{"another body", "signature_mismatch", []string{signed([]byte(chatBotKit + "\n"))}},
	{"the empty body", "signature_mismatch", []string{signed(nil)}},
	{"the empty secret", "signature_mismatch", []string{signedWith("", []byte(chatBotKit))}},                            // A1
	{"the reference as secret", "signature_mismatch", []string{signedWith("{env.WEBHOOK_SECRET}", []byte(chatBotKit))}}, // A2
	{"a hash without a secret", "signature_mismatch", []string{fmt.Sprintf("X-Hub-Signature: sha256=%x", sha256.Sum256([]byte(chatBotKit)))}},
	{"a hash behind the secret", "signature_mismatch", []string{fmt.Sprintf("X-Hub-Signature: sha256=%x", sha256.Sum256([]byte(testSecret+chatBotKit)))}},
	{"secret and body changed over", "signature_mismatch", []string{signedWith(chatBotKit, []byte(testSecret))}},

	// If the -256 field is present, the weaker field does not count.
	{"-256 wrong", "signature_mismatch", []string{"X-Hub-Signature-256: " + forgedValue, goodField}},
	{"-256 malformed", "malformed_signature", []string{"X-Hub-Signature-256: sha256=", goodField}},
	{"-256 empty", "malformed_signature", []string{goodField, "X-Hub-Signature-256:"}},
	{"-256 not allowed", "algorithm_not_allowed", []string{"X-Hub-Signature-256: sha1=" + goodHex[:40], goodField}},
}

var (
	goodHex      = hmacHex("sha256", testSecret, []byte(chatBotKit))
	goodValue    = "sha256=" + goodHex
	goodField    = "X-Hub-Signature: " + goodValue
	goodField256 = "X-Hub-Signature-256: " + goodValue
	forgedValue  = "sha256=" + strings.Repeat("0", 64)
	forgedField  = "X-Hub-Signature: " + forgedValue
)

func flip(digit string) string {
	if digit == "0" {
		return "1"
	}
	return "0"
}

// TestRefusedSignatures: all 401s are the same answer byte for byte, so that nobody
// learns from it how far a forged signature got.
func TestRefusedSignatures(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	answers := make(map[string]string)
	for _, tt := range badSignatures {
		t.Run(tt.name, func(t *testing.T) {
			d := post(chatBotKit, tt.fields...)
			resp := g.refused(t, a, d, http.StatusUnauthorized, tt.why)
			answers[anonymous(resp)] = tt.name
		})
	}
	if len(answers) != 1 {
		t.Errorf("the 401s differ: %q", answers)
	}
	// A verifier that logs what it computed hands out signatures.
	if strings.Contains(g.log.String(), goodHex) {
		t.Errorf("the log contains a digest that was never accepted:\n%s", &g.log.raw)
	}
	g.accepts(t, a, authentic(chatBotKit)) // the gateway does not refuse everything
}

// anonymous returns the answer without the parts that must differ.
func anonymous(resp response) string {
	var kept []string
	for line := range strings.Lines(resp.head) {
		name, _, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "Date") && !strings.EqualFold(name, errorID) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "") + resp.body
}

// TestErrorIDs: each refusal has its own error id, so that an operator finds the right
// line.
func TestErrorIDs(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	seen := make(map[string]bool)
	for range 50 {
		seen[g.deliver(t, post(chatBotKit)).header.Get(errorID)] = true
	}
	if len(seen) != 50 {
		t.Errorf("50 refusals have %d different error ids", len(seen))
	}
}

// TestRefusedMethods: no method gets past the gate.
func TestRefusedMethods(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "TRACE", "DELETE", "PUT", "PATCH", "REPORT"} {
		t.Run(method, func(t *testing.T) {
			g.refused(t, a, post(chatBotKit).with(method, "/webhook"), 401, "missing_signature")
			g.refused(t, a, post(chatBotKit, forgedField).with(method, "/webhook"), 401, "signature_mismatch")
			bodyless := delivery{id: fresh(), method: method, target: "/webhook"}
			g.refused(t, a, bodyless, 401, "missing_signature")
		})
	}
}

// TestAcceptedSignatures: every spelling that HTTP and hex allow is accepted.
func TestAcceptedSignatures(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, tt := range []struct {
		name   string
		fields []string
	}{
		{"plain", []string{goodField}},
		{"-256", []string{goodField256}},
		{"-256 right, the other wrong", []string{goodField256, forgedField}},
		{"-256 right, the other twice", []string{goodField256, forgedField, goodField}},
		{"upper-case digits", []string{"X-Hub-Signature: sha256=" + strings.ToUpper(goodHex)}},
		{"field name in lower case", []string{"x-hub-signature: " + goodValue}},
		{"blanks around the value", []string{"X-Hub-Signature: \t " + goodValue + " \t"}}, // RFC 9110, section 5.5
		{"no blank before the value", []string{"X-Hub-Signature:" + goodValue}},
		{"sha384", []string{"X-Hub-Signature: sha384=" + hmacHex("sha384", testSecret, []byte(chatBotKit))}},
		{"sha512", []string{"X-Hub-Signature: sha512=" + hmacHex("sha512", testSecret, []byte(chatBotKit))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := post(chatBotKit, tt.fields...)
			answered(t, g.deliver(t, d))
			d.fields = nil // the app gets them in another spelling
			delivered(t, a, d)
		})
	}
}

// TestAlgorithms: sha1 is allowed only if it is named. If any algorithm is named, no other
// one is allowed.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, tt := range []struct{ option, accepted, refused string }{
		{"algorithms sha1", "sha1", "sha256"},
		{"algorithms sha512 sha1", "sha1", "sha384"},
		{"algorithms sha256", "sha256", "sha512"},
	} {
		t.Run(tt.option, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, canonical(a, tt.option))
			with := func(algorithm string) delivery {
				return post(chatBotKit, "X-Hub-Signature: "+algorithm+"="+hmacHex(algorithm, testSecret, []byte(chatBotKit)))
			}
			g.accepts(t, a, with(tt.accepted))
			g.refused(t, a, with(tt.refused), 401, "algorithm_not_allowed")
		})
	}
}

// TestHeaderOption: only the named field counts, and the default ones do not.
func TestHeaderOption(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "header X-Signature"))
	g.accepts(t, a, post(chatBotKit, "X-Signature: "+goodValue))
	g.refused(t, a, post(chatBotKit, goodField), 401, "missing_signature")
}

// TestSignedEmptyBody: an empty body is a body, and has a signature like any other.
func TestSignedEmptyBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	g.accepts(t, a, authentic(""))
	g.accepts(t, a, authentic("").chunks())
	bodyless := authentic("").with("GET", "/webhook")
	bodyless.body = nil
	g.accepts(t, a, bodyless)
	g.refused(t, a, post("", forgedField), 401, "signature_mismatch")
	g.refused(t, a, post(""), 401, "missing_signature")
}

// TestOtherPaths: every other path goes nowhere, however it is spelled.
func TestOtherPaths(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, target := range []string{
		"/", "/other", "/webhooks", "/webhook/", "/webhook/x", "/webhook.php", "/webhook;x", "/x/webhook",
		`/\webhook`, "/%5cwebhook", "/;/webhook", "/.;/webhook", "/%2577ebhook",
	} {
		t.Run(target, func(t *testing.T) {
			for _, d := range []delivery{authentic(chatBotKit), post(chatBotKit)} {
				d.target = target
				if resp := g.deliver(t, d); resp.status != http.StatusNotFound {
					t.Errorf("status %d, want 404", resp.status)
				}
				a.nothing(t, d.id)
			}
		})
	}
	for _, target := range []string{"/webhook?a=b", "//webhook", "/./webhook", "/%77ebhook", "/WEBHOOK", "/x/../webhook", "http://elsewhere/webhook"} {
		t.Run(target, func(t *testing.T) {
			d := post(chatBotKit).with("POST", target)
			g.refused(t, a, d, 401, "missing_signature")
		})
	}
}

// TestErrorRouteReachesNothing: a refused request does not reach the app through an error
// route that proxies.
func TestErrorRouteReachesNothing(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, proxiedErrors(a, "max_size 1KiB", "body_timeout 500ms"))
	tooLarge := authentic(strings.Repeat("x", 1025))
	for _, tt := range []struct {
		name, why string
		status    int
		delivery  delivery
	}{
		{"unsigned", "missing_signature", 401, post(chatBotKit)},
		{"unsigned, no body", "missing_signature", 401, delivery{id: fresh(), method: "GET", target: "/webhook"}},
		{"unsigned, empty", "missing_signature", 401, post("")},
		{"unsigned, chunked", "missing_signature", 401, post(chatBotKit).chunks()},
		{"two lines", "ambiguous_signature", 401, post(chatBotKit, goodField, goodField)},
		{"forged", "signature_mismatch", 401, post(chatBotKit, forgedField)},
		{"forged, no body", "signature_mismatch", 401, delivery{id: fresh(), method: "GET", target: "/webhook", fields: []string{forgedField}}},
		{"forged, chunked", "signature_mismatch", 401, post(chatBotKit, forgedField).chunks()},
		{"too large", "body_too_large", 413, tooLarge},
		{"too large, chunked", "body_too_large", 413, authentic(string(tooLarge.body)).chunks()},
		{"incremental", "incremental", 501, authentic(chatBotKit, "Incremental: ?1")},
		{"connect", "method_not_allowed", 405, authentic(chatBotKit).with("CONNECT", "/webhook")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := g.deliver(t, tt.delivery)
			g.refusal(t, resp, tt.status, tt.why)
			a.nothing(t, tt.delivery.id)
		})
	}
	t.Run("too slow", func(t *testing.T) {
		d := authentic(chatBotKit)
		c := g.dial(t)
		c.send(d.head())
		g.refusal(t, c.response(d.method), 408, "body_timeout")
		a.nothing(t, d.id)
	})
}

// TestErrorRouteDeliversOnce: an error route does not send a delivery again that failed at
// the app.
func TestErrorRouteDeliversOnce(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, proxiedErrors(a, "delivery_timeout 1s"))
	for _, behaviour := range []string{appDrop, appHang} {
		t.Run(behaviour, func(t *testing.T) {
			d := authentic(chatBotKit, "X-App: "+behaviour)
			if resp := g.deliver(t, d); resp.status < 500 {
				t.Errorf("status %d from an app that never answered", resp.status)
			}
			delivered(t, a, d)
		})
	}
}

// proxiedErrors is a canonical site whose errors are proxied to the app.
func proxiedErrors(a *app, options ...string) string {
	errors := "\thandle_errors {\n\t\treverse_proxy " + a.addr + "\n\t}\n"
	return strings.Replace(canonical(a, options...), "\trespond 404\n", errors, 1)
}
