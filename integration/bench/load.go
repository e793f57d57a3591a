package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A load is deliveries to a site, with the status that they must get.
type load struct {
	gateway  *gateway
	site     site
	delivery delivery
	status   int
}

// A crew is the clients of one load.
type crew struct {
	load
	clients []client
}

func newCrew(ctx context.Context, l load, connections int) (*crew, error) {
	c := &crew{load: l}
	for range connections {
		one, err := connect(ctx, l.site, l.delivery)
		if err != nil {
			c.close()
			return nil, err
		}
		c.clients = append(c.clients, one)
	}
	return c, nil
}

func (c *crew) close() {
	for _, one := range c.clients {
		one.close()
	}
}

// work keeps all clients busy for about d. It returns how many deliveries were answered,
// in all and in a second. Each client completes its last delivery and has a rate over its
// own time, so that large bodies do not make the rate jump in steps.
func (c *crew) work(ctx context.Context, d time.Duration) (count int, rate float64, err error) {
	n := len(c.clients)
	counts, rates, errs := make([]int, n), make([]float64, n), make([]error, n)
	var busy sync.WaitGroup
	for i, one := range c.clients {
		busy.Go(func() {
			start := time.Now()
			counts[i], errs[i] = c.repeat(ctx, one, start.Add(d))
			rates[i] = float64(counts[i]) / time.Since(start).Seconds()
		})
	}
	busy.Wait()
	for i := range n {
		count, rate = count+counts[i], rate+rates[i]
	}
	return count, rate, errors.Join(errs...)
}

func (c *crew) repeat(ctx context.Context, one client, end time.Time) (count int, err error) {
	for time.Now().Before(end) {
		if err := c.once(ctx, one); err != nil {
			return count, err
		}
		count++
	}
	return count, nil
}

func (c *crew) once(ctx context.Context, one client) error {
	status, err := one.send(ctx)
	if err == nil && status != c.status {
		err = fmt.Errorf("the gateway answers %d, and must answer %d", status, c.status)
	}
	return err
}
