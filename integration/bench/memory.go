package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

const uploadSize = 10 << 20

// An uploads holds what many large uploads at once cost the gateway.
type uploads struct {
	name     string
	count    int
	answers  map[int]int // by status
	expected int
	peak     int64 // bytes resident
	idle     int64 // the same before the uploads
	threads  int
	before   census
	after    census
	took     time.Duration
}

// A census counts what a gateway must release.
type census struct{ goroutines, files int }

// measureMemory sends the uploads three times, each time to a new gateway, so that no
// peak hides behind an earlier one.
func (l *lab) measureMemory(ctx context.Context) (all []*uploads, err error) {
	if !hasProc() {
		progress("memory: skipped, because %v", errNoProc)
		return nil, nil
	}
	for _, u := range []struct {
		name     string
		delivery delivery
		status   int
		door     func(*gateway) string
	}{
		{"plain `reverse_proxy`", signed(l.secret, uploadSize), 200, func(g *gateway) string { return g.PatientPlain }},
		{"signed", signed(l.secret, uploadSize), 200, func(g *gateway) string { return g.Patient }},
		{"forged", forged(uploadSize), 401, func(g *gateway) string { return g.Patient }},
	} {
		progress("memory: %d uploads, %s", l.options.uploads, u.name)
		g, err := l.start(ctx, l.binary)
		if err != nil {
			return all, err
		}
		result := &uploads{name: u.name, count: l.options.uploads, expected: u.status}
		err = result.run(ctx, g, load{g, site{address: u.door(g)}, u.delivery, u.status})
		g.stop()
		if err := errors.Join(err, g.complaints()); err != nil {
			return all, fmt.Errorf("memory: %s: %w", u.name, err)
		}
		all = append(all, result)
	}
	return all, nil
}

func (u *uploads) run(ctx context.Context, g *gateway, l load) (err error) {
	if err := enoughFiles(g, u.count); err != nil {
		return err
	}
	if u.before, err = g.settled(ctx); err != nil {
		return err
	}
	if u.idle, err = peakMemory(g.pid()); err != nil {
		return err
	}
	start := time.Now()
	u.answers, err = flight(ctx, l, u.count)
	u.took = time.Since(start)
	if err != nil {
		return fmt.Errorf("answers by status: %v: %w", u.answers, err)
	}
	if u.peak, err = peakMemory(g.pid()); err != nil {
		return err
	}
	if u.threads, err = threads(g.pid()); err != nil {
		return err
	}
	u.after, err = g.recovered(ctx, u.before)
	return errors.Join(err, u.complaint())
}

// complaint returns an error if the gateway broke its promise.
func (u *uploads) complaint() error {
	switch {
	case u.answers[u.expected] != u.count:
		return fmt.Errorf("not all of %d uploads are answered %d; by status: %v", u.count, u.expected, u.answers)
	case u.after.goroutines > u.before.goroutines || u.after.files > u.before.files:
		return fmt.Errorf("before the uploads there were %+v, after them %+v", u.before, u.after)
	}
	return nil
}

// enoughFiles checks the hard limit of open files. Go raises the soft one to it, in the
// gateway and here.
func enoughFiles(g *gateway, count int) error {
	limit, err := fileLimit(g.pid())
	if err != nil {
		return err
	}
	// Each upload takes its connection, its file and the connection to the app.
	if need := 3*count + 100; limit < need {
		return fmt.Errorf("the gateway may open %d files and needs %d: raise ulimit -Hn, or ask for fewer -uploads", limit, need)
	}
	return nil
}

func (g *gateway) count(ctx context.Context) (c census, err error) {
	if c.goroutines, err = g.goroutines(ctx); err != nil {
		return c, err
	}
	c.files, err = openFiles(g.pid())
	return c, err
}

// settled waits until the gateway has finished starting.
func (g *gateway) settled(ctx context.Context) (census, error) {
	before, err := g.count(ctx)
	for range 50 {
		time.Sleep(200 * time.Millisecond)
		now, countErr := g.count(ctx)
		if now == before || err != nil || countErr != nil {
			return now, errors.Join(err, countErr)
		}
		before = now
	}
	return before, nil
}

// recovered waits until the gateway has released everything.
func (g *gateway) recovered(ctx context.Context, before census) (c census, err error) {
	for range 50 {
		c, err = g.count(ctx)
		if err != nil || c.goroutines <= before.goroutines && c.files <= before.files {
			return c, err
		}
		time.Sleep(200 * time.Millisecond)
	}
	return c, nil
}

// flight sends count uploads at once, all with the same bytes. Each sends half of its body
// and waits until the gateway holds the halves of all.
func flight(ctx context.Context, l load, count int) (map[int]int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, errs := make([]int, count), make([]error, count)
	halfway, onward := new(sync.WaitGroup), make(chan struct{})
	halfway.Add(count)
	var done sync.WaitGroup
	for i := range count {
		done.Go(func() { answers[i], errs[i] = upload(ctx, l, halfway, onward) })
	}
	halfway.Wait()
	l.gateway.rest(ctx)
	close(onward)
	done.Wait()
	byStatus := make(map[int]int)
	for _, status := range answers {
		byStatus[status]++
	}
	return byStatus, first(errs)
}

// first returns only the first error, because all uploads may fail with the same.
func first(errs []error) error {
	failed := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d uploads failed, the first one with: %w", len(failed), failed[0])
}

func upload(ctx context.Context, l load, halfway *sync.WaitGroup, onward <-chan struct{}) (int, error) {
	conn, err := sendHalf(ctx, l)
	halfway.Done()
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	<-onward
	body := l.delivery.body
	if _, err := conn.Write(body[len(body)/2:]); err != nil {
		return 0, err
	}
	return readAnswer(bufio.NewReaderSize(conn, 512))
}

func sendHalf(ctx context.Context, l load) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.site.address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if _, err := conn.Write(head(l.site, l.delivery)); err != nil {
		return nil, err
	}
	_, err = conn.Write(l.delivery.body[:len(l.delivery.body)/2])
	return conn, err
}

// rest waits until the gateway has read what is still in the sockets: until it is idle for
// two seconds, for a minute at most.
func (g *gateway) rest(ctx context.Context) {
	quiet := 0
	for end := time.Now().Add(time.Minute); quiet < 4 && time.Now().Before(end) && ctx.Err() == nil; {
		before := used(g.pid())
		time.Sleep(500 * time.Millisecond)
		quiet++
		if used(g.pid()) > before+20*time.Millisecond {
			quiet = 0
		}
	}
}
