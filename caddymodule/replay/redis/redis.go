// Package redis is a replay store on Redis or Valkey, for several gateways that deliver
// to the same app. Nothing else imports the client, so a binary without this package
// does not contain it.
package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

func init() { caddy.RegisterModule(Redis{}) }

// Defaults.
const (
	defaultAddress   = "localhost:6379"
	defaultKeyPrefix = "webhook_auth:"
	defaultTimeout   = 250 * time.Millisecond
)

// Redis remembers deliveries in Redis, version 7 or newer, or in Valkey. All gateways that
// use the same server share what it remembers, if their gates have the same name and the
// same secrets in the same order. Set maxmemory-policy to noeviction on the server,
// because a server that evicts keys forgets deliveries.
//
// The gateway also starts while the server is away, and reconnects by itself.
type Redis struct {
	// The server's address: `host:port`, or the path of a Unix socket. Default:
	// `localhost:6379`.
	Address string `json:"address,omitempty"`

	// The user, if the server has one.
	Username string `json:"username,omitempty"`

	// The password: `{env.NAME}` or `{file./path}`, which are read once, when the
	// configuration loads. A literal also works, but is readable in the configuration.
	Password string `json:"password,omitempty"`

	// Whether to connect with TLS.
	TLS bool `json:"tls,omitempty"`

	// A PEM file of the certificate authorities to trust. Default: the system's.
	TLSCA string `json:"tls_ca,omitempty"`

	// The prefix of the names of keys. Default: `webhook_auth:`.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// How long one command may take, from `1ms` to `1m`. Default: `250ms`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	logger *zap.Logger
	config config
	client *client // nil: not opened
}

// A config is everything in which clients differ.
type config struct {
	network, address, username, password string
	tls                                  bool
	ca, prefix                           string
	timeout                              time.Duration
}

// server identifies the server and the keys in it that belong to the store.
func (c *config) server() [3]string { return [3]string{c.network, c.address, c.prefix} }

// clients are kept across reloads, with their connections and with what they know about
// a server that is away.
var clients = caddy.NewUsagePool()

// CaddyModule returns the Caddy module information.
func (Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: replay.Namespace + ".redis", New: func() caddy.Module { return new(Redis) }}
}

// Provision resolves the references and reports all mistakes at once.
func (r *Redis) Provision(ctx caddy.Context) error {
	r.logger = ctx.Logger()
	r.config = config{
		tls: r.TLS, ca: r.TLSCA,
		prefix:  cmp.Or(r.KeyPrefix, defaultKeyPrefix),
		timeout: cmp.Or(time.Duration(r.Timeout), defaultTimeout),
	}
	var errs [5]error
	r.config.network, r.config.address, errs[0] = r.resolveAddress()
	r.config.username, errs[1] = resolve("username", r.Username)
	r.config.password, errs[2] = resolve("password", r.Password)
	errs[3] = limits.StoreTimeout.Check(int64(r.Timeout))
	if !r.TLS && r.TLSCA != "" || r.TLS && r.config.network == "unix" {
		errs[4] = mistake.In("tls", "tls_ca needs tls, and a Unix socket cannot have tls; remove one of the two")
	}
	if r.Password != "" && !secretref.Is(r.Password) {
		r.logger.Warn("a literal password is readable in the configuration and the admin API; use {env.NAME} or {file./path}")
	}
	return errors.Join(errs[:]...)
}

// resolve resolves an option that may be empty.
func resolve(option, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	resolved, err := secretref.Resolve(value)
	if err != nil {
		return "", mistake.In(option, "%w", err)
	}
	return resolved, nil
}

func (r *Redis) resolveAddress() (network, address string, err error) {
	address, err = resolve("address", cmp.Or(r.Address, defaultAddress))
	if err != nil || strings.HasPrefix(address, "/") {
		return "unix", address, err
	}
	return "tcp", address, checkHostPort(address)
}

func checkHostPort(address string) error {
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return mistake.In("address", "it is host:port, or the path of a Unix socket, without a scheme, a user and a password; write for example: address localhost:6379")
	}
	return nil
}

// checkAddress reports an address that is wrong as it is written.
func (r *Redis) checkAddress() error {
	if r.Address == "" || secretref.Is(r.Address) || strings.HasPrefix(r.Address, "/") {
		return nil
	}
	return checkHostPort(r.Address)
}

// Open returns the store, which all gates share: the keys of their deliveries differ.
func (r *Redis) Open(string) (replay.Store, error) {
	shared, _, err := clients.LoadOrNew(r.config, func() (caddy.Destructor, error) { return newClient(r.config) })
	if err != nil {
		return nil, err
	}
	r.client = shared.(*client)
	r.client.enter(r.logger)
	return r.client, nil
}

// Cleanup gives the client back.
func (r *Redis) Cleanup() error {
	if r.client == nil {
		return nil
	}
	r.client.leave(r.logger)
	_, err := clients.Delete(r.config)
	return err
}

// MarshalLogObject implements zapcore.ObjectMarshaler, so that no log shows the password.
func (r *Redis) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("address", r.Address)
	return nil
}

func (c *config) tlsConfig() (*tls.Config, error) {
	if !c.tls {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(c.address)
	if err != nil {
		return nil, err
	}
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls: %s has no certificate", c.ca)
	}
	return t, nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Redis)(nil)
	_ caddy.CleanerUpper      = (*Redis)(nil)
	_ replay.Opener           = (*Redis)(nil)
	_ zapcore.ObjectMarshaler = (*Redis)(nil)
)
