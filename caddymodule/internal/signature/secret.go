package signature

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// MaxSecrets bounds what a forged body can cost: each secret is one more pass
// over it. Rotation needs two.
const MaxSecrets = 16

// A Secret is shared with a sender. The name may be shown, the text never.
type Secret struct {
	Name string
	Text string

	empty bool // see EmptyKey
}

// EmptyKey returns the key of a sender whose secret is not set. Only diagnosis uses it: a
// gate with this key would let everyone through, and no text in a configuration gives it.
func EmptyKey() Secret { return Secret{empty: true} }

// A keyCoding turns a secret's text into the key.
type keyCoding struct {
	prefix string
	decode func(string) ([]byte, error)
	name   string
}

func compileKeyCoding(name, prefix string) (keyCoding, error) {
	k := keyCoding{prefix: prefix, name: cmp.Or(name, "text")}
	switch k.name {
	case "text":
		k.decode = func(s string) ([]byte, error) { return []byte(s), nil }
	case "base64":
		k.decode = decodeKey
	case "hex":
		k.decode = hex.DecodeString
	default:
		set := mistake.Set{What: "encoding", Words: []string{"text", "base64", "hex"}, Also: map[string]string{"b64": "base64", "plain": "text", "utf8": "text", "raw": "text", "none": "text"}}
		return k, mistake.In("secret_encoding", "%s", set.Unknown(name))
	}
	return k, nil
}

// decodeKey takes padding or none, as senders do, but not a part of it.
func decodeKey(s string) ([]byte, error) {
	if strings.HasSuffix(s, "=") {
		return base64.StdEncoding.Strict().DecodeString(s)
	}
	return base64.RawStdEncoding.Strict().DecodeString(s)
}

// key returns what the secret stands for. HMAC pads a key with zeros (RFC 2104, section
// 2), so that one of zeros alone is the empty key; a longer one is known as well.
func (k keyCoding) key(s Secret) ([]byte, error) {
	if s.empty {
		return nil, nil
	}
	if s.Text == "" {
		return nil, errors.New("is empty")
	}
	key, err := k.decode(strings.TrimPrefix(s.Text, k.prefix))
	if err != nil { // its text shows where in the secret, and what
		return nil, errors.New(k.problem(s.Text))
	}
	if len(key) == 0 {
		return nil, errors.New("is empty once decoded")
	}
	if len(bytes.Trim(key, "\x00")) == 0 {
		return nil, errors.New("is all zero bytes, which is the empty key: anyone can sign with it; make a secret of its own, for example with: openssl rand -hex 32")
	}
	return key, nil
}

// problem says why a secret does not decode, without showing what is in it.
func (k keyCoding) problem(text string) string {
	decodes := func(text string) bool {
		_, err := k.decode(strings.TrimPrefix(text, k.prefix))
		return text != "" && err == nil
	}
	bare := strings.TrimPrefix(text, "v1,")
	prefixed := "begins with whsec_, which is not part of the key; write: secret_encoding " + k.name + " whsec_"
	switch {
	case k.prefix != "":
		prefixed = "has its prefix twice; keep it once"
	case bare != text:
		prefixed = "begins with \"v1,whsec_\"; keep what is behind the comma, and write: secret_encoding " + k.name + " whsec_"
	}
	for _, slip := range []struct {
		mended string
		text   string
	}{
		{strings.TrimSpace(text), "begins or ends with a blank or a line break; take it out of the variable or file"},
		{strings.Join(strings.Fields(text), ""), "has a blank or a line break in it; take it out of the variable or file, or write each of several secrets with an option of its own"},
		{strings.Trim(text, "\"'`"), "has quotes around it; take them out of the variable or file"},
		{bare, "begins with \"v1,\", which is not part of it; keep what is behind the comma"},
		{strings.TrimPrefix(strings.TrimPrefix(bare, k.prefix), "whsec_"), prefixed},
		{strings.NewReplacer("0x", "", ":", "").Replace(text), "has 0x or colons in it; keep the digits alone"},
		{strings.NewReplacer("-", "+", "_", "/").Replace(text), "is base64 for URLs; write '+' for '-' and '/' for '_'"},
		{strings.TrimRight(text, "="), "has a wrong number of '=' at its end; copy it whole, or without any '='"},
	} {
		if slip.mended != text && decodes(slip.mended) {
			return slip.text
		}
	}
	return "does not decode as " + k.name + "; copy it whole, or write secret_encoding text if the sender takes its characters as the key"
}

// Key returns the key that a secret's text stands for. The error says what is wrong
// with it, and shows neither the text nor the name.
//
// A token is its own key.
func (s Scheme) Key(secret Secret) ([]byte, error) {
	if form, err := compileTokenForm(s.Signature); s.Tokens() && err == nil {
		return []byte(secret.Text), form.check(secret.Text)
	}
	k, err := compileKeyCoding(s.SecretEncoding, s.SecretPrefix)
	if err != nil {
		return nil, err
	}
	return k.key(secret)
}

// A keyring is one secret with its keyed MACs, or one public key, or one token. Keying costs two
// blocks of hashing and some objects, so a MAC is keyed once and then reset and used
// again.
type keyring struct {
	name   string
	size   int                      // bytes of the key
	macs   []sync.Pool              // of hash.Hash, by index into algorithms
	sum    func(text string) []byte // HMAC-SHA256, of a challenge's token
	public *publicKey               // nil: it is a secret, or a token
	token  *storedToken             // nil: it is none
}

func newKeyring(s Secret, scheme *scheme) (*keyring, error) {
	key, err := scheme.key.key(s)
	if err != nil {
		return nil, fmt.Errorf("secret %q %w", s.Name, err)
	}
	k := &keyring{name: s.Name, size: len(key), macs: make([]sync.Pool, len(algorithms))}
	k.sum = func(text string) []byte {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	var errs []error
	for i, ok := range scheme.allowed {
		if !ok {
			continue
		}
		mac, err := algorithms[i].keyed(key)
		if err != nil {
			errs = append(errs, fmt.Errorf("secret %q: %w", s.Name, err))
			continue
		}
		k.macs[i].New = func() any { return hmac.New(algorithms[i].new, key) }
		k.macs[i].Put(mac)
	}
	return k, errors.Join(errs...)
}

// newPublicKeyring has plain hashes for MACs: the key comes in once they are complete.
func newPublicKeyring(key PublicKey, scheme *scheme) (*keyring, error) {
	public, err := newPublicKey(key, scheme.public())
	if err != nil {
		return nil, fmt.Errorf("public key %q %w", key.Name, err)
	}
	k := &keyring{name: key.Name, public: public, macs: make([]sync.Pool, len(algorithms))}
	if a := scheme.public(); a.new != nil {
		k.macs[scheme.fixed].New = func() any { return a.new() }
	}
	return k, nil
}

// KeyIDs returns an identifier of each secret's key. Equal keys have equal ones, however
// their texts are written, a token and a secret too, and no secret can be found from its
// identifier.
func (v *Verifier) KeyIDs() []string {
	ids := make([]string, len(v.keys))
	for i, k := range v.keys {
		switch {
		case k.public != nil:
			ids[i] = "public " + string(k.public.id)
		case k.token != nil:
			ids[i] = string(k.token.id)
		default:
			ids[i] = string(k.sum(keyIDText))
		}
	}
	return ids
}

// keyIDText is what the identifier of a key is made of. No token of a challenge holds its
// last byte.
const keyIDText = "webhook_auth key v1\x00"

func (k *keyring) take(algorithm int) hash.Hash { return k.macs[algorithm].Get().(hash.Hash) }

func (k *keyring) put(algorithm int, mac hash.Hash) { k.macs[algorithm].Put(mac) }
