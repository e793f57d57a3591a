package sender_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A vector is a delivery from the vectors of the presets. Another implementation made
// most of them.
type vector struct {
	Preset, Name, Secret, Method, URL, Target string
	Headers                                   map[string]string
	Body                                      string
	Now                                       int64
	Verdict, Published                        string
}

func vectors(t *testing.T) (list []vector) {
	t.Helper()
	data, err := os.ReadFile("../signature/testdata/presets.json")
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Signing a vector again, with the same ids and time, gives the same signature.
func TestSignAgain(t *testing.T) {
	seen := make(map[string]bool)
	for _, v := range vectors(t) {
		if v.Published != "" || v.Verdict != "accepted" || v.Name != "right" {
			continue
		}
		seen[v.Preset] = true
		t.Run(v.Preset, func(t *testing.T) { again(t, v) })
	}
	if len(seen) < 60 {
		t.Errorf("only %d presets have a vector to sign again", len(seen))
	}
}

func again(t *testing.T, v vector) {
	preset, _ := signature.FindPreset(v.Preset)
	signer, err := sender.New(preset.Scheme, signature.Secret{Text: v.Secret})
	if err != nil {
		t.Fatal(err)
	}
	want, given := make(http.Header), make(http.Header)
	for name, value := range v.Headers {
		want.Set(name, value)
		if preset.Scheme.TimestampUnit == "rfc3339" || !strings.EqualFold(name, preset.Scheme.Timestamp) {
			given.Set(name, value) // senders write fractions of a second in many ways
		}
	}
	fields := signer.Sign(sender.Delivery{Method: v.Method, URL: v.URL, Target: v.Target, Header: given, Body: []byte(v.Body), Time: time.Unix(v.Now, 123e6)})
	got := fields[len(fields)-1]
	nonced := strings.Contains(preset.Scheme.Signature, "{nonce}") // made up each time
	if expected := want.Get(got.Name); expected != "" && got.Value != expected && !nonced {
		t.Errorf("%s: %s\nwant %s", got.Name, got.Value, expected)
	}
	judged(t, preset.Scheme, v.Secret, fields, v)
}

// judged fails the test unless the verifier accepts the fields.
func judged(t *testing.T, scheme signature.Scheme, secret string, fields []sender.Field, v vector) {
	t.Helper()
	verifier, err := signature.New(scheme, []signature.Secret{{Name: "a", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	header := make(http.Header)
	for name, value := range v.Headers {
		header.Set(name, value)
	}
	for _, name := range scheme.Headers {
		header.Del(name)
	}
	for _, field := range fields {
		header.Set(field.Name, field.Value)
	}
	check, err := verifier.Begin(&signature.Delivery{Header: header, Method: v.Method, URL: v.URL, Target: v.Target, Now: time.Unix(v.Now, 0)})
	if err == nil {
		check.Write([]byte(v.Body))
		_, err = check.End(strings.NewReader(v.Body))
	}
	if err != nil {
		t.Errorf("the verifier says %v of %v", err, fields)
	}
}

// The verifier accepts what the signer makes of schemes that no preset has.
func TestSignSchemes(t *testing.T) {
	for _, scheme := range []signature.Scheme{
		{},
		{Algorithms: []string{"sha512"}},
		{Signature: "{base64url}", Headers: []string{"X-S"}},
		{Signature: "{alg}:{base64}", Algorithms: []string{"sha1"}},
		{Payload: "{method}\n{url}\n{body}"},
		{Payload: "{header.X-A}abcdef{body}012345{header.X-B}"},
		{Payload: "{ts}.{body}", Timestamp: "X-Time", TimestampUnit: "ms"},
		{Payload: "{body}{ts}", Signature: "v1={hex}; t={ts}", TimestampUnit: "rfc3339"},
		{Signature: "v1={hex},..."},
		{Payload: "{body_sha256}"},
		{Payload: "{header.X-A}.{body_sha512}"},
		{Payload: "{method}{path_query}{body_sha256_base64}"},
		{Payload: "{method} {url}{path_query}{lf}{body_sha512_base64}"},
		{Payload: "{path_query} {body}"},
		{Payload: "{nonce}t{body}", Signature: "s={hex},t={nonce}"},
		{Payload: "{ts}.{nonce}.{body}", Signature: "t={ts};n={nonce};s={base64}", TimestampUnit: "http"},
		{Payload: "{ts}{body}", Timestamp: "Date", TimestampUnit: "http"},
		{Payload: "{ts}.{body}", Signature: "{ts},{hex},..."},
	} {
		signer, err := sender.New(scheme, signature.Secret{Text: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		v := vector{Method: http.MethodPut, URL: "https://example.com/x", Target: "/x?y=%20z", Body: "bödy", Now: 1760000000}
		fields := signer.Sign(sender.Delivery{Method: v.Method, URL: v.URL, Target: v.Target, Body: []byte(v.Body), Time: time.Unix(v.Now, 0)})
		judged(t, scheme, "0123456789abcdef", fields, v)
	}
}

func TestDisallowed(t *testing.T) {
	for want, allowed := range map[string][]string{
		"sha1":   nil,
		"sha256": {"sha1"},
		"md5":    {"sha1", "sha256", "sha384", "sha512"},
	} {
		signer, err := sender.New(signature.Scheme{Algorithms: allowed}, signature.Secret{Text: "secret"})
		if err != nil {
			t.Fatal(err)
		}
		if got := signer.Disallowed(); got != want {
			t.Errorf("of %v: %s, want %s", allowed, got, want)
		}
	}
}

func TestNoSecretInErrors(t *testing.T) {
	for _, scheme := range []signature.Scheme{{SecretEncoding: "base64"}, {SecretEncoding: "hex"}, {Payload: "{"}} {
		_, err := sender.New(scheme, signature.Secret{Name: "a", Text: "no-key-$$"})
		if err == nil || strings.Contains(err.Error(), "no-key") {
			t.Errorf("%+v: %v", scheme, err)
		}
	}
}
