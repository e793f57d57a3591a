package signature_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Each of these texts stands for the key that secret is the text of.
func TestSecretEncodings(t *testing.T) {
	const std, unpadded = "SXQncyBhIFNlY3JldCB0byBFdmVyeWJvZHk=", "SXQncyBhIFNlY3JldCB0byBFdmVyeWJvZHk"
	inHex := hex.EncodeToString([]byte(secret))
	for _, tc := range []struct{ encoding, prefix, text string }{
		{"", "", secret},
		{"text", "", secret},
		{"text", "wk-", secret},
		{"text", "wk-", "wk-" + secret},
		{"base64", "", std},
		{"base64", "", unpadded},
		{"base64", "whsec_", std},
		{"base64", "whsec_", "whsec_" + std},
		{"base64", "whsec_", "whsec_" + unpadded},
		{"hex", "", inHex},
		{"hex", "", strings.ToUpper(inHex)},
		{"hex", "0x", "0x" + inHex},
	} {
		v := compiled(t, signature.Scheme{SecretEncoding: tc.encoding, SecretPrefix: tc.prefix}, tc.text)
		if got := judge(v, &signature.Delivery{Header: hub("sha256=" + digest)}, body); got != accepted {
			t.Errorf("%q in %s: %s", tc.text, tc.encoding, got)
		}
	}
}

// The prefix is not part of the key only where it is named.
func TestSecretPrefixIsText(t *testing.T) {
	v := compiled(t, signature.Scheme{}, "whsec_"+secret)
	if got := judge(v, &signature.Delivery{Header: hub("sha256=" + digest)}, body); got != "signature_mismatch" {
		t.Error(got)
	}
}

// HMAC takes a key of zeros for the empty key, up to its block and in every encoding. A
// longer one is one that anyone knows.
func TestZeroKeys(t *testing.T) {
	for _, size := range []int{1, 16, 24, 32, 63, 64, 65, 128, 129, 4096} {
		zeros := make([]byte, size)
		for encoding, text := range map[string]string{
			"text": string(zeros), "hex": hex.EncodeToString(zeros),
			"base64": "whsec_" + base64.StdEncoding.EncodeToString(zeros),
		} {
			s := signature.Scheme{SecretEncoding: encoding, SecretPrefix: "whsec_"}
			_, err := signature.New(s, []signature.Secret{{Name: "main", Text: text}})
			if err == nil || !strings.Contains(err.Error(), `secret "main" is all zero bytes`) {
				t.Errorf("%d zeros in %s: %v", size, encoding, err)
			}
			if key, err := s.Key(signature.Secret{Text: text}); err == nil {
				t.Errorf("%d zeros in %s are the key %x", size, encoding, key)
			}
			one := append(zeros[:size-1:size-1], 1)
			if _, err := signature.New(signature.Scheme{}, []signature.Secret{{Text: string(one)}}); err != nil {
				t.Errorf("%d zeros and a one: %v", size-1, err)
			}
		}
	}
}

// Equal keys have equal identifiers, whatever their texts, and no identifier shows one.
func TestKeyIDs(t *testing.T) {
	id := func(s signature.Scheme, text string) string { return compiled(t, s, text).KeyIDs()[0] }
	want := id(signature.Scheme{}, secret)
	for encoding, text := range map[string]string{
		"hex": hex.EncodeToString([]byte(secret)), "base64": base64.StdEncoding.EncodeToString([]byte(secret)),
	} {
		if got := id(signature.Scheme{SecretEncoding: encoding}, text); got != want {
			t.Errorf("in %s: another identifier", encoding)
		}
	}
	if id(signature.Scheme{}, secret+"\x00") != want {
		t.Error("a zero behind the key, which HMAC adds anyway, makes another identifier")
	}
	if id(signature.Scheme{}, secret+".") == want || strings.Contains(want, secret) {
		t.Error("another key has the same identifier, or it shows the key")
	}
}

// A secret that does not decode does not load, and no error shows it.
func TestSecretsThatDoNotDecode(t *testing.T) {
	for _, tc := range []struct{ encoding, prefix, text, want string }{
		{"base64", "", "not/base64-s3cr3t", `secret "main" does not decode as base64`},
		{"base64", "", "s3cr3t==x", "does not decode as base64"},
		{"base64", "", "s3cr3", "does not decode as base64"},
		{"base64", "", "whsec_czNjcjN0", "write: secret_encoding base64 whsec_"},
		{"base64", "whsec_", "whsec_whsec_czNjcjN0", "prefix twice"},
		{"base64", "whsec_", "whsec_s3cr3t v4lue", "does not decode as base64"},
		{"base64", "whsec_", "whsec_", "empty once decoded"},
		{"base64", "", "====", "does not decode as base64"},
		{"base64", "", "AAAA=============", "wrong number of '='"},
		{"base64", "whsec_", "v1,whsec_czNjcjN0", "keep what is behind the comma"},
		{"base64", "", "v1,whsec_czNjcjN0", "behind the comma, and write: secret_encoding base64 whsec_"},
		{"base64", "whsec_", "whsec_czNjcjN0\n ", "begins or ends with a blank or a line break"},
		{"base64", "whsec_", "\twhsec_czNjcjN0", "begins or ends with a blank or a line break"},
		{"base64", "whsec_", "whsec_czNj cjN0", "a blank or a line break in it"},
		{"base64", "", "\"czNjcjN0\"", "has quotes around it"},
		{"base64", "", "czNj-_N0", "base64 for URLs"},
		{"hex", "", "0xabcd", "keep the digits alone"},
		{"hex", "", "ab:cd:ef", "keep the digits alone"},
		{"hex", "", "ab cd", "a blank or a line break in it"},
		{"base64", "", "czNjcl==", "does not decode as base64"}, // spare bits
		{"base64", "", "czNjcl", "does not decode as base64"},
		{"hex", "", "s3cr3t", "does not decode as hex"},
		{"hex", "", "abc", "does not decode as hex"},
		{"hex", "0x", "0x", "empty once decoded"},
		{"text", "wk-", "wk-", "empty once decoded"},
		{"text", "", "", `secret "main" is empty`},
	} {
		s := signature.Scheme{SecretEncoding: tc.encoding, SecretPrefix: tc.prefix}
		_, err := signature.New(s, []signature.Secret{{Name: "main", Text: tc.text}})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q in %s: %v; want %s", tc.text, tc.encoding, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") || tc.text != "" && strings.Contains(err.Error(), tc.text) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
	if err := (signature.Scheme{SecretEncoding: "base32"}).Validate(); err == nil || !strings.Contains(err.Error(), `unknown encoding "base32"; write text, base64 or hex`) {
		t.Error(err)
	}
}

// Every signature in the field is tried under every secret.
func TestSecretsAndSignatures(t *testing.T) {
	s := signature.Scheme{Headers: []string{field}, Signature: "v1={hex},..."}
	v, err := signature.New(s, []signature.Secret{{Name: "new", Text: "another secret"}, {Name: "old", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]string{
		"v1=WRONG,v1=RIGHT":          accepted,
		"v1=RIGHT,v1=WRONG":          accepted,
		"v1=WRONG,v1=WRONG":          "signature_mismatch",
		"v0=RIGHT,v1=WRONG":          "signature_mismatch",
		"v1=WRONG,v1=RIGHT,v1=WRONG": accepted,
	} {
		if got := judge(v, &signature.Delivery{Header: http.Header{field: {fill(value)}}}, body); got != want {
			t.Errorf("%s: %s, want %s", value, got, want)
		}
	}
}
