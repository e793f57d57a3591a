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
	fields        []string // canonical names of the {header.NAME} in it
}

// A part is literal text, or what stands for a placeholder.
type part struct {
	kind partKind
	text string // the text, or the canonical name of the field
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
	return p, nil
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
		field := http.CanonicalHeaderKey(name)
		p.fields = append(p.fields, field)
		return part{kind: partField, text: field}, validField("{header.NAME}", name)
	}
	return part{}, fmt.Errorf("{%s} is not one of {body}, {ts}, {header.NAME}, {method}, {url}", t.text)
}

// render appends parts to dst.
func render(dst []byte, parts []part, d *Delivery, stamp string) ([]byte, error) {
	for i := range parts {
		text, err := parts[i].render(d, stamp)
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
