package signature_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// hashesOf returns a text in the place of each hash of it.
func hashesOf(text string) map[string]string {
	short, long := sha256.Sum256([]byte(text)), sha512.Sum512([]byte(text))
	return map[string]string{
		"{body_sha256}": hex.EncodeToString(short[:]), "{body_sha512}": hex.EncodeToString(long[:]),
		"{body_sha256_base64}": base64.StdEncoding.EncodeToString(short[:]), "{body_sha512_base64}": base64.StdEncoding.EncodeToString(long[:]),
	}
}

// unreadable is a body that nothing can read again.
var unreadable = writerTo(func(io.Writer) (int64, error) { return 0, errors.New("the body was read again") })

// A hash of the body is computed from what arrived, in each of its forms. Under a second
// secret the body is not read again.
func TestHashesOfTheBody(t *testing.T) {
	for _, text := range []string{"", body, strings.Repeat("x", 100<<10)} {
		for word, hash := range hashesOf(text) {
			s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{method}|" + word + "|{header.X-Id}"}
			v, err := signature.New(s, []signature.Secret{{Name: "new", Text: "another secret"}, {Name: "old", Text: secret}})
			if err != nil {
				t.Fatal(err)
			}
			v.Fingerprints("gate")
			d := &signature.Delivery{Method: "POST", Header: http.Header{field: {signText("POST|" + hash + "|1")}, "X-Id": {"1"}}}
			for _, end := range []string{"", "x", ""} { // checks are used again
				check, err := v.Begin(d)
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(check, text)
				io.WriteString(check, end)
				match, err := check.End(unreadable)
				if end == "" && (err != nil || match.Secret != "old") || end != "" && !errors.Is(err, refusal.SignatureMismatch) {
					t.Errorf("%s of %d bytes and %q: %+v, %v", word, len(text), end, match, err)
				}
			}
		}
	}
}

// The sender's own field with the hash is not asked: it could say anything.
func TestTheHashIsNotTakenFromAField(t *testing.T) {
	s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{body_sha256}"}
	claimed := hashesOf(body)["{body_sha256}"]
	d := &signature.Delivery{Header: http.Header{field: {signText(claimed)}, "Content-Digest": {claimed}, "Body-Sha256": {claimed}}}
	if got := judge(compiled(t, s, secret), d, "another body"); got != "signature_mismatch" {
		t.Error(got)
	}
	if got := judge(compiled(t, s, secret), d, body); got != accepted {
		t.Error(got)
	}
}

// With a hash, what is signed is small: no public key needs the body in one piece, and
// none reads it again.
func TestHashesUnderPublicKeys(t *testing.T) {
	for _, a := range publicAlgorithms {
		for word, hash := range hashesOf(body) {
			key, s := a.key(), publicScheme(a.name)
			s.Payload = "{header.X-Id}." + word + "."
			v := publicVerifier(t, s, spki(t, a.key().Public()), spki(t, key.Public()))
			v.Fingerprints("gate")
			if v.OnePiece() || s.OnePiece() {
				t.Errorf("%s, %s: the body is verified in one piece", a.name, word)
			}
			fields := inField(signed(t, a.name, key, "1."+hash+"."))
			fields.Set("X-Id", "1")
			for _, end := range []string{"", "x", ""} {
				check, err := v.Begin(&signature.Delivery{Header: fields})
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(check, body+end)
				if _, err := check.End(unreadable); (err == nil) != (end == "") {
					t.Errorf("%s, %s, %q: %v", a.name, word, end, err)
				}
			}
		}
	}
	if s := publicScheme("ed25519"); !s.OnePiece() {
		t.Error("without a hash it is not in one piece")
	}
}

// The fingerprint is that of what was signed: the hash, and not the body.
func TestFingerprintOfAHash(t *testing.T) {
	prints := make(map[string]string)
	for _, payload := range []string{"{body_sha256}", "{body}"} {
		v := compiled(t, signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: payload}, secret)
		v.Fingerprints("gate")
		text, hash := body, hashesOf(body)["{body_sha256}"]
		if payload == "{body}" {
			text = hash
		}
		prints[payload] = fingerprint(t, v, http.Header{field: {signText(hash)}}, text)
	}
	if prints["{body_sha256}"] != prints["{body}"] {
		t.Errorf("one text that was signed has two fingerprints: %v", prints)
	}
}

// A delivery with a hash is a delivery of another body to a gate that has the same key and
// another payload: Message tells them apart, and the gates warn (traps V5).
func TestWhatIsSignedIsABodyElsewhere(t *testing.T) {
	hashed := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{body_sha256}"}
	plain := signature.Scheme{Headers: []string{field}, Signature: "{hex}"}
	hash := hashesOf(body)["{body_sha256}"]
	d := &signature.Delivery{Header: http.Header{field: {signText(hash)}}}
	if a, b := judge(compiled(t, hashed, secret), d, body), judge(compiled(t, plain, secret), d, hash); a != accepted || b != accepted {
		t.Fatalf("%s, and with its hash as the body %s", a, b)
	}
	if hashed.Message() == plain.Message() {
		t.Error("Message does not tell them apart")
	}
}

// The target is signed byte for byte as it arrived.
func TestTargets(t *testing.T) {
	for _, tc := range []struct{ payload, target, want string }{
		{"{method} {path_query}{lf}{body}", "/h?a=1", accepted},
		{"{method} {path_query}{lf}{body}", "/h?a=%2f", accepted},
		{"{method} {path_query}{lf}{body}", "/h?a=%2F", accepted},
		{"{method} {path_query}{lf}{body}", "//h/../?a=b?c=/", accepted},
		{"{method} {path_query}{lf}{body}", "/h?a=1.5|x y", accepted},
		{"{method} {path_query}{lf}{body}", "/h\n?", "malformed_signature"},
		{"{method}|{path_query}|{body}", "/h?a=b|c", "malformed_signature"},
		{"{path_query} {body}", "/h?a=b c", "malformed_signature"},
		{"{body} {path_query}", "/h?a=b c", "malformed_signature"},
		{"{body} {path_query}", "/h?a=b", accepted},
		{"{method}{path_query}{body_sha256}", "/h?a=b c|d", accepted},
		{"{body_sha256}{path_query}", "/h", accepted},
		{"{url}{path_query} {body}", "/h", accepted},
		{"{path_query}{body_sha256}", "", "malformed_signature"},
		{"{path_query}{body_sha256}", "*", "malformed_signature"},
		{"{path_query}{body_sha256}", "http://a.example/h", "malformed_signature"},
		{"{path_query}{body_sha256}", "a.example:443", "malformed_signature"},
		{"{path_query}{body_sha256}", "?/h", "malformed_signature"},
	} {
		s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: tc.payload}
		text := strings.NewReplacer("{method}", "PUT", "{path_query}", tc.target, "{lf}", "\n", "{url}", "https://a.example",
			"{body}", body, "{body_sha256}", hashesOf(body)["{body_sha256}"]).Replace(tc.payload)
		d := &signature.Delivery{Method: "PUT", URL: "https://a.example", Target: tc.target, Header: http.Header{field: {signText(text)}}}
		v := compiled(t, s, secret)
		if got := judge(v, d, body); got != tc.want {
			t.Errorf("%s of %q: %s, want %s", tc.payload, tc.target, got, tc.want)
		}
		if d.Target += "?"; tc.want == accepted && judge(v, d, body) != "signature_mismatch" {
			t.Errorf("%s: another target than %q is accepted", tc.payload, tc.target)
		}
	}
}

// Between a target and the body, and between a target and a field, stands text that no
// target holds; beside a hash nothing has to.
func TestFencesOfTargets(t *testing.T) {
	const needed = "text that no request target holds is needed between {path_query}"
	const between = "text is needed between"
	for payload, want := range map[string]string{
		"{path_query}{body}": needed, "{body}{path_query}": needed, "{path_query}.{body}": needed, "{path_query}:{body}": needed,
		"{path_query}?{body}": needed, "{path_query}%0A{body}": needed, "{body}/{path_query}": needed, "{method}{path_query}{body}": needed,
		"{path_query}{ts}{body}": needed, "{path_query}{url} {body}": needed, "{path_query}{header.X-A} {body}": needed, "{path_query}{path_query} {body}": needed,
		"{path_query}{lf}{header.X-A}{body}": between, "{body}{lf}{path_query}{header.X-A}": between, "{body}{method}{path_query}": between,
		"{path_query}{body_sha256}{header.X-A}": needed, "{header.X-A}{body_sha256}{path_query}": between, "{header.X-A}{body_sha256}{header.X-B}": between,
		"{header.X-A}{header.X-B}{body_sha256}": between, "{body}{lf}{path_query}{ts}{header.X-A}": between,

		"{path_query}{lf}{body}": "", "{path_query} {body}": "", "{path_query}|{body}": "", "{path_query}.|{body}": "", "{path_query}\"{body}": "",
		"{method}{path_query}{lf}{body}": "", "{header.X-A}{path_query}{lf}{body}": "", "{ts}{path_query}{lf}{body}": "", "{body}{lf}{path_query}": "",
		"{path_query}{body_sha256}": "", "{method}{path_query}{body_sha256}": "", "{path_query}{ts}{body_sha256}": "", "{body_sha512}{path_query}": "",
		"{ts}{method}{path_query}{body_sha256_base64}": "", "{header.X-A}{ts}{body_sha256}": "", "{header.X-A}.{path_query}.{body_sha256}": "",
		"{body_sha256}{method}": "", "{header.X-A}{body_sha512_base64}": "", "{header.X-A}{ts}{path_query}{lf}{body}": "", "{url}{path_query}{lf}{body}": "",
		"{method}{url}{path_query}{ts}{body_sha256}": "",
	} {
		s := signature.Scheme{Payload: payload}
		if strings.Contains(payload, "{ts}") {
			s.Timestamp = "X-Time"
		}
		err := s.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v; want %q", payload, err, want)
		}
	}
}

// A captured delivery cannot be cut anew: not between the target and the body, nor where a
// client of HTTP/2 sends a byte that no target has.
func TestTargetsCannotBeMoved(t *testing.T) {
	const captured = "/h?a=1 2 {}"
	v := compiled(t, signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{path_query} {body}"}, secret)
	for target, want := range map[string]string{"/h?a=1": accepted, "/h?a=1 2": "malformed_signature", "/h?a=1 ": "malformed_signature", "/h?a=": "signature_mismatch"} {
		rest := strings.TrimPrefix(strings.TrimPrefix(captured, target), " ")
		if got := judge(v, &signature.Delivery{Target: target, Header: http.Header{field: {signText(captured)}}}, rest); got != want {
			t.Errorf("%q and %q: %s, want %s", target, rest, got, want)
		}
	}
}

// A target begins with a slash, which ends the field in front of it.
func TestFieldInFrontOfATarget(t *testing.T) {
	v := compiled(t, signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "{header.X-Id}{path_query} {body}"}, secret)
	for id, want := range map[string]string{"a.b c": accepted, "": accepted, "a/b": "malformed_signature", "/": "malformed_signature"} {
		d := &signature.Delivery{Target: "/h", Header: http.Header{field: {signText(id + "/h " + body)}, "X-Id": {id}}}
		if got := judge(v, d, body); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}

// A nonce is a word of the field. It is signed, and no time.
func TestNonces(t *testing.T) {
	const malformed = "malformed_signature"
	for _, tc := range []struct{ payload, value, nonce, want string }{
		{"{nonce}.{body}", "t=n-1_2,s=SIGNED", "n-1_2", accepted},
		{"{nonce}.{body}", "s=SIGNED, t=n1", "n1", accepted},
		{"{nonce}.{body}", "v=2,t=n1,s=RIGHT,s=SIGNED", "n1", accepted},
		{"{nonce}.{body}", "t=a b=c;d,s=SIGNED", "a b=c;d", accepted},
		{"{nonce}.{body}", "t=n2,s=SIGNED", "n1", "signature_mismatch"},
		{"{nonce}.{body}", "t=a.b,s=SIGNED", "a.b", malformed}, // the point could be the end
		{"{nonce}.{body}", "t=,s=SIGNED", "", malformed},
		{"{nonce}.{body}", "s=SIGNED", "", malformed},
		{"{nonce}.{body}", "t=n1", "n1", malformed},
		{"{nonce}.{body}", "t=n1,t=n1,s=SIGNED", "n1", "ambiguous_signature"},
		{"{nonce}.{body}", "t=n1,s=SIGNED,t=", "n1", "ambiguous_signature"},
		{"{nonce}.{body}", "T=n1,s=SIGNED", "n1", malformed},
		{"{nonce}{url}{body}", "t=n-1_2,s=SIGNED", "n-1_2", accepted},
		{"{nonce}{url}{body}", "t=n 1,s=SIGNED", "n 1", malformed},
		{"{nonce}{url}{body}", "t=" + strings.Repeat("n", 512) + ",s=SIGNED", strings.Repeat("n", 512), accepted},
		{"{nonce}{url}{body}", "t=" + strings.Repeat("n", 513) + ",s=SIGNED", strings.Repeat("n", 513), malformed},
		{"{nonce}{body_sha256}", "t=any.thing,s=SIGNED", "any.thing", accepted},
	} {
		s := signature.Scheme{Headers: []string{field}, Signature: "t={nonce},s={hex}", Payload: tc.payload}
		text := strings.NewReplacer("{nonce}", tc.nonce, "{url}", "u", "{body}", body, "{body_sha256}", hashesOf(body)["{body_sha256}"]).Replace(tc.payload)
		value := strings.ReplaceAll(fill(tc.value), "SIGNED", signText(text))
		v := compiled(t, s, secret)
		for range 2 { // nothing of the last one stays
			d := &signature.Delivery{URL: "u", Header: http.Header{field: {value}}}
			if got := judge(v, d, body); got != tc.want {
				t.Errorf("%s of %q: %s, want %s", tc.payload, tc.value, got, tc.want)
			}
		}
		if v.Lifetime() != 0 {
			t.Error("a nonce bounds how long a delivery can be replayed")
		}
	}
}

// A nonce beside a time: each is one word.
func TestNonceAndTime(t *testing.T) {
	v := compiled(t, signature.Scheme{Headers: []string{field}, Signature: "t={ts},n={nonce},v1={hex}", Payload: "{ts}.{nonce}.{body}"}, secret)
	right := signText(stamp + ".7." + body)
	for value, want := range map[string]string{
		"t=TIME,n=7,v1=": accepted, "n=7, t=TIME, v1=": accepted, "t=TIME,n=8,v1=": "signature_mismatch", "t=1700000001,n=7,v1=": "signature_mismatch",
		"t=1,n=7,v1=": "timestamp_out_of_range", "n=7,v1=": "timestamp_missing", "t=TIME,v1=": "malformed_signature",
	} {
		if got := judgeValue(v, fill(value)+right); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}

// A nonce that is not signed, or that no field holds, does not load.
func TestNoncesThatDoNotCompile(t *testing.T) {
	for _, tc := range []struct {
		s    signature.Scheme
		want string
	}{
		{signature.Scheme{Signature: "t={nonce},s={hex}"}, "signature: {nonce} is not signed"},
		{signature.Scheme{Signature: "t={nonce},s={hex}", Payload: "{header.X-Id}.{body}"}, "signature: {nonce} is not signed"},
		{signature.Scheme{Payload: "{nonce}.{body}"}, "payload: {nonce} is a word of the signature, and its pattern has none"},
		{signature.Scheme{Signature: "t={nonce},s={hex}", Payload: "{nonce}{body}"}, "text is needed between a {header.NAME}, {nonce} or {method}"},
		{signature.Scheme{Signature: "t={nonce},s={hex}", Payload: "{nonce}.{body}", Headers: []string{"X-A", "X-B"}, AnyHeader: true}, "has none of {alg}, {ts} and {nonce}"},
		{signature.Scheme{Signature: "t={nonce},s={hex}", Payload: "{nonce}{ts}{body}", Timestamp: "X-Time"}, "text is needed between {header.NAME} or {nonce} and {ts}"},
	} {
		if err := tc.s.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v; want %s", tc.s, err, tc.want)
		}
	}
}

// A list without tags is a time and digests, and nothing else.
func TestListsWithoutTags(t *testing.T) {
	const malformed = "malformed_signature"
	for _, pattern := range []string{"{ts},{hex},...", "{ts},{hex}"} {
		v := patterned(t, pattern)
		right := signText(stamp + "." + body)
		for value, want := range map[string]string{
			"TIME,SIGNED": accepted, "TIME, SIGNED": accepted, "TIME,WRONG,SIGNED": accepted, "TIME,SIGNED,WRONG": accepted,
			"TIME,WRONG":        "signature_mismatch",
			"1699999000,SIGNED": "timestamp_out_of_range", ",SIGNED": "timestamp_malformed", "SIGNED": malformed, "t=TIME,SIGNED": "timestamp_malformed",
			" TIME,SIGNED": "timestamp_malformed",
			"TIME":         malformed, "TIME,": malformed, "TIME,,SIGNED": malformed, "TIME,SIGNED,": malformed, "TIME,SIGNED,no digest": malformed, "TIME,no digest,SIGNED": malformed,
			"TIME,v1=SIGNED": malformed, "SIGNED,TIME": malformed, "TIME,TIME,SIGNED": malformed, "TIME;SIGNED": malformed, "TIME,SIGNED WRONG": malformed,
			"TIME," + repeated(15, "WRONG", ",") + ",SIGNED": accepted, "TIME," + repeated(16, "WRONG", ",") + ",SIGNED": malformed, "": malformed,
		} {
			if got := judgeValue(v, strings.ReplaceAll(fill(value), "SIGNED", right)); got != want {
				t.Errorf("%s of %.60q: %s, want %s", pattern, value, got, want)
			}
		}
	}
}

// Dates as HTTP writes them, in the one form that senders have to write (RFC 9110, section
// 5.6.7), and none of the obsolete ones.
func TestHTTPDates(t *testing.T) {
	const malformed, outOfRange = "timestamp_malformed", "timestamp_out_of_range"
	v := timed(t, "http", 0)
	for stamp, want := range map[string]string{
		"Tue, 14 Nov 2023 22:13:20 GMT": accepted, "Tue, 14 Nov 2023 22:18:20 GMT": accepted, "Tue, 14 Nov 2023 22:08:20 GMT": accepted,
		"Tue, 14 Nov 2023 22:18:21 GMT": outOfRange, "Tue, 14 Nov 2023 22:08:19 GMT": outOfRange, "Sun, 06 Nov 1994 08:49:37 GMT": outOfRange,
		"Mon, 14 Nov 2023 22:13:20 GMT": malformed, "tue, 14 nov 2023 22:13:20 gmt": malformed, "Tue, 14 Nov 2023 22:13:20 UTC": malformed,
		"Tue, 14 Nov 2023 22:13:20 +0000": malformed, "Tue, 14 Nov 2023 22:13:20.5 GMT": malformed, "Tue, 14 Nov 2023 2:13:20 GMT": malformed,
		"Tuesday, 14-Nov-23 22:13:20 GMT": malformed, "Tue Nov 14 22:13:20 2023": malformed, "Tue 14 Nov 2023 22:13:20 UTC": malformed,
		"Tue, 14 Nov 2023 22:13:20 GMT ": malformed, "Tue,14 Nov 2023 22:13:20 GMT": malformed, "1700000000": malformed, "2023-11-14T22:13:20Z": malformed,
		"Tue, 31 Nov 2023 22:13:20 GMT": malformed,
	} {
		fields := http.Header{field: {signText(stamp + "." + body)}, "X-Time": {stamp}}
		if got := judge(v, &signature.Delivery{Header: fields, Now: now}, body); got != want {
			t.Errorf("%q: %s, want %s", stamp, got, want)
		}
	}
	inList := func(pattern string) signature.Scheme {
		return signature.Scheme{Headers: []string{field}, Signature: pattern, Payload: "{ts}{body}", TimestampUnit: "http"}
	}
	for _, pattern := range []string{"t={ts},v1={hex}", "{ts},{hex},..."} {
		if err := inList(pattern).Validate(); err == nil || !strings.Contains(err.Error(), "timestamp: a date of HTTP has a comma in it") {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	const at = "Tue, 14 Nov 2023 22:13:20 GMT"
	if got := judgeValue(compiled(t, inList("t={ts};v1={hex}"), secret), "t="+at+"; v1="+signText(at+body)); got != accepted {
		t.Error(got)
	}
}

// What looks like one of the words says which is meant.
func TestNearMissesOfTheVocabulary(t *testing.T) {
	for payload, want := range map[string]string{
		"{path}{body}": "did you mean {path_query}?", "{uri}{body}": "did you mean {path_query}?", "{request_uri}{body}": "did you mean {path_query}?",
		"{host}{body}": "did you mean {url}?", "{sha256}": "did you mean {body_sha256}?", "{sha512}": "did you mean {body_sha512}?", "{body_hash}": "did you mean {body_sha256}?",
		"{body_sha265}": "did you mean {body_sha256}?", "{bodysha256base64}": "did you mean {body_sha256_base64}?", "{body_sha1}": "did you mean {body_sha256}?",
		"{nounce}.{body}": "did you mean {nonce}?", "{body}{body_sha256}": "{body}, or one hash of it, must be in it exactly once", "{body_sha256}{body_sha512}": "must be in it exactly once",
	} {
		if err := (signature.Scheme{Payload: payload}).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", payload, err, want)
		}
	}
}
