package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	uploadSize    = 10 << 20
	uploadsMemory = 400 // MiB that 1,000 uploads may take
)

// An uploads holds what many large uploads at once cost the gateway.
type uploads struct {
	name       string
	load       load
	answers    map[int]int // by status
	idle, peak int         // MiB resident
	threads    int
	took       time.Duration
}

// uploadAll sends the uploads three times, each time to a new gateway, so that no peak
// hides behind an earlier one.
func (l *lab) uploadAll(ctx context.Context) (all []*uploads, err error) {
	for _, u := range []*uploads{
		{name: "plain `reverse_proxy`", load: load{delivery: signed(l.secret, uploadSize), status: 200}},
		{name: "signed", load: load{delivery: signed(l.secret, uploadSize), status: 200}},
		{name: "forged", load: load{delivery: forged(uploadSize), status: 401}},
	} {
		progress("uploads: %d, %s", l.options.uploads, u.name)
		g, err := l.start(ctx, l.binary)
		if err != nil {
			return all, err
		}
		u.load.gateway, u.load.site.address = g, g.Patient
		if len(all) == 0 {
			u.load.site.address = g.PatientPlain
		}
		err = u.run(ctx, g, l.options.uploads)
		g.stop()
		if err := errors.Join(err, g.complaints()); err != nil {
			return all, fmt.Errorf("uploads, %s: %w", u.name, err)
		}
		all = append(all, u)
	}
	return all, nil
}

// run sends the uploads. It fails if the gateway breaks its promise.
func (u *uploads) run(ctx context.Context, g *gateway, count int) (err error) {
	idle, idleErr := procNumber(g.pid(), "VmHWM:")
	start := time.Now()
	u.answers, err = flight(ctx, u.load, count)
	u.took = time.Since(start)
	peak, peakErr := procNumber(g.pid(), "VmHWM:")
	threads, threadsErr := procNumber(g.pid(), "Threads:")
	u.idle, u.peak, u.threads = idle>>10, peak>>10, threads
	switch {
	case u.answers[u.load.status] != count:
		err = errors.Join(err, fmt.Errorf("not all of %d uploads are answered %d; by status: %v", count, u.load.status, u.answers))
	case count <= 1000 && u.peak > uploadsMemory:
		err = fmt.Errorf("the gateway took %d MiB, and may take %d", u.peak, uploadsMemory)
	}
	return errors.Join(err, idleErr, peakErr, threadsErr)
}

// flight sends count uploads at once. Each sends half of its body and waits until the
// gateway holds the halves of all.
func flight(ctx context.Context, l load, count int) (map[int]int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	statuses, errs := make([]int, count), make([]error, count)
	halfway, onward := new(sync.WaitGroup), make(chan struct{})
	halfway.Add(count)
	var done sync.WaitGroup
	for i := range count {
		done.Go(func() { statuses[i], errs[i] = upload(ctx, l, halfway, onward) })
	}
	halfway.Wait()
	l.gateway.rest(ctx)
	close(onward)
	done.Wait()
	answers, failed := make(map[int]int), error(nil)
	for i := range count {
		answers[statuses[i]]++
		if failed == nil {
			failed = errs[i] // all may fail with the same
		}
	}
	return answers, failed
}

func upload(ctx context.Context, l load, halfway *sync.WaitGroup, onward <-chan struct{}) (int, error) {
	c := &client{site: l.site}
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
		return 0, err
	}
	return readAnswer(bufio.NewReaderSize(c.conn, 512))
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
