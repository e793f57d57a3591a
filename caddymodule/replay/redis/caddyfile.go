package redis

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
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
	block := options.Start(d)
	if len(block.Arguments()) > 0 {
		block.Add(errors.New("it takes a block and no further argument"))
	}
	block.Read(options.Table{
		Of: "store redis", Secret: "password <value>", Silent: true,
		Also: map[string]string{"host": "address", "url": "address", "addr": "address", "user": "username", "pass": "password", "prefix": "key_prefix", "secret": "password"},
		Options: map[string]func(options.Line) error{
			"address":    options.Text(&r.Address),
			"username":   options.Text(&r.Username),
			"password":   options.Text(&r.Password),
			"tls":        r.tlsOption,
			"key_prefix": options.Text(&r.KeyPrefix),
			"timeout":    options.Duration(&r.Timeout, limits.StoreTimeout, "250ms"),
		},
	})
	block.Check(r.checkAddress())
	return block.Err("redis")
}

func (r *Redis) tlsOption(l options.Line) error {
	if len(l.Args) > 1 {
		return errors.New("it takes no argument, or a file of certificates")
	}
	r.TLS = true
	if len(l.Args) == 1 {
		return options.Text(&r.TLSCA)(l)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Redis)(nil)
