package signature_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"regexp"
	"strings"
	"testing"
)

// oracle is what the package doc says, written a second time and in another way:
// by a regular expression, and by making the signature rather than reading it.
func oracle(value, key, body string) bool {
	m := regexp.MustCompile(`\A(sha1|sha256|sha384|sha512)=([0-9A-Fa-f]+)\z`).FindStringSubmatch(value)
	if m == nil {
		return false
	}
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}
	mac := hmac.New(hashes[m[1]], []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil)) == strings.ToLower(m[2])
}

// FuzzVerify compares every verdict with the oracle's. Where sign is set, the
// digest is made right first, so that the fuzzer also explores what is around a
// right one.
func FuzzVerify(f *testing.F) {
	seeds := 0
	for _, v := range vectors(f).Vectors {
		if v.isHub() {
			f.Add(v.fields().Get(v.Scheme.Header), v.Secret, v.Body, false)
			seeds++
		}
	}
	policy := vectors(f).Policy
	for _, tc := range policy.Cases {
		f.Add(tc.HeaderValue, policy.Secret, policy.Body, false)
		f.Add(tc.HeaderValue, policy.Secret, policy.Body, true)
		seeds++
	}
	if seeds < 40 {
		f.Fatalf("only %d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, value, key, body string, sign bool) {
		if key == "" {
			t.Skip("an empty secret does not load")
		}
		if sign {
			mac := hmac.New(sha256.New, []byte(key))
			mac.Write([]byte(body))
			value = strings.ReplaceAll(value, digest, hex.EncodeToString(mac.Sum(nil)))
		}
		_, err := verify(newVerifier(t, all, "another secret", key), hub(value), body)
		if (err == nil) != (oracle(value, key, body) || oracle(value, "another secret", body)) {
			t.Errorf("%q: %v", value, err)
		}
	})
}
