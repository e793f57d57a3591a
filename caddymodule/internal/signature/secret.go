package signature

import (
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
)

// MaxSecrets bounds what a forged body can cost: each secret is one more pass
// over it. Rotation needs two.
const MaxSecrets = 16

// A Secret is shared with a sender. The name may be shown, the text never.
type Secret struct {
	Name string
	Text string
}

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
		return k, fmt.Errorf("secret_encoding: unknown encoding %q; known are text, base64 and hex", name)
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

func (k keyCoding) key(s Secret) ([]byte, error) {
	if s.Text == "" {
		return nil, fmt.Errorf("secret %q is empty", s.Name)
	}
	key, err := k.decode(strings.TrimPrefix(s.Text, k.prefix))
	if err != nil { // its text shows where in the secret, and what
		return nil, fmt.Errorf("secret %q does not decode as %s; see secret_encoding", s.Name, k.name)
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("secret %q is empty once decoded", s.Name)
	}
	return key, nil
}

// Key returns the key that a secret's text stands for. No error shows the text.
func (s Scheme) Key(secret Secret) ([]byte, error) {
	k, err := compileKeyCoding(s.SecretEncoding, s.SecretPrefix)
	if err != nil {
		return nil, err
	}
	return k.key(secret)
}

// A keyring is one secret with its keyed MACs. Keying costs two blocks of hashing
// and some objects, so a MAC is keyed once and then reset and used again.
type keyring struct {
	name string
	size int                      // bytes of the key
	macs []sync.Pool              // of hash.Hash, by index into algorithms
	sum  func(text string) []byte // HMAC-SHA256: of a challenge's token, and for the key of fingerprints
}

func newKeyring(s Secret, scheme *scheme) (*keyring, error) {
	key, err := scheme.key.key(s)
	if err != nil {
		return nil, err
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

func (k *keyring) take(algorithm int) hash.Hash { return k.macs[algorithm].Get().(hash.Hash) }

func (k *keyring) put(algorithm int, mac hash.Hash) { k.macs[algorithm].Put(mac) }
