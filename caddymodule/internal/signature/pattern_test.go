package signature_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// stamp is a time of signing, and now the time at which it is judged.
const stamp = "1700000000"

var now = time.Unix(1700000000, 0)

// The digest of body in the ways that patterns write it, and one that is of nothing
// here.
var (
	raw, _  = hex.DecodeString(digest)
	std     = base64.StdEncoding.EncodeToString(raw)
	url64   = base64.URLEncoding.EncodeToString(raw)
	raw64   = base64.RawURLEncoding.EncodeToString(raw)
	wrong   = strings.Repeat("0", 64)
	wrong64 = base64.StdEncoding.EncodeToString(make([]byte, 32))
)

// fill puts digests in the place of their names.
var fill = strings.NewReplacer("RIGHT64URL", url64, "RIGHT64RAW", raw64, "RIGHT64BARE", strings.TrimRight(std, "="), "RIGHT64", std, "RIGHT", digest, "WRONG64", wrong64, "WRONG", wrong, "TIME", stamp).Replace

// repeated returns a list of n times the same item.
func repeated(n int, item, separator string) string {
	return strings.TrimSuffix(strings.Repeat(item+separator, n), separator)
}

// field is where the tests put the signature.
const field = "X-Sig"

// patterned returns a verifier for one pattern. A time in it has to be signed.
func patterned(t testing.TB, pattern string, algorithms ...string) *signature.Verifier {
	t.Helper()
	s := signature.Scheme{Headers: []string{field}, Signature: pattern, Algorithms: algorithms}
	if strings.Contains(pattern, "{ts}") {
		s.Payload = "{ts}.{body}"
	}
	return compiled(t, s, secret)
}

func judgeValue(v *signature.Verifier, value string) string {
	return judge(v, &signature.Delivery{Header: http.Header{field: {value}}, Now: now}, body)
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct{ pattern, value, want string }{
		{"{alg}={hex}", "sha256=RIGHT", accepted},
		{"{alg}:{hex}", "sha256:RIGHT", accepted},
		{"{alg} {base64}", "sha256 RIGHT64", accepted},
		{"{alg}={hex}", "=RIGHT", "malformed_signature"},
		{"{alg}={hex}", "RIGHT", "malformed_signature"},
		{"{alg}={hex}", "sha256:RIGHT", "malformed_signature"},

		{"sha256={hex}", "sha256=RIGHT", accepted},
		{"sha256={hex}", "sha256=WRONG", "signature_mismatch"},
		{"sha256={hex}", "SHA256=RIGHT", "malformed_signature"},
		{"sha256={hex}", "sha512=RIGHT", "malformed_signature"},
		{"sha256={hex}", " sha256=RIGHT", "malformed_signature"},
		{"sha256={hex}", "sha256=RIGHT ", "malformed_signature"},
		{"sha256={hex}", "sha256=sha256=RIGHT", "malformed_signature"},
		{"sha256={hex}", "sha256=RIGHT,sha256=RIGHT", "ambiguous_signature"},

		{"{hex}", "RIGHT", accepted},
		{"{hex}", strings.ToUpper(digest), accepted},
		{"{hex}", "", "malformed_signature"},
		{"{hex}", "RIGHTR", "malformed_signature"},
		{"{hex}", digest[:63], "malformed_signature"},
		{"{hex}", digest[:62], "malformed_signature"},
		{"{hex}", digest[:63] + "g", "malformed_signature"},
		{"{hex}", "RIGHT64", "malformed_signature"},

		{"{base64}", "RIGHT64", accepted},
		{"{base64}", "RIGHT64BARE", accepted},
		{"{base64}", "RIGHT64RAW", "malformed_signature"}, // it has the other alphabet
		{"{base64}", "RIGHT64URL", "malformed_signature"},
		{"{base64}", std[:20] + "\n" + std[20:], "malformed_signature"},
		{"{base64}", std[:20] + "\r\n" + std[22:], "malformed_signature"},
		{"{base64}", std[:42] + nextLetter(std[42]) + "=", "malformed_signature"}, // spare bits
		{"{base64}", std[:42] + nextLetter(std[42]), "malformed_signature"},
		{"{base64}", std[:42], "malformed_signature"},
		{"{base64}", "=" + std[:43], "malformed_signature"},
		{"{base64}", "RIGHT64=", "malformed_signature"},
		{"{base64}", "====", "malformed_signature"},
		{"HMAC {base64}", "HMAC RIGHT64", accepted},
		{"HMAC {base64}", "hmac RIGHT64", "malformed_signature"},
		{"HMAC {base64}", "HMAC  RIGHT64", "malformed_signature"},

		{"{base64url}", "RIGHT64URL", accepted},
		{"{base64url}", "RIGHT64RAW", accepted},
		{"{base64url}", "RIGHT64RAW==", "malformed_signature"},
		{"{base64url}", "RIGHT64", "malformed_signature"},

		{"v1={hex},...", "v1=RIGHT", accepted},
		{"v1={hex},...", "v1=WRONG,v1=RIGHT", accepted},
		{"v1={hex},...", "v1=RIGHT,v1=WRONG", accepted},
		{"v1={hex},...", "v0=anything at all,v1=RIGHT,v2=", accepted},
		{"v1={hex},...", "v1=WRONG,v0=RIGHT", "signature_mismatch"},
		{"v1={hex},...", "v0=RIGHT", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT,v1=", accepted},
		{"v1={hex},...", "v1=,v1=RIGHT,v1=no digest", accepted},
		{"v1={hex},...", "v1=WRONG,v1=no digest", "signature_mismatch"},
		{"v1={hex},...", "v1=no digest,v1=", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT00", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT,", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT, ", "malformed_signature"},
		{"v1={hex},...", ",v1=RIGHT", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT,,v1=RIGHT", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT,RIGHT", accepted},
		{"v1={hex},...", "v1=RIGHT,=RIGHT", accepted},
		{"v1={hex},...", "v1=WRONG,RIGHT", "signature_mismatch"},
		{"v1={hex},...", "RIGHT,=RIGHT", "malformed_signature"},
		{"v1={hex},...", "V1=RIGHT", "malformed_signature"},
		{"1/SHA256/{hex},...", "1/SHA256/RIGHT,2/SHA256/WRONG", accepted},
		{"1/SHA256/{hex},...", "2/SHA256/WRONG,1/SHA256/RIGHT", accepted},
		{"1/SHA256/{hex},...", "2/SHA256/RIGHT", "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT, v1=WRONG", accepted},
		{"v1={hex},...", "v1=RIGHT;v1=WRONG", "malformed_signature"},
		{"v1={hex};...", "v1=RIGHT; v1=WRONG", accepted},

		{"v1,{base64} ...", "v1,RIGHT64", accepted},
		{"v1,{base64} ...", "v1,WRONG64 v1,RIGHT64", accepted},
		{"v1,{base64} ...", "v1a,RIGHT64 v1,RIGHT64", accepted},
		{"v1,{base64} ...", "v1a,RIGHT64", "malformed_signature"},
		{"v1,{base64} ...", "v1,invalid_signature v1,RIGHT64", accepted},
		{"v1,{base64} ...", "v1,RIGHT64BARE", accepted},
		{"v1,{base64} ...", "v1,RIGHT64URL v1,RIGHT64BARE", accepted},
		{"v1,{base64} ...", "v1,RIGHT64  v1,RIGHT64", "malformed_signature"},
		{"v1,{base64} ...", "v1,RIGHT64 ", "malformed_signature"},
		{"v1,{base64} ...", " v1,RIGHT64", "malformed_signature"},
		{"v1,{base64} ...", "v1,RIGHT64\tv1,RIGHT64", "malformed_signature"},

		{"v1={hex},...", repeated(16, "v1=RIGHT", ","), accepted},
		{"v1={hex},...", repeated(15, "v1=WRONG", ",") + ",v1=RIGHT", accepted},
		{"v1={hex},...", repeated(17, "v1=RIGHT", ","), "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT," + repeated(15, "v1=no digest", ","), accepted},
		{"v1={hex},...", "v1=RIGHT," + repeated(16, "v1=no digest", ","), "malformed_signature"},
		{"v1={hex},...", repeated(10_000, "v1=RIGHT", ","), "malformed_signature"},
		{"v1,{base64} ...", repeated(10_000, "v1,RIGHT64", " "), "malformed_signature"},
		{"v1={hex},...", "v1=RIGHT," + repeated(63, "v0=x", ","), accepted},
		{"v1={hex},...", "v1=RIGHT," + repeated(64, "v0=x", ","), "malformed_signature"},
		{"v1={hex},...", repeated(10_000, "v0=x", ",") + ",v1=RIGHT", "malformed_signature"},
		{"v1={hex},...", strings.Repeat(",", 1<<20), "malformed_signature"},
		{"v1={hex},...", strings.Repeat(" ", 1<<20), "malformed_signature"},
		{"{hex}", strings.Repeat("0", 1<<20), "malformed_signature"},
		{"{base64}", strings.Repeat("A", 1<<20), "malformed_signature"},
		{"HMAC {base64}", strings.Repeat("HMAC ", 1<<18), "malformed_signature"},
	} {
		if got := judgeValue(patterned(t, tc.pattern), fill(tc.value)); got != tc.want {
			t.Errorf("%s of %.80q: %s, want %s", tc.pattern, tc.value, got, tc.want)
		}
	}
}

// nextLetter changes bits of a last letter that stand for no byte.
func nextLetter(letter byte) string { return string(letter + 1) }

// Here the digest is of the body without the time, so a value that is well formed
// is a mismatch.
func TestPatternsWithATime(t *testing.T) {
	const wellFormed = "signature_mismatch"
	for _, tc := range []struct{ pattern, value, want string }{
		{"t={ts},v1={hex}", "t=TIME,v1=RIGHT", wellFormed},
		{"t={ts},v1={hex}", "v1=RIGHT,t=TIME", wellFormed},
		{"t={ts},v1={hex}", "t=TIME, v1=RIGHT", wellFormed},
		{"t={ts}, v1={hex}", "t=TIME, v1=RIGHT", wellFormed},
		{"t={ts}, v1={hex}", "t=TIME,v1=RIGHT", wellFormed},
		{"t={ts},v1={hex}", "t=TIME,v1=RIGHT,v1=WRONG,v0=RIGHT", wellFormed},
		{"t={ts},v1={hex}", "v0=RIGHT,t=TIME,s=,v1=RIGHT", wellFormed},
		{"t={ts},v0={hex}", "t=TIME,v0=RIGHT", wellFormed},
		{"ts={ts};h1={hex}", "ts=TIME;h1=RIGHT", wellFormed},
		{"ts={ts};h1={hex}", "ts=TIME;h1=WRONG;h1=RIGHT", wellFormed},
		{"ts={ts};h1={hex}", "ts=TIME,h1=RIGHT", "malformed_signature"},
		{"sha256={hex}, t={ts}", "sha256=RIGHT, t=TIME", wellFormed},
		{"t={ts},v1={base64url}", "t=TIME,v1=RIGHT64RAW", wellFormed},
		{"timestamp={ts},signature={hex}", "timestamp=TIME,signature=RIGHT", wellFormed},

		{"t={ts},v1={hex}", "v1=RIGHT", "timestamp_missing"},
		{"t={ts},v1={hex}", "t=TIME", "malformed_signature"},
		{"t={ts},v1={hex}", "t=,v1=RIGHT", "timestamp_malformed"},
		{"t={ts},v1={hex}", "t=TIME,t=TIME,v1=RIGHT", "ambiguous_signature"},
		{"t={ts},v1={hex}", "t=TIME,v1=RIGHT,t=1", "ambiguous_signature"},
		{"t={ts},v1={hex}", "t=TIME,v1=RIGHT,t=no time", "ambiguous_signature"},
		{"t={ts},v1={hex}", "t=1,t=2,v1=RIGHT", "ambiguous_signature"},
		{"t={ts},v1={hex}", "t=TIME,v1=no digest,v1=RIGHT,anything", wellFormed},
		{"t={ts},v1={hex}", "t=TIME,v1=no digest", "malformed_signature"},
		{"t={ts},v1={hex}", "T=TIME,v1=RIGHT", "timestamp_missing"},
		{"t={ts},v1={hex}", "t=TIME ,v1=RIGHT", "timestamp_malformed"},
		{"t={ts},v1={hex}", "t= TIME,v1=RIGHT", "timestamp_malformed"},
		{"t={ts},v1={hex}", "t=0x10,v1=RIGHT", "timestamp_malformed"},
		{"t={ts},v1={hex}", "t=TIME;v1=RIGHT", "malformed_signature"},
		{"t={ts},v1={hex}", "t=TIME,v1=", "malformed_signature"},
		{"t={ts},v1={hex}", "t=TIME,v0=RIGHT", "malformed_signature"},
		{"t={ts},v1={hex}", "t=TIME," + repeated(17, "v1=RIGHT", ","), "malformed_signature"},
		{"t={ts},v1={hex}", "", "malformed_signature"},
	} {
		if got := judgeValue(patterned(t, tc.pattern), fill(tc.value)); got != tc.want {
			t.Errorf("%s of %.80q: %s, want %s", tc.pattern, tc.value, got, tc.want)
		}
	}
}

// A pattern that could not be what the operator meant does not load, and the
// error says where.
func TestPatternsThatDoNotCompile(t *testing.T) {
	for _, tc := range []struct{ pattern, want string }{
		{"sha256={hex", "position 8: '{' is not closed"},
		{"sha256={{hex}", "position 8: '{' is not closed"},
		{"{hex", "position 1: '{' is not closed"},
		{"{hex{", "position 1: '{' is not closed"},
		{"sha256=hex}", "position 11: '}' without '{'"},
		{"{hex}}", "position 6: '}' without '{'"},
		{"{}", "position 1: unknown placeholder \"{}\""},
		{"{HEX}", "position 1: unknown placeholder \"{HEX}\""},
		{"sha256={digest}", "position 8: unknown placeholder \"{digest}\""},
		{"{body}", "position 1: unknown placeholder \"{body}\""},

		{"sha256", "it has no {hex}, {base64} or {base64url}; did you mean sha256={hex}?"},
		{"{alg}=", "position 6: behind the last placeholder"},
		{"{ts}", "it has no {hex}"},
		{"{hex}{hex}", "position 6: a second digest"},
		{"{hex},{base64}", "position 7: a second digest"},
		{"{alg}{hex}", "position 6: text is needed between {alg} and the digest"},
		{"{alg},{hex}", "position 7: text is needed between {alg} and the digest"},
		{"{alg}2{hex}", "position 7: text is needed between {alg} and the digest"},
		{"{alg}a{hex}", "position 7: text is needed between {alg} and the digest"},
		{"x{alg}={hex}", "position 2: {alg} stands once, at the very beginning"},
		{"{alg}{alg}={hex}", "position 6: {alg} stands once, at the very beginning"},
		{"{alg}={hex},...", "{alg} cannot stand in a list"},
		{"t={ts},t={ts},v1={hex}", "position 10: {ts} can be in it only once"},
		{"t={ts}v1={hex}", "a comma or semicolon is needed between the items"},
		{"{hex},{ts}", "each item of a list needs a tag"},
		{"{ts},{hex},{nonce}", "each item of a list needs a tag"},
		{"{nonce},{hex}", "each item of a list needs a tag"},
		{"t={nonce},t={hex}", "each item of a list needs a tag"},
		{"t={ts},t={nonce},v1={hex}", "each item of a list needs a tag"},
		{"t={ts},n={nonce}v1={hex}", "a comma or semicolon is needed between the items, the same one between all"},
		{"t={ts},n={nonce};v1={hex}", "a comma or semicolon is needed between the items, the same one between all"},
		{"t={nonce},n={nonce},v1={hex}", "position 13: {nonce} can be in it only once"},
		{"{nonce}", "it has no {hex}"},
		{"{ts} {hex} ...", "a comma or semicolon is needed between the items"},
		{"{ts},v1={hex}", "each item of a list needs a tag"},
		{"t={ts},{hex}", "each item of a list needs a tag"},
		{"t={ts},t={hex}", "each item of a list needs a tag"},
		{"t={ts},t{hex}", "each item of a list needs a tag"},
		{"{hex},...", "each item of a list needs a tag"},
		{"{hex} ", "position 6: behind the last placeholder"},
		{"{hex}...", "position 6: behind the last placeholder"},
		{"v1={hex}|...", "position 9: behind the last placeholder"},
		{"v1={hex}, ...", "position 9: behind the last placeholder"},
		{"t={ts};v1={hex},...", "position 16: the list has another separator already"},
		{"v1,{hex}", "a tag cannot hold a comma"},
		{"v1,{hex},...", "a tag cannot hold a comma, nor the separator"},
		{"v1 {hex} ...", "a tag cannot hold a comma, nor the separator"},
		{"t={ts},a,v1={hex}", "a tag cannot hold a comma, nor the separator"},
	} {
		s := signature.Scheme{Headers: []string{field}, Signature: tc.pattern, Payload: "{body}"}
		if strings.Contains(tc.pattern, "{ts}") {
			s.Payload = "{ts}.{body}"
		}
		err := s.Validate()
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("signature: %q: ", tc.pattern)) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %s", tc.pattern, err, tc.want)
		}
	}
}

// Without {alg} the pattern cannot say which of several algorithms it was.
func TestOneAlgorithmWithoutItsName(t *testing.T) {
	s := signature.Scheme{Signature: "{hex}", Algorithms: []string{"sha256", "sha512"}}
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), "no {alg} to tell which") {
		t.Error(err)
	}
	for algorithm, length := range map[string]int{"sha256": 64, "sha384": 96, "sha512": 128, "sha1": 40} {
		v := patterned(t, "{hex}", algorithm)
		for n, want := range map[int]string{length: "signature_mismatch", length - 2: "malformed_signature", length + 2: "malformed_signature"} {
			if got := judgeValue(v, strings.Repeat("0", n)); got != want {
				t.Errorf("%s, %d digits: %s, want %s", algorithm, n, got, want)
			}
		}
	}
}

// Where each of the fields carries a signature, any may match, and each must be
// well formed. Where the first one decides, a later one is not looked at.
func TestAnyHeader(t *testing.T) {
	for _, tc := range []struct {
		any    bool
		fields http.Header
		want   string
	}{
		{true, http.Header{"X-A": {"RIGHT"}}, accepted},
		{true, http.Header{"X-B": {"RIGHT"}}, accepted},
		{true, http.Header{"X-A": {"RIGHT"}, "X-B": {"WRONG"}}, accepted},
		{true, http.Header{"X-A": {"WRONG"}, "X-B": {"RIGHT"}}, accepted},
		{true, http.Header{"X-A": {"WRONG"}, "X-B": {"WRONG"}}, "signature_mismatch"},
		{true, http.Header{"X-A": {"RIGHT"}, "X-B": {""}}, "malformed_signature"},
		{true, http.Header{"X-A": {"RIGHT"}, "X-B": {"RIGHT", "RIGHT"}}, "ambiguous_signature"},
		{true, http.Header{"X-C": {"RIGHT"}}, "missing_signature"},
		{false, http.Header{"X-A": {"WRONG"}, "X-B": {"RIGHT"}}, "signature_mismatch"},
		{false, http.Header{"X-A": {"RIGHT"}, "X-B": {"no signature"}}, accepted},
		{false, http.Header{"X-B": {"RIGHT"}}, accepted},
	} {
		v := compiled(t, signature.Scheme{Headers: []string{"X-A", "X-B"}, AnyHeader: tc.any, Signature: "{hex}"}, secret)
		for _, lines := range tc.fields {
			for i := range lines {
				lines[i] = fill(lines[i])
			}
		}
		if got := judge(v, &signature.Delivery{Header: tc.fields}, body); got != tc.want {
			t.Errorf("any %v, %v: %s, want %s", tc.any, tc.fields, got, tc.want)
		}
	}
}

// Of several fields with a list each, every one that is present has a digest.
func TestAnyHeaderWithLists(t *testing.T) {
	v := compiled(t, signature.Scheme{Headers: []string{"X-A", "X-B"}, AnyHeader: true, Signature: "v1={hex},..."}, secret)
	for _, tc := range []struct{ a, b, want string }{
		{"v1=RIGHT", "v1=WRONG,v1=no digest", accepted},
		{"v1=no digest,v1=WRONG", "v0=x,v1=RIGHT", accepted},
		{"v1=RIGHT", "v1=no digest", "malformed_signature"},
		{"v1=RIGHT", "v0=x", "malformed_signature"},
		{"v0=x", "v1=RIGHT", "malformed_signature"},
	} {
		d := &signature.Delivery{Header: http.Header{"X-A": {fill(tc.a)}, "X-B": {fill(tc.b)}}}
		if got := judge(v, d, body); got != tc.want {
			t.Errorf("%q and %q: %s, want %s", tc.a, tc.b, got, tc.want)
		}
	}
}

// Each field adds to one bound.
func TestAnyHeaderIsBounded(t *testing.T) {
	var names []string
	fields := http.Header{}
	for i := range 17 {
		names = append(names, fmt.Sprintf("X-%d", i))
		fields[names[i]] = []string{digest}
	}
	for n, want := range map[int]string{16: accepted, 17: "malformed_signature"} {
		v := compiled(t, signature.Scheme{Headers: names[:n], AnyHeader: true, Signature: "{hex}"}, secret)
		if got := judge(v, &signature.Delivery{Header: fields}, body); got != want {
			t.Errorf("%d fields: %s, want %s", n, got, want)
		}
	}
}

// encoding/base64 skips line breaks: text of the right length can hold less.
func TestLineBreaksAreNotDigits(t *testing.T) {
	right := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	v := compiled(t, signature.Scheme{Headers: []string{field}, Signature: "{base64}"}, secret)
	for value, want := range map[string]string{
		right:                                "signature_mismatch",
		"\r\n\r\n" + right[4:]:               "malformed_signature",
		right[:40] + "\n\n\n\n":              "malformed_signature",
		right[:20] + "\n\n\n\n" + right[24:]: "malformed_signature",
	} {
		if got := judge(v, &signature.Delivery{Header: http.Header{field: {value}}}, body); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
