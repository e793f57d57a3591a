package caddymodule

import (
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
)

// lint warns of what a configuration allows beside its gates. It looks at the
// routes as they were provisioned, and cannot see an app that is reached under
// another name, from another process, or through an upstream that is chosen by
// the request.
func lint(ctx caddy.Context, logger *zap.Logger) {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return // then there are no gates either
	}
	ways := ways{guarded: make(map[string]string)}
	for name, server := range app.(*caddyhttp.App).Servers {
		before := ways.gates
		walkServer(server, ways.add)
		if server.Logs != nil && ways.gates > before {
			logger.Warn("the access log shows signatures, unless a filter deletes the field; with its body, a signature is a delivery that can be repeated",
				zap.String("server", name))
		}
	}
	for _, open := range ways.open {
		if gate, ok := ways.guarded[open.upstream]; ok {
			logger.Warn("the app behind a gate is also reached without one",
				zap.String("upstream", open.upstream), zap.String("gate", gate),
				zap.Strings("hosts", open.at.hosts()), zap.Strings("paths", open.at.paths()))
		}
	}
}

// ways are the ways to the apps of a configuration.
type ways struct {
	gates   int
	guarded map[string]string // the gate in front, by upstream
	open    []way
}

type way struct {
	upstream string
	at       place
}

func (w *ways) add(handler caddyhttp.MiddlewareHandler, at place) {
	switch h := handler.(type) {
	case *Handler:
		w.gates++
	case *reverseproxy.Handler:
		if asksOnly(h) {
			return
		}
		for _, upstream := range h.Upstreams {
			w.addUpstream(sameHost(upstream.Dial), at)
		}
	}
}

func (w *ways) addUpstream(upstream string, at place) {
	if len(at.gates) == 0 {
		w.open = append(w.open, way{upstream, at})
	}
	for _, gate := range at.partly {
		w.guarded[upstream] = gate.Name
	}
}

// asksOnly reports whether a proxy sends no delivery: forward_auth makes a GET of
// each request, without its body.
func asksOnly(h *reverseproxy.Handler) bool {
	return h.Rewrite != nil && h.Rewrite.Method == http.MethodGet && len(h.HandleResponse) > 0
}

// sameHost writes the names of this machine in one way.
func sameHost(dial string) string {
	host, port, err := net.SplitHostPort(dial)
	if ip := net.ParseIP(host); err == nil && (host == "" || strings.EqualFold(host, "localhost") || ip.IsLoopback()) {
		return "localhost:" + port
	}
	return dial
}
