package signature_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const (
	tokenField = "X-Token"
	tokenText  = "tk-3Kq9vYw0Zr7uXe5Lb2Np"
	tokenOld   = "tk-8Hd4mQc1Ts6oGj9Fa0Vy"
)

// tokenScheme is that of a sender without a preset.
func tokenScheme(pattern string) signature.Scheme {
	return signature.Scheme{Headers: []string{tokenField}, Signature: pattern}
}

func newTokenVerifier(t testing.TB, s signature.Scheme, texts ...string) *signature.Verifier {
	t.Helper()
	tokens := make([]signature.Token, len(texts))
	for i, text := range texts {
		tokens[i] = signature.Token{Name: string(rune('a' + i)), Text: text}
	}
	v, err := signature.NewTokens(s, tokens)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A tokenVector is a delivery of testdata/tokens.json.
type tokenVector struct {
	Preset, Name, Source, Token string
	Headers                     map[string][]string
	Body                        string
	Delivery                    *string // what makes it, where the preset says so
	Verdict                     string
}

func (v tokenVector) delivery() *signature.Delivery {
	fields := http.Header{}
	for name, lines := range v.Headers {
		fields[http.CanonicalHeaderKey(name)] = lines
	}
	return &signature.Delivery{Header: fields}
}

func tokenVectors(t testing.TB) []tokenVector {
	t.Helper()
	var all []tokenVector
	load(t, "tokens.json", &all)
	return all
}

// As TestPresets, for senders with a token. With fingerprints, two deliveries are one where
// the sender's own id says so.
func TestTokenPresets(t *testing.T) {
	verdicts := make(map[string]map[bool]int)
	for _, p := range signature.TokenPresets() {
		if verdicts[p.Name] != nil {
			t.Errorf("%s stands twice in the table", p.Name)
		}
		verdicts[p.Name] = make(map[bool]int)
		writable(t, p.Name)
		if !p.Scheme.Tokens() || p.Challenge != "" || p.Global {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
	made := make(map[string]string) // the fingerprint by what makes the delivery
	for _, vector := range tokenVectors(t) {
		p, ok := signature.FindPresetOf(vector.Preset, signature.Tokens)
		if !ok {
			t.Fatalf("no preset %q", vector.Preset)
		}
		verdicts[p.Name][vector.Verdict == accepted]++
		v := newTokenVerifier(t, p.Scheme, vector.Token)
		if got := judge(v, vector.delivery(), vector.Body); got != vector.Verdict {
			t.Errorf("%s, %s: %s, want %s (%s)", vector.Preset, vector.Name, got, vector.Verdict, vector.Source)
		}
		if (vector.Delivery != nil) != (p.Scheme.Payload != "" && vector.Verdict == accepted) {
			t.Errorf("%s, %s: has it what makes the delivery?", vector.Preset, vector.Name)
		}
		if vector.Delivery == nil {
			continue
		}
		v.Fingerprints("gate")
		check, err := v.Begin(vector.delivery())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(check, vector.Body)
		match, err := check.End(held(vector.Body))
		if err != nil {
			t.Fatal(err)
		}
		print := match.Fingerprint()
		if before, ok := made[p.Name+*vector.Delivery]; ok && before != string(print[:]) {
			t.Errorf("%s, %s: another fingerprint of the same delivery", vector.Preset, vector.Name)
		}
		for delivery, before := range made {
			if before == string(print[:]) && !strings.HasSuffix(delivery, *vector.Delivery) {
				t.Errorf("%s, %s: the fingerprint of another delivery", vector.Preset, vector.Name)
			}
		}
		made[p.Name+*vector.Delivery] = string(print[:])
	}
	for name, count := range verdicts {
		if count[true] == 0 || count[false] < 3 {
			t.Errorf("%s: %d accepted and %d refused deliveries", name, count[true], count[false])
		}
	}
}

func TestTokenVectorsAreComputed(t *testing.T) { computed(t, "tokens") }

// The header section is the whole verdict: Begin gives it without a byte of the body.
func TestTokens(t *testing.T) {
	user := "hooks:" + tokenText
	const inBase64 = "aG9va3M6dGstM0txOXZZdzBacjd1WGU1TGIyTnA="
	for _, tc := range []struct {
		name, pattern string
		tokens        []string
		lines         []string
		want          string
		reason        refusal.Reason
	}{
		{"alone", "{token}", []string{tokenText}, []string{tokenText}, "a", ""},
		{"the old one of a rotation", "{token}", []string{tokenText, tokenOld}, []string{tokenOld}, "b", ""},
		{"the same token twice", "{token}", []string{tokenText, tokenText}, []string{tokenText}, "a", ""},
		{"behind a scheme", "Bearer {token}", []string{tokenText}, []string{"Bearer " + tokenText}, "a", ""},
		{"in base64", "Basic {token_base64}", []string{user}, []string{"Basic " + inBase64}, "a", ""},
		{"in base64, alone", "{token_base64}", []string{user}, []string{inBase64}, "a", ""},
		{"with blanks and commas", "{token}", []string{"a token, with blanks; {x}"}, []string{"a token, with blanks; {x}"}, "a", ""},

		{"none", "{token}", []string{tokenText}, nil, "", refusal.TokenMissing},
		{"an empty one", "{token}", []string{tokenText}, []string{""}, "", refusal.TokenMismatch},
		{"two lines", "{token}", []string{tokenText}, []string{tokenText, tokenText}, "", refusal.TokenAmbiguous},
		{"two tokens on two lines", "{token}", []string{tokenText, tokenOld}, []string{tokenOld, tokenText}, "", refusal.TokenAmbiguous},
		{"both on one line", "{token}", []string{tokenText, tokenOld}, []string{tokenText + "," + tokenOld}, "", refusal.TokenMismatch},
		{"the beginning", "{token}", []string{tokenText}, []string{tokenText[:8]}, "", refusal.TokenMismatch},
		{"the end", "{token}", []string{tokenText}, []string{tokenText[8:]}, "", refusal.TokenMismatch},
		{"a blank more", "{token}", []string{tokenText}, []string{tokenText + " "}, "", refusal.TokenMismatch},
		{"a zero byte more", "{token}", []string{tokenText}, []string{tokenText + "\x00"}, "", refusal.TokenMismatch},
		{"another case", "{token}", []string{tokenText}, []string{strings.ToLower(tokenText)}, "", refusal.TokenMismatch},
		{"the scheme alone", "Bearer {token}", []string{tokenText}, []string{"Bearer "}, "", refusal.TokenMismatch},
		{"the scheme in another case", "Bearer {token}", []string{tokenText}, []string{"bearer " + tokenText}, "", refusal.TokenMismatch},
		{"without its scheme", "Bearer {token}", []string{tokenText}, []string{tokenText}, "", refusal.TokenMismatch},
		{"base64 without padding", "Basic {token_base64}", []string{user}, []string{"Basic " + strings.TrimRight(inBase64, "=")}, "", refusal.TokenMismatch},
		{"not in base64", "Basic {token_base64}", []string{user}, []string{"Basic " + user}, "", refusal.TokenMismatch},
	} {
		v := newTokenVerifier(t, tokenScheme(tc.pattern), tc.tokens...)
		fields := http.Header{tokenField: tc.lines}
		if tc.lines == nil {
			fields = http.Header{"X-Tokens": {tokenText}, "Authorization": {tokenText}}
		}
		check, err := v.Begin(&signature.Delivery{Header: fields})
		if tc.reason != "" {
			if check != nil || !errors.Is(err, tc.reason) {
				t.Errorf("%s: %v, want %s", tc.name, err, tc.reason)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		io.WriteString(check, "whatever anyone likes")
		match, err := check.End(held("whatever anyone likes"))
		if err != nil || match.Secret != tc.want || match.Algorithm != "" || match.Signed() || match.Fingerprint() != [32]byte{} {
			t.Errorf("%s: %+v, %v", tc.name, match, err)
		}
	}
	if match, err := verify(newVerifier(t, nil, secret), hub("sha256="+digest), body); err != nil || !match.Signed() {
		t.Errorf("a signature: %v, signed: %v", err, match.Signed())
	}
}

// What makes a delivery counts only with fingerprints. Then a field that is missing, is on
// two lines or could be cut in two ways refuses, whatever the token.
func TestTokenPayload(t *testing.T) {
	scheme := tokenScheme("{token}")
	scheme.Payload = "{header.X-Channel}.{header.X-Number}.{body}"
	for _, tc := range []struct {
		name   string
		fields http.Header
		reason refusal.Reason
	}{
		{"whole", http.Header{"X-Channel": {"c"}, "X-Number": {"1"}}, ""},
		{"without a field", http.Header{"X-Channel": {"c"}}, refusal.TokenMissing},
		{"a field on two lines", http.Header{"X-Channel": {"c"}, "X-Number": {"1", "1"}}, refusal.TokenAmbiguous},
		{"a field that holds its fence", http.Header{"X-Channel": {"c.1"}, "X-Number": {"1"}}, refusal.TokenAmbiguous},
	} {
		v := newTokenVerifier(t, scheme, tokenText)
		tc.fields.Set(tokenField, tokenText)
		if got := judge(v, &signature.Delivery{Header: tc.fields}, ""); got != accepted {
			t.Errorf("%s, without fingerprints: %s", tc.name, got)
		}
		v.Fingerprints("gate")
		want := accepted
		if tc.reason != "" {
			want = string(tc.reason)
		}
		if got := judge(v, &signature.Delivery{Header: tc.fields}, ""); got != want {
			t.Errorf("%s: %s, want %s", tc.name, got, want)
		}
		tc.fields.Set(tokenField, tokenOld)
		if got := judge(v, &signature.Delivery{Header: tc.fields}, ""); got != string(refusal.TokenMismatch) {
			t.Errorf("%s, with another token: %s", tc.name, got)
		}
	}
}

// A delivery has one fingerprint, whichever token it came with, and another one has another.
func TestTokenFingerprints(t *testing.T) {
	scheme := tokenScheme("{token}")
	scheme.Payload = "{header.X-Number}.{body}"
	prints := make(map[string]string)
	for _, v := range []*signature.Verifier{newTokenVerifier(t, scheme, tokenText, tokenOld), newTokenVerifier(t, scheme, tokenOld)} {
		v.Fingerprints("gate")
		for _, token := range []string{tokenOld, tokenText} {
			for _, d := range []struct{ number, body string }{{"1", ""}, {"2", ""}, {"1", "x"}, {"1", "x"}, {"11", ""}} {
				check, err := v.Begin(&signature.Delivery{Header: http.Header{tokenField: {token}, "X-Number": {d.number}}})
				if err != nil {
					continue // the second gate has one token
				}
				io.WriteString(check, d.body)
				match, err := check.End(held(d.body))
				if err != nil {
					t.Fatal(err)
				}
				print := match.Fingerprint()
				if before, ok := prints[d.number+"."+d.body]; ok && before != string(print[:]) {
					t.Errorf("%+v: another fingerprint", d)
				}
				prints[d.number+"."+d.body] = string(print[:])
			}
		}
	}
	seen := make(map[string]bool)
	for _, print := range prints {
		seen[print] = true
	}
	if len(seen) != 4 || seen[string(make([]byte, 32))] {
		t.Errorf("%d fingerprints of 4 deliveries", len(seen))
	}
}

func TestTokenSchemesThatDoNotCompile(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*signature.Scheme)
		want   string
	}{
		"no field":                     {func(s *signature.Scheme) { s.Headers = nil }, "header: a token has no usual field"},
		"two fields":                   {func(s *signature.Scheme) { s.Headers = []string{"X-A", "X-B"} }, "header: a token is in one field"},
		"any of them":                  {func(s *signature.Scheme) { s.AnyHeader = true }, "header: a token is in one field"},
		"no field name":                {func(s *signature.Scheme) { s.Headers = []string{"X_Token"} }, "did you mean X-Token?"},
		"a field that logs show":       {func(s *signature.Scheme) { s.Headers = []string{"user-agent"} }, "logs show it"},
		"Host":                         {func(s *signature.Scheme) { s.Headers = []string{"Host"} }, "no scheme can use it"},
		"text behind it":               {func(s *signature.Scheme) { s.Signature = "{token}!" }, "position 1: beside {token}"},
		"two tokens":                   {func(s *signature.Scheme) { s.Signature = "{token}{token}" }, "only text in front of it"},
		"a digest beside it":           {func(s *signature.Scheme) { s.Signature = "{hex},{token}" }, "only text in front of it"},
		"a name beside it":             {func(s *signature.Scheme) { s.Signature = "{alg}={token}" }, "only text in front of it"},
		"a time beside it":             {func(s *signature.Scheme) { s.Signature = "t={ts},{token}" }, "only text in front of it"},
		"a list":                       {func(s *signature.Scheme) { s.Signature = "{token} ..." }, "only text in front of it"},
		"a brace":                      {func(s *signature.Scheme) { s.Signature = "{token}}" }, "'}' without '{'"},
		"white space in front":         {func(s *signature.Scheme) { s.Signature = " {token}" }, "white space"},
		"a control character in front": {func(s *signature.Scheme) { s.Signature = "a\n{token}" }, "not printable ASCII"},
		"algorithms":                   {func(s *signature.Scheme) { s.Algorithms = []string{"sha256"} }, "algorithms: a token is compared"},
		"secret_encoding":              {func(s *signature.Scheme) { s.SecretEncoding = "base64" }, "{token_base64} in signature"},
		"timestamp":                    {func(s *signature.Scheme) { s.Timestamp = "X-Time" }, "timestamp: a token does not cover a time"},
		"tolerance":                    {func(s *signature.Scheme) { s.Tolerance = 1 }, "tolerance: a token does not cover a time"},
		"key_id":                       {func(s *signature.Scheme) { s.KeyID = "X-Key" }, "key_id: it names a public key"},
		"a payload without a body":     {func(s *signature.Scheme) { s.Payload = "{header.X-Id}" }, "must be in it exactly once"},
		"a payload without fences":     {func(s *signature.Scheme) { s.Payload = "{header.X-Id}{body}" }, "text is needed between"},
		"a payload with a time":        {func(s *signature.Scheme) { s.Payload = "{ts}.{body}" }, "a token dates nothing"},
		"a payload with the token":     {func(s *signature.Scheme) { s.Payload = "{header.x-token}.{body}" }, "payload: \"X-Token\" holds the token"},
	} {
		s := tokenScheme("{token}")
		tc.change(&s)
		for _, err := range []error{s.Validate(), func() error {
			_, err := signature.NewTokens(s, []signature.Token{{Name: "a", Text: tokenText}})
			return err
		}()} {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v; want %q", name, err, tc.want)
			}
		}
	}
}

// Neither kind of key compiles with the scheme of another, and the error says what to write.
func TestTokenKinds(t *testing.T) {
	for name, tc := range map[string]struct {
		err  func() error
		want string
	}{
		"a token for a signature": {func() error {
			_, err := signature.NewTokens(signature.Scheme{}, []signature.Token{{Text: tokenText}})
			return err
		}, "with token it holds {token} or {token_base64}"},
		"a secret for a token": {func() error {
			_, err := signature.New(tokenScheme("{token}"), []signature.Secret{{Text: tokenText}})
			return err
		}, "this one verifies with secret; write token instead"},
		"a public key for a token": {func() error {
			_, err := signature.NewPublic(tokenScheme("{token}"), []signature.PublicKey{{Text: "x"}})
			return err
		}, "this one verifies with public_key; write token instead"},
		"no token":  {func() error { _, err := signature.NewTokens(tokenScheme("{token}"), nil); return err }, "token: there are 0; it takes 1 to 16"},
		"17 tokens": {func() error { return signature.CheckNumber(signature.Tokens, 17) }, "token: there are 17; it takes 1 to 16"},
	} {
		if err := tc.err(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
	}
}

// What no header field can hold would refuse every delivery. No error shows a token.
func TestTokensThatDoNotCompile(t *testing.T) {
	for name, tc := range map[string]struct{ pattern, text, want string }{
		"empty":                   {"{token}", "", "is empty"},
		"a line break at the end": {"{token}", tokenText + "\n", "white space"},
		"a blank in front":        {"{token}", " " + tokenText, "white space"},
		"a line break inside":     {"{token}", tokenText + "\n" + tokenOld, "not printable ASCII"},
		"a zero byte":             {"{token}", tokenText + "\x00" + tokenOld, "not printable ASCII"},
		"an umlaut":               {"{token}", tokenText + "ü", "not printable ASCII"},
		"an umlaut in base64":     {"{token_base64}", tokenText + "ü", "not printable ASCII"},
		"4097 bytes":              {"{token}", strings.Repeat("tk-3Kq9vY", 456)[:4097], "no token is longer than 4096"},
		"its scheme twice":        {"Bearer {token}", "Bearer " + tokenText, `begins with "Bearer "`},
		"a user alone":            {"Basic {token_base64}", tokenText, "write user:password"},
		"already in base64":       {"basic {token_base64}", "aG9va3M6dGstM0txOXZZdzBa", "write user:password"},
	} {
		s := tokenScheme(tc.pattern)
		_, err := signature.NewTokens(s, []signature.Token{{Name: "main", Text: tc.text}})
		_, keyErr := s.Key(signature.Secret{Text: tc.text})
		for _, err := range []error{err, keyErr} {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v; want %q", name, err, tc.want)
				continue
			}
			if strings.Contains(err.Error(), "3Kq9") || strings.Contains(err.Error(), "aG9va3") {
				t.Errorf("%s: the error shows the token: %v", name, err)
			}
		}
	}
}

// Gates with the same text are found, whether it is a token or a secret there.
func TestTokenKeyIDs(t *testing.T) {
	s := tokenScheme("Bearer {token}")
	a, b := newTokenVerifier(t, s, tokenText, tokenOld), newTokenVerifier(t, tokenScheme("{token}"), tokenText)
	secret := newVerifier(t, nil, tokenText)
	if ids := a.KeyIDs(); ids[0] != b.KeyIDs()[0] || ids[0] != secret.KeyIDs()[0] || ids[0] == ids[1] || strings.Contains(ids[0], tokenText) {
		t.Errorf("%q %q %q", ids, b.KeyIDs(), secret.KeyIDs())
	}
	if short := newTokenVerifier(t, s, tokenText, "short").ShortKeys(16); len(short) != 1 || short[0] != "b" {
		t.Errorf("short: %q", short)
	}
}

// Of user:password the user is no secret.
func TestTokenPassword(t *testing.T) {
	for pattern, want := range map[string]string{"Basic {token_base64}": "b:c", "{token_base64}": "a:b:c", "{token}": "a:b:c"} {
		if got := tokenScheme(pattern).Password("a:b:c"); got != want {
			t.Errorf("%s: %q", pattern, got)
		}
	}
}

// A verdict on a token allocates nothing, with fingerprints or without.
func TestTokenAllocations(t *testing.T) {
	scheme := tokenScheme("Bearer {token}")
	scheme.Payload = "{header.X-Id}.{body}"
	content := []byte(body)
	var whole io.WriterTo = inMemory(content)
	for _, prints := range []bool{false, true} {
		v := newTokenVerifier(t, scheme, tokenText, tokenOld)
		if prints {
			v.Fingerprints("gate")
		}
		for value, refused := range map[string]bool{"Bearer " + tokenOld: false, "Bearer x": true} {
			fields := http.Header{tokenField: {value}, "X-Id": {"1"}}
			if n := testing.AllocsPerRun(200, func() {
				check, err := v.Begin(&signature.Delivery{Header: fields})
				if (err != nil) != refused {
					t.Error(err)
				}
				if err == nil {
					check.Write(content)
					check.End(whole)
				}
			}); n != 0 && !raceEnabled {
				t.Errorf("%q, fingerprints %v: %v allocations", value, prints, n)
			}
		}
	}
}

// Whatever the field says, it is accepted only if it is the token as the pattern writes it.
func FuzzToken(f *testing.F) {
	for _, value := range []string{"", tokenText, "Bearer " + tokenText, "bearer " + tokenText, "Bearer  " + tokenText} {
		f.Add(value, value)
	}
	v := newTokenVerifier(f, tokenScheme("Bearer {token}"), tokenText, tokenOld)
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, lines := range [][]string{{first}, {first, second}} {
			got := judge(v, &signature.Delivery{Header: http.Header{tokenField: lines}}, first)
			want := len(lines) == 1 && (first == "Bearer "+tokenText || first == "Bearer "+tokenOld)
			if (got == accepted) != want {
				t.Errorf("%q: %s", lines, got)
			}
		}
	})
}
