// Package signature decides whether a webhook delivery is authentic. It knows
// HTTP header fields and bytes, and nothing of Caddy; it uses the standard
// library only, so that one person can read all that decides in one sitting.
//
// # Words
//
// A sender makes deliveries: requests whose body it has signed with a secret that
// it shares with us, or with a private key of its own. How it signs is its [Scheme]; a
// named one is a [Preset]. A [Verifier] holds a scheme and its secrets, or the sender's
// public keys; a [Check] is one delivery on its way
// through it. A [Refusal] says why a request is not let through. A gate is one
// verifier in the configuration, and what stands behind it is the app.
//
// # What is signed
//
// The payload template says over which bytes the HMAC or the signature is made:
//
//	{body}           the message body as it was sent: after transfer coding, before
//	                 content coding, no byte added, removed or re-encoded. An empty
//	                 body is a body.
//	{body_sha256} {body_sha512}
//	                 a hash of that body in hex, lower case
//	{body_sha256_base64} {body_sha512_base64}
//	                 the same in base64 with padding
//	{ts}             the time of signing, as it was sent
//	{nonce}          a word of the signature field, see below
//	{header.NAME}    the value of a field, which must be on exactly one line
//	{method}         the request's method, before any rewrite
//	{path_query}     the request target as it arrived, before any rewrite: path and
//	                 query, byte for byte. It begins with '/'
//	{url}            its URL as the sender knows it, the same for every delivery; in
//	                 front of {path_query}, what comes before the path
//	{lf} {cr} {tab}  a line feed, a carriage return, a tab; with \n, \r or \t the
//	                 template does not compile
//
// and text in between, without braces. The body or one hash of it stands there exactly
// once. So "{body}" is X-Hub-Signature, "{ts}.{body}" is Stripe, and
// "{header.webhook-id}.{ts}.{body}" is Standard Webhooks.
//
// A hash is computed from the body that was received, and never taken from a field.
//
// The signed bytes parse in exactly one way. Otherwise bytes of a captured delivery
// could be moved from one part to another, and it would be another delivery under
// the same signature. So what follows a {header.NAME}, {nonce}, {method} or {path_query} in
// front of the body, and what precedes it behind the body, must end its value, or the
// template does not compile:
//
//   - Text ends it; the value must not hold that text. The text beside {path_query} has a
//     byte that no target has (RFC 3986), such as a blank or {lf}: otherwise targets that
//     hold it would be refused.
//   - {ts} or {url} end a field, a nonce or a method: the field and the nonce then have at
//     most 512 letters, digits, '-' and '_', and the method letters alone. Where a field or
//     a nonce is beside a {ts} that is a number, the other side of {ts} must be text that
//     has another character there, {url}, {path_query} behind it, or an end of what is
//     signed.
//   - {path_query} ends what is in front of it, which must not hold a '/'.
//
// A hash has one length. So with one instead of {body}, one of these parts may be without
// an end, if the rule holds for the others as seen from it: "{path_query}{body_sha256}" and
// "{method}{path_query}{ts}{body_sha256}" compile. {path_query} and {body} without text
// between them do not: "/a?b=1" and "2" are also "/a?b=12" and "".
//
// # What the field holds
//
// The signature pattern says how the field's value is built. It is strict from
// end to end.
//
//	{hex} {base64} {base64url}  the digest, at the algorithm's full length; hex in
//	                            either case, base64 with padding or without
//	{raw_hex} {raw_base64} {raw_base64url}
//	                            an ECDSA signature as two numbers of full length
//	{alg}                       the name of the algorithm, lower case, at the very
//	                            beginning; it must be allowed
//	{ts}                        the time of signing
//	{nonce}                     a word that is signed, and is no time: it must be in the
//	                            payload
//	...                         at the end, behind a blank, comma or semicolon: a
//	                            list of signatures with that separator
//
// and text in between, without braces. There is one digest. Behind {alg} there is
// text that no algorithm's name holds: "{alg}={hex}" is X-Hub-Signature. Without {alg}
// the scheme has one algorithm.
//
// A pattern with {ts}, {nonce} or "..." is a list of items with one separator, in any order,
// each behind a tag of its own: "t={ts},v1={hex}" is Stripe, "v1,{base64} ..." is
// Standard Webhooks. No tag holds the separator, nor begins with another one. In the
// value, blanks may follow a comma or semicolon. There may be 64 items, none of them
// empty, and among them 1 to 16 with the tag of the digest and exactly one with that
// of the time, and of the nonce. Any digest may match. An item with neither tag is skipped, whatever it
// looks like: senders add versions. So is one with the digest's tag that does not
// decode, if another one of the field does: what is not a digest matches nothing. A
// pattern with none of these is one item.
//
// "{ts},{hex},..." is a list without tags (Recurly): the first item is the time, and the
// others are 1 to 16 digests. There, what is no digest is malformed.
//
// # Which field
//
// The first of the configured fields that is present decides. There is no way
// back to a later one: a sender that offers X-Hub-Signature-256 must not be talked
// down to an older one (GitHub's X-Hub-Signature is SHA-1). Where a scheme says so,
// each of the fields carries a signature, under one key each, and any may match;
// then the pattern has none of {alg}, {ts} and {nonce}, and each field that is present must
// be well formed.
//
// A field must stand on exactly one line, and hold no comma where it is no list:
// recipients disagree on which of several values counts. Names of fields are
// letters, digits and '-'.
//
// # When
//
// A time is a number of at most 15 digits in seconds or milliseconds since 1970,
// without a sign or zeros in front, or a date of RFC 3339, with T and Z as capitals
// and a point as the decimal mark. A date may be without its zone, and is UTC then,
// where text follows each {ts} in the payload that begins with none of '.', ',', 'Z',
// '+', '-' and digits, or {path_query}; otherwise a part of the body could be taken for its
// end. Or it is a date as HTTP writes it (IMF-fixdate of RFC 9110, section 5.6.7), with the
// right day of the week.
//
// The time is in the signature, or in a field of its own on exactly one line. It lies
// within the tolerance, in the past or in the future; a preset may have one for each.
// It must be part of what is signed; a scheme in which it is not does not compile.
//
// # The secret
//
// All secrets are tried, so that one can be rotated without losing a delivery.
// The key is the secret's text, or what it stands for in base64 or hex, without the
// prefix if the scheme has one and the secret begins with it. An empty key does not
// exist, and neither does one of zero bytes alone, which HMAC takes for the empty key:
// anyone can compute its HMAC.
//
// # The public key
//
// The algorithm comes from the scheme alone, and there is exactly one: ed25519,
// ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-v1_5-sha256, rsa-v1_5-sha512 or
// rsa-pss-sha512, whose salt is as long as the hash. A scheme has either secrets or public
// keys, because a public key taken for a secret would let everyone sign. With public keys
// its pattern has no {alg}.
//
// A key is SPKI or a certificate in PEM, SPKI in base64, or the 32 bytes of an Ed25519
// key in hex, base64 or base64url, behind whpk_ or not. It must be of the algorithm's type
// and curve; an RSA key has 2048 to 8192 bits and an odd exponent from 3 to 2^31-1; an
// Ed25519 key is a point of the curve in its one encoding, and not of small order, because
// under such a key one signature is that of many messages. A certificate counts for its
// key: neither its time nor its issuer is judged.
//
// An ECDSA signature is DER with nothing behind it, or raw; both numbers are from 1 to the
// order less one. An Ed25519 signature has 64 bytes and an S below the order. An RSA
// signature is as long as the modulus of one of the keys. A
// signature that does not have this form is malformed, and is refused before the body is
// read.
//
// All keys are tried, or only the one that the KeyID field names; that field must be on
// exactly one line. At most 16 pairs of a key and a signature are tried; with Ed25519 and a
// body over 64 KiB as many as hash 1 MiB in all, but two for each key.
//
// ECDSA and RSA are made over a hash, into which the body streams. Ed25519 takes what is
// signed in one piece: all of it is in memory once more while it is verified, unless a hash
// of the body is signed.
//
// # Tokens
//
// A sender may sign nothing, and send a token instead: the same text with each delivery.
// Then the pattern is {token}, or {token_base64} for the token in base64, with text in front
// of it or none, and there is exactly one field, no algorithm, no time and no key id. A
// token is 1 to 4096 characters of printable ASCII without a blank at either end.
//
// The field must be on exactly one line. The SHA-256 of its value is compared with that of
// each token as the pattern writes it, all of them, in constant time. That is the whole
// verdict, before a byte of the body. Nothing protects the body, and nothing bounds
// repetition: whoever has seen one request has the token.
//
// The payload says what makes a delivery, for a fingerprint alone; it needs no {ts}, and
// does not hold the token's field. It is as strict as for a signature, so that two
// deliveries never have one fingerprint.
//
// # The verdict
//
// The header section is judged first, without a byte of the body: presence, form,
// algorithm, length of the digest, time, the other fields that are signed. Then the
// HMAC is made over the payload, under each secret until one gives one of the
// digests, or each public key is asked for each signature. The first check that fails is
// the [Refusal].
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// A Verifier judges deliveries by one scheme. It is immutable and may be used by
// any number of goroutines.
type Verifier struct {
	scheme *scheme
	keys   []*keyring // secrets, or public keys
	names  map[string]int
	most   int       // bytes of a signature
	checks sync.Pool // of *Check

	printKey []byte // of the fingerprints; nil: there are none
}

// A Match says which secret or public key and algorithm an authentic delivery was signed
// with, or which token it has.
type Match struct {
	Secret    string // the name of the secret, public key or token
	Algorithm string // of the signature; empty: there is none, only a token
	key       *keyring

	fingerprint [sha256.Size]byte // zero unless the verifier makes them
}

// A Delivery is what a verifier is told of a request before its body.
type Delivery struct {
	Header http.Header
	Method string
	URL    string    // as the sender knows it; read only where the payload holds {url}
	Target string    // path and query as they arrived; read only where it holds {path_query}
	Now    time.Time // zero: the system's clock
}

func (d *Delivery) now() time.Time {
	if d.Now.IsZero() {
		return time.Now()
	}
	return d.Now
}

// New compiles a scheme and its secrets, or reports everything that is wrong with
// them. No error shows a secret.
func New(s Scheme, secrets []Secret) (*Verifier, error) {
	wrong := s.CheckKind(Secrets)
	return compile(s, "secret", secrets, newKeyring, wrong)
}

// NewPublic compiles a scheme and the public keys of its sender. No error shows a key.
func NewPublic(s Scheme, keys []PublicKey) (*Verifier, error) {
	wrong := s.CheckKind(PublicKeys)
	if wrong != nil {
		s.Algorithms, keys = nil, nil // the rest is checked as it is
	}
	v, err := compile(s, "public_key", keys, newPublicKeyring, wrong)
	if err != nil {
		return nil, err
	}
	return v, v.nameKeys()
}

func compile[K any](s Scheme, option string, keys []K, newKey func(K, *scheme) (*keyring, error), wrong error) (*Verifier, error) {
	scheme, err := s.compile()
	errs := []error{err, wrong}
	if wrong == nil && checkNumber(option, len(keys)) != nil {
		errs = append(errs, checkNumber(option, len(keys)))
	}
	v := &Verifier{scheme: scheme, most: maxDigest}
	for _, key := range keys {
		if scheme == nil || wrong != nil {
			break
		}
		k, err := newKey(key, scheme)
		errs = append(errs, err)
		v.keys = append(v.keys, k)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	v.checks.New = func() any { return v.newCheck() }
	return v, nil
}

// CheckNumber reports a number of secrets, public keys or tokens that no gate can have.
func CheckNumber(kind Kind, n int) error { return checkNumber(kind.String(), n) }

// CheckPublicKeys reports a number of public keys that no gate can have.
func CheckPublicKeys(n int) error { return checkNumber("public_key", n) }

func checkNumber(option string, n int) error {
	if n == 0 || n > MaxSecrets {
		return mistake.In(option, "there are %d; it takes 1 to %d", n, MaxSecrets)
	}
	return nil
}

// nameKeys lets a field choose among public keys.
func (v *Verifier) nameKeys() error {
	v.names, v.most = make(map[string]int), 0
	for i, k := range v.keys {
		if _, twice := v.names[k.name]; twice && v.scheme.keyID != "" {
			return mistake.In("public_key", "the name %q is used twice, and key_id chooses by it; give each key a name of its own", k.name)
		}
		v.names[k.name] = i
		v.most = max(v.most, k.public.size)
	}
	return nil
}

// OnePiece reports whether a body is verified in one piece, so that all of it is held in
// memory while it is.
func (v *Verifier) OnePiece() bool {
	a := v.scheme.public()
	return a != nil && a.new == nil && v.scheme.payload.hash == nil
}

// Public reports whether the verifier holds public keys, so that a verdict costs more
// than a pass over the body.
func (v *Verifier) Public() bool { return v.scheme.public() != nil }

// Rescheme returns a verifier that judges header sections by another scheme, for the same
// public keys. It parses no key, so that it costs little.
func (v *Verifier) Rescheme(s Scheme) (*Verifier, error) {
	scheme, err := s.compile()
	if err != nil {
		return nil, err
	}
	if scheme.public() == nil || scheme.public() != v.scheme.public() {
		return nil, mistake.In("algorithms", "these keys are of another algorithm")
	}
	other := &Verifier{scheme: scheme, keys: v.keys, names: v.names, most: v.most}
	other.checks.New = func() any { return other.newCheck() }
	return other, nil
}

// ShortKeys returns the names of secrets whose key has fewer than n bytes.
func (v *Verifier) ShortKeys(n int) []string {
	var names []string
	for _, k := range v.keys {
		if k.public == nil && k.size < n {
			names = append(names, k.name)
		}
	}
	return names
}

// A Check verifies one delivery: [Verifier.Begin] makes it from the header fields,
// Write takes the body as it arrives, End gives the verdict. It is used by one
// goroutine, and never after End: then it serves another delivery.
type Check struct {
	verifier  *Verifier
	found     found
	algorithm int
	keys      []*keyring  // that may have signed: all, or the one that is named
	macs      []hash.Hash // by algorithm, keyed with the first secret once needed
	mac       hash.Hash   // the one of this delivery; nil: it is verified in one piece
	size      int         // of the body or its hash, where it is verified in one piece
	around    []byte      // the payload before the body, then the payload after it
	split     int         // where the one ends and the other begins
	parts     []int       // the lengths of what it is made of
	slots     []byte      // room for the signatures
	sizes     [maxSignatures]int
	computed  [maxDigest]byte
	message   []byte    // what is signed, in one piece
	printer   hash.Hash // of fingerprints, once needed
	hasher    hash.Hash // of what was signed, likewise
	frame     []byte    // of it
	bodyHash  hash.Hash // that is signed instead of the body; nil: the body is
	hashed    []byte    // its text
}

func (v *Verifier) newCheck() *Check {
	c := &Check{verifier: v, macs: make([]hash.Hash, len(algorithms)), slots: make([]byte, maxSignatures*v.slot())}
	if h := v.scheme.payload.hash; h != nil {
		c.bodyHash, c.hashed = h.new(), make([]byte, 0, 2*maxSum)
	}
	return c
}

// slot is the room of one signature: decoders write two bytes more, and DER is longer
// than raw.
func (v *Verifier) slot() int { return v.most + 2 }

// signature returns a signature of the delivery.
func (c *Check) signature(i int) []byte {
	return c.slots[i*c.verifier.slot():][:c.sizes[i]]
}

// Begin judges the header fields alone, so that a request without a usable
// signature is refused before a byte of its body is read. The error is a Refusal.
func (v *Verifier) Begin(d *Delivery) (*Check, error) {
	c := v.checks.Get().(*Check)
	if err := c.begin(d); err != nil {
		v.checks.Put(c)
		return nil, err
	}
	return c, nil
}

// begin touches the MAC last, when nothing can fail any more.
func (c *Check) begin(d *Delivery) error {
	if c.verifier.scheme.token != nil {
		return c.beginToken(d)
	}
	c.found.algorithm, c.found.stamp, c.found.nonce, c.found.n = "", "", "", 0
	if err := c.nameKey(d); err != nil {
		return err
	}
	if err := c.read(d); err != nil {
		return err
	}
	if err := c.render(d); err != nil {
		return err
	}
	c.mac, c.size = nil, 0
	if algorithms[c.algorithm].new == nil {
		return nil
	}
	c.mac = c.macs[c.algorithm]
	if c.mac == nil {
		c.mac = c.verifier.keys[0].take(c.algorithm)
		c.macs[c.algorithm] = c.mac
	}
	c.open(c.mac)
	return nil
}

// nameKey finds the keys that may have signed. What the field says chooses among the
// gate's own keys and nothing else, so that it need not be signed.
func (c *Check) nameKey(d *Delivery) error {
	c.keys = c.verifier.keys
	field := c.verifier.scheme.keyID
	if field == "" {
		return nil
	}
	id, err := d.single(field)
	if err != nil {
		return err
	}
	i, ok := c.verifier.names[id]
	if !ok {
		return refusal.KeyUnknown
	}
	c.keys = c.keys[i : i+1]
	return nil
}

// read takes the fields that count apart.
func (c *Check) read(d *Delivery) error {
	scheme, present := c.verifier.scheme, false
	for _, name := range scheme.headers {
		lines := d.Header[name]
		if len(lines) > 1 {
			return refusal.AmbiguousSignature
		}
		if len(lines) == 0 {
			continue
		}
		if err := c.readField(lines[0]); err != nil {
			return err
		}
		if present = true; !scheme.anyHeader {
			break
		}
	}
	if !present {
		return refusal.MissingSignature
	}
	return nil
}

func (c *Check) readField(value string) error {
	from := c.found.n
	if err := c.verifier.scheme.pattern.read(value, &c.found); err != nil {
		return err
	}
	if err := c.choose(); err != nil {
		return err
	}
	return c.decode(from)
}

func (c *Check) choose() error {
	scheme := c.verifier.scheme
	c.algorithm = scheme.fixed
	if scheme.pattern.named {
		c.algorithm = find(c.found.algorithm)
	}
	if c.algorithm < 0 || !scheme.allowed[c.algorithm] {
		return refusal.AlgorithmNotAllowed
	}
	return nil
}

// decode takes only digests of full length (CVE-2024-21491), and only signatures that
// one of the keys could have made, of one field: those from the index on. A list with tags
// keeps what decodes. Each pair of a public key and a signature costs a verification, so that
// there are no more than there would be of either.
func (c *Check) decode(from int) error {
	list, kept := c.verifier.scheme.pattern.lenient(), from
	for i := from; i < c.found.n; i++ {
		if c.decodeInto(kept, c.found.signatures[i]) {
			kept++
		} else if !list {
			return refusal.MalformedSignature
		}
	}
	if c.found.n = kept; kept == from || c.Verifications() > maxSignatures {
		return refusal.MalformedSignature
	}
	return nil
}

// Verifications is how many times a public key is asked at most. With secrets it is 0.
func (c *Check) Verifications() int {
	if !c.verifier.Public() {
		return 0
	}
	return c.found.n * len(c.keys)
}

func (c *Check) decodeInto(i int, text string) bool {
	a, pattern, slot := &algorithms[c.algorithm], &c.verifier.scheme.pattern, c.verifier.slot()
	room := c.slots[i*slot:][:slot:slot]
	if a.public == nil {
		n, ok := pattern.decode(room, a.size, text)
		c.sizes[i] = n
		return ok && n == a.size
	}
	n, ok := pattern.decode(room, c.verifier.most, text)
	if !ok {
		return false
	}
	n, ok = a.public.form(room, n, pattern.raw)
	c.sizes[i] = n
	return ok && slices.ContainsFunc(c.keys, func(k *keyring) bool { return k.public.takes(n) })
}

// render judges the time and writes out what is signed around the body.
func (c *Check) render(d *Delivery) error {
	scheme := c.verifier.scheme
	stamp, err := scheme.clock.read(d, c.found.stamp)
	if err != nil {
		return err
	}
	c.around, c.parts = c.around[:0], c.parts[:0]
	parts, body := scheme.payload.parts, scheme.payload.body
	if err := c.renderParts(parts[:body], d, stamp); err != nil {
		return err
	}
	c.split = len(c.around)
	return c.renderParts(parts[body+1:], d, stamp)
}

// open starts a MAC with what is signed before the body. A MAC never fails.
func (c *Check) open(mac hash.Hash) {
	if c.split > 0 {
		_, _ = mac.Write(c.around[:c.split])
	}
}

// Write adds the next bytes of the body. It never fails.
func (c *Check) Write(p []byte) (int, error) {
	switch {
	case c.bodyHash != nil:
		return c.bodyHash.Write(p)
	case c.mac == nil:
		c.size += len(p)
		return len(p), nil
	}
	return c.mac.Write(p)
}

// End gives the verdict on the body written. Where the first secret does not
// match, body writes the whole body again for each other one; where it is verified in one
// piece, once. The error is SignatureMismatch, and the Match then holds the algorithm
// alone, or what body returned.
//
// As soon as a signature matches, settled is called: what follows, the fingerprint of a
// large body for instance, asks no public key any more.
func (c *Check) End(body io.WriterTo, settled ...func()) (Match, error) {
	defer c.done()
	if c.verifier.scheme.token != nil {
		return c.endToken(), nil
	}
	if c.Verifications() > c.mayVerify() {
		return Match{}, refusal.MalformedSignature
	}
	if c.bodyHash != nil {
		body = c.hashBody()
	}
	signed, err := c.signed(body)
	for i, key := range c.keys {
		if err == nil && i > 0 && key.public == nil {
			signed, err = c.again(key, body)
		}
		if err != nil {
			return Match{}, err
		}
		if c.matches(key, signed) {
			for _, settle := range settled {
				settle()
			}
			return c.match(key, signed, body)
		}
	}
	return Match{Algorithm: algorithms[c.algorithm].name}, refusal.SignatureMismatch
}

// maxPieces is how many bytes all verifications of a body in one piece hash together, at
// the most pairs: each of them begins with the first byte.
const maxPieces = 1 << 20

// mayVerify is how many pairs of a key and a signature are tried of a delivery. Of a large
// body in one piece they are two for each key, which is what a sender sends while it
// changes its own.
func (c *Check) mayVerify() int {
	if !c.verifier.OnePiece() || c.size == 0 {
		return maxSignatures
	}
	return max(2*len(c.keys), min(maxSignatures, maxPieces/c.size))
}

// maxKept is how much room for a body in one piece waits for the next one.
const maxKept = 16 << 10

// Abandon gives up a check of which no byte of the body was read.
func (c *Check) Abandon() {
	if c.mac != nil {
		c.mac.Reset()
	}
	c.done()
}

func (c *Check) done() {
	if cap(c.message) > maxKept {
		c.message = nil
	}
	c.verifier.checks.Put(c)
}

// signed returns the MAC under the first secret, or what a public key verifies.
func (c *Check) signed(body io.WriterTo) ([]byte, error) {
	if c.mac != nil {
		return c.sum(c.mac, c.computed[:0]), nil
	}
	if whole := len(c.around) + c.size; cap(c.message) < whole {
		c.message = make([]byte, 0, whole)
	}
	c.message = append(c.message[:0], c.around[:c.split]...)
	if _, err := body.WriteTo((*room)(&c.message)); err != nil {
		return nil, err
	}
	c.message = append(c.message, c.around[c.split:]...)
	return c.message, nil
}

// A room takes no more than it was made for. A body that is longer than its counted
// length is an error: it is not the body that was counted.
type room []byte

var errLonger = errors.New("the body is longer than it was")

func (r *room) Write(p []byte) (int, error) {
	if len(p) > cap(*r)-len(*r) {
		return 0, errLonger
	}
	*r = append(*r, p...)
	return len(p), nil
}

// again makes the whole MAC under another secret.
func (c *Check) again(secret *keyring, body io.WriterTo) ([]byte, error) {
	mac := secret.take(c.algorithm)
	c.open(mac)
	if _, err := body.WriteTo(mac); err != nil {
		return nil, err
	}
	sum := c.sum(mac, c.computed[:0])
	secret.put(c.algorithm, mac)
	return sum, nil
}

func (c *Check) match(key *keyring, signed []byte, body io.WriterTo) (Match, error) {
	m := Match{Secret: key.name, Algorithm: algorithms[c.algorithm].name, key: key}
	if c.verifier.printKey == nil {
		return m, nil
	}
	return c.print(m, signed, body)
}

// matches is the one place where a signature is judged, with each one that the sender
// offers: a digest in constant time, over decoded bytes, at full length; another one with
// the public key, until one is right, because nothing of it is secret.
func (c *Check) matches(key *keyring, signed []byte) bool {
	a, equal := &algorithms[c.algorithm], false
	for i := range c.found.n {
		switch signature := c.signature(i); {
		case key.public == nil:
			equal = hmac.Equal(signed, signature) || equal
		case !equal && key.public.takes(len(signature)):
			equal = a.public.verify(key.public.key, signed, signature) == nil
		}
	}
	return equal
}

// sum ends a MAC with what is signed after the body, and leaves it ready for the next
// delivery.
func (c *Check) sum(mac hash.Hash, dst []byte) []byte {
	if c.split < len(c.around) {
		_, _ = mac.Write(c.around[c.split:])
	}
	sum := mac.Sum(dst)
	mac.Reset()
	return sum
}
