// Package options reads the blocks of a Caddyfile: that of webhook_auth, those inside it,
// those of the replay guard's stores, and the global option. It reports all mistakes at
// once, each with file and line of its option, and package mistake decides what of the
// text an error may show.
package options

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// A Table is what can be in a block.
type Table struct {
	// Of is whose block it is, for errors: "webhook_auth", "store redis".
	Of string
	// Options read one line each. Their errors say what is wrong without the option.
	Options map[string]func(Line) error
	// Repeatable are the options that may be on several lines, those with secrets first.
	Repeatable []string
	// Also are words that people write for an option with another name.
	Also map[string]string
	// Hint says where to write a word that is not an option here, or "".
	Hint func(option string, arguments []string) string
	// Secret is how a secret is written in this block.
	Secret string
	// Silent keeps the values of all options out of errors.
	Silent bool
}

// A Block is a block that is being read, with the mistakes in it.
type Block struct {
	dispenser *caddyfile.Dispenser
	start     caddyfile.Token
	lines     map[string]caddyfile.Token // of the options by their full names, as in mistake.Error
	wrong     map[string]bool            // the options that have been reported
	errors    Errors
}

// Start begins to read what the current token of d begins.
func Start(d *caddyfile.Dispenser) *Block {
	return &Block{dispenser: d, start: d.Token(), lines: make(map[string]caddyfile.Token), wrong: make(map[string]bool)}
}

// Arguments returns the words on the first line.
func (b *Block) Arguments() (words []string) {
	for _, token := range b.dispenser.RemainingArgsAsTokens() {
		words = append(words, token.Text)
	}
	return words
}

// Read reads the block, if there is one.
func (b *Block) Read(table Table) { b.read(table, "") }

// read reads a block of which the options' full names begin with path.
func (b *Block) read(table Table, path string) {
	count := make(map[string]int)
	for nesting := b.dispenser.Nesting(); b.dispenser.NextBlock(nesting); {
		l := Line{Option: b.dispenser.Val(), block: b, table: table, path: path, token: b.dispenser.Token()}
		l.Tokens = b.dispenser.RemainingArgsAsTokens()
		for _, token := range l.Tokens {
			l.Args = append(l.Args, token.Text)
		}
		repeatable := slices.Contains(table.Repeatable, l.Option)
		if repeatable {
			count[l.Option]++
			l.numbered = fmt.Sprintf("%s %d", l.name(), count[l.Option])
			b.lines[l.numbered] = l.token
		}
		first, again := b.lines[l.name()]
		b.lines[l.name()] = l.token
		if again && !repeatable {
			l.report(twice(first, l.token))
		}
		for _, err := range []error{l.read(), l.skipBlock()} {
			l.report(err)
		}
	}
}

// twice says that an option is on two lines.
func twice(first, second caddyfile.Token) error {
	where := "it is given twice"
	if first.File == second.File {
		where = fmt.Sprintf("it is given twice, first on line %d", first.Line)
	}
	return errors.New(where + "; keep one line")
}

// Add reports mistakes at the lines of their options.
func (b *Block) Add(err error) {
	for _, err := range mistake.Each(err) {
		b.place(err, b.start)
	}
}

// Check reports mistakes in options that have been read. It says nothing more about an
// option that could not be read.
func (b *Block) Check(err error) {
	for _, err := range mistake.Each(err) {
		if m, ok := errors.AsType[*mistake.Error](err); ok && (b.wrong[m.Option] || slices.ContainsFunc(m.Instead, b.isWrong)) {
			continue
		}
		b.place(err, b.start)
	}
}

func (b *Block) isWrong(option string) bool { return b.wrong[option] }

// IsWrong reports whether a mistake was found.
func (b *Block) IsWrong() bool { return len(b.errors) > 0 }

// place reports a mistake at the line of its option, or of the one that may be wrong
// instead.
func (b *Block) place(err error, token caddyfile.Token) {
	text := err.Error()
	if m, ok := errors.AsType[*mistake.Error](err); ok {
		for _, option := range append([]string{m.Option}, m.Instead...) {
			line, ok := b.line(option)
			if !ok {
				continue
			}
			if token = line; option != m.Option {
				text = fmt.Sprintf("%s: it does not fit the %s of the preset: %v", option, m.Option, errors.Unwrap(m))
			}
			break
		}
	}
	b.errors = append(b.errors, placed{token: token, text: text})
}

// line returns the line of an option, or of the one around it: of "challenge hub" it is
// that of "challenge".
func (b *Block) line(option string) (caddyfile.Token, bool) {
	for option != "" {
		if token, ok := b.lines[option]; ok {
			return token, true
		}
		option = strings.TrimRight(option[:max(strings.LastIndexByte(option, ' '), 0)], ":,")
	}
	return caddyfile.Token{}, false
}

// Has reports whether an option is in the block, right or wrong.
func (b *Block) Has(option string) bool { _, ok := b.lines[option]; return ok }

// Err returns all mistakes in the order of their lines, each with where it is.
func (b *Block) Err(place string) error {
	if len(b.errors) == 0 {
		return nil
	}
	for i := range b.errors {
		if place != "" {
			b.errors[i].text = place + ": " + b.errors[i].text
		}
	}
	slices.SortStableFunc(b.errors, func(x, y placed) int {
		if x.token.File != y.token.File {
			return 0
		}
		return x.token.Line - y.token.Line
	})
	return b.errors
}

// Errors are mistakes with their lines.
type Errors []placed

// placed is one mistake with its line.
type placed struct {
	token caddyfile.Token
	text  string
}

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		d := caddyfile.NewDispenser([]caddyfile.Token{p.token})
		d.Next()
		lines[i] = d.Err(p.text).Error() // with file, line and imports
	}
	return strings.Join(lines, "\n")
}

// A Line is one option of a block with its arguments.
type Line struct {
	Option string
	Args   []string
	Tokens []caddyfile.Token // the arguments, and whether they have quotes

	block    *Block
	table    Table
	path     string
	numbered string // the name of a repeatable one with its position: "secret 2"
	token    caddyfile.Token
}

func (l Line) name() string { return l.path + l.Option }

// read reads the line. It leaves an unknown option to report.
func (l Line) read() error {
	if read, ok := l.table.Options[l.Option]; ok {
		return read(l)
	}
	return nil
}

// report keeps a mistake in this line.
func (l Line) report(err error) {
	_, known := l.table.Options[l.Option]
	switch nested, isNested := errors.AsType[Errors](err); {
	case !known && !l.block.wrong[l.name()]:
		l.block.errors = append(l.block.errors, placed{token: l.token, text: l.path + l.unknown()})
	case !known || err == nil:
		return
	case isNested:
		for _, inner := range nested {
			l.block.errors = append(l.block.errors, placed{token: inner.token, text: l.name() + " " + inner.text})
		}
	default:
		l.block.errors = append(l.block.errors, placed{token: l.token, text: mistake.In(l.name(), "%w", err).Error()})
	}
	l.block.wrong[l.name()] = true
	if l.numbered != "" {
		l.block.wrong[l.numbered] = true
	}
}

// unknown says that there is no such option, and which one is meant. The word is shown only
// if it cannot be a part of a secret.
func (l Line) unknown() string {
	set := mistake.Set{What: "option", Words: slices.Sorted(maps.Keys(l.table.Options)), Also: l.table.Also}
	near := set.Near(l.Option)
	what := fmt.Sprintf("unknown option %q", l.Option)
	if mistake.OptionMayBeSecret(l.Option) {
		what = "unknown option (not shown, in case it is a secret)"
	}
	hint := ""
	if l.table.Hint != nil {
		hint = l.table.Hint(l.Option, l.Args)
	}
	switch {
	case hint != "":
		return what + "; " + hint
	case near != nil:
		l.mean(near)
		return what + "; did you mean " + mistake.Either(near) + "?"
	case mistake.OptionMayBeSecret(l.Option) && l.table.Secret != "":
		l.mean(l.table.Repeatable)
		return what + "; write secrets as: " + l.table.Secret
	}
	return what + "; " + l.table.Of + " has " + mistake.Either(set.Words)
}

// mean keeps quiet about options that this line was probably meant to be.
func (l Line) mean(options []string) {
	for _, option := range options {
		l.block.wrong[l.path+option] = true
	}
}

// skipBlock passes over a block where none belongs.
func (l Line) skipBlock() (err error) {
	for nesting := l.block.dispenser.Nesting(); l.block.dispenser.NextBlock(nesting); {
		err = errors.New("it takes no block; remove the braces and what is between them")
	}
	return err
}

// Block reads the block of the option.
func (l Line) Block(table Table) { l.block.read(table, l.name()+": ") }

// Module reads the block of the option, which belongs to a module. Mistakes that the module
// returns as [Errors] keep their lines.
func (l Line) Module(id string) (caddyfile.Unmarshaler, error) {
	return caddyfile.UnmarshalModule(l.block.dispenser, id)
}

// Show quotes a word, unless it may be a secret.
func (l Line) Show(word string) string {
	if l.table.Silent {
		return "this"
	}
	return mistake.Show(word)
}

// Named reports whether the first of two arguments is a name, and cannot be a part of a
// secret.
func (l Line) Named() bool {
	word := func(i int) mistake.Word { return mistake.Word{Text: l.Tokens[i].Text, Quoted: l.Tokens[i].Quoted()} }
	return mistake.IsName(word(0), word(1))
}
