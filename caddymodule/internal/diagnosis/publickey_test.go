package diagnosis_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// testKeys are one sender's keys of each kind, and a stranger's.
var testKeys = sync.OnceValue(func() (k struct {
	ed, otherEd ed25519.PrivateKey
	p256, other *ecdsa.PrivateKey
	rsa         *rsa.PrivateKey
},
) {
	_, k.ed, _ = ed25519.GenerateKey(rand.Reader)
	_, k.otherEd, _ = ed25519.GenerateKey(rand.Reader)
	k.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.other, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	return k
})

func public(name string, key crypto.Signer) signature.PublicKey {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return signature.PublicKey{Name: name, Text: base64.StdEncoding.EncodeToString(der)}
}

func derOf(key *ecdsa.PrivateKey, text string) []byte {
	sum := sha256.Sum256([]byte(text))
	sig, _ := ecdsa.SignASN1(rand.Reader, key, sum[:])
	return sig
}

func rawOf(key *ecdsa.PrivateKey, text string) []byte {
	sum := sha256.Sum256([]byte(text))
	r, s, _ := ecdsa.Sign(rand.Reader, key, sum[:])
	return append(fill32(r), fill32(s)...)
}

func fill32(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

func rsaOf(hash crypto.Hash, text string) []byte {
	h := hash.New()
	h.Write([]byte(text))
	sig, _ := rsa.SignPKCS1v15(rand.Reader, testKeys().rsa, hash, h.Sum(nil))
	return sig
}

func pssOf(text string) []byte {
	sum := sha512.Sum512([]byte(text))
	sig, _ := rsa.SignPSS(rand.Reader, testKeys().rsa, crypto.SHA512, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	return sig
}

func b64(sig []byte) string { return base64.StdEncoding.EncodeToString(sig) }

func publicScheme(algorithm, pattern string) signature.Scheme {
	return signature.Scheme{Headers: []string{"X-Signature"}, Algorithms: []string{algorithm}, Signature: pattern}
}

// A publicFault is as faulty, of a gate with public keys. cured is the scheme, or the keys,
// with which the gate accepts it: what the hint says to write.
type publicFault struct {
	want    diagnosis.Diagnosis
	hint    string
	scheme  signature.Scheme
	keys    []signature.PublicKey
	header  http.Header
	body    string
	reason  refusal.Reason
	others  []*diagnosis.Gate
	inspect bool // the header section alone shows it
	cured   func(*signature.Scheme, *[]signature.PublicKey)
}

func publicFaults() []publicFault {
	k := testKeys()
	p256, ed := []signature.PublicKey{public("1", k.p256)}, []signature.PublicKey{public("1", k.ed)}
	rsaKeys := []signature.PublicKey{public("1", k.rsa)}
	pattern := func(to string) func(*signature.Scheme, *[]signature.PublicKey) {
		return func(s *signature.Scheme, _ *[]signature.PublicKey) { s.Signature = to }
	}
	algorithm := func(to string) func(*signature.Scheme, *[]signature.PublicKey) {
		return func(s *signature.Scheme, _ *[]signature.PublicKey) { s.Algorithms = []string{to} }
	}
	named := publicScheme("ecdsa-p256-sha256", "{base64}")
	named.KeyID = "X-Key-Id"
	discord, _ := signature.FindPresetOf("discord", signature.PublicKeys)
	late := strconv.FormatInt(now.Add(-time.Hour).Unix(), 10)
	return []publicFault{
		{
			want: "signature_is_base64_not_hex", hint: "`signature {base64}`", scheme: publicScheme("ed25519", "{hex}"), keys: ed, inspect: true,
			header: header("X-Signature", b64(ed25519.Sign(k.ed, []byte(plain)))), body: plain, reason: refusal.MalformedSignature, cured: pattern("{base64}"),
		},
		{
			want: "signature_is_hex_not_base64", hint: "`signature {hex}`", scheme: publicScheme("ecdsa-p256-sha256", "{base64}"), keys: p256, inspect: true,
			header: header("X-Signature", hex.EncodeToString(derOf(k.p256, plain))), body: plain, reason: refusal.MalformedSignature, cured: pattern("{hex}"),
		},
		{
			want: "signature_is_raw_not_der", hint: "`signature {raw_base64}`", scheme: publicScheme("ecdsa-p256-sha256", "{base64}"), keys: p256, inspect: true,
			header: header("X-Signature", b64(rawOf(k.p256, plain))), body: plain, reason: refusal.MalformedSignature, cured: pattern("{raw_base64}"),
		},
		{
			want: "signature_is_der_not_raw", hint: "`signature {hex}`", scheme: publicScheme("ecdsa-p256-sha256", "{raw_hex}"), keys: p256, inspect: true,
			header: header("X-Signature", hex.EncodeToString(derOf(k.p256, plain))), body: plain, reason: refusal.MalformedSignature, cured: pattern("{hex}"),
		},
		{
			want: "signature_of_another_key", hint: "the form of rsa, and the gate verifies ecdsa-p256-sha256", scheme: publicScheme("ecdsa-p256-sha256", "{base64}"), keys: p256, inspect: true,
			header: header("X-Signature", b64(rsaOf(crypto.SHA256, plain))), body: plain, reason: refusal.MalformedSignature,
			cured: func(s *signature.Scheme, keys *[]signature.PublicKey) {
				s.Algorithms, *keys = []string{"rsa-v1_5-sha256"}, rsaKeys
			},
		},
		{
			want: "signature_of_another_key", hint: "the form of ecdsa, and the gate verifies ed25519", scheme: publicScheme("ed25519", "s={base64}"), keys: ed, inspect: true,
			header: header("X-Signature", "s="+b64(derOf(k.p256, plain))), body: plain, reason: refusal.MalformedSignature,
			cured: func(s *signature.Scheme, keys *[]signature.PublicKey) {
				s.Algorithms, *keys = []string{"ecdsa-p256-sha256"}, p256
			},
		},
		{
			want: "algorithm_differs", hint: "`algorithms rsa-v1_5-sha512`", scheme: publicScheme("rsa-v1_5-sha256", "{base64}"), keys: rsaKeys,
			header: header("X-Signature", b64(rsaOf(crypto.SHA512, plain))), body: plain, reason: refusal.SignatureMismatch, cured: algorithm("rsa-v1_5-sha512"),
		},
		{
			want: "algorithm_differs", hint: "`algorithms rsa-pss-sha512`", scheme: publicScheme("rsa-v1_5-sha256", "{base64}"), keys: rsaKeys,
			header: header("X-Signature", b64(pssOf(plain))), body: plain, reason: refusal.SignatureMismatch, cured: algorithm("rsa-pss-sha512"),
		},
		{
			want: "json_was_pretty_printed", scheme: publicScheme("ed25519", "{hex}"), keys: ed,
			header: header("X-Signature", hex.EncodeToString(ed25519.Sign(k.ed, []byte(plain)))), body: indent(plain, "  "), reason: refusal.SignatureMismatch,
		},
		{
			want: "trailing_newline_was_added", scheme: publicScheme("ecdsa-p256-sha256", "{base64}"), keys: p256,
			header: header("X-Signature", b64(derOf(k.p256, plain))), body: plain + "\n", reason: refusal.SignatureMismatch,
		},
		{
			want: "clock_is_off", hint: "3600 seconds in the past", scheme: discord.Scheme, keys: ed, inspect: true,
			header: header("X-Signature-Timestamp", late, "X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(k.ed, []byte(late+plain)))), body: plain, reason: refusal.TimestampOutOfRange,
		},
		{
			want: "signed_with_another_gates_key", hint: `"other"`, scheme: publicScheme("ecdsa-p256-sha256", "{base64}"), keys: p256,
			header: header("X-Signature", b64(derOf(k.other, plain))), body: plain, reason: refusal.SignatureMismatch,
			others: []*diagnosis.Gate{
				gate("secret", signature.Scheme{}, secret),
				diagnosis.NewPublicGate("other", publicScheme("ecdsa-p256-sha256", "{hex}"), []signature.PublicKey{public("1", k.other)}),
			},
			cured: func(_ *signature.Scheme, keys *[]signature.PublicKey) {
				*keys = []signature.PublicKey{public("1", k.other)}
			},
		},
		{
			want: "key_is_unknown", hint: "X-Key-Id", scheme: named, keys: []signature.PublicKey{public("2025", k.p256)}, inspect: true,
			header: header("X-Key-Id", "2026", "X-Signature", b64(derOf(k.other, plain))), body: plain, reason: refusal.KeyUnknown,
			cured: func(_ *signature.Scheme, keys *[]signature.PublicKey) { *keys = append(*keys, public("2026", k.other)) },
		},
		{
			want: "key_has_another_name", hint: `"one"`, scheme: named, keys: []signature.PublicKey{public("two", k.other), public("one", k.p256)},
			header: header("X-Key-Id", "2026", "X-Signature", b64(derOf(k.p256, plain))), body: plain, reason: refusal.KeyUnknown,
			cured: func(_ *signature.Scheme, keys *[]signature.PublicKey) {
				*keys = []signature.PublicKey{public("2026", k.p256)}
			},
		},
		{
			want: "unknown", scheme: publicScheme("ed25519", "{hex}"), keys: ed,
			header: header("X-Signature", hex.EncodeToString(ed25519.Sign(k.otherEd, []byte(plain)))), body: plain, reason: refusal.SignatureMismatch,
		},
	}
}

func (f *publicFault) verdict(t *testing.T, s signature.Scheme, keys []signature.PublicKey) error {
	t.Helper()
	v, err := signature.NewPublic(s, keys)
	if err != nil {
		t.Fatal(err)
	}
	check, err := v.Begin(f.delivery())
	if err != nil {
		return err
	}
	check.Write([]byte(f.body))
	_, err = check.End(text(f.body))
	return err
}

func (f *publicFault) delivery() *signature.Delivery {
	return &signature.Delivery{Header: f.header, Method: http.MethodPost, Now: now}
}

// Of gates with public keys too, a diagnosis names the one change with which the judge
// accepts, and a forged delivery stays unknown.
func TestPublicKeyDiagnoses(t *testing.T) {
	for _, f := range publicFaults() {
		t.Run(string(f.want), func(t *testing.T) {
			if err := f.verdict(t, f.scheme, f.keys); !errors.Is(err, f.reason) {
				t.Fatalf("the gate says %v, want %v", err, f.reason)
			}
			g := diagnosis.NewPublicGate("own", f.scheme, f.keys)
			got := g.Diagnose(f.delivery(), []byte(f.body), append([]*diagnosis.Gate{g}, f.others...))
			f.check(t, got)
			if got := g.Inspect(f.delivery(), f.reason); f.inspect {
				f.check(t, got)
			}
			if f.cured == nil {
				return
			}
			scheme, keys := f.scheme, slices.Clone(f.keys)
			f.cured(&scheme, &keys)
			if err := f.verdict(t, scheme, keys); err != nil {
				t.Errorf("the cure does not help: %v", err)
			}
		})
	}
}

func (f *publicFault) check(t *testing.T, got diagnosis.Finding) {
	t.Helper()
	if got.Diagnosis != f.want || !strings.Contains(got.Hint, f.hint) || !strings.HasSuffix(got.Hint, ".") || strings.Contains(got.Hint, "%!") {
		t.Errorf("got %+v, want %s with %q", got, f.want, f.hint)
	}
	for name, lines := range f.header {
		if part := common(lines[0], got.Hint, 8); part != "" && name != "Content-Type" {
			t.Errorf("the hint holds %q of %s", part, name)
		}
	}
}

// A body of another type or length than the gate's signature costs the same few
// verifications, whatever it is.
func TestPublicForgeriesStayUnknown(t *testing.T) {
	k := testKeys()
	for _, body := range bodies {
		d := &signature.Delivery{Header: header("X-Signature", hex.EncodeToString(ed25519.Sign(k.otherEd, []byte(body)))), Now: now}
		g := diagnosis.NewPublicGate("own", publicScheme("ed25519", "{hex}"), []signature.PublicKey{public("1", k.ed), public("2", newEd())})
		if f := g.Diagnose(d, []byte(body), nil); f.Diagnosis != diagnosis.Unknown {
			t.Errorf("%.20q: %+v", body, f)
		}
	}
}

func newEd() ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

// A request waits for what its header section alone shows, so that no public key is
// parsed for it, and of a long list only the items are looked at that the judge reads.
func TestInspectIsCheap(t *testing.T) {
	var keys []signature.PublicKey
	for i := range 16 {
		keys = append(keys, public("k"+strconv.Itoa(i), testKeys().rsa))
	}
	scheme := signature.Scheme{
		Headers: []string{"X-Sig"}, Algorithms: []string{"rsa-v1_5-sha256"}, Signature: "v1={base64},...", KeyID: "X-Key",
	}
	listed := diagnosis.NewGate("stripe", signature.Scheme{Headers: []string{"X-Sig"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"},
		[]signature.Secret{{Name: "1", Text: "one that is long enough"}})
	for name, tc := range map[string]struct {
		gate  *diagnosis.Gate
		value string
	}{
		"keys": {diagnosis.NewPublicGate("keys", scheme, keys), "v0=a,v2=a,v3=a,v4=a"},
		"list": {listed, "t=1" + strings.Repeat(",a", 7500)},
	} {
		d := &signature.Delivery{Header: http.Header{"X-Key": {"k1"}, "X-Sig": {tc.value}}, Now: time.Unix(1, 0)}
		tc.gate.Inspect(d, refusal.MalformedSignature) // compiles what is kept
		if n := testing.AllocsPerRun(5, func() { tc.gate.Inspect(d, refusal.MalformedSignature) }); n > 2000 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
