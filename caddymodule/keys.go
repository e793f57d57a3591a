package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// keys is who uses which key in one configuration, by [signature.Verifier.KeyIDs]. Of two
// gates with the same key, what is a delivery to one can be a delivery to the other.
type keys map[string][]keyUse

// A keyUse is one gate that has a key.
type keyUse struct {
	gate    string
	oracle  string // the challenge that signs what strangers choose, see Challenge.Oracle
	message string // what its senders sign, see Scheme.Message
	url     string // that is a part of it, if any
	public  bool   // the key is a public one
}

// add refuses a key that another gate has strangers sign with, and warns of one whose
// signatures mean something else at another gate. Keys are compared, not texts: hex and
// base64 of one key are the same key.
func (k keys) add(use keyUse, ids []string, logger *zap.Logger) error {
	var met []keyUse
	for _, id := range ids {
		for _, other := range k[id] {
			if slices.Contains(met, other) {
				continue
			}
			met = append(met, other)
			if err := use.meet(other, logger); err != nil {
				return err
			}
		}
	}
	for _, id := range ids {
		k[id] = append(k[id], use)
	}
	return nil
}

func (k keyUse) meet(other keyUse, logger *zap.Logger) error {
	if k.oracle != other.oracle {
		if k.oracle == "" {
			k, other = other, k
		}
		return fmt.Errorf("gates %q and %q have the same secret, and with challenge %s the gate %q signs what strangers send; "+
			"the gate %q would take that for a delivery. Give %[5]q a secret of its own",
			k.gate, other.gate, k.oracle, k.gate, other.gate)
	}
	switch {
	case k.message == other.message && !k.cuts(other):
	case k.public:
		logger.Warn("two gates have the same public key and different payloads, so that a delivery to one may also be accepted by the other, with another body; write the payload that the sender documents in both",
			zap.Strings("gates", []string{other.gate, k.gate}),
			zap.Strings("payloads", []string{other.signed(), k.signed()}))
	default:
		logger.Warn("two gates have the same secret, and their senders sign different things, so that a delivery to one may also be accepted by the other, with another body; give each gate a secret of its own",
			zap.Strings("gates", []string{other.gate, k.gate}),
			zap.Strings("payloads", []string{other.signed(), k.signed()}))
	}
	return nil
}

// signed is the message with its URL.
func (k keyUse) signed() string {
	if k.url == "" {
		return k.message
	}
	return k.message + " with {url} as " + k.url
}

// cuts reports whether two gates with one payload have URLs of which one goes on where the
// other ends: with {url}{body}, the body of a delivery to the one could begin with the rest
// of the other.
func (k keyUse) cuts(other keyUse) bool {
	a, b := k.url, other.url
	if len(a) > len(b) {
		a, b = b, a
	}
	return a != b && (strings.HasPrefix(b, a) || strings.HasSuffix(b, a))
}
