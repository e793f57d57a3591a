package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// profile writes two CPU profiles of the gateway under load: guarded
// and, for `go tool pprof -diff_base`, plain.
func (l *lab) profile(ctx context.Context) error {
	g, err := l.start(ctx, l.binary)
	if err != nil {
		return err
	}
	defer g.stop()
	return errors.Join(
		l.profileSite(ctx, g, site{address: g.Guarded}, l.options.profile),
		l.profileSite(ctx, g, site{address: g.Plain}, l.options.profile+".plain"))
}

func (l *lab) profileSite(ctx context.Context, g *gateway, s site, name string) error {
	body := sizes[1]
	if l.options.sizes != "" {
		body = l.options.chosen()[0]
	}
	c, err := newCrew(ctx, load{g, s, signed(l.secret, body.bytes), 200}, body.connections)
	if err != nil {
		return err
	}
	defer c.close()
	file, err := os.Create(name) //nolint:gosec // the user named it
	if err != nil {
		return err
	}
	seconds := max(10, int(l.options.seconds))
	progress("profile for %d seconds into %s", seconds, name)
	written := make(chan error, 1)
	go func() { written <- g.pprof(ctx, fmt.Sprintf("profile?seconds=%d", seconds), file) }()
	_, _, err = c.work(ctx, time.Duration(seconds)*time.Second+time.Second)
	return errors.Join(err, <-written, file.Close())
}
