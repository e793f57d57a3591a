// Package guessable finds secrets that anyone may know: a reference or a sample that
// nobody replaced, a value that holds nothing, a public key. [rows] is the whole rule.
//
// The rule looks at the secret as it is written and at the key that it stands for. It
// matches a whole value and never a part of one, because a random secret may hold
// anything: TestRandomSecrets counts how many it refuses. No error shows a value.
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
	Text   string // the value, behind any reference
	Prefix string // what the text may begin with that is not part of the key
	Key    []byte // what the text stands for; nil where it does not decode
}

// Check returns an error where anyone may know the secret. It says what the value
// looks like and what to write instead; its subject is for the caller to name.
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

// A form is one way to read a secret. What is binary is no text that someone wrote.
type form struct {
	text   string
	binary bool
}

// forms returns the text, the text without its prefix, and the key that it stands for.
func (s Secret) forms() []form {
	all := []form{written(s.Text)}
	if rest := strings.TrimPrefix(s.Text, s.Prefix); rest != s.Text {
		all = append(all, written(rest))
	}
	if key := string(s.Key); key != s.Text && s.Key != nil {
		decoded := written(key)
		decoded.binary = decoded.binary || strings.IndexFunc(decoded.text, isControl) >= 0
		all = append(all, decoded)
	}
	return all
}

// written returns bytes that are no text as they are: one that looks like a blank is
// part of them.
func written(text string) form {
	if cleaned := clean(text); utf8.ValidString(cleaned) {
		return form{text: cleaned}
	}
	return form{text: text, binary: true}
}

// isControl reports whether r is a control character that no tool pads or ends text with.
func isControl(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) && r != 0 }

// clean removes what tools put around a value: UTF-16 of Windows' editors and
// PowerShell, a byte order mark, white space, and one pair of quotes, which `docker
// --env-file` keeps.
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

// fromUTF16 decodes UTF-16 with a byte order mark, or of which each second byte is
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

// zeros reports whether each second byte is zero, from the given one on, and the
// others are not.
func zeros(text string, from int) bool {
	for i := range len(text) {
		if (text[i] == 0) != (i%2 == from) {
			return false
		}
	}
	return true
}

// isBlank reports whether text holds nothing that a reader would see.
func isBlank(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !isInvisible(r) && !isQuote(r) }) < 0
}

func isInvisible(r rune) bool {
	return unicode.IsSpace(r) || r == '\u2800' || // a Braille pattern without a dot
		unicode.In(r, unicode.Cc, unicode.Cf, unicode.Z, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func isQuote(r rune) bool { return r == '`' || unicode.Is(unicode.Quotation_Mark, r) }

// isRepeated reports whether text is one character, or one byte, again and again.
func isRepeated(text string) bool {
	_, size := utf8.DecodeRuneInString(text)
	return strings.Repeat(text[:size], len(text)/max(size, 1)) == text
}
