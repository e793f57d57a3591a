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

// kind is what the gate verifies with. Of several, which do not load, it is one; of none, the
// one that the preset needs.
func (h *Handler) kind() signature.Kind {
	switch {
	case len(h.Tokens) > 0:
		return signature.Tokens
	case len(h.PublicKeys) > 0:
		return signature.PublicKeys
	case len(h.Secrets) > 0 || h.Tenants != nil:
		return signature.Secrets
	}
	preset, _ := signature.FindPreset(h.Preset)
	return preset.Scheme.Kind()
}

// findPreset returns the preset for the kind of key that the gate has. A name that exists
// only for another kind says so.
func (h *Handler) findPreset() (signature.Preset, error) {
	preset, ok := signature.FindPresetOf(h.Preset, h.kind())
	if ok || h.Preset == "" {
		return preset, nil
	}
	other, ok := signature.FindPreset(h.Preset)
	if !ok {
		return preset, nil // checkPreset reports what does not exist
	}
	if h.Tenants != nil {
		return preset, mistake.In("tenants", "tenants have secrets, and the sender of the preset %s signs with none; write a gate for each tenant, with %s", h.Preset, other.Scheme.Kind())
	}
	return preset, mistake.In("preset", "%s "+otherKinds[other.Scheme.Kind()], h.Preset, h.kind())
}

// otherKinds say what a sender does, and what to write.
var otherKinds = map[signature.Kind]string{
	signature.Secrets:    "signs with a secret; write secret instead of %s",
	signature.PublicKeys: "signs with a private key; write public_key instead of %s: public_key {file./path}",
	signature.Tokens:     "signs nothing and sends a token; write token instead of %s: token {env.WEBHOOK_TOKEN}",
}

// checkKind reports what does not fit the kind of key that the gate has. What follows from
// it need not be reported too.
func (h *Handler) checkKind() error {
	_, err := h.findPreset()
	var kind error
	switch {
	case min(1, len(h.Secrets))+min(1, len(h.PublicKeys))+min(1, len(h.Tokens)) > 1:
		kind = errManyKinds(h.kind())
	case err != nil:
	default:
		kind = h.scheme().CheckKind(h.kind())
	}
	return errors.Join(err, kind)
}

// errManyKinds is reported at an option that is there.
func errManyKinds(kind signature.Kind) error {
	return mistake.In(kind.String(), "secret, public_key and token exclude each other: a gate verifies with one of them; write a gate of its own for each other one")
}

// errNoKey says which kind of key is missing.
func (h *Handler) errNoKey() error {
	values := map[signature.Kind]string{signature.Secrets: "{env.WEBHOOK_SECRET}", signature.PublicKeys: "{file./path}", signature.Tokens: "{env.WEBHOOK_TOKEN}"}
	kind := h.kind()
	return mistake.In(kind.String(), "it is missing; add: %s %s", kind, values[kind]).Or("secret", "public_key", "token")
}

// noKey reports whether the gate has nothing to verify with.
func (h *Handler) noKey() bool {
	return len(h.Secrets)+len(h.PublicKeys)+len(h.Tokens) == 0 && h.Tenants == nil
}

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
	if h.kind() != signature.PublicKeys {
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
func (m *material) admit(size int64) (leave func(), err error) {
	if !m.verifier.Public() {
		return func() {}, nil
	}
	if !m.verifier.OnePiece() {
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
