package redis

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile reads the store in a Caddyfile:
//
//	store redis {
//	    address    <host:port>|<path>
//	    username   <name>
//	    password   <secret>
//	    tls        [<ca_file>]
//	    key_prefix <text>
//	    timeout    <duration>
//	}
//
// No error shows an argument, which may be the password.
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	if d.NextArg() {
		return d.Err("store redis takes a block and no further argument")
	}
	for seen := make(map[string]bool); d.NextBlock(0); {
		option, args := d.Val(), d.RemainingArgs()
		if seen[option] {
			return d.Err("an option of store redis is given twice")
		}
		seen[option] = true
		if problem := r.set(option, args); problem != "" {
			return d.Err(problem)
		}
	}
	return nil
}

// set sets one option, or says what is wrong with it.
func (r *Redis) set(option string, args []string) (problem string) {
	if option == "tls" {
		return r.setTLS(args)
	}
	text, ok := map[string]*string{
		"address": &r.Address, "username": &r.Username, "password": &r.Password, "key_prefix": &r.KeyPrefix, "timeout": new(string),
	}[option]
	switch {
	case !ok:
		return "the options of store redis are address, username, password, tls, key_prefix and timeout"
	case len(args) != 1 || args[0] == "":
		return option + ` takes exactly one argument ("{$NAME}" of an unset variable is empty)`
	}
	*text = args[0]
	if option == "timeout" {
		return r.setTimeout(args[0])
	}
	return ""
}

func (r *Redis) setTLS(args []string) (problem string) {
	if len(args) > 1 {
		return "tls takes no argument, or a file of certificates"
	}
	r.TLS = true
	if len(args) == 1 {
		r.TLSCA = args[0]
	}
	return ""
}

func (r *Redis) setTimeout(arg string) (problem string) {
	timeout, err := caddy.ParseDuration(arg)
	if err != nil || timeout <= 0 {
		return "timeout is a duration greater than zero, such as 250ms"
	}
	r.Timeout = caddy.Duration(timeout)
	return ""
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Redis)(nil)
