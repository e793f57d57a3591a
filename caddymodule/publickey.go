package caddymodule

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// PublicKey is one public key of the sender and its name.
type PublicKey struct {
	// The name by which the log and `{http.webhook_auth.secret}` call this key, and by
	// which `key_id` chooses it: at most 128 letters, digits, `.`, `_`, `:` and `-`.
	// Default: its position, from `1`.
	Name string `json:"name,omitempty"`

	// The key: `{env.NAME}`, `{file./path}` or a literal. PEM (a public key or a
	// certificate), the same in base64 without its lines (SPKI), or an Ed25519 key of 32
	// bytes in hex or base64, also behind `whpk_`.
	Value string `json:"value,omitempty"`
}

// maxKeyName is as long as the ids of keys that senders name in a field.
const maxKeyName = 128

// label returns the key's name. The key is no secret, and what was written in the place of
// the name may be one.
func (k PublicKey) label(position int) (string, error) {
	if k.Name == "" {
		return strconv.Itoa(position + 1), nil
	}
	if err := mistake.CheckName(k.Name); err != nil {
		return "", fmt.Errorf("its name %w", err)
	}
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"
	if len(k.Name) > maxKeyName || strings.Trim(k.Name, allowed) != "" {
		return "", fmt.Errorf("a name is at most %d letters, digits, '.', '_', ':' and '-'; if it is a part of the key, quote the key", maxKeyName)
	}
	return k.Name, nil
}

// public reports whether the gate verifies with public keys.
func (h *Handler) public() bool { return len(h.PublicKeys) > 0 }

// findPreset returns the preset for the kind of key that the gate has. A name that
// exists only for the other kind says so.
func (h *Handler) findPreset() (signature.Preset, error) {
	preset, ok := signature.FindPresetOf(h.Preset, h.public())
	if ok || h.Preset == "" {
		return preset, nil
	}
	switch _, other := signature.FindPresetOf(h.Preset, !h.public()); {
	case other && h.public():
		return preset, mistake.In("preset", "%s signs with a secret; write secret instead of public_key", h.Preset)
	case other:
		return preset, mistake.In("preset", "%s signs with a private key; write public_key instead of secret: public_key {file./path}", h.Preset)
	}
	return preset, nil // checkPreset reports what does not exist
}

// checkKind reports what does not fit the kind of key that the gate has. What follows from
// it need not be reported too.
func (h *Handler) checkKind() error {
	_, err := h.findPreset()
	var kind error
	switch {
	case h.public() && len(h.Secrets) > 0:
		kind = errBothKinds
	case err != nil:
	case h.public() != h.scheme().Public():
		kind = h.scheme().CheckKind(h.public())
	}
	return errors.Join(err, kind)
}

var errBothKinds error = mistake.In("public_key", "secret and public_key exclude each other: a gate verifies with secrets, or with public keys; write one of them, and a gate of its own for the other")

// resolvePublicKeys reads every key, or reports each one that cannot be used. No error
// shows a value: it may be a private key that was given by mistake.
func (h *Handler) resolvePublicKeys() ([]signature.PublicKey, error) {
	names, err := h.publicKeyNames()
	errs := []error{err}
	keys := make([]signature.PublicKey, len(h.PublicKeys))
	for i, k := range h.PublicKeys {
		text, err := h.resolvePublicKey(k)
		if err != nil {
			errs = append(errs, inPublicKey(i, err))
		}
		keys[i] = signature.PublicKey{Name: names[i], Text: text}
	}
	return keys, errors.Join(errs...)
}

// checkPublicKeys reports what is wrong with the keys as they are written, without reading
// anything from outside the configuration.
func (h *Handler) checkPublicKeys() error {
	if !h.public() {
		return nil
	}
	_, err := h.publicKeyNames()
	return errors.Join(signature.CheckPublicKeys(len(h.PublicKeys)), err, h.checkKeys(false))
}

// checkKeys reports keys that cannot be used: those outside of the configuration, or those
// in it.
func (h *Handler) checkKeys(outside bool) error {
	var errs []error
	for i, k := range h.PublicKeys {
		if secretref.IsOutside(k.Value) != outside {
			continue
		}
		if _, err := h.resolvePublicKey(k); err != nil {
			errs = append(errs, inPublicKey(i, err))
		}
	}
	return errors.Join(errs...)
}

// resolvePublicKey returns the text of a key that the scheme can verify with.
func (h *Handler) resolvePublicKey(k PublicKey) (string, error) {
	text, err := secretref.Resolve(k.Value)
	if err != nil {
		return "", err
	}
	subject := "it"
	if secretref.Is(k.Value) {
		subject = secretref.Show(k.Value)
	}
	if err := h.scheme().CheckPublicKey(signature.PublicKey{Text: text}); err != nil {
		return "", fmt.Errorf("%s %w", subject, err)
	}
	return text, nil
}

// publicKeyNames returns the name of each key.
func (h *Handler) publicKeyNames() ([]string, error) {
	var errs []error
	names := make([]string, len(h.PublicKeys))
	for i, k := range h.PublicKeys {
		name, err := k.label(i)
		if err == nil && slices.Contains(names[:i], name) {
			err = errors.New("the name is used twice; give each key a name of its own")
		}
		if field := h.scheme().KeyID; k.Name == "" && field != "" {
			err = fmt.Errorf("it has no name, and %s chooses a key by its name; write the name that the sender gives it: public_key <name> <value>", mistake.Show(field))
		}
		if err != nil {
			errs = append(errs, inPublicKey(i, err))
		}
		names[i] = name
	}
	return names, errors.Join(errs...)
}

// inPublicKey is a mistake in the key at that position, from 0.
func inPublicKey(position int, err error) error {
	return mistake.In(fmt.Sprintf("public_key %d", position+1), "%w", err)
}

// newVerifier compiles what the gate verifies with.
func (h *Handler) newVerifier(secrets []signature.Secret, keys []signature.PublicKey) (err error) {
	if !h.public() {
		h.verifier, err = signature.New(h.scheme(), secrets)
		return err
	}
	if h.challenge.NeedsSecret() {
		return mistake.In("challenge", "the answer of %s is made with a secret, and this gate has public keys", h.challenge.Kind())
	}
	h.verifier, err = signature.NewPublic(h.scheme(), keys)
	return err
}

// Verifying with a public key costs much more than a MAC, so that a flood of forged
// signatures could take all processors. One is left to the rest: to other gates, and to
// what Caddy does besides. It is made at the first use: Caddy sets GOMAXPROCS to the quota
// of its container only after packages are initialised.
var verifications = sync.OnceValue(func() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)) })

// verificationWait is how long a delivery waits for its turn. Then the sender is asked to
// retry.
const verificationWait = 100 * time.Millisecond

var errNoTurn = errors.New("other signatures are being verified with public keys")

// admit waits until a public key may verify the body, and counts the memory that it takes
// in one piece. leave gives both back, once. That memory is bounded by the turns, so that
// no budget refuses it: bodies that strangers send slowly, to any gate, would otherwise
// keep these gates from verifying anything.
func (h *Handler) admit(size int64) (leave func(), err error) {
	if !h.verifier.Public() {
		return func() {}, nil
	}
	if !h.verifier.OnePiece() {
		size = 0
	}
	if !takeTurn() {
		return nil, &spool.FullError{Cause: errNoTurn}
	}
	budget.Memory.Force(size)
	return sync.OnceFunc(func() {
		budget.Memory.Give(size)
		<-verifications()
	}), nil
}

func takeTurn() bool {
	select {
	case verifications() <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(verificationWait)
	defer patience.Stop()
	select {
	case verifications() <- struct{}{}:
		return true
	case <-patience.C:
		return false
	}
}
