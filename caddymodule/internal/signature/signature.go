// Package signature decides whether a webhook delivery is authentic. It knows
// HTTP header fields and bytes, and nothing of Caddy; it uses the standard
// library only, so that one person can read all that decides in one sitting.
//
// # Words
//
// A sender makes deliveries: requests whose body it has signed with a secret that
// it shares with us. How it signs is its scheme. A [Verifier] holds a scheme and
// its secrets; a [Check] is one delivery on its way through it. A [Refusal] says
// why a request is not let through.
//
// # The X-Hub-Signature scheme
//
// One header field carries
//
//	<algorithm>=<hex digits of HMAC(secret, body)>
//
// where body is the message body as it was sent: after transfer coding, before
// content coding, no byte added, removed or re-encoded. An empty body is a body.
//
// The first of the configured fields that is present decides. There is no way
// back to a later field: a sender that offers X-Hub-Signature-256 must not be
// talked down to an older one (GitHub's X-Hub-Signature is SHA-1). The field must
// stand on exactly one line and hold no comma, because recipients disagree on
// which of several values counts.
//
// The algorithm is read from the value and must be allowed; names are lower case.
// The digest has the algorithm's full length: a verifier that compares what it
// was given can be given one byte (CVE-2024-21491). Hex digits count in either
// case. Anything before, after or between is malformed.
//
// All secrets are tried, so that a secret can be rotated without losing a
// delivery. An empty secret does not exist: anyone can compute its HMAC.
package signature

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
)

// DefaultHeaders are the fields of the X-Hub-Signature family, the one that is
// always SHA-256 first.
var DefaultHeaders = []string{"X-Hub-Signature-256", "X-Hub-Signature"}

// MaxSecrets bounds what a forged body can cost: each secret is one more pass
// over it. Rotation needs two.
const MaxSecrets = 16

// A Scheme is how a sender signs.
type Scheme struct {
	Headers    []string // fields that may carry the signature, the first one present decides; none: DefaultHeaders
	Algorithms []string // names allowed in the value; none: the standard ones
}

// A Secret is a key shared with a sender. The name may be shown, the key never.
type Secret struct {
	Name string
	Key  []byte
}

// A Verifier judges deliveries by one scheme. It is immutable and may be used by
// any number of goroutines.
type Verifier struct {
	headers []string
	allowed []bool // by index into algorithms
	secrets []*keyring
}

// A keyring is one secret with its keyed MACs. Keying costs two blocks of hashing,
// so a MAC is keyed once and then reset and used again.
type keyring struct {
	name string
	macs []sync.Pool // of hash.Hash, by index into algorithms
}

// A Match says which secret and algorithm an authentic delivery was signed with.
type Match struct {
	Secret    string
	Algorithm string
}

// Validate reports everything that is wrong with the scheme.
func (s Scheme) Validate() error {
	var errs []error
	for _, name := range s.Headers {
		errs = append(errs, validField(name))
	}
	_, err := allow(s.Algorithms)
	return errors.Join(append(errs, err)...)
}

// New compiles a valid scheme and its secrets, or reports everything that is wrong
// with them. No error shows a secret.
func New(scheme Scheme, secrets []Secret) (*Verifier, error) {
	errs := []error{scheme.Validate()}
	if len(secrets) == 0 || len(secrets) > MaxSecrets {
		errs = append(errs, fmt.Errorf("secret: there are %d; it takes 1 to %d", len(secrets), MaxSecrets))
	}
	v := &Verifier{}
	if len(scheme.Headers) == 0 {
		scheme.Headers = DefaultHeaders
	}
	for _, name := range scheme.Headers {
		v.headers = append(v.headers, http.CanonicalHeaderKey(name))
	}
	v.allowed, _ = allow(scheme.Algorithms)
	for _, s := range secrets {
		k, err := newKeyring(s, v.allowed)
		errs = append(errs, err)
		v.secrets = append(v.secrets, k)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return v, nil
}

// validField reports whether name is a field name (RFC 9110, section 5.1). Caddy
// drops fields with an underscore or a dot before any handler sees them, so such
// a name would refuse every delivery.
func validField(name string) error {
	const token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	if name == "" || strings.Trim(name, token) != "" {
		return fmt.Errorf("header: %q is not a field name of letters, digits and hyphens", name)
	}
	return nil
}

func newKeyring(s Secret, allowed []bool) (*keyring, error) {
	if len(s.Key) == 0 {
		return nil, fmt.Errorf("secret %q is empty", s.Name)
	}
	k := &keyring{name: s.Name, macs: make([]sync.Pool, len(algorithms))}
	for i, ok := range allowed {
		if !ok {
			continue
		}
		mac, err := algorithms[i].keyed(s.Key)
		if err != nil {
			return nil, fmt.Errorf("secret %q: %w", s.Name, err)
		}
		k.macs[i].New = func() any { return hmac.New(algorithms[i].new, s.Key) }
		k.macs[i].Put(mac)
	}
	return k, nil
}

// A Check verifies one delivery: [Verifier.Begin] makes it from the header fields,
// Write takes the body as it arrives, End gives the verdict. It is used once and
// by one goroutine.
type Check struct {
	verifier  *Verifier
	algorithm int
	mac       hash.Hash // keyed with the first secret
	digest    [maxDigest]byte
	computed  [maxDigest]byte
}

// Begin judges the header fields alone, so that a request without a usable
// signature is refused before a byte of its body is read. The error is a Refusal.
func (v *Verifier) Begin(fields http.Header) (*Check, error) {
	value, err := v.field(fields)
	if err != nil {
		return nil, err
	}
	c := &Check{verifier: v}
	if err := c.parse(value); err != nil {
		return nil, err
	}
	c.mac = v.secrets[0].take(c.algorithm)
	return c, nil
}

// field returns the one value that decides.
func (v *Verifier) field(fields http.Header) (string, error) {
	for _, name := range v.headers {
		lines := fields[name]
		if len(lines) > 1 {
			return "", AmbiguousSignature
		}
		if len(lines) == 1 {
			return lines[0], nil
		}
	}
	return "", MissingSignature
}

// parse reads <algorithm>=<hex>, strictly from end to end.
func (c *Check) parse(value string) error {
	if strings.Contains(value, ",") {
		return AmbiguousSignature
	}
	name, digits, found := strings.Cut(value, "=")
	if !found || name == "" {
		return MalformedSignature
	}
	c.algorithm = find(name)
	if c.algorithm < 0 || !c.verifier.allowed[c.algorithm] {
		return AlgorithmNotAllowed
	}
	if len(digits) != hex.EncodedLen(algorithms[c.algorithm].size) {
		return MalformedSignature
	}
	if _, err := hex.Decode(c.digest[:], []byte(digits)); err != nil {
		return MalformedSignature
	}
	return nil
}

// Write adds the next bytes of the body. It never fails.
func (c *Check) Write(p []byte) (int, error) { return c.mac.Write(p) }

// End gives the verdict on the body written. Where the first secret does not
// match, replay is called once for each other one and must write the whole body
// again. The error is SignatureMismatch, or what replay returned.
func (c *Check) End(replay func(io.Writer) error) (Match, error) {
	if c.matches(c.verifier.secrets[0], c.mac) {
		return c.match(0), nil
	}
	for i, secret := range c.verifier.secrets[1:] {
		mac := secret.take(c.algorithm)
		if err := replay(mac); err != nil {
			return Match{}, err
		}
		if c.matches(secret, mac) {
			return c.match(i + 1), nil
		}
	}
	return Match{}, SignatureMismatch
}

func (c *Check) match(secret int) Match {
	return Match{Secret: c.verifier.secrets[secret].name, Algorithm: algorithms[c.algorithm].name}
}

// matches is the one place where digests are compared: in constant time, over
// decoded bytes, at full length. The MAC goes back to its keyring.
func (c *Check) matches(k *keyring, mac hash.Hash) bool {
	size := algorithms[c.algorithm].size
	equal := hmac.Equal(mac.Sum(c.computed[:0]), c.digest[:size])
	k.put(c.algorithm, mac)
	return equal
}

func (k *keyring) take(algorithm int) hash.Hash { return k.macs[algorithm].Get().(hash.Hash) }

func (k *keyring) put(algorithm int, mac hash.Hash) {
	mac.Reset()
	k.macs[algorithm].Put(mac)
}
