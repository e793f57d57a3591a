// Package guessable finds secrets that anyone may know: a reference or a sample that
// nobody replaced, a blank value, a public key. The table rows is the whole rule.
//
// The rule looks at the secret as it is written and at the key that it decodes to. It
// matches a whole value and never a part of one, because a random secret may contain
// anything. TestRandomSecrets counts how many random secrets it refuses. No error shows
// a value.
package guessable

import (
	"encoding/binary"
	"errors"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A Secret is what was configured as a secret, a token or a verify token.
type Secret struct {
	Text   string // the value, with its reference resolved
	Prefix string // an optional beginning of the text that is not part of the key
	Key    []byte // what the text decodes to; nil if it does not decode
}

// Check returns an error if anyone may know the secret. The error says what the value
// looks like and what to write instead. It has no subject; the caller adds one.
func (s Secret) Check() error {
	for _, form := range s.forms() {
		for _, row := range rows {
			if (row.binary || !form.binary) && row.is(form.text) {
				return errors.New(row.what + "; " + row.cure(form.text))
			}
		}
	}
	return nil
}

// A form is one way to read a secret. Nobody typed a form that is binary.
type form struct {
	text   string
	binary bool
}

// forms returns the text, the text without a prefix, and the decoded key. whsec_ is a
// prefix for every scheme: samples have it where the scheme takes it for a part of the key.
func (s Secret) forms() []form {
	all := []form{written(s.Text)}
	for _, prefix := range []string{s.Prefix, "whsec_", "v1,whsec_"} {
		if rest, ok := strings.CutPrefix(all[0].text, prefix); ok && prefix != "" {
			all = append(all, written(rest))
		}
	}
	if key := string(s.Key); key != s.Text && s.Key != nil {
		decoded := written(key)
		decoded.binary = decoded.binary || strings.IndexFunc(decoded.text, isControl) >= 0
		all = append(all, decoded)
	}
	return all
}

// written cleans text. It keeps bytes that are not valid text unchanged, because a byte
// that looks like a blank is part of them.
func written(text string) form {
	if cleaned := clean(text); utf8.ValidString(cleaned) {
		return form{text: cleaned}
	}
	return form{text: text, binary: true}
}

// isControl reports whether r is a control character that no tool adds at the end of a
// text.
func isControl(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) && r != 0 }

// clean undoes what tools do to a value. Windows editors and PowerShell write UTF-16 and
// a byte order mark, many add white space, and `docker --env-file` keeps quotes.
func clean(text string) string {
	if decoded, ok := fromUTF16(text); ok {
		text = decoded
	}
	text = strings.TrimSpace(strings.TrimPrefix(text, byteOrderMark))
	if n := len(text); n >= 2 && text[0] == text[n-1] && (text[0] == '"' || text[0] == '\'') {
		text = strings.TrimSpace(text[1 : n-1])
	}
	return text
}

const byteOrderMark = "\uFEFF"

// fromUTF16 decodes UTF-16 that has a byte order mark or in which every other byte is
// zero.
func fromUTF16(text string) (string, bool) {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case len(text) < 4 || len(text)%2 != 0:
		return "", false
	case strings.HasPrefix(text, "\xFF\xFE") || zeros(text, 1):
	case strings.HasPrefix(text, "\xFE\xFF") || zeros(text, 0):
		order = binary.BigEndian
	default:
		return "", false
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 0; i < len(text); i += 2 {
		units = append(units, order.Uint16([]byte(text[i:i+2])))
	}
	return string(utf16.Decode(units)), true
}

// zeros reports whether every other byte is zero, starting at index from, and no other
// byte is.
func zeros(text string, from int) bool {
	for i := range len(text) {
		if (text[i] == 0) != (i%2 == from) {
			return false
		}
	}
	return true
}

// isBlank reports whether text holds only invisible characters and quotes.
func isBlank(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !isInvisible(r) && !isQuote(r) }) < 0
}

func isInvisible(r rune) bool {
	return unicode.IsSpace(r) || r == '\u2800' || // a Braille pattern without a dot
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func isQuote(r rune) bool { return r == '`' || unicode.Is(unicode.Quotation_Mark, r) }

// isRepeated reports whether text is one character, or one byte, over and over.
func isRepeated(text string) bool {
	_, size := utf8.DecodeRuneInString(text)
	return strings.Repeat(text[:size], len(text)/max(size, 1)) == text
}
