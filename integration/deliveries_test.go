package integration_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDeliveryTimeout: an app that hangs costs no more than delivery_timeout.
func TestDeliveryTimeout(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "delivery_timeout 1s"))
	d := authentic(chatBotKit, "X-App: "+appHang)
	if resp := g.deliver(t, d); resp.status != http.StatusGatewayTimeout {
		t.Errorf("status %d, want 504", resp.status)
	}
	delivered(t, a, d)
	g.accepts(t, a, authentic(chatBotKit))
}

// TestDeliveryTimeoutWithoutSender: delivery_timeout also ends a delivery whose sender is
// gone.
func TestDeliveryTimeoutWithoutSender(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, "{\n\tdebug\n}\n"+canonical(a, "delivery_timeout 1s"))
	d := authentic(chatBotKit, "X-App: "+appHang)
	c := g.dial(t)
	c.send(d.wire())
	a.begun(t, d.id)
	c.Close()
	g.log.wait(t, "the timeout", func(e entry) bool {
		return e.text("msg") == "delivery failed" && e.text("class") == "timeout" && e["status"] == float64(http.StatusGatewayTimeout)
	})
	delivered(t, a, d)
}

// TestAppIsAway: without an app the answer is 502 and not a refusal.
func TestAppIsAway(t *testing.T) {
	t.Parallel()
	nobody := &app{addr: "127.0.0.1:1"}
	g := startGateway(t, canonical(nobody))
	resp := g.deliver(t, authentic(chatBotKit))
	if resp.status != http.StatusBadGateway || resp.header.Get(errorID) != "" {
		t.Errorf("answer %q, want a plain 502", resp.head)
	}
}

// TestExactlyOnce: an app that receives a delivery and hangs up may have acted on it, so
// it does not get the delivery again. That holds on a reused connection, where Go's
// transport retries, and if the sender sends a key that allows it (RFC 9110, section
// 9.2.2).
func TestExactlyOnce(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"} {
		for _, key := range []string{"X-No-Key: 1", "Idempotency-Key: 1", "X-Idempotency-Key: 1"} {
			t.Run(method+" "+key, func(t *testing.T) {
				g.dropped(t, a, authentic(chatBotKit, key, "X-App: "+appDrop).with(method, "/webhook"))
			})
		}
	}
}

// dropped sends a delivery that the app drops, on a connection that was used before. It
// fails the test unless the app gets the delivery once.
func (g *gateway) dropped(t *testing.T, a *app, d delivery) {
	t.Helper()
	g.accepts(t, a, authentic(chatBotKit)) // leaves an idle connection
	if resp := g.deliver(t, d); resp.status != http.StatusBadGateway {
		t.Errorf("status %d, want 502", resp.status)
	}
	delivered(t, a, d)
}

// TestExactlyOnceWithoutBody: the same for the empty body, which a transport can always
// send again.
func TestExactlyOnceWithoutBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, method := range []string{"POST", "PUT", "DELETE", "GET", "OPTIONS"} {
		for _, key := range []string{"X-No-Key: 1", "Idempotency-Key: 1"} {
			t.Run(method+" "+key, func(t *testing.T) {
				g.dropped(t, a, authentic("", key, "X-App: "+appDrop).with(method, "/webhook"))
			})
		}
	}
}

// TestObserveOnlyLetsThrough: requests that would be refused pass byte-exact, and the log
// says why they would have been refused.
func TestObserveOnlyLetsThrough(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	large := strings.Repeat("0123456789", 20_000)
	for _, tt := range []struct {
		name, why string
		delivery  delivery
	}{
		{"authentic", "", authentic(chatBotKit)},
		{"unsigned", "missing_signature", post(chatBotKit)},
		{"unsigned, empty", "missing_signature", post("")},
		{"unsigned, 200 kB", "missing_signature", post(large)},
		{"unsigned GET", "missing_signature", delivery{id: fresh(), method: "GET", target: "/webhook"}},
		{"two lines", "ambiguous_signature", post(chatBotKit, goodField, goodField)},
		{"malformed", "malformed_signature", post(chatBotKit, "X-Hub-Signature: sha256=")},
		{"forged", "signature_mismatch", post(chatBotKit, forgedField)},
		{"too large", "body_too_large", authentic(large)},
		{"incremental", "incremental", authentic(chatBotKit, "Incremental: ?1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, canonical(a, "max_size 1KiB", "unsafe_observe_only"))
			answered(t, g.deliver(t, tt.delivery))
			delivered(t, a, tt.delivery)
			observed(t, g, tt.why)
		})
	}
	for _, tt := range []struct {
		name, why string
		delivery  delivery
	}{
		{"unsigned, chunked", "missing_signature", post(large).chunks()},
		{"forged, chunked", "signature_mismatch", post(chatBotKit, forgedField).chunks()},
		{"too large, chunked", "body_too_large", authentic(large).chunks()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, canonical(a, "max_size 1KiB", "unsafe_observe_only"))
			answered(t, g.deliver(t, tt.delivery))
			if got := a.once(t, tt.delivery.id); string(got.Body) != string(tt.delivery.body) {
				t.Errorf("the app got %d bytes, want %d", len(got.Body), len(tt.delivery.body))
			}
			observed(t, g, tt.why)
		})
	}
}

// observed fails the test unless the log says in one line why the request would be
// refused, or says nothing if why is empty.
func observed(t *testing.T, g *gateway, why string) {
	t.Helper()
	lines, _ := g.log.find(message("delivery observed"))
	if why == "" {
		if len(lines) > 0 {
			t.Errorf("the log says %v of an authentic delivery", lines)
		}
		return
	}
	if line := g.log.wait(t, "the observation", message("delivery observed")); line.text("reason") != why {
		t.Errorf("the log says %q, want %s", line.text("reason"), why)
	}
}

// TestObserveOnlySlowBody: a slow sender is not cut off either.
func TestObserveOnlySlowBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "body_timeout 500ms", "unsafe_observe_only"))
	d := authentic(chatBotKit)
	c := g.dial(t)
	c.send(d.head() + chatBotKit[:20])
	time.Sleep(time.Second) // the sender's slowness
	c.send(chatBotKit[20:])
	answered(t, c.response("POST"))
	delivered(t, a, d)
}
