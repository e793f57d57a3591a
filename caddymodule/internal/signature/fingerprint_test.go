package signature_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// fingerprint returns that of an authentic delivery.
func fingerprint(t *testing.T, v *signature.Verifier, fields http.Header, body string) string {
	t.Helper()
	match, err := verify(v, fields, body)
	if err != nil {
		t.Fatal(err)
	}
	print := match.Fingerprint()
	return hex.EncodeToString(print[:])
}

func named(algorithm, key, body string) http.Header {
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}
	mac := hmac.New(hashes[algorithm], []byte(key))
	io.WriteString(mac, body)
	return hub(algorithm + "=" + hex.EncodeToString(mac.Sum(nil)))
}

// The fingerprint is what the doc says, made here a second time.
func TestFingerprint(t *testing.T) {
	v := newVerifier(t, nil, secret)
	v.Fingerprints("gate")
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		io.WriteString(m, text)
		return m.Sum(nil)
	}
	key := mac([]byte(secret), "webhook_auth replay v1\x00gate")
	want := hex.EncodeToString(mac(key, string(mac([]byte(secret), body))))
	for range 3 {
		if got := fingerprint(t, v, hub("sha256="+digest), body); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if strings.Contains(want, digest[:8]) {
		t.Error("the fingerprint shows the MAC")
	}
}

// One delivery has one fingerprint, however it was signed: whoever captured it
// with several signatures cannot send it once with each.
func TestFingerprintIsOneForEachSignature(t *testing.T) {
	v := newVerifier(t, all, secret, "another")
	v.Fingerprints("gate")
	seen := make(map[string]string)
	for _, text := range []string{body, "", strings.Repeat("x", 1<<20)} {
		for _, algorithm := range all {
			for _, key := range []string{secret, "another"} {
				print := fingerprint(t, v, named(algorithm, key, text), text)
				if held, ok := seen[print]; ok && held != text {
					t.Fatal("two bodies have the same fingerprint")
				}
				seen[print] = text
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("three deliveries have %d fingerprints", len(seen))
	}
}

// Deliveries under other secrets, at other gates, and of schemes that sign more
// than the body, are others.
func TestFingerprintsDiffer(t *testing.T) {
	seen := make(map[string]bool)
	add := func(print string) { seen[print] = true }
	for _, gate := range []string{"gate", "gate2", ""} {
		v := newVerifier(t, nil, secret)
		v.Fingerprints(gate)
		add(fingerprint(t, v, named("sha256", secret, body), body))
	}
	v := newVerifier(t, nil, "another", secret)
	v.Fingerprints("gate")
	add(fingerprint(t, v, named("sha256", secret, body), body))
	stamped, err := signature.New(signature.Scheme{Payload: "{header.X-Id}.{body}"}, []signature.Secret{{Name: "a", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	stamped.Fingerprints("gate")
	for _, id := range []string{"1", "2"} {
		fields := named("sha256", secret, id+"."+body)
		fields.Set("X-Id", id)
		add(fingerprint(t, stamped, fields, body))
	}
	if len(seen) != 6 {
		t.Errorf("six deliveries have %d fingerprints", len(seen))
	}
}

// Without a guard there is none, and it costs nothing; with one, nothing is
// allocated for it either.
func TestFingerprintsAllocateNothing(t *testing.T) {
	v := newVerifier(t, nil, secret)
	if match, err := verify(v, hub("sha256="+digest), body); err != nil || match.Fingerprint() != [32]byte{} {
		t.Errorf("%v, fingerprint %x", err, match.Fingerprint())
	}
	fields, text, held := hub("sha256="+digest), []byte(body), held(body)
	allocations := func() float64 {
		return testing.AllocsPerRun(200, func() {
			check, err := v.Begin(&signature.Delivery{Header: fields})
			if err != nil {
				t.Fatal(err)
			}
			check.Write(text)
			if _, err := check.End(held); err != nil {
				t.Fatal(err)
			}
		})
	}
	without := allocations()
	v.Fingerprints("gate")
	if with := allocations(); with > without && !raceEnabled {
		t.Errorf("%v allocations with fingerprints, %v without", with, without)
	}
}

// What fails while the body is read once more is an error, and no fingerprint.
func TestFingerprintOfALostBody(t *testing.T) {
	v := newVerifier(t, nil, secret)
	v.Fingerprints("gate")
	check, err := v.Begin(&signature.Delivery{Header: named("sha512", secret, body)})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(check, body)
	match, err := check.End(lost{})
	if err == nil || match != (signature.Match{}) {
		t.Errorf("match %v, error %v", match, err)
	}
}

type lost struct{}

func (lost) WriteTo(io.Writer) (int64, error) { return 0, fmt.Errorf("the body is lost") }
