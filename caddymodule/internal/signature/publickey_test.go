package signature_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// publicAlgorithms is every algorithm that a public key verifies, with a key to sign.
var publicAlgorithms = []struct {
	name string
	key  func() crypto.Signer
	hash crypto.Hash
	opts func(crypto.Hash) crypto.SignerOpts
}{
	{"ed25519", sync.OnceValue(newEd25519), 0, nil},
	{"ecdsa-p256-sha256", sync.OnceValue(newECDSA(elliptic.P256())), crypto.SHA256, nil},
	{"ecdsa-p384-sha384", sync.OnceValue(newECDSA(elliptic.P384())), crypto.SHA384, nil},
	{"rsa-v1_5-sha256", sync.OnceValue(newRSA), crypto.SHA256, nil},
	{"rsa-v1_5-sha512", sync.OnceValue(newRSA), crypto.SHA512, nil},
	{"rsa-pss-sha512", sync.OnceValue(newRSA), crypto.SHA512, func(h crypto.Hash) crypto.SignerOpts {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
	}},
}

func newEd25519() crypto.Signer {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

func newECDSA(curve elliptic.Curve) func() crypto.Signer {
	return func() crypto.Signer {
		key, _ := ecdsa.GenerateKey(curve, rand.Reader)
		return key
	}
}

func newRSA() crypto.Signer {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	return key
}

// signed makes a signature as a sender would.
func signed(t testing.TB, algorithm string, key crypto.Signer, message string) []byte {
	t.Helper()
	for _, a := range publicAlgorithms {
		if a.name != algorithm {
			continue
		}
		digest, opts := []byte(message), crypto.SignerOpts(a.hash)
		if a.hash != 0 {
			h := a.hash.New()
			io.WriteString(h, message)
			digest = h.Sum(nil)
		}
		if a.opts != nil {
			opts = a.opts(a.hash)
		}
		sig, err := key.Sign(rand.Reader, digest, opts)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	t.Fatalf("no algorithm %q", algorithm)
	return nil
}

// spki is a public key in base64.
func spki(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// publicScheme has the signature in X-Signature.
func publicScheme(algorithm string) signature.Scheme {
	return signature.Scheme{Headers: []string{"X-Signature"}, Algorithms: []string{algorithm}, Signature: "{base64}"}
}

func publicVerifier(t testing.TB, s signature.Scheme, texts ...string) *signature.Verifier {
	t.Helper()
	keys := make([]signature.PublicKey, len(texts))
	for i, text := range texts {
		keys[i] = signature.PublicKey{Name: fmt.Sprintf("key-%d", i+1), Text: text}
	}
	v, err := signature.NewPublic(s, keys)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func inField(sig []byte) http.Header {
	return http.Header{"X-Signature": {base64.StdEncoding.EncodeToString(sig)}}
}

// What a key has signed is let through, and nothing else, with each algorithm.
func TestPublicKeys(t *testing.T) {
	for _, a := range publicAlgorithms {
		t.Run(a.name, func(t *testing.T) {
			key := a.key()
			v := publicVerifier(t, publicScheme(a.name), spki(t, key.Public()))
			for _, text := range []string{"", body, strings.Repeat("x", 100<<10)} {
				sig := signed(t, a.name, key, text)
				match, err := verify(v, inField(sig), text)
				if err != nil || match.Secret != "key-1" || match.Algorithm != a.name {
					t.Fatalf("%d bytes: %+v, %v", len(text), match, err)
				}
				_, err = verify(v, inField(sig), text+"x")
				wantRefusal(t, err, refusal.SignatureMismatch)
				sig[len(sig)/2] ^= 1
				if _, err := verify(v, inField(sig), text); !errors.Is(err, refusal.SignatureMismatch) && !errors.Is(err, refusal.MalformedSignature) {
					t.Errorf("a changed signature: %v", err)
				}
			}
		})
	}
}

// A signature that no key of the gate could have made is refused before the body.
func TestPublicSignaturesWithoutForm(t *testing.T) {
	for _, a := range publicAlgorithms {
		key := a.key()
		v, right := publicVerifier(t, publicScheme(a.name), spki(t, key.Public())), signed(t, a.name, key, body)
		for name, sig := range map[string][]byte{
			"empty": {}, "one byte": {1}, "cut": right[:len(right)-1], "longer": append(bytes.Clone(right), 0),
			"a kilobyte": make([]byte, 1<<10), "ten kilobytes": make([]byte, 10<<10),
		} {
			if _, err := v.Begin(&signature.Delivery{Header: inField(sig)}); !errors.Is(err, refusal.MalformedSignature) {
				t.Errorf("%s, %s: %v", a.name, name, err)
			}
		}
	}
}

// What RFC 8032, section 8.4, calls malleable: S plus the order of the group.
func TestEd25519RefusesAnSThatIsNotReduced(t *testing.T) {
	key := newEd25519()
	sig := signed(t, "ed25519", key, body)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := make([]byte, 32)
	for i := range s {
		s[i] = sig[63-i]
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(s)
	for i := range sum {
		sig[63-i] = sum[i]
	}
	v := publicVerifier(t, publicScheme("ed25519"), spki(t, key.Public()))
	_, err := v.Begin(&signature.Delivery{Header: inField(sig)})
	wantRefusal(t, err, refusal.MalformedSignature)
}

// Anyone can turn one ECDSA signature into another one. It is the same delivery.
func TestTheTwinOfASignatureIsTheSameDelivery(t *testing.T) {
	key := newECDSA(elliptic.P256())().(*ecdsa.PrivateKey)
	v := publicVerifier(t, publicScheme("ecdsa-p256-sha256"), spki(t, key.Public()))
	v.Fingerprints("gate")
	sig := signed(t, "ecdsa-p256-sha256", key, body)
	r, s := numbers(t, sig)
	twin := der(r, new(big.Int).Sub(key.Params().N, s))
	if bytes.Equal(sig, twin) {
		t.Fatal("the twin is the same signature")
	}
	again := signed(t, "ecdsa-p256-sha256", key, body)
	prints := make(map[string]bool)
	for _, sig := range [][]byte{sig, twin, again} {
		prints[fingerprint(t, v, inField(sig), body)] = true
	}
	if len(prints) != 1 {
		t.Errorf("one delivery has %d fingerprints", len(prints))
	}
}

// The fingerprint depends on what was signed, and not on who signed it how.
func TestFingerprintIsOneForEachKindOfKey(t *testing.T) {
	prints := make(map[string]bool)
	for _, a := range publicAlgorithms {
		v := publicVerifier(t, publicScheme(a.name), spki(t, a.key().Public()))
		v.Fingerprints("gate")
		prints[fingerprint(t, v, inField(signed(t, a.name, a.key(), body)), body)] = true
	}
	v := newVerifier(t, nil, secret)
	v.Fingerprints("gate")
	prints[fingerprint(t, v, hub("sha256="+digest), body)] = true
	if len(prints) != 1 {
		t.Errorf("one text has %d fingerprints", len(prints))
	}
}

// r and s, one behind the other, where the pattern says so, and only there.
func TestRawSignatures(t *testing.T) {
	for _, a := range publicAlgorithms[1:3] {
		key := a.key().(*ecdsa.PrivateKey)
		size := (key.Params().BitSize + 7) / 8
		scheme := publicScheme(a.name)
		dered := publicVerifier(t, scheme, spki(t, key.Public()))
		scheme.Signature = "{raw_base64}"
		raw := publicVerifier(t, scheme, spki(t, key.Public()))
		for range 300 { // one in 256 has a number that is shorter
			sig := signed(t, a.name, key, body)
			r, s := numbers(t, sig)
			both := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
			if _, err := verify(raw, inField(both), body); err != nil {
				t.Fatalf("%x: %v", both, err)
			}
			if _, err := verify(dered, inField(both), body); err == nil {
				t.Fatal("a raw signature passes where DER is expected")
			}
			if _, err := verify(raw, inField(sig), body); err == nil {
				t.Fatal("DER passes where a raw signature is expected")
			}
		}
		order := key.Params().N.FillBytes(make([]byte, size))
		one := append(make([]byte, size-1), 1)
		for name, sig := range map[string][]byte{
			"r is zero": append(make([]byte, size), one...), "s is zero": append(bytes.Clone(one), make([]byte, size)...),
			"r is the order": append(bytes.Clone(order), one...), "s is the order": append(bytes.Clone(one), order...),
			"a byte too long": append(append(bytes.Clone(one), one...), 0),
		} {
			_, err := raw.Begin(&signature.Delivery{Header: inField(sig)})
			if !errors.Is(err, refusal.MalformedSignature) {
				t.Errorf("%s, %s: %v", a.name, name, err)
			}
		}
	}
}

// numbers takes a signature apart.
func numbers(t testing.TB, sig []byte) (r, s *big.Int) {
	t.Helper()
	r, s, err := oracleDER(sig)
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// Rotation: any of the keys may have signed. A key id chooses one, before the body.
func TestSeveralPublicKeys(t *testing.T) {
	one, two, foreign := newEd25519(), newEd25519(), newEd25519()
	scheme := publicScheme("ed25519")
	texts := []string{spki(t, one.Public()), spki(t, two.Public())}
	v := publicVerifier(t, scheme, texts...)
	for i, key := range []crypto.Signer{one, two} {
		match, err := verify(v, inField(signed(t, "ed25519", key, body)), body)
		if want := fmt.Sprintf("key-%d", i+1); err != nil || match.Secret != want {
			t.Errorf("%+v, %v; want %s", match, err, want)
		}
	}
	_, err := verify(v, inField(signed(t, "ed25519", foreign, body)), body)
	wantRefusal(t, err, refusal.SignatureMismatch)

	scheme.KeyID = "X-Key"
	v = publicVerifier(t, scheme, texts...)
	for _, tc := range []struct {
		ids  []string
		key  crypto.Signer
		want error
	}{
		{[]string{"key-1"}, one, nil},
		{[]string{"key-2"}, two, nil},
		{[]string{"key-2"}, one, refusal.SignatureMismatch},
		{[]string{"key-3"}, one, refusal.KeyUnknown},
		{[]string{"KEY-1"}, one, refusal.KeyUnknown},
		{[]string{"key-1 "}, one, refusal.KeyUnknown},
		{[]string{""}, one, refusal.KeyUnknown},
		{nil, one, refusal.MissingSignature},
		{[]string{"key-1", "key-1"}, one, refusal.AmbiguousSignature},
	} {
		fields := inField(signed(t, "ed25519", tc.key, body))
		fields["X-Key"] = tc.ids
		if _, err := verify(v, fields, body); !errors.Is(err, tc.want) {
			t.Errorf("%q: %v, want %v", tc.ids, err, tc.want)
		}
	}
}

// However many signatures come, and whatever the keys, a delivery costs 16
// verifications at most.
func TestPairsAreBounded(t *testing.T) {
	key := newEd25519()
	scheme := signature.Scheme{Headers: []string{"X-Signature"}, Algorithms: []string{"ed25519"}, Signature: "v1a,{base64} ..."}
	item := "v1a," + base64.StdEncoding.EncodeToString(signed(t, "ed25519", key, body))
	wrong := "v1a," + base64.StdEncoding.EncodeToString(signed(t, "ed25519", key, "another body"))
	keys := func(n int) []string {
		texts := []string{spki(t, key.Public())}
		for len(texts) < n {
			texts = append(texts, spki(t, newEd25519().Public()))
		}
		return texts
	}
	for _, tc := range []struct {
		keys  int
		items []string
		want  error
	}{
		{1, []string{wrong, item}, nil},
		{16, []string{item}, nil},
		{16, []string{item, item}, refusal.MalformedSignature},
		{4, []string{wrong, wrong, wrong, item}, nil},
		{4, []string{wrong, wrong, wrong, wrong, item}, refusal.MalformedSignature},
		{1, append(strings.Split(strings.Repeat(wrong+" ", 15), " ")[:15], item), nil},
		{1, strings.Split(strings.Repeat(wrong+" ", 17), " ")[:17], refusal.MalformedSignature},
		{1, strings.Split(strings.Repeat(item+" ", 10_000), " ")[:10_000], refusal.MalformedSignature},
		{1, []string{"v1," + digest, item}, nil},
		{1, []string{"v1a,short", item}, nil},
		{1, []string{"v1a,short"}, refusal.MalformedSignature},
		{1, []string{"v1," + digest}, refusal.MalformedSignature},
	} {
		v := publicVerifier(t, scheme, keys(tc.keys)...)
		if _, err := verify(v, http.Header{"X-Signature": {strings.Join(tc.items, " ")}}, body); !errors.Is(err, tc.want) {
			t.Errorf("%d keys, %d items: %v, want %v", tc.keys, len(tc.items), err, tc.want)
		}
	}
}

// Of RSA keys of two lengths, each verifies signatures of its own.
func TestKeysOfTwoLengths(t *testing.T) {
	short := newRSA()
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	v := publicVerifier(t, publicScheme("rsa-v1_5-sha256"), spki(t, short.Public()), spki(t, long.Public()))
	for i, key := range []crypto.Signer{short, long} {
		match, err := verify(v, inField(signed(t, "rsa-v1_5-sha256", key, body)), body)
		if want := fmt.Sprintf("key-%d", i+1); err != nil || match.Secret != want {
			t.Errorf("%+v, %v; want %s", match, err, want)
		}
	}
	_, err = v.Begin(&signature.Delivery{Header: inField(make([]byte, 320))})
	wantRefusal(t, err, refusal.MalformedSignature)
}

// A body that cannot be read again is an error, and so is one that is another one by now.
func TestAPublicKeyAndALostBody(t *testing.T) {
	key := newEd25519()
	v := publicVerifier(t, publicScheme("ed25519"), spki(t, key.Public()))
	for _, again := range []io.WriterTo{lost{}, held(body + "x")} {
		check, err := v.Begin(&signature.Delivery{Header: inField(signed(t, "ed25519", key, body))})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(check, body)
		if _, err := check.End(again); err == nil || errors.Is(err, refusal.SignatureMismatch) {
			t.Errorf("%v", err)
		}
	}
	// A shorter one does not match.
	check, _ := v.Begin(&signature.Delivery{Header: inField(signed(t, "ed25519", key, body))})
	io.WriteString(check, body)
	_, err := check.End(held(body[:4]))
	wantRefusal(t, err, refusal.SignatureMismatch)
}

// Each form in which senders show a key is the same key.
func TestFormsOfPublicKeys(t *testing.T) {
	for _, a := range publicAlgorithms {
		key := a.key()
		text := spki(t, key.Public())
		der, _ := base64.StdEncoding.DecodeString(text)
		block := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		forms := map[string]string{
			"SPKI": text, "SPKI without padding": strings.TrimRight(text, "="), "SPKI on lines": text[:20] + "\n" + text[20:] + "\n",
			"PEM": block, "PEM with CRLF": strings.ReplaceAll(block, "\n", "\r\n"), "PEM behind text": "the key of the sender\n" + block + "\nand no more",
			"a byte order mark": "\uFEFF" + block, "a certificate": certificate(t, key, time.Now().Add(time.Hour)),
		}
		if raw, ok := key.Public().(ed25519.PublicKey); ok {
			forms["hex"], forms["HEX"] = hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw))
			forms["base64"], forms["base64url"] = base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw)
			forms["whpk_"] = "whpk_" + base64.StdEncoding.EncodeToString(raw)
			forms["a line break"] = forms["hex"] + "\n"
		}
		if raw, ok := key.Public().(*rsa.PublicKey); ok {
			forms["PKCS #1"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(raw)}))
		}
		ids := make(map[string]bool)
		for name, form := range forms {
			v, err := signature.NewPublic(publicScheme(a.name), []signature.PublicKey{{Name: "1", Text: form}})
			if err != nil {
				t.Errorf("%s, %s: %v", a.name, name, err)
				continue
			}
			ids[v.KeyIDs()[0]] = true
		}
		if len(ids) != 1 {
			t.Errorf("%s: one key has %d ids", a.name, len(ids))
		}
	}
}

// certificate is one that the key has made for itself.
func certificate(t testing.TB, key crypto.Signer, ends time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sender"}, NotBefore: ends.Add(-48 * time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestExpiredCertificates(t *testing.T) {
	key := newEd25519()
	ended, running := certificate(t, key, time.Now().Add(-time.Hour)), certificate(t, key, time.Now().Add(time.Hour))
	v := publicVerifier(t, publicScheme("ed25519"), ended, running, spki(t, key.Public()))
	if got := v.Expired(time.Now()); fmt.Sprint(got) != "[key-1]" {
		t.Errorf("expired: %q", got)
	}
}

// What cannot be a sender's key does not load, and the error says what to write instead.
// None shows the text: it may be a private key.
func TestTextsThatAreNoPublicKey(t *testing.T) {
	ed, p256, rsaKey := newEd25519(), newECDSA(elliptic.P256())(), newRSA()
	p384, p521 := newECDSA(elliptic.P384())(), newECDSA(elliptic.P521())()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key crypto.Signer) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(der)
	}
	sec1, _ := x509.MarshalECPrivateKey(p256.(*ecdsa.PrivateKey))
	inPEM := func(kind, text string) string {
		return "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n"
	}
	seed := base64.StdEncoding.EncodeToString(ed.(ed25519.PrivateKey))
	edText := spki(t, ed.Public())
	for _, tc := range []struct{ algorithm, text, want string }{
		{"ed25519", "", "is empty"},
		{"ed25519", " \n", "is empty"},
		{"ed25519", pkcs8(ed), "private key"},
		{"ed25519", inPEM("PRIVATE KEY", pkcs8(ed)), "private key"},
		{"ed25519", inPEM("OPENSSH PRIVATE KEY", pkcs8(ed)), "private key"},
		{"ed25519", inPEM("ENCRYPTED PRIVATE KEY", pkcs8(ed)), "private key"},
		{"ed25519", seed, "private key"},
		{"ed25519", hex.EncodeToString(ed.(ed25519.PrivateKey)), "private key"},
		{"rsa-v1_5-sha256", inPEM("RSA PRIVATE KEY", base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(rsaKey.(*rsa.PrivateKey)))), "private key"},
		{"rsa-v1_5-sha256", base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(rsaKey.(*rsa.PrivateKey))), "private key"},
		{"ecdsa-p256-sha256", base64.StdEncoding.EncodeToString(sec1), "private key"},
		{"ecdsa-p256-sha256", inPEM("EC PRIVATE KEY", base64.StdEncoding.EncodeToString(sec1)), "private key"},
		{"ed25519", "whsec_" + edText, "write it as secret"},
		{"ed25519", "whsk_" + edText, "whpk_"},
		{"ed25519", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA", "ssh-keygen"},
		{"ed25519", `{"kty":"OKP"}`, "PEM"},
		{"rsa-v1_5-sha256", "https://sender.example/key.pem", "file"},
		{"ed25519", "no key at all", "neither PEM"},
		{"ed25519", base64.StdEncoding.EncodeToString([]byte("sixteen bytes...")), "16 bytes; an Ed25519 key has 32"},
		{"ed25519", hex.EncodeToString([]byte("sixteen bytes...")), "16 bytes; an Ed25519 key has 32"},
		{"ed25519", edText[:len(edText)-8], "cut off"},
		{"ed25519", edText + "AAAA", "neither PEM"},
		{"ed25519", inPEM("PUBLIC KEY", edText[:16]), "cut off"},
		{"ed25519", "-----BEGIN PUBLIC KEY-----" + edText + "-----END PUBLIC KEY-----", "on lines of their own"},
		{"ed25519", "\t" + strings.ReplaceAll("text\n"+inPEM("PUBLIC KEY", edText), "\n", "\n\t"), "without blanks in front"},
		{"ed25519", strings.ReplaceAll(inPEM("PUBLIC KEY", edText), "END PUBLIC", "END RSA PUBLIC"), "after it"},
		{"ed25519", inPEM("PUBLIC KEY", edText[:20]+"*"+edText[20:]), "the base64 between its BEGIN and END lines is damaged; copy the key again"},
		{"ed25519", strings.ReplaceAll(inPEM("PUBLIC KEY", edText[:len(edText)-1]), "\n", "\r\n"), "the base64 between its BEGIN and END lines is damaged"},
		{"rsa-v1_5-sha256", inPEM("CERTIFICATE", edText+"…"), "the base64 between its BEGIN and END lines is damaged"},
		{"ed25519", inPEM("PUBLIC KEY", edText) + inPEM("PUBLIC KEY", edText), "more than one"},
		{"ed25519", inPEM("PUBLIC KEY", "*") + inPEM("PUBLIC KEY", edText), "more than one"}, // encoding/pem skips what it cannot read
		{"ed25519", inPEM("PRIVATE KEY", "*") + inPEM("PUBLIC KEY", edText), "private key"},
		{"ed25519", inPEM("PUBLIC KEY", edText) + inPEM("PRIVATE KEY", edText), "private key"},
		{"ecdsa-p256-sha256", inPEM("EC PARAMETERS", "BggqhkjOPQMBBw==") + inPEM("EC PRIVATE KEY", edText), "private key"}, // openssl ecparam -genkey
		{"ed25519", inPEM("CERTIFICATE REQUEST", edText), "CERTIFICATE REQUEST"},
		{"ed25519", inPEM("CERTIFICATE", edText), "no certificate"},
		{"ed25519", inPEM("PUBLIC KEY", strings.Repeat("A", 100<<10)), "no key is longer"},

		{"ed25519", spki(t, p256.Public()), "write algorithms ecdsa-p256-sha256"},
		{"ed25519", spki(t, rsaKey.Public()), "write algorithms rsa-v1_5-sha256 or rsa-v1_5-sha512 or rsa-pss-sha512"},
		{"ecdsa-p256-sha256", edText, "write algorithms ed25519"},
		{"ecdsa-p256-sha256", spki(t, p384.Public()), "write algorithms ecdsa-p384-sha384"},
		{"ecdsa-p384-sha384", spki(t, p256.Public()), "write algorithms ecdsa-p256-sha256"},
		{"ecdsa-p256-sha256", spki(t, p521.Public()), "an ECDSA key on P-521"},
		{"ecdsa-p256-sha256", secp256k1, "1.3.132.0.10"},
		{"rsa-v1_5-sha256", spki(t, short.Public()), "has 1024 bits"},
		{"rsa-v1_5-sha256", rsaText(t, new(big.Int).Lsh(big.NewInt(1), 16383), 65537), "has 16384 bits"},
		{"rsa-v1_5-sha256", rsaText(t, rsaKey.Public().(*rsa.PublicKey).N, 1), "exponent 1"},
		{"rsa-v1_5-sha256", rsaText(t, rsaKey.Public().(*rsa.PublicKey).N, 65536), "exponent 65536"},
		{"rsa-pss-sha512", rsaText(t, new(big.Int).Lsh(big.NewInt(1), 2047), 65537), "even modulus"},
	} {
		_, err := signature.NewPublic(publicScheme(tc.algorithm), []signature.PublicKey{{Name: "main", Text: tc.text}})
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `"main"`) {
			t.Errorf("%s, %.40q: %v; want %q", tc.algorithm, tc.text, err, tc.want)
			continue
		}
		for i := 0; i+16 <= len(tc.text); i++ {
			if part := tc.text[i : i+16]; strings.Contains(err.Error(), part) && !strings.ContainsAny(part, "- ") {
				t.Errorf("%s: the error shows %q", tc.algorithm, part)
				break
			}
		}
	}
}

// A point alone, and a compressed one, say how to make a key of them.
func TestPointsThatAreNoPublicKey(t *testing.T) {
	key := newECDSA(elliptic.P256())().Public().(*ecdsa.PublicKey)
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	for _, tc := range []struct {
		point []byte
		want  string
	}{
		{compressed, "is a compressed point of P-256 alone, of 33 bytes; write the key as PEM"},
		{point, "is a point of P-256 alone, of 65 bytes; write the key as PEM"},
	} {
		for _, text := range []string{
			hex.EncodeToString(tc.point), base64.StdEncoding.EncodeToString(tc.point), base64.RawURLEncoding.EncodeToString(tc.point),
		} {
			_, err := signature.NewPublic(publicScheme("ecdsa-p256-sha256"), []signature.PublicKey{{Name: "1", Text: text}})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), text) {
				t.Fatalf("%v; want %q", err, tc.want)
			}
			header := regexp.MustCompile(`echo ([0-9a-f]+);`).FindStringSubmatch(err.Error())[1]
			wantPoint(t, header+hex.EncodeToString(tc.point), tc.point)
		}
	}
	der, _ := hex.DecodeString("3039301306072a8648ce3d020106082a8648ce3d030107032200" + hex.EncodeToString(compressed))
	_, err = signature.NewPublic(publicScheme("ecdsa-p256-sha256"), []signature.PublicKey{{Name: "1", Text: base64.StdEncoding.EncodeToString(der)}})
	if err == nil || !strings.Contains(err.Error(), "has a compressed point") {
		t.Errorf("SPKI with a compressed point: %v", err)
	}
}

// wantPoint wants the SPKI that the command makes to be of P-256, with that point.
func wantPoint(t *testing.T, spki string, point []byte) {
	t.Helper()
	var key struct {
		Algorithm pkix.AlgorithmIdentifier
		Point     asn1.BitString
	}
	der, _ := hex.DecodeString(spki)
	rest, err := asn1.Unmarshal(der, &key)
	var curve asn1.ObjectIdentifier
	_, curveErr := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &curve)
	if err != nil || curveErr != nil || len(rest) > 0 || !bytes.Equal(key.Point.Bytes, point) ||
		key.Algorithm.Algorithm.String() != "1.2.840.10045.2.1" || curve.String() != "1.2.840.10045.3.1.7" {
		t.Errorf("%+v, %v, %v, %v", key, curve, err, curveErr)
	}
}

const secp256k1 = "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEeb5mfvncu6xVoGKVzocLBwKb/NstzijZWfKBWxb4F5hIOtp3JqPEZV2k+/wOEQio/Re0SKaFVBmcR9CP+xDUuA=="

// rsaText is an RSA key that no library would make.
func rsaText(t testing.TB, n *big.Int, e int) string {
	t.Helper()
	return spki(t, &rsa.PublicKey{N: n, E: e})
}

func TestSmallExponents(t *testing.T) {
	n := newRSA().Public().(*rsa.PublicKey).N
	v := publicVerifier(t, publicScheme("rsa-v1_5-sha256"), rsaText(t, n, 3), rsaText(t, n, 65537))
	if got := v.SmallExponents(); fmt.Sprint(got) != "[key-1]" {
		t.Errorf("small exponents: %q", got)
	}
}

// Keys under which anyone can sign do not load, nor keys that are written in two ways,
// nor what is no point at all.
func TestEd25519KeysOfSmallOrder(t *testing.T) {
	for name, text := range map[string]string{
		"order 1":               "0100000000000000000000000000000000000000000000000000000000000000",
		"order 1, the sign set": "0100000000000000000000000000000000000000000000000000000000000080",
		"order 2":               "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 2, the sign set": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"order 4":               "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4, other":        "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":               "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, other":        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"order 8, third":        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8, fourth":       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"p":                     "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"p, the sign set":       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"p+1":                   "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"p+3, a point":          "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"all ones":              "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"one byte":              "4242424242424242424242424242424242424242424242424242424242424242",
		"no point":              "0200000000000000000000000000000000000000000000000000000000000000",
	} {
		if _, err := signature.NewPublic(publicScheme("ed25519"), []signature.PublicKey{{Name: "1", Text: text}}); err == nil {
			t.Errorf("%s loads", name)
		}
	}
}

// isPoint against crypto/ed25519: x509 and the library load what we load.
func TestPointsOfTheCurve(t *testing.T) {
	message, sig := []byte("m"), make([]byte, ed25519.SignatureSize)
	points := 0
	for i := range 400 {
		key := make([]byte, 32)
		rand.Read(key)
		key[31] &= 0x3f
		_, ours := signature.NewPublic(publicScheme("ed25519"), []signature.PublicKey{{Name: "1", Text: hex.EncodeToString(key)}})
		theirs := ed25519.VerifyWithOptions(key, message, sig, &ed25519.Options{})
		onCurve := theirs == nil || !strings.Contains(theirs.Error(), "public key")
		if (ours == nil) != onCurve {
			t.Fatalf("%d, %x: we say %v, crypto/ed25519 %v", i, key, ours, theirs)
		}
		if onCurve {
			points++
		}
	}
	if points < 100 || points > 300 {
		t.Errorf("%d of 400 are points; half of them should be", points)
	}
}

// What does not fit together does not compile, and the error says what does.
func TestSchemesWithPublicKeys(t *testing.T) {
	key := []signature.PublicKey{{Name: "1", Text: spki(t, newEd25519().Public())}}
	for _, tc := range []struct {
		change func(*signature.Scheme)
		want   string
	}{
		{func(s *signature.Scheme) { s.Algorithms = nil }, "one must be named"},
		{func(s *signature.Scheme) { s.Algorithms = []string{"sha256"} }, "one must be named"},
		{func(s *signature.Scheme) { s.Algorithms = []string{"ed25519", "ecdsa-p256-sha256"} }, "name one"},
		{func(s *signature.Scheme) { s.Algorithms = []string{"ed25519", "sha256"} }, "name one"},
		{func(s *signature.Scheme) { s.Algorithms = []string{"eddsa"} }, "there are ed25519"},
		{func(s *signature.Scheme) { s.Signature = "{alg}={hex}" }, "{alg} is not for ed25519"},
		{func(s *signature.Scheme) { s.Signature = "" }, "{alg} is not for ed25519"},
		{func(s *signature.Scheme) { s.Signature = "{raw_base64}" }, "ECDSA"},
		{func(s *signature.Scheme) { s.SecretEncoding = "base64" }, "it is for secrets"},
		{func(s *signature.Scheme) { s.SecretPrefix = "whsec_" }, "it is for secrets"},
		{func(s *signature.Scheme) { s.KeyID = "no field" }, "key_id"},
	} {
		scheme := publicScheme("ed25519")
		tc.change(&scheme)
		if _, err := signature.NewPublic(scheme, key); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v; want %q", scheme, err, tc.want)
		}
	}
	for _, scheme := range []signature.Scheme{{Algorithms: []string{"ed25519"}, Signature: "{hex}"}, {KeyID: "X-Key"}, {Signature: "{raw_hex}"}} {
		if _, err := signature.New(scheme, []signature.Secret{{Name: "1", Text: secret}}); err == nil {
			t.Errorf("%+v compiles with a secret", scheme)
		}
	}
	twice := publicScheme("ed25519")
	twice.KeyID = "X-Key"
	if _, err := signature.NewPublic(twice, append(key, key...)); err == nil {
		t.Error("two keys of one name compile with key_id")
	}
	for _, n := range []int{0, 17} {
		many := make([]signature.PublicKey, n)
		for i := range many {
			many[i] = key[0]
		}
		if _, err := signature.NewPublic(publicScheme("ed25519"), many); err == nil {
			t.Errorf("%d keys compile", n)
		}
	}
}

// A secret's verdict costs what it did, and a public key's allocates little.
func BenchmarkPublicKeys(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		content := strings.Repeat("x", size)
		for _, a := range publicAlgorithms {
			b.Run(fmt.Sprintf("%s/%d", a.name, size), func(b *testing.B) {
				key := a.key()
				v := publicVerifier(b, publicScheme(a.name), spki(b, key.Public()))
				benchmarkVerifier(b, v, inField(signed(b, a.name, key, content)), []byte(content))
			})
		}
	}
}

// BenchmarkFingerprint shows what the replay guard adds to a verdict.
func BenchmarkFingerprint(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 64 << 10, 1 << 20, 10 << 20} {
		content := bytes.Repeat([]byte("x"), size)
		fields := named("sha256", secret, string(content))
		for _, guarded := range []bool{false, true} {
			b.Run(fmt.Sprintf("%v/%d", guarded, size), func(b *testing.B) {
				v := newVerifier(b, nil, secret)
				if guarded {
					v.Fingerprints("gate")
				}
				b.ReportAllocs()
				var again io.WriterTo = inMemory(content)
				for b.Loop() {
					check, err := v.Begin(&signature.Delivery{Header: fields})
					if err != nil {
						b.Fatal(err)
					}
					check.Write(content)
					if _, err := check.End(again); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Of a large body in one piece few pairs are tried, because each hashes all of it again:
// two for each key, as a sender sends while it changes its own.
func TestPairsOfLargeBodiesAreBounded(t *testing.T) {
	_, one, _ := ed25519.GenerateKey(rand.Reader)
	_, two, _ := ed25519.GenerateKey(rand.Reader)
	scheme := signature.Scheme{Headers: []string{"X-Sig"}, Algorithms: []string{"ed25519"}, Signature: "v1a,{base64} ..."}
	for _, tc := range []struct {
		keys, signatures, size int
		taken                  bool
	}{
		{1, 16, 64 << 10, true},
		{1, 16, 256 << 10, false},
		{1, 4, 256 << 10, true},
		{1, 5, 256 << 10, false},
		{1, 2, 16 << 20, true},
		{1, 3, 16 << 20, false},
		{2, 2, 16 << 20, true},
		{2, 3, 16 << 20, false},
	} {
		keys := []signature.PublicKey{{Name: "1", Text: spki(t, one.Public())}, {Name: "2", Text: spki(t, two.Public())}}[:tc.keys]
		v, err := signature.NewPublic(scheme, keys)
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Repeat([]byte("x"), tc.size)
		forged := "v1a," + base64.StdEncoding.EncodeToString(make([]byte, 64))
		value := strings.Repeat(forged+" ", tc.signatures-1) + "v1a," + base64.StdEncoding.EncodeToString(ed25519.Sign(one, body))
		check, err := v.Begin(&signature.Delivery{Header: http.Header{"X-Sig": {value}}})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = check.Write(body)
		settled := 0
		_, err = check.End(bytes.NewReader(body), func() { settled++ })
		if tc.taken != (err == nil) || tc.taken != (settled == 1) {
			t.Errorf("%+v: %v, settled %d times", tc, err, settled)
		}
	}
}
