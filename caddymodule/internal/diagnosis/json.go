package diagnosis

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A layout is the white space of JSON. encoding/json cannot write all layouts, and the
// output of its Indent grows with the square of the nesting.
type layout struct {
	comma, colon string
	indent       string // per level, after a line break; empty: one line
}

// python is the default layout of json.dumps.
var python = layout{comma: ", ", colon: ": "}

// layout returns the JSON in another layout, or nil if the body is not JSON or gets too
// long.
func (a *arrived) layout(l layout) []byte {
	if a.compact == nil {
		return nil
	}
	w := &layouter{layout: l}
	for i := 0; i < len(a.compact) && len(w.out) <= maxVariant; i++ {
		i = w.add(a.compact, i)
	}
	if len(w.out) > maxVariant {
		return nil
	}
	return w.out
}

type layouter struct {
	layout
	out   []byte
	depth int
}

// add writes the token at i and returns the index of its last byte.
func (w *layouter) add(compact []byte, i int) int {
	switch c := compact[i]; c {
	case '"':
		end := i + stringLength(compact[i:])
		w.out = append(w.out, compact[i:end]...)
		return end - 1
	case '{', '[':
		if compact[i+1] == c+2 { // in ASCII, } and ] are two after { and [
			w.out = append(w.out, c, c+2)
			return i + 1
		}
		w.out = append(w.out, c)
		w.depth++
		w.line()
	case '}', ']':
		w.depth--
		w.line()
		w.out = append(w.out, c)
	case ',':
		w.out = append(w.out, w.comma...)
		w.line()
	case ':':
		w.out = append(w.out, w.colon...)
	default:
		w.out = append(w.out, c)
	}
	return i
}

// line starts a new line. encoding/json bounds the nesting, and so the indentation.
func (w *layouter) line() {
	if w.indent == "" {
		return
	}
	w.out = append(w.out, '\n')
	for range w.depth {
		w.out = append(w.out, w.indent...)
	}
}

// stringLength returns the length of the JSON string at the front, with its quotes.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func indented(a *arrived) []variant {
	if bytes.IndexByte(a.body, '\n') >= 0 {
		return nil
	}
	return a.indentations()
}

func (a *arrived) indentations() []variant {
	return []variant{
		{"2 blanks", a.layout(layout{colon: ": ", comma: ",", indent: "  "})},
		{"4 blanks", a.layout(layout{colon: ": ", comma: ",", indent: "    "})},
		{"a tab", a.layout(layout{colon: ": ", comma: ",", indent: "\t"})},
	}
}

func spaced(a *arrived) []variant {
	all := []variant{{"a blank after each comma and colon, as Python writes it", a.layout(python)}}
	if bytes.IndexByte(a.body, '\n') < 0 {
		return all
	}
	for _, v := range a.indentations() {
		all = append(all, variant{"indented by " + v.name, v.body})
	}
	return all
}

// A unitChange changes one unit of JSON text and appends the result. A unit is a
// character, an escape, or two \u escapes that make one character. No change touches the
// quotes and brackets of JSON's own syntax.
type unitChange func(dst, unit []byte) []byte

// rewrite changes text unit by unit. It returns nil if there is no text or the result
// gets too long.
func rewrite(text []byte, change unitChange) []byte {
	if text == nil {
		return nil
	}
	out := make([]byte, 0, len(text)+len(text)/8)
	for len(text) > 0 && len(out) <= maxVariant {
		n := plainLength(text)
		out = append(out, text[:n]...)
		if text = text[n:]; len(text) > 0 {
			n = unitLength(text)
			out = change(out, text[:n])
			text = text[n:]
		}
	}
	if len(out) > maxVariant {
		return nil
	}
	return out
}

// touched lists the ASCII characters that some change touches.
const touched = "\\/<>&'+`"

// plainLength returns the length of the run at the front that no change touches, which
// is most of a text.
func plainLength(text []byte) int {
	for i, c := range text {
		if c >= utf8.RuneSelf || strings.IndexByte(touched, c) >= 0 {
			return i
		}
	}
	return len(text)
}

func unitLength(text []byte) int {
	if text[0] != '\\' {
		_, n := utf8.DecodeRune(text)
		return n
	}
	first, ok := escape(text)
	if !ok {
		return min(2, len(text))
	}
	if second, ok := escape(text[6:]); ok && utf16.DecodeRune(first, second) != utf8.RuneError {
		return 12
	}
	return 6
}

// escape reads a \u and its four hex digits.
func escape(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

func escapeSlash(dst, unit []byte) []byte {
	if string(unit) == "/" {
		dst = append(dst, '\\')
	}
	return append(dst, unit...)
}

func unescapeSlash(dst, unit []byte) []byte {
	if string(unit) == `\/` {
		unit = unit[1:]
	}
	return append(dst, unit...)
}

// unescapeUnicode keeps escapes that JSON requires and halves of surrogate pairs.
func unescapeUnicode(dst, unit []byte) []byte {
	r, ok := escape(unit)
	if len(unit) == 12 {
		second, _ := escape(unit[6:])
		r = utf16.DecodeRune(r, second)
	}
	if !ok || r < ' ' || r == '"' || r == '\\' || utf16.IsSurrogate(r) {
		return append(dst, unit...)
	}
	return utf8.AppendRune(dst, r)
}

// escapeUnicode escapes characters beyond ASCII in the format.
func escapeUnicode(format string) unitChange {
	return func(dst, unit []byte) []byte {
		r, n := utf8.DecodeRune(unit)
		if n == 1 {
			return append(dst, unit...)
		}
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			return fmt.Appendf(dst, format+format, high, low)
		}
		return fmt.Appendf(dst, format, r)
	}
}

const (
	lowerCase = `\u%04x`
	upperCase = `\u%04X`
)

// escapeDotNet escapes as .NET's System.Text.Json does by default: quotes in strings,
// characters with a meaning in HTML, and everything beyond ASCII.
func escapeDotNet(dst, unit []byte) []byte {
	switch text := string(unit); {
	case text == `\"`:
		return append(dst, `\u0022`...)
	case len(text) == 1 && strings.Contains("<>&'+`", text):
		return fmt.Appendf(dst, upperCase, unit[0])
	}
	return escapeUnicode(upperCase)(dst, unit)
}

// escapeAstral escapes only characters that take two units of UTF-16.
func escapeAstral(format string) unitChange {
	all := escapeUnicode(format)
	return func(dst, unit []byte) []byte {
		if len(unit) != utf8.UTFMax {
			return append(dst, unit...)
		}
		return all(dst, unit)
	}
}

// escapeSeparators escapes the two line separators that older JavaScript does not allow
// in a string. PHP escapes them even with JSON_UNESCAPED_UNICODE.
func escapeSeparators(dst, unit []byte) []byte {
	if r, _ := utf8.DecodeRune(unit); len(unit) == 3 && (r == 0x2028 || r == 0x2029) {
		return fmt.Appendf(dst, lowerCase, r)
	}
	return append(dst, unit...)
}

// recase changes the case of the digits of escapes.
func recase(change func([]byte) []byte) unitChange {
	return func(dst, unit []byte) []byte {
		for len(unit) >= 6 {
			if _, ok := escape(unit); !ok {
				break
			}
			dst = append(append(dst, unit[:2]...), change(unit[2:6])...)
			unit = unit[6:]
		}
		return append(dst, unit...)
	}
}

func recased(a *arrived) []variant {
	return []variant{
		{"lower", a.rewrite(recase(bytes.ToLower))},
		{"upper", a.rewrite(recase(bytes.ToUpper))},
	}
}

// escapeHTML escapes as Go's encoding/json does by default.
func escapeHTML(dst, unit []byte) []byte {
	r, _ := utf8.DecodeRune(unit)
	if len(unit) < 6 && slices.Contains([]rune{'<', '>', '&', 0x2028, 0x2029}, r) {
		return fmt.Appendf(dst, lowerCase, r)
	}
	return append(dst, unit...)
}

func escaped(a *arrived) []variant {
	return []variant{
		{`characters beyond ASCII as \u escapes in lower case`, a.rewrite(escapeUnicode(lowerCase))},
		{`characters beyond ASCII as \u escapes in upper case`, a.rewrite(escapeUnicode(upperCase))},
		{`<, > and & as \u escapes (as Go does)`, a.rewrite(escapeHTML)},
		{`characters beyond U+FFFF as \u escapes in lower case`, a.rewrite(escapeAstral(lowerCase))},
		{`characters beyond U+FFFF as \u escapes in upper case`, a.rewrite(escapeAstral(upperCase))},
		{`the line separators U+2028 and U+2029 as \u escapes (as PHP does)`, a.rewrite(escapeSeparators)},
	}
}

// reencoded returns the JSON as the encoders of some languages write it by default, and
// without their escapes.
func reencoded(a *arrived) []variant {
	one := *a
	one.body = a.compact
	return []variant{
		{`as Python's json.dumps writes it`, rewrite(a.layout(python), escapeUnicode(lowerCase))},
		{`as PHP's json_encode writes it`, one.rewrite(both(escapeSlash, escapeUnicode(lowerCase)))},
		{`as PHP's json_encode writes it with JSON_UNESCAPED_UNICODE`, one.rewrite(both(escapeSlash, escapeSeparators))},
		{`as .NET's System.Text.Json writes it`, one.rewrite(escapeDotNet)},
		{`without white space and \u escapes`, one.rewrite(unescapeUnicode)},
		{`without escapes of slashes and of characters beyond ASCII`, one.rewrite(both(unescapeSlash, unescapeUnicode))},
	}
}

// sorted returns the JSON with the keys of every object in order. Some senders sign this
// canonical form and send another.
func sorted(a *arrived) []variant {
	inOrder := *a
	if inOrder.compact = sortKeys(a.compact); inOrder.compact == nil {
		return nil
	}
	inOrder.body = inOrder.compact
	return []variant{
		{"without white space", inOrder.compact},
		{"as Python's json.dumps writes it", rewrite(inOrder.layout(python), escapeUnicode(lowerCase))},
		{"with a blank after each comma and colon", inOrder.layout(python)},
		{"without white space, and characters beyond ASCII as \\u escapes", inOrder.rewrite(escapeUnicode(lowerCase))},
	}
}

// both makes two changes that touch different units.
func both(first, second unitChange) unitChange {
	return func(dst, unit []byte) []byte {
		before := len(dst)
		if dst = first(dst, unit); !bytes.Equal(dst[before:], unit) {
			return dst
		}
		return second(dst[:before], unit)
	}
}
