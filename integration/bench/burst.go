package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A burst holds how long authentic deliveries took: alone, beside forged ones, and beside
// as many requests that Caddy's own `error 401` answers.
type burst struct{ quiet, forged, refused []float64 } // seconds

// The load of a burst. A machine of two cores can bear it beside the clients, so that the
// figures show what a refusal costs other requests, and not the length of a queue.
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

// among sends authentic deliveries at a steady pace, and forged ones to an address, if
// there is one.
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

// pace sends one delivery each interval and returns how long each took from the time at
// which it was due, so that waiting for the one before counts.
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
