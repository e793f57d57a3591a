package diagnosis

import (
	"cmp"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Names that the signature package knows. A test compares.
var (
	algorithms = []string{"sha256", "sha384", "sha512", "sha1"}
	units      = []string{"s", "ms", "rfc3339"}
)

// digestSizes are the bytes of a digest.
var digestSizes = map[string]int{"sha256": 32, "sha384": 48, "sha512": 64, "sha1": 20}

// strongest is what a sender is asked to sign with instead.
const strongest = "sha256"

// encodings is each way in which a digest is written in another encoding than the
// gate expects.
var encodings = []struct {
	expected, written string
	diagnosis         Diagnosis
}{
	{"hex", "base64", signatureIsBase64NotHex},
	{"hex", "base64url", signatureIsBase64NotHex},
	{"base64", "hex", signatureIsHexNotBase64},
	{"base64url", "hex", signatureIsHexNotBase64},
	{"base64", "base64url", signatureIsBase64URLNotBase64},
	{"base64url", "base64", signatureIsBase64NotBase64URL},
}

// patterns are the usual ones of a single signature.
var patterns = []string{"{alg}={hex}", "{alg}={base64}", "{hex}", "{base64}"}

// A formCompiler collects deviations of a scheme that the header section alone
// shows: the judge reads the digest under the changed scheme at its full length,
// or it does not. With the body, the MAC proves them.
type formCompiler struct {
	scheme  signature.Scheme
	pattern string
	keys    keys
	forms   map[refusal.Reason][]deviation
}

func formDeviations(scheme signature.Scheme, k keys) map[refusal.Reason][]deviation {
	c := &formCompiler{scheme: scheme, pattern: cmp.Or(scheme.Signature, patterns[0]), keys: k, forms: make(map[refusal.Reason][]deviation)}
	c.encodings()
	c.labels()
	c.algorithms()
	c.raw()
	c.patterns()
	c.units()
	return c.forms
}

func (c *formCompiler) named() bool { return isNamed(c.scheme) }

// isNamed reports whether the algorithm is named in the field's value.
func isNamed(s signature.Scheme) bool {
	return strings.HasPrefix(cmp.Or(s.Signature, patterns[0]), "{alg}")
}

// add keeps a changed scheme if it compiles, for the refusals that it may explain.
func (c *formCompiler) add(changed signature.Scheme, d deviation, explains ...refusal.Reason) {
	if !d.compileFor(changed, c.keys) {
		return
	}
	for _, reason := range explains {
		c.forms[reason] = append(c.forms[reason], d)
	}
}

func (c *formCompiler) encodings() {
	for _, row := range encodings {
		changed := c.scheme
		changed.Signature = strings.NewReplacer("{"+row.expected+"}", "{"+row.written+"}", "{raw_"+row.expected+"}", "{raw_"+row.written+"}").Replace(c.pattern)
		if changed.Signature != c.pattern {
			c.add(changed, deviation{diagnosis: row.diagnosis, args: []any{c.encodingCure(changed)}}, refusal.MalformedSignature)
		}
	}
}

// encodingCure says what to write. Of a digest without padding and without one of the
// two characters in which the alphabets differ, nobody can tell which base64 it is.
func (c *formCompiler) encodingCure(changed signature.Scheme) string {
	options := cure(c.scheme, changed)
	if !strings.Contains(c.pattern, "{hex}") || strings.Contains(changed.Signature, "{base64url}") {
		return options
	}
	return options + ", and if a later digest has - or _ in it, {base64url} for {base64}"
}

// labels are those of an algorithm whose digest has another length.
func (c *formCompiler) labels() {
	if !c.named() {
		return
	}
	for _, label := range algorithms {
		for _, algorithm := range algorithms {
			changed := c.scheme
			changed.Signature = strings.Replace(c.pattern, "{alg}", label, 1)
			changed.Algorithms = []string{algorithm}
			d := deviation{diagnosis: algorithmLabelWrong, args: []any{label, algorithm}}
			if label != algorithm {
				c.add(changed, d, refusal.MalformedSignature, refusal.AlgorithmNotAllowed)
			}
		}
	}
}

// algorithms are those that the gate does not take.
func (c *formCompiler) algorithms() {
	own := allowed(c.scheme)
	for _, algorithm := range algorithms {
		if slices.Contains(own, algorithm) {
			continue
		}
		d, reason, changed := algorithmDiffers, refusal.MalformedSignature, c.scheme
		changed.Algorithms = []string{algorithm}
		if c.named() {
			d, reason = algorithmNotListed, refusal.AlgorithmNotAllowed
			changed.Algorithms = append(slices.Clone(own), algorithm)
		}
		c.add(changed, deviation{diagnosis: d, args: []any{algorithm, own[0], cure(c.scheme, changed)}}, reason)
	}
}

// allowed is what a scheme allows, with the defaults of the signature package.
func allowed(s signature.Scheme) []string {
	switch {
	case len(s.Algorithms) > 0:
		return s.Algorithms
	case isNamed(s):
		return slices.DeleteFunc(slices.Clone(algorithms), func(name string) bool { return name == "sha1" })
	}
	return []string{strongest}
}

// patterns are other ways to write a single signature. A list keeps its form: what
// is in it besides the digest is signed too.
func (c *formCompiler) patterns() {
	if isList(c.pattern) {
		return
	}
	for _, pattern := range patterns {
		changed := c.scheme
		if changed.Signature = pattern; pattern == c.pattern {
			continue
		}
		if isNamed(changed) {
			c.addPattern(changed)
			continue
		}
		for _, algorithm := range allowed(c.scheme) {
			changed.Algorithms = []string{algorithm}
			c.addPattern(changed)
		}
	}
}

func (c *formCompiler) addPattern(changed signature.Scheme) {
	d := deviation{diagnosis: signatureHasAnotherForm, args: []any{cure(c.scheme, changed)}}
	c.add(changed, d, refusal.MalformedSignature)
}

func (c *formCompiler) units() {
	own := cmp.Or(c.scheme.TimestampUnit, units[0])
	for _, unit := range units {
		changed := c.scheme
		changed.TimestampUnit = unit
		if unit != own { // a scheme without a time does not compile with a unit
			d := deviation{diagnosis: timestampUnitDiffers, args: []any{cure(c.scheme, changed)}}
			c.add(changed, d, refusal.TimestampMalformed, refusal.TimestampOutOfRange)
		}
	}
}
