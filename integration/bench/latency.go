package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A paced holds how long deliveries took that were sent at a fixed rate, whether the ones
// before were answered or not, as senders do.
type paced struct {
	Name string
	Took []float64 // seconds from the time at which each was due, so that waiting counts
	all  round
}

// Quantile returns the time below which the share q of deliveries is.
func (p *paced) Quantile(q float64) float64 { return quantile(p.Took, q) }

// Busy is how many per cent of the cores gateway, app and clients took.
func (p *paced) Busy() int { return p.all.busy() }

// slice is how long one side is loaded before the other has its turn.
const slice = 3 * time.Second

// latency sends at the rate to both sides in turn, and last to the guarded one beside
// forged deliveries.
func (l *lab) latency(ctx context.Context, loads [2]load) ([]*paced, error) {
	d, beside := forged(1<<10), loads[1]
	results := []*paced{{Name: "plain"}, {Name: "guarded"}, {Name: "guarded, beside half as many forged ones"}}
	if l.options.Against != "" {
		results[0].Name = "old, guarded"
	}
	others := load{beside.gateway, beside.site, d, 401}
	turns := max(1, int(l.options.Duration/slice))
	for i := range turns {
		progress("latency: turn %d of %d", i+1, turns)
		for turn := range 3 {
			side := (turn + i) % 3
			one := loads[min(side, 1)]
			forgers := 0
			if side == 2 {
				forgers = l.options.Rate / 2
			}
			if err := l.turn(ctx, results[side], one, others, forgers); err != nil {
				return results, fmt.Errorf("latency, %s: %w", results[side].Name, err)
			}
		}
	}
	return results, nil
}

// turn adds one slice to a result.
func (l *lab) turn(ctx context.Context, p *paced, one, others load, forgers int) error {
	d := min(slice, l.options.Duration)
	start, before := time.Now(), used(one.gateway.pids()...)
	var beside sync.WaitGroup
	var forgedErr error
	if forgers > 0 {
		beside.Go(func() { _, forgedErr = pace(ctx, others, l.options.Connections, forgers, d) })
	}
	took, err := pace(ctx, one, l.options.Connections, l.options.Rate, d)
	beside.Wait()
	p.Took = append(p.Took, took...)
	p.all.add(round{all: used(one.gateway.pids()...) - before, took: time.Since(start)})
	return errors.Join(err, forgedErr)
}

// pace is an open loop: it sends rate deliveries a second, however fast they are answered.
// Where all connections are busy, those that are due wait, and their wait counts.
func pace(ctx context.Context, l load, connections, rate int, d time.Duration) ([]float64, error) {
	c := newCrew(l, connections)
	defer c.close()
	due := make(chan time.Time, connections)
	took, errs := make([][]float64, connections), make([]error, connections)
	var busy sync.WaitGroup
	for i, one := range c.clients {
		busy.Go(func() {
			for at := range due {
				if errs[i] == nil {
					errs[i] = c.judge(one.send(ctx))
				}
				took[i] = append(took[i], time.Since(at).Seconds())
			}
		})
	}
	start, interval := time.Now(), time.Second/time.Duration(rate)
	for n := range int(d / interval) {
		at := start.Add(time.Duration(n) * interval)
		nap(time.Until(at))
		due <- at
	}
	close(due)
	busy.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}

// quantile returns the value below which the share q of values is.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// profile writes profiles of the gateway under load, guarded and plain, for
// `go tool pprof -diff_base`.
func (l *lab) profile(ctx context.Context) error {
	g, err := l.start(ctx, l.binary)
	if err != nil {
		return err
	}
	defer g.stop()
	body := sizes[1]
	if l.options.sizes != "" {
		body = l.options.chosen()[0]
	}
	for name, address := range map[string]string{l.options.profile: g.site["guarded"], l.options.profile + ".plain": g.site["plain"]} {
		c := newCrew(load{g, site{address: address}, signed(l.secret, body.bytes), 200}, body.connections)
		seconds := max(10, int(l.options.round.Seconds()))
		progress("profiles for %d seconds into %s and %s.allocs", seconds, name, name)
		written := make(chan error, 2)
		go func() { written <- g.pprof(ctx, fmt.Sprintf("profile?seconds=%d", seconds), name) }()
		go func() { written <- g.pprof(ctx, fmt.Sprintf("allocs?seconds=%d", seconds), name+".allocs") }()
		_, err = c.work(ctx, time.Duration(seconds)*time.Second+time.Second)
		c.close()
		if err := errors.Join(err, <-written, <-written); err != nil {
			return err
		}
	}
	return nil
}
