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
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

const (
	// tripAfter is how many failures in a row open the circuit.
	tripAfter = 3
	// openFor is how long the circuit stays open before one command tries again. So a
	// dead server costs one timeout a second, and not one for each delivery.
	openFor = time.Second
	// poolSize is enough for commands that take a millisecond. It also bounds how many
	// dead connections a server leaves behind that disappears without closing them.
	poolSize    = 16
	maxIdleTime = time.Minute
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
	config  config
	options *redis.Options
	redis   atomic.Pointer[redis.Client]
	circuit *gobreaker.CircuitBreaker[any]
	duties  duties
	longest atomic.Int64 // lease of any claim, in nanoseconds

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

func newClient(c config) (*client, error) {
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	shared, _, err := ledgers.LoadOrNew(c.server(), func() (caddy.Destructor, error) { return newLedger(), nil })
	if err != nil {
		return nil, err
	}
	n := &client{config: c, duties: newDuties(shared.(*ledger)), options: &redis.Options{
		Network: c.network, Addr: c.address, Username: c.username, Password: c.password, TLSConfig: tlsConfig,
		DialTimeout: c.timeout, ReadTimeout: c.timeout, WriteTimeout: c.timeout, PoolTimeout: c.timeout,
		PoolSize: poolSize, ConnMaxIdleTime: maxIdleTime,
		ContextTimeoutEnabled: true,
		DialerRetries:         1,
		MaxRetries:            1, // for an idle connection that broke
		MaxRetryBackoff:       time.Millisecond, MinRetryBackoff: time.Millisecond,
		Protocol:                 2,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}}
	n.redis.Store(redis.NewClient(n.options))
	n.circuit = n.newCircuit()
	go n.work()
	return n, nil
}

// newCircuit makes the circuit breaker. It counts no reply of the server as a failure,
// not even an error, because a reply costs no timeout.
func (c *client) newCircuit() *gobreaker.CircuitBreaker[any] {
	return gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Timeout:      openFor,
		ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil || isReply(err) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				c.logger().Error("the redis store is away; retrying once a second")
				c.reconnect()
			case to == gobreaker.StateClosed:
				c.logger().Info("the redis store is back")
			}
		},
	})
}

// isReply reports whether err is a reply of the server.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok
}

// reconnect drops the idle connections. They may be dead, and each would cost one of the
// attempts that are made once a second.
func (c *client) reconnect() {
	old := c.redis.Swap(redis.NewClient(c.options))
	time.AfterFunc(c.config.timeout, func() { _ = old.Close() })
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
	own := value("claimed", claim)
	held, err := c.do(ctx, func(ctx context.Context) (any, error) {
		return c.redis.Load().SetArgs(ctx, c.key(claim), own, redis.SetArgs{Mode: "NX", Get: true, TTL: claim.Lease}).Result()
	})
	if errors.Is(err, redis.Nil) || err == nil && held == own {
		return c.confirm(renewal)
	}
	c.duties.drop(renewal)
	if err != nil {
		if !isReply(err) && !unsent(err) { // it may have taken effect, or may still
			c.duties.put(c.releasing(claim))
		}
		return replay.Unknown, time.Time{}, err
	}
	return parse(held)
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

// unsent reports whether the circuit did not send the command.
func unsent(err error) bool {
	return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
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

func (c *client) eval(ctx context.Context, d *duty) error {
	ours, err := c.do(ctx, func(ctx context.Context) (any, error) {
		return c.redis.Load().Eval(ctx, d.script, []string{c.key(d.claim)}, d.args...).Result()
	})
	if err == nil && ours == int64(0) {
		return replay.ErrLost
	}
	return err
}

// do runs one command within the timeout, unless the circuit is open.
func (c *client) do(ctx context.Context, command func(context.Context) (any, error)) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.timeout)
	defer cancel()
	result, err := c.circuit.Execute(func() (any, error) { return command(ctx) })
	return result, c.conceal(err)
}

// conceal keeps the password out of the error: a server that does not know a command may
// repeat its arguments.
func (c *client) conceal(err error) error {
	if err == nil || errors.Is(err, redis.Nil) || c.config.password == "" || !strings.Contains(err.Error(), c.config.password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), c.config.password, "REDACTED"))
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
