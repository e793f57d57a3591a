package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

// A size is a length of body, and the number of connections that keep the machine busy.
type size struct {
	name        string
	bytes       int
	connections int
}

func (s size) String() string { return s.name }

var sizes = []size{{"0 B", 0, 8}, {"1 KiB", 1 << 10, 8}, {"64 KiB", 64 << 10, 8}, {"1 MiB", 1 << 20, 4}, {"10 MiB", 10 << 20, 4}}

// A load is deliveries to a site, with the status that they must get.
type load struct {
	gateway  *gateway
	site     site
	delivery delivery
	status   int
}

// judge returns an error if a delivery was not answered as it must be.
func (l load) judge(status int, err error) error {
	if err == nil && status != l.status {
		err = fmt.Errorf("the gateway answers %d, and must answer %d", status, l.status)
	}
	return err
}

// A round is what one side did in it.
type round struct {
	count   int
	rate    float64       // deliveries a second
	gateway time.Duration // processor time of the gateway
	all     time.Duration // the same, with the app and the clients
	took    time.Duration
}

func (r *round) perDelivery() float64 { return r.gateway.Seconds() / float64(max(r.count, 1)) }

// add adds another round, but for its rate.
func (r *round) add(other round) {
	r.count, r.gateway = r.count+other.count, r.gateway+other.gateway
	r.all, r.took = r.all+other.all, r.took+other.took
}

// busy returns how many per cent of the cores gateway, app and clients took.
func (r *round) busy() int {
	return int(100 * r.all.Seconds() / r.took.Seconds() / float64(runtime.NumCPU()))
}

// A comparison holds the alternating rounds of two sides.
type comparison struct {
	Name  string
	Hash  float64    // seconds of a bare HMAC of the body; 0: none is needed
	sides [2][]round // plain or old, and guarded
}

// ratios returns one ratio for each pair of rounds. Pairing cancels what changes slowly,
// such as the other work of the machine.
func (c *comparison) ratios(of func(plain, guarded round) float64) (ratios []float64) {
	for i := range c.sides[0] {
		ratios = append(ratios, of(c.sides[0][i], c.sides[1][i]))
	}
	return ratios
}

// ByProcessor returns the ratios by processor time of the gateway.
func (c *comparison) ByProcessor() []float64 {
	return c.ratios(func(plain, guarded round) float64 { return plain.perDelivery() / guarded.perDelivery() })
}

// ByRate returns the ratios by deliveries a second.
func (c *comparison) ByRate() []float64 {
	return c.ratios(func(plain, guarded round) float64 { return guarded.rate / plain.rate })
}

// Each returns the processor time of a delivery of a side, in seconds: the median round.
func (c *comparison) Each(side int) float64 {
	var all []float64
	for _, r := range c.sides[side] {
		all = append(all, r.perDelivery())
	}
	return interval(all).Center
}

// Bound returns the best ratio that a gateway that computes HMACs can reach.
func (c *comparison) Bound() float64 { return c.Each(0) / (c.Each(0) + c.Hash) }

// compareAll compares guarded with plain, or with another binary, also guarded.
func (l *lab) compareAll(ctx context.Context, r *report) error {
	if !l.options.wants("rates") && !l.options.wants("latency") {
		return nil
	}
	g, err := l.start(ctx, l.binary)
	if err != nil {
		return err
	}
	defer g.stop()
	base, plain, refusing := g, g.site["plain"], g.site["refusing"]
	if l.options.Against != "" {
		if base, err = l.start(ctx, l.other); err != nil {
			return err
		}
		defer base.stop()
		plain, refusing = base.site["guarded"], base.site["guarded"]
	}
	pair := func(d delivery, status int, old string) [2]load {
		return [2]load{{base, site{address: old}, d, status}, {g, site{address: g.site["guarded"]}, d, status}}
	}
	if l.options.wants("rates") {
		for _, s := range l.options.chosen() {
			err = errors.Join(err, l.compare(ctx, r, s, pair(signed(l.secret, s.bytes), 200, plain)))
		}
		refuse := sizes[1]
		refuse.name = "refuse"
		err = errors.Join(err, l.compare(ctx, r, refuse, pair(delivery{body: make([]byte, refuse.bytes)}, 401, refusing)))
	}
	if err == nil && l.options.wants("latency") {
		r.Latency, err = l.latency(ctx, pair(signed(l.secret, 1<<10), 200, plain))
	}
	return errors.Join(err, g.complaints())
}

// compare loads two sites in turn. The order changes from pair to pair, so that neither
// always comes second.
func (l *lab) compare(ctx context.Context, r *report, s size, loads [2]load) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	progress("rates: %s", s.name)
	c := &comparison{Name: s.name}
	var crews [2]*crew
	for i, one := range loads {
		crew := newCrew(one, s.connections)
		defer crew.close()
		if _, err := crew.work(ctx, l.options.round/3); err != nil { // warm-up
			return fmt.Errorf("%s: %w", s.name, err)
		}
		crews[i] = crew
	}
	var hashes []float64
	for i := range l.options.Rounds {
		for turn := range 2 {
			side := (turn + i) % 2
			done, err := crews[side].work(ctx, l.options.round)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			c.sides[side] = append(c.sides[side], done)
		}
		hashes = append(hashes, hash(s.bytes, l.options.round/20))
	}
	if loads[0].status == 200 {
		c.Hash = interval(hashes).Center
	}
	r.Rates = append(r.Rates, c)
	return nil
}

// A crew is the clients of one load.
type crew struct {
	load
	clients []*client
}

func newCrew(l load, connections int) *crew {
	c := &crew{load: l}
	for range connections {
		c.clients = append(c.clients, newClient(l.site, l.delivery))
	}
	return c
}

func (c *crew) close() {
	for _, one := range c.clients {
		one.close()
	}
}

// work keeps all clients busy for about d. Each client completes its last delivery and has
// a rate over its own time, so that large bodies do not make the rate jump in steps.
func (c *crew) work(ctx context.Context, d time.Duration) (done round, err error) {
	n := len(c.clients)
	counts, rates, errs := make([]int, n), make([]float64, n), make([]error, n)
	start, gateway, all := time.Now(), used(c.gateway.pid()), used(c.gateway.pids()...)
	var busy sync.WaitGroup
	for i, one := range c.clients {
		busy.Go(func() {
			for errs[i] == nil && time.Since(start) < d {
				errs[i] = c.judge(one.send(ctx))
				counts[i]++
			}
			rates[i] = float64(counts[i]) / time.Since(start).Seconds()
		})
	}
	busy.Wait()
	done = round{gateway: used(c.gateway.pid()) - gateway, all: used(c.gateway.pids()...) - all, took: time.Since(start)}
	for i := range n {
		done.count, done.rate = done.count+counts[i], done.rate+rates[i]
	}
	return done, errors.Join(errs...)
}

// hash returns the processor time in seconds of a bare HMAC, keyed once like the gateway's.
func hash(size int, d time.Duration) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	body, mac, sum, count := make([]byte, size), hmac.New(sha256.New, []byte("secret")), make([]byte, 0, sha256.Size), 0
	start, before := time.Now(), used(os.Getpid())
	for time.Since(start) < d {
		for range 1 + (64<<10)/(size+64) { // so that reading the clock costs little
			mac.Reset()
			_, _ = mac.Write(body) // never fails
			sum = mac.Sum(sum[:0])
			count++
		}
	}
	return (used(os.Getpid()) - before).Seconds() / float64(count)
}
