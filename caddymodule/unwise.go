package caddymodule

import (
	"slices"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/guessable"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// findUnwise finds what in the options of the gate works and is still unwise. It is the one
// place that does: the log at load and `caddy webhook check` both show what it found.
func (h *Handler) findUnwise(m *material) {
	if h.UnsafeObserveOnly {
		m.unwise = append(m.unwise, lint.About(lint.ObservesOnly))
	}
	m.unwise = slices.Concat(m.unwise, h.unwiseSecrets(m.texts.secrets, m.verifier), h.unwiseTokens(m.texts.tokens, m.verifier),
		h.unwiseArguments(len(m.expected)), h.unwiseKeys(m.verifier), h.unwiseReplay(m.verifier))
}

// unwiseSecrets judges secrets that load.
func (h *Handler) unwiseSecrets(secrets []signature.Secret, v *signature.Verifier) (found []lint.Finding) {
	scheme := h.scheme()
	for i, secret := range secrets {
		named := func(f *lint.Finding) { f.Secret = secret.Name }
		found = append(found, unwiseSource(h.Secrets[i].Value, lint.SecretLiteral, lint.SecretFileReadable, named)...)
		text := guessable.Secret{Text: secret.Text, Prefix: scheme.SecretPrefix}
		text.Key, _ = scheme.Key(secret) // it decodes: there is a verifier
		for _, oddity := range text.Odd() {
			found = append(found, lint.About(lint.SecretOdd, named, func(f *lint.Finding) { f.Problem, f.Cure, _ = strings.Cut(oddity, "; ") }))
		}
		if sender := text.PublishedBy(); sender != "" {
			found = append(found, lint.About(lint.SecretPublished, named, func(f *lint.Finding) { f.Sender = sender }))
		}
	}
	if h.kind() != signature.Secrets {
		return found
	}
	for _, name := range v.ShortKeys(minSecret) {
		found = append(found, lint.About(lint.KeyShort, func(f *lint.Finding) { f.Secret = name }))
	}
	return found
}

// unwiseSource judges where a secret is kept. It looks at files as they are now.
func unwiseSource(written string, literal, readable lint.Kind, change ...func(*lint.Finding)) (found []lint.Finding) {
	if !secretref.Is(written) {
		found = append(found, lint.About(literal, change...))
	}
	if isWorldReadable(written) {
		found = append(found, lint.About(readable, change...))
	}
	return found
}

func (h *Handler) unwiseArguments(secrets int) (found []lint.Finding) {
	for i := range secrets {
		found = append(found, unwiseSource(h.Challenge.Arguments[i], lint.VerifyTokenLiteral, lint.VerifyTokenFileReadable)...)
	}
	return found
}

// unwiseKeys judges public keys that load.
func (h *Handler) unwiseKeys(v *signature.Verifier) (found []lint.Finding) {
	for _, name := range v.Expired(time.Now()) {
		found = append(found, lint.About(lint.CertificateExpired, func(f *lint.Finding) { f.PublicKey = name }))
	}
	for _, name := range v.SmallExponents() {
		found = append(found, lint.About(lint.ExponentSmall, func(f *lint.Finding) { f.PublicKey = name }))
	}
	if preset, _ := h.findPreset(); preset.Global {
		found = append(found, lint.About(lint.KeyOfAllCustomers))
	}
	return found
}

func (h *Handler) unwiseReplay(v *signature.Verifier) (found []lint.Finding) {
	if h.Replay == nil {
		return nil
	}
	if h.Replay.Key != "" {
		found = unwiseSource(h.Replay.Key, lint.ReplayKeyLiteral, lint.ReplayKeyFileReadable)
	}
	if lived := v.Lifetime(); time.Duration(h.Replay.Window) < lived {
		found = append(found, lint.About(lint.ReplayWindowShort, func(f *lint.Finding) { f.Cure = "write at least: replay " + lived.String() }))
	}
	return found
}

// missingCheck is the challenge that the sender of the preset demands, if the gate has none.
func (h *Handler) missingCheck() string {
	if h.material().challenge != nil {
		return ""
	}
	return demandedChecks[h.Preset]
}

// logUnwise logs what was found, at a level by its severity.
func (h *Handler) logUnwise(found []lint.Finding) {
	for _, f := range found {
		f.AtGate = true
		if f.Severity == lint.Note && f.Kind != lint.TokenUnsigned {
			h.logger.Info(f.Problem, f.Fields()...)
			continue
		}
		h.logger.Warn(f.Problem, f.Fields()...)
	}
}
