package diagnosis_test

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A checkRow is a sender's check that the gate does not answer, and the same check after
// the hint was followed. If cured is empty, something in front of the gate answers it.
type checkRow struct {
	want          diagnosis.Diagnosis
	hint          string
	method, query string
	field         string
	challenge     string // of the gate, with its arguments
	scheme        signature.Scheme
	cured         string // challenge, or a query after a '?'

	fields []string // more of them, with their values
	length int64
	body   string
	token  string                   // of the gate; empty: it has a secret
	mend   func(*signature.Request) // what is changed in the request
}

// validation is Event Grid's check.
const validation = `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"abc"}}]`

// request returns the check as it came.
func (row *checkRow) request() *signature.Request {
	r := &signature.Request{Method: cmp.Or(row.method, http.MethodGet), Query: row.query, Header: http.Header{}, Length: cmp.Or(row.length, int64(len(row.body)))}
	if row.field != "" {
		r.Header.Set(row.field, decoy)
	}
	for i := 0; i < len(row.fields); i += 2 {
		r.Header.Add(row.fields[i], row.fields[i+1])
	}
	return r
}

// posted and asked are changes of a request.
func posted(r *signature.Request) { r.Method = http.MethodPost }

func asked(query string) func(*signature.Request) {
	return func(r *signature.Request) { r.Query = query }
}

var grid = []string{"Aeg-Event-Type", "SubscriptionValidation"}

const (
	uuid        = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
	subscribing = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
	topical     = "hub.mode=subscribe&hub.challenge=1158201444&hub.topic=https://example.com/feed"
)

func checkRows() []checkRow {
	long := strings.Repeat("a", 600)
	return []checkRow{
		{want: "check_is_not_configured", hint: "`challenge hub <verify_token>`", query: subscribing + decoy, cured: "hub " + decoy},
		{want: "check_is_not_configured", hint: "`challenge hub <verify_token>`", query: subscribing + decoy, challenge: "x", cured: "hub " + decoy},
		{want: "check_is_not_configured", hint: "`challenge websub <topic>`", query: topical, cured: "websub https://example.com/feed"},
		{want: "check_is_not_configured", hint: "`challenge x`", query: "crc_token=abc", cured: "x"},
		{want: "check_is_not_configured", hint: "`challenge dropbox`", query: "challenge=abc", cured: "dropbox"},
		{want: "check_is_not_configured", hint: "Trello", method: http.MethodHead},
		{want: "check_is_not_configured", hint: "Asana", method: http.MethodPost, field: "X-Hook-Secret"},
		{want: "check_is_not_configured", hint: "`challenge head`", method: http.MethodHead, cured: "head"},
		{want: "check_is_not_configured", hint: "`challenge okta`", field: "X-Okta-Verification-Challenge", cured: "okta"},
		{want: "check_is_not_configured", hint: "`challenge graph`", method: http.MethodPost, query: "validationToken=abc", cured: "graph"},
		{want: "check_is_not_configured", hint: "SharePoint", method: http.MethodPost, query: "validationtoken=abc", cured: "graph"},
		{want: "check_is_not_configured", hint: "`challenge linkedin`", query: "challengeCode=" + uuid, cured: "linkedin"},
		{want: "check_is_not_configured", hint: "`challenge oura <verify_token>`", query: "challenge=abc&verification_token=" + decoy, cured: "oura " + decoy},
		{want: "check_is_not_configured", hint: "`challenge smartsheet`", method: http.MethodPost, field: "Smartsheet-Hook-Challenge", cured: "smartsheet"},
		{want: "check_is_not_configured", hint: "`challenge ringcentral`", method: http.MethodPost, field: "Validation-Token", cured: "ringcentral"},
		{want: "check_is_not_configured", hint: "`challenge eventgrid`", method: http.MethodPost, fields: grid, body: validation, cured: "eventgrid"},
		{want: "check_is_not_configured", hint: "`challenge cloudevents <origin>`", method: http.MethodOptions, fields: []string{"Webhook-Request-Origin", "a.example"}, cured: "cloudevents a.example"},
		{want: "check_is_not_configured", hint: "CloudEvents", method: http.MethodOptions, field: "Webhook-Request-Origin", challenge: "head"},
		{want: "check_has_another_method", hint: "GET, and the gate answers it only for POST", query: "validationToken=abc", challenge: "graph", mend: posted},
		{want: "check_has_another_method", hint: "only for POST", field: "Smartsheet-Hook-Challenge", challenge: "smartsheet", mend: posted},
		{want: "check_has_another_method", hint: "only for GET", method: http.MethodPost, field: "X-Okta-Verification-Challenge", challenge: "okta", mend: func(r *signature.Request) { r.Method = http.MethodGet }},
		{want: "check_repeats_parameter", hint: "validationToken", method: http.MethodPost, query: "validationToken=a&validationToken=b", challenge: "graph", mend: asked("validationToken=a")},
		{want: "check_repeats_parameter", hint: "validationToken", method: http.MethodPost, query: "validationToken=a&validationtoken=b", challenge: "graph", mend: asked("validationToken=a")},
		{want: "check_repeats_parameter", hint: "challenge", query: "challenge=a&challenge=b&verification_token=" + decoy, challenge: "oura " + decoy, mend: asked("challenge=a&verification_token=" + decoy)},
		{want: "check_repeats_parameter", hint: "X-Okta-Verification-Challenge", fields: []string{"X-Okta-Verification-Challenge", "a", "X-Okta-Verification-Challenge", "a"}, challenge: "okta", mend: func(r *signature.Request) { r.Header.Set("X-Okta-Verification-Challenge", "a") }},
		{want: "check_lacks_parameter", hint: "challenge", query: "verification_token=" + decoy, challenge: "oura " + decoy, mend: asked("challenge=a&verification_token=" + decoy)},
		{want: "check_token_differs", hint: "verification_token is not the token of `challenge oura`", query: "challenge=a&verification_token=" + decoy, challenge: "oura " + secret, cured: "oura " + decoy},
		{want: "check_token_differs", hint: "verification_token", query: "challenge=a&verification_token=", challenge: "oura " + secret, mend: asked("challenge=a&verification_token=" + secret)},
		{want: "check_origin_differs", method: http.MethodOptions, fields: []string{"Webhook-Request-Origin", "a.example"}, challenge: "cloudevents b.example", cured: "cloudevents a.example"},
		{want: "check_asks_for_no_rate", method: http.MethodOptions, fields: []string{"Webhook-Request-Origin", "a.example", "Webhook-Request-Rate", "0"}, challenge: "cloudevents a.example", mend: func(r *signature.Request) { r.Header.Set("Webhook-Request-Rate", "1") }},
		{want: "check_body_differs", method: http.MethodPost, fields: grid, body: `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{}}]`, challenge: "eventgrid"},
		{want: "check_body_is_too_long", hint: "4096 bytes", method: http.MethodPost, fields: grid, length: 4097, challenge: "eventgrid"},
		{want: "check_body_is_too_long", hint: "does not say how long", method: http.MethodPost, query: "validationToken=abc", length: -1, challenge: "graph", mend: func(r *signature.Request) { r.Length = 0 }},
		{want: "check_query_is_malformed", method: http.MethodPost, query: "validationToken=abc&%zz", challenge: "graph", mend: asked("validationToken=abc")},
		{want: "check_query_is_malformed", query: "crc_token=abc&a;b", challenge: "x", mend: asked("crc_token=abc")},
		{want: "check_query_is_malformed", query: subscribing + decoy + "&%zz", challenge: "hub " + decoy, cured: "?" + subscribing + decoy},
		{want: "check_needs_token", hint: "X-Token", method: http.MethodPost, fields: grid, body: validation, challenge: "eventgrid", token: secret},
		{want: "check_text_is_not_echoed", hint: "512 bytes", method: http.MethodPost, query: "validationToken=" + long, challenge: "graph"},
		{want: "check_text_is_not_echoed", hint: "512 bytes", fields: []string{"X-Okta-Verification-Challenge", "a{{b"}, challenge: "okta"},
		{want: "check_text_is_not_echoed", hint: "36 bytes of a UUID", query: "challengeCode=hmacsha256=abc", challenge: "linkedin"},
		{method: http.MethodOptions, fields: []string{"Webhook-Request-Origin", "a.example", "Access-Control-Request-Method", "POST"}, challenge: "cloudevents a.example"},
		{method: http.MethodPost, fields: []string{"Aeg-Event-Type", "Notification"}},
		{want: "check_has_another_method", hint: "HEAD", method: http.MethodHead, query: subscribing + decoy, challenge: "hub " + decoy, cured: "?" + subscribing + decoy},
		{want: "check_has_another_method", hint: "POST", method: http.MethodPost, query: "crc_token=abc", challenge: "x", cured: "?crc_token=abc"},
		{want: "check_has_another_method", hint: "another method", method: "PURGE", query: "crc_token=abc", challenge: "x", cured: "?crc_token=abc"},
		{
			want: "check_names_were_changed", hint: "hub_mode", query: strings.ReplaceAll(subscribing+decoy, "hub.", "hub_"), challenge: "hub " + decoy,
			cured: "?" + subscribing + decoy,
		},
		{want: "check_lacks_parameter", hint: "hub.challenge", query: "hub.mode=subscribe&hub.verify_token=" + decoy, challenge: "hub " + decoy, cured: "?" + subscribing + decoy},
		{want: "check_lacks_parameter", hint: "hub.topic", query: subscribing + decoy, challenge: "websub https://example.com/feed", cured: "?" + topical},
		{want: "check_repeats_parameter", hint: "hub.mode", query: "hub.mode=subscribe&" + subscribing + decoy, challenge: "hub " + decoy, cured: "?" + subscribing + decoy},
		{want: "check_repeats_parameter", hint: "crc_token", query: "crc_token=abc&crc_token=abc", challenge: "x", cured: "?crc_token=abc"},
		{
			want: "check_asks_no_subscription", query: strings.Replace(subscribing+decoy, "subscribe", "unsubscribe", 1), challenge: "hub " + decoy,
			cured: "?" + subscribing + decoy,
		},
		{want: "check_token_differs", hint: "`challenge hub`", query: subscribing + decoy, challenge: "hub " + secret, cured: "hub " + decoy},
		{want: "check_token_differs", query: subscribing, challenge: "hub " + secret, cured: "?" + subscribing + secret},
		{want: "check_topic_differs", query: topical + "/", challenge: "websub https://example.com/feed", cured: "websub https://example.com/feed/"},
		{want: "check_text_is_not_echoed", hint: "512 bytes", query: strings.Replace(subscribing, "1158201444", long, 1) + decoy, challenge: "hub " + decoy},
		{want: "check_text_is_not_echoed", hint: "64 bytes", query: "crc_token=" + long, challenge: "x"},
		{want: "check_text_is_not_echoed", hint: "512 bytes", query: "challenge=" + url.QueryEscape("a<b"), challenge: "dropbox"},
		{want: "sender_has_no_secret", hint: "GitHub", method: http.MethodPost, field: "X-GitHub-Event"},
		{want: "sender_has_no_secret", hint: "Gitea", method: http.MethodPost, field: "X-Gitea-Event"},
		{want: "sender_has_no_secret", hint: "Gogs", method: http.MethodPost, field: "X-Gogs-Event"},
		{want: "sender_has_no_secret", hint: "Bitbucket", method: http.MethodPost, field: "X-Event-Key"},
		{want: "sender_sends_token", hint: "`webhook_auth gitlab-token` with token instead of secret, or give the webhook a signing token there, and write `webhook_auth standard-webhooks`", method: http.MethodPost, field: "X-Gitlab-Token"},
		{want: "sender_sends_token", hint: "`webhook_auth telegram`", method: http.MethodPost, field: "X-Telegram-Bot-Api-Secret-Token"},
		{want: "sender_sends_token", hint: "`webhook_auth google-channel`", method: http.MethodPost, field: "X-Goog-Channel-Token"},
		{want: "sender_sends_token", hint: "`webhook_auth cloudflare-notifications`", method: http.MethodPost, field: "cf-webhook-auth"},
		{want: "sender_sends_token", hint: "`webhook_auth ringcentral`", method: http.MethodPost, field: "Verification-Token"},
		{want: "sender_sends_token", hint: "`webhook_auth buildkite-token` with token instead of secret, or let the webhook sign, and write `webhook_auth buildkite`", method: http.MethodPost, field: "X-Buildkite-Token"},
		{want: "sender_is_not_verified", hint: "Twilio", method: http.MethodPost, field: "X-Twilio-Signature"},
		{want: "sender_is_not_verified", hint: "PayPal", method: http.MethodPost, field: "PayPal-Transmission-Sig"},
		{want: "sender_is_not_verified", hint: "Amazon", method: http.MethodPost, field: "x-amz-sns-message-type"},
		{want: "signed_field_is_missing", hint: "webhook-id", method: http.MethodPost, field: "webhook-signature", scheme: preset("standard-webhooks")},
		{query: "", challenge: "hub " + secret},
		{method: http.MethodPost, field: "X-Gitea-Signature"},
		{query: "a=b", method: http.MethodPost},
	}
}

// challenge makes the challenge of a row, or nil for "".
func challenge(t *testing.T, line string) *signature.Challenge {
	t.Helper()
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	c, err := signature.NewChallenge(words[0], words[1:])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answered reports whether the gate answers a check.
func (row *checkRow) answered(t *testing.T, c *signature.Challenge, r *signature.Request) bool {
	t.Helper()
	v, err := signature.New(signature.Scheme{}, secrets(secret))
	if row.token != "" {
		v, err = signature.NewTokens(tokenGate, []signature.Token{{Name: "1", Text: row.token}})
	}
	if err != nil || c == nil {
		return false
	}
	_, ok := c.Answer(r, v)
	if !ok {
		_, ok = c.AnswerUnsigned(r, []byte(row.body), v)
	}
	return ok
}

var tokenGate = signature.Scheme{Headers: []string{"X-Token"}, Signature: "{token}"}

func TestChecks(t *testing.T) {
	for _, row := range checkRows() {
		g := gate("own", row.scheme, secret)
		if row.token != "" {
			g = diagnosis.NewTokenGate("own", tokenGate, []signature.Token{{Name: "1", Text: row.token}})
		}
		c, r := challenge(t, row.challenge), row.request()
		if row.answered(t, c, r) {
			t.Errorf("%s: it is answered", row.query)
		}
		got := g.Check(r, c)
		if got.Diagnosis != row.want || !strings.Contains(got.Hint, row.hint) || strings.Contains(got.Hint, "%!") {
			t.Errorf("%+v with %q: %+v, want %s with %q", r, row.challenge, got, row.want, row.hint)
		}
		if common(decoy, got.Hint, 6)+common(secret, got.Hint, 6) != "" {
			t.Errorf("the hint holds a part of the token: %s", got.Hint)
		}
		cured := row.challenge
		switch sent, ok := strings.CutPrefix(row.cured, "?"); {
		case ok:
			r.Query, r.Method = sent, http.MethodGet
		case row.mend != nil:
			row.mend(r)
		case row.cured != "":
			cured = row.cured
		default:
			continue
		}
		if !row.answered(t, challenge(t, cured), r) {
			t.Errorf("%s: the cure does not help: %q %+v", got.Hint, cured, r)
		}
	}
}
