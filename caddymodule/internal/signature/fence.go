package signature

import (
	"errors"
	"strings"
)

// fence makes the signed bytes parse in exactly one way. Otherwise bytes could be moved
// between the parts of a captured delivery, out of the body into a field for instance, and
// it would be another delivery under the same signature.
//
// One part may be open: it is what the others leave. The parts in front of it are read from
// the left, those behind it from the right, and each ends where the sender cannot have
// meant it to go on: text is known, {url} is the same always, a hash has one length, and
// fenceTime looks after {ts}. A field, a nonce, a method and a target need a fence.
//
// {body} is open, because it can hold anything. A hash cannot, so that beside it another
// part may be open instead: {path_query}{body_sha256} ends with 64 digits.
func (p *payload) fence(number bool) error {
	err := p.fenceAround(p.body, number)
	for i := range p.parts {
		if err == nil || p.hash == nil {
			break
		}
		if p.parts[i].varies() && p.fenceAround(i, number) == nil {
			return nil
		}
	}
	return err
}

// fenceAround does so where the part of that index is open.
func (p *payload) fenceAround(open int, number bool) error {
	for i := range p.parts {
		part := &p.parts[i]
		part.fence, part.last, part.open = "", i > open, i == open
		if part.open || !part.varies() {
			continue
		}
		neighbour := i + 1
		if part.last {
			neighbour = i - 1
		}
		if err := part.setFence(&p.parts[neighbour]); err != nil {
			return err
		}
	}
	return p.fenceTime(number)
}

var (
	errNoFence = errors.New("text is needed between a {header.NAME}, {nonce} or {method} and the {body}, field or method beside it; " +
		"without, bytes can be moved from one to the other")
	errTargetFence = errors.New("text that no request target holds is needed between {path_query} and the part beside it, such as a blank or {lf}; " +
		"without, bytes can be moved from one to the other. In front of a hash of the body, as in {path_query}{body_sha256}, none is needed")
)

func (p *part) setFence(neighbour *part) error {
	switch {
	case neighbour.kind == partText && (p.kind != partTarget || endsTarget(neighbour.text)):
		p.fence = neighbour.text
	case p.kind == partTarget:
		return errTargetFence
	case neighbour.kind == partTarget && !p.last:
		p.fence = "/" // which a target begins with
	case neighbour.kind == partTime, neighbour.kind == partURL:
	default:
		return errNoFence
	}
	return nil
}

// endsTarget reports whether text has a byte that no target has (RFC 3986, sections 3.3 and
// 3.4). What a client sends instead is looked at in fits: HTTP/2 takes a blank.
func endsTarget(text string) bool {
	const target = tokenLetters + "/?.~%!$&'()*+,;=:@"
	return strings.Trim(text, target) != ""
}

// fenceTime does the same for {ts}.
//
// A date with its zone ends by itself, and so does one of HTTP. One without a zone may be
// followed by a fraction or a zone, so it needs text behind it that begins with neither:
// "…:29" and ".5{" are also "…:29.5" and "{".
//
// A number may have digits beside it: one digit more or less is a time that lies
// decades away, outside of any tolerance. But where digits can be moved into it at one
// end and out of it at the other, it stays as long as it is. So beside a field without
// text in between, which may hold digits, its other end must be fixed.
func (p *payload) fenceTime(number bool) error {
	p.fenced = p.stamped
	for i := range p.parts {
		if p.parts[i].kind != partTime {
			continue
		}
		p.fenced = p.fenced && i+1 < len(p.parts) && p.parts[i+1].endsDate()
		if number && (p.leaks(i-1, i+1) || p.leaks(i+1, i-1)) {
			return errTimeFence
		}
	}
	return nil
}

var errTimeFence = errors.New("text is needed between {header.NAME} or {nonce} and {ts}, or on the other side of {ts} a character " +
	"other than letters, digits, '-' and '_'; without, digits can be moved from one to the other")

// leaks reports whether the part of the one index is a field without a fence of its own,
// and that of the other one, on the other side of the time, leaves the time's other end
// open.
func (p *payload) leaks(field, other int) bool {
	if field < 0 || field >= len(p.parts) {
		return false
	}
	if f := &p.parts[field]; f.kind != partField && f.kind != partNonce || f.fence != "" || f.open {
		return false
	}
	if other < 0 || other >= len(p.parts) { // an end of what is signed
		return false
	}
	switch o := &p.parts[other]; o.kind {
	case partURL: // it holds a colon, and nothing that can be moved does
		return false
	case partTarget: // it begins with a slash, and may end with anything
		return other < field
	case partText:
		if other < field {
			return isToken(o.text[len(o.text)-1:])
		}
		return isToken(o.text[:1])
	}
	return true
}

// endsDate reports whether p begins with nothing that a date without its zone can go on
// with.
func (p *part) endsDate() bool {
	return p.kind == partTarget || p.kind == partText && strings.IndexByte("0123456789.,Z+-", p.text[0]) < 0
}

// fits reports whether value cannot be mistaken for more than itself. Where there is
// no text to end it, {ts} or {url} does: a method is letters, and a field has nothing
// of a date or a URL but letters, digits, '-' and '_'.
func (p *part) fits(value string) bool {
	switch {
	case p.kind == partTarget && !strings.HasPrefix(value, "/"):
		return false // it is a whole URL, or *
	case p.open:
		return true
	case p.fence == "" && p.kind == partMethod:
		return strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	case p.fence == "":
		return len(value) <= maxToken && isToken(value)
	case p.last:
		return strings.LastIndex(p.fence+value, p.fence) == 0
	}
	return strings.Index(value+p.fence, p.fence) == len(value)
}
