package signature_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
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

// The fingerprint is what the doc says, made here a second time. It is the same under
// another secret.
func TestFingerprint(t *testing.T) {
	key := sha256.Sum256([]byte("webhook_auth replay v2\x00gate"))
	payload := sha256.Sum256([]byte("7." + body + "!"))
	m := hmac.New(sha256.New, key[:])
	m.Write(payload[:])
	for _, number := range []uint64{3, 1, 1, 1} { // three parts: "7", "." and "!"
		binary.Write(m, binary.BigEndian, number)
	}
	want := hex.EncodeToString(m.Sum(nil))
	for _, key := range []string{secret, "another", secret} {
		v := newVerifierOf(t, signature.Scheme{Payload: "{header.X-Id}.{body}!"}, key)
		v.Fingerprints("gate")
		fields := named("sha256", key, "7."+body+"!")
		fields.Set("X-Id", "7")
		if got := fingerprint(t, v, fields, body); got != want {
			t.Errorf("under %q: got %s, want %s", key, got, want)
		}
	}
}

// Nothing that a stranger could make a MAC or a signature of is in it.
func TestFingerprintHoldsNoSecret(t *testing.T) {
	prints := make(map[string]bool)
	for _, key := range []string{secret, "another", "a third"} {
		v := newVerifier(t, nil, key)
		v.Fingerprints("gate")
		prints[fingerprint(t, v, named("sha256", key, body), body)] = true
	}
	if len(prints) != 1 {
		t.Errorf("one delivery has %d fingerprints, by its secret", len(prints))
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

// Deliveries at other gates, of schemes that sign more than the body, and with parts cut
// elsewhere, are others.
func TestFingerprintsDiffer(t *testing.T) {
	seen := make(map[string]bool)
	add := func(print string) { seen[print] = true }
	for _, gate := range []string{"gate", "gate2", ""} {
		v := newVerifier(t, nil, secret)
		v.Fingerprints(gate)
		add(fingerprint(t, v, named("sha256", secret, body), body))
	}
	v := newVerifierOf(t, signature.Scheme{Payload: "{header.X-Id}.{body}"}, secret)
	v.Fingerprints("gate")
	for _, id := range []string{"1", "2"} {
		fields := named("sha256", secret, id+"."+body)
		fields.Set("X-Id", id)
		add(fingerprint(t, v, fields, body))
	}
	v = newVerifierOf(t, signature.Scheme{Payload: "{header.X-Id}.{header.X-Event}:{body}"}, secret)
	v.Fingerprints("gate")
	for _, parts := range [][2]string{{"1", "23"}, {"12", "3"}} {
		fields := named("sha256", secret, parts[0]+"."+parts[1]+":"+body)
		fields.Set("X-Id", parts[0])
		fields.Set("X-Event", parts[1])
		add(fingerprint(t, v, fields, body))
	}
	if len(seen) != 7 {
		t.Errorf("seven deliveries have %d fingerprints", len(seen))
	}
}

func newVerifierOf(t testing.TB, s signature.Scheme, key string) *signature.Verifier {
	t.Helper()
	v, err := signature.New(s, []signature.Secret{{Name: "a", Text: key}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Without a guard there is none, and it costs nothing; with one, nothing is
// allocated for it either.
func TestFingerprintsAllocateNothing(t *testing.T) {
	v := newVerifier(t, nil, secret)
	if match, err := verify(v, hub("sha256="+digest), body); err != nil || match.Fingerprint() != [32]byte{} {
		t.Errorf("%v, fingerprint %x", err, match.Fingerprint())
	}
	fields, text := hub("sha256="+digest), []byte(body)
	var held io.WriterTo = inMemory(text)
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

// inMemory is a body that writes itself without an allocation.
type inMemory []byte

func (m inMemory) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(m)
	return int64(n), err
}

type lost struct{}

func (lost) WriteTo(io.Writer) (int64, error) { return 0, fmt.Errorf("the body is lost") }
