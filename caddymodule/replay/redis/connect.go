package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// poolSize is enough for commands that take a millisecond. It also bounds how many
	// dead connections a server leaves behind that disappears without closing them.
	poolSize    = 16
	maxIdleTime = time.Minute
	// bufferSize holds any command and any answer. The usual 32 KiB, twice for each
	// connection to each node of a cluster, would be megabytes for nothing.
	bufferSize = 4096
	// maxRedirects is how often one command may be sent on: to where a slot is (MOVED),
	// where it is going (ASK), or again where a connection broke.
	maxRedirects = 3
	// mapAge is how long a map of the cluster is used if nothing says that it is wrong.
	mapAge = time.Minute
	// sentinelPatience is how many timeouts it may take to find the master and connect to
	// it: a sentinel that hangs is asked four times before the others are. No delivery
	// waits for it, as the client dials in the background.
	sentinelPatience = 8
)

// connect makes the client of go-redis. Everything that has a default there is set here,
// because the defaults suit no command that must end within 250 ms: five attempts to dial
// with pauses of 100 ms, three of a command, five seconds for an answer. Nothing is read
// from replicas (ReadOnly, RouteByLatency), because what they say about a claim is old.
func (c *client) connect() redis.UniversalClient {
	switch {
	case c.config.cluster:
		cluster := redis.NewClusterClient(c.clusterOptions())
		cluster.OnNewNode(func(node *redis.Client) { c.nodes.of(node.Options().Addr).connection.Store(node) })
		return cluster
	case c.config.sentinel != "":
		return redis.NewFailoverClient(c.failoverOptions())
	}
	return redis.NewClient(c.options())
}

func (c *client) options() *redis.Options {
	t := c.config.timeout
	return &redis.Options{
		Network: c.config.network, Addr: c.config.seeds()[0], Dialer: c.dial,
		CredentialsProviderContext: c.credentials.current,
		DialTimeout:                t, ReadTimeout: t, WriteTimeout: t, PoolTimeout: t, ContextTimeoutEnabled: true,
		DialerRetries: 1, DialerRetryTimeout: time.Millisecond,
		MaxRetries:      1, // for an idle connection that broke
		MaxRetryBackoff: time.Millisecond, MinRetryBackoff: time.Millisecond,
		PoolSize: c.poolSize(), PipelinePoolSize: -1, ConnMaxIdleTime: maxIdleTime, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

func (c *client) clusterOptions() *redis.ClusterOptions {
	one := c.options()
	return &redis.ClusterOptions{
		Addrs: c.config.seeds(), Dialer: one.Dialer, CredentialsProviderContext: one.CredentialsProviderContext,
		DialTimeout: one.DialTimeout, ReadTimeout: one.ReadTimeout, WriteTimeout: one.WriteTimeout, PoolTimeout: one.PoolTimeout,
		ContextTimeoutEnabled: true, DialerRetries: 1, DialerRetryTimeout: one.DialerRetryTimeout,
		MaxRetries: one.MaxRetries, MaxRedirects: maxRedirects,
		MinRetryBackoff: one.MinRetryBackoff, MaxRetryBackoff: 16 * time.Millisecond,
		PoolSize: one.PoolSize, PipelinePoolSize: -1, ConnMaxIdleTime: maxIdleTime, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: one.MaintNotificationsConfig,
		ClusterStateReloadInterval: mapAge,
		DisableRoutingPolicies:     true, // each command has one key, which says where it goes
	}
}

func (c *client) failoverOptions() *redis.FailoverOptions {
	one := c.options()
	return &redis.FailoverOptions{
		MasterName: c.config.sentinel, SentinelAddrs: c.config.seeds(), Dialer: one.Dialer,
		SentinelUsername: c.config.sentinelUser, SentinelPassword: c.config.sentinelPass,
		CredentialsProviderContext: one.CredentialsProviderContext,
		DialTimeout:                sentinelPatience * one.DialTimeout,
		ReadTimeout:                one.ReadTimeout, WriteTimeout: one.WriteTimeout, PoolTimeout: one.PoolTimeout,
		ContextTimeoutEnabled: true, DialerRetries: 1, DialerRetryTimeout: one.DialerRetryTimeout,
		MaxRetries: one.MaxRetries, MinRetryBackoff: one.MinRetryBackoff, MaxRetryBackoff: one.MaxRetryBackoff,
		PoolSize: one.PoolSize, PipelinePoolSize: -1, ConnMaxIdleTime: maxIdleTime, ReadBufferSize: bufferSize, WriteBufferSize: bufferSize,
		Protocol: 2, DisableIdentity: true,
	}
}

// poolSize leaves connections for renewals when all those that may wait for replicas do.
func (c *client) poolSize() int {
	if c.config.replicas > 0 {
		return poolSize + maxAwaiting
	}
	return poolSize
}

// dial connects to a server, or to a sentinel.
func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.timeout)
	defer cancel()
	n := c.nodes.of(address)
	epoch := n.epoch.Load()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil && c.trust != nil {
		conn, err = c.trust.handshake(ctx, conn, address)
	}
	if err != nil {
		return nil, err
	}
	return &link{Conn: conn, node: n, epoch: epoch}, nil
}

// A link is a connection that knows whether its node was away since it was made. Then it
// may be dead without knowing, and each such one would cost one of the attempts that are
// made once a second. So they are all dropped, of this node and no other. Making a new
// client instead would drop those of the healthy nodes of a cluster too.
type link struct {
	net.Conn
	node  *node
	epoch uint64
}

var errStale = fmt.Errorf("the server was away since: %w", net.ErrClosed)

func (l *link) stale() bool { return l.epoch != l.node.epoch.Load() }

// SyscallConn lets the pool check an idle connection before it is used. The pool drops it
// after an error.
func (l *link) SyscallConn() (syscall.RawConn, error) {
	if l.stale() {
		return nil, errStale
	}
	if conn, ok := l.Conn.(syscall.Conn); ok {
		return conn.SyscallConn()
	}
	return unchecked{}, nil
}

// Write does not send anything through a stale connection, on systems where the pool does
// not check it.
func (l *link) Write(b []byte) (int, error) {
	if l.stale() {
		return 0, errStale
	}
	return l.Conn.Write(b)
}

// unchecked stands for the socket below TLS. The pool must not look at it: a session
// ticket that waits there does not mean that the connection is broken.
type unchecked struct{}

func (unchecked) Control(func(uintptr)) error    { return nil }
func (unchecked) Read(func(uintptr) bool) error  { return nil }
func (unchecked) Write(func(uintptr) bool) error { return nil }

// trust is how servers prove who they are, and how this process does.
type trust struct {
	ca, cert, key, serverName string
	failed                    func(error)

	mu   sync.Mutex
	last *tls.Config
}

// newTrust returns nil without TLS.
func newTrust(c *config, failed func(error)) (*trust, error) {
	if !c.tls {
		return nil, nil
	}
	t := &trust{ca: c.ca, cert: c.cert, key: c.key, serverName: c.serverName, failed: failed}
	config, err := t.load()
	t.last = config
	return t, err
}

// handshake verifies the name that was dialled, unless the configuration names another. One
// name for all would be wrong for each node but one, or let each node pass for any other.
func (t *trust) handshake(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	config := t.current().Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// current reads the files again for each connection, so that certificates can be renewed
// without a reload. While they cannot be read, or do not fit each other because the second
// is still being written, the last good ones count.
func (t *trust) current() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ca == "" && t.cert == "" {
		return t.last
	}
	if config, err := t.load(); err == nil {
		t.last = config
	} else {
		t.failed(err)
	}
	return t.last
}

func (t *trust) load() (*tls.Config, error) {
	config := &tls.Config{ServerName: t.serverName, MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: %s has no certificate", t.ca)
		}
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("tls_client_auth: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
