package mistake

import (
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Hidden is written for what may be a secret.
const Hidden = "(not shown, in case it is a secret)"

// Show quotes text for an error, or says that it may be a secret.
func Show(text string) string {
	if MayBeSecret(text) {
		return Hidden
	}
	return strconv.Quote(text)
}

// MayBeSecret reports whether text that was written as the value of an option may be a
// secret, or a part of one, that someone wrote in the wrong place: it is in a variable
// whose name says so, or it is not made of the words and numbers that values are made of.
// '+' and '/' are of base64, and cut a secret into words that look like any others.
func MayBeSecret(text string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return r <= '~' && !isAlphanumeric(r) })
	odd := func(word string) bool { return !plain.MatchString(word) || len(word) > 16 }
	digits := len(text) - len(strings.Map(dropDigit, text))
	return len(text) > 80 || digits > 8 || strings.ContainsAny(text, "+/") || slices.ContainsFunc(words, odd) ||
		isHeld(text) || slices.ContainsFunc(words, isHeld)
}

// plain is a word of a value: X, HmacSignature, sha256, base64url, v1, 25MiB. A random
// secret has longer words, or changes more often between cases, letters and digits.
var plain = regexp.MustCompile(`^(` + strings.Join([]string{
	`[A-Za-z]`, `[a-z]+`, `[A-Z]+`, `[A-Z][a-z]`, `([A-Z][a-z]{2,}){1,3}([A-Z]{2})?`,
	`([a-z]+|[A-Z]+|[A-Z][a-z]+)[0-9]{1,4}`, `base64url`, `[0-9]{0,8}([a-z]+|[A-Z]?i?B?)`,
}, "|") + `)$`)

func dropDigit(r rune) rune {
	if '0' <= r && r <= '9' {
		return -1
	}
	return r
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// isHeld reports whether a variable that is named like a secret is text, or has it in its
// value as a word of four letters or more: a blank makes words of a secret.
func isHeld(text string) bool {
	const edge = `(^|$|[^A-Za-z0-9])`
	return IsVariable(text) || len(text) > 3 &&
		variableHolds(`^[^=]*(?i:secret|token|key|pass)[^=]*=((?s:.*)[^A-Za-z0-9])?`+regexp.QuoteMeta(text)+edge)
}

// IsVariable reports whether text is the value of a variable that is named like a secret.
func IsVariable(text string) bool {
	return variableHolds("^[^=]*(?i:secret|token|key|pass)[^=]*=" + regexp.QuoteMeta(text) + "$")
}

// VariableMayBeSecret reports whether what was written as the name of a variable may be a
// secret.
func VariableMayBeSecret(name string) bool {
	return name != "" && (!variable.MatchString(name) || MayBeSecret(name))
}

var variable = regexp.MustCompile(`^[A-Za-z_]\w*$`)

// PathMayBeSecret reports whether what was written as the path of a file may be a secret. A
// path that begins as paths do has segments of any kind, such as the ids of containers,
// but no word as long as a key. A slash alone is not enough: one of 64 secrets in base64
// begins with one.
func PathMayBeSecret(path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.ContainsFunc(segments, MayBeSecret) && (!pathStart.MatchString(path) || longWord.MatchString(path))
}

var (
	pathStart = regexp.MustCompile(`^(/[A-Za-z][a-z]+[0-9]?([._-][a-z]+[0-9]?)*/|[.~]{1,2}[/\\]|[A-Za-z]:[/\\]|\\\\)`)
	longWord  = regexp.MustCompile(`[A-Za-z0-9]{33}`)
)

// OptionMayBeSecret reports whether an unknown option does not look like one, or is the
// beginning of a further line of a variable's value, see IsName.
func OptionMayBeSecret(option string) bool {
	return strings.Trim(option, "abcdefghijklmnopqrstuvwxyz_") != "" || len(option) > maxOption ||
		IsVariable(option) || isLine(option)
}

// maxOption is the length of the longest option, and some letters for a slip.
const maxOption = 24

// CheckName refuses a name that may be a secret: Caddy writes the value of {$NAME} into the
// text of a Caddyfile, and names are shown in logs and metrics. The error does not show the
// name, and has no subject.
func CheckName(name string) error {
	if !slices.ContainsFunc(os.Environ(), func(variable string) bool { return isNamedBy(variable, name) }) {
		return nil
	}
	return errors.New("is, or contains, the value of a variable whose name says that it is a secret; names are in the log and the metrics, so write one that is no secret, such as acme")
}

// The shortest values of variables that are taken for a secret: what is shorter is an
// ordinary word, or a part of one.
const (
	minWhole = 8
	minPart  = 16
)

// isNamedBy reports whether a variable, as NAME=value, is named like a secret, and the name
// is its value, or has it in it.
func isNamedBy(variable, name string) bool {
	key, value, _ := strings.Cut(variable, "=")
	if !secretVariable.MatchString(key) || noSecretVariable.MatchString(key) {
		return false
	}
	return value == name && len(value) >= minWhole || len(value) >= minPart && strings.Contains(name, value)
}

var (
	secretVariable   = regexp.MustCompile(`(?i)secret|token|key|pass`)
	noSecretVariable = regexp.MustCompile(`(?i)(key_?id|name|file|path)$`) // the id of a sender's key is a name that it sends
)

// isLine reports whether a line of a variable's value begins with word.
func isLine(word string) bool { return variableHolds(`\n\s*` + regexp.QuoteMeta(word)) }

// A Word is a word of a Caddyfile.
type Word struct {
	Text   string
	Quoted bool
}

// IsName reports whether the first of two words is a name, and cannot be a part of a
// secret. The adapter writes the value of {$NAME} into the text before it looks for
// words, so that a blank or a quote in it makes two words of one secret. What comes of
//
//	secret {$NAME}     abc def   two words without quotes
//	secret "{$NAME}"   abc"def   a first word in quotes
//
// is no name and no literal here: a name has no quotes, and the value is a reference, or
// a literal in quotes. What else could be a secret is looked up in the variables of this
// process, which is where {$NAME} comes from: one that itself holds `abc "def"`, and one
// that is where a name should be, as in `secret {$OLD_SECRET} {env.NEW_SECRET}`.
func IsName(name, value Word) bool {
	if name.Quoted || IsVariable(name.Text) {
		return false
	}
	return isReference(value.Text) ||
		value.Quoted && !variableHolds("=(?s:.*)"+regexp.QuoteMeta(name.Text)+"[\\s\\\\]+[\"`<]")
}

// isReference reports whether the whole value is {env.NAME} or {file./path}.
func isReference(value string) bool {
	return (strings.HasPrefix(value, "{env.") || strings.HasPrefix(value, "{file.")) && strings.IndexByte(value, '}') == len(value)-1
}

// variableHolds reports whether a variable, as NAME=value, matches the pattern. A pattern
// of text that is not UTF-8 does not compile, and such a text may be a secret.
func variableHolds(pattern string) bool {
	compiled, err := regexp.Compile(pattern)
	return err != nil || slices.ContainsFunc(os.Environ(), compiled.MatchString)
}
