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
