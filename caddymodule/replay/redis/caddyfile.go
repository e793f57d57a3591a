package redis

import (
	"errors"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
)

// meant are words that people write for an option with another name, without underscores.
var meant = map[string]string{
	"host": "address", "url": "address", "addr": "address", "hosts": "address", "nodes": "address", "sentinels": "address",
	"master": "sentinel", "mastername": "sentinel", "sentinelmaster": "sentinel",
	"user": "username", "pass": "password", "secret": "password", "prefix": "key_prefix",
	"tlsca": "tls", "ca": "tls", "tlscert": "tls_client_auth", "tlsclientcert": "tls_client_auth", "tlsclientkey": "tls_client_auth",
	"servername": "tls_server_name", "sni": "tls_server_name",
	"wait": "wait_replicas", "replicas": "wait_replicas", "minreplicas": "wait_replicas",
}

// UnmarshalCaddyfile reads the store in a Caddyfile:
//
//	store redis {
//	    address           <host:port>...|<path>
//	    cluster
//	    sentinel          <master>
//	    username          <name>
//	    password          <secret>
//	    sentinel_username <name>
//	    sentinel_password <secret>
//	    tls               [<ca_file>]
//	    tls_client_auth   <cert_file> <key_file>
//	    tls_server_name   <name>
//	    key_prefix        <text>
//	    timeout           <duration>
//	    wait_replicas     <n>
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
		Of: "store redis", Secret: "password <value>", Silent: true, Also: meant,
		Options: map[string]func(options.Line) error{
			"address":           r.addressOption,
			"cluster":           options.Flag(&r.Cluster),
			"sentinel":          options.Text(&r.Sentinel),
			"username":          options.Text(&r.Username),
			"password":          options.Text(&r.Password),
			"sentinel_username": options.Text(&r.SentinelUsername),
			"sentinel_password": options.Text(&r.SentinelPassword),
			"tls":               r.tlsOption,
			"tls_client_auth":   r.clientAuthOption,
			"tls_server_name":   options.Text(&r.TLSServerName),
			"key_prefix":        options.Text(&r.KeyPrefix),
			"timeout":           options.Duration(&r.Timeout, limits.StoreTimeout, "250ms"),
			"wait_replicas":     options.Number(&r.WaitReplicas, limits.WaitReplicas, "1"),
		},
	})
	block.Check(r.checkWritten())
	return block.Err("redis")
}

func (r *Redis) addressOption(l options.Line) error {
	if slices.Contains(l.Args, "") {
		return errors.New(`an argument is empty; write one, or remove it ("{$NAME}" of an unset variable is empty)`)
	}
	return options.List(&r.Addresses)(l)
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

func (r *Redis) clientAuthOption(l options.Line) error {
	if len(l.Args) != 2 || slices.Contains(l.Args, "") {
		return errors.New("it takes a certificate and its key: tls_client_auth <cert_file> <key_file>")
	}
	r.TLSClientCert, r.TLSClientKey = l.Args[0], l.Args[1]
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Redis)(nil)
