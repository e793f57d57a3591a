package options_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
)

type house struct {
	name, first, second string
	rooms               []string
	keys                []string
	empty               bool
	size                int64
	age                 caddy.Duration
	floors              int
	roof                string
}

func (h *house) table() options.Table {
	return options.Table{Of: "house", Repeatable: []string{"key"}, Secret: "key <value>", Options: map[string]func(options.Line) error{
		"name":   options.Text(&h.name),
		"pair":   options.Pair(&h.first, &h.second),
		"rooms":  options.List(&h.rooms),
		"empty":  options.Flag(&h.empty),
		"size":   options.Size(&h.size, limits.MaxSize, "25MiB"),
		"age":    options.Duration(&h.age, limits.Window, "24h"),
		"floors": options.Number(&h.floors, limits.MaxEntries, "3"),
		"key": func(l options.Line) error {
			if len(l.Args) != 1 {
				return errors.New("it takes one value")
			}
			h.keys = append(h.keys, l.Args[0])
			return nil
		},
		"roof": func(l options.Line) error {
			l.Block(options.Table{Of: "roof", Silent: true, Options: map[string]func(options.Line) error{
				"colour": options.Text(&h.roof),
				"age":    options.Duration(&h.age, limits.Window, "24h"),
			}})
			return nil
		},
	}}
}

func read(h *house, text string) *options.Block {
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	b := options.Start(d)
	b.Arguments()
	b.Read(h.table())
	return b
}

func TestBlock(t *testing.T) {
	var h house
	b := read(&h, "house {\n name a\n pair b c\n rooms d e\n empty\n size 1KiB\n age 2h\n floors 3\n key f\n key g\n roof {\n  colour red\n }\n}")
	if err := b.Err("house"); err != nil {
		t.Fatal(err)
	}
	if h.name != "a" || h.first != "b" || h.second != "c" || len(h.rooms) != 2 || !h.empty || h.size != 1024 || h.age == 0 || h.floors != 3 ||
		len(h.keys) != 2 || h.roof != "red" || !b.Has("roof: colour") || b.Has("colour") {
		t.Errorf("%+v", h)
	}
}

// All mistakes of a block come at once, in the order of their lines, with the lines of
// the options inside.
func TestAllMistakes(t *testing.T) {
	var h house
	b := read(&h, "house {\n roof {\n  age 5\n  colour\n  color red\n }\n size\n key a b\n key c\n name a\n name b\n empty {\n  x\n }\n}")
	b.Check(errors.Join(
		mistake.In("size", "of what could not be read nothing is said"),
		mistake.In("key 1", "nor of this"),
		mistake.In("key 2", "has a line of its own"),
		mistake.In("rooms", "it is not written").Or("roof: colour", "name"), // colour could not be read
		mistake.In("rooms", "it has %d", 4).Or("pair", "name"),
		mistake.In("roof: age 7, argument 2", "is silent"),
		mistake.In("pair", "is missing"),
	))
	const want = `h: pair: is missing, at Testfile:1
h: roof: age: this is not a duration; write 5h, or 5s for seconds, at Testfile:3
h: roof: age 7, argument 2: is silent, at Testfile:3
h: roof: colour: it takes exactly one argument, not 0, at Testfile:4
h: roof: unknown option "color"; did you mean colour?, at Testfile:5
h: size: it takes exactly one argument, not 0; write for example: size 25MiB, at Testfile:7
h: key: it takes one value, at Testfile:8
h: key 2: has a line of its own, at Testfile:9
h: name: it is given twice, first on line 10; keep one line, at Testfile:11
h: empty: it takes no block; remove the braces and what is between them, at Testfile:12`
	if err := b.Err("h"); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]string{
		"size 4096":                   "",
		"size 25mb":                   "",
		"size 1023":                   `"1023" is not a size; write 1023MiB, or 1023B for bytes`,
		"size 25 bytes":               `"25 bytes" is not a size; write 25B`,
		"size 2 Gigs":                 `"2 Gigs" is not a size; write 2GB`,
		"size 1.5 MiB":                `it takes exactly one argument, not 2; write for example: size 25MiB`,
		"size 25MB more":              `it takes exactly one argument, not 2; write for example: size 25MiB`,
		"size -25MB":                  `"-25MB" is not a size; write for example: size 25MiB`,
		"size 0B":                     `it must be greater than zero; write for example: size 25MiB`,
		"size 99999PB":                `"99999PB" is out of range; it must be from 1B to 1TiB`,
		"age 90m":                     "",
		"age 1 DAY":                   `"1 DAY" is not a duration; write 1d`,
		"age 2 weeks":                 `"2 weeks" is not a duration; write 14d`,
		"age 10ms":                    `it must be from 1s to 366d, not 10ms`,
		"age 3 mins":                  `"3 mins" is not a duration; write 3m`,
		"age a2Vf+0c/xyz":             `(not shown, in case it is a secret) is not a duration; write for example: age 24h`,
		"floors 0":                    `it must be greater than zero; write for example: floors 3`,
		"floors 3.5":                  `"3.5" is not a number; write for example: floors 3`,
		"floors 99999999999999999999": `(not shown, in case it is a secret) is out of range; it must be from 1 to 100000000`,
	} {
		if want != "" {
			option, _, _ := strings.Cut(text, " ")
			want = option + ": " + want + ", at Testfile:2"
		}
		got := ""
		if err := read(new(house), "house {\n"+text+"\n}").Err(""); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
