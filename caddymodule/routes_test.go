package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// provisionedServer is the one server of a Caddyfile, in which GATE:name is a gate
// of that name.
func provisionedServer(t *testing.T, caddyfile string) *caddyhttp.Server {
	t.Helper()
	t.Setenv("WEBHOOK_SECRET", testSecret)
	t.Setenv("HOME", t.TempDir())
	for part := range strings.FieldsSeq(caddyfile) {
		if name, ok := strings.CutPrefix(part, "GATE:"); ok {
			caddyfile = strings.Replace(caddyfile, part, "{\n secret {env.WEBHOOK_SECRET}\n name "+name+"\n}", 1)
		}
	}
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, caddyfile)
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &parsed); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		return server
	}
	t.Fatal("no server")
	return nil
}

func namesOf(gates []*Handler) string {
	var names []string
	for _, gate := range gates {
		names = append(names, gate.Name)
	}
	return strings.Join(names, " ")
}

// byName knows the gates of a test by their names.
func byName() lint.GateOf {
	known := make(map[caddyhttp.MiddlewareHandler]*lint.Gate)
	return func(handler caddyhttp.MiddlewareHandler) *lint.Gate {
		h, ok := handler.(*Handler)
		if ok && known[h] == nil {
			known[h] = &lint.Gate{Name: h.Name}
		}
		return known[handler]
	}
}

// What an upstream is behind. The address says what is expected.
func TestWalk(t *testing.T) {
	server := provisionedServer(t, `
:8080 {
	handle /one {
		webhook_auth GATE:one
		reverse_proxy one
	}
	handle /bare {
		webhook_auth /bare/hook GATE:bare
		reverse_proxy none
	}
	handle /same {
		webhook_auth /same/hook GATE:same
		reverse_proxy /same/hook same
		reverse_proxy none
	}
	handle /nested {
		webhook_auth GATE:nested
		route {
			reverse_proxy nested
			webhook_auth GATE:behind
		}
	}
	handle {
		route {
			reverse_proxy none
			webhook_auth GATE:late
		}
	}
	handle_errors {
		reverse_proxy none
	}
}`)
	seen := make(map[string]int)
	lint.Walk(server, byName(), func(handler caddyhttp.MiddlewareHandler, at lint.Place) {
		if caddy.GetModuleID(handler) != "http.handlers.reverse_proxy" {
			return
		}
		upstream := string(caddyconfig.JSON(handler, nil))
		_, upstream, _ = strings.Cut(upstream, `"dial":"`)
		upstream, _, _ = strings.Cut(upstream, ":")
		want := strings.Replace(upstream, "none", "", 1)
		var got []string
		for _, gate := range at.Gates() {
			got = append(got, gate.Name)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s at %v is behind the gates %q, want %q", upstream, at.Paths(), got, want)
		}
		seen[upstream]++
	})
	if seen["none"] != 4 || seen["one"] != 1 || len(seen) != 4 {
		t.Errorf("seen: %v", seen)
	}
}

func TestPlace(t *testing.T) {
	server := provisionedServer(t, "http://one.example {\n handle_path /hooks/* {\n webhook_auth GATE:one\n }\n}")
	lint.Walk(server, byName(), func(handler caddyhttp.MiddlewareHandler, at lint.Place) {
		if _, ok := handler.(*Handler); !ok {
			return
		}
		if !slices.Equal(at.Hosts(), []string{"one.example"}) || !slices.Equal(at.Paths(), []string{"/hooks/*"}) {
			t.Errorf("the gate stands at %v %v", at.Hosts(), at.Paths())
		}
	})
}

// A named route that invokes itself ends the walk, as it would end a request.
func TestWalkEnds(t *testing.T) {
	server := provisionedServer(t, "&(loop) {\n invoke loop\n}\n:8080 {\n invoke loop\n}")
	visited := 0
	lint.Walk(server, byName(), func(caddyhttp.MiddlewareHandler, lint.Place) { visited++ })
	if gates := wayOf(server, httptest.NewRequest(http.MethodPost, "/", nil)).gates; len(gates) > 0 || visited == 0 {
		t.Errorf("%d gates, %d handlers", len(gates), visited)
	}
}
