package diagnosis_test

import (
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
}

const (
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
		{want: "check_is_not_configured", hint: "Okta", field: "X-Okta-Verification-Challenge"},
		{want: "check_is_not_configured", hint: "Microsoft Graph", method: http.MethodPost, query: "validationToken=abc"},
		{want: "check_is_not_configured", hint: "LinkedIn", query: "challengeCode=abc"},
		{want: "check_is_not_configured", hint: "CloudEvents", method: http.MethodOptions, field: "Webhook-Request-Origin"},
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
func answered(t *testing.T, c *signature.Challenge, method string, query url.Values) bool {
	t.Helper()
	v, err := signature.New(signature.Scheme{}, secrets(secret))
	if err != nil || c == nil || method != http.MethodGet {
		return false
	}
	_, ok := c.AnswerQuery(nil, query, v)
	return ok
}

func TestChecks(t *testing.T) {
	for _, row := range checkRows() {
		g := gate("own", row.scheme, secret)
		if row.method == "" {
			row.method = http.MethodGet
		}
		query, err := url.ParseQuery(row.query)
		if err != nil {
			t.Fatal(err)
		}
		d := &signature.Delivery{Method: row.method, Header: http.Header{}}
		if row.field != "" {
			d.Header.Set(row.field, decoy)
		}
		c := challenge(t, row.challenge)
		if answered(t, c, row.method, query) {
			t.Errorf("%s: it is answered", row.query)
		}
		got := g.Check(d, query, c)
		if got.Diagnosis != row.want || !strings.Contains(got.Hint, row.hint) || strings.Contains(got.Hint, "%!") {
			t.Errorf("%s %s with %q: %+v, want %s with %q", row.method, row.query, row.challenge, got, row.want, row.hint)
		}
		if common(decoy, got.Hint, 6)+common(secret, got.Hint, 6) != "" {
			t.Errorf("the hint holds a part of the token: %s", got.Hint)
		}
		cured, again := row.challenge, row.query
		if sent, ok := strings.CutPrefix(row.cured, "?"); ok {
			again = sent
		} else if row.cured != "" {
			cured = row.cured
		}
		query, _ = url.ParseQuery(again)
		if row.cured != "" && !answered(t, challenge(t, cured), http.MethodGet, query) {
			t.Errorf("%s: the cure does not help: %q %s", got.Hint, cured, again)
		}
	}
}
