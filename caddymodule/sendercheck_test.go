package caddymodule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A senderCheck is a row of internal/signature/testdata/checks.json.
type senderCheck struct {
	Kind, Method, Query, Body, Token, Secret string
	Arguments                                []string
	Fields                                   map[string]string
	Signed                                   bool
	Answer                                   struct {
		Status      int
		ContentType string `json:"content_type"`
		Fields      map[string]string
		Body        string
	}
}

func senderChecks(t *testing.T) []senderCheck {
	t.Helper()
	data, err := os.ReadFile("internal/signature/testdata/checks.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Checks []senderCheck }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Checks
}

// request is the check, signed where the sender signs it.
func (c *senderCheck) request() *http.Request {
	r := httptest.NewRequest(c.Method, "/webhook?"+c.Query, strings.NewReader(c.Body))
	for name, value := range c.Fields {
		r.Header.Set(name, value)
	}
	if c.Signed {
		r.Header.Set("X-Hub-Signature", "sha256="+sumUnder(c.key(), c.Body))
	}
	return r
}

func (c *senderCheck) key() string {
	if c.Secret != "" {
		return c.Secret
	}
	return testSecret
}

func (c *senderCheck) gate() *Handler { return &Handler{Secrets: []Secret{{Value: c.key()}}} }

func sumUnder(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	io.WriteString(mac, text)
	return hex.EncodeToString(mac.Sum(nil))
}

// wantCheck asks for exactly this answer, which no cache keeps and no browser takes for a
// page, and of which the app never hears.
func (c *senderCheck) wantCheck(t *testing.T, w *recorder, err error, next *spy) {
	t.Helper()
	want := http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
	if c.Answer.ContentType != "" {
		want.Set("Content-Type", c.Answer.ContentType)
	}
	for name, value := range c.Answer.Fields {
		want.Set(name, value)
	}
	if err != nil || next.calls != 0 || w.Code != max(c.Answer.Status, 200) {
		t.Errorf("%s: %v, %d calls, status %d", c.Kind, err, next.calls, w.Code)
	}
	if got := w.Header(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%s: fields %v, want %v", c.Kind, got, want)
	}
	var got, wanted any
	if json.Unmarshal(w.Body.Bytes(), &got) == nil && json.Unmarshal([]byte(c.Answer.Body), &wanted) == nil {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(wanted)
		if string(a) != string(b) {
			t.Errorf("%s: %s, want %s", c.Kind, a, b)
		}
	} else if w.Body.String() != c.Answer.Body {
		t.Errorf("%s: %q, want %q", c.Kind, w.Body, c.Answer.Body)
	}
}

// Each kind is answered where it is configured, and nowhere else.
func TestSenderChecks(t *testing.T) {
	for _, c := range senderChecks(t) {
		t.Run(c.Kind, func(t *testing.T) {
			h, logs := challenged(t, c.gate(), c.Kind, c.Arguments...)
			w, next := newRecorder(), new(spy)
			r, err := serve(h, w, c.request(), next)
			c.wantCheck(t, w, err, next)
			wantUnsendable(t, r)
			if lines := logs.FilterMessage("challenge answered"); lines.Len() != 1 || logs.Len() != 1 {
				t.Errorf("logged %v", logs.All())
			}

			bare, _ := provisioned(t, c.gate())
			w, next = newRecorder(), new(spy)
			r, err = serve(bare, w, c.request(), next)
			if c.Signed {
				if err != nil || next.calls != 1 || string(next.body) != c.Body {
					t.Errorf("without the option: %v, %d calls", err, next.calls)
				}
				return
			}
			wantRefused(t, w, r, err, next, refusal.MissingSignature)
		})
	}
}

// A request that carries a signature is judged by it: a right one makes it a delivery, which
// reaches the app, and a wrong one a forgery.
func TestSignedRequestsAreNoChecks(t *testing.T) {
	for _, c := range senderChecks(t) {
		if c.Signed {
			continue
		}
		h, _ := challenged(t, c.gate(), c.Kind, c.Arguments...)
		right := with(c.request(), func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha256="+sumUnder(c.key(), c.Body)) })
		next := new(spy)
		_, err := serve(h, newRecorder(), right, next)
		if forgeable := c.Kind == "x" || c.Kind == "linkedin"; forgeable {
			if next.calls != 0 {
				t.Errorf("%s: an empty body may be a part of what strangers have signed", c.Kind)
			}
		} else if err != nil || next.calls != 1 || string(next.body) != c.Body {
			t.Errorf("%s: %v, %d calls, %q", c.Kind, err, next.calls, next.body)
		}

		wrong := with(c.request(), func(r *http.Request) { r.Header.Set("X-Hub-Signature", "sha256="+sumUnder(c.key(), c.Body+"x")) })
		w, next := newRecorder(), new(spy)
		r, err := serve(h, w, wrong, next)
		wantRefused(t, w, r, err, next, refusal.SignatureMismatch)
	}
}

// An unsigned body is read only where the header section is the check's, and its length is
// known and small.
func TestUnsignedBodiesOfChecks(t *testing.T) {
	var grid senderCheck
	for _, c := range senderChecks(t) {
		if c.Kind == "eventgrid" {
			grid = c
		}
	}
	const event = `[{"eventType":"Microsoft.Storage.BlobCreated","data":{"validationCode":"a"}}]`
	for name, tc := range map[string]struct {
		change func(r *http.Request)
		read   bool
		reason refusal.Reason // empty: it is answered
	}{
		"the check": {func(*http.Request) {}, true, ""},
		"an event in it": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(event)), int64(len(event))
		}, true, refusal.MissingSignature},
		"an event":        {func(r *http.Request) { r.Header.Set("Aeg-Event-Type", "Notification") }, false, refusal.MissingSignature},
		"no field":        {func(r *http.Request) { r.Header.Del("Aeg-Event-Type") }, false, refusal.MissingSignature},
		"two fields":      {func(r *http.Request) { r.Header.Add("Aeg-Event-Type", "SubscriptionValidation") }, false, refusal.MissingSignature},
		"chunks":          {func(r *http.Request) { r.ContentLength = -1 }, false, refusal.MissingSignature},
		"5 KiB":           {func(r *http.Request) { r.ContentLength = 5 << 10 }, false, refusal.MissingSignature},
		"a PUT":           {func(r *http.Request) { r.Method = http.MethodPut }, false, refusal.MissingSignature},
		"cut off":         {func(r *http.Request) { r.ContentLength += 10 }, true, refusal.BodyIncomplete},
		"Incremental: ?1": {func(r *http.Request) { r.Header.Set("Incremental", "?1") }, false, refusal.Incremental},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := challenged(t, new(Handler), "eventgrid")
			r := grid.request()
			tc.change(r)
			w, next := newRecorder(), new(spy)
			r, err := serve(h, w, r, next)
			if tc.reason == "" {
				grid.wantCheck(t, w, err, next)
				return
			}
			wantRefused(t, w, r, err, next, tc.reason)
			// One deadline bounds what is received, and a shorter one what is thrown away.
			if read := len(w.deadlines) > 0 && time.Until(w.deadlines[0]) > drainTimeout; read != tc.read {
				t.Errorf("the body was received: %v", read)
			}
		})
	}
}

// Under unsafe_observe_only a check is answered, and what only looks like one reaches the app
// with all of its body.
func TestObservedChecks(t *testing.T) {
	for _, body := range []string{`[{"eventType":"Microsoft.Storage.BlobCreated","data":{}}]`, "[]"} {
		h, _ := challenged(t, &Handler{UnsafeObserveOnly: true}, "eventgrid")
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
		r.Header.Set("Aeg-Event-Type", "SubscriptionValidation")
		next := new(spy)
		if _, err := serve(h, newRecorder(), r, next); err != nil || string(next.body) != body {
			t.Errorf("%v, %q reached the app, want %q", err, next.body, body)
		}
	}
	for _, c := range senderChecks(t) {
		if c.Signed {
			continue
		}
		gate := c.gate()
		gate.UnsafeObserveOnly = true
		h, _ := challenged(t, gate, c.Kind, c.Arguments...)
		w, next := newRecorder(), new(spy)
		_, err := serve(h, w, c.request(), next)
		c.wantCheck(t, w, err, next)
	}
}

// At a gate with a token, Event Grid's check is answered with the token alone.
func TestTokenGateAnswersChecks(t *testing.T) {
	for _, c := range senderChecks(t) {
		if c.Signed || c.Kind == "x" || c.Kind == "linkedin" {
			continue
		}
		gate := &Handler{Headers: []string{"X-Token"}, Tokens: []Token{{Value: testSecret}}, Challenge: &Challenge{Kind: c.Kind, Arguments: c.Arguments}}
		h, _ := keyed(t, gate)
		for _, tc := range []struct {
			token  string
			answer bool
			reason refusal.Reason // of what is neither answered nor a delivery
		}{
			{"", c.Kind != "eventgrid", refusal.TokenMissing},
			{testSecret, slices.Contains([]string{"okta", "cloudevents", "eventgrid"}, c.Kind), ""},
			{testSecret + "x", false, refusal.TokenMismatch},
		} {
			r := c.request()
			if tc.token != "" {
				r.Header.Set("X-Token", tc.token)
			}
			w, next := newRecorder(), new(spy)
			r, err := serve(h, w, r, next)
			switch {
			case tc.answer:
				c.wantCheck(t, w, err, next)
			case tc.reason != "":
				wantRefused(t, w, r, err, next, tc.reason)
			case err != nil || next.calls != 1:
				t.Errorf("%s with its token: %v, %d calls", c.Kind, err, next.calls)
			}
		}
	}
}

// LinkedIn's check signs UUIDs for strangers, and LinkedIn's deliveries sign a text in front
// of the body. No answer is a delivery, neither to this gate nor to another one with its key.
func TestLinkedInIsNoOracle(t *testing.T) {
	linkedIn := func(payload string) *Handler {
		return &Handler{Name: "linkedin", Headers: []string{"X-Li-Signature"}, Signature: "{hex}", Payload: payload}
	}
	for _, payload := range []string{"hmacsha256={body}", "{body}", "{header.X-Id}-{body}"} {
		h, _ := challenged(t, linkedIn(payload), "linkedin")
		for _, evil := range []string{`hmacsha256={"evil":1}`, `{"evil":1}`, "hmacsha256=", "a=b", strings.Repeat("a", 36)} {
			w, next := newRecorder(), new(spy)
			r, err := serve(h, w, get("/webhook?challengeCode="+url.QueryEscape(evil)), next)
			wantRefused(t, w, r, err, next, refusal.MissingSignature)
		}
		const code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
		w := newRecorder()
		if _, err := serve(h, w, get("/webhook?challengeCode="+code), new(spy)); err != nil {
			t.Fatal(err)
		}
		var made map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made["challengeCode"] != code || made["challengeResponse"] != sum(code) {
			t.Fatalf("%q, %v", w.Body, err)
		}
		for _, body := range []string{code, "4dfe-4ab1-b689-ed553bceeed0", ""} {
			r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
			r.Header.Set("X-Li-Signature", made["challengeResponse"])
			r.Header.Set("X-Id", "890e4665")
			w, next := newRecorder(), new(spy)
			r, err := serve(h, w, r, next)
			wantRefused(t, w, r, err, next, refusal.SignatureMismatch)
		}
	}
	for _, other := range []*Handler{
		{Name: "other"},
		{Name: "other", Challenge: &Challenge{Kind: "x"}},
		{Name: "other", Challenge: &Challenge{Kind: "linkedin"}},
	} {
		gate := linkedIn("hmacsha256={body}")
		gate.Challenge = &Challenge{Kind: "linkedin"}
		gate.Secrets, other.Secrets = []Secret{{Value: testSecret}}, []Secret{{Value: testSecret}}
		ctx := emptyContext(t)
		err := errors.Join(gate.Provision(ctx), other.Provision(ctx))
		same := other.Challenge != nil && other.Challenge.Kind == "linkedin"
		if (err == nil) != same || err != nil && !strings.Contains(err.Error(), "have the same secret, and with challenge ") {
			t.Errorf("beside %+v: %v", other.Challenge, err)
		}
	}
}

// What a sender has to be answered is said at load, as the line to add.
func TestDemandedChecks(t *testing.T) {
	for preset, line := range demandedChecks {
		words := strings.Fields(strings.NewReplacer("<", "", ">", "").Replace(line))
		c, err := signature.NewChallenge(words[0], words[1:])
		if err != nil || c.Method() == "" {
			t.Errorf("%s: challenge %s: %v; a signed check needs no line", preset, line, err)
		}
	}
	for preset, gate := range map[string]*Handler{
		"intercom": {Preset: "intercom", Secrets: []Secret{{Value: testSecret}}},
		"okta":     {Preset: "okta", Tokens: []Token{{Value: testSecret}}},
	} {
		for _, configured := range []bool{false, true} {
			h, _ := keyed(t, gate)
			if configured {
				h.material().challenge, _ = signature.NewChallenge(demandedChecks[preset], nil)
			}
			if missing := h.missingCheck(); (missing == "") != configured {
				t.Errorf("%s: %q", preset, missing)
			}
		}
	}
}
