package caddymodule

import (
	"context"
	"errors"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A connection waits until the configuration is judged, and is closed if that ends first.
func TestMayServe(t *testing.T) {
	for _, refused := range []bool{true, false} {
		ctx, cancel := context.WithCancelCause(t.Context())
		app := &App{ctx: caddy.Context{Context: ctx}, held: make(map[*caddyhttp.Server]bool), judged: make(chan struct{})}
		app.hold(new(caddyhttp.Server))
		answer := make(chan bool, 1)
		go func() { answer <- app.mayServe() }()
		if len(answer) > 0 {
			t.Fatal("it does not wait")
		}
		if refused {
			cancel(errors.New("refused"))
		} else {
			close(app.judged)
		}
		if got := <-answer; got == refused {
			t.Errorf("refused: %v, and serves: %v", refused, got)
		}
		cancel(errors.New("replaced")) // after which a judged one goes on
		if got := app.mayServe(); got == refused {
			t.Errorf("refused: %v, and later serves: %v", refused, got)
		}
	}
}
