package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A burst is how long authentic deliveries took while nothing else came, while
// forged ones did, and while as many were answered by Caddy's own `error 401`.
type burst struct{ quiet, forged, refused []float64 } // seconds

// The load of a burst: what a machine of two cores can bear beside the clients, so
// that the figures show what a refusal costs others and not how long the queue is.
const (
	burstForged = 10_000 // in all rounds together
	burstRounds = 10
	forgedPace  = time.Millisecond
	signedPace  = 4 * time.Millisecond
)

func (l *lab) burst(ctx context.Context, g *gateway) (*burst, error) {
	progress("burst: %d forged requests among authentic ones", burstForged)
	b := new(burst)
	for range burstRounds {
		for _, part := range []struct {
			seconds *[]float64
			address string
		}{{&b.quiet, ""}, {&b.forged, g.Guarded}, {&b.refused, g.Refusing}} {
			took, err := l.among(ctx, g, part.address)
			if err != nil {
				return nil, err
			}
			*part.seconds = append(*part.seconds, took...)
		}
	}
	return b, nil
}

// among sends authentic deliveries at a steady pace, beside forged ones to that
// address, if there is one.
func (l *lab) among(ctx context.Context, g *gateway, address string) (took []float64, err error) {
	end := time.Now().Add(burstForged / burstRounds * forgedPace)
	var others sync.WaitGroup
	var otherErr error
	if address != "" {
		others.Go(func() { _, otherErr = pace(ctx, site{address: address}, forged(1<<10), 401, forgedPace, end) })
	}
	took, err = pace(ctx, site{address: g.Guarded}, signed(l.secret, 1<<10), 200, signedPace, end)
	others.Wait()
	return took, errors.Join(err, otherErr)
}

// pace sends one delivery each interval and returns how long each took from the
// time at which it was due: a delivery that waits for the one before it is late.
func pace(ctx context.Context, s site, d delivery, status int, interval time.Duration, end time.Time) ([]float64, error) {
	c, err := newCrew(ctx, load{site: s, delivery: d, status: status}, 1)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var took []float64
	for due := time.Now(); due.Before(end); due = due.Add(interval) {
		time.Sleep(time.Until(due))
		if err := c.once(ctx, c.clients[0]); err != nil {
			return took, err
		}
		took = append(took, time.Since(due).Seconds())
	}
	return took, nil
}
