package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/guessable"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// minSecret is the length in bytes below which a secret draws a warning: with one
// delivery at hand, a short one can be guessed offline. A literal that short does
// not load, and no name is that long: of `secret current {$NAME}` with NAME unset
// only `secret current` is left, and a name is no secret.
const minSecret = 16

// Secret is one shared secret and its name.
type Secret struct {
	// The name by which the log and `{http.webhook_auth.secret}` call this
	// secret: at most 15 letters, digits, `-`, `_` and `.`. Default: its position,
	// from `1`. In a Caddyfile a name stands without quotes, before `{env.NAME}`,
	// `{file./path}` or a literal in quotes.
	Name string `json:"name,omitempty"`

	// The secret: `{env.NAME}` or `{file./path}`, or a literal, which is then
	// readable in the configuration. A file is read again when its content changes.
	Value string `json:"value,omitempty"`
}

// resolveSecrets reads every secret, or reports each one that cannot be used. The
// errors name the option, the reference and the cure, never a value: Caddy's own replacer
// and argument errors print parts of what they were given.
func (h *Handler) resolveSecrets() ([]signature.Secret, error) {
	return resolveAll(signature.Secrets, h.Secrets, h.scheme())
}

// resolveAll reads secrets or tokens.
func resolveAll(kind signature.Kind, all []Secret, scheme signature.Scheme) ([]signature.Secret, error) {
	names, err := labels(kind, all)
	errs := []error{err}
	secrets := make([]signature.Secret, len(all))
	for i, s := range all {
		value, err := resolve(s.Value, scheme, minSecret)
		if err != nil {
			errs = append(errs, inOption(kind, i, err))
		}
		secrets[i] = signature.Secret{Name: names[i], Text: value.Text}
	}
	return secrets, errors.Join(errs...)
}

// checkSecrets reports what is wrong with the secrets and the tokens as they are written,
// without reading anything from outside the configuration.
func (h *Handler) checkSecrets() error {
	var errs []error
	for kind, all := range h.texts() {
		if len(all) == 0 {
			continue // reported by itself
		}
		_, err := labels(kind, all)
		errs = append(errs, signature.CheckNumber(kind, len(all)), err)
	}
	return errors.Join(append(errs, h.checkValues(false))...)
}

// checkValues reports secrets and tokens that cannot be used: those outside of the
// configuration, or those in it.
func (h *Handler) checkValues(outside bool) error {
	var errs []error
	for kind, all := range h.texts() {
		for i, s := range all {
			if secretref.IsOutside(s.Value) != outside {
				continue
			}
			if _, err := resolve(s.Value, h.scheme(), minSecret); err != nil {
				errs = append(errs, inOption(kind, i, err))
			}
		}
	}
	return errors.Join(errs...)
}

// texts are the texts that nobody else may know, by their option.
func (h *Handler) texts() iter.Seq2[signature.Kind, []Secret] {
	return func(yield func(signature.Kind, []Secret) bool) {
		_ = yield(signature.Secrets, h.Secrets) && yield(signature.Tokens, h.tokens())
	}
}

// labels returns the name of each secret or token.
func labels(kind signature.Kind, all []Secret) ([]string, error) {
	var errs []error
	names := make([]string, len(all))
	for i, s := range all {
		name, err := s.label(i)
		if err == nil && slices.Contains(names[:i], name) {
			err = fmt.Errorf("the name is used twice; give each %s a name of its own", kind)
		}
		if err != nil {
			errs = append(errs, inOption(kind, i, err))
		}
		names[i] = name
	}
	return names, errors.Join(errs...)
}

var errShortLiteral = fmt.Errorf("a literal has at least %d bytes", minSecret)

// inOption is a mistake in the secret or token at that position, from 0.
func inOption(kind signature.Kind, position int, err error) error {
	if errors.Is(err, errShortLiteral) {
		err = fmt.Errorf("%w; if this is a name, its value is missing (an unset {$NAME} leaves nothing behind)", err)
	}
	return mistake.In(fmt.Sprintf("%s %d", kind, position+1), "%w", err)
}

// resolve returns the value of a secret or a token, whatever its source and encoding, or
// an error where anyone may know it.
func resolve(written string, scheme signature.Scheme, minLiteral int) (guessable.Secret, error) {
	text, err := secretref.Resolve(written)
	if err != nil {
		return guessable.Secret{}, err
	}
	subject := "it"
	if secretref.Is(written) {
		subject = secretref.Show(written)
	}
	secret, err := judge(text, scheme)
	if err == nil {
		err = checkPassword(scheme, text)
	}
	if err != nil {
		return guessable.Secret{}, fmt.Errorf("%s %w", subject, err)
	}
	if !secretref.Is(written) && len(text) < minLiteral {
		return guessable.Secret{}, errShortLiteral
	}
	return secret, nil
}

// judge decodes a text, or says why it is no secret. It is the one place that decides so.
// Its errors have no subject.
func judge(text string, scheme signature.Scheme) (guessable.Secret, error) {
	if scheme.Validate() != nil {
		scheme = signature.Scheme{} // it is reported as a mistake of its own
	}
	secret := guessable.Secret{Text: text, Prefix: scheme.SecretPrefix}
	var err error
	secret.Key, err = scheme.Key(signature.Secret{Text: text})
	if guessed := secret.Check(); guessed != nil {
		return guessable.Secret{}, guessed
	}
	if err != nil {
		return guessable.Secret{}, err
	}
	return secret, nil
}

// label returns the secret's name. A secret with a blank in it that was not
// quoted arrives here as a name, so the error must not show it.
func (s Secret) label(position int) (string, error) {
	if s.Name == "" {
		return strconv.Itoa(position + 1), nil
	}
	if err := mistake.CheckName(s.Name); err != nil {
		return "", fmt.Errorf("its name %w", err)
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	if len(s.Name) >= minSecret || strings.Trim(s.Name, allowed) != "" {
		return "", errors.New("a name is at most 15 letters, digits, '-', '_' and '.'; " +
			"if this is part of a secret, quote the secret")
	}
	return s.Name, nil
}

// isWorldReadable looks at the mode of a file and of the folders above it, which
// Windows does not have.
func isWorldReadable(written string) bool {
	path, ok := strings.CutPrefix(strings.Trim(written, "{}"), "file.")
	path, err := filepath.Abs(path)
	if !ok || err != nil || !secretref.Is(written) || runtime.GOOS == "windows" {
		return false
	}
	for bit := fs.FileMode(0o004); ; bit = 0o001 { // to read it, and to pass each folder
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&bit == 0 {
			return false
		}
		if path == filepath.Dir(path) {
			return true
		}
		path = filepath.Dir(path)
	}
}
