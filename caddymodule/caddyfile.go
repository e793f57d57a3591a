package caddymodule

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
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
//	webhook_auth [<matcher>] {
//	    secret           [<name>] <value>
//	    name             <label>
//	    header           <field>...
//	    algorithms       <name>...
//	    max_size         <size>
//	    body_timeout     <duration>
//	    delivery_timeout <duration>
//	    unsafe_observe_only
//	}
//
// Only secret may be repeated.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	var errs []error
	if d.NextArg() {
		errs = append(errs, d.Err("webhook_auth takes no argument but a matcher; options go into the block"))
		d.RemainingArgs()
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if seen[name] && name != "secret" {
			errs = append(errs, d.Errf("%s is given twice", name))
		}
		seen[name] = true
		errs = append(errs, h.option(line{d, name, d.RemainingArgs()}))
		errs = append(errs, skipBlock(d, name))
	}
	err := errors.Join(errs...)
	if err != nil { // Provision would report more, and will not run
		err = errors.Join(err, h.checkOptions())
	}
	if err != nil && !seen["secret"] {
		err = errors.Join(err, errNoSecret)
	}
	return err
}

// skipBlock passes over a block where none belongs.
func skipBlock(d *caddyfile.Dispenser, option string) (err error) {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err == nil {
			err = d.Errf("%s takes no block", option)
		}
	}
	return err
}

// option reads one line of the block.
func (h *Handler) option(l line) error {
	switch l.option {
	case "secret":
		return h.secret(l)
	case "name":
		return l.one(func(arg string) error { h.Name = arg; return nil })
	case "header":
		return l.many(&h.Headers)
	case "algorithms":
		return l.many(&h.Algorithms)
	case "max_size":
		return l.one(func(arg string) (err error) { h.MaxSize, err = parseSize(arg); return err })
	case "body_timeout":
		return l.one(func(arg string) (err error) { h.BodyTimeout, err = parseTimeout(arg); return err })
	case "delivery_timeout":
		return l.one(func(arg string) (err error) { h.DeliveryTimeout, err = parseTimeout(arg); return err })
	case "unsafe_observe_only":
		h.UnsafeObserveOnly = true
		return l.none()
	}
	if strings.Trim(l.option, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return l.dispenser.Err("this is no option of webhook_auth; a secret stands behind the word secret")
	}
	return l.fail("there is no such option of webhook_auth")
}

// secret never shows an argument in an error; Caddy's own d.ArgErr would.
func (h *Handler) secret(l line) error {
	switch len(l.args) {
	case 1:
		h.Secrets = append(h.Secrets, Secret{Value: l.args[0]})
	case 2:
		h.Secrets = append(h.Secrets, Secret{Name: l.args[0], Value: l.args[1]})
	default:
		return l.fail("takes one value, or a name and a value; quote a value that contains blanks")
	}
	return nil
}

// A line is one option of the block with its arguments.
type line struct {
	dispenser *caddyfile.Dispenser // knows the place in the file
	option    string
	args      []string
}

func (l line) fail(problem string) error { return l.dispenser.Errf("%s: %s", l.option, problem) }

func (l line) none() error {
	if len(l.args) > 0 {
		return l.fail("takes no argument")
	}
	return nil
}

func (l line) one(set func(string) error) error {
	if len(l.args) != 1 || l.args[0] == "" {
		return l.fail("takes exactly one argument")
	}
	if err := set(l.args[0]); err != nil {
		return l.fail(err.Error())
	}
	return nil
}

func (l line) many(list *[]string) error {
	if len(l.args) == 0 {
		return l.fail("takes at least one argument")
	}
	*list = l.args
	return nil
}

var errNotPositive = errors.New("must be greater than zero")

// parseSize reads 10MB (10^7) or 10MiB (10*2^20), as Caddy's own sizes are read.
func parseSize(arg string) (int64, error) {
	size, err := humanize.ParseBytes(arg)
	switch {
	case err != nil || size > math.MaxInt64:
		return 0, fmt.Errorf("%q is not a size such as 25MiB", arg)
	case size == 0:
		return 0, errNotPositive
	}
	return int64(size), nil
}

// parseTimeout reads a duration. In JSON zero means the default; whoever writes 0
// in a Caddyfile means no limit, and there is none such.
func parseTimeout(arg string) (caddy.Duration, error) {
	duration, err := caddy.ParseDuration(arg)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration such as 30s", arg)
	case duration <= 0:
		return 0, errNotPositive
	}
	return caddy.Duration(duration), nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
