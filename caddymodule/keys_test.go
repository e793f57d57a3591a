package caddymodule

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// sharing returns what the index of keys says of two gates. Provision of both in one
// configuration fails where it does.
func sharing(t *testing.T, a, b Handler) (*observer.ObservedLogs, error) {
	t.Helper()
	core, logs := observer.New(zap.WarnLevel)
	index := make(keys)
	add := func(h Handler) error {
		gate, _ := provisioned(t, &h)
		use := keyUse{gate: h.Name, oracle: gate.challenge.Oracle(), message: gate.scheme().Message(), url: gate.PublicURL}
		return index.add(use, gate.verifier.KeyIDs(), zap.New(core))
	}
	err := errors.Join(add(a), add(b))
	ctx, ctxErr := caddy.ProvisionContext(&caddy.Config{})
	if ctxErr != nil {
		t.Fatal(ctxErr)
	}
	loadErr := errors.Join(a.Provision(ctx), b.Provision(ctx))
	if (err == nil) != (loadErr == nil) {
		t.Errorf("the index says %v, and Provision %v", err, loadErr)
	}
	return logs, err
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
			logs, err := sharing(t, *order[0], *order[1])
			if (err != nil) != tc.fails || (logs.Len() == 1) != tc.warned || logs.Len() > 1 {
				t.Errorf("%s: %v, %d warnings", name, err, logs.Len())
				continue
			}
			said := fmt.Sprint(err)
			if tc.warned {
				said = fmt.Sprint(logs.All()[0].Message, logs.All()[0].ContextMap())
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
