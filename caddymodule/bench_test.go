package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// reader is a body that can be started anew.
type reader struct{ bytes.Reader }

func (*reader) Close() error { return nil }

// BenchmarkServeHTTP is what the gate itself costs of a 1 KiB delivery, next to
// nothing but Caddy's own preparation of a request, and of one that it refuses.
func BenchmarkServeHTTP(b *testing.B) {
	content := bytes.Repeat([]byte("x"), 1<<10)
	drain := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusOK) // without an answer it would be refused
		return err
	})
	h, _ := provisioned(b, &Handler{})
	h.logger, h.dropped = sampled(zap.NewNop())
	for _, bm := range []struct {
		name  string
		field string
		serve func(http.ResponseWriter, *http.Request) error
	}{
		{"plain", sign(string(content)), drain.ServeHTTP},
		{"accepted", sign(string(content)), func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, drain) }},
		{"forged", sign("x"), func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, drain) }},
		{"unsigned", "", func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, drain) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			w := newRecorder()
			for b.Loop() {
				r := signed("")
				r.ContentLength, r.Header["X-Hub-Signature"][0] = int64(len(content)), bm.field
				body := new(reader)
				body.Reset(content)
				r.Body = body
				w.deadlines = w.deadlines[:0]
				_ = bm.serve(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil))
			}
		})
	}
}
