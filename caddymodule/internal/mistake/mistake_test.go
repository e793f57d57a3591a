package mistake_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

var animals = mistake.Set{
	What: "animal", Words: []string{"cat", "whale", "black_bear", "brown_bear", "sha256", "x"},
	Also: map[string]string{"kitten": "cat"},
}

func TestSuggestions(t *testing.T) {
	for word, want := range map[string]string{
		"whael": "whale", "whal": "whale", "whalee": "whale", "whsle": "whale",
		"WHALE": "whale", "wha-le": "whale", "X": "x",
		"kitten": "cat", "Kitten": "cat",
		"bear": "black_bear or brown_bear", "blackbear": "black_bear", "black_baer": "black_bear",
		"sha-256": "sha256", "sha265": "sha256", "hmac-sha256": "sha256", "SHA256": "sha256",
		"welah": "whale", "elephant": "", "cot": "cat", "co": "", "y": "", "": "", "256": "sha256", "257": "", "dolphin": "", "sha512": "",
		strings.Repeat("whale", 20): "",
	} {
		if got := mistake.Either(animals.Near(word)); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	t.Setenv("MISTAKE_TEST_SECRET", "whael")
	t.Setenv("MISTAKE_TEST_TOKEN", "dolphin swims")
	for word, want := range map[string]string{
		"whal":      `unknown animal "whal"; did you mean whale?`,
		"horse":     `unknown animal "horse"; write cat, whale, black_bear, brown_bear, sha256 or x`,
		"whael":     `unknown animal (not shown, in case it is a secret); write cat, whale, black_bear, brown_bear, sha256 or x`,
		"swims":     `unknown animal (not shown, in case it is a secret); write cat, whale, black_bear, brown_bear, sha256 or x`,
		"h0r5e-f4r": `unknown animal (not shown, in case it is a secret); write cat, whale, black_bear, brown_bear, sha256 or x`,
	} {
		if got := animals.Unknown(word); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}

// What people write into options that hold no secret is shown.
func TestShownValues(t *testing.T) {
	for _, text := range []string{
		"", "-1", "0", "25", "25 MB", "25MiB", "16EiB", "9GiB", "30sec", "1.5h", "lots", "SHA1", "md5", "base32", "base64url", "rfc3339", "handle_error",
		"X_Hub_Signature", "X-Hub-Signature-256:", "X-PagerDuty-Signature", "HmacSignature",
		"sha256=hex", "t={ts},v1={digest}", "v1,{base64} ...", "{header.webhook-id}.{ts}.{body}", `{ts}\n{body}`,
	} {
		if mistake.MayBeSecret(text) {
			t.Errorf("%q is not shown", text)
		}
	}
}

// A random secret is not shown, whatever option it was written into: of two million of each
// form, two were, in base64 for URLs.
func TestRandomSecretsAreNotShown(t *testing.T) {
	random, source := make([]byte, 32), rand.NewChaCha8([32]byte{1}) // the same ones in each run
	for range 20_000 {
		_, _ = source.Read(random)
		digits := hex.EncodeToString(random)
		for form, secret := range map[string]string{
			"hex":        digits,
			"short hex":  digits[:20],
			"upper hex":  strings.ToUpper(digits[:32]),
			"base64":     base64.StdEncoding.EncodeToString(random),
			"16 bytes":   base64.StdEncoding.EncodeToString(random[:16]),
			"URL base64": base64.RawURLEncoding.EncodeToString(random[:20]),
			"whsec":      "whsec_" + base64.StdEncoding.EncodeToString(random[:24]),
			"UUID":       fmt.Sprintf("%x-%x-%x-%x-%x", random[:4], random[4:6], random[6:8], random[8:10], random[10:16]),
		} {
			if shown := mistake.Show(secret); shown != "(not shown, in case it is a secret)" {
				t.Errorf("%s: %s", form, shown)
			}
		}
	}
}

func TestEach(t *testing.T) {
	a, b := mistake.In("a", "is wrong"), errors.New("b")
	joined := errors.Join(nil, errors.Join(a, nil), errors.Join(errors.Join(b)))
	if all := mistake.Each(joined); fmt.Sprint(all) != "[a: is wrong b]" {
		t.Errorf("%v", all)
	}
	if err := mistake.At("gate", joined); err.Error() != "gate: a: is wrong\ngate: b" || !errors.Is(err, b) {
		t.Error(err)
	}
	if err := mistake.At("gate", errors.Join(nil, nil)); err != nil {
		t.Error(err)
	}
}
