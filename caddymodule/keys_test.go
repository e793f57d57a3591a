package caddymodule

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// sharing returns what the second of two gates in one configuration finds of their keys.
func sharing(t *testing.T, a, b Handler) ([]lint.Finding, error) {
	t.Helper()
	ctx := emptyContext(t)
	err := errors.Join(a.Provision(ctx), b.Provision(ctx))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(b.material().unwise, func(f lint.Finding) bool { return f.Other == "" }), nil
}

// The same key in two gates of one configuration: what one lets strangers have signed
// must not be a delivery to the other.
func TestSharedKeys(t *testing.T) {
	inHex, inBase64 := hex.EncodeToString([]byte(testSecret)), base64.StdEncoding.EncodeToString([]byte(testSecret))
	gate := func(name, preset string, secrets ...string) *Handler {
		h := &Handler{Name: name, Preset: preset}
		for _, secret := range secrets {
			h.Secrets = append(h.Secrets, Secret{Value: secret})
		}
		return h
	}
	checks := func(h *Handler) *Handler { h.Challenge = &Challenge{Kind: "x"}; return h }
	encoded := func(h *Handler, encoding string) *Handler { h.SecretEncoding = encoding; return h }
	units := func(h *Handler, payload, unit string) *Handler {
		h.Payload, h.Timestamp, h.TimestampUnit = payload, "X-Time", unit
		return h
	}
	hashed := func(h *Handler) *Handler { h.Payload = "{body_sha256}"; return h }
	at := func(h *Handler, url string) *Handler {
		h.Payload, h.PublicURL = "{url}{body}", url
		return h
	}
	const other = "another secret, 16+"
	for name, tc := range map[string]struct {
		a, b   *Handler
		fails  bool
		warned bool
	}{
		"other keys":                 {checks(gate("alpha", "x", testSecret)), gate("beta", "hub", other), false, false},
		"x and hub":                  {checks(gate("alpha", "x", testSecret)), gate("beta", "hub", testSecret), true, false},
		"x without the check":        {checks(gate("alpha", "x", testSecret)), gate("beta", "x", testSecret), true, false},
		"both with the check":        {checks(gate("alpha", "x", testSecret)), checks(gate("beta", "x", testSecret)), false, false},
		"in hex":                     {checks(gate("alpha", "x", testSecret)), encoded(gate("beta", "hub", inHex), "hex"), true, false},
		"in base64":                  {checks(encoded(gate("alpha", "x", inBase64), "base64")), gate("beta", "hub", testSecret), true, false},
		"the old secret":             {checks(gate("alpha", "x", other, testSecret)), gate("beta", "hub", "a third secret, 16+", testSecret), true, false},
		"one sender, two gates":      {gate("alpha", "github", testSecret), gate("beta", "github", testSecret), false, false},
		"other field, same message":  {gate("alpha", "github", testSecret), gate("beta", "shopify", testSecret), false, false},
		"stripe and hub":             {gate("alpha", "stripe", testSecret), gate("beta", "hub", testSecret), false, true},
		"stripe and slack":           {gate("alpha", "stripe", testSecret), gate("beta", "slack", testSecret), false, true},
		"two keys, one warning":      {gate("alpha", "stripe", testSecret, other), gate("beta", "hub", testSecret, other), false, true},
		"seconds and milliseconds":   {units(gate("alpha", "hub", testSecret), "{ts}.{body}", "s"), units(gate("beta", "hub", testSecret), "{ts}.{body}", "ms"), false, true},
		"the default unit":           {units(gate("alpha", "hub", testSecret), "{ts}.{body}", "s"), units(gate("beta", "hub", testSecret), "{ts}.{body}", ""), false, false},
		"the body, and its hash":     {units(gate("alpha", "hub", testSecret), "{ts}.{body}", ""), units(gate("beta", "hub", testSecret), "{ts}.{body_sha256}", ""), false, true},
		"two forms of a hash":        {units(gate("alpha", "hub", testSecret), "{ts}.{body_sha256_base64}", ""), units(gate("beta", "hub", testSecret), "{ts}.{body_sha256}", ""), false, true},
		"the hash alone":             {hashed(gate("alpha", "hub", testSecret)), gate("beta", "github", testSecret), false, true},
		"one form of a hash":         {hashed(gate("alpha", "hub", testSecret)), hashed(gate("beta", "github", testSecret)), false, false},
		"x and the hash":             {checks(gate("alpha", "x", testSecret)), hashed(gate("beta", "hub", testSecret)), true, false},
		"one URL goes on":            {at(gate("alpha", "hub", testSecret), "https://a.example/h"), at(gate("beta", "hub", testSecret), "https://a.example/h2"), false, true},
		"one URL ends as the other":  {at(gate("alpha", "hub", testSecret), "https://a.example/?https://a.example/"), at(gate("beta", "hub", testSecret), "https://a.example/"), false, true},
		"two URLs":                   {at(gate("alpha", "hub", testSecret), "https://a.example/1"), at(gate("beta", "hub", testSecret), "https://a.example/2"), false, false},
		"stripe and hub, other keys": {gate("alpha", "stripe", testSecret), gate("beta", "hub", other), false, false},
	} {
		for _, order := range [][2]*Handler{{tc.a, tc.b}, {tc.b, tc.a}} {
			found, err := sharing(t, *order[0], *order[1])
			if (err != nil) != tc.fails || (len(found) == 1) != tc.warned || len(found) > 1 {
				t.Errorf("%s: %v, finds %v", name, err, found)
				continue
			}
			said := fmt.Sprint(err)
			if tc.warned {
				said = fmt.Sprint(order[1].Name, found[0])
			}
			if tc.fails && !strings.Contains(said, `gates "alpha" and "beta" have the same secret, and with challenge x the gate "alpha" signs`) ||
				(tc.fails || tc.warned) && slices.ContainsFunc([]string{"alpha", "beta", "a secret of its own"}, func(word string) bool { return !strings.Contains(said, word) }) {
				t.Errorf("%s: %q", name, said)
			}
			if strings.Contains(said, testSecret) || strings.Contains(said, inHex) {
				t.Errorf("%s: %q shows a secret", name, said)
			}
		}
	}
}
