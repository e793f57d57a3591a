package caddymodule

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// One line says what an operator needs in order to find out whose mistake it is,
// and nothing of what the client made up is longer than it need be.
func TestRefusalLine(t *testing.T) {
	h, logs := provisioned(t, &Handler{Secrets: []Secret{{Name: "new", Value: testSecret}, {Name: "old", Value: "another secret, 16+"}}})
	h.dropped.Store(7)
	_, err := serve(h, newRecorder(), with(signed(delivery), func(r *http.Request) {
		r.Header.Set("X-Hub-Signature", sign("another body"))
		r.Header.Set("Content-Type", "application/json\r\n\x1b[31m")
		r.Header.Set("User-Agent", strings.Repeat("u", 4096))
		r.Header.Set("Stripe-Signature", "t=1,v1=00")
		r.Header.Set("Via", "1.1 proxy")
	}), new(spy))
	he, _ := errors.AsType[caddyhttp.HandlerError](err)
	want := map[string]any{
		"error_id": he.ID, "reason": "signature_mismatch", "status": int64(401), "method": "POST",
		"host": "example.com", "path": "/webhook", "client_ip": "",
		"content_length": int64(len(delivery)), "content_type": "application/json\r\n\x1b[31m", "user_agent": strings.Repeat("u", 128),
		"hops": []any{"Via"}, "foreign_signatures": []any{"Stripe-Signature"}, "dropped": int64(7),
		"secrets": []any{"new", "old"}, "algorithm": "sha256", "body_length": int64(len(delivery)), "body_sha256_8": "902be2cc",
	}
	if got := logs.All()[0].ContextMap(); !reflect.DeepEqual(got, want) {
		t.Errorf("logged %v\n  want %v", got, want)
	}
	if h.dropped.Load() != 0 {
		t.Error("what was dropped is counted again")
	}
}

// Text of a client cannot end a line of the log and begin another one.
func TestRefusalLineIsQuoted(t *testing.T) {
	for name, encoder := range map[string]zapcore.Encoder{
		"json":    zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}),
		"console": zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "msg"}),
	} {
		h, _ := provisioned(t, &Handler{})
		var log strings.Builder
		h.logger = zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&log), zapcore.WarnLevel))
		serve(h, newRecorder(), with(signed(delivery), func(r *http.Request) {
			r.Header.Set("User-Agent", "x\"\n{\"msg\":\"delivery accepted\"}\x1b[2J\x00\xff")
			r.Header.Set("Content-Type", "a\r\nb")
			r.Header.Del("X-Hub-Signature")
		}), new(spy))
		raw := func(c byte) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0xff }
		if strings.Count(log.String(), "\n") != 1 || slices.ContainsFunc([]byte(log.String()), raw) {
			t.Errorf("%s: %q", name, log.String())
		}
	}
}

// TestDropped: what the sampler keeps out of the log is counted, and nothing else.
func TestDropped(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	core, logs := observer.New(zapcore.DebugLevel)
	h.logger, h.dropped = sampled(zap.New(core))
	const requests = 500
	for range requests {
		serve(h, newRecorder(), signed(delivery), new(spy)) // sampled too, at debug
		serve(h, newRecorder(), with(signed(delivery), func(r *http.Request) { r.Header.Del("X-Hub-Signature") }), new(spy))
	}
	told, lines := h.dropped.Load(), 0
	for _, line := range logs.FilterMessage("delivery refused").All() {
		n, _ := line.ContextMap()["dropped"].(int64)
		told += n
		lines++
	}
	if int(told)+lines != requests {
		t.Errorf("%d lines and %d dropped, of %d", lines, told, requests)
	}
}

// The access log of Caddy shows the verdict, and the secret's name as the user.
func TestAccessLogFields(t *testing.T) {
	for _, tc := range []struct {
		request       *http.Request
		verdict, user string
	}{
		{signed(delivery), "verified", "main"},
		{with(signed(delivery), func(r *http.Request) { r.Header.Del("X-Hub-Signature") }), "missing_signature", ""},
	} {
		h, _ := provisioned(t, &Handler{})
		r, _ := serve(h, newRecorder(), tc.request, new(spy))
		if got := caddyhttp.GetVar(r.Context(), verdictVar).(*published).String(); got != tc.verdict {
			t.Errorf("verdict %q, want %q", got, tc.verdict)
		}
		user, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).GetString("http.auth.user.id")
		if user != tc.user {
			t.Errorf("user %q, want %q", user, tc.user)
		}
	}
}

// refuseForged has the gate refuse n forged requests, and returns how many of them
// wait for the worker.
func refuseForged(h *Handler, n int, body string) int {
	before := len(h.app.specimens)
	for range n {
		serve(h, newRecorder(), with(signed(body), func(r *http.Request) { r.Header.Set("X-Hub-Signature", sign("forged")) }), new(spy))
	}
	return len(h.app.specimens) - before
}

// TestDiagnosisIsBounded: five at once and one a second for each gate, of bodies up
// to 64 KiB, and never more than the worker's queue holds.
func TestDiagnosisIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler Handler
		body    string
		want    int
	}{
		{"burst", Handler{}, delivery, diagnosesBurst},
		{"off", Handler{Diagnose: "off"}, delivery, 0},
		{"a large body", Handler{}, strings.Repeat("x", diagnosis.MaxBody+1), 0},
		{"the largest body", Handler{}, strings.Repeat("x", diagnosis.MaxBody), diagnosesBurst},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, _ := provisioned(t, &tc.handler)
			h.diagnoses.SetLimit(0)
			if n := refuseForged(h, 20, tc.body); n != tc.want {
				t.Errorf("%d of 20 wait for diagnosis, want %d", n, tc.want)
			}
			h.diagnoses.SetBurst(100)
			h.diagnoses.SetLimit(1e9)
			if n := len(h.app.specimens) + refuseForged(h, 100, tc.body); n > diagnosesWaiting {
				t.Errorf("%d wait, want at most %d", n, diagnosesWaiting)
			}
		})
	}
}

// A refusal for another reason than a mismatch has no body that could be looked
// into.
func TestOnlyMismatchesAreDiagnosed(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	serve(h, newRecorder(), with(signed(delivery), func(r *http.Request) { r.Header.Del("X-Hub-Signature") }), new(spy))
	serve(h, newRecorder(), signed(delivery), new(spy))
	if n := len(h.app.specimens); n != 0 {
		t.Errorf("%d wait for diagnosis", n)
	}
}

// A diagnosis that panics costs one line of the log.
func TestDiagnosisThatPanics(t *testing.T) {
	h, logs := provisioned(t, &Handler{})
	(&specimen{handler: h, material: new(material), errorID: "abc", delivery: signature.Delivery{}}).diagnose(nil)
	if line := logs.FilterMessage("diagnosis failed").All(); len(line) != 1 || line[0].ContextMap()["error_id"] != "abc" {
		t.Errorf("logged %v", logs.All())
	}
}

// One line at load says what a gate does.
func TestSummary(t *testing.T) {
	for want, h := range map[string]*Handler{
		"gate hub: hub, 1 secret": {},
		"gate acme: slack, 2 secrets, challenge slack, replay 24h0m0s": {
			Name: "acme", Preset: "slack", Secrets: []Secret{{Value: testSecret}, {Value: "another secret, 16+"}},
			Replay: &Replay{Window: caddy.Duration(24 * time.Hour)},
		},
		"gate trial: hub, 1 secret, observes only": {Name: "trial", UnsafeObserveOnly: true},
	} {
		h, _ := provisioned(t, h)
		if got := h.summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A check of the sender that is not answered is refused in plain words.
func TestUnansweredCheckIsNamed(t *testing.T) {
	h, logs := provisioned(t, &Handler{Preset: "meta"})
	r := httptest.NewRequest(http.MethodGet, "/webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=s3cr3t", nil)
	serve(h, newRecorder(), r, new(spy))
	line := logs.FilterMessage("delivery refused").All()[0].ContextMap()
	if hint, _ := line["hint"].(string); line["diagnosis"] != "check_is_not_configured" || !strings.Contains(hint, "challenge hub") || strings.Contains(hint, "s3cr3t") {
		t.Errorf("logged %v", line)
	}
	if line["path"] != "/webhook" || line["host"] != "example.com" {
		t.Errorf("logged %v", line)
	}
}
