package caddymodule

import (
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// The order makes the directive usable without an `order` option: after the
// directives that limit or rewrite a request, so that the gate and reverse_proxy
// see the same path, and before everything that answers or forwards it.
func init() {
	httpcaddyfile.RegisterHandlerDirective("webhook_auth", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("webhook_auth", httpcaddyfile.Before, "basic_auth")
}

func parseCaddyfile(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive and reports all its mistakes at once:
//
//	webhook_auth [<matcher>] [<preset>] {
//	    secret           [<name>] <value>
//	    public_key       [<name>] <value>
//	    key_id           <field>
//	    secret_encoding  text|base64|hex [<prefix>]
//	    name             <label>
//	    header           [any_of] <field>...
//	    algorithms       <name>...
//	    signature        <pattern>
//	    payload          <template>
//	    timestamp        <field>|{ts} [s|ms|rfc3339]
//	    tolerance        <duration>
//	    public_url       <url>
//	    challenge        <kind> [<argument>...]
//	    max_size         <size>
//	    memory           <size>
//	    body_timeout     <duration>
//	    delivery_timeout <duration>
//	    replay           <window>
//	    on_refusal       answer|handle_errors
//	    diagnose         on|off
//	    unsafe_observe_only
//	}
//
// Only secret and public_key may be repeated.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	var errs []error
	if d.NextArg() {
		h.Preset = d.Val()
		if _, ok := signature.FindPreset(h.Preset); !ok {
			errs = append(errs, d.Err("the argument is neither a matcher nor a preset; options go into the block"))
			h.Preset = ""
		}
	}
	if len(d.RemainingArgs()) > 0 {
		errs = append(errs, d.Err("webhook_auth takes no more than a matcher and a preset; options go into the block"))
	}
	err := errors.Join(append(errs, parseOptions(d, h.options(), "secret public_key"))...)
	if err == nil {
		return nil
	}
	if len(h.Secrets) == 0 && !h.public() && !strings.Contains(err.Error(), "secret") && !strings.Contains(err.Error(), "public_key") {
		err = errors.Join(err, errNoSecret)
	}
	return errors.Join(err, h.checkOptions()) // Provision would report these, and will not run
}

// options is everything that can stand in the block.
func (h *Handler) options() map[string]func(line) error {
	return map[string]func(line) error{
		"secret":              h.secretOption,
		"public_key":          h.publicKeyOption,
		"key_id":              text(&h.KeyID),
		"secret_encoding":     pair(&h.SecretEncoding, &h.SecretPrefix),
		"name":                text(&h.Name),
		"header":              h.headerOption,
		"algorithms":          list(&h.Algorithms),
		"signature":           text(&h.Signature),
		"payload":             h.payloadOption,
		"timestamp":           pair(&h.Timestamp, &h.TimestampUnit),
		"tolerance":           duration(&h.Tolerance),
		"public_url":          text(&h.PublicURL),
		"challenge":           h.challengeOption,
		"max_size":            size(&h.MaxSize),
		"memory":              size(&h.Memory),
		"body_timeout":        duration(&h.BodyTimeout),
		"delivery_timeout":    duration(&h.DeliveryTimeout),
		"replay":              h.replayOption,
		"on_refusal":          text(&h.OnRefusal),
		"diagnose":            text(&h.Diagnose),
		"unsafe_observe_only": flag(&h.UnsafeObserveOnly),
	}
}

// publicKeyOption needs no such care about names: only the value may be a private key that
// was given by mistake.
func (h *Handler) publicKeyOption(l line) error {
	switch len(l.args) {
	case 1:
		h.PublicKeys = append(h.PublicKeys, PublicKey{Value: l.args[0]})
	case 2:
		h.PublicKeys = append(h.PublicKeys, PublicKey{Name: l.args[0], Value: l.args[1]})
	default:
		h.PublicKeys = append(h.PublicKeys, PublicKey{}) // the others keep their numbers
		return l.fail("takes one value, or a name and a value; quote a value with blanks or lines in it, such as PEM")
	}
	return nil
}

// secretOption never shows an argument in an error; Caddy's own d.ArgErr would.
func (h *Handler) secretOption(l line) error {
	switch {
	case len(l.args) == 1:
		h.Secrets = append(h.Secrets, Secret{Value: l.args[0]})
	case len(l.args) == 2 && l.named():
		h.Secrets = append(h.Secrets, Secret{Name: l.args[0], Value: l.args[1]})
	case len(l.args) == 2:
		return l.fail("has two words, and the first may be a part of the secret; write: secret {env.NAME}. " +
			"A name stands without quotes, before {env.NAME}, {file./path} or a literal in quotes")
	default:
		return l.fail("takes one value, or a name and a value; quote a value that contains blanks")
	}
	return nil
}

// named reports whether the first of two words is a name, and cannot be a part of a
// secret. The adapter writes the value of {$NAME} into the text before it looks for
// words, so that a blank or a quote in it makes two words of one secret. What comes of
//
//	secret {$NAME}     abc def   two words without quotes
//	secret "{$NAME}"   abc"def   a first word in quotes
//
// is no name and no literal here: a name has no quotes, and the value is a reference, or
// a literal in quotes. What else could be a secret is looked up in the variables of this
// process, which is where {$NAME} comes from: one that itself holds `abc "def"`, and one
// that stands in the place of a name, as in `secret {$OLD_SECRET} {env.NEW_SECRET}`.
func (l line) named() bool {
	name, value := l.tokens[0], l.tokens[1]
	word := regexp.QuoteMeta(name.Text)
	if name.Quoted() || variableHolds("^[^=]*(?i:secret|token|key|pass)[^=]*="+word+"$") {
		return false
	}
	isReference := strings.HasPrefix(value.Text, "{env.") || strings.HasPrefix(value.Text, "{file.")
	return isReference && secretref.Is(value.Text) ||
		value.Quoted() && !variableHolds("=(?s:.*)"+word+"[\\s\\\\]+[\"`<]")
}

// variableHolds reports whether a variable, as NAME=value, matches the pattern.
func variableHolds(pattern string) bool {
	return slices.ContainsFunc(os.Environ(), regexp.MustCompile(pattern).MatchString)
}

// headerOption knows any_of by its underscore from a field: Caddy drops fields
// that have one.
func (h *Handler) headerOption(l line) error {
	if len(l.args) > 0 && l.args[0] == "any_of" {
		h.AnyHeader, l.args = true, l.args[1:]
	}
	return list(&h.Headers)(l)
}

// payloadOption undoes what the Caddyfile adapter does to placeholders it knows.
func (h *Handler) payloadOption(l line) error {
	err := text(&h.Payload)(l)
	h.Payload = strings.NewReplacer("{http.request.method}", "{method}", "{http.request.header.", "{header.").Replace(h.Payload)
	return err
}

func (h *Handler) challengeOption(l line) error {
	if len(l.args) == 0 {
		return l.fail("takes a kind, and its arguments")
	}
	h.Challenge = &Challenge{Kind: l.args[0], Arguments: l.args[1:]}
	return nil
}

// parseOptions reads a block of options, each at most once but for the repeatable
// ones, and returns all mistakes at once.
func parseOptions(d *caddyfile.Dispenser, options map[string]func(line) error, repeatable string) error {
	var errs []error
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		l := line{dispenser: d, option: d.Val(), tokens: d.RemainingArgsAsTokens()}
		for _, token := range l.tokens {
			l.args = append(l.args, token.Text)
		}
		l.hidden = options[l.option] == nil && mayBeSecret(l.option)
		if seen[l.option] && !slices.Contains(strings.Fields(repeatable), l.option) {
			errs = append(errs, l.fail("is given twice"))
		}
		seen[l.option] = true
		errs = append(errs, l.read(options), l.skipBlock())
	}
	return errors.Join(errs...)
}

// A line is one option of a block with its arguments.
type line struct {
	dispenser *caddyfile.Dispenser // knows the place in the file
	option    string
	hidden    bool // whether no error may show the option
	args      []string
	tokens    []caddyfile.Token // the arguments, and whether they stand in quotes
}

// fail reports a problem with the option. An unknown word is not printed where it may be
// a part of a secret.
func (l line) fail(problem string) error {
	if l.hidden {
		return l.dispenser.Err("a line begins with what is no option of webhook_auth; a secret stands behind the word secret")
	}
	return l.dispenser.Errf("%s %s", l.option, problem)
}

// mayBeSecret reports whether an unknown option does not look like one, or is the
// beginning of a further line of a variable's value, see named.
func mayBeSecret(option string) bool {
	return strings.Trim(option, "abcdefghijklmnopqrstuvwxyz_") != "" || len(option) > maxOption ||
		variableHolds(`\n\s*`+regexp.QuoteMeta(option))
}

// maxOption is the length of the longest option, and some letters for a slip.
const maxOption = 24

func (l line) read(options map[string]func(line) error) error {
	if read, ok := options[l.option]; ok {
		return read(l)
	}
	return l.fail("is no option of webhook_auth")
}

// skipBlock passes over a block where none belongs.
func (l line) skipBlock() (err error) {
	for nesting := l.dispenser.Nesting(); l.dispenser.NextBlock(nesting); {
		if err == nil {
			err = l.fail("takes no block")
		}
	}
	return err
}

// text reads an option with exactly one argument.
func text(value *string) func(line) error {
	return func(l line) error {
		if len(l.args) != 1 || l.args[0] == "" {
			return l.fail("takes exactly one argument")
		}
		*value = l.args[0]
		return nil
	}
}

// pair reads an option with one argument or two.
func pair(first, second *string) func(line) error {
	return func(l line) error {
		if len(l.args) == 2 {
			*second, l.args = l.args[1], l.args[:1]
		}
		if text(first)(l) != nil {
			return l.fail("takes one argument or two")
		}
		return nil
	}
}

func list(values *[]string) func(line) error {
	return func(l line) error {
		if len(l.args) == 0 {
			return l.fail("takes at least one argument")
		}
		*values = l.args
		return nil
	}
}

func flag(value *bool) func(line) error {
	return func(l line) error {
		*value = true
		if len(l.args) > 0 {
			return l.fail("takes no argument")
		}
		return nil
	}
}

func size(value *int64) func(line) error { return parsed(value, parseSize) }

func duration(value *caddy.Duration) func(line) error { return parsed(value, parseDuration) }

// parsed reads an option whose one argument is not just text.
func parsed[T any](value *T, parse func(string) (T, error)) func(line) error {
	return func(l line) (err error) {
		var arg string
		if err = text(&arg)(l); err != nil {
			return err
		}
		if *value, err = parse(arg); err != nil {
			return l.fail(err.Error())
		}
		return nil
	}
}

var errNotPositive = errors.New("must be greater than zero")

// parseSize reads 10MB (10^7) or 10MiB (10*2^20), as Caddy's own sizes are read.
func parseSize(arg string) (int64, error) {
	n, err := humanize.ParseBytes(arg)
	switch {
	case err != nil || n > math.MaxInt64:
		return 0, fmt.Errorf("is a size such as 25MiB, not %q", arg)
	case n == 0:
		return 0, errNotPositive
	}
	return int64(n), nil
}

// parseDuration reads a duration. In JSON zero means the default; whoever writes 0
// in a Caddyfile means no limit, and there is none such.
func parseDuration(arg string) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(arg)
	switch {
	case err != nil:
		return 0, fmt.Errorf("is a duration such as 30s, not %q", arg)
	case d <= 0:
		return 0, errNotPositive
	}
	return caddy.Duration(d), nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
