package replayredis

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/sony/gobreaker/v2"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

const (
	// tripAfter is how many failures in a row open the circuit.
	tripAfter = 3
	// openFor is how long the circuit is open, before one command tries again. A dead
	// server costs one timeout so often, and not each delivery.
	openFor = time.Second
)

// A value says who has the key, and since when: "claimed <token> <ms>", and once
// the app took the delivery "done <token> <ms>". Each command is one round trip,
// and may be sent again without harm: what an attempt left behind is known by its
// token.
//
// The scripts go with each command. They are short, and a server that restarts
// forgets what was loaded.
const (
	// commitScript leaves alone what another claim holds.
	commitScript = `local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`
	releaseScript = `if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`
)

// A client is the store.
type client struct {
	redis   *redis.Client
	circuit *gobreaker.CircuitBreaker[any]
	config  config
	longest atomic.Int64 // lease of any claim, in nanoseconds
}

func newClient(c config, logger *zap.Logger) (*client, error) {
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	return &client{
		config:  c,
		circuit: newCircuit(logger),
		redis: redis.NewClient(&redis.Options{
			Network: c.network, Addr: c.address, Username: c.username, Password: c.password, TLSConfig: tlsConfig,
			DialTimeout: c.timeout, ReadTimeout: c.timeout, WriteTimeout: c.timeout, PoolTimeout: c.timeout,
			ContextTimeoutEnabled: true,
			DialerRetries:         1,
			MaxRetries:            1, // for a kept connection that broke
			MaxRetryBackoff:       time.Millisecond, MinRetryBackoff: time.Millisecond,
			Protocol:                 2,
			DisableIdentity:          true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}),
	}, nil
}

func newCircuit(logger *zap.Logger) *gobreaker.CircuitBreaker[any] {
	return gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Timeout:      openFor,
		ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, redis.Nil) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			switch {
			case from == gobreaker.StateClosed:
				logger.Error("the redis store is away; it is tried once a second")
			case to == gobreaker.StateClosed:
				logger.Info("the redis store is back")
			}
		},
	})
}

// Destruct implements caddy.Destructor. Deliveries of the old configuration may
// still be under way: the connections stay until their claims have ended.
func (c *client) Destruct() error {
	time.AfterFunc(time.Duration(c.longest.Load())+c.config.timeout, func() { _ = c.redis.Close() })
	return nil
}

// Claim implements replay.Store.
func (c *client) Claim(ctx context.Context, claim replay.Claim) (replay.State, time.Time, error) {
	c.note(claim.Lease)
	own := value("claimed", claim)
	held, err := c.do(ctx, func(ctx context.Context) (any, error) {
		return c.redis.SetArgs(ctx, c.key(claim), own, redis.SetArgs{Mode: "NX", Get: true, TTL: claim.Lease}).Result()
	})
	switch {
	case errors.Is(err, redis.Nil), held == own:
		return replay.Fresh, time.Time{}, nil
	case err != nil:
		return replay.Unknown, time.Time{}, err
	}
	return parse(held)
}

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
	return c.finish(ctx, claim, commitScript, value("claimed", claim), value("done", claim), window.Milliseconds())
}

// Release implements replay.Store.
func (c *client) Release(ctx context.Context, claim replay.Claim) error {
	return c.finish(ctx, claim, releaseScript, value("claimed", claim))
}

// finish runs a script, and if that fails, tries again in the background for as
// long as the claim lives. While the server is away nothing new is claimed, so
// there are never more of these than deliveries that were under way.
func (c *client) finish(ctx context.Context, claim replay.Claim, script string, args ...any) error {
	err := c.eval(ctx, claim, script, args)
	if err != nil && !errors.Is(err, replay.ErrLost) {
		ctx = context.WithoutCancel(ctx)
		go func() {
			for now := range time.Tick(openFor) {
				if err := c.eval(ctx, claim, script, args); err == nil || errors.Is(err, replay.ErrLost) || now.After(claim.Ends()) {
					return
				}
			}
		}()
	}
	return err
}

func (c *client) eval(ctx context.Context, claim replay.Claim, script string, args []any) error {
	ours, err := c.do(ctx, func(ctx context.Context) (any, error) {
		return c.redis.Eval(ctx, script, []string{c.key(claim)}, args...).Result()
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

// conceal keeps the password out of the error: a server that does not know a
// command may show what was sent to it.
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

// parse reads what another claim has written.
func parse(held any) (replay.State, time.Time, error) {
	text, _ := held.(string)
	word, rest, _ := strings.Cut(text, " ")
	_, ms, _ := strings.Cut(rest, " ")
	at, err := strconv.ParseInt(ms, 10, 64)
	state, ok := map[string]replay.State{"claimed": replay.InFlight, "done": replay.Done}[word]
	if err != nil || !ok {
		return replay.Unknown, time.Time{}, errors.New("redis holds what webhook_auth has not written; see key_prefix")
	}
	return state, time.UnixMilli(at), nil
}

// Interface guards
var _ replay.Store = (*client)(nil)
