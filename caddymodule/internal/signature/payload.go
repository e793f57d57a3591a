package signature

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// A payload is the compiled form of what is signed: small parts, and among them the body,
// which streams between what comes before it and what comes after it.
type payload struct {
	parts   []part
	body    int       // the index of the body, or of its hash
	hash    *bodyHash // nil: the body itself is signed
	stamped bool      // {ts} is in it
	nonced  bool      // {nonce} is in it
	fenced  bool      // text that no time holds follows each {ts}
}

// A part is literal text, or what stands for a placeholder.
type part struct {
	kind  partKind
	text  string // the text, or the canonical name of the field
	fence string // what ends a value that the sender chooses; empty: see fits
	last  bool   // behind the part that is open: the fence stands in front of the value
	open  bool   // the value is what the others leave, see fence
}

type partKind uint8

const (
	partText partKind = iota
	partBody
	partTime
	partField
	partNonce
	partMethod
	partURL
	partTarget
)

// varies reports whether the request says how long the part is. A time is another matter,
// see fenceTime.
func (p *part) varies() bool {
	return p.kind == partField || p.kind == partNonce || p.kind == partMethod || p.kind == partTarget
}

// compilePayload reads a template, see the package doc. number says that {ts} is one.
func compilePayload(source string, number bool) (payload, error) {
	tokens, err := scan("payload", source)
	if err != nil {
		return payload{}, err
	}
	p := payload{body: -1}
	bodies := 0
	for _, t := range tokens {
		next, err := p.part(t)
		if err != nil {
			return payload{}, inTemplate("payload", source, t.position, err.Error())
		}
		if p.parts = join(p.parts, next); next.kind == partBody {
			p.body = len(p.parts) - 1
			bodies++
		}
	}
	if bodies != 1 {
		return payload{}, mistake.In("payload", "%s: {body}, or one hash of it, must be in it exactly once: what is not signed is not verified; %s",
			mistake.Show(source), payloadWords.braced(source))
	}
	if err := p.fence(number); err != nil {
		return payload{}, mistake.In("payload", "%s: %w", mistake.Show(source), err)
	}
	return p, nil
}

// join appends a part. Text that follows text makes it longer.
func join(parts []part, next part) []part {
	if last := len(parts) - 1; last >= 0 && next.kind == partText && parts[last].kind == partText {
		parts[last].text += next.text
		return parts
	}
	return append(parts, next)
}

func (p *payload) part(t token) (part, error) {
	name, isField := strings.CutPrefix(t.text, "header.")
	switch {
	case !t.placeholder:
		return part{kind: partText, text: t.text}, noEscapes(t.text)
	case characters[t.text] != "":
		return part{kind: partText, text: characters[t.text]}, nil
	case t.text == "body", findBodyHash(t.text) != nil:
		p.hash = findBodyHash(t.text)
		return part{kind: partBody}, nil
	case t.text == "ts":
		p.stamped = true
		return part{kind: partTime}, nil
	case t.text == "nonce":
		p.nonced = true
		return part{kind: partNonce}, nil
	case t.text == "path_query":
		return part{kind: partTarget}, nil
	case t.text == "method":
		return part{kind: partMethod}, nil
	case t.text == "url":
		return part{kind: partURL}, nil
	case isField:
		return part{kind: partField, text: http.CanonicalHeaderKey(name)}, validField("{header.NAME}", name)
	}
	return part{}, errors.New(unknownInPayload(t.text))
}

var payloadWords = newVocabulary(map[string]string{
	"{timestamp}": "{ts}", "{time}": "{ts}", "{t}": "{ts}", "{payload}": "{body}", "{rawbody}": "{body}", "{content}": "{body}",
	"{newline}": "{lf}", "{n}": "{lf}", "{host}": "{url}", "{origin}": "{url}",
	"{path}": "{path_query}", "{uri}": "{path_query}", "{requesturi}": "{path_query}", "{target}": "{path_query}", "{query}": "{path_query}",
	"{sha256}": "{body_sha256}", "{sha512}": "{body_sha512}", "{bodyhash}": "{body_sha256}", "{bodydigest}": "{body_sha256}", "{bodysha1}": "{body_sha256}",
	"{digest}": "{body_sha256}", "{hash}": "{body_sha256}", "{bodysha256hex}": "{body_sha256}", "{bodysha512hex}": "{body_sha512}",
}, "{body}, or {ts}.{body}", "body", "ts", "header.NAME", "method", "url", "path_query", "nonce",
	"body_sha256", "body_sha512", "body_sha256_base64", "body_sha512_base64", "lf", "cr", "tab")

// unknownInPayload takes a name with a hyphen for that of a field.
func unknownInPayload(name string) string {
	_, field, isField := strings.Cut(name, "header")
	field = strings.TrimLeft(strings.TrimPrefix(field, "s"), ".:_")
	if !isField && strings.Contains(name, "-") {
		field, isField = name, true
	}
	if isField && validField("payload", field) == nil && !mistake.MayBeSecret(field) {
		return "unknown placeholder {" + name + "}; did you mean {header." + field + "}?"
	}
	return payloadWords.unknown(name)
}

// characters are what a template cannot show.
var characters = map[string]string{"lf": "\n", "cr": "\r", "tab": "\t"}

// noEscapes refuses what looks like an escape. It would be signed as a backslash and
// a letter, which no sender does.
func noEscapes(text string) error {
	for _, name := range []string{"lf", "cr", "tab"} {
		quoted := strconv.Quote(characters[name])
		if escape := strings.Trim(quoted, `"`); strings.Contains(text, escape) {
			return fmt.Errorf("%s is a backslash and a letter here; write {%s}", escape, name)
		}
	}
	return nil
}

// renderParts writes out parts of what is signed.
func (c *Check) renderParts(parts []part, d *Delivery, stamp string) error {
	for i := range parts {
		p := &parts[i]
		text, err := p.render(d, stamp, c.found.nonce)
		if err == nil && p.varies() && !p.fits(text) {
			err = refusal.MalformedSignature
		}
		if err != nil {
			return err
		}
		c.around, c.parts = append(c.around, text...), append(c.parts, len(text))
	}
	return nil
}

func (p *part) render(d *Delivery, stamp, nonce string) (string, error) {
	switch p.kind {
	case partTime:
		return stamp, nil
	case partField:
		return d.single(p.text)
	case partNonce:
		return nonce, nil
	case partMethod:
		return d.Method, nil
	case partTarget:
		return d.Target, nil
	case partURL:
		return d.URL, nil
	}
	return p.text, nil
}

// single returns the value of a field that is signed. It must stand on exactly one
// line: recipients disagree on which of several counts.
func (d *Delivery) single(name string) (string, error) {
	switch lines := d.Header[name]; len(lines) {
	case 0:
		return "", refusal.MissingSignature
	case 1:
		return lines[0], nil
	}
	return "", refusal.AmbiguousSignature
}
