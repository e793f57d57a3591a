package signature

import (
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// A token is one piece of a pattern or a template: text as it stands, or the name
// between a pair of braces.
type token struct {
	text        string
	placeholder bool
	position    int // of its first byte in the source, from 1
}

// scan cuts source into tokens. Errors name the position, from 1.
func scan(option, source string) ([]token, error) {
	var tokens []token
	for at := 0; at < len(source); {
		rest := source[at:]
		t := token{position: at + 1}
		switch i := strings.IndexAny(rest, "{}"); {
		case i < 0:
			t.text = rest
		case i > 0:
			t.text = rest[:i]
		case rest[0] == '}':
			return nil, inTemplate(option, source, at+1, "'}' without '{'")
		default:
			end := strings.IndexAny(rest[1:], "{}")
			if end < 0 || rest[1+end] == '{' {
				return nil, inTemplate(option, source, at+1, "'{' is not closed; write '}' behind the placeholder's name")
			}
			t.text, t.placeholder = rest[1:1+end], true
			at += 2 // the braces
		}
		at += len(t.text)
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// inTemplate is a mistake at a position of a pattern or template, from 1.
func inTemplate(option, source string, position int, problem string) error {
	return mistake.In(option, "%s: position %d: %s", mistake.Show(source), position, problem)
}

// A vocabulary is the placeholders of a pattern or a template.
type vocabulary struct {
	mistake.Set
	example string // written out where nothing is close
}

func newVocabulary(also map[string]string, example string, names ...string) vocabulary {
	for i, name := range names {
		names[i] = "{" + name + "}"
	}
	return vocabulary{mistake.Set{What: "placeholder", Words: names, Also: also}, example}
}

// unknown says that {name} is no placeholder, and which one is meant.
func (v vocabulary) unknown(name string) string { return v.Unknown("{" + name + "}") }

// braced proposes a source without braces with them, where its words are placeholders: for
// sha256=hex it is sha256={hex}.
func (v vocabulary) braced(source string) string {
	found, proposed := false, ""
	for rest := source; rest != ""; {
		end := strings.IndexFunc(rest, func(r rune) bool { return !strings.ContainsRune(tokenLetters, r) })
		if end == 0 {
			proposed, rest = proposed+rest[:1], rest[1:]
			continue
		}
		if end < 0 {
			end = len(rest)
		}
		word := rest[:end]
		if v.has(word) {
			found, word = true, "{"+word+"}"
		}
		proposed, rest = proposed+word, rest[end:]
	}
	if !found || mistake.MayBeSecret(source) || strings.ContainsAny(source, "{}") {
		return "write for example: " + v.example
	}
	return "did you mean " + proposed + "?"
}

func (v vocabulary) has(word string) bool { return slices.Contains(v.Words, "{"+word+"}") }
