package signature

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// Bounds of one field. A list of signatures is for rotation, where two or three
// are in use; each more is a comparison that a stranger can ask for.
const (
	maxSignatures = 16
	maxItems      = 64
)

// A pattern is the compiled form of how a field's value is built: one item, or a
// list of items that each begin with a tag, or of a time and digests.
type pattern struct {
	named     bool   // one item: {alg}, then delimiter, then the digest
	delimiter string // between {alg} and the digest
	tag       string // in front of a digest
	stampTag  string // in front of {ts}
	nonceTag  string // in front of {nonce}
	stamped   bool   // {ts} is in it
	nonced    bool   // {nonce} is in it
	untagged  bool   // a list without tags: the time, then digests
	separator byte   // between items; 0 where the value is one item
	decode    decoder
	raw       bool // an ECDSA signature is r and s, not DER
}

// A decoder turns a text into bytes, at most as many as it is told, or reports that it
// is none. It may write two bytes more.
type decoder func(dst []byte, most int, text string) (n int, ok bool)

// decoders are the codings of a digest or signature. Behind raw_, an ECDSA signature is
// its two numbers, one behind the other.
var decoders = map[string]decoder{"hex": decodeHex, "base64": decodeBase64, "base64url": decodeBase64URL}

func decodeHex(dst []byte, most int, text string) (int, bool) {
	if len(text) > hex.EncodedLen(most) {
		return 0, false
	}
	n, err := hex.Decode(dst, []byte(text))
	return n, err == nil
}

// decodeBase64 and decodeBase64URL take padding or none: senders differ, and the
// bytes decide.
func decodeBase64(dst []byte, most int, text string) (int, bool) {
	return decodeWith(base64.StdEncoding, base64.RawStdEncoding, dst, most, text)
}

func decodeBase64URL(dst []byte, most int, text string) (int, bool) {
	return decodeWith(base64.URLEncoding, base64.RawURLEncoding, dst, most, text)
}

// decodeWith is strict: encoding/base64 skips line breaks and ignores spare bits,
// so the text must be as long as that of its bytes.
func decodeWith(padded, raw *base64.Encoding, dst []byte, most int, text string) (int, bool) {
	if len(text) > padded.EncodedLen(most) {
		return 0, false
	}
	encoding := raw
	if strings.HasSuffix(text, "=") {
		encoding = padded
	}
	n, err := encoding.Strict().Decode(dst, []byte(text)) // it writes whole groups of three
	return n, err == nil && encoding.EncodedLen(n) == len(text) && n <= most
}

// compilePattern reads a pattern, see the package doc.
func compilePattern(source string) (pattern, error) {
	tokens, err := scan("signature", source)
	if err != nil {
		return pattern{}, err
	}
	p := &patternCompiler{source: source}
	if !slices.ContainsFunc(tokens, func(t token) bool { return t.placeholder }) {
		return pattern{}, p.noDigest()
	}
	for i, t := range tokens {
		if err := p.add(t, i == len(tokens)-1); err != nil {
			return pattern{}, err
		}
	}
	return p.finish()
}

// A patternCompiler takes a pattern's tokens in order.
type patternCompiler struct {
	pattern
	source  string
	literal string // text since the last placeholder
	glued   bool   // two items without a separator
}

func (p *patternCompiler) fail(position int, problem string) error {
	return inTemplate("signature", p.source, position, problem)
}

func (p *patternCompiler) add(t token, last bool) error {
	if !t.placeholder {
		return p.addText(t, last)
	}
	text := p.literal
	p.literal = ""
	coding, raw := strings.CutPrefix(t.text, "raw_")
	switch decode := decoders[coding]; {
	case decode != nil && p.decode == nil:
		err := p.addDigest(t, text)
		p.decode, p.raw = decode, raw
		return err
	case decode != nil:
		return p.fail(t.position, "a second digest; write '...' for a list of them")
	case t.text == "alg" && !p.named && text == "" && t.position == 1:
		p.named = true
	case t.text == "alg":
		return p.fail(t.position, "{alg} stands once, at the very beginning")
	case t.text == "ts" && !p.stamped:
		p.stampTag = p.split(text)
		p.stamped, p.untagged = true, t.position == 1
	case t.text == "nonce" && !p.nonced:
		p.nonceTag = p.split(text)
		p.nonced = true
	default:
		return p.fail(t.position, p.unknown(t.text))
	}
	return nil
}

func (p *patternCompiler) addDigest(t token, text string) error {
	if !p.named {
		p.tag = p.split(text)
		return nil
	}
	p.delimiter = text
	hides := func(a algorithm) bool { // {alg} names no algorithm of a public key
		return a.public == nil && strings.Index(a.name+text, text) != len(a.name)
	}
	if text == "" || strings.Contains(text, ",") || slices.ContainsFunc(algorithms, hides) {
		return p.fail(t.position, "text is needed between {alg} and the digest, without a comma, and in no algorithm's name")
	}
	return nil
}

// addText keeps text for the placeholder behind it. At the end only '...' may
// stand, behind the separator of the list.
func (p *patternCompiler) addText(t token, last bool) error {
	if !last {
		p.literal = t.text
		return nil
	}
	separator, list := strings.CutSuffix(t.text, "...")
	if !list || len(separator) != 1 || !strings.Contains(" ,;", separator) {
		return p.fail(t.position, "behind the last placeholder there can be only a separator (blank, comma or semicolon) and '...'; remove the rest")
	}
	if p.separator != 0 && p.separator != separator[0] {
		return p.fail(t.position, "the list has another separator already")
	}
	p.separator = separator[0]
	return nil
}

// split takes the separator off the front of the text between two items, and
// returns the tag of the second.
func (p *patternCompiler) split(text string) string {
	if !p.stamped && !p.nonced && p.decode == nil {
		return text // it is the first one
	}
	if text == "" || !strings.Contains(",;", text[:1]) || p.separator != 0 && p.separator != text[0] {
		p.glued = true
		return text
	}
	p.separator = text[0]
	return strings.TrimLeft(text[1:], " ")
}

func (p *patternCompiler) finish() (pattern, error) {
	end := len(p.source) + 1
	isList := p.separator != 0
	p.untagged = p.untagged && p.tag == "" && !p.nonced
	switch {
	case p.decode == nil:
		return pattern{}, p.noDigest()
	case p.named && isList:
		return pattern{}, p.fail(end, "{alg} cannot stand in a list")
	case p.glued:
		return pattern{}, p.fail(end, "a comma or semicolon is needed between the items, the same one between all")
	case isList && !p.untagged && !p.tagged():
		return pattern{}, p.fail(end, "each item of a list needs a tag of its own, such as v1=; without tags, the time comes first: {ts},{hex},...")
	case isList && strings.IndexByte(p.tag+p.stampTag+p.nonceTag, p.separator) >= 0, !isList && strings.Contains(p.tag, ","):
		return pattern{}, p.fail(end, "a tag cannot hold a comma, nor the separator of its list")
	}
	return p.pattern, nil
}

// tagged reports whether each item of a list has a tag of its own.
func (p *patternCompiler) tagged() bool {
	tags := []string{p.tag}
	if p.stamped {
		tags = append(tags, p.stampTag)
	}
	if p.nonced {
		tags = append(tags, p.nonceTag)
	}
	for i, tag := range tags {
		if tag == "" || slices.ContainsFunc(tags[:i], func(other string) bool { return alike(tag, other) }) {
			return false
		}
	}
	return true
}

var patternWords = newVocabulary(map[string]string{
	"{timestamp}": "{ts}", "{time}": "{ts}", "{t}": "{ts}", "{algorithm}": "{alg}", "{algo}": "{alg}", "{b64}": "{base64}",
	"{digest}": "{hex}", "{signature}": "{hex}", "{sig}": "{hex}", "{hash}": "{hex}", "{hmac}": "{hex}", "{sha256}": "{hex}",
	"{random}": "{nonce}", "{salt}": "{nonce}", "{id}": "{nonce}",
}, "{alg}={hex}, or sha256={hex}", "alg", "ts", "nonce", "hex", "base64", "base64url")

// unknown says what a placeholder that does not belong there should be.
func (p *patternCompiler) unknown(name string) string {
	if patternWords.has(name) {
		return "{" + name + "} can be in it only once"
	}
	return patternWords.unknown(name)
}

// noDigest says where the digest goes.
func (p *patternCompiler) noDigest() error {
	problem := patternWords.braced(p.source)
	if find(p.source) >= 0 {
		problem = "did you mean " + p.source + "={hex}?"
	}
	return mistake.In("signature", "%s: it has no {hex}, {base64} or {base64url}; %s", mistake.Show(p.source), problem)
}

// alike reports whether an item could be taken for one with the other tag.
func alike(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

// found is what one field's value holds.
type found struct {
	algorithm  string
	stamp      string
	nonce      string
	signatures [maxSignatures]string
	n          int
}

func (f *found) add(signature string) error {
	if f.n == maxSignatures {
		return refusal.MalformedSignature
	}
	f.signatures[f.n] = signature
	f.n++
	return nil
}

// read takes a value apart, strictly from end to end. What the digests say is
// looked at later.
func (p *pattern) read(value string, f *found) error {
	if p.separator != 0 {
		return p.readList(value, f)
	}
	if strings.IndexByte(value, ',') >= 0 {
		return refusal.AmbiguousSignature
	}
	if p.named {
		return p.readNamed(value, f)
	}
	digest, ok := strings.CutPrefix(value, p.tag)
	if !ok {
		return refusal.MalformedSignature
	}
	return f.add(digest)
}

func (p *pattern) readNamed(value string, f *found) error {
	name, digest, ok := strings.Cut(value, p.delimiter)
	if !ok || name == "" {
		return refusal.MalformedSignature
	}
	f.algorithm = name
	return f.add(digest)
}

// lenient reports whether an item that is no digest is skipped. In a list without tags it
// is not: nothing but its form says what it is.
func (p *pattern) lenient() bool { return p.separator != 0 && !p.untagged }

// readList reads items in any order. Items without one of our tags are skipped,
// whatever they look like, because senders add versions (Stripe's v0, Standard
// Webhooks' v1a, Worldpay's 2/SHA256/); an empty item is malformed.
func (p *pattern) readList(value string, f *found) error {
	before := f.n
	for items := 0; value != ""; items++ {
		item, rest, more := strings.Cut(value, string(p.separator))
		if p.separator != ' ' {
			rest = strings.TrimLeft(rest, " ") // RFC 9110, section 5.6.1: optional white space in lists
		}
		if items == maxItems || more && rest == "" {
			return refusal.MalformedSignature
		}
		if err := p.readItem(item, items, f); err != nil {
			return err
		}
		value = rest
	}
	if f.n == before || p.nonced && f.nonce == "" {
		return refusal.MalformedSignature
	}
	return nil
}

// readItem reads the item of that position, from 0.
func (p *pattern) readItem(item string, position int, f *found) error {
	if p.untagged && position > 0 {
		return f.add(item)
	}
	if digest, ok := strings.CutPrefix(item, p.tag); ok && !p.untagged {
		return f.add(digest)
	}
	if stamp, ok := strings.CutPrefix(item, p.stampTag); ok && p.stamped {
		return f.set(&f.stamp, stamp, refusal.TimestampMalformed)
	}
	if nonce, ok := strings.CutPrefix(item, p.nonceTag); ok && p.nonced {
		return f.set(&f.nonce, nonce, refusal.MalformedSignature)
	}
	if item == "" {
		return refusal.MalformedSignature
	}
	return nil
}

// set keeps a word that is there once. An empty one is the refusal.
func (f *found) set(word *string, value string, empty refusal.Reason) error {
	if *word != "" {
		return refusal.AmbiguousSignature
	}
	if *word = value; value == "" {
		return empty
	}
	return nil
}
