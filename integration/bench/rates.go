package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
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

var sizes = []size{
	{"0 B", 0, 8},
	{"1 KiB", 1 << 10, 8},
	{"64 KiB", 64 << 10, 8},
	{"1 MiB", 1 << 20, 4},
	{"10 MiB", 10 << 20, 4},
}

// A comparison holds the results of alternating rounds on two sides.
type comparison struct {
	protocol string
	size     size
	plain    side
	guarded  side
	bare     side // HMACs of the body only, a short round for each pair
}

// A side holds the results of all rounds of one kind.
type side struct {
	rates   []float64 // deliveries in a second, one for each round
	costs   []float64 // processor time of one delivery on the whole machine, likewise
	count   int       // deliveries in all rounds
	elapsed time.Duration
	gateway time.Duration // processor time of the gateway in all rounds
	machine time.Duration // the same of the gateway, the app and the clients together
}

func (s *side) rate() float64 { return median(s.rates) }

// cost returns the processor time in seconds that one delivery takes on the whole
// machine. If that cannot be measured, cost assumes that all cores are busy.
func (s *side) cost() float64 {
	if s.machine == 0 {
		return float64(runtime.NumCPU()) / s.rate()
	}
	return s.machine.Seconds() / float64(s.count)
}

// each returns the processor time of one delivery in the gateway.
func (s *side) each() time.Duration { return s.gateway / time.Duration(max(s.count, 1)) }

// ratios returns guarded/plain, one for each pair of rounds.
func (c *comparison) ratios() []float64 {
	ratios := make([]float64, len(c.plain.rates))
	for i := range ratios {
		ratios[i] = c.guarded.rates[i] / c.plain.rates[i]
	}
	return ratios
}

// ratiosByCPU returns the cost of a delivery on the whole machine, plain over guarded, one
// for each pair of rounds. If all cores are busy with the benchmark, that is the ratio of
// the rates. If the machine has other work, it varies less.
func (c *comparison) ratiosByCPU() []float64 {
	ratios := make([]float64, len(c.plain.costs))
	for i := range ratios {
		ratios[i] = c.plain.costs[i] / c.guarded.costs[i]
	}
	return ratios
}

// bound returns the best ratio that a gateway that computes HMACs can reach: the cost of a
// plain delivery, over the same plus a bare HMAC. All cores are busy, so costs are times.
func (c *comparison) bound() float64 {
	return c.plain.cost() / (c.plain.cost() + c.bare.cost())
}

// busy returns the share of all cores that the three processes had.
func (c *comparison) busy() float64 {
	elapsed := (c.plain.elapsed + c.guarded.elapsed).Seconds() * float64(runtime.NumCPU())
	return (c.plain.machine + c.guarded.machine).Seconds() / elapsed
}

// baseline returns the gateway to compare with: the same one, or one of another binary.
func (l *lab) baseline(ctx context.Context, g *gateway) (*gateway, error) {
	if l.options.against == "" {
		return g, nil
	}
	return l.start(ctx, l.options.against)
}

// rates compares guarded with plain for every protocol and size, or guarded with guarded
// if the baseline is another binary.
func (l *lab) rates(ctx context.Context, base, g *gateway) (all []*comparison, err error) {
	plain, plainTLS := base.Plain, base.PlainTLS
	if base != g {
		plain, plainTLS = base.Guarded, base.GuardedTLS
	}
	for _, pair := range [][2]site{
		{{address: plain}, {address: g.Guarded}},
		{{address: plainTLS, roots: l.roots}, {address: g.GuardedTLS, roots: l.roots}},
	} {
		for _, s := range l.options.chosen() {
			progress("rates: %s, %s", pair[0].protocol(), s.name)
			d := signed(l.secret, s.bytes)
			c, err := l.compare(ctx, s, load{base, pair[0], d, 200}, load{g, pair[1], d, 200})
			if err != nil {
				return all, fmt.Errorf("%s, %s: %w", pair[0].protocol(), s.name, err)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// flood compares the refusal of an unsigned delivery with Caddy's own `error 401`,
// or with the refusal of the baseline.
func (l *lab) flood(ctx context.Context, base, g *gateway) (*comparison, error) {
	progress("flood of unsigned deliveries")
	plain := base.Refusing
	if base != g {
		plain = base.Guarded
	}
	d := unsigned(1 << 10)
	c, err := l.compare(ctx, sizes[1], load{base, site{address: plain}, d, 401}, load{g, site{address: g.Guarded}, d, 401})
	if err != nil {
		return nil, fmt.Errorf("flood: %w", err)
	}
	return c, nil
}

// compare loads the plain and the guarded site in turn. The order changes from
// pair to pair, so that neither always comes second.
func (l *lab) compare(ctx context.Context, s size, plain, guarded load) (*comparison, error) {
	c := &comparison{protocol: plain.site.protocol(), size: s}
	var crews [2]*crew
	for i, one := range []load{plain, guarded} {
		crew, err := newCrew(ctx, one, s.connections)
		if err != nil {
			return nil, err
		}
		defer crew.close()
		if _, _, err := crew.work(ctx, l.options.round()/3); err != nil { // warm-up
			return nil, err
		}
		crews[i] = crew
	}
	sides := [2]*side{&c.plain, &c.guarded}
	for round := range l.options.rounds {
		for turn := range 2 {
			i := (turn + round) % 2
			if err := sides[i].measure(ctx, crews[i], l.options.round()); err != nil {
				return nil, err
			}
		}
		c.bare.hash(s.bytes, l.options.round()/10)
	}
	return c, nil
}

// measure adds one round.
func (s *side) measure(ctx context.Context, c *crew, d time.Duration) error {
	g := c.gateway
	start, gatewayBefore, machineBefore := time.Now(), used(g.pid()), used(g.pids()...)
	count, rate, err := c.work(ctx, d)
	s.elapsed += time.Since(start)
	s.gateway += used(g.pid()) - gatewayBefore
	machine := used(g.pids()...) - machineBefore
	s.machine += machine
	s.count += count
	s.rates = append(s.rates, rate)
	s.costs = append(s.costs, machine.Seconds()/float64(max(count, 1)))
	return err
}

// used returns the processor time that processes have used so far, or 0 without /proc.
func used(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		t, _ := cpuTime(pid)
		sum += t
	}
	return sum
}

// hash adds a round of bare HMACs on all cores, keyed once like the gateway's.
func (s *side) hash(size int, d time.Duration) {
	body := make([]byte, size)
	batch := 1 + (64<<10)/(size+64) // so that reading the clock costs little
	counts := make([]int, runtime.NumCPU())
	start, before := time.Now(), used(os.Getpid())
	var busy sync.WaitGroup
	for i := range counts {
		busy.Go(func() {
			mac, sum := hmac.New(sha256.New, []byte("secret")), make([]byte, 0, sha256.Size)
			for time.Since(start) < d {
				for range batch {
					mac.Reset()
					_, _ = mac.Write(body) // never fails
					sum = mac.Sum(sum[:0])
				}
				counts[i] += batch
			}
		})
	}
	busy.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	s.count += total
	s.rates = append(s.rates, float64(total)/time.Since(start).Seconds())
	s.machine += used(os.Getpid()) - before
}
