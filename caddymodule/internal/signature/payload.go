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

// A payload is the compiled form of what is signed: what comes before the body
// and what comes after it. Both are small; the body streams between them.
type payload struct {
	before, after []part
	stamped       bool
	fenced        bool // text that no time holds follows each {ts}
}

// A part is literal text, or what stands for a placeholder.
type part struct {
	kind  partKind
	text  string // the text, or the canonical name of the field
	fence string // what ends a value that the sender chooses; empty: see fits
	last  bool   // behind the body: the fence stands in front of the value
}

type partKind uint8

const (
	partText partKind = iota
	partTime
	partField
	partMethod
	partURL
)

// compilePayload reads a template, see the package doc.
func compilePayload(source string) (payload, error) {
	tokens, err := scan("payload", source)
	if err != nil {
		return payload{}, err
	}
	var p payload
	bodies, parts := 0, &p.before
	for _, t := range tokens {
		if t.placeholder && t.text == "body" {
			bodies++
			parts = &p.after
			continue
		}
		next, err := p.part(t)
		if err != nil {
			return payload{}, inTemplate("payload", source, t.position, err.Error())
		}
		*parts = join(*parts, next)
	}
	if bodies != 1 {
		return payload{}, mistake.In("payload", "%s: {body} must be in it exactly once: what is not signed is not verified; %s",
			mistake.Show(source), payloadWords.braced(source))
	}
	return p, p.fenceAll(source)
}

// join appends a part. Text that follows text makes it longer.
func join(parts []part, next part) []part {
	if last := len(parts) - 1; last >= 0 && next.kind == partText && parts[last].kind == partText {
		parts[last].text += next.text
		return parts
	}
	return append(parts, next)
}

// fenceAll makes the signed bytes parse in exactly one way. Otherwise bytes could be
// moved between the parts of a captured delivery, out of the body into a field for
// instance, and it would be another delivery under the same signature. {url} is the
// same always, and fenceTime looks after {ts}; a field or a method needs text, {ts}
// or {url} between it and whatever comes next.
func (p *payload) fenceAll(source string) error {
	for i := range p.before {
		if err := p.before[i].setFence(source, p.before, i+1); err != nil {
			return err
		}
	}
	for i := range p.after {
		p.after[i].last = true
		if err := p.after[i].setFence(source, p.after, i-1); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) setFence(source string, parts []part, neighbour int) error {
	if p.kind != partField && p.kind != partMethod {
		return nil
	}
	if neighbour >= 0 && neighbour < len(parts) {
		switch parts[neighbour].kind {
		case partText:
			p.fence = parts[neighbour].text
			return nil
		case partTime, partURL:
			return nil
		}
	}
	return mistake.In("payload", "%s: text is needed between a {header.NAME} or {method} and the {body}, field or method beside it; "+
		"without, bytes can be moved from one to the other", mistake.Show(source))
}

// fenceTime does the same for {ts}, once it is known whether it is a number.
//
// A date with its zone ends by itself. One without may be followed by a fraction or
// a zone, so it needs text behind it that begins with neither: "…:29" and ".5{" are
// also "…:29.5" and "{".
//
// A number may have digits beside it: one digit more or less is a time that lies
// decades away, outside of any tolerance. But where digits can be moved into it at one
// end and out of it at the other, it stays as long as it is. So beside a field without
// text in between, which may hold digits, its other end must be fixed.
func (p *payload) fenceTime(source string, number bool) error {
	p.fenced = p.stamped
	for _, parts := range [][]part{p.before, p.after} {
		for i := range parts {
			if parts[i].kind != partTime {
				continue
			}
			p.fenced = p.fenced && i+1 < len(parts) && parts[i+1].endsDate()
			if number && beside(parts, i-1, i+1) || number && beside(parts, i+1, i-1) {
				return mistake.In("payload", "%s: text is needed between {header.NAME} and {ts}, or on the other side of {ts} a character "+
					"other than letters, digits, '-' and '_'; without, digits can be moved from one to the other", mistake.Show(source))
			}
		}
	}
	return nil
}

// beside reports whether parts[field] is a field without a fence of its own, and
// parts[other], on the other side of the time, leaves its other end open.
func beside(parts []part, field, other int) bool {
	if field < 0 || field >= len(parts) || parts[field].kind != partField || parts[field].fence != "" {
		return false
	}
	if other < 0 || other >= len(parts) { // the body, or the edge of what is signed
		return (other < 0) == parts[field].last
	}
	switch o := &parts[other]; o.kind {
	case partURL: // it holds a colon, and nothing that can be moved does
		return false
	case partText:
		if other < field {
			return isToken(o.text[len(o.text)-1:])
		}
		return isToken(o.text[:1])
	}
	return true
}

// endsDate reports whether p is text that begins with nothing that a date without
// its zone can go on with.
func (p *part) endsDate() bool {
	return p.kind == partText && strings.IndexByte("0123456789.,Z+-", p.text[0]) < 0
}

// fits reports whether value cannot be mistaken for more than itself. Where there is
// no text to end it, {ts} or {url} does: a method is letters, and a field has nothing
// of a date or a URL but letters, digits, '-' and '_'.
func (p *part) fits(value string) bool {
	switch {
	case p.fence == "" && p.kind == partMethod:
		return strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	case p.fence == "":
		return len(value) <= maxToken && isToken(value)
	case p.last:
		return strings.LastIndex(p.fence+value, p.fence) == 0
	}
	return strings.Index(value+p.fence, p.fence) == len(value)
}

func (p *payload) part(t token) (part, error) {
	name, isField := strings.CutPrefix(t.text, "header.")
	switch {
	case !t.placeholder:
		return part{kind: partText, text: t.text}, noEscapes(t.text)
	case characters[t.text] != "":
		return part{kind: partText, text: characters[t.text]}, nil
	case t.text == "ts":
		p.stamped = true
		return part{kind: partTime}, nil
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
	"{newline}": "{lf}", "{n}": "{lf}", "{host}": "{url}", "{path}": "{url}", "{uri}": "{url}",
}, "{body}, or {ts}.{body}", "body", "ts", "header.NAME", "method", "url", "lf", "cr", "tab")

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
		text, err := p.render(d, stamp)
		if err == nil && (p.kind == partField || p.kind == partMethod) && !p.fits(text) {
			err = refusal.MalformedSignature
		}
		if err != nil {
			return err
		}
		c.around, c.parts = append(c.around, text...), append(c.parts, len(text))
	}
	return nil
}

func (p *part) render(d *Delivery, stamp string) (string, error) {
	switch p.kind {
	case partTime:
		return stamp, nil
	case partField:
		return d.single(p.text)
	case partMethod:
		return d.Method, nil
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
