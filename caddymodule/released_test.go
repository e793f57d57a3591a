package caddymodule_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	_ "github.com/webhookauth/caddy-webhook-auth" // with the Redis store, as it is released
)

// What a released version took, every later one takes.
func TestReleasedCaddyfiles(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "released", "*.caddyfile"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": file}); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
