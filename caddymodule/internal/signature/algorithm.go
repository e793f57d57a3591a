package signature

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is not broken, and is used only where the operator names it
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// An algorithm is one hash function under HMAC, by the name that stands in front
// of the digest, or one kind of signature that a public key verifies.
type algorithm struct {
	name     string
	size     int              // bytes of a digest; of a signature, see asymmetric
	new      func() hash.Hash // nil: the algorithm takes the message itself, in one piece
	standard bool             // allowed unless the operator lists algorithms
	public   *asymmetric      // nil: HMAC
}

// algorithms is everything that exists. MD5 and "none" are absent on purpose:
// what is not in this table cannot be configured. sha1 is here for WebSub hubs
// and other old senders, and only for those who ask for it by name. Those with a
// public key have the names of RFC 9421, section 6.2.2, and rsa-v1_5-sha512.
var algorithms = []algorithm{
	{name: "sha256", size: sha256.Size, new: sha256.New, standard: true},
	{name: "sha384", size: sha512.Size384, new: sha512.New384, standard: true},
	{name: "sha512", size: sha512.Size, new: sha512.New, standard: true},
	{name: "sha1", size: sha1.Size, new: sha1.New},
	{name: "ed25519", public: &ed},
	{name: "ecdsa-p256-sha256", new: sha256.New, public: &p256},
	{name: "ecdsa-p384-sha384", new: sha512.New384, public: &p384},
	{name: "rsa-v1_5-sha256", new: sha256.New, public: pkcs1(crypto.SHA256)},
	{name: "rsa-v1_5-sha512", new: sha512.New, public: pkcs1(crypto.SHA512)},
	{name: "rsa-pss-sha512", new: sha512.New, public: pss(crypto.SHA512)},
}

// maxDigest is the largest size in the table.
const maxDigest = sha512.Size

// find returns the index of the algorithm of that name, or -1. Names are lower
// case, as in WebSub (W3C Recommendation, section 7.1): no sender varies them.
func find(name string) int {
	for i := range algorithms {
		if algorithms[i].name == name {
			return i
		}
	}
	return -1
}

// allow marks the algorithms that a scheme allows. Where the pattern has no {alg}
// there is exactly one, and its index is returned; otherwise -1.
func allow(names []string, named bool) (allowed []bool, fixed int, err error) {
	allowed, fixed = make([]bool, len(algorithms)), -1
	if len(names) == 0 {
		names = standard(named)
	}
	public := 0
	for _, name := range names {
		i := find(name)
		if i < 0 {
			return nil, -1, unknownAlgorithm(name)
		}
		if algorithms[i].public != nil {
			public++
		}
		allowed[i], fixed = true, i
	}
	switch {
	case public > 0 && len(names) > 1:
		return nil, -1, mistake.In("algorithms", "%d are named, and a public key has one; name one", len(names))
	case public > 0 && named:
		return nil, -1, mistake.In("signature", "{alg} is not for %s: what a public key verifies is never named by the sender; write {base64} or {hex}", names[0])
	case named:
		return allowed, -1, nil
	case len(names) > 1:
		return nil, -1, mistake.In("algorithms", "%d are named, and the signature pattern has no {alg} to tell which; name one", len(names)).Or("signature")
	}
	return allowed, fixed, nil
}

// standard returns what is allowed where nothing is named.
func standard(named bool) []string {
	if !named {
		return []string{algorithms[0].name}
	}
	var names []string
	for i := range algorithms {
		if algorithms[i].standard {
			names = append(names, algorithms[i].name)
		}
	}
	return names
}

// known lists the algorithms of secrets, or those of public keys.
func known(public bool) string { return mistake.Either(namesOf(public)) }

func namesOf(public bool) []string {
	var names []string
	for i := range algorithms {
		if (algorithms[i].public != nil) == public {
			names = append(names, algorithms[i].name)
		}
	}
	return names
}

func unknownAlgorithm(name string) error {
	set := mistake.Set{What: "algorithm", Words: append(namesOf(false), namesOf(true)...)}
	switch {
	case strings.Contains(name, ","):
		return mistake.In("algorithms", "%s has a comma in it; write names with blanks between them: sha256 sha512", mistake.Show(name))
	case set.Near(name) != nil:
		return mistake.In("algorithms", "%s", set.Unknown(name))
	}
	set.Words = namesOf(false)
	return mistake.In("algorithms", "%s (sha1 only where it is named), or with public_key %s", set.Unknown(name), known(true))
}

// keyed makes one MAC. crypto/hmac panics where a FIPS 140-only build is given a
// short key or SHA-1; at load that is a mistake to report, not a crash, and on
// the request path it can then no longer happen.
func (a *algorithm) keyed(key []byte) (mac hash.Hash, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("hmac-%s refuses this key: %v", a.name, p)
		}
	}()
	return hmac.New(a.new, key), nil
}
