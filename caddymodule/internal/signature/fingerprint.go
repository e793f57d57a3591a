package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"time"
)

// Fingerprints makes every [Match] from now on carry a fingerprint. It is called
// before the verifier judges anything.
//
// The fingerprint is a keyed digest over what the first secret gives for what is
// signed, under the first of the allowed algorithms: the same however the delivery
// was signed. A sender may sign one delivery under two secrets, or in two fields
// under two algorithms, and whoever captured it could otherwise send it once with
// each. Nothing that is not signed goes into it.
//
// Its key comes from the first secret and the gate's name, so that several
// gateways with the same configuration find the same fingerprint, and nobody else
// can make one. Who learns a fingerprint learns no MAC.
func (v *Verifier) Fingerprints(gate string) {
	v.printKey = v.secrets[0].sum("webhook_auth replay v1\x00" + gate) // no token of a challenge holds that byte
	for i, ok := range v.scheme.allowed {
		if ok {
			v.canonical = i
			return
		}
	}
}

// Fingerprint tells deliveries apart, see [Verifier.Fingerprints].
func (m Match) Fingerprint() [sha256.Size]byte { return m.fingerprint }

// print completes m with its fingerprint.
func (c *Check) print(m Match, body io.WriterTo) (Match, error) {
	if c.algorithm != c.verifier.canonical {
		if err := c.again(body); err != nil {
			return Match{}, err
		}
	}
	if c.printer == nil {
		c.printer = hmac.New(sha256.New, c.verifier.printKey)
	}
	_, _ = c.printer.Write(c.first[:algorithms[c.verifier.canonical].size])
	copy(m.fingerprint[:], c.printer.Sum(c.computed[:0]))
	c.printer.Reset()
	return m, nil
}

// again makes the first secret's MAC under the canonical algorithm: one more pass
// over the body, for what was signed under another one.
func (c *Check) again(body io.WriterTo) error {
	first, algorithm := c.verifier.secrets[0], c.verifier.canonical
	mac := first.take(algorithm)
	c.open(mac)
	if _, err := body.WriteTo(mac); err != nil {
		return err
	}
	c.sum(mac, c.first[:0])
	first.put(algorithm, mac)
	return nil
}

// Lifetime is how long a captured delivery stays authentic: the tolerance in both
// directions, because it may be signed for a time to come. Zero: for ever.
func (v *Verifier) Lifetime() time.Duration {
	if !v.scheme.clock.on {
		return 0
	}
	return v.scheme.clock.past + v.scheme.clock.ahead
}
