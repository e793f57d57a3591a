// Package redis is a replay store on Redis or Valkey, for several gateways that deliver
// to the same app: one server, a Redis Cluster, or a master that Sentinel watches. Nothing
// else imports the client, so a binary without this package does not contain it.
package redis

import (
	"cmp"
	"errors"
	"net"
	"slices"
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

// leastToWait is the shortest timeout with wait_replicas. Redis counts whole milliseconds,
// and some must be left for the command itself.
const leastToWait = 10 * time.Millisecond

// Redis remembers deliveries in Redis, version 7 or newer, or in Valkey. All gateways that
// use the same server share what it remembers, if their gates have the same name and the
// same `key`. Set maxmemory-policy to noeviction on the server, because a server that
// evicts keys forgets deliveries.
//
// The gateway also starts while the server is away, and reconnects by itself.
type Redis struct {
	// The server's address: `host:port`, or the path of a Unix socket. With `cluster`, some
	// of its nodes, which know the others. With `sentinel`, the sentinels. Default:
	// `localhost:6379`.
	Addresses []string `json:"addresses,omitempty"`

	// Whether the addresses are nodes of a Redis Cluster.
	Cluster bool `json:"cluster,omitempty"`

	// The name that the sentinels have for the master.
	Sentinel string `json:"sentinel,omitempty"`

	// The user, if the server has one.
	Username string `json:"username,omitempty"`

	// The password: `{env.NAME}` or `{file./path}`, which is read again for each connection.
	// A literal also works, but is readable in the configuration.
	Password string `json:"password,omitempty"`

	// The user of the sentinels. They do not get that of the server.
	SentinelUsername string `json:"sentinel_username,omitempty"`

	// The password of the sentinels, as `password`, but read once, when the configuration
	// loads.
	SentinelPassword string `json:"sentinel_password,omitempty"`

	// Whether to connect with TLS, to sentinels as well.
	TLS bool `json:"tls,omitempty"`

	// A PEM file of the certificate authorities to trust. Default: the system's.
	TLSCA string `json:"tls_ca,omitempty"`

	// A PEM file with the certificate that the server asks for, and its chain.
	TLSClientCert string `json:"tls_client_cert,omitempty"`

	// A PEM file with the key of that certificate.
	TLSClientKey string `json:"tls_client_key,omitempty"`

	// The name that every server's certificate must have. Default: the host that is
	// connected to, which is what a cluster or Sentinel announces.
	TLSServerName string `json:"tls_server_name,omitempty"`

	// The prefix of the names of keys. Default: `webhook_auth:`.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// How long one command may take, from `1ms` to `1m`. Default: `250ms`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many replicas must have a claim before its delivery passes. Default: none, so a
	// failover may lose what the old master had not yet sent to the new one.
	WaitReplicas int `json:"wait_replicas,omitempty"`

	logger *zap.Logger
	config config
	client *client // nil: not opened
}

// A config is everything in which clients differ.
type config struct {
	network, addresses         string // the addresses with blanks between them, which none contains
	cluster                    bool
	sentinel                   string
	username, password         string
	passwordFile               string // the reference, if it is to a file
	sentinelUser, sentinelPass string
	tls                        bool
	ca, cert, key, serverName  string
	prefix                     string
	timeout                    time.Duration
	replicas                   int
}

func (c *config) seeds() []string { return strings.Fields(c.addresses) }

// server identifies the server and the keys in it that belong to the store.
func (c *config) server() string {
	seeds := c.seeds()
	slices.Sort(seeds)
	kind := c.network
	if c.cluster {
		kind = "cluster"
	}
	return strings.Join([]string{kind, c.sentinel, strings.Join(seeds, " "), c.prefix}, "\n")
}

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
		cluster: r.Cluster, tls: r.TLS, ca: r.TLSCA, cert: r.TLSClientCert, key: r.TLSClientKey, serverName: r.TLSServerName,
		prefix:   cmp.Or(r.KeyPrefix, defaultKeyPrefix),
		timeout:  cmp.Or(time.Duration(r.Timeout), defaultTimeout),
		replicas: r.WaitReplicas,
	}
	var errs [9]error
	errs[0] = r.resolveAddresses()
	errs[1] = resolve("sentinel", r.Sentinel, &r.config.sentinel)
	errs[2] = resolve("username", r.Username, &r.config.username)
	errs[3] = resolve("password", r.Password, &r.config.password)
	errs[4] = resolve("sentinel_username", r.SentinelUsername, &r.config.sentinelUser)
	errs[5] = resolve("sentinel_password", r.SentinelPassword, &r.config.sentinelPass)
	errs[6] = limits.StoreTimeout.Check(int64(r.Timeout))
	errs[7] = limits.WaitReplicas.Check(int64(r.WaitReplicas))
	errs[8] = r.check(r.config.network == "unix")
	if _, ok := secretref.Path(r.Password); ok {
		r.config.passwordFile = r.Password
	}
	if r.isLiteral(r.Password) || r.isLiteral(r.SentinelPassword) {
		r.logger.Warn("a literal password is readable in the configuration and the admin API; use {env.NAME} or {file./path}")
	}
	return errors.Join(errs[:]...)
}

func (*Redis) isLiteral(password string) bool { return password != "" && !secretref.Is(password) }

// resolve resolves an option that may be empty.
func resolve(option, value string, into *string) (err error) {
	if value == "" {
		return nil
	}
	if *into, err = secretref.Resolve(value); err != nil {
		return mistake.In(option, "%w", err)
	}
	return nil
}

func (r *Redis) resolveAddresses() error {
	r.config.network, r.config.addresses = "tcp", defaultAddress
	if len(r.Addresses) == 0 {
		return nil
	}
	var resolved []string
	for _, written := range r.Addresses {
		var address string
		err := resolve("address", written, &address)
		if err == nil {
			err = checkAddress(address)
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(address, "/") {
			r.config.network = "unix"
		}
		resolved = append(resolved, address)
	}
	r.config.addresses = strings.Join(resolved, " ")
	return nil
}

func checkAddress(address string) error {
	isPath := strings.HasPrefix(address, "/")
	host, port, err := net.SplitHostPort(address)
	if !isPath && (err != nil || host == "" || port == "") || strings.ContainsAny(address, " \t\n,") {
		return mistake.In("address", "it is host:port, or the path of a Unix socket, without a scheme, a user and a password; write for example: address localhost:6379")
	}
	return nil
}

// checkWritten reports what is wrong as it is written, before references are resolved.
func (r *Redis) checkWritten() error {
	isPath := false
	for _, address := range r.Addresses {
		if secretref.Is(address) {
			continue
		}
		if err := checkAddress(address); err != nil {
			return errors.Join(err, r.check(false))
		}
		isPath = isPath || strings.HasPrefix(address, "/")
	}
	return r.check(isPath)
}

// check reports options that do not go together. No error shows a value.
func (r *Redis) check(isPath bool) error {
	return errors.Join(r.checkKind(isPath), r.checkTLS(isPath), r.checkSentinel(), r.checkKeys())
}

func (r *Redis) checkKind(isPath bool) error {
	several := r.Cluster || r.Sentinel != ""
	switch {
	case r.Cluster && r.Sentinel != "":
		return mistake.In("sentinel", "a cluster has no sentinels: it fails over by itself; remove sentinel or cluster")
	case r.Cluster && len(r.Addresses) == 0:
		return mistake.In("cluster", "the nodes are missing; write some of them, for example: address node1:6379 node2:6379 node3:6379")
	case several && len(r.Addresses) == 0:
		return mistake.In("sentinel", "the sentinels are missing; write them, for example: address sentinel1:26379 sentinel2:26379 sentinel3:26379")
	case several && isPath:
		return mistake.In("address", "a cluster or Sentinel cannot be behind a Unix socket; write host:port")
	case !several && len(r.Addresses) > 1:
		return mistake.In("address", "one server has one address; for several write also: cluster, or: sentinel <master>")
	}
	return nil
}

func (r *Redis) checkTLS(isPath bool) error {
	if r.TLS && isPath {
		return mistake.In("tls", "a Unix socket cannot have tls; remove it")
	}
	if (r.TLSClientCert == "") != (r.TLSClientKey == "") {
		return mistake.In("tls_client_auth", "it takes a certificate and its key: tls_client_auth <cert_file> <key_file>")
	}
	var errs []error
	for _, o := range [][2]string{{"tls_ca", r.TLSCA}, {"tls_client_auth", r.TLSClientCert}, {"tls_server_name", r.TLSServerName}} {
		if !r.TLS && o[1] != "" {
			errs = append(errs, mistake.In(o[0], "it needs tls; add: tls"))
		}
	}
	return errors.Join(errs...)
}

func (r *Redis) checkSentinel() error {
	var errs []error
	for _, o := range [][2]string{{"sentinel_username", r.SentinelUsername}, {"sentinel_password", r.SentinelPassword}} {
		if r.Sentinel == "" && o[1] != "" {
			errs = append(errs, mistake.In(o[0], "it needs the name of the master; add: sentinel <master>"))
		}
	}
	return errors.Join(errs...)
}

func (r *Redis) checkKeys() error {
	_, behind, _ := strings.Cut(r.KeyPrefix, "{")
	if tag, _, closed := strings.Cut(behind, "}"); r.Cluster && closed && tag != "" {
		return mistake.In("key_prefix", "braces put all keys into one hash slot, so one node of the cluster would do all the work; write it without braces")
	}
	if timeout := time.Duration(r.Timeout); r.WaitReplicas > 0 && timeout > 0 && timeout < leastToWait {
		return mistake.In("timeout", "wait_replicas needs at least %v; write for example: timeout %v", leastToWait, defaultTimeout)
	}
	return nil
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

// MarshalLogObject implements zapcore.ObjectMarshaler, so that no log shows a password.
func (r *Redis) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("addresses", strings.Join(r.Addresses, " "))
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Redis)(nil)
	_ caddy.CleanerUpper      = (*Redis)(nil)
	_ replay.Opener           = (*Redis)(nil)
	_ zapcore.ObjectMarshaler = (*Redis)(nil)
)
