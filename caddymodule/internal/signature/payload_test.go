package signature_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// signText is the HMAC-SHA256 of a text under secret, in hex.
func signText(text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// What is signed is exactly the template with its placeholders filled in.
func TestPayloads(t *testing.T) {
	for _, tc := range []struct{ payload, want string }{
		{"{body}", body},
		{"{ts}.{body}", stamp + "." + body},
		{"{body}{ts}", body + stamp},
		{"v0:{ts}:{body}", "v0:" + stamp + ":" + body},
		{"[{ts};{body}]", "[" + stamp + ";" + body + "]"},
		{"{header.X-Id}.{ts}.{body}", "id 1." + stamp + "." + body},
		{"{header.x-id}.{body}.{header.X-ID}{ts}", "id 1." + body + ".id 1" + stamp},
		{"{method}{url}{body}{ts}", "PUThttps://example.com/a?b=c" + body + stamp},
		{" {body}\n", " " + body + "\n"},
		{"{method}{lf}{ts}{lf}{body}", "PUT\n" + stamp + "\n" + body},
		{"{cr}{lf}{tab}{body}", "\r\n\t" + body},
		{`C:\dir\{body}`, `C:\dir\` + body},
		{"héllo {body}", "héllo " + body},
	} {
		s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: tc.payload}
		if strings.Contains(tc.payload, "{ts}") {
			s.Timestamp = "X-Time"
		}
		d := &signature.Delivery{Method: "PUT", URL: "https://example.com/a?b=c", Now: now, Header: http.Header{
			field: {signText(tc.want)}, "X-Id": {"id 1"}, "X-Time": {stamp},
		}}
		if got := judge(compiled(t, s, secret), d, body); got != accepted {
			t.Errorf("%s: %s", tc.payload, got)
		}
		if got := judge(compiled(t, s, secret), d, body+" "); got != "signature_mismatch" {
			t.Errorf("%s with another body: %s", tc.payload, got)
		}
	}
}

// Each part of what is signed counts: changing it makes a mismatch.
func TestEveryPartOfThePayloadIsSigned(t *testing.T) {
	s := signature.Scheme{
		Headers: []string{field}, Signature: "{hex}", Payload: "{method}|{url}|{header.X-Id}|{ts}|{body}", Timestamp: "X-Time",
	}
	right := "POST|https://example.com/|1|" + stamp + "|" + body
	for name, change := range map[string]func(*signature.Delivery){
		"method": func(d *signature.Delivery) { d.Method = "PUT" },
		"url":    func(d *signature.Delivery) { d.URL = "https://example.com/?" },
		"field":  func(d *signature.Delivery) { d.Header["X-Id"] = []string{"2"} },
		"time":   func(d *signature.Delivery) { d.Header["X-Time"] = []string{"1700000001"} },
	} {
		d := &signature.Delivery{Method: "POST", URL: "https://example.com/", Now: now, Header: http.Header{
			field: {signText(right)}, "X-Id": {"1"}, "X-Time": {stamp},
		}}
		v := compiled(t, s, secret)
		if got := judge(v, d, body); got != accepted {
			t.Fatalf("%s: %s", name, got)
		}
		change(d)
		if got := judge(v, d, body); got != "signature_mismatch" {
			t.Errorf("another %s: %s", name, got)
		}
	}
}

// Bytes of a captured delivery cannot be moved between the parts of what was
// signed: what the field takes from its neighbours, it must not hold.
func TestPartsCannotBeMoved(t *testing.T) {
	const old, fresh = "2023-11-14T20:13:20Z", "2023-11-14T22:13:20Z"
	captured := `{"at":"` + fresh + `","n":".` + stamp + `.x"}`
	beforeDate, afterDate, _ := strings.Cut(captured, fresh)
	beforeTime, afterTime, _ := strings.Cut(captured, "."+stamp+".")
	beforeDot, afterDot, _ := strings.Cut(captured, ".")
	for _, tc := range []struct{ name, payload, unit, signed, id, ts, body string }{
		{"Twitch: a date out of the body", "{header.X-Id}{ts}{body}", "rfc3339", "7" + old + captured, "7" + old + beforeDate, fresh, afterDate},
		{"Standard Webhooks: a time out of the body", "{header.X-Id}.{ts}.{body}", "s", "7.1600000000." + captured, "7.1600000000." + beforeTime, stamp, afterTime},
		{"the body's end into a field", "{body}.{header.X-Id}{ts}", "s", captured + ".7" + stamp, afterDot + ".7", stamp, beforeDot},
		{"a digit into the time", "{ts}{body}", "s", stamp + "0" + captured, "", stamp + "0", captured},
		{"the body's zeros into the time", "{body}{ts}", "s", "100" + stamp, "", "00" + stamp, "1"},
	} {
		if again := strings.NewReplacer("{header.X-Id}", tc.id, "{ts}", tc.ts, "{body}", tc.body).Replace(tc.payload); again != tc.signed {
			t.Fatalf("%s: %q is not what was signed, %q", tc.name, again, tc.signed)
		}
		s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: tc.payload, Timestamp: "X-Time", TimestampUnit: tc.unit}
		d := &signature.Delivery{Now: now, Header: http.Header{field: {signText(tc.signed)}, "X-Id": {tc.id}, "X-Time": {tc.ts}}}
		if got := judge(compiled(t, s, secret), d, tc.body); got == accepted {
			t.Errorf("%s: %s", tc.name, got)
		}
	}
}

// Where nothing can keep two parts apart, the template does not compile.
func TestAmbiguousTemplates(t *testing.T) {
	for _, payload := range []string{
		"{header.X-Id}{body}", "{body}{header.X-Id}", "{header.X-A}{header.X-B}.{body}", "{method}{body}",
		"{body}.{header.X-A}{header.X-B}", "{method}{header.X-Id}.{body}", "{header.X-A}{ts}{body}", "{body}{ts}{header.X-A}",
		"{header.X-A}{ts}{header.X-B}.{body}", "{header.X-A}{ts}0{body}", "{header.X-A}{ts}-{body}", "{body}a{ts}{header.X-A}", "{header.X-A}{ts}{ts}{body}", ".{header.X-Id}{body}", "{body}{header.X-Id}.",
	} {
		s := signature.Scheme{Payload: payload}
		if strings.Contains(payload, "{ts}") {
			s.Timestamp = "X-Time"
		}
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "text is needed between") {
			t.Errorf("%s: %v", payload, err)
		}
	}
	for _, payload := range []string{
		"{header.X-A}{ts}.{body}", "{body}.{ts}{header.X-A}", "{ts}{header.X-A}{url}{body}", "{header.X-A}{ts}{url}{body}", "{body}.{header.X-A}{ts}",
		"{method}{ts}{body}", "{body}{ts}{method}", "{ts}{body}", "{body}{ts}", "{ts}{header.X-A}.{body}",
	} {
		if err := (signature.Scheme{Payload: payload, Timestamp: "X-Time"}).Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, tc := range []struct {
		payload, id, want string
	}{
		{"{header.X-Id}.{body}", "a.b", "malformed_signature"},
		{"{header.X-Id}.{body}", "a", "signature_mismatch"},
		{"{header.X-Id}..{body}", "a.", "malformed_signature"},
		{"{header.X-Id}..{body}", "a.b", "signature_mismatch"},
		{"{body}.{header.X-Id}", "a.b", "malformed_signature"},
		{"{body}..{header.X-Id}", ".a", "malformed_signature"},
		{"{header.X-Id}{url}{body}", "a-B_9", "signature_mismatch"},
		{"{header.X-Id}{url}{body}", "a b", "malformed_signature"},
		{"{method}{url}{body}", "", "signature_mismatch"},
	} {
		s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: tc.payload}
		d := &signature.Delivery{Method: "POST", Header: http.Header{field: {signText("x")}, "X-Id": {tc.id}}}
		if got := judge(compiled(t, s, secret), d, body); got != tc.want {
			t.Errorf("%s with %q: %s, want %s", tc.payload, tc.id, got, tc.want)
		}
	}
}

// Without text to end it, a method is letters: digits in it could be of the time.
func TestMethodWithoutText(t *testing.T) {
	s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{method}{ts}{body}", Timestamp: "X-Time"}
	for method, want := range map[string]string{"POST": "signature_mismatch", "post": "signature_mismatch", "POST1": "malformed_signature", "M-SEARCH": "malformed_signature"} {
		d := &signature.Delivery{Method: method, Header: http.Header{field: {digest}, "X-Time": {stamp}}, Now: now}
		if got := judge(compiled(t, s, secret), d, body); got != want {
			t.Errorf("%s: %s, want %s", method, got, want)
		}
	}
}

// A field that is signed stands on exactly one line; an empty one is a value.
func TestSignedFields(t *testing.T) {
	s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{header.X-Id}.{body}"}
	for _, tc := range []struct {
		lines []string
		want  string
	}{
		{[]string{"1"}, accepted},
		{[]string{""}, "signature_mismatch"},
		{nil, "missing_signature"},
		{[]string{"1", "1"}, "ambiguous_signature"},
		{[]string{"1", "2"}, "ambiguous_signature"},
	} {
		d := &signature.Delivery{Header: http.Header{field: {signText("1." + body)}, "X-Id": tc.lines}}
		if got := judge(compiled(t, s, secret), d, body); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.lines, got, tc.want)
		}
	}
}

// With more than one secret the whole payload is made again, before the body and
// after it.
func TestPayloadUnderASecondSecret(t *testing.T) {
	s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{method}.{body}.{url}"}
	v, err := signature.New(s, []signature.Secret{{Name: "new", Text: "another secret"}, {Name: "old", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	d := &signature.Delivery{Method: "POST", URL: "u", Header: http.Header{field: {signText("POST." + body + ".u")}}}
	for range 3 { // MACs are used again
		if got := judge(v, d, body); got != accepted {
			t.Error(got)
		}
		if got := judge(v, d, body+"x"); got != "signature_mismatch" {
			t.Error(got)
		}
	}
}

func TestPayloadsThatDoNotCompile(t *testing.T) {
	for _, tc := range []struct{ payload, want string }{
		{"{url}", "{body}, or one hash of it, must be in it exactly once"},
		{"body", "{body}, or one hash of it, must be in it exactly once"},
		{"{body}{body}", "{body}, or one hash of it, must be in it exactly once"},
		{"{body}.{url}.{body}", "{body}, or one hash of it, must be in it exactly once"},
		{"{body", "position 1: '{' is not closed"},
		{"{ts}.{body", "position 6: '{' is not closed"},
		{"{ts{body}", "position 1: '{' is not closed"},
		{"body}", "position 5: '}' without '{'"},
		{"{ts}.{form}.{body}", "position 6: unknown placeholder \"{form}\""},
		{"{BODY}", "position 1: unknown placeholder \"{BODY}\""},
		{"{}{body}", "position 1: unknown placeholder \"{}\""},
		{"{header}{body}", "position 1: unknown placeholder \"{header}\""},
		{"{header.}{body}", `position 1: {header.NAME}: "" is not a field name`},
		{"{header.X Id}{body}", `position 1: {header.NAME}: "X Id" is not a field name`},
		{"{body}{header.X_Id}", `position 7: {header.NAME}: "X_Id" is not a field name`},
		{"{http.request.body}", "position 1: unknown placeholder \"{http.request.body}\""},
		{"{ts}.{body}", "payload: {ts} needs a time; add timestamp <field>"},
		{`{method}\n{body}`, `position 9: \n is a backslash and a letter here; write {lf}`},
		{`{method}.\r\n{body}`, `position 9: \n is a backslash and a letter here; write {lf}`},
		{`{body}\r`, `position 7: \r is a backslash and a letter here; write {cr}`},
		{`x\t{body}`, `position 1: \t is a backslash and a letter here; write {tab}`},
		{"{LF}{body}", "position 1: unknown placeholder \"{LF}\""},
	} {
		err := signature.Scheme{Payload: tc.payload}.Validate()
		if err == nil || !strings.Contains(err.Error(), "payload: ") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %s", tc.payload, err, tc.want)
		}
	}
}

func TestNeedsURL(t *testing.T) {
	for payload, want := range map[string]bool{"": false, "{body}": false, "{url}{body}": true, "url{body}": false} {
		if got := (signature.Scheme{Payload: payload}).NeedsURL(); got != want {
			t.Errorf("%q: %v", payload, got)
		}
	}
}
