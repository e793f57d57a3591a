package signature

import (
	"fmt"
	"net/http"
	"strings"
)

// A payload is the compiled form of what is signed: what comes before the body
// and what comes after it. Both are small; the body streams between them.
type payload struct {
	before, after []part
	stamped       bool
}

// A part is literal text, or what stands for a placeholder.
type part struct {
	kind  partKind
	text  string // the text, or the canonical name of the field
	fence string // what ends a value that the sender chooses; empty: anything but letters, digits, '-' and '_'
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
			return payload{}, fmt.Errorf("payload: %q: position %d: %w", source, t.position, err)
		}
		*parts = append(*parts, next)
	}
	if bodies != 1 {
		return payload{}, fmt.Errorf("payload: %q: {body} must stand in it exactly once: what is not signed is not verified", source)
	}
	return p, p.fenceAll(source)
}

// fenceAll sees to it that what is signed can be taken apart in one way only.
// Otherwise bytes could be moved between the parts of a captured delivery, out of
// the body into a field for instance, and it would be another delivery under the
// same signature. {ts} ends by itself and {url} is the same always; a field or a
// method needs text, {ts} or {url} between it and whatever comes next.
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
	return fmt.Errorf("payload: %q: text is needed between a {header.NAME} or {method} and the {body}, field or method beside it; "+
		"without, bytes can be moved from one to the other", source)
}

// fits reports whether value cannot be mistaken for more than itself.
func (p *part) fits(value string) bool {
	switch {
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
		return part{kind: partText, text: t.text}, nil
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
	return part{}, fmt.Errorf("{%s} is not one of {body}, {ts}, {header.NAME}, {method}, {url}", t.text)
}

// render appends parts to dst.
func render(dst []byte, parts []part, d *Delivery, stamp string) ([]byte, error) {
	for i := range parts {
		p := &parts[i]
		text, err := p.render(d, stamp)
		if err == nil && (p.kind == partField || p.kind == partMethod) && !p.fits(text) {
			err = MalformedSignature
		}
		if err != nil {
			return dst, err
		}
		dst = append(dst, text...)
	}
	return dst, nil
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
		return "", MissingSignature
	case 1:
		return lines[0], nil
	}
	return "", AmbiguousSignature
}
