package signature

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// A Scheme is how a sender signs: a row of data, with no code of its own. What is
// left empty has the value of the X-Hub-Signature scheme.
type Scheme struct {
	// Headers are the fields that may carry the signature. The first one present
	// decides, or each one that is present where AnyHeader is set.
	Headers   []string
	AnyHeader bool
	// Algorithms are the names allowed for {alg}. A pattern without {alg} takes
	// exactly one; sha256 where none is named.
	Algorithms []string
	// Signature is the pattern of the field's value, see the package doc.
	Signature string
	// Payload is the template of what is signed, see the package doc.
	Payload string
	// Timestamp is the field that holds {ts}, or "{ts}" where the pattern does.
	Timestamp string
	// TimestampUnit is s, ms, rfc3339 or http.
	TimestampUnit string
	// Tolerance is how far {ts} may be from now, in the past and in the future. Ahead is
	// how far in the future, where a sender's own library allows more of it: a clock
	// that is behind is no replay.
	Tolerance time.Duration
	Ahead     time.Duration
	// SecretEncoding is how the secret's text stands for the key: text (the bytes
	// themselves), base64 or hex.
	SecretEncoding string
	// SecretPrefix is not part of the key where the secret begins with it.
	SecretPrefix string
	// KeyID is the field that names the public key. Empty: all of them are tried.
	KeyID string
}

// DefaultHeaders are the fields of the X-Hub-Signature family, the one that is
// always SHA-256 first.
var DefaultHeaders = []string{"X-Hub-Signature-256", "X-Hub-Signature"}

// DefaultTolerance is what Standard Webhooks, Stripe and Slack ask for.
const DefaultTolerance = 5 * time.Minute

// MaxTolerance is how far a time may be off at most: beyond a day it would bound
// nothing that matters.
const MaxTolerance = 24 * time.Hour

// Or returns s with what it leaves empty taken from base.
func (s Scheme) Or(base Scheme) Scheme {
	if len(s.Headers) == 0 {
		s.Headers, s.AnyHeader = base.Headers, s.AnyHeader || base.AnyHeader
	}
	if len(s.Algorithms) == 0 {
		s.Algorithms = base.Algorithms
	}
	if s.SecretEncoding == "" {
		s.SecretEncoding, s.SecretPrefix = base.SecretEncoding, cmp.Or(s.SecretPrefix, base.SecretPrefix)
	}
	if s.Timestamp == "" {
		s.Timestamp, s.TimestampUnit = base.Timestamp, cmp.Or(s.TimestampUnit, base.TimestampUnit)
	}
	if s.Tolerance == 0 {
		s.Tolerance, s.Ahead = base.Tolerance, cmp.Or(s.Ahead, base.Ahead)
	}
	s.KeyID = cmp.Or(s.KeyID, base.KeyID)
	s.Signature = cmp.Or(s.Signature, base.Signature)
	s.Payload = cmp.Or(s.Payload, base.Payload)
	return s
}

// A scheme is a Scheme compiled for the request path.
type scheme struct {
	headers   []string // canonical
	anyHeader bool
	allowed   []bool // by index into algorithms
	fixed     int    // the algorithm of a pattern without {alg}; otherwise -1
	pattern   pattern
	payload   payload
	clock     clock
	key       keyCoding
	keyID     string     // canonical; empty: the scheme has none
	token     *tokenForm // nil: the field carries a signature
}

// public returns the algorithm of a scheme with public keys, or nil.
func (s *scheme) public() *algorithm {
	if s.fixed < 0 || algorithms[s.fixed].public == nil {
		return nil
	}
	return &algorithms[s.fixed]
}

// Validate reports everything that is wrong with s.
func (s Scheme) Validate() error {
	_, err := s.compile()
	return err
}

// Tolerances returns how far {ts} may be from now, in the past and in the future.
func (s Scheme) Tolerances() (past, ahead time.Duration) {
	past = cmp.Or(s.Tolerance, DefaultTolerance)
	return past, cmp.Or(s.Ahead, past)
}

// NeedsURL reports whether the payload holds {url}.
func (s Scheme) NeedsURL() bool { return strings.Contains(s.Payload, "{url}") }

// NeedsTarget reports whether the payload holds {path_query}.
func (s Scheme) NeedsTarget() bool { return strings.Contains(s.Payload, "{path_query}") }

// Message describes what is signed. Under one key, a delivery of one message may be a
// delivery of another one, with another body: a signature over `{ts}.{body}` is one over
// a `{body}` that begins with the time. With a token, it describes where that is.
func (s Scheme) Message() string {
	if s.Tokens() {
		return s.Signature + " in " + http.CanonicalHeaderKey(strings.Join(s.Headers, " "))
	}
	payload := cmp.Or(s.Payload, DefaultPayload)
	if strings.Contains(payload, "{ts}") {
		payload += " with {ts} in " + cmp.Or(s.TimestampUnit, "s")
	}
	return payload
}

func (s Scheme) compile() (*scheme, error) {
	if s.Tokens() {
		return s.compileToken()
	}
	var errs [9]error
	c := &scheme{anyHeader: s.AnyHeader}
	c.headers, errs[0] = canonical(s.Headers)
	c.pattern, errs[1] = compilePattern(cmp.Or(s.Signature, DefaultSignature))
	c.allowed, c.fixed, errs[2] = allow(s.Algorithms, c.pattern.named || errs[1] != nil)
	c.payload, errs[3] = compilePayload(cmp.Or(s.Payload, DefaultPayload), !s.isDate())
	c.clock, errs[4] = s.compileClock(c, errs[1] == nil && errs[3] == nil)
	c.key, errs[5] = compileKeyCoding(s.SecretEncoding, s.SecretPrefix)
	if s.AnyHeader && (c.pattern.named || c.pattern.stamped || c.pattern.nonced) {
		errs[6] = mistake.In("header", "any_of: each of several fields may carry a signature only where the signature pattern has none of {alg}, {ts} and {nonce}; write for example: signature {hex}").Or("signature")
	}
	errs[7] = s.compileKeyID(c)
	if errs[1] == nil && errs[3] == nil {
		errs[8] = c.checkNonce()
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return c, nil
}

// checkNonce refuses a word of the signature that is not signed, which anyone can write
// anew, and one that no signature has.
func (s *scheme) checkNonce() error {
	switch signed, sent := s.payload.nonced, s.pattern.nonced; {
	case sent && !signed:
		return mistake.In("signature", "{nonce} is not signed: it is not in the payload; write for example: payload {nonce}.{body}").Or("payload")
	case signed && !sent:
		return mistake.In("payload", "{nonce} is a word of the signature, and its pattern has none; write for example: signature t={nonce},s={hex}. What is in a field of its own is {header.NAME}").Or("signature")
	}
	return nil
}

// compileKeyID checks what only schemes with public keys have, or never have.
func (s Scheme) compileKeyID(c *scheme) error {
	a := c.public()
	var errs []error
	if s.KeyID != "" {
		c.keyID = http.CanonicalHeaderKey(s.KeyID)
		errs = append(errs, validField("key_id", s.KeyID))
	}
	for _, rule := range []struct {
		broken       bool
		option, text string
	}{
		{s.KeyID != "" && a == nil, "key_id", "it is the field that names a public key, and this scheme has secrets; take it out, or write public_key"},
		{a != nil && s.SecretEncoding+s.SecretPrefix != "", "secret_encoding", "it is for secrets; the form of a public key is found without it"},
		{a != nil && len(s.Headers) == 0, "header", "a sender with a private key has no usual one; write the field that carries the signature"},
		{c.pattern.raw && (a == nil || !a.public.pairs), "signature", "{raw_hex}, {raw_base64} and {raw_base64url} are r and s of an ECDSA signature; write it without raw_"},
	} {
		if rule.broken {
			errs = append(errs, mistake.In(rule.option, "%s", rule.text))
		}
	}
	return errors.Join(errs...)
}

// Public reports whether a public key verifies the scheme's signatures.
func (s Scheme) Public() bool {
	return slices.ContainsFunc(s.Algorithms, func(name string) bool {
		i := find(name)
		return i >= 0 && algorithms[i].public != nil
	})
}

// A Kind is what a gate verifies with. A gate has one.
type Kind int

// The kinds.
const (
	Secrets Kind = iota
	PublicKeys
	Tokens
)

var kinds = []Kind{Secrets, PublicKeys, Tokens}

// String is the option that gives a gate one of the kind.
func (k Kind) String() string { return []string{"secret", "public_key", "token"}[k] }

// Kind is what verifies the scheme's deliveries.
func (s Scheme) Kind() Kind {
	switch {
	case s.Tokens():
		return Tokens
	case s.Public():
		return PublicKeys
	}
	return Secrets
}

// CheckKind reports a scheme that is not for the kind of key that there is.
func (s Scheme) CheckKind(kind Kind) error {
	switch have := s.Kind(); {
	case have == kind:
		return nil
	case kind == Tokens:
		return mistake.In("signature", "with token it holds {token} or {token_base64}, and nothing else but text in front of it; write for example: signature \"Bearer {token}\"")
	case have == Tokens:
		return mistake.In("signature", "{token} and {token_base64} are for a gate with token, and this one verifies with %s; write token instead, or {hex} or {base64} for a digest", kind)
	case kind == PublicKeys:
		return mistake.In("algorithms", "with public_key one must be named, because it is never taken from the key or the request; there are %s", known(true))
	}
	return mistake.In("algorithms", "%s verifies with a public key, and this gate has a secret; write public_key instead of secret, or an algorithm of %s",
		strings.Join(s.Algorithms, " "), known(false))
}

// OnePiece reports whether bodies are verified in one piece, see [Verifier.OnePiece].
func (s Scheme) OnePiece() bool {
	return !s.SignsHash() && slices.ContainsFunc(s.Algorithms, func(name string) bool {
		i := find(name)
		return i >= 0 && algorithms[i].new == nil
	})
}

func canonical(names []string) ([]string, error) {
	if len(names) == 0 {
		names = DefaultHeaders
	}
	var errs []error
	headers := make([]string, len(names))
	for i, name := range names {
		if err := validField("header", name); err != nil {
			errs = append(errs, err)
		}
		headers[i] = http.CanonicalHeaderKey(name)
		if slices.Contains(headers[:i], headers[i]) {
			errs = append(errs, mistake.In("header", "%s is named twice; keep one", mistake.Show(name)))
		}
	}
	return headers, errors.Join(errs...)
}

// validField reports whether name is a field name (RFC 9110, section 5.1). Caddy
// drops fields with an underscore or a dot before any handler sees them, so such
// a name would refuse every delivery.
func validField(option, name string) error {
	if err := fieldProblem(name); err != nil {
		return mistake.In(option, "%w", err)
	}
	return nil
}

func fieldProblem(name string) error {
	if slices.Contains([]string{"Host", "Trailer", "Transfer-Encoding"}, http.CanonicalHeaderKey(name)) {
		return fmt.Errorf("%q is not left in the header section by net/http; no scheme can use it", name)
	}
	const token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	if name != "" && strings.Trim(name, token) == "" {
		return nil
	}
	problem := mistake.Show(name) + " is not a field name; write one of letters, digits and hyphens"
	better := strings.Trim(strings.NewReplacer("_", "-", " ", "-").Replace(name), ": ")
	if better != "" && strings.Trim(better, token) == "" && !mistake.MayBeSecret(name) {
		problem += "; did you mean " + better + "?"
	}
	return errors.New(problem)
}
