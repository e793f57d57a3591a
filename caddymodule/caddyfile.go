package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// The order makes the directive usable without an `order` option: after the
// directives that limit or rewrite a request, so that the gate and reverse_proxy
// see the same path, and before everything that answers or forwards it.
func init() {
	httpcaddyfile.RegisterDirective("webhook_auth", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("webhook_auth", httpcaddyfile.Before, "basic_auth")
}

func parseCaddyfile(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive's name, which a matcher may follow
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if matchers == nil && h.IsNamedRoute() {
		// Of directives without a matcher that follow each other in a named route, Caddy
		// keeps only the first: the gate, or the app behind it, would be gone in silence. An
		// empty set matches every request, and keeps the gate apart from them.
		matchers = caddy.ModuleMap{}
	}
	return h.NewRoute(matchers, handler), nil
}

// UnmarshalCaddyfile reads the directive and reports all its mistakes at once:
//
//	webhook_auth [<matcher>] [<preset>] {
//	    secret           [<name>] <value>
//	    public_key       [<name>] <value>
//	    token            [<name>] <value>
//	    tenants          <folder> <placeholder>
//	    key_id           <field>
//	    secret_encoding  text|base64|hex [<prefix>]
//	    name             <label>
//	    header           [any_of] <field>...
//	    algorithms       <name>...
//	    signature        <pattern>
//	    payload          <template>
//	    timestamp        <field>|{ts} [s|ms|rfc3339|http]
//	    tolerance        <duration>
//	    public_url       <url>
//	    challenge        <kind> [<argument>...]
//	    max_size         <size>
//	    memory           <size>
//	    body_timeout     <duration>
//	    delivery_timeout <duration>
//	    replay           <window>
//	    on_refusal       answer|handle_errors
//	    capture          <count>
//	    diagnose         on|off
//	    unsafe_observe_only
//	}
//
// Only secret, public_key and token may be repeated.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	block := options.Start(d)
	block.Add(h.readPreset(block.Arguments()))
	block.Read(options.Table{
		Of: "webhook_auth", Options: h.options(), Repeatable: []string{"secret", "token", "public_key"}, Secret: "secret <value>",
		Also: otherWords, Hint: misplaced,
	})
	if h.noKey() {
		block.Check(h.errNoKey())
	}
	block.Check(errors.Join(h.checkOptions(), h.checkChallenge(), h.checkSecrets(), h.checkPublicKeys()))
	if block.IsWrong() { // Provision would report these, and will not run
		block.Check(errors.Join(h.checkValues(true), h.checkKeys(true), h.checkArguments(true)))
	}
	return block.Err(h.place())
}

// readPreset reads the words on the first line, without the matcher. What may be a secret
// is not shown.
func (h *Handler) readPreset(words []string) error {
	if len(words) == 0 {
		return nil
	}
	if h.options()[words[0]] != nil {
		return fmt.Errorf("%s is an option; write it into the block, in braces", words[0])
	}
	h.Preset = words[0]
	if h.checkPreset() != nil {
		if problem, near := signature.UnknownPreset(words[0]); near {
			return errors.New(problem)
		}
		return errors.New("the argument is neither a matcher nor a preset (not shown, in case it is a secret); docs/senders.md lists the presets, and options go into the block, in braces")
	}
	if len(words) > 1 {
		return errors.New("it takes no more than a matcher and a preset; write options into the block, in braces")
	}
	return nil
}

// otherWords are what people write for an option.
var otherWords = map[string]string{
	"url": "public_url", "template": "payload", "pattern": "signature", "format": "signature", "unit": "timestamp",
	"limit": "max_size", "maxbodysize": "max_size", "maxbytes": "max_size", "maxage": "tolerance", "leeway": "tolerance", "skew": "tolerance",
	"dedupe": "replay", "idempotency": "replay", "hash": "algorithms", "field": "header", "label": "name", "observe": "unsafe_observe_only",
	"bearer": "token", "basic": "token", "apikey": "token",
}

// misplaced says where to write a word that is not an option of a gate.
func misplaced(option string, arguments []string) string {
	switch option {
	case "preset", "provider", "sender":
		preset := "<preset>"
		if len(arguments) == 1 {
			if near := signature.NearPresets(arguments[0]); len(near) == 1 {
				preset = near[0]
			}
		}
		return "write the preset behind webhook_auth, in front of the block: webhook_auth " + preset
	case "store", "on_duplicate", "on_error":
		return "write it into the block of replay: replay 24h { " + option + " ... }"
	case "window":
		return "write it behind replay: replay 24h"
	case "memory_budget", "disk_budget", "unguarded":
		return "write it into the global option webhook_auth, in the first block of the Caddyfile"
	case "reverse_proxy", "respond", "php_fastcgi", "handle", "route", "log":
		return "it is a directive of its own; write it behind the block of webhook_auth"
	}
	return ""
}

// options is everything that can be in the block.
func (h *Handler) options() map[string]func(options.Line) error {
	return map[string]func(options.Line) error{
		"secret":              h.secretOption,
		"public_key":          h.publicKeyOption,
		"token":               h.tokenOption,
		"tenants":             h.tenantsOption,
		"key_id":              options.Text(&h.KeyID),
		"secret_encoding":     options.Pair(&h.SecretEncoding, &h.SecretPrefix),
		"name":                options.Text(&h.Name),
		"header":              h.headerOption,
		"algorithms":          options.List(&h.Algorithms),
		"signature":           options.Text(&h.Signature),
		"payload":             h.payloadOption,
		"timestamp":           options.Pair(&h.Timestamp, &h.TimestampUnit),
		"tolerance":           options.Duration(&h.Tolerance, limits.Tolerance, "5m"),
		"public_url":          options.Text(&h.PublicURL),
		"challenge":           h.challengeOption,
		"max_size":            options.Size(&h.MaxSize, limits.MaxSize, "25MiB"),
		"memory":              options.Size(&h.Memory, limits.Memory, "1MiB"),
		"body_timeout":        options.Duration(&h.BodyTimeout, limits.BodyTimeout, "30s"),
		"delivery_timeout":    options.Duration(&h.DeliveryTimeout, limits.DeliveryTimeout, "1m"),
		"replay":              h.replayOption,
		"on_refusal":          options.Text(&h.OnRefusal),
		"capture":             options.Number(&h.Capture, limits.Capture, "20"),
		"diagnose":            options.Text(&h.Diagnose),
		"unsafe_observe_only": options.Flag(&h.UnsafeObserveOnly),
	}
}

// secretOption keeps the place of a secret that it cannot read, so that others keep their
// numbers.
func (h *Handler) secretOption(l options.Line) error {
	secret, err := secretLine(l, "{env.WEBHOOK_SECRET}")
	h.Secrets = append(h.Secrets, secret)
	return err
}

func (h *Handler) tokenOption(l options.Line) error {
	token, err := secretLine(l, "{env.WEBHOOK_TOKEN}")
	h.Tokens = append(h.Tokens, Token(token))
	return err
}

// secretLine never shows an argument in an error; Caddy's own d.ArgErr would.
func secretLine(l options.Line, sample string) (Secret, error) {
	switch {
	case len(l.Args) == 1:
		return Secret{Value: l.Args[0]}, nil
	case len(l.Args) == 2 && l.Named():
		return Secret{Name: l.Args[0], Value: l.Args[1]}, nil
	case len(l.Args) == 2:
		return Secret{}, fmt.Errorf("it has two words, and the first may be a part of the %[1]s; write: %[1]s {env.NAME}. "+
			"A name is written without quotes, in front of {env.NAME}, {file./path} or a literal in quotes", l.Option)
	case len(l.Args) == 0:
		return Secret{}, fmt.Errorf("it takes one value, and there is none (an unset {$NAME} leaves nothing behind); write: %s %s", l.Option, sample)
	}
	return Secret{}, errors.New("it takes one value, or a name and a value; quote a value that contains blanks")
}

// publicKeyOption needs no such care about names: only the value may be a private key that
// was given by mistake. A key that it cannot read keeps its place.
func (h *Handler) publicKeyOption(l options.Line) error {
	var key PublicKey
	defer func() { h.PublicKeys = append(h.PublicKeys, key) }()
	switch len(l.Args) {
	case 1:
		key = PublicKey{Value: l.Args[0]}
	case 2:
		key = PublicKey{Name: l.Args[0], Value: l.Args[1]}
	default:
		return errors.New("it takes one value, or a name and a value; quote a value with blanks or lines in it, such as PEM")
	}
	return nil
}

// headerOption knows any_of by its underscore from a field: Caddy drops fields
// that have one.
func (h *Handler) headerOption(l options.Line) error {
	if len(l.Args) > 0 && l.Args[0] == "any_of" {
		h.AnyHeader, l.Args = true, l.Args[1:]
	}
	return options.List(&h.Headers)(l)
}

// payloadOption undoes what the Caddyfile adapter does to placeholders it knows.
func (h *Handler) payloadOption(l options.Line) error {
	err := options.Text(&h.Payload)(l)
	h.Payload = shorthands.Replace(h.Payload)
	return err
}

// shorthands are those of placeholders of Caddy, by what the adapter makes of them. Of those
// that are no words of a payload, an error shows what was written.
var shorthands = strings.NewReplacer("{http.request.method}", "{method}", "{http.request.header.", "{header.",
	"{http.request.uri}", "{uri}", "{http.request.uri.path}", "{path}", "{http.request.uri.query}", "{query}", "{http.request.host}", "{host}",
	"{http.request.orig_uri}", "{orig_uri}", "{http.request.orig_uri.path}", "{orig_path}")

func (h *Handler) challengeOption(l options.Line) error {
	if len(l.Args) == 0 {
		return errors.New("it takes a kind, and its arguments; write " + mistake.Either(signature.Challenges()))
	}
	h.Challenge = &Challenge{Kind: l.Args[0], Arguments: l.Args[1:]}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
