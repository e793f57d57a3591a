package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// The value of a key says which claim holds it and since when: "claimed <token> <ms>", or
// "done <token> <ms>" once the app has accepted the delivery. Each command is one round
// trip and can safely be sent again, because the token shows what an earlier attempt left
// behind.
//
// Each command carries its whole script. The scripts are short, and a server that
// restarts forgets loaded ones.
const (
	// commitScript does not touch a key that another claim holds.
	commitScript = `local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`
	releaseScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`
	// renewScript also takes the key again if the lease has expired or the server has
	// lost it, because the delivery is still under way.
	renewScript = `local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`
)

// A client is the store.
type client struct {
	config      config
	redis       redis.UniversalClient
	cluster     *redis.ClusterClient // nil: it is none
	trust       *trust               // nil: without TLS
	credentials *credentials
	nodes       *nodes
	duties      duties
	longest     atomic.Int64 // lease of any claim, in nanoseconds

	mu      sync.Mutex
	loggers []*zap.Logger // of the configurations that use the client, the newest last
}

// enter switches to the log of a new configuration. The log of the one before may be
// closed.
func (c *client) enter(logger *zap.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loggers = append(c.loggers, logger)
}

// leave forgets the log of a configuration that ends or did not load.
func (c *client) leave(logger *zap.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.loggers, logger); i >= 0 {
		c.loggers = slices.Delete(c.loggers, i, i+1)
	}
}

func (c *client) logger() *zap.Logger {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.loggers) == 0 {
		return zap.NewNop()
	}
	return c.loggers[len(c.loggers)-1]
}

// tell returns the log, with the server if there are several.
func (c *client) tell(n *node) *zap.Logger {
	if c.cluster == nil || n.address == "" {
		return c.logger()
	}
	return c.logger().With(zap.String("server", n.address))
}

func newClient(config config) (*client, error) {
	c := &client{config: config}
	trust, err := newTrust(&config, func(err error) {
		c.logger().Error("the files for TLS cannot be used; using what they held before", zap.Error(err))
	})
	if err != nil {
		return nil, err
	}
	c.credentials = newCredentials(&config, func(err error) {
		c.logger().Error("the password cannot be read again; using the last one", zap.Error(err))
	})
	shared, _, err := ledgers.LoadOrNew(config.server(), func() (caddy.Destructor, error) { return newLedger(), nil })
	if err != nil {
		return nil, err
	}
	c.trust, c.duties = trust, newDuties(shared.(*ledger))
	c.nodes = newNodes(config.cluster, c.newNode)
	c.redis = c.connect()
	c.cluster, _ = c.redis.(*redis.ClusterClient)
	go c.work()
	return c, nil
}

// node returns the master that a key belongs to, as far as is known: a cluster has a map
// once it has answered.
func (c *client) node(ctx context.Context, key string) *node {
	if c.cluster == nil {
		return c.nodes.single
	}
	if !c.nodes.mapped.Load() {
		return c.nodes.of("")
	}
	master, err := c.cluster.MasterForKey(ctx, key) // it does not wait once there is a map
	if err != nil {
		return c.nodes.of("")
	}
	n := c.nodes.of(master.Options().Addr)
	if n.connection.Load() != master {
		n.connection.Store(master)
	}
	return n
}

// learn keeps the map of a cluster up to date. Without it, go-redis would look for the
// successor of a dead master once in a while only.
func (c *client) learn(ctx context.Context, err error) {
	switch {
	case c.cluster == nil:
	case err == nil || errors.Is(err, redis.Nil):
		if !c.nodes.mapped.Load() {
			c.nodes.mapped.Store(true)
		}
	case !isAnswer(err):
		c.cluster.ReloadState(ctx) // in the background, five times a second at most
	}
}

// Destruct implements caddy.Destructor. It only sets the end of the client, because
// deliveries of the old configuration may still be under way.
func (c *client) Destruct() error {
	c.duties.end(time.Now().Add(time.Duration(c.longest.Load())))
	return nil
}

// Claim implements replay.Store. What this process knows about the delivery overrides
// what the server says: the lease may have expired while the server was away.
func (c *client) Claim(ctx context.Context, claim replay.Claim) (replay.State, time.Time, error) {
	c.note(claim.Lease)
	renewal := c.renewal(claim)
	if state, first, err := c.duties.admit(renewal); err != nil || state != replay.Fresh {
		return state, first, err
	}
	if err := c.releaseFirst(ctx, claim); err != nil {
		c.duties.drop(renewal)
		return replay.Unknown, time.Time{}, err
	}
	held, err := c.claim(ctx, claim)
	if isOurs(claim, held, err) {
		return c.confirm(renewal)
	}
	c.duties.drop(renewal)
	if err != nil {
		c.undo(ctx, claim, err)
		return replay.Unknown, time.Time{}, err
	}
	return parse(held)
}

// claim asks the server for the claim. The reply is what holds the key, or redis.Nil.
func (c *client) claim(ctx context.Context, claim replay.Claim) (any, error) {
	key := c.key(claim)
	n := c.node(ctx, key)
	set := func(ctx context.Context) *redis.Cmd {
		return redis.NewCmd(ctx, "set", key, value("claimed", claim), "nx", "get", "px", claim.Lease.Milliseconds())
	}
	if c.config.replicas == 0 {
		return c.do(ctx, n, func(ctx context.Context) (any, error) { return c.run(ctx, set) })
	}
	return c.confirmed(ctx, n, key, set, func(held any, err error) bool { return isOurs(claim, held, err) })
}

func isOurs(claim replay.Claim, held any, err error) bool {
	return errors.Is(err, redis.Nil) || err == nil && held == value("claimed", claim)
}

// undo releases a claim that failed, if it may have taken effect or may still.
func (c *client) undo(ctx context.Context, claim replay.Claim, err error) {
	switch {
	case errors.Is(err, errReplicas): // it has, on the master
		_ = c.finish(ctx, c.releasing(claim))
	case !isReply(err) && !unsent(err) && !isForeign(err):
		c.duties.put(c.releasing(claim))
	}
}

// releaseFirst retries the releases that are owed for this delivery, so that the sender's
// next attempt does not have to wait. They stay owed until they are due, because the
// claims that they release may still be on their way to the server.
func (c *client) releaseFirst(ctx context.Context, claim replay.Claim) error {
	for _, d := range c.duties.releases(claim) {
		if err := c.eval(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

var errLate = errors.New("redis answered after the lease had expired")

// confirm returns the state of a claim that the server has granted. It releases a claim
// that cannot be used.
func (c *client) confirm(d *duty) (state replay.State, first time.Time, err error) {
	if time.Since(d.claim.At) >= d.claim.Lease { // another gateway may have it by now
		err = errLate
	} else if state, first = c.duties.confirm(d); state == replay.Fresh {
		return state, first, nil
	}
	c.duties.put(c.releasing(d.claim))
	return state, first, err
}

// note remembers the longest lease.
func (c *client) note(lease time.Duration) {
	for {
		longest := c.longest.Load()
		if int64(lease) <= longest || c.longest.CompareAndSwap(longest, int64(lease)) {
			return
		}
	}
}

// Commit implements replay.Store.
func (c *client) Commit(ctx context.Context, claim replay.Claim, window time.Duration) error {
	return c.finish(ctx, c.committing(claim, window))
}

// Release implements replay.Store.
func (c *client) Release(ctx context.Context, claim replay.Claim) error {
	return c.finish(ctx, c.releasing(claim))
}

// finish does a duty at once. If that fails, it stays a duty.
func (c *client) finish(ctx context.Context, d *duty) error {
	kept := c.duties.put(d)
	err := c.eval(ctx, d)
	c.duties.settle(d, err)
	if err != nil && !kept {
		c.givenUp(d)
	}
	return err
}

// eval does a duty. What finishes a claim waits for replicas: a lost commit would let a
// repetition pass, and a lost release would keep the sender waiting until the lease ends. A
// renewal does not, because the next one makes up for it.
func (c *client) eval(ctx context.Context, d *duty) error {
	key := c.key(d.claim)
	n := c.node(ctx, key)
	script := func(ctx context.Context) *redis.Cmd {
		return redis.NewCmd(ctx, append([]any{"eval", d.script, 1, key}, d.args...)...)
	}
	waits := c.config.replicas > 0 && !d.renews()
	ours, err := any(nil), errUnasked
	if waits {
		ours, err = c.confirmed(ctx, n, key, script, func(ours any, err error) bool { return err == nil && ours == int64(1) })
	}
	if errors.Is(err, errUnasked) {
		ours, err = c.do(ctx, n, func(ctx context.Context) (any, error) { return c.run(ctx, script) })
		if err == nil && waits {
			err = errUnasked // the master has it, but a failover may lose it: it stays a duty
		}
	}
	if ours == int64(0) {
		return replay.ErrLost
	}
	return err
}

// A command makes a command, because go-redis keeps the reply in it.
type command func(context.Context) *redis.Cmd

// run runs a command wherever its key is.
func (c *client) run(ctx context.Context, command command) (any, error) {
	cmd := command(ctx)
	_ = c.redis.Process(ctx, cmd)
	return cmd.Result()
}

// do runs one command of a node within the timeout, unless the node's circuit is open.
func (c *client) do(ctx context.Context, n *node, command func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.timeout)
	defer cancel()
	result, err := n.circuit.Execute(func() (any, error) { return command(ctx) })
	c.learn(ctx, err)
	return result, c.conceal(err)
}

// conceal keeps the passwords out of the error: a server that does not know a command may
// repeat its arguments.
func (c *client) conceal(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	text := err.Error()
	for _, password := range append(c.credentials.passwords(), c.config.sentinelPass) {
		if password != "" {
			text = strings.ReplaceAll(text, password, "REDACTED")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func (c *client) key(claim replay.Claim) string {
	return c.config.prefix + hex.EncodeToString(claim.Key[:])
}

func value(word string, claim replay.Claim) string {
	return word + " " + hex.EncodeToString(claim.Token[:]) + " " + strconv.FormatInt(claim.At.UnixMilli(), 10)
}

// parse parses the value that another claim has written.
func parse(held any) (replay.State, time.Time, error) {
	text, _ := held.(string)
	word, rest, _ := strings.Cut(text, " ")
	_, ms, _ := strings.Cut(rest, " ")
	at, err := strconv.ParseInt(ms, 10, 64)
	state, ok := map[string]replay.State{"claimed": replay.InFlight, "done": replay.Done}[word]
	if err != nil || !ok {
		return replay.Unknown, time.Time{}, errors.New("redis has a value that webhook_auth did not write; set key_prefix to a prefix that nothing else uses")
	}
	return state, time.UnixMilli(at), nil
}

// Interface guards
var _ replay.Store = (*client)(nil)
