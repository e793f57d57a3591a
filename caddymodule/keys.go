package caddymodule

import (
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// keys is who uses which key in one configuration, by [signature.Verifier.KeyIDs]. Of two
// gates with the same key, what is a delivery to one can be a delivery to the other.
type keys map[string][]keyUse

// A keyUse is one gate that has a key.
type keyUse struct {
	gate    string
	oracle  string // the challenge that signs what strangers choose, see Challenge.Oracle
	message string // what its senders sign, see Scheme.Message
	kind    signature.Kind
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
	if k.kind != other.kind { // a public key meets no other kind
		if k.kind != signature.Tokens {
			k, other = other, k
		}
		return fmt.Errorf("the token of the gate %q is the secret of the gate %q, and whoever sees one request with it could sign for that gate; "+
			"give each gate one of its own", k.gate, other.gate)
	}
	if k.oracle != other.oracle {
		if k.oracle == "" {
			k, other = other, k
		}
		return fmt.Errorf("gates %q and %q have the same secret, and with challenge %s the gate %q signs what strangers send; "+
			"the gate %q would take that for a delivery. Give %[5]q a secret of its own",
			k.gate, other.gate, k.oracle, k.gate, other.gate)
	}
	switch {
	case k.message == other.message:
	case k.kind == signature.Tokens:
		logger.Warn("two gates have the same token in different fields, so that a delivery to one can be repeated at the other; give each gate a token of its own",
			zap.Strings("gates", []string{other.gate, k.gate}))
	case k.kind == signature.PublicKeys:
		logger.Warn("two gates have the same public key and different payloads, so that a delivery to one may also be accepted by the other, with another body; write the payload that the sender documents in both",
			zap.Strings("gates", []string{other.gate, k.gate}),
			zap.Strings("payloads", []string{other.message, k.message}))
	default:
		logger.Warn("two gates have the same secret, and their senders sign different things, so that a delivery to one may also be accepted by the other, with another body; give each gate a secret of its own",
			zap.Strings("gates", []string{other.gate, k.gate}),
			zap.Strings("payloads", []string{other.message, k.message}))
	}
	return nil
}
