package sender

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A private is how one algorithm signs, and makes a key that nobody knows.
type private struct {
	hash     func([]byte) []byte // nil: the message itself is signed
	opts     crypto.SignerOpts
	generate func() (crypto.Signer, error)
}

var privates = map[string]private{
	"ed25519":           {nil, crypto.Hash(0), newEd25519},
	"ecdsa-p256-sha256": {sum256, crypto.SHA256, newECDSA(elliptic.P256())},
	"ecdsa-p384-sha384": {sum384, crypto.SHA384, newECDSA(elliptic.P384())},
	"rsa-v1_5-sha256":   {sum256, crypto.SHA256, newRSA},
	"rsa-v1_5-sha512":   {sum512, crypto.SHA512, newRSA},
	"rsa-pss-sha512":    {sum512, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512}, newRSA},
}

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
func sum384(b []byte) []byte { s := sha512.Sum384(b); return s[:] }
func sum512(b []byte) []byte { s := sha512.Sum512(b); return s[:] }

func newEd25519() (crypto.Signer, error) {
	_, key, err := ed25519.GenerateKey(cryptorand.Reader)
	return key, err
}

func newECDSA(curve elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, cryptorand.Reader) }
}

func newRSA() (crypto.Signer, error) { return rsa.GenerateKey(cryptorand.Reader, 2048) }

// NewPrivate returns the signer of a scheme whose sender has a private key. keyID is what
// the field says that names the key, where the scheme has one. No error shows the key.
func NewPrivate(scheme signature.Scheme, key crypto.Signer, keyID string) (*Signer, error) {
	public, err := PublicKey(key)
	if err != nil {
		return nil, err
	}
	if err := scheme.CheckPublicKey(signature.PublicKey{Text: public}); err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	s := newSigner(scheme)
	s.private, s.keyID = key, keyID
	return s, nil
}

// Stranger returns a signer with a private key that is made for it, and known to nobody.
func Stranger(scheme signature.Scheme, keyID string) (*Signer, error) {
	if len(scheme.Algorithms) != 1 || privates[scheme.Algorithms[0]].generate == nil {
		return nil, errors.New("the scheme has no algorithm of a private key")
	}
	key, err := privates[scheme.Algorithms[0]].generate()
	if err != nil {
		return nil, err
	}
	return NewPrivate(scheme, key, keyID)
}

// PublicKey returns the public half of a key, as a gate is given it.
func PublicKey(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return base64.StdEncoding.EncodeToString(der), err
}

// ParsePrivateKey reads PEM (PKCS #8, PKCS #1 or SEC 1), or an Ed25519 key of 32 or 64 bytes
// in hex or base64, behind whsk_ or not. No error shows the text.
func ParsePrivateKey(text string) (crypto.Signer, error) {
	text = strings.TrimSpace(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		return parseBlock(block)
	}
	raw := strings.TrimPrefix(text, "whsk_")
	key, err := hex.DecodeString(raw)
	if err != nil {
		key, err = base64.StdEncoding.DecodeString(raw)
	}
	switch {
	case err == nil && len(key) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(key), nil
	case err == nil && len(key) == ed25519.PrivateKeySize:
		return ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]), nil
	}
	return nil, errors.New("it is no private key: write PEM, or an Ed25519 key in hex or base64")
}

func parseBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("it is encrypted; decrypt it, for example with: openssl pkey -in key.pem -out plain.pem")
	default:
		return nil, fmt.Errorf("it is a PEM block %q, and no private key", block.Type[:min(len(block.Type), 40)])
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("it is no private key that can be read: it is cut off, changed, or of a type that signs no webhooks")
	}
	return signer, nil
}

// signPrivate makes a signature over a message.
func (s Signer) signPrivate(message []byte) []byte {
	p := privates[s.algorithm]
	if p.hash != nil {
		message = p.hash(message)
	}
	sig, _ := s.private.Sign(cryptorand.Reader, message, p.opts) // NewPrivate has tried the key
	if strings.Contains(s.scheme.Signature, "{raw_") {
		return rawPair(sig, s.private.Public().(*ecdsa.PublicKey).Params().BitSize)
	}
	return sig
}

// rawPair writes r and s of a signature in DER one behind the other.
func rawPair(der []byte, bits int) []byte {
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil
	}
	size := (bits + 7) / 8
	return append(pair.R.FillBytes(make([]byte, size)), pair.S.FillBytes(make([]byte, size))...)
}
