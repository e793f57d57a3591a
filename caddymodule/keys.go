package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
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
	url     string // that is a part of it, if any
	kind    signature.Kind
}

// keyUse is how the gate uses its keys.
func (h *Handler) keyUse(m *material) keyUse {
	return keyUse{gate: h.Name, oracle: m.challenge.Oracle(), message: h.scheme().Message(), url: h.PublicURL, kind: h.kind()}
}

// add refuses a key that another gate has strangers sign with, and finds one whose
// signatures mean something else at another gate. Keys are compared, not texts: hex and
// base64 of one key are the same key.
func (k keys) add(use keyUse, ids []string) (found []lint.Finding, err error) {
	var met []keyUse
	for _, id := range ids {
		for _, other := range k[id] {
			if slices.Contains(met, other) {
				continue
			}
			met = append(met, other)
			if err := use.mayMeet(other); err != nil {
				return nil, err
			}
			found = append(found, use.meet(other)...)
		}
	}
	for _, id := range ids {
		k[id] = append(k[id], use)
	}
	return found, nil
}

// mayMeet refuses two uses of one key that cannot both be safe.
func (k keyUse) mayMeet(other keyUse) error {
	if k.kind != other.kind { // a public key meets no other kind
		if k.kind != signature.Tokens {
			k, other = other, k
		}
		return fmt.Errorf("the token of the gate %q is the secret of the gate %q, and whoever sees one request with it could sign for that gate; "+
			"give each gate one of its own", k.gate, other.gate)
	}
	if k.oracle == other.oracle {
		return nil
	}
	if k.oracle == "" {
		k, other = other, k
	}
	return fmt.Errorf("gates %q and %q have the same secret, and with challenge %s the gate %q signs what strangers send; "+
		"the gate %q would take that for a delivery. Give %[5]q a secret of its own",
		k.gate, other.gate, k.oracle, k.gate, other.gate)
}

// sharedKinds is what is found where two gates share a key, and their messages differ.
var sharedKinds = map[signature.Kind]lint.Kind{
	signature.Secrets: lint.KeyShared, signature.PublicKeys: lint.PublicKeyShared, signature.Tokens: lint.TokenShared,
}

func (k keyUse) meet(other keyUse) []lint.Finding {
	if k.message == other.message && !k.cuts(other) {
		return nil
	}
	kind := sharedKinds[k.kind]
	return []lint.Finding{lint.About(kind, func(f *lint.Finding) { f.Other = other.gate })}
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
