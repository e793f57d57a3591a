package caddymodule

import (
	"fmt"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/guessable"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Token is one token of the sender and its name.
type Token struct {
	// The name by which the log and `{http.webhook_auth.secret}` call this token: at most
	// 15 letters, digits, `-`, `_` and `.`. Default: its position, from `1`.
	Name string `json:"name,omitempty"`

	// The token: `{env.NAME}` or `{file./path}`, or a literal, which is then
	// readable in the configuration. A file is read again when its content changes. Printable ASCII, as a header field holds it.
	Value string `json:"value,omitempty"`
}

// tokens are the tokens as secrets, because the same rules are for both.
func (h *Handler) tokens() []Secret {
	all := make([]Secret, len(h.Tokens))
	for i, t := range h.Tokens {
		all[i] = Secret(t)
	}
	return all
}

// resolveTokens reads every token, or reports each one that cannot be used, as
// resolveSecrets.
func (h *Handler) resolveTokens() ([]signature.Token, error) {
	secrets, err := resolveAll(signature.Tokens, h.tokens(), h.scheme())
	tokens := make([]signature.Token, len(secrets))
	for i, s := range secrets {
		tokens[i] = signature.Token{Name: s.Name, Text: s.Text}
	}
	return tokens, err
}

// checkPassword judges the password of user:password by the rule for secrets: a user whom
// nobody knows does not make up for it.
func checkPassword(scheme signature.Scheme, text string) error {
	password := scheme.Password(text)
	if password == text {
		return nil
	}
	if guessed := (guessable.Secret{Text: password}).Check(); guessed != nil {
		return fmt.Errorf("has a password that %w", guessed)
	}
	return nil
}

// checkTokenReplay has the replay guard told what makes a delivery, and nobody else. Nothing
// is signed, so that the guard has nothing to go by: of a sender whose bodies are all empty,
// every delivery would be a repetition of the first, answered 200 and lost. Without a guard,
// a payload would look as if it protected something.
func (h *Handler) checkTokenReplay() error {
	switch {
	case h.kind() != signature.Tokens:
		return nil
	case h.Replay == nil && h.Payload != "":
		return mistake.In("payload", "a token signs nothing, and the payload only tells the replay guard what makes a delivery; remove it, or add for example: replay 24h")
	case h.Replay != nil && h.scheme().Payload == "":
		return mistake.In("replay", "a token signs nothing, so say what makes a delivery; add for example: payload {header.X-Delivery-Id}.{body}, or payload {body} if the sender never sends the same body twice on purpose")
	}
	return nil
}

// unwiseTokens judges tokens that load, and says what no token can do.
func (h *Handler) unwiseTokens(tokens []signature.Token, v *signature.Verifier) (found []lint.Finding) {
	if h.kind() != signature.Tokens {
		return nil
	}
	found = append(found, lint.About(lint.TokenUnsigned))
	for i, token := range tokens {
		named := func(f *lint.Finding) { f.Token = token.Name }
		found = append(found, unwiseSource(h.Tokens[i].Value, lint.TokenLiteral, lint.TokenFileReadable, named)...)
		if (guessable.Secret{Text: token.Text}).Odd() != nil { // only quotes are left, see signature.NewTokens
			found = append(found, lint.About(lint.TokenOdd, named))
		}
	}
	for _, name := range v.ShortKeys(minSecret) {
		found = append(found, lint.About(lint.TokenShort, func(f *lint.Finding) { f.Token = name }))
	}
	return found
}
