package main

import (
	"context"
	"net"
	"os/exec"
	"time"
)

// A way is one way for deliveries to reach the app, with its measurements.
type way struct {
	Name  string
	site  site
	all   round
	redis time.Duration // processor time of the store
}

// Each is the processor time of the gateway for one delivery, in seconds.
func (w *way) Each() float64 { return w.all.perDelivery() }

// Redis is that of the store. 0: it has no part in it.
func (w *way) Redis() float64 { return w.redis.Seconds() / float64(w.all.count) }

// PerCore is how many deliveries that makes on a core that does nothing else.
func (w *way) PerCore() int { return int(1 / w.Each()) }

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
		{Name: "HTTP/1.1", site: site{address: g.site["guarded"]}},
		{Name: "HTTP/1.1, a new connection for each", site: site{address: g.site["guarded"], hangUp: true}},
		{Name: "HTTP/1.1 over TLS", site: site{address: g.site["guarded_tls"], tls: true}},
		{Name: "HTTP/1.1 over TLS, a new connection for each", site: site{address: g.site["guarded_tls"], tls: true, hangUp: true}},
		{Name: "HTTP/1.1, `replay` in memory", site: site{address: g.site["remembering"], fresh: l.secret}},
	}
	if store != nil {
		ways = append(ways, &way{Name: "HTTP/1.1, `replay` in Redis", site: site{address: g.site["sharing"], fresh: l.secret}})
	}
	for i := range l.options.Rounds {
		progress("capacity: round %d of %d", i+1, l.options.Rounds)
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
	if w.site.address == g.site["sharing"] {
		redis = []int{store.Process.Pid}
	}
	before := used(redis...)
	done, err := c.work(ctx, l.options.round)
	w.redis += used(redis...) - before
	w.all.add(done)
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
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not block
	if err != nil {
		return nil, err
	}
	l.redis = listener.Addr().String()
	_, port, _ := net.SplitHostPort(l.redis)
	_ = listener.Close()
	command := exec.CommandContext(ctx, path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", l.dir) //nolint:gosec // a port of our own
	return command, command.Start()
}
