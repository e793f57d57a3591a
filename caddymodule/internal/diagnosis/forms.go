package diagnosis

import (
	"cmp"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Names that the signature package knows. A test compares.
var (
	algorithms = []string{"sha256", "sha384", "sha512", "sha1"}
	units      = []string{"s", "ms", "rfc3339"}
)

// strongest is what a sender is asked to sign with instead.
const strongest = "sha256"

// encodings is each way in which a digest is written in another encoding than the
// gate expects.
var encodings = []struct {
	expected, written string
	diagnosis         Diagnosis
	args              []any
}{
	{"hex", "base64", SignatureIsBase64NotHex, []any{"base64"}},
	{"hex", "base64url", SignatureIsBase64NotHex, []any{"base64url"}},
	{"base64", "hex", SignatureIsHexNotBase64, []any{"base64"}},
	{"base64url", "hex", SignatureIsHexNotBase64, []any{"base64url"}},
	{"base64", "base64url", SignatureIsBase64URLNotBase64, nil},
	{"base64url", "base64", SignatureIsBase64NotBase64URL, nil},
}

// patterns are the usual ones of a single signature.
var patterns = []string{"{alg}={hex}", "{alg}={base64}", "{hex}", "{base64}"}

// A formCompiler collects deviations of a scheme that the header section alone
// shows: the judge reads the digest under the changed scheme at its full length,
// or it does not. With the body, the MAC proves them.
type formCompiler struct {
	scheme  signature.Scheme
	secrets []signature.Secret
	forms   map[signature.Refusal][]deviation
}

func formDeviations(scheme signature.Scheme, secrets []signature.Secret) map[signature.Refusal][]deviation {
	scheme.Signature = cmp.Or(scheme.Signature, patterns[0])
	c := &formCompiler{scheme: scheme, secrets: secrets, forms: make(map[signature.Refusal][]deviation)}
	c.encodings()
	c.labels()
	c.algorithms()
	c.patterns()
	c.units()
	return c.forms
}

func (c *formCompiler) named() bool { return strings.HasPrefix(c.scheme.Signature, "{alg}") }

// add keeps a changed scheme if it compiles, for the refusals that it may explain.
func (c *formCompiler) add(changed signature.Scheme, d deviation, explains ...signature.Refusal) {
	if !d.compile(changed, c.secrets) {
		return
	}
	for _, refusal := range explains {
		c.forms[refusal] = append(c.forms[refusal], d)
	}
}

func (c *formCompiler) encodings() {
	for _, row := range encodings {
		changed := c.scheme
		changed.Signature = strings.ReplaceAll(c.scheme.Signature, "{"+row.expected+"}", "{"+row.written+"}")
		if changed.Signature != c.scheme.Signature {
			c.add(changed, deviation{diagnosis: row.diagnosis, args: row.args}, signature.MalformedSignature)
		}
	}
}

// labels are those of an algorithm whose digest has another length.
func (c *formCompiler) labels() {
	if !c.named() {
		return
	}
	for _, label := range algorithms {
		for _, algorithm := range algorithms {
			changed := c.scheme
			changed.Signature = strings.Replace(c.scheme.Signature, "{alg}", label, 1)
			changed.Algorithms = []string{algorithm}
			d := deviation{diagnosis: AlgorithmLabelWrong, args: []any{label, algorithm}}
			if label != algorithm {
				c.add(changed, d, signature.MalformedSignature, signature.AlgorithmNotAllowed)
			}
		}
	}
}

// algorithms are those that the gate does not take.
func (c *formCompiler) algorithms() {
	allowed := c.allowed()
	for _, algorithm := range algorithms {
		if slices.Contains(allowed, algorithm) {
			continue
		}
		changed := c.scheme
		changed.Algorithms = []string{algorithm}
		args := []any{algorithm, allowed[0]}
		if c.named() {
			c.add(changed, deviation{diagnosis: AlgorithmNotListed, args: args}, signature.AlgorithmNotAllowed)
		} else {
			c.add(changed, deviation{diagnosis: AlgorithmDiffers, args: args}, signature.MalformedSignature)
		}
	}
}

// allowed is what the scheme allows, with the defaults of the signature package.
func (c *formCompiler) allowed() []string {
	switch {
	case len(c.scheme.Algorithms) > 0:
		return c.scheme.Algorithms
	case c.named():
		return slices.DeleteFunc(slices.Clone(algorithms), func(name string) bool { return name == "sha1" })
	}
	return []string{strongest}
}

// patterns are other ways to write a single signature. A list keeps its form: what
// is in it besides the digest is signed too.
func (c *formCompiler) patterns() {
	if strings.Contains(c.scheme.Signature, "{ts}") || strings.HasSuffix(c.scheme.Signature, "...") {
		return
	}
	for _, pattern := range patterns {
		changed := c.scheme
		changed.Signature = pattern
		if !strings.HasPrefix(pattern, "{alg}") {
			changed.Algorithms = c.allowed()[:1]
		}
		if pattern != c.scheme.Signature {
			c.add(changed, deviation{diagnosis: SignatureHasAnotherForm, args: []any{pattern}}, signature.MalformedSignature)
		}
	}
}

func (c *formCompiler) units() {
	field, own := cmp.Or(c.scheme.Timestamp, "{ts}"), cmp.Or(c.scheme.TimestampUnit, units[0])
	for _, unit := range units {
		changed := c.scheme
		changed.TimestampUnit = unit
		if unit != own { // a scheme without a time does not compile with a unit
			d := deviation{diagnosis: TimestampUnitDiffers, args: []any{field, unit}}
			c.add(changed, d, signature.TimestampMalformed, signature.TimestampOutOfRange)
		}
	}
}
