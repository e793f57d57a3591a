package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	uploadSize    = 10 << 20
	uploadsMemory = 400 // MiB that 1,000 uploads may take
)

// An uploads holds what many large uploads at once cost the gateway.
type uploads struct {
	Name       string
	Answers    int // that are as they must be
	Idle, Peak int // MiB resident
	Threads    int
	Took       time.Duration
	to         string // the name of the site
	load       load
}

// Wanted is the status that they must get.
func (u *uploads) Wanted() int { return u.load.status }

// uploadAll sends the uploads three times, each time to a new gateway, so that no peak
// hides behind an earlier one.
func (l *lab) uploadAll(ctx context.Context) (all []*uploads, err error) {
	for _, u := range []*uploads{
		{Name: "plain `reverse_proxy`", to: "patient_plain", load: load{delivery: signed(l.secret, uploadSize), status: 200}},
		{Name: "signed", to: "patient", load: load{delivery: signed(l.secret, uploadSize), status: 200}},
		{Name: "forged", to: "patient", load: load{delivery: forged(uploadSize), status: 401}},
	} {
		progress("uploads: %d, %s", l.options.Uploads, u.Name)
		g, err := l.start(ctx, l.binary)
		if err != nil {
			return all, err
		}
		u.load.gateway, u.load.site.address = g, g.site[u.to]
		err = u.run(ctx, g, l.options.Uploads)
		g.stop()
		if err := errors.Join(err, g.complaints()); err != nil {
			return all, fmt.Errorf("uploads, %s: %w", u.Name, err)
		}
		all = append(all, u)
	}
	return all, nil
}

// run sends the uploads. It fails if the gateway breaks its promise.
func (u *uploads) run(ctx context.Context, g *gateway, count int) (err error) {
	idle, idleErr := procNumber(g.pid(), "VmHWM:")
	start := time.Now()
	u.Answers, err = flight(ctx, u.load, count)
	u.Took = time.Since(start).Round(time.Second)
	peak, peakErr := procNumber(g.pid(), "VmHWM:")
	threads, threadsErr := procNumber(g.pid(), "Threads:")
	u.Idle, u.Peak, u.Threads = idle>>10, peak>>10, threads
	if count <= 1000 && u.Peak > uploadsMemory {
		err = errors.Join(err, fmt.Errorf("the gateway took %d MiB, and may take %d", u.Peak, uploadsMemory))
	}
	return errors.Join(err, idleErr, peakErr, threadsErr)
}

// flight sends count uploads at once. Each sends half of its body and waits until the
// gateway holds the halves of all. It returns how many are answered as they must be.
func flight(ctx context.Context, l load, count int) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, count)
	halfway, onward := new(sync.WaitGroup), make(chan struct{})
	halfway.Add(count)
	var done sync.WaitGroup
	for i := range count {
		done.Go(func() { errs[i] = upload(ctx, l, halfway, onward) })
	}
	halfway.Wait()
	l.gateway.rest(ctx)
	close(onward)
	done.Wait()
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) > 0 {
		return count - len(failed), fmt.Errorf("%d of %d uploads failed, the first with: %w", len(failed), count, failed[0])
	}
	return count, nil
}

func upload(ctx context.Context, l load, halfway *sync.WaitGroup, onward <-chan struct{}) error {
	c := &client{site: l.site} // without a copy of the body
	defer c.close()
	err := c.dial(ctx)
	body := l.delivery.body
	for _, part := range [][]byte{head(l.site, l.delivery), body[:len(body)/2]} {
		if err == nil {
			_, err = c.conn.Write(part)
		}
	}
	halfway.Done()
	<-onward
	if err == nil {
		_, err = c.conn.Write(body[len(body)/2:])
	}
	if err != nil {
		return err
	}
	return l.judge(readAnswer(bufio.NewReaderSize(c.conn, 512)))
}

// rest waits until the gateway has read what is still in the sockets: until it is idle for
// two seconds, for a minute at most.
func (g *gateway) rest(ctx context.Context) {
	for quiet, end := 0, time.Now().Add(time.Minute); quiet < 4 && time.Now().Before(end) && ctx.Err() == nil; quiet++ {
		before := used(g.pid())
		time.Sleep(500 * time.Millisecond)
		if used(g.pid()) > before+20*time.Millisecond {
			quiet = -1
		}
	}
}
