package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"
)

// Fingerprints makes every [Match] from now on carry a fingerprint. It is called
// before the verifier judges anything.
//
// The fingerprint tells deliveries apart by what was signed, and by nothing else:
//
//	HMAC-SHA256(K, SHA-256(payload) | number of parts | their lengths)
//
// where the payload is all that was signed, the body included, and a length has 8 bytes.
// No secret, signature, name of a key or key id is in it. So it is the same however the
// delivery was signed: a sender may sign it under two secrets or with two keys, an ECDSA
// signature can be turned into another one by anyone, and whoever captured the delivery
// could otherwise send it once with each. It is also the same after a secret was changed,
// and at every gateway with the same configuration.
//
// K is made of the text. Where that is only the gate's name, K is no secret, and whoever
// knows a whole delivery can compute its fingerprint, which gives nobody a signature.
func (v *Verifier) Fingerprints(text string) {
	key := sha256.Sum256([]byte("webhook_auth replay v2\x00" + text))
	v.printKey = key[:]
}

// Fingerprint tells deliveries apart, see [Verifier.Fingerprints].
func (m Match) Fingerprint() [sha256.Size]byte { return m.fingerprint }

// print completes m with its fingerprint.
func (c *Check) print(m Match, signed []byte, body io.WriterTo) (Match, error) {
	if err := c.hashPayload(signed, body); err != nil {
		return Match{}, err
	}
	c.seal(&m)
	return m, nil
}

// seal completes m with the fingerprint of the hash in c.frame.
func (c *Check) seal(m *Match) {
	c.frame = binary.BigEndian.AppendUint64(c.frame, uint64(len(c.parts)))
	for _, length := range c.parts { // that of the body is what the others leave of the payload
		c.frame = binary.BigEndian.AppendUint64(c.frame, uint64(length)) //nolint:gosec // a length
	}
	if c.printer == nil {
		c.printer = hmac.New(sha256.New, c.verifier.printKey)
	}
	_, _ = c.printer.Write(c.frame)
	copy(m.fingerprint[:], c.printer.Sum(c.computed[:0]))
	c.printer.Reset()
}

// hashPayload hashes what was signed into c.frame, of authentic deliveries alone: a forged
// one costs nothing more. With a public key it is often hashed already, or in one piece.
func (c *Check) hashPayload(signed []byte, body io.WriterTo) error {
	c.frame = c.frame[:0]
	if c.verifier.Public() && len(signed) == sha256.Size && c.mac != nil { // of the hashes, only SHA-256 is so long
		c.frame = append(c.frame, signed...)
		return nil
	}
	if c.hasher == nil {
		c.hasher = sha256.New()
	}
	if c.mac == nil {
		_, _ = c.hasher.Write(signed)
		c.frame = c.hasher.Sum(c.frame)
		c.hasher.Reset()
		return nil
	}
	c.open(c.hasher)
	_, err := body.WriteTo(c.hasher)
	c.frame = c.sum(c.hasher, c.frame)
	return err
}

// Lifetime is how long a captured delivery stays authentic: the tolerance in both
// directions, because it may be signed for a time to come. Zero: for ever.
func (v *Verifier) Lifetime() time.Duration {
	if !v.scheme.clock.on {
		return 0
	}
	return v.scheme.clock.past + v.scheme.clock.ahead
}
