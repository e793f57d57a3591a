package diagnosis

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// An unsigned row is a field by which a sender is known that sent no signature, or none
// that a gate can verify.
type unsigned struct {
	field     string
	sender    string
	diagnosis Diagnosis
	instead   string // what to do, as an argument of the hint; empty: the hint says it
}

const senders = "see Senders it does not verify in the documents"

// unsignedSenders lists those whose users ask most often why they are refused.
var unsignedSenders = []unsigned{
	{"X-Twilio-Signature", "Twilio", senderIsNotVerified, "verify a form with Twilio's library in the app; a JSON body can be verified, see Twilio with a JSON body in the documents"},
	{"Paypal-Transmission-Sig", "PayPal", senderIsNotVerified, "verify it with PayPal's API in the app; " + senders},
	{"X-Amz-Sns-Message-Type", "AWS SNS", senderIsNotVerified, "verify it with Amazon's library in the app; " + senders},
	{"X-Gitlab-Token", "GitLab", senderSendsToken, "`webhook_auth gitlab-token` with token instead of secret, or give the webhook a signing token there, and write `webhook_auth standard-webhooks`"},
	{"X-Telegram-Bot-Api-Secret-Token", "Telegram", senderSendsToken, "`webhook_auth telegram` with token instead of secret"},
	{"X-Goog-Channel-Token", "a Google API", senderSendsToken, "`webhook_auth google-channel` with token instead of secret"},
	{"Cf-Webhook-Auth", "Cloudflare", senderSendsToken, "`webhook_auth cloudflare-notifications` with token instead of secret"},
	{"Verification-Token", "RingCentral", senderSendsToken, "`webhook_auth ringcentral` with token instead of secret"},
	{"X-Buildkite-Token", "Buildkite", senderSendsToken, "`webhook_auth buildkite-token` with token instead of secret, or let the webhook sign, and write `webhook_auth buildkite`"},
	{"X-Gitea-Event", "Gitea or Forgejo", senderHasNoSecret, ""}, // in front of GitHub's, which they send too
	{"X-Gogs-Event", "Gogs", senderHasNoSecret, ""},
	{"X-Github-Event", "GitHub", senderHasNoSecret, ""},
	{"X-Event-Key", "Bitbucket", senderHasNoSecret, ""},
}

// signedField matches a field in the template of what is signed.
var signedField = regexp.MustCompile(`\{header\.([A-Za-z0-9-]+)\}`)

// unsigned says why a request that is no check has no signature that the gate can read.
func (g *Gate) unsigned(d *signature.Delivery) Finding {
	if g.load().keys.isToken() {
		return g.tokenMissing(d)
	}
	for _, m := range signedField.FindAllStringSubmatch(g.scheme.Payload, -1) {
		if len(d.Header[http.CanonicalHeaderKey(m[1])]) == 0 && g.carries(d.Header) {
			return finding(signedFieldIsMissing, m[1])
		}
	}
	if len(g.foreign(d.Header)) > 0 {
		return Finding{} // Inspect says more
	}
	for _, u := range unsignedSenders {
		switch {
		case len(d.Header[u.field]) == 0:
		case u.instead != "":
			return finding(u.diagnosis, u.sender, u.instead)
		case !signs(d.Header):
			return finding(u.diagnosis, u.sender)
		}
	}
	return Finding{}
}

// carries reports whether the gate's own field is there.
func (g *Gate) carries(h http.Header) bool {
	for _, field := range g.fields {
		if len(h[field]) > 0 {
			return true
		}
	}
	return false
}

// signs reports whether any field is named like a signature. Some senders send the event
// fields of others with a signature of their own.
func signs(h http.Header) bool {
	for name := range h {
		if strings.Contains(name, "Signature") {
			return true
		}
	}
	return false
}
