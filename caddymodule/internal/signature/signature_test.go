package signature_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// all is every algorithm that exists, for tests that are not about which are allowed.
var all = []string{"sha256", "sha384", "sha512", "sha1"}

func newVerifier(t testing.TB, algorithms []string, keys ...string) *signature.Verifier {
	t.Helper()
	secrets := make([]signature.Secret, len(keys))
	for i, key := range keys {
		secrets[i] = signature.Secret{Name: string(rune('a' + i)), Text: key}
	}
	scheme := signature.Scheme{Headers: signature.DefaultHeaders, Algorithms: algorithms}
	v, err := signature.New(scheme, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// verify runs one delivery through v as the handler does: fields, body, verdict.
func verify(v *signature.Verifier, fields http.Header, body string) (signature.Match, error) {
	check, err := v.Begin(&signature.Delivery{Header: fields})
	if err != nil {
		return signature.Match{}, err
	}
	if _, err := io.WriteString(check, body); err != nil {
		return signature.Match{}, err
	}
	return check.End(held(body))
}

func hub(value string) http.Header { return http.Header{"X-Hub-Signature": {value}} }

func wantRefusal(t *testing.T, err error, want refusal.Reason) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

const (
	secret  = "It's a Secret to Everybody"
	body    = "Hello, World!"
	digest  = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	digest1 = "01dc10d0c83e72ed246219cdd91669667fe2ca59"
)

func TestFields(t *testing.T) {
	const right, wrong = "sha256=" + digest, "sha256=0000000000000000000000000000000000000000000000000000000000000000"
	for _, tc := range []struct {
		name   string
		fields http.Header
		want   error
	}{
		{"the older field alone", http.Header{"X-Hub-Signature": {right}}, nil},
		{"the newer field alone", http.Header{"X-Hub-Signature-256": {right}}, nil},
		{"both, as GitHub sends them", http.Header{"X-Hub-Signature": {"sha1=" + digest1}, "X-Hub-Signature-256": {right}}, nil},

		{"no way back to the older field: mismatch", http.Header{"X-Hub-Signature": {right}, "X-Hub-Signature-256": {wrong}}, refusal.SignatureMismatch},
		{"no way back to the older field: malformed", http.Header{"X-Hub-Signature": {right}, "X-Hub-Signature-256": {"sha256="}}, refusal.MalformedSignature},
		{"no way back to the older field: empty", http.Header{"X-Hub-Signature": {right}, "X-Hub-Signature-256": {""}}, refusal.MalformedSignature},

		{"none", http.Header{"X-Hub-Signature-1": {right}}, refusal.MissingSignature},
		{"no line", http.Header{"X-Hub-Signature": {}}, refusal.MissingSignature},
		{"underscores", http.Header{"X_hub_signature": {right}}, refusal.MissingSignature},
		{"in a trailer announcement", http.Header{"Trailer": {"X-Hub-Signature"}}, refusal.MissingSignature},

		{"two lines, the same", http.Header{"X-Hub-Signature": {right, right}}, refusal.AmbiguousSignature},
		{"two lines, right first", http.Header{"X-Hub-Signature": {right, wrong}}, refusal.AmbiguousSignature},
		{"two lines, right last", http.Header{"X-Hub-Signature": {wrong, right}}, refusal.AmbiguousSignature},
		{"a list", hub(right + "," + wrong), refusal.AmbiguousSignature},

		{"blank before", hub(" " + right), refusal.AlgorithmNotAllowed},
		{"blank after", hub(right + " "), refusal.MalformedSignature},
		{"NUL after", hub(right + "\x00"), refusal.MalformedSignature},
		{"line feed after", hub(right + "\n"), refusal.MalformedSignature},
		{"0x", hub("sha256=0x" + digest[2:]), refusal.MalformedSignature},
		{"full-width digit", hub("sha256=" + digest[:61] + "７"), refusal.MalformedSignature},
		{"twice the prefix", hub("sha256=" + right), refusal.MalformedSignature},
		{"text before", hub("x" + right), refusal.AlgorithmNotAllowed},
		{"md5", hub("md5=43e83d30cb1dff0c1000065b06487708"), refusal.AlgorithmNotAllowed},
		{"none as an algorithm", hub("none="), refusal.AlgorithmNotAllowed},
		{"sha1 not named", hub("sha1=" + digest1), refusal.AlgorithmNotAllowed},
		{"the length of another", hub("sha512=" + digest), refusal.MalformedSignature},
		{"a flood of digits", hub("sha256=" + strings.Repeat("0", 1<<20)), refusal.MalformedSignature},
	} {
		_, err := verify(newVerifier(t, nil, secret), tc.fields, body)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestBodyIsJudgedByteForByte(t *testing.T) {
	v := newVerifier(t, nil, secret)
	for _, other := range []string{"", "Hello, World", "Hello, World!\n", "hello, World!", "\xef\xbb\xbfHello, World!", "Hello, World!\x00"} {
		_, err := verify(v, hub("sha256="+digest), other)
		wantRefusal(t, err, refusal.SignatureMismatch)
	}
}

func TestRotation(t *testing.T) {
	for position, name := range []string{"a", "b", "c"} {
		keys := []string{"other key 1", "other key 2", "other key 3"}
		keys[position] = secret
		match, err := verify(newVerifier(t, nil, keys...), hub("sha256="+digest), body)
		if err != nil || match.Secret != name {
			t.Errorf("secret at %d: got %+v, %v; want %q", position, match, err, name)
		}
	}
	_, err := verify(newVerifier(t, nil, "other key 1", "other key 2"), hub("sha256="+digest), body)
	wantRefusal(t, err, refusal.SignatureMismatch)
}

// held writes itself as often as it is asked to.
type held string

func (h held) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(h))
	return int64(n), err
}

type writerTo func(io.Writer) (int64, error)

func (f writerTo) WriteTo(w io.Writer) (int64, error) { return f(w) }

// Where the body cannot be read again, the delivery is not authentic.
func TestBodyCannotBeReadAgain(t *testing.T) {
	broken := errors.New("broken")
	check, err := newVerifier(t, nil, "other key", secret).Begin(&signature.Delivery{Header: hub("sha256=" + digest)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = check.End(writerTo(func(w io.Writer) (int64, error) {
		n, _ := io.WriteString(w, body)
		return int64(n), broken
	}))
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// MACs are pooled: many deliveries at once, written in pieces, good and bad mixed,
// must not see each other's state.
func TestVerifierIsSharedByGoroutines(t *testing.T) {
	v := newVerifier(t, nil, "other key", secret)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 200 {
				sent, want := body, error(nil)
				if (worker+i)%3 == 0 {
					sent, want = body+"!", refusal.SignatureMismatch
				}
				if _, err := verify(v, hub("sha256="+digest), sent); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A check is used again: nothing of one delivery stands in the next.
func TestChecksForget(t *testing.T) {
	scheme := signature.Scheme{Headers: []string{"X-Sig"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}
	v, err := signature.New(scheme, []signature.Secret{{Name: "main", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1700000000, 0)
	right := "t=1700000000,v1=" + signText("1700000000."+body)
	for range 5 {
		for value, want := range map[string]error{
			right: nil, right + "," + strings.TrimPrefix(right, "t=1700000000,"): nil,
			strings.TrimPrefix(right, "t=1700000000,"): refusal.TimestampMissing, "t=1700000000": refusal.MalformedSignature,
		} {
			check, err := v.Begin(&signature.Delivery{Header: http.Header{"X-Sig": {value}}, Now: at})
			if err == nil {
				io.WriteString(check, body)
				_, err = check.End(held(body))
			}
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", value, err, want)
			}
		}
	}
}

// A delivery that was given up half way leaves nothing behind for the next one.
func TestAbandonedCheck(t *testing.T) {
	v := newVerifier(t, nil, secret)
	for range 10 {
		check, err := v.Begin(&signature.Delivery{Header: hub("sha256=" + digest)})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(check, "half of")
		if _, err := verify(v, hub("sha256="+digest), body); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	good := []signature.Secret{{Name: "main", Text: "s3cr3t-v4lue"}}
	for _, tc := range []struct {
		name    string
		scheme  signature.Scheme
		secrets []signature.Secret
		want    []string
	}{
		{"no secret", signature.Scheme{Headers: []string{"X-A"}}, nil, []string{"secret: there are 0"}},
		{"too many secrets", signature.Scheme{Headers: []string{"X-A"}}, make([]signature.Secret, 17), []string{"secret: there are 17"}},
		{"an empty key", signature.Scheme{Headers: []string{"X-A"}}, []signature.Secret{{Name: "main", Text: ""}}, []string{`secret "main" is empty`}},
		{"a field with a blank", signature.Scheme{Headers: []string{"X Hub"}}, good, []string{`header: "X Hub"`}},
		{"a field that Caddy drops", signature.Scheme{Headers: []string{"X_Hub"}}, good, []string{`header: "X_Hub"`}},
		{"an empty field", signature.Scheme{Headers: []string{""}}, good, []string{`header: ""`}},
		{"md5", signature.Scheme{Headers: []string{"X-A"}, Algorithms: []string{"md5"}}, good, []string{`unknown algorithm "md5"`}},
		{"upper case", signature.Scheme{Headers: []string{"X-A"}, Algorithms: []string{"SHA1"}}, good, []string{`unknown algorithm "SHA1"`, "did you mean sha1?"}},
		{"all at once", signature.Scheme{Headers: []string{"X_Hub"}, Algorithms: []string{"md5"}}, nil, []string{"X_Hub", "md5", "there are 0"}},
	} {
		v, err := signature.New(tc.scheme, tc.secrets)
		if err == nil || v != nil {
			t.Errorf("%s: was compiled", tc.name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", tc.name, err, want)
			}
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error shows the secret", tc.name)
		}
	}
}

func TestEveryRefusalHasAStatus(t *testing.T) {
	if len(refusal.All()) == 0 {
		t.Fatal("no refusals")
	}
	gateway := []refusal.Reason{refusal.Internal, refusal.Incremental, refusal.Overloaded, refusal.ReplayUnavailable, refusal.NoApp}
	for _, r := range refusal.All() {
		if r == refusal.Duplicate { // authentic, and the sender may stop
			continue
		}
		if s := r.Status(); s < 400 || s > 599 || (s >= 500) != slices.Contains(gateway, r) {
			t.Errorf("%s answers %d", r, s)
		}
	}
	if s := refusal.Reason("unheard of").Status(); s != http.StatusInternalServerError {
		t.Errorf("a refusal that is not in the table answers %d", s)
	}
}

// An accepted delivery allocates nothing, as docs/performance.md says.
func TestAllocations(t *testing.T) {
	v, fields, content := newVerifier(t, nil, secret), hub("sha256="+digest), []byte(body)
	n := testing.AllocsPerRun(1000, func() {
		check, err := v.Begin(&signature.Delivery{Header: fields})
		if err != nil {
			t.Fatal(err)
		}
		check.Write(content)
		if _, err := check.End(nil); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 && !raceEnabled {
		t.Errorf("%v objects for one delivery, want none", n)
	}
}

// Nor does one of any preset, of a list with items that are skipped, or of a date
// without its zone. (A date with a zone in numbers has one: Go makes a location of it.)
func TestAllocationsOfSchemes(t *testing.T) {
	type accepted struct {
		name   string
		scheme signature.Scheme
		secret string
		d      *signature.Delivery
		body   string
	}
	var all []accepted
	for _, v := range presetVectors(t) {
		if p, _ := signature.FindPreset(v.Preset); v.Name == "right" {
			all = append(all, accepted{p.Name, p.Scheme, v.Secret, &signature.Delivery{Header: headerFields(v.Headers), Method: v.Method, URL: v.URL, Now: time.Unix(v.Now, 0)}, v.Body})
		}
	}
	listed := signature.Scheme{Headers: []string{field}, Signature: "v1,{base64} ..."}
	all = append(all, accepted{"a list", listed, secret, &signature.Delivery{Header: http.Header{field: {"v1a,x v1,no_digest anything v1," + std}}}, body})
	dated := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: "v1:{ts}:{body}", Timestamp: "X-Time", TimestampUnit: "rfc3339"}
	const at = "2023-11-14T22:13:20.551"
	all = append(all, accepted{"a date", dated, secret, &signature.Delivery{
		Header: http.Header{field: {signText("v1:" + at + ":" + body)}, "X-Time": {at}}, Now: now,
	}, body})
	for _, a := range all {
		v, content := compiled(t, a.scheme, a.secret), []byte(a.body)
		n := testing.AllocsPerRun(100, func() {
			check, err := v.Begin(a.d)
			if err != nil {
				t.Fatal(a.name, err)
			}
			check.Write(content)
			if _, err := check.End(nil); err != nil {
				t.Fatal(a.name, err)
			}
		})
		if n > 0 && !raceEnabled {
			t.Errorf("%s: %v objects for one delivery, want none", a.name, n)
		}
	}
}
