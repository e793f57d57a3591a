package caddymodule

import (
	"context"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkRemember is what the history adds to a delivery.
func BenchmarkRemember(b *testing.B) {
	h := &Handler{Name: "a"}
	r, _ := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://example.com/webhook", nil)
	r.Header.Set("User-Agent", "GitHub-Hookshot/044aadd")
	r.Header.Set("Content-Type", "application/json")
	ctx := context.WithValue(r.Context(), caddyhttp.OriginalRequestCtxKey, *r)
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: "127.0.0.1"})
	r = r.WithContext(ctx)
	b.ReportAllocs()
	for b.Loop() {
		a := new(attempt)
		h.rememberDelivery(r, a, class2xx)
	}
}
