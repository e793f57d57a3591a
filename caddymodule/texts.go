package caddymodule

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// texts is who has which secret text in one configuration, by its SHA-256. A sender sends
// a verify token in the query, which access logs show: whoever reads them could sign, if a
// secret had the same text.
type texts map[[sha256.Size]byte][]textUse

// A textUse is one option that has a text.
type textUse struct {
	gate   *Handler
	option string // as errors name it
	token  bool   // it is a verify token
}

// add refuses a verify token that is also another kind of secret, and the other way round.
// forms are all ways to write one secret.
func (t texts) add(use textUse, forms ...string) error {
	for _, form := range forms {
		sum := sha256.Sum256([]byte(form))
		for _, other := range t[sum] {
			if use.token != other.token {
				return mistake.In(use.option, "%s", use.meets(other))
			}
		}
		t[sum] = append(t[sum], use)
	}
	return nil
}

// meets says what is wrong with two uses of one text.
func (u textUse) meets(other textUse) string {
	owner := "this gate"
	if u.gate != other.gate {
		owner = other.gate.place()
	}
	return fmt.Sprintf("%s has the same text in %s, and a verify token comes in the query, which access logs show; "+
		"make a verify token of its own, for example with: openssl rand -hex 32. If it was in use, change the secret too", owner, other.option)
}

// shareTexts adds the secrets and verify tokens of the gate to those of its configuration.
func (h *Handler) shareTexts(all texts, secrets []signature.Secret) error {
	for i, secret := range secrets {
		use := textUse{gate: h, option: fmt.Sprintf("secret %d", i+1)}
		if err := all.add(use, h.formsOf(secret)...); err != nil {
			return err
		}
	}
	for i, token := range h.tokens {
		use := textUse{gate: h, option: argumentOption(h.Challenge.Kind, i), token: true}
		if err := all.add(use, token); err != nil {
			return err
		}
	}
	return nil
}

// formsOf returns the ways to write a secret as a verify token, which has no white space at
// its ends: with and without the prefix, and as the key that it decodes to.
func (h *Handler) formsOf(secret signature.Secret) []string {
	text, scheme := strings.TrimSpace(secret.Text), h.scheme()
	bare := strings.TrimPrefix(text, scheme.SecretPrefix)
	key, _ := scheme.Key(secret) // it decodes: there is a verifier
	return []string{text, bare, scheme.SecretPrefix + bare, string(key)}
}
