package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sum returns the HMAC-SHA256 of text under the secret's text.
func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// sha256Hex is the hash of a text in hex.
func sha256Hex(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// A signer signs a body as a sender does, at a time and for a URL. It returns the field
// lines of the delivery.
type signer func(body, url string, at time.Time) []string

func seconds(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

// schemes has one sender of each class of schemes. It signs with its own code, so that
// the schemes under test do not test themselves.
var schemes = []struct {
	class, directive string
	timed            bool
	sign             signer
}{
	{"one field, hex", "webhook_auth github", false, func(body, _ string, _ time.Time) []string {
		return []string{"X-Hub-Signature-256: sha256=" + hex.EncodeToString(sum([]byte(testSecret), body))}
	}},
	{"one field, base64", "webhook_auth shopify", false, func(body, _ string, _ time.Time) []string {
		return []string{"X-Shopify-Hmac-Sha256: " + base64.StdEncoding.EncodeToString(sum([]byte(testSecret), body))}
	}},
	{"a time of its own", "webhook_auth slack", true, func(body, _ string, at time.Time) []string {
		return []string{
			"X-Slack-Request-Timestamp: " + seconds(at),
			"X-Slack-Signature: v0=" + hex.EncodeToString(sum([]byte(testSecret), "v0:"+seconds(at)+":"+body)),
		}
	}},
	{"a date and another field", "webhook_auth twitch", true, func(body, _ string, at time.Time) []string {
		stamp := at.UTC().Format(time.RFC3339Nano)
		return []string{
			"Twitch-Eventsub-Message-Id: e1", "Twitch-Eventsub-Message-Timestamp: " + stamp,
			"Twitch-Eventsub-Message-Signature: sha256=" + hex.EncodeToString(sum([]byte(testSecret), "e1"+stamp+body)),
		}
	}},
	{"the time inside, two signatures", "webhook_auth stripe", true, func(body, _ string, at time.Time) []string {
		signature := hex.EncodeToString(sum([]byte(testSecret), seconds(at)+"."+body))
		return []string{"Stripe-Signature: t=" + seconds(at) + ",v1=" + strings.Repeat("0", 64) + ",v1=" + signature + ",v0=old"}
	}},
	{"an encoded key, a list", "webhook_auth standard-webhooks", true, func(body, _ string, at time.Time) []string {
		signature := base64.StdEncoding.EncodeToString(sum([]byte("a key of thirty-two bytes, or so"), "m1."+seconds(at)+"."+body))
		return []string{
			"webhook-id: m1", "webhook-timestamp: " + seconds(at),
			"webhook-signature: v1a,other v1," + base64.StdEncoding.EncodeToString(make([]byte, 32)) + " v1," + signature,
		}
	}},
	{"two fields", "webhook_auth box", true, func(body, _ string, at time.Time) []string {
		stamp := at.UTC().Format(time.RFC3339)
		return []string{
			"BOX-DELIVERY-TIMESTAMP: " + stamp,
			"BOX-SIGNATURE-PRIMARY: " + base64.StdEncoding.EncodeToString(make([]byte, 32)),
			"BOX-SIGNATURE-SECONDARY: " + base64.StdEncoding.EncodeToString(sum([]byte(testSecret), body+stamp)),
		}
	}},
	{"the URL", "webhook_auth square {\n\t\t\tpublic_url http://gateway/webhook\n", false, func(body, url string, _ time.Time) []string {
		return []string{"X-Square-HmacSha256-Signature: " + base64.StdEncoding.EncodeToString(sum([]byte(testSecret), url+body))}
	}},
	{"method and URL, the time behind the body", "webhook_auth hubspot {\n\t\t\tpublic_url http://gateway/webhook\n", true, func(body, url string, at time.Time) []string {
		stamp := strconv.FormatInt(at.UnixMilli(), 10)
		return []string{
			"X-HubSpot-Request-Timestamp: " + stamp,
			"X-HubSpot-Signature-v3: " + base64.StdEncoding.EncodeToString(sum([]byte(testSecret), "POST"+url+body+stamp)),
		}
	}},
	{"a list without tags", "webhook_auth recurly", true, func(body, _ string, at time.Time) []string {
		stamp := strconv.FormatInt(at.UnixMilli(), 10)
		return []string{"recurly-signature: " + stamp + "," + strings.Repeat("0", 64) + "," + hex.EncodeToString(sum([]byte(testSecret), stamp+"."+body))}
	}},
	{"a nonce", "webhook_auth nmi", false, func(body, _ string, _ time.Time) []string {
		return []string{"Webhook-Signature: t=f3c1e9a2b7d84c15,s=" + hex.EncodeToString(sum([]byte(testSecret), "f3c1e9a2b7d84c15."+body))}
	}},
	{"a hash of the body", "webhook_auth tebex", false, func(body, _ string, _ time.Time) []string {
		return []string{"X-Signature: " + hex.EncodeToString(sum([]byte(testSecret), sha256Hex(body)))}
	}},
	{"the target, a date and a hash", "webhook_auth {\n\t\t\theader X-Acme\n\t\t\tsignature {hex}\n\t\t\tpayload {method}{path_query}{ts}{body_sha256}\n\t\t\ttimestamp Date http\n", true, func(body, _ string, at time.Time) []string {
		stamp := at.UTC().Format(http.TimeFormat)
		return []string{"Date: " + stamp, "X-Acme: " + hex.EncodeToString(sum([]byte(testSecret), "POST/webhook"+stamp+sha256Hex(body)))}
	}},
	{"written out", "webhook_auth {\n\t\t\theader X-Retell-Signature\n\t\t\tsignature v={ts},d={hex}\n\t\t\tpayload {body}{ts}\n\t\t\ttimestamp {ts} ms\n", true, func(body, _ string, at time.Time) []string {
		stamp := strconv.FormatInt(at.UnixMilli(), 10)
		return []string{"X-Retell-Signature: v=" + stamp + ",d=" + hex.EncodeToString(sum([]byte(testSecret), body+stamp))}
	}},
}

// whsec is a secret of Standard Webhooks, as a sender shows it.
var whsec = "whsec_" + base64.StdEncoding.EncodeToString([]byte("a key of thirty-two bytes, or so"))

// TestSchemes: each class of senders is accepted, and refused with another body or if it
// was signed hours ago.
func TestSchemes(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, tt := range schemes {
		t.Run(tt.class, func(t *testing.T) {
			t.Parallel()
			directive := tt.directive
			if !strings.Contains(directive, "{") {
				directive += " {\n"
			}
			site := strings.Replace(canonical(a), "webhook_auth {\n", directive, 1)
			var environ []string
			if strings.Contains(directive, "standard-webhooks") {
				environ = []string{"WEBHOOK_SECRET=" + whsec}
			}
			g := startGateway(t, site, environ...)
			now, url := time.Now(), "http://gateway/webhook"
			for _, body := range []string{chatBotKit, "", pattern(1, 200_000)} {
				g.accepts(t, a, post(body, tt.sign(body, url, now)...))
				g.accepts(t, a, post(body, tt.sign(body, url, now)...).chunks())
				g.refused(t, a, post(body+"!", tt.sign(body, url, now)...), 401, "signature_mismatch")
			}
			for _, at := range []time.Time{now.Add(-time.Hour), now.Add(time.Hour)} {
				if tt.timed {
					g.refused(t, a, post(chatBotKit, tt.sign(chatBotKit, url, at)...), 401, "timestamp_out_of_range")
				}
			}
			g.refused(t, a, post(chatBotKit), 401, "missing_signature")
		})
	}
}

// TestChallenge: the gate answers the subscription check, and nothing else.
func TestChallenge(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "challenge hub {env.VERIFY_TOKEN}"), "VERIFY_TOKEN="+otherSecret)
	ask := func(query string) response {
		return g.deliver(t, delivery{id: fresh(), method: http.MethodGet, target: "/webhook?" + query})
	}
	good := "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=" + otherSecret
	resp := ask(good)
	if resp.status != 200 || resp.body != "1158201444" || resp.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(resp.header.Get("Content-Type"), "text/plain") {
		t.Errorf("answer %d %q\n%s", resp.status, resp.body, resp.head)
	}
	for _, bad := range []string{
		"", strings.Replace(good, "subscribe", "unsubscribe", 1), good + "0", good + "&hub.challenge=2",
		strings.Replace(good, "1158201444", strings.Repeat("1", 600), 1), strings.Replace(good, "1158201444", "%0d%0ax", 1),
	} {
		g.refusal(t, ask(bad), 401, "missing_signature")
	}
	g.accepts(t, a, authentic(chatBotKit))
	fields := fmt.Sprintf("hub.mode=subscribe&hub.challenge=1&hub.verify_token=%s", otherSecret)
	g.refused(t, a, post(chatBotKit).with("POST", "/webhook?"+fields), 401, "missing_signature")
}

// TestTemplatesAroundTheGate: a stranger chooses the text that a check echoes, and no
// handler around the gate executes it.
func TestTemplatesAroundTheGate(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	site := strings.Replace(canonical(a, "challenge websub topic"), "handle /webhook {\n", "templates\n\thandle /webhook {\n", 1)
	g := startGateway(t, site)
	check := func(token string) delivery {
		return delivery{id: fresh(), method: http.MethodGet, target: "/webhook?hub.mode=subscribe&hub.topic=topic&hub.challenge=" + url.QueryEscape(token)}
	}
	if resp := g.deliver(t, check("a1.b")); resp.status != http.StatusOK || resp.body != "a1.b" {
		t.Errorf("a good check: %d %q", resp.status, resp.body)
	}
	for _, token := range []string{`{{env "WEBHOOK_SECRET"}}`, `{{placeholder "env.WEBHOOK_SECRET"}}`, "{env.WEBHOOK_SECRET}", "<b>"} {
		resp := g.deliver(t, check(token))
		if resp.status != http.StatusUnauthorized || strings.Contains(resp.body, testSecret) || resp.body == token {
			t.Errorf("%s: %d %q", token, resp.status, resp.body)
		}
	}
}
