package signature_test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// load reads a file of testdata and fails where it is missing.
func load(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// A vector of RFC 4231, in hex.
type rfcVector struct {
	Case      string
	Key, Data hexText
	Digests   map[string]string
	Verdict   string
}

type hexText string

func (h *hexText) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = hexText(b)
	return err
}

func rfc4231(t testing.TB) []rfcVector {
	t.Helper()
	var file struct{ Vectors []rfcVector }
	load(t, "rfc4231.json", &file)
	if len(file.Vectors) != 7 {
		t.Fatalf("%d vectors of RFC 4231, want all 7", len(file.Vectors))
	}
	return file.Vectors
}

func TestRFC4231(t *testing.T) {
	for _, v := range rfc4231(t) {
		verifier := newVerifier(t, all, string(v.Key))
		for algorithm, digest := range v.Digests {
			match, err := verify(verifier, hub(algorithm+"="+digest), string(v.Data))
			if v.Verdict != "valid" {
				wantRefusal(t, err, refusal.MalformedSignature)
			} else if err != nil || match.Algorithm != algorithm || match.Secret != "a" {
				t.Errorf("case %s, %s: %+v, %v", v.Case, algorithm, match, err)
			}
		}
	}
}

// A tag that is right as far as it goes must never do: a comparison up to the
// shorter length made every signature valid once (CVE-2024-21491), and RFC 4231
// and Wycheproof hold truncated vectors to be valid.
func TestEveryTruncationIsRefused(t *testing.T) {
	for _, v := range rfc4231(t) {
		verifier := newVerifier(t, all, string(v.Key))
		for algorithm, digest := range v.Digests {
			for n := range len(digest) {
				_, err := verify(verifier, hub(algorithm+"="+digest[:n]), string(v.Data))
				wantRefusal(t, err, refusal.MalformedSignature)
			}
			_, err := verify(verifier, hub(algorithm+"="+digest+"00"), string(v.Data))
			wantRefusal(t, err, refusal.MalformedSignature)
		}
	}
}

// vectors.json holds published and derived deliveries with their sources.
type vectorFile struct {
	Vectors    []vector
	Handshakes []handshake
	Policy     struct {
		Secret, Body string
		Cases        []struct {
			HeaderValue string `json:"header_value"`
			Expect, Why string
		}
	} `json:"x_hub_policy"`
}

type vector struct {
	ID      string
	Secret  string
	URL     string
	Headers map[string]string
	Body    string
	Now     int64
	Expect  string
	Scheme  vectorScheme
}

// A handshake is a challenge with the answer that the sender wants.
type handshake struct {
	ID, Request, Secret string
	Response            json.RawMessage
}

// A vectorScheme is a scheme in the words of vectors.json. Hash is "*" where the
// value names it; Tolerance is in seconds.
type vectorScheme struct {
	Header, Hash, Signature, Payload string
	Timestamp, Unit                  string
	Tolerance                        int
	Key                              string
	KeyPrefix                        string `json:"key_prefix"`
}

func (s vectorScheme) scheme() signature.Scheme {
	algorithms := []string{s.Hash}
	if s.Hash == "*" {
		algorithms = all
	}
	return signature.Scheme{
		Headers: []string{s.Header}, Algorithms: algorithms, Signature: s.Signature, Payload: s.Payload,
		Timestamp: s.Timestamp, TimestampUnit: s.Unit, Tolerance: time.Duration(s.Tolerance) * time.Second,
		SecretEncoding: s.Key, SecretPrefix: s.KeyPrefix,
	}
}

func vectors(t testing.TB) vectorFile {
	t.Helper()
	var file vectorFile
	load(t, "vectors.json", &file)
	return file
}

// isHub reports whether v is a delivery of the X-Hub-Signature family.
func (v vector) isHub() bool { return strings.HasPrefix(v.Scheme.Header, "X-Hub-Signature") }

func (v vector) fields() http.Header { return headerFields(v.Headers) }

// bodyless is the one vector whose body is not signed. What is not signed is not
// verified, so a gate for it does not load.
const bodyless = "plivo-v2"

// Each vector is judged by the scheme that stands beside it.
func TestVectors(t *testing.T) {
	file := vectors(t)
	if len(file.Vectors) != 39 {
		t.Errorf("%d vectors, want 39", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		if v.ID == bodyless {
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			d := &signature.Delivery{Header: v.fields(), URL: v.URL, Now: time.Unix(v.Now, 0)}
			got := judge(compiled(t, v.Scheme.scheme(), v.Secret), d, v.Body)
			if (got == accepted) != (v.Expect == "valid") {
				t.Errorf("%s; want %s", got, v.Expect)
			}
		})
	}
}

func TestVectorWithoutABodyDoesNotCompile(t *testing.T) {
	for _, v := range vectors(t).Vectors {
		if v.ID != bodyless {
			continue
		}
		err := v.Scheme.scheme().Validate()
		if err == nil || !strings.Contains(err.Error(), "{body}, or one hash of it, must be in it exactly once: what is not signed is not verified") {
			t.Errorf("%s: %v", v.ID, err)
		}
		return
	}
	t.Errorf("there is no vector %s", bodyless)
}

// The vectors of the X-Hub-Signature family need no scheme of their own.
func TestVectorsOfTheDefault(t *testing.T) {
	ran := 0
	for _, v := range vectors(t).Vectors {
		if !v.isHub() {
			continue
		}
		ran++
		match, err := verify(newVerifier(t, all, v.Secret), v.fields(), v.Body)
		if (err == nil) != (v.Expect == "valid") {
			t.Errorf("%s: %+v, %v; want %s", v.ID, match, err, v.Expect)
		}
	}
	if ran != 15 {
		t.Errorf("%d vectors of the family ran, want 15", ran)
	}
}

// The policy cases are judged three times: by the default, with nothing but
// SHA-256, and with everything allowed.
func TestPolicy(t *testing.T) {
	policy := vectors(t).Policy
	if len(policy.Cases) != 25 {
		t.Fatalf("%d policy cases, want 25", len(policy.Cases))
	}
	for _, tc := range policy.Cases {
		for _, allowed := range [][]string{nil, {"sha256"}, all} {
			_, err := verify(newVerifier(t, allowed, policy.Secret), hub(tc.HeaderValue), policy.Body)
			if want := policyAccepts(t, tc.Expect, allowed); (err == nil) != want {
				t.Errorf("%q with %v: %v (%s: %s)", tc.HeaderValue, allowed, err, tc.Expect, tc.Why)
			}
		}
	}
}

// policyAccepts turns a case's decision into a verdict under a list of algorithms.
func policyAccepts(t *testing.T, expect string, allowed []string) bool {
	t.Helper()
	switch expect {
	case "accept":
		return true
	case "accept if allowed": // sha384, sha512
		return len(allowed) != 1
	case "reject unless sha1 is allowed":
		return len(allowed) == len(all)
	case "reject", "policy": // our policy for lists is to refuse them
		return false
	}
	t.Fatalf("unknown decision %q", expect)
	return false
}
