package diagnosis

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// maxLabel is how many bytes of a label in front of a digest a hint may show. The label
// comes from the request. It cannot be a digest, which is longer and has no mark at its
// end.
const maxLabel = 20

// maxTags is how many tags of a list a hint shows.
const maxTags = 4

// An attempt is one change to the scheme or to the delivery that the value of the field
// suggests. It is compiled when it is tried.
type attempt struct {
	scheme    signature.Scheme
	delivery  signature.Delivery
	diagnosis Diagnosis
	args      []any
}

// stranger is a secret that nobody signs with. It decodes in every encoding, so that a
// scheme compiles with it and can judge header sections.
var stranger = []signature.Secret{{Text: "0123456789abcdef"}}

// fits reports whether the judge takes the header section of the attempt. A request waits
// for it, so that it parses no public key.
func (a *attempt) fits(c *compiled) bool {
	v, err := c.judging(a.scheme)
	if err != nil {
		return false
	}
	_, err = v.Begin(&a.delivery)
	return err == nil
}

// judging returns a verifier that judges header sections by the scheme. Of secrets any
// will do, of public keys the length matters.
func (c *compiled) judging(scheme signature.Scheme) (*signature.Verifier, error) {
	if c.keys.isPublic() && c.plain != nil {
		return c.plain.Rescheme(scheme)
	}
	return keys{secrets: stranger}.compile(scheme)
}

// attempts returns the changes that the value of the gate's own field suggests, the most
// likely first.
func (g *Gate) attempts(d *signature.Delivery, reason refusal.Reason) []attempt {
	if !slices.Contains([]refusal.Reason{refusal.MalformedSignature, refusal.AlgorithmNotAllowed, refusal.TimestampMissing}, reason) {
		return nil
	}
	field := g.ownField(d.Header)
	if field == "" {
		return nil
	}
	value := d.Header[field][0]
	if isList(g.pattern()) {
		return append(g.unquoted(d, field, value), g.retagged(d, value, reason)...)
	}
	return append(g.unquoted(d, field, value), g.relabelled(d, value)...)
}

// ownField returns the field in h that the gate reads, or "" if it is on several lines.
func (g *Gate) ownField(h http.Header) string {
	for _, field := range g.fields {
		if len(h[field]) > 0 {
			if len(h[field]) > 1 {
				return ""
			}
			return field
		}
	}
	return ""
}

func (g *Gate) pattern() string { return g.scheme.WithDefaults().Signature }

// isList reports whether a pattern is a list of items, each with its own tag.
func isList(pattern string) bool {
	return strings.Contains(pattern, "{ts}") || strings.Contains(pattern, "{nonce}") || strings.HasSuffix(pattern, "...")
}

// unquoted tries the value without the quotes around it or around its digest.
func (g *Gate) unquoted(d *signature.Delivery, field, value string) []attempt {
	plain := strings.NewReplacer(`"`, "", "'", "").Replace(value)
	if plain == value {
		return nil
	}
	changed := *d
	changed.Header = d.Header.Clone()
	changed.Header[field] = []string{plain}
	return []attempt{{scheme: g.scheme, delivery: changed, diagnosis: signatureIsQuoted}}
}

// relabelled tries patterns with the label that came in front of the digest.
func (g *Gate) relabelled(d *signature.Delivery, value string) []attempt {
	var all []attempt
	for _, algorithm := range allowed(g.scheme) {
		for _, encoding := range []string{"hex", "base64", "base64url"} {
			label, ok := labelOf(value, encoding, algorithm)
			pattern := label + "{" + encoding + "}"
			if !ok || label == "" || pattern == g.pattern() {
				continue
			}
			changed := g.scheme
			changed.Signature, changed.Algorithms = pattern, []string{algorithm}
			options := cure(g.scheme, changed)
			a := attempt{scheme: changed, delivery: *d, diagnosis: signatureHasAnotherForm, args: []any{options}}
			if expected := g.label(algorithm); expected != "" && isSpelling(label, algorithm) {
				a.diagnosis, a.args = signatureLabelIsSpelled, []any{label, expected, options}
			}
			all = append(all, a)
		}
	}
	return all
}

// label returns the text that the gate expects in front of a digest of the algorithm.
func (g *Gate) label(algorithm string) string {
	label, _, _ := strings.Cut(strings.Replace(g.pattern(), "{alg}", algorithm, 1), "{")
	return label
}

// isSpelling reports whether a label names the algorithm in another spelling, such as
// SHA-256= or hmac-sha256:.
func isSpelling(label, algorithm string) bool {
	folded := strings.ToLower(strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_ =:", r) {
			return -1
		}
		return r
	}, label))
	return strings.TrimPrefix(folded, "hmac") == algorithm
}

// labelOf cuts the digest off the end of a value and returns the text in front of it, if
// a hint may show it and a pattern may hold it.
func labelOf(value, encoding, algorithm string) (label string, ok bool) {
	size := digestSizes[algorithm]
	switch encoding {
	case "hex":
		at := len(value) - hex.EncodedLen(size)
		if at < 0 {
			return "", false
		}
		_, err := hex.DecodeString(value[at:])
		return value[:at], err == nil && isLabel(value[:at])
	case "base64":
		return cutBase64(value, size, base64.StdEncoding)
	}
	return cutBase64(value, size, base64.URLEncoding)
}

func cutBase64(value string, size int, encoding *base64.Encoding) (label string, ok bool) {
	if !strings.HasSuffix(value, "=") {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	at := len(value) - encoding.EncodedLen(size)
	if at < 0 {
		return "", false
	}
	digest, err := encoding.DecodeString(value[at:])
	return value[:at], err == nil && len(digest) == size && isLabel(value[:at])
}

// isLabel reports whether a hint may show text as a label: it is empty, or a short word
// with a mark at its end, which no part of a digest has.
func isLabel(text string) bool {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./ "
	if text == "" {
		return true
	}
	return len(text) <= maxLabel && strings.Trim(text, word+"=:,") == "" && strings.ContainsAny(text[len(text)-1:], "=:,/ ")
}

// separator returns the separator of the gate's list.
func (g *Gate) separator() string {
	switch pattern := g.pattern(); {
	case strings.HasSuffix(pattern, " ..."):
		return " "
	case strings.Contains(pattern, "};"):
		return ";"
	}
	return ","
}

// maxItems is how many items of a list are looked at: those that the judge reads.
const maxItems = 64

// items splits a list.
func (g *Gate) items(value string) (items []string) {
	separator := rune(g.separator()[0])
	for item := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ' ' || r == separator }) {
		if items = append(items, item); len(items) == maxItems {
			break
		}
	}
	return items
}

// digestIn returns where the placeholder of the digest is in a pattern.
func digestIn(pattern string) (from, to int) {
	for _, name := range []string{"{hex}", "{base64}", "{base64url}"} {
		if at := strings.Index(pattern, name); at >= 0 {
			return at, at + len(name)
		}
	}
	return 0, 0 // no such pattern compiles
}

// tag returns the tag that the gate expects in front of a digest in a list.
func (g *Gate) tag() string {
	at, _ := digestIn(g.pattern())
	return tagAt(g.pattern(), at)
}

// absent returns the tag that no item of a value has: the digest's, the time's or the
// nonce's.
func (g *Gate) absent(value string, reason refusal.Reason) string {
	if at := strings.Index(g.pattern(), "{ts}"); at >= 0 && reason == refusal.TimestampMissing {
		return tagAt(g.pattern(), at)
	}
	if at := strings.Index(g.pattern(), "{nonce}"); at >= 0 {
		tag := tagAt(g.pattern(), at)
		if !slices.ContainsFunc(g.items(value), func(item string) bool { return strings.HasPrefix(item, tag) }) {
			return tag
		}
	}
	return g.tag()
}

// tagAt returns the tag of the item whose placeholder begins at the index.
func tagAt(pattern string, at int) string {
	before := pattern[:at]
	if end := strings.LastIndex(before, "}"); end >= 0 { // the separator follows
		return strings.TrimLeft(before[end+2:], " ")
	}
	return before
}

// retagged tries patterns in which a tag that came replaces the missing one.
func (g *Gate) retagged(d *signature.Delivery, value string, reason refusal.Reason) []attempt {
	var all []attempt
	absent := g.absent(value, reason)
	for _, tag := range g.tags(value, absent) {
		changed := g.scheme
		changed.Signature = strings.Replace(g.pattern(), absent+"{", tag+"{", 1)
		options := ", as in " + cure(g.scheme, changed)
		args := []any{absent, strconv.Quote(tag), options}
		all = append(all, attempt{scheme: changed, delivery: *d, diagnosis: signatureTagsDiffer, args: args})
	}
	return all
}

// tags returns the tags of the items that came, each once. It returns none if the
// expected tag is among them, and leaves out the gate's other tag, which is right.
func (g *Gate) tags(value, absent string) []string {
	var tags []string
	for _, item := range g.items(value) {
		switch {
		case strings.HasPrefix(item, absent):
			return nil
		case strings.HasPrefix(item, g.tag()):
			continue
		}
		if tag := tagOf(item); tag != "" && len(tags) < maxTags && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}

// tagOf returns the label in front of an item's digest, or else up to its first '=' or
// ','. A digest alone has no tag, even if base64 padding ends it.
func tagOf(item string) string {
	for _, algorithm := range algorithms {
		for _, encoding := range []string{"hex", "base64", "base64url"} {
			if label, ok := labelOf(item, encoding, algorithm); ok {
				return label
			}
		}
	}
	i := strings.IndexAny(item, "=,")
	if i <= 0 || strings.Trim(item[i:], "=") == "" || !isLabel(item[:i+1]) {
		return ""
	}
	return item[:i+1]
}

// tagsDiffer names the tags that came, if no change to the pattern explains them.
func (g *Gate) tagsDiffer(d *signature.Delivery, reason refusal.Reason) Finding {
	field := g.ownField(d.Header)
	if reason != refusal.MalformedSignature && reason != refusal.TimestampMissing || field == "" || !isList(g.pattern()) {
		return Finding{}
	}
	absent := g.absent(d.Header[field][0], reason)
	tags := g.tags(d.Header[field][0], absent)
	if len(tags) == 0 {
		return Finding{}
	}
	for i, tag := range tags {
		tags[i] = strconv.Quote(tag)
	}
	return finding(signatureTagsDiffer, absent, strings.Join(tags, ", "), "")
}

// cure returns the options that turn one scheme into another, as lines to write.
func cure(from, to signature.Scheme) string {
	var lines []string
	write := func(option string, values ...string) {
		for i, value := range values {
			if strings.ContainsAny(value, " \"") {
				values[i] = strconv.Quote(value)
			}
		}
		lines = append(lines, "`"+option+" "+strings.Join(values, " ")+"`")
	}
	if differ(from.Headers, to.Headers) {
		write("header", to.Headers...)
	}
	if from.Signature != to.Signature {
		write("signature", to.Signature)
	}
	if from.Signature = to.Signature; differ(allowed(from), allowed(to)) {
		write("algorithms", to.Algorithms...)
	}
	if from.WithDefaults().Payload != to.WithDefaults().Payload {
		write("payload", to.Payload)
	}
	if from.TimestampUnit != to.TimestampUnit {
		write("timestamp", cmp.Or(to.Timestamp, "{ts}"), to.TimestampUnit)
	}
	return strings.Join(lines, " and ")
}

func differ(a, b []string) bool { return strings.Join(a, " ") != strings.Join(b, " ") }
