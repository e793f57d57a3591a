package caddymodule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// rawSum is the HMAC-SHA256 of text, and sum the same in hex.
func rawSum(text string) []byte {
	mac := hmac.New(sha256.New, []byte(testSecret))
	io.WriteString(mac, text)
	return mac.Sum(nil)
}

func sum(text string) string { return hex.EncodeToString(rawSum(text)) }

// timed returns a Slack delivery that says it was signed at the given time.
func timed(at string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(delivery))
	r.Header.Set("X-Slack-Signature", "v0="+sum("v0:"+at+":"+delivery))
	if at != "" {
		r.Header.Set("X-Slack-Request-Timestamp", at)
	}
	return r
}

func ago(d time.Duration) string { return strconv.FormatInt(time.Now().Add(-d).Unix(), 10) }

// A time is judged before the body is read, in both directions.
func TestTimestampsBeforeTheBody(t *testing.T) {
	for at, want := range map[string]refusal.Reason{
		ago(0):                          "",
		ago(4 * time.Minute):            "",
		ago(-4 * time.Minute):           "",
		ago(6 * time.Minute):            refusal.TimestampOutOfRange,
		ago(-6 * time.Minute):           refusal.TimestampOutOfRange,
		"":                              refusal.TimestampMissing,
		"0x10":                          refusal.TimestampMalformed,
		"1e9":                           refusal.TimestampMalformed,
		"-1":                            refusal.TimestampMalformed,
		"99999999999999999999999999999": refusal.TimestampMalformed,
	} {
		t.Run(at, func(t *testing.T) {
			h, _ := provisioned(t, &Handler{Preset: "slack"})
			w, next, request := newRecorder(), new(spy), timed(at)
			touched := &touchedBody{ReadCloser: request.Body, w: w}
			request.Body = touched
			r, err := serve(h, w, request, next)
			if want == "" {
				if err != nil || string(next.body) != delivery || placeholder(r, "preset") != "slack" {
					t.Errorf("err %v, %q", err, next.body)
				}
				return
			}
			wantRefused(t, w, r, err, next, want)
			if touched.read {
				t.Error("the body was read")
			}
		})
	}
}

func configured(t *testing.T, directive string) *Handler {
	t.Helper()
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive)); err != nil {
		t.Fatal(err)
	}
	h, _ = provisioned(t, h)
	return h
}

// The URL that is signed is the one that the sender was given, whatever path the
// request has.
func TestSenderURL(t *testing.T) {
	for _, tc := range []struct{ publicURL, target, want string }{
		{"public_url https://hooks.example.org", "/hook?a=%41", "https://hooks.example.org"},
		{"public_url https://hooks.example.org/in?x=1", "/hook", "https://hooks.example.org/in?x=1"},
	} {
		h := configured(t, "webhook_auth {\nsecret "+testSecret+"\nheader X-Sig\nsignature {hex}\npayload {method}{url}{body}\n"+tc.publicURL+"\n}")
		r := httptest.NewRequest(http.MethodPost, tc.target, strings.NewReader(delivery))
		r.Header.Set("X-Sig", sum("POST"+tc.want+delivery))
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), newRecorder(), nil)
		r.URL, r.RequestURI = &url.URL{Path: "/index.php"}, "/index.php"
		next := new(spy)
		if err := h.ServeHTTP(newRecorder(), r, next); err != nil || next.calls != 1 {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

// The method and the target that are signed are those that arrived, whatever the handlers in
// front have made of them.
func TestSignedTargetIsTheOneThatArrived(t *testing.T) {
	h := configured(t, "webhook_auth {\nsecret "+testSecret+"\nheader X-Sig\nsignature {hex}\npayload \"{method} {path_query}{lf}{body}\"\n}")
	for _, tc := range []struct {
		signed string
		want   refusal.Reason
	}{
		{"POST /hooks/a?b=%2f%2F&c", ""},
		{"PUT /hooks/a?b=%2f%2F&c", refusal.SignatureMismatch},
		{"POST /index.php", refusal.SignatureMismatch},
		{"PUT /index.php", refusal.SignatureMismatch},
	} {
		r := httptest.NewRequest(http.MethodPost, "/hooks/a?b=%2f%2F&c", strings.NewReader(delivery))
		r.Header.Set("X-Sig", sum(tc.signed+"\n"+delivery))
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), newRecorder(), nil)
		r.Method, r.URL, r.RequestURI = http.MethodPut, &url.URL{Path: "/index.php"}, "/index.php"
		next := new(spy)
		err := h.ServeHTTP(newRecorder(), r, next)
		if reason := refusal.Reason(placeholder(r, "reason")); reason != tc.want || (next.calls == 1) != (tc.want == "") || r.RequestURI != "/index.php" {
			t.Errorf("%s: %q, %v; the app is asked %d times, for %s", tc.signed, reason, err, next.calls, r.RequestURI)
		}
	}
}

// A target that is a whole URL, or an asterisk, is none that a sender signs. Neither is an
// empty one.
func TestTargetsThatAreRefused(t *testing.T) {
	h := configured(t, "webhook_auth {\nsecret "+testSecret+"\nheader X-Sig\nsignature {hex}\npayload {path_query}{body_sha256}\n}")
	hash := sha256.Sum256([]byte(delivery))
	for _, target := range []string{"http://a.example/hook", "*", "", "a.example:443"} {
		r := httptest.NewRequest(http.MethodPost, "/hook", strings.NewReader(delivery))
		r.RequestURI = target
		r.Header.Set("X-Sig", sum(target+hex.EncodeToString(hash[:])))
		w, next := newRecorder(), new(spy)
		r, err := serve(h, w, r, next)
		wantRefused(t, w, r, err, next, refusal.MalformedSignature)
	}
}

// What cannot be right about a URL in front of the target does not load.
func TestURLInFrontOfTheTarget(t *testing.T) {
	for publicURL, fails := range map[string]bool{
		"https://hooks.example.org": false, "https://hooks.example.org/prefix": false,
		"https://hooks.example.org/": true, "https://hooks.example.org?a": true, "https://hooks.example.org/#": true,
	} {
		h := &Handler{Payload: "{url}{path_query}{lf}{body}", PublicURL: publicURL}
		if err := h.checkURL(); (err != nil) != fails {
			t.Errorf("%s: %v", publicURL, err)
		}
	}
}
