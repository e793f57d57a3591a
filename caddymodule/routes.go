package caddymodule

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// A place is where a handler stands in a configuration.
type place struct {
	// gates are those that every request passes on its way there, the nearest last.
	gates []*Handler
	// partly are those that some requests pass, and others go around.
	partly []*Handler
	// ended says that no request comes here: what is in front answers all of them.
	ended bool
	// routes are those around it, the innermost last.
	routes []caddyhttp.Route
}

// hosts returns what the routes around match of the host; none means any.
func (p place) hosts() []string {
	return innermost(p.routes, func(m any) []string {
		if hosts, ok := m.(*caddyhttp.MatchHost); ok {
			return *hosts
		}
		return nil
	})
}

// paths returns what the routes around match of the path; none means any.
func (p place) paths() []string {
	return innermost(p.routes, func(m any) []string {
		if paths, ok := m.(*caddyhttp.MatchPath); ok {
			return *paths
		}
		return nil
	})
}

// innermost returns what the nearest route says whose matchers say anything.
func innermost(routes []caddyhttp.Route, values func(matcher any) []string) (found []string) {
	for _, route := range slices.Backward(routes) {
		for _, set := range route.MatcherSets {
			for _, matcher := range set {
				found = append(found, values(matcher)...)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// walkServer shows visit each handler of a provisioned server, in the order in which
// requests meet them. It follows subroutes, named routes, error routes and what
// reverse_proxy does with responses.
func walkServer(server *caddyhttp.Server, visit func(caddyhttp.MiddlewareHandler, place)) {
	w := walker{named: server.NamedRoutes, visit: visit}
	w.list(server.Routes, place{})
	if server.Errors != nil {
		w.list(server.Errors.Routes, place{}) // met before any gate as well
	}
}

type walker struct {
	named   map[string]*caddyhttp.Route
	visit   func(caddyhttp.MiddlewareHandler, place)
	invoked []string // named routes that are being walked: one may invoke itself
}

// list walks routes and returns the place behind them. A gate guards the routes
// after its own only if no request goes around it: where its route matches
// everything, or nothing but what the later route matches.
func (w *walker) list(routes caddyhttp.RouteList, at place) place {
	behind := make([]place, 0, len(routes))
	for i, route := range routes {
		inside := at
		for j, front := range routes[:i] {
			inside = inside.after(front, behind[j], route)
		}
		out := w.route(route, inside)
		if goesOn := route.Group == "" && !route.Terminal && !out.ended; goesOn {
			at.partly = union(at.partly, out.partly)
		}
		if len(route.MatcherSets) == 0 && route.Group == "" {
			at.gates, at.ended = out.gates, out.ended
		}
		behind = append(behind, out)
	}
	return at
}

// after is the place in route, seen from one in front of it. Of the routes of one
// group, a request takes one.
func (p place) after(front caddyhttp.Route, behind place, route caddyhttp.Route) place {
	switch {
	case front.Terminal || behind.ended || len(behind.partly) == 0:
	case front.Group != "" && front.Group != route.Group:
		p.partly = union(p.partly, behind.partly)
	case front.Group == "" && len(behind.gates) > 0 && sameMatchers(front, route):
		p.gates = union(p.gates, behind.gates)
	}
	return p
}

func sameMatchers(a, b caddyhttp.Route) bool { return reflect.DeepEqual(a.MatcherSets, b.MatcherSets) }

func union(a, b []*Handler) []*Handler {
	a = slices.Clone(a)
	for _, gate := range b {
		if !slices.Contains(a, gate) {
			a = append(a, gate)
		}
	}
	return a
}

// route walks one route and returns the place behind its last handler.
func (w *walker) route(route caddyhttp.Route, at place) place {
	around := at.routes
	at.routes = append(slices.Clone(around), route)
	for _, handler := range route.Handlers {
		w.visit(handler, at)
		at = w.handler(handler, at)
	}
	at.routes = around
	return at
}

// handler walks what a handler holds and returns the place behind it.
func (w *walker) handler(handler caddyhttp.MiddlewareHandler, at place) place {
	at.ended = at.ended || answers(handler)
	switch h := handler.(type) {
	case *Handler:
		at.gates, at.partly = union(at.gates, []*Handler{h}), union(at.partly, []*Handler{h})
		return at
	case *caddyhttp.Subroute:
		if h.Errors != nil {
			w.list(h.Errors.Routes, at)
		}
		return w.list(h.Routes, at)
	case *reverseproxy.Handler:
		for _, response := range h.HandleResponse {
			w.list(response.Routes, at)
		}
	case *caddyhttp.Invoke:
		route, ok := w.named[h.Name]
		if !ok || slices.Contains(w.invoked, h.Name) {
			return at
		}
		w.invoked = append(w.invoked, h.Name)
		at = w.list(caddyhttp.RouteList{*route}, at)
		w.invoked = w.invoked[:len(w.invoked)-1]
	}
	return at
}

// answers reports whether a handler ends the way of every request.
func answers(handler caddyhttp.MiddlewareHandler) bool {
	if proxy, ok := handler.(*reverseproxy.Handler); ok {
		return len(proxy.HandleResponse) == 0 // forward_auth goes on
	}
	switch caddy.GetModuleID(handler) {
	case "http.handlers.static_response", "http.handlers.error", "http.handlers.file_server":
		return true
	}
	return false
}

// gatesFor returns the gates that a request meets on its way through a provisioned
// server, the first one first. It follows Caddy's routing; handlers that only
// prepare a request run, those that answer it end the way, and no other handler
// is called.
func gatesFor(server *caddyhttp.Server, r *http.Request) []*Handler {
	r.RemoteAddr = "127.0.0.1:1"
	s := seeker{server: server, request: caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, server)}
	s.list(server.Routes)
	return s.gates
}

type seeker struct {
	server  *caddyhttp.Server
	request *http.Request
	gates   []*Handler
	groups  []string // of which a route has matched
	invoked []string // named routes on the way: one may invoke itself
}

// list reports whether the way goes on behind the routes.
func (s *seeker) list(routes caddyhttp.RouteList) bool {
	for _, route := range routes {
		if route.Group != "" && slices.Contains(s.groups, route.Group) {
			continue
		}
		matches, err := route.MatcherSets.AnyMatchWithError(s.request)
		if err != nil {
			return false // Caddy goes on in the error routes
		}
		if !matches {
			continue
		}
		s.groups = append(s.groups, route.Group)
		if !s.route(route) || route.Terminal {
			return false
		}
	}
	return true
}

func (s *seeker) route(route caddyhttp.Route) bool {
	for _, handler := range route.Handlers {
		if !s.handler(handler) {
			return false
		}
	}
	return true
}

func (s *seeker) handler(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *Handler:
		s.gates = append(s.gates, h)
		return true
	case *caddyhttp.Subroute:
		return s.list(h.Routes)
	case *caddyhttp.Invoke:
		return s.invoke(h.Name)
	case *headers.Handler:
		if h.Request != nil {
			h.Request.ApplyToRequest(s.request)
		}
		return true
	}
	switch caddy.GetModuleID(handler) {
	case "http.handlers.rewrite", "http.handlers.vars", "http.handlers.map":
		return s.prepare(handler)
	}
	return !answers(handler)
}

func (s *seeker) invoke(name string) bool {
	route, ok := s.server.NamedRoutes[name]
	if !ok || slices.Contains(s.invoked, name) {
		return false
	}
	s.invoked = append(s.invoked, name)
	defer func() { s.invoked = s.invoked[:len(s.invoked)-1] }()
	return s.list(caddyhttp.RouteList{*route})
}

// prepare runs a handler that changes nothing but the request.
func (s *seeker) prepare(handler caddyhttp.MiddlewareHandler) (passed bool) {
	err := handler.ServeHTTP(nil, s.request, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		s.request, passed = r, true
		return nil
	}))
	return err == nil && passed
}
