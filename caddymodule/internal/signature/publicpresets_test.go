package signature_test

import (
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A publicVector is a delivery of testdata/publickeys.json.
type publicVector struct {
	Preset, Name, Source string
	Published            bool
	Key, KeyName, URL    string
	Headers              map[string]string
	Body                 string
	Now                  int64
	Verdict              string
}

func publicVectors(t testing.TB) []publicVector {
	t.Helper()
	var all []publicVector
	load(t, "publickeys.json", &all)
	return all
}

// compiled returns the verifier of the preset and the key of a vector.
func (v publicVector) compiled(t testing.TB) *signature.Verifier {
	t.Helper()
	p, ok := signature.FindPresetOf(v.Preset, signature.PublicKeys)
	if !ok {
		t.Fatalf("no preset %q for %q", v.Preset, v.Name)
	}
	name := v.KeyName
	if name == "" {
		name = "1"
	}
	verifier, err := signature.NewPublic(p.Scheme, []signature.PublicKey{{Name: name, Text: v.Key}})
	if err != nil {
		t.Fatalf("%s: %v", v.Preset, err)
	}
	return verifier
}

// As TestPresets, for senders that sign with a private key.
func TestPublicPresets(t *testing.T) {
	verdicts, names := make(map[string]map[bool]int), make(map[string]bool)
	for _, p := range signature.PublicPresets() {
		if verdicts[p.Name] != nil {
			t.Errorf("%s stands twice in the table", p.Name)
		}
		verdicts[p.Name] = make(map[bool]int)
	}
	for _, v := range publicVectors(t) {
		names[v.Preset+", "+v.Name] = true
		verifier := v.compiled(t)
		if verdicts[v.Preset] == nil {
			t.Fatalf("no preset %q", v.Preset)
		}
		verdicts[v.Preset][v.Verdict == accepted]++
		d := &signature.Delivery{Header: headerFields(v.Headers), URL: v.URL, Now: time.Unix(v.Now, 0)}
		if got := judge(verifier, d, v.Body); got != v.Verdict {
			t.Errorf("%s, %s: %s, want %s (%s)", v.Preset, v.Name, got, v.Verdict, v.Source)
		}
	}
	for name, count := range verdicts {
		if count[true] == 0 || count[false] < 3 {
			t.Errorf("%s: %d accepted and %d refused deliveries", name, count[true], count[false])
		}
	}
	for _, p := range signature.PublicPresets() {
		for _, name := range []string{"just in time", "too late", "from the future", "another time than the signed one"} {
			if names[p.Name+", "+name] != (p.Scheme.Timestamp != "") {
				t.Errorf("%s: is there a delivery %q?", p.Name, name)
			}
		}
		if names[p.Name+", an unknown key"] != (p.Scheme.KeyID != "") {
			t.Errorf("%s: is there a delivery with an unknown key?", p.Name)
		}
	}
}

func TestPublicPresetVectorsAreComputed(t *testing.T) { computed(t, "publickeys") }

// A sender that does both is two rows: neither kind of signature is ever judged by the
// other kind of key.
func TestSendersOfBothKinds(t *testing.T) {
	both := 0
	for _, p := range signature.PublicPresets() {
		if !p.Scheme.Public() {
			t.Errorf("%s has no algorithm of a public key", p.Name)
		}
		writable(t, p.Name)
		secret, ok := signature.FindPresetOf(p.Name, signature.Secrets)
		if ok {
			both++
			if secret.Scheme.Public() || secret.Scheme.Signature == p.Scheme.Signature {
				t.Errorf("%s: the row with a secret has %q, the other one %q", p.Name, secret.Scheme.Signature, p.Scheme.Signature)
			}
		}
		if _, err := signature.New(p.Scheme, []signature.Secret{{Name: "1", Text: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"}}); err == nil || !strings.Contains(err.Error(), "public_key") {
			t.Errorf("%s compiles with a secret, or does not say what to write: %v", p.Name, err)
		}
		if p.Challenge != "" {
			if c, err := signature.NewChallenge(p.Challenge, nil); err != nil || c.Method() != "" || c.CheckScheme(p.Scheme) != nil {
				t.Errorf("%s: %v; a challenge that is answered unasked is a signed body", p.Name, err)
			}
		}
	}
	if both != 2 {
		t.Errorf("%d senders are in both tables", both)
	}
}
