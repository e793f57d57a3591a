package caddymodule

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

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
	file, folder := filepath.Join(b.TempDir(), "secret"), b.TempDir()
	for _, path := range []string{file, filepath.Join(folder, "acme")} {
		if err := os.WriteFile(path, []byte(testSecret), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	followed, _ := provisioned(b, &Handler{Secrets: []Secret{{Value: "{file." + file + "}"}}})
	go followed.follow(b.Context(), time.Second)
	tenants, _ := provisioned(b, &Handler{Secrets: []Secret{}, Tenants: &Tenants{Folder: folder, Name: "{http.request.uri.path.1}"}})
	for _, gate := range []*Handler{h, followed, tenants} {
		gate.logger, gate.dropped = sampled(zap.NewNop())
	}
	through := func(h *Handler) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error { return h.ServeHTTP(w, r, drain) }
	}
	for _, bm := range []struct {
		name  string
		field string
		serve func(http.ResponseWriter, *http.Request) error
	}{
		{"plain", sign(string(content)), drain.ServeHTTP},
		{"accepted", sign(string(content)), through(h)},
		{"followed", sign(string(content)), through(followed)},
		{"tenant", sign(string(content)), through(tenants)},
		{"forged", sign("x"), through(h)},
		{"unsigned", "", through(h)},
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
				r.RequestURI, r.URL.Path = "/hooks/acme", "/hooks/acme"
				w.deadlines = w.deadlines[:0]
				_ = bm.serve(w, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil))
			}
		})
	}
}
