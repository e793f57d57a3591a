package diagnosis

import (
	"cmp"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// The names that the signature package knows; TestNamesAreTheJudges compares them.
var (
	algorithms = []string{"sha256", "sha384", "sha512", "sha1"}
	units      = []string{"s", "ms", "rfc3339", "http"}
)

// bodyWords are how a payload may hold the body, with what a hint calls it.
var bodyWords = []struct{ word, name string }{
	{"{body}", "the body itself"},
	{"{body_sha256}", "its SHA-256 in hex"},
	{"{body_sha256_base64}", "its SHA-256 in base64"},
	{"{body_sha512}", "its SHA-512 in hex"},
	{"{body_sha512_base64}", "its SHA-512 in base64"},
}

// bodyWord returns the one that a payload has, and its name.
func bodyWord(s signature.Scheme) (word, name string) {
	for _, row := range bodyWords {
		if strings.Contains(s.WithDefaults().Payload, row.word) {
			return row.word, row.name
		}
	}
	return "", "" // no such payload compiles
}

// signing returns the scheme with another word for the body.
func signing(s signature.Scheme, word string) signature.Scheme {
	own, _ := bodyWord(s)
	s.Payload = strings.Replace(s.WithDefaults().Payload, own, word, 1)
	return s
}

// digestSizes are the sizes of digests in bytes.
var digestSizes = map[string]int{"sha256": 32, "sha384": 48, "sha512": 64, "sha1": 20}

// encodings lists how a digest may be written in another encoding than the gate expects.
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

// patterns are the usual patterns of a single signature.
var patterns = []string{signature.DefaultSignature, "{alg}={base64}", "{hex}", "{base64}"}

// A formCompiler collects deviations of a scheme that the header section alone shows:
// with the changed scheme, the judge can read a digest of full length. With the body, the
// MAC proves them.
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

// isNamed reports whether the value of the field names the algorithm.
func isNamed(s signature.Scheme) bool {
	return strings.HasPrefix(s.WithDefaults().Signature, "{alg}")
}

// add keeps a changed scheme, if it compiles, for the refusals that it may explain.
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

// encodingCure says what to write. It names base64url as well, because a digest without
// padding may have none of the characters in which the two alphabets differ.
func (c *formCompiler) encodingCure(changed signature.Scheme) string {
	options := cure(c.scheme, changed)
	if !strings.Contains(c.pattern, "{hex}") || strings.Contains(changed.Signature, "{base64url}") {
		return options
	}
	return options + ", and if a later digest has - or _ in it, {base64url} for {base64}"
}

// labels adds the labels of one algorithm in front of the digest of another.
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

// algorithms adds those that the gate does not allow.
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

// allowed returns the algorithms that a scheme allows.
func allowed(s signature.Scheme) []string { return s.WithDefaults().Algorithms }

// patterns adds other ways to write a single signature. A list stays as it is, because
// the rest of it is signed too.
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
		if unit != own { // without a time, a scheme with a unit does not compile
			d := deviation{diagnosis: timestampUnitDiffers, args: []any{cure(c.scheme, changed)}}
			c.add(changed, d, refusal.TimestampMalformed, refusal.TimestampOutOfRange)
		}
	}
}
