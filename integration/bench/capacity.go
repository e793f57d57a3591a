package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"os/exec"
	"time"
)

// A way is one way for deliveries to reach the app, with its measurements.
type way struct {
	name     string
	gateways []*gateway
	door     func(*gateway) string // the address
	tls      bool
	keep     bool // keeps the connection for further deliveries
	shares   bool // uses the shared store

	count   int
	gateway time.Duration // processor time of the gateways
	redis   time.Duration // and of the store
}

// each returns the processor time of one delivery in a gateway, and in the store.
func (w *way) each() (gateway, redis time.Duration) {
	n := time.Duration(max(w.count, 1))
	return w.gateway / n, w.redis / n
}

const wayConnections = 8

// capacity measures what one delivery of 1 KiB costs on each way in turn. Every delivery
// has a different body. It counts processor time, so that other work of the machine
// changes little.
func (l *lab) capacity(ctx context.Context) ([]*way, error) {
	if !hasProc() {
		progress("capacity: skipped, because %v", errNoProc)
		return nil, nil
	}
	store, err := l.startRedis(ctx)
	if err != nil {
		return nil, err
	}
	defer store.stop()
	var gateways []*gateway
	for range 2 {
		g, err := l.start(ctx, l.binary)
		if err != nil {
			return nil, err
		}
		defer g.stop()
		gateways = append(gateways, g)
	}
	ways := allWays(gateways, l.redis != "")
	for i := range l.options.rounds {
		progress("capacity: round %d of %d", i+1, l.options.rounds)
		for _, w := range ways {
			if err := w.round(ctx, l, store); err != nil {
				return nil, errors.Join(err, gateways[0].complaints(), gateways[1].complaints())
			}
		}
	}
	return ways, nil
}

func allWays(gateways []*gateway, redis bool) []*way {
	one := gateways[:1]
	plain, overTLS := func(g *gateway) string { return g.Guarded }, func(g *gateway) string { return g.GuardedTLS }
	memory, shared := func(g *gateway) string { return g.Remembering }, func(g *gateway) string { return g.Sharing }
	ways := []*way{
		{name: "HTTP/1.1", gateways: one, door: plain, keep: true},
		{name: "HTTP/1.1, a new connection for each", gateways: one, door: plain},
		{name: "HTTP/1.1 over TLS", gateways: one, door: overTLS, tls: true, keep: true},
		{name: "HTTP/1.1 over TLS, a new connection for each", gateways: one, door: overTLS, tls: true},
		{name: "HTTP/1.1, `replay` in memory", gateways: one, door: memory, keep: true},
	}
	if redis {
		ways = append(ways,
			&way{name: "HTTP/1.1, `replay` in Redis", gateways: one, door: shared, keep: true, shares: true},
			&way{name: "HTTP/1.1, two gateways, `replay` in one Redis", gateways: gateways, door: shared, keep: true, shares: true})
	}
	return ways
}

// round sends deliveries on a way for the length of a round.
func (w *way) round(ctx context.Context, l *lab, store *redis) error {
	c := &crew{load: load{status: 200}}
	defer c.close()
	for i := range wayConnections {
		g := w.gateways[i%len(w.gateways)]
		c.clients = append(c.clients, &sender{address: w.door(g), lab: l, way: w})
	}
	gateway, redis := w.used(), store.used()
	count, _, err := c.work(ctx, l.options.round())
	w.count += count
	w.gateway += w.used() - gateway
	w.redis += store.used() - redis
	return err
}

func (w *way) used() (total time.Duration) {
	for _, g := range w.gateways {
		total += used(g.pid())
	}
	return total
}

// A sender makes a new delivery each time, so that no replay guard has seen it before.
type sender struct {
	address string
	lab     *lab
	way     *way
	conn    net.Conn
	in      *bufio.Reader
}

func (s *sender) send(ctx context.Context) (int, error) {
	if s.conn == nil {
		if err := s.dial(ctx); err != nil {
			return 0, err
		}
	}
	d := fresh(s.lab.secret, 1<<10)
	if _, err := s.conn.Write(append(head(site{address: s.address}, d), d.body...)); err != nil {
		return 0, err
	}
	status, err := readAnswer(s.in)
	if !s.way.keep {
		s.close()
		s.conn = nil
	}
	return status, err
}

func (s *sender) dial(ctx context.Context) (err error) {
	if s.way.tls {
		dialer := tls.Dialer{Config: &tls.Config{RootCAs: s.lab.roots, MinVersion: tls.VersionTLS13}}
		s.conn, err = dialer.DialContext(ctx, "tcp", s.address)
	} else {
		s.conn, err = new(net.Dialer).DialContext(ctx, "tcp", s.address)
	}
	if err != nil {
		return err
	}
	s.in = bufio.NewReader(s.conn)
	return nil
}

func (s *sender) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// fresh returns a delivery that was never sent before.
func fresh(secret string, size int) delivery {
	d := delivery{body: make([]byte, size)}
	_, _ = rand.Read(d.body) // never fails
	d.sign(secret)
	return d
}

// A redis is the lab's server.
type redis struct{ process *exec.Cmd }

// startRedis starts a server that keeps nothing on disk. If none is installed, the
// measurements that need it are skipped.
func (l *lab) startRedis(ctx context.Context) (*redis, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		progress("capacity: without a shared store, because redis-server is not installed")
		return new(redis), nil
	}
	var p struct{ ports }
	if err := p.take(); err != nil {
		return nil, err
	}
	l.redis = p.Plain
	_, port, _ := net.SplitHostPort(l.redis)
	r := &redis{exec.CommandContext(ctx, path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", l.dir)} //nolint:gosec // a port of our own
	return r, r.process.Start()
}

func (r *redis) used() time.Duration {
	if r.process == nil {
		return 0
	}
	return used(r.process.Process.Pid)
}

func (r *redis) stop() {
	if r.process != nil {
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
	}
}
