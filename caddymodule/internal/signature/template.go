package signature

import (
	"fmt"
	"strings"
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
			return nil, fmt.Errorf("%s: %q: position %d: '}' without '{'", option, source, at+1)
		default:
			end := strings.IndexAny(rest[1:], "{}")
			if end < 0 || rest[1+end] == '{' {
				return nil, fmt.Errorf("%s: %q: position %d: '{' is not closed", option, source, at+1)
			}
			t.text, t.placeholder = rest[1:1+end], true
			at += 2 // the braces
		}
		at += len(t.text)
		tokens = append(tokens, t)
	}
	return tokens, nil
}
