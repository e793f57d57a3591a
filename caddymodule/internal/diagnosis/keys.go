package diagnosis

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// keys are what a gate verifies with: secrets, public keys or tokens.
type keys struct {
	secrets []signature.Secret
	public  []signature.PublicKey
	tokens  []signature.Token
}

func (k keys) isPublic() bool { return len(k.public) > 0 }
func (k keys) isToken() bool  { return len(k.tokens) > 0 }

// compile returns the verifier of a scheme, or an error where the keys are not for it.
func (k keys) compile(s signature.Scheme) (*signature.Verifier, error) {
	switch {
	case k.isPublic():
		return signature.NewPublic(s, k.public)
	case k.isToken():
		return signature.NewTokens(s, k.tokens)
	}
	return signature.New(s, k.secrets)
}

// cost is how many MACs or verifications one verdict takes.
func (k keys) cost() int { return len(k.secrets) + len(k.public) }

// publicAlgorithms are those that a public key verifies. A test compares.
var publicAlgorithms = []string{"ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-v1_5-sha256", "rsa-v1_5-sha512", "rsa-pss-sha512"}

// publicDeviations are other algorithms of the same keys, as with RSA.
func publicDeviations(scheme signature.Scheme, k keys) []deviation {
	var all []deviation
	for _, name := range publicAlgorithms {
		changed := scheme
		changed.Algorithms = []string{name}
		d := deviation{diagnosis: algorithmDiffers, args: []any{name, scheme.Algorithms[0], cure(scheme, changed)}}
		if name != scheme.Algorithms[0] && d.compileFor(changed, k) {
			all = append(all, d)
		}
	}
	return all
}

// compileFor keeps what the keys are for.
func (d *deviation) compileFor(scheme signature.Scheme, k keys) bool {
	if !k.isPublic() {
		return d.compile(scheme, k.secrets)
	}
	d.verifier, _ = k.compile(scheme) // nil where it does not compile
	d.macs = k.cost()
	return d.verifier != nil
}

// raw is r and s of an ECDSA signature, one behind the other, for DER, and DER for that.
func (c *formCompiler) raw() {
	if !c.keys.isPublic() {
		return
	}
	for _, coding := range []string{"hex", "base64", "base64url"} {
		for _, row := range []struct {
			expected, written string
			diagnosis         Diagnosis
		}{
			{"{" + coding + "}", "{raw_" + coding + "}", signatureIsRawNotDER},
			{"{raw_" + coding + "}", "{" + coding + "}", signatureIsDERNotRaw},
		} {
			changed := c.scheme
			if changed.Signature = strings.ReplaceAll(c.pattern, row.expected, row.written); changed.Signature != c.pattern {
				c.add(changed, deviation{diagnosis: row.diagnosis, args: []any{cure(c.scheme, changed)}}, refusal.MalformedSignature)
			}
		}
	}
}

// byKeyID tries the gate's keys whatever the sender calls them.
func (t *trial) byKeyID() Finding {
	if t.reason != refusal.KeyUnknown {
		return Finding{}
	}
	scheme := t.gate.scheme
	scheme.KeyID = ""
	v, _ := t.keys.compile(scheme) // nil where it does not compile
	if name, ok := t.verifies(v, t.keys.cost(), &t.delivery, t.body); ok {
		return finding(keyHasAnotherName, name)
	}
	return Finding{}
}

// otherType says what kind of key a signature is of, by its form, where it is not of the
// gate's kind.
func (g *Gate) otherType(value string) Finding {
	if !g.load().keys.isPublic() || isList(g.pattern()) {
		return Finding{}
	}
	kind := kindOf(decoded(strings.TrimPrefix(value, g.tag())))
	own := g.scheme.Algorithms[0]
	family, _, _ := strings.Cut(own, "-")
	if kind == "" || strings.HasPrefix(kind, family) {
		return Finding{}
	}
	return finding(signatureOfAnotherKey, kind, own)
}

// decoded reads a signature in whatever coding it is.
func decoded(text string) []byte {
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if sig, err := decode(text); err == nil {
			return sig
		}
	}
	return nil
}

// kindOf names the algorithms whose signatures have a form.
func kindOf(sig []byte) string {
	switch n := len(sig); {
	case n == 64:
		return "ed25519"
	case n >= 68 && n <= 104 && sig[0] == 0x30 && int(sig[1]) == n-2:
		return "ecdsa"
	case slices.Contains([]int{256, 384, 512, 1024}, n):
		return "rsa"
	}
	return ""
}
