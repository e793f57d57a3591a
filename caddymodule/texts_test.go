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
