package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

// maxAwaiting bounds the connections to one master on which WAIT holds up what comes next.
// The rest of the pool is for renewals, which wait for no replica: if they had to queue
// while a replica is away, the claims of deliveries under way would expire.
const maxAwaiting = 48

var (
	errReplicas = errors.New("fewer replicas than wait_replicas have it")
	errUnasked  = errors.New("fewer replicas than wait_replicas acknowledged the last claim; trying one each second")
	errCrowded  = fmt.Errorf("%w: too many commands wait for replicas", errUnasked)
)

// replicas is how the replicas of a master acknowledge. While too few do, each command
// would wait for nothing and hold a connection, so a circuit of their own lets one command
// a second try. That of the master stays closed: it still renews and releases.
type replicas struct {
	circuit *gobreaker.CircuitBreaker[any]
	slots   chan struct{}
}

func (c *client) newReplicas(n *node) replicas {
	enough := func(err error) bool { return !errors.Is(err, errReplicas) }
	return replicas{
		slots: make(chan struct{}, maxAwaiting),
		// What else fails says nothing about the replicas.
		circuit: newCircuit(1, enough, enough, func(open bool) {
			if open {
				c.tell(n).Error("fewer replicas than wait_replicas acknowledge; nothing new is claimed")
			} else {
				c.tell(n).Info("enough replicas acknowledge again")
			}
		}),
	}
}

// confirmed runs a command of a node and waits until enough replicas have what it wrote. It
// fails with errReplicas if they do not, and with errUnasked without running it. took tells
// from the reply whether the command wrote something.
func (c *client) confirmed(ctx context.Context, n *node, key string, command command, took func(any, error) bool) (result any, err error) {
	var few error
	unasked := n.replicas.guard(ctx, c.config.timeout, func() error {
		result, err = c.do(ctx, n, func(ctx context.Context) (reply any, err error) {
			reply, few, err = c.acknowledged(ctx, key, command)
			return reply, err
		})
		if few == nil && err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return few
	})
	switch {
	case unasked != nil:
		return nil, unasked
	case few != nil && took(result, err):
		return result, few
	}
	return result, err
}

// guard runs a command that waits for replicas, or returns errUnasked without running it.
func (r *replicas) guard(ctx context.Context, timeout time.Duration, run func() error) error {
	unasked := errUnasked
	_, _ = r.circuit.Execute(func() (any, error) {
		if !r.enter(ctx, timeout) {
			unasked = errCrowded
			return nil, unasked
		}
		defer func() { <-r.slots }()
		unasked = nil
		return nil, run()
	})
	return unasked
}

// enter waits for a place among those that wait, not so long that no time would be left.
func (r *replicas) enter(ctx context.Context, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout/8)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// acknowledged runs a command and waits for replicas; few says that not enough of them
// have it. It sends both at once, on one connection to the master: WAIT counts what its own
// connection wrote, and a cluster would send it anywhere, as it has no key. So this follows
// redirections itself.
func (c *client) acknowledged(ctx context.Context, key string, command command) (result any, few, err error) {
	server, err := c.masterOf(ctx, key)
	for attempt := 0; err == nil; attempt++ {
		cmd := command(ctx)
		wait := redis.NewIntCmd(ctx, "wait", c.config.replicas, max((c.config.timeout*3/4).Milliseconds(), 1)) // 0 would be for ever
		pipe := server.Pipeline()
		if attempt > 0 {
			_ = pipe.Process(ctx, redis.NewStatusCmd(ctx, "asking"))
		}
		_ = pipe.Process(ctx, cmd)
		_ = pipe.Process(ctx, wait)
		_, _ = pipe.Exec(ctx) // each command has its own error
		if to := c.redirected(ctx, cmd.Err(), command); to != nil && attempt < maxRedirects {
			server = to
			continue
		}
		result, err = cmd.Result()
		return result, c.missing(wait), err
	}
	return nil, nil, err
}

// missing returns errReplicas unless WAIT counted enough. An error of WAIT does not show as
// one of the server, because the command itself took effect.
func (c *client) missing(wait *redis.IntCmd) error {
	switch {
	case wait.Err() != nil:
		return c.conceal(fmt.Errorf("%w: %v", errReplicas, wait.Err())) //nolint:errorlint // see above
	case wait.Val() < int64(c.config.replicas):
		return fmt.Errorf("%w: %d of %d", errReplicas, wait.Val(), c.config.replicas)
	}
	return nil
}

func (c *client) masterOf(ctx context.Context, key string) (*redis.Client, error) {
	if c.cluster != nil {
		return c.cluster.MasterForKey(ctx, key)
	}
	return c.redis.(*redis.Client), nil
}

// redirected returns the node that a reply sends the command to, or nil. The client of the
// cluster goes there first, so that it knows the node and updates its map. That runs the
// command, which may run twice.
func (c *client) redirected(ctx context.Context, err error, command command) *redis.Client {
	if err == nil || c.cluster == nil {
		return nil
	}
	address, moved := redis.IsMovedError(err)
	if !moved {
		if address, moved = redis.IsAskError(err); !moved {
			return nil
		}
	}
	_ = c.cluster.Process(ctx, command(ctx))
	return c.nodes.of(address).connection.Load()
}
