package caddymodule

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// loaded provisions gates in one configuration, up to the first that does not load.
func loaded(t *testing.T, gates ...*Handler) error {
	t.Helper()
	ctx := emptyContext(t)
	for _, gate := range gates {
		fresh := *gate // a table's gates are loaded more than once
		if err := fresh.Provision(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A verify token is in access logs, and so no secret of any gate may have its text.
func TestVerifyTokensAreNoSecrets(t *testing.T) {
	const key, token = "nY7vQ2xLk9RfTz4BsWd8HcJm", "Zk3Vx0bQwq1mJ5rTyLd7nHs4"
	t.Setenv("WEBHOOK_TEST_LINES", key+"\n\n")
	gate := func(name, token string, secrets ...string) *Handler {
		h := &Handler{Name: name}
		for _, secret := range secrets {
			h.Secrets = append(h.Secrets, Secret{Value: secret})
		}
		if token != "" {
			h.Challenge = &Challenge{Kind: "hub", Arguments: []string{token}}
		}
		return h
	}
	encoded := func(h *Handler, encoding, prefix string) *Handler {
		h.SecretEncoding, h.SecretPrefix = encoding, prefix
		return h
	}
	guarded := func(h *Handler, key string) *Handler {
		h.Replay = &Replay{Window: caddy.Duration(time.Hour), Key: key}
		return h
	}
	inBase64, inHex := base64.StdEncoding.EncodeToString([]byte(key)), hex.EncodeToString([]byte(key))
	for _, tc := range []struct {
		name  string
		gates []*Handler
		wants []string // nil: it loads
	}{
		{"its own", []*Handler{gate("a", token, key)}, nil},
		{"two gates with one token", []*Handler{gate("a", token, key), gate("b", token, key)}, nil},
		{"the secret", []*Handler{gate("a", key, key)}, []string{`gate "a" (hub): `, "this gate", "secret 1", "challenge hub, argument 1"}},
		{"the old secret", []*Handler{gate("a", key, testSecret, key)}, []string{"secret 2"}},
		{"of another gate", []*Handler{gate("a", key, testSecret), gate("b", "", key)}, []string{`gate "a" (hub)`, `gate "b" (hub)`, "secret 1", "challenge hub, argument 1"}},
		{"of a variable with line breaks", []*Handler{gate("a", key, testSecret), gate("b", "", "{env.WEBHOOK_TEST_LINES}")}, []string{`gate "b"`}},
		{"in hex", []*Handler{gate("a", inHex, testSecret), encoded(gate("b", "", inHex), "hex", "")}, []string{`gate "b"`}},
		{"the key of a secret in base64", []*Handler{gate("a", key, testSecret), encoded(gate("b", "", inBase64), "base64", "")}, []string{`gate "b"`}},
		{"without its prefix", []*Handler{gate("a", inBase64, testSecret), encoded(gate("b", "", "whsec_"+inBase64), "base64", "whsec_")}, []string{`gate "b"`}},
		{"with its prefix", []*Handler{gate("a", "whsec_"+inBase64, testSecret), encoded(gate("b", "", inBase64), "base64", "whsec_")}, []string{`gate "b"`}},
		{"the key of a replay guard", []*Handler{gate("a", key, testSecret), guarded(gate("b", "", testSecret), key)}, []string{`gate "a"`, `gate "b"`, "replay: key"}},
		{"a replay guard of its own key", []*Handler{guarded(gate("a", token, testSecret), key)}, nil},
	} {
		for order, gates := range [][]*Handler{tc.gates, {tc.gates[len(tc.gates)-1], tc.gates[0]}} {
			if order == 1 && len(tc.gates) == 1 {
				continue
			}
			wantRefusal(t, tc.name, loaded(t, gates...), tc.wants, key, inHex, inBase64)
		}
	}
}

// A name is in the log and the metrics, and so no secret may have its text, whatever its
// variable is called. The error does not show it, as the name of a gate or otherwise.
func TestNamesAreNoSecrets(t *testing.T) {
	const key = "nY7vQ2xLk9RfTz4"
	t.Setenv("WEBHOOK_TEST_HOOK", key)
	t.Setenv("WEBHOOK_TEST_WORD", "word")
	gate := func(name, secretName, secret string) *Handler {
		return &Handler{Name: name, Secrets: []Secret{{Name: secretName, Value: secret}}}
	}
	for _, tc := range []struct {
		name  string
		gates []*Handler
		wants []string
	}{
		{"of its own", []*Handler{gate("alphabet", "2026-11-10", "{env.WEBHOOK_TEST_HOOK}")}, nil},
		{"the default name of two gates", []*Handler{gate("", "", testSecret), gate("", "", testSecret)}, nil},
		{"an ordinary word", []*Handler{gate("word", "", "{env.WEBHOOK_TEST_WORD}")}, nil},
		{"of the gate", []*Handler{gate(key, "", "{env.WEBHOOK_TEST_HOOK}")}, []string{"webhook_auth: name: this gate", "in secret 1", "write a name"}},
		{"of another gate", []*Handler{gate(key, "", testSecret), gate("b", "", "{env.WEBHOOK_TEST_HOOK}")}, []string{"webhook_auth", "name", `gate "b"`, "secret 1"}},
		{"of a secret", []*Handler{gate("a", key, "{env.WEBHOOK_TEST_HOOK}")}, []string{`gate "a" (hub): secret 1, its name: this gate`}},
		{"of another gate's secret", []*Handler{gate("a", key, testSecret), gate("b", "", "{env.WEBHOOK_TEST_HOOK}")}, []string{`gate "a"`, `gate "b"`, "secret 1, its name"}},
		{
			"of a public key",
			[]*Handler{{Name: "a", Preset: "discord", PublicKeys: []PublicKey{{Name: key, Value: edPublic}}}, gate("b", "", "{env.WEBHOOK_TEST_HOOK}")},
			[]string{`gate "a"`, `gate "b"`, "public_key 1, its name"},
		},
	} {
		wantRefusal(t, tc.name, loaded(t, tc.gates...), tc.wants, key)
		if len(tc.gates) == 2 {
			wantRefusal(t, tc.name, loaded(t, tc.gates[1], tc.gates[0]), tc.wants, key)
		}
	}
}

// A name that is the value of a variable that is named like a secret is refused before
// anything is logged with it.
func TestNamesOfSecretVariables(t *testing.T) {
	const key = "nY7vQ2xLk9RfTz4"
	t.Setenv("WEBHOOK_TEST_OTHER_SECRET", key)
	for want, gate := range map[string]*Handler{
		"webhook_auth: name: it is":            {Name: key, Secrets: []Secret{{Value: testSecret}}},
		"secret 1: its name is":                {Name: "a", Secrets: []Secret{{Name: key, Value: testSecret}}},
		"public_key 1: its name is, or contai": {Name: "a", Preset: "discord", PublicKeys: []PublicKey{{Name: key, Value: edPublic}}},
	} {
		wantRefusal(t, want, gate.Provision(emptyContext(t)), []string{want, "write one that is no secret"}, key)
	}
}

// wantRefusal wants an error that holds all texts and none of the secrets, or none.
func wantRefusal(t *testing.T, name string, err error, wants []string, secrets ...string) {
	t.Helper()
	if (err == nil) != (wants == nil) {
		t.Errorf("%s: %v", name, err)
		return
	}
	said := errors.Join(err, errors.New("")).Error()
	for _, want := range wants {
		if !strings.Contains(said, want) {
			t.Errorf("%s: %q lacks %q", name, said, want)
		}
	}
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			t.Errorf("%s: %q shows a secret", name, said)
		}
	}
}

// A token is in each request, so that no secret, verify token or name has its text, in any
// form; of user:password the password counts.
func TestTokensAreNoSecrets(t *testing.T) {
	key := []byte("kJ3hV9sQ2mX7wR4tZ8pL1nB6")
	encoded := "whsec_" + base64.StdEncoding.EncodeToString(key)
	const password = "kJ3hV9sQ2mX7wR4tZ8pL1nB6"
	token := func(preset, text string) Handler {
		return Handler{Name: "second", Preset: preset, Tokens: []Token{{Value: text}}}
	}
	hub := Handler{Name: "first", Preset: "meta", Secrets: []Secret{{Value: testSecret}}, Challenge: &Challenge{Kind: "hub", Arguments: []string{password}}}
	for name, gates := range map[string][2]Handler{
		"a secret with its prefix":    {{Name: "first", Preset: "standard-webhooks", Secrets: []Secret{{Value: encoded}}}, token("gitlab-token", encoded)},
		"a secret without its prefix": {{Name: "first", Preset: "standard-webhooks", Secrets: []Secret{{Value: encoded}}}, token("gitlab-token", encoded[6:])},
		"a password and a secret":     {{Name: "first", Secrets: []Secret{{Value: password}}}, token("postmark", "user:"+password)},
		"a password and a check":      {hub, token("postmark", "user:"+password)},
		"a password and a name":       {{Name: password, Secrets: []Secret{{Value: testSecret}}}, token("postmark", "user:"+password)},
	} {
		for _, swapped := range []bool{false, true} {
			if swapped {
				gates[0], gates[1] = gates[1], gates[0]
			}
			if _, err := sharing(t, gates[0], gates[1]); err == nil {
				t.Errorf("%s: both load", name)
			}
		}
	}
	if _, err := sharing(t, token("gitlab-token", newToken), func() Handler { h := token("gitlab-token", newToken); h.Name = "other"; return h }()); err != nil {
		t.Errorf("one token at two gates: %v", err)
	}
}
