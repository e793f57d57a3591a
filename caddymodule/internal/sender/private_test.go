package sender_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

func keyFor(t *testing.T, algorithm string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa-p256-sha256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa-p384-sha384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func accepts(t *testing.T, scheme signature.Scheme, key crypto.Signer, name string, signer *sender.Signer) bool {
	t.Helper()
	text, err := sender.PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.NewPublic(scheme, []signature.PublicKey{{Name: name, Text: text}})
	if err != nil {
		t.Fatal(err)
	}
	body, header := []byte("bödy"), make(http.Header)
	for _, field := range signer.Sign(sender.Delivery{Method: http.MethodPost, Body: body, Time: time.Now()}) {
		header.Set(field.Name, field.Value)
	}
	check, err := v.Begin(&signature.Delivery{Header: header, Method: http.MethodPost})
	if err != nil {
		t.Logf("%v: %v", header, err)
		return false
	}
	_, _ = check.Write(body)
	_, err = check.End(bytes.NewReader(body))
	return err == nil
}

// What is signed for a preset, or by an algorithm and form, the verifier takes, and not
// what a stranger has signed.
func TestPrivateKeys(t *testing.T) {
	schemes := make(map[string]signature.Scheme)
	for _, p := range signature.PublicPresets() {
		schemes[p.Name] = p.Scheme
	}
	for _, algorithm := range []string{"ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-v1_5-sha256", "rsa-v1_5-sha512", "rsa-pss-sha512"} {
		for _, pattern := range []string{"{hex}", "k={base64},t={ts}", "{base64url}", "{raw_hex}", "{raw_base64url}"} {
			scheme := signature.Scheme{Headers: []string{"X-Signature"}, Algorithms: []string{algorithm}, Signature: pattern}
			if strings.Contains(pattern, "{ts}") {
				scheme.Payload = "{ts}.{body}"
			}
			if scheme.Validate() == nil {
				schemes[algorithm+" "+pattern] = scheme
			}
		}
	}
	if len(schemes) < 30 {
		t.Fatalf("only %d schemes", len(schemes))
	}
	for name, scheme := range schemes {
		key := keyFor(t, scheme.Algorithms[0])
		signer, err := sender.NewPrivate(scheme, key, "the-key")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !accepts(t, scheme, key, "the-key", signer) {
			t.Errorf("%s: what was signed is refused", name)
		}
		stranger, err := sender.Stranger(scheme, "the-key")
		if err != nil {
			t.Fatal(err)
		}
		if accepts(t, scheme, key, "the-key", stranger) {
			t.Errorf("%s: what a stranger signed is accepted", name)
		}
	}
}

// A private key is read in the forms that tools write, and no error shows it.
func TestParsePrivateKey(t *testing.T) {
	ed := keyFor(t, "ed25519").(ed25519.PrivateKey)
	ec, rsaKey := keyFor(t, "ecdsa-p256-sha256").(*ecdsa.PrivateKey), keyFor(t, "rsa-v1_5-sha256").(*rsa.PrivateKey)
	block := func(kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(ed)
	sec1, ecErr := x509.MarshalECPrivateKey(ec)
	for name, tc := range map[string]struct {
		text string
		want crypto.Signer
	}{
		"PKCS #8": {block("PRIVATE KEY", pkcs8, err), ed},
		"SEC 1":   {block("EC PRIVATE KEY", sec1, ecErr), ec},
		"PKCS #1": {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), rsaKey},
		"a seed":  {hex.EncodeToString(ed.Seed()) + "\n", ed},
		"whsk_":   {"whsk_" + base64.StdEncoding.EncodeToString(ed), ed},
	} {
		key, err := sender.ParsePrivateKey(tc.text)
		if err != nil || !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "s3cr3t-s3cr3t-s3cr3t", block("PUBLIC KEY", pkcs8, nil), block("PRIVATE KEY", pkcs8[:20], nil), block("ENCRYPTED PRIVATE KEY", pkcs8, nil)} {
		if _, err := sender.ParsePrivateKey(text); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := sender.NewPrivate(signature.PublicPresets()[0].Scheme, ec, ""); err == nil {
		t.Error("a key of another type signs")
	}
	if _, err := sender.New(signature.PublicPresets()[0].Scheme, signature.Secret{Text: "secret"}); err == nil {
		t.Error("a secret signs for a scheme with private keys")
	}
}
