package caddymodule

import (
	"errors"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A material is what a gate verifies with: all that is made of the texts of its secrets. It
// never changes. When a followed file does, another material takes its place, and a request
// works with one from its begin to its end: two would judge it by one set of secrets and
// answer it by another.
type material struct {
	texts     keyTexts
	expected  []string // the arguments of the challenge that are secrets
	verifier  *signature.Verifier
	challenge *signature.Challenge // nil: none
	gate      *diagnosis.Gate
	labels    []string // of the secrets
	unwise    []lint.Finding
}

// material is what the gate verifies with now.
func (h *Handler) material() *material { return h.live.Load() }

// newMaterial reads the texts from where they are and compiles them, or reports every
// mistake at once.
func (h *Handler) newMaterial() (*material, error) {
	m := new(material)
	texts, err := h.readKeys()
	challenge := h.readChallenge(m)
	if err := errors.Join(err, h.checkPreset(), h.checkOptions(), challenge); err != nil {
		return nil, err
	}
	m.texts, m.labels = texts, texts.labels()
	if m.verifier, err = h.newVerifier(m); err != nil {
		return nil, err
	}
	if h.printKey != "" { // known once the replay guard is open
		m.verifier.Fingerprints(h.printKey)
	}
	m.gate = h.newGate(texts)
	h.findUnwise(m)
	return m, nil
}

// newVerifier compiles what the gate verifies with.
func (h *Handler) newVerifier(m *material) (*signature.Verifier, error) {
	if err := m.challenge.CheckScheme(h.scheme()); err != nil {
		return nil, err
	}
	switch h.kind() {
	case signature.PublicKeys:
		return signature.NewPublic(h.scheme(), m.texts.public)
	case signature.Tokens:
		return signature.NewTokens(h.scheme(), m.texts.tokens)
	}
	if h.Tenants != nil {
		return h.nobody()
	}
	return signature.New(h.scheme(), m.texts.secrets)
}

// keyTexts are what the gate verifies with, read from where it is: one of the three.
type keyTexts struct {
	secrets []signature.Secret
	public  []signature.PublicKey
	tokens  []signature.Token
}

// readKeys reads all of it, or reports each one that cannot be used.
func (h *Handler) readKeys() (k keyTexts, err error) {
	var errs [3]error
	k.secrets, errs[0] = h.resolveSecrets()
	k.public, errs[1] = h.resolvePublicKeys()
	k.tokens, errs[2] = h.resolveTokens()
	if h.noKey() {
		errs[0] = h.errNoKey()
	}
	return k, errors.Join(errs[:]...)
}

// labels are the names of all.
func (k keyTexts) labels() (names []string) {
	for _, secret := range k.secrets {
		names = append(names, secret.Name)
	}
	for _, key := range k.public {
		names = append(names, key.Name)
	}
	for _, token := range k.tokens {
		names = append(names, token.Name)
	}
	return names
}
