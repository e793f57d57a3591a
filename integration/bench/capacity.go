package main

import (
	"context"
	"net"
	"os/exec"
	"time"
)

// A way is one way for deliveries to reach the app, with its measurements.
type way struct {
	name   string
	site   site
	rounds []round
	redis  time.Duration // processor time of the store
	shares bool          // uses it
}

// capacity measures what one delivery of 1 KiB costs on each way in turn.
func (l *lab) capacity(ctx context.Context) (ways []*way, err error) {
	store, err := l.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	if store != nil {
		defer func() { _, _ = store.Process.Kill(), store.Wait() }()
	}
	g, err := l.start(ctx, l.binary)
	if err != nil {
		return nil, err
	}
	defer g.stop()
	ways = []*way{
		{name: "HTTP/1.1", site: site{address: g.Guarded}},
		{name: "HTTP/1.1, a new connection for each", site: site{address: g.Guarded, hangUp: true}},
		{name: "HTTP/1.1 over TLS", site: site{address: g.GuardedTLS, tls: true}},
		{name: "HTTP/1.1 over TLS, a new connection for each", site: site{address: g.GuardedTLS, tls: true, hangUp: true}},
		{name: "HTTP/1.1, `replay` in memory", site: site{address: g.Remembering, fresh: l.secret}},
	}
	if store != nil {
		ways = append(ways, &way{name: "HTTP/1.1, `replay` in Redis", site: site{address: g.Sharing, fresh: l.secret}, shares: true})
	}
	for i := range l.options.rounds {
		progress("capacity: round %d of %d", i+1, l.options.rounds)
		for _, w := range ways {
			if err := w.round(ctx, l, g, store); err != nil {
				return nil, err
			}
		}
	}
	return ways, g.complaints()
}

// round sends deliveries on a way for the length of a round.
func (w *way) round(ctx context.Context, l *lab, g *gateway, store *exec.Cmd) error {
	c := newCrew(load{g, w.site, signed(l.secret, 1<<10), 200}, 8)
	defer c.close()
	var redis []int
	if store != nil {
		redis = []int{store.Process.Pid}
	}
	before := used(redis...)
	done, err := c.work(ctx, l.options.round)
	w.redis += used(redis...) - before
	w.rounds = append(w.rounds, done)
	return err
}

// startRedis starts a server that keeps nothing on disk. If none is installed, the
// measurements that need it are skipped.
func (l *lab) startRedis(ctx context.Context) (*exec.Cmd, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		progress("capacity: without a shared store, because redis-server is not installed")
		return nil, nil //nolint:nilnil // no store is no error
	}
	var p ports
	if err := p.take(); err != nil {
		return nil, err
	}
	l.redis = p.Plain
	_, port, _ := net.SplitHostPort(l.redis)
	command := exec.CommandContext(ctx, path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", l.dir) //nolint:gosec // a port of our own
	return command, command.Start()
}
