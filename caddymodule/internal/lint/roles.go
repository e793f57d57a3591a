package lint

import (
	"iter"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// A role is what a handler does with the requests that it meets.
type role int

const (
	mayProxy    role = iota // a module that nobody here knows may answer, and may reach an app
	proxies                 // answers every request, from an app
	asks                    // forward_auth: answers some, after a GET to another app
	answers                 // answers every request itself
	mayAnswer               // answers some requests itself
	rewrites                // hands every request on, with another path, method or host
	marks                   // hands every request on, with other fields or variables
	handsOn                 // hands every request on
	holdsRoutes             // its routes decide
)

// standardRoles are those of all http.handlers.* of Caddy 2.11.9, except what roleOf
// must look into. A module that is missing here may do anything.
var standardRoles = map[string]role{
	"http.handlers.acme_server":           mayAnswer,
	"http.handlers.authentication":        handsOn, // or fails
	"http.handlers.copy_response":         answers,
	"http.handlers.copy_response_headers": handsOn,
	"http.handlers.encode":                handsOn,
	"http.handlers.error":                 answers,
	"http.handlers.intercept":             handsOn, // its routes run after the answer
	"http.handlers.invoke":                holdsRoutes,
	"http.handlers.log_append":            handsOn,
	"http.handlers.map":                   marks,
	"http.handlers.metrics":               answers,
	"http.handlers.push":                  handsOn,
	"http.handlers.request_body":          handsOn,
	"http.handlers.rewrite":               rewrites,
	"http.handlers.static_response":       answers,
	"http.handlers.subroute":              holdsRoutes,
	"http.handlers.templates":             handsOn,
	"http.handlers.timeouts":              handsOn,
	"http.handlers.tracing":               handsOn,
	"http.handlers.vars":                  marks,
	"http.handlers.webhook_auth":          handsOn, // what it lets through
}

func roleOf(handler caddyhttp.MiddlewareHandler) role {
	switch h := handler.(type) {
	case *headers.Handler:
		if changesHost(h) {
			return rewrites
		}
		return marks
	case *reverseproxy.Handler:
		if asksOnly(h) {
			return asks
		}
		return proxies
	case *fileserver.FileServer:
		if h.PassThru {
			return mayAnswer
		}
		return answers
	case *caddyhttp.StaticResponse:
		if staticStatus(h) == http.StatusEarlyHints { // which is no answer yet
			return handsOn
		}
	}
	return standardRoles[caddy.GetModuleID(handler)]
}

// Ends reports whether a handler answers every request. A reverse_proxy with
// handle_response may go on in the routes behind it.
func Ends(handler caddyhttp.MiddlewareHandler) bool {
	proxy, ok := handler.(*reverseproxy.Handler)
	return ok && len(proxy.HandleResponse) == 0 || !ok && roleOf(handler) == answers
}

// reachesApp reports whether a handler can send a request to an app.
func reachesApp(handler caddyhttp.MiddlewareHandler) bool {
	switch roleOf(handler) {
	case proxies, asks, mayProxy:
		return true
	}
	return false
}

// asksOnly reports whether a proxy sends no delivery: forward_auth makes a GET of
// each request, without its body, and what it does with a good response answers nothing.
func asksOnly(h *reverseproxy.Handler) bool {
	for _, response := range h.HandleResponse {
		for handler := range handlersIn(response.Routes, nil, nil) {
			if roleOf(handler) != marks {
				return false
			}
		}
	}
	return h.Rewrite != nil && h.Rewrite.Method == http.MethodGet && len(h.HandleResponse) > 0
}

// changesHost reports whether a handler may give a request another Host, which for Caddy
// is a field like any other.
func changesHost(h *headers.Handler) bool {
	if h.Request == nil {
		return false
	}
	isHost := func(field string) bool { return strings.EqualFold(field, "Host") || strings.ContainsAny(field, "*{") }
	fields := slices.Clone(h.Request.Delete)
	for _, named := range []iter.Seq[string]{maps.Keys(h.Request.Add), maps.Keys(h.Request.Set), maps.Keys(h.Request.Replace)} {
		fields = slices.AppendSeq(fields, named)
	}
	return slices.ContainsFunc(fields, isHost)
}

// rehosts reports whether a handler may change the host of a request. rewrite cannot.
func rehosts(handler caddyhttp.MiddlewareHandler) bool {
	_, isRewrite := handler.(*rewrite.Rewrite)
	return !isRewrite && changes(handler)
}

// changes reports whether a handler may change the path, method or host of a request.
func changes(handler caddyhttp.MiddlewareHandler) bool {
	role := roleOf(handler)
	return role == rewrites || role == mayProxy
}

// mayFail reports whether a handler may return an error of its own. respond does not.
func mayFail(handler caddyhttp.MiddlewareHandler) bool {
	if _, responds := handler.(*caddyhttp.StaticResponse); responds {
		return false
	}
	role := roleOf(handler)
	return role != rewrites && role != marks && role != holdsRoutes
}

// staticStatus returns the status that respond or error is configured to answer with,
// or 0.
func staticStatus(handler caddyhttp.MiddlewareHandler) int {
	var code caddyhttp.WeakString
	switch h := handler.(type) {
	case *caddyhttp.StaticResponse:
		code = h.StatusCode
	case *caddyhttp.StaticError:
		code = h.StatusCode
	}
	status, err := strconv.Atoi(code.String())
	if err != nil {
		return 0
	}
	return status
}

// Word is the word for a handler in a Caddyfile, or nearly so.
func Word(handler caddyhttp.MiddlewareHandler) string {
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		if len(h.Upstreams) > 0 {
			return "reverse_proxy " + h.Upstreams[0].Dial
		}
	case *caddyhttp.StaticResponse:
		if h.Abort {
			return "abort"
		}
		if h.StatusCode != "" {
			return "respond " + h.StatusCode.String()
		}
		return "respond"
	}
	return strings.TrimPrefix(caddy.GetModuleID(handler), "http.handlers.")
}

// A skip leaves out a route. changed says that the request may not be the same any more
// that came to the first one.
type skip func(route caddyhttp.Route, changed bool) bool

// handlersIn yields the handlers of routes and of what they hold, except in routes that
// skip leaves out.
func handlersIn(routes caddyhttp.RouteList, named map[string]*caddyhttp.Route, skip skip) iter.Seq[caddyhttp.MiddlewareHandler] {
	return func(yield func(caddyhttp.MiddlewareHandler) bool) {
		l := lister{named: named, skip: skip, yield: yield}
		l.list(routes)
	}
}

type lister struct {
	named   map[string]*caddyhttp.Route
	skip    skip
	yield   func(caddyhttp.MiddlewareHandler) bool
	invoked []string // named routes that are listed already
	changed bool     // the request may have been changed
}

// list reports whether more is wanted.
func (l *lister) list(routes caddyhttp.RouteList) bool {
	for _, route := range routes {
		if l.skip != nil && l.skip(route, l.changed) {
			continue
		}
		before := l.changed
		for _, handler := range route.Handlers {
			if !l.yield(handler) || !l.inside(handler) {
				return false
			}
			l.changed = l.changed || changes(handler)
		}
		if route.Terminal { // what it has changed goes nowhere else
			l.changed = before
		}
	}
	return true
}

func (l *lister) inside(handler caddyhttp.MiddlewareHandler) bool {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return l.list(h.Routes) && (h.Errors == nil || l.list(h.Errors.Routes))
	case *caddyhttp.Invoke:
		route, ok := l.named[h.Name]
		if !ok || slices.Contains(l.invoked, h.Name) {
			return true
		}
		l.invoked = append(l.invoked, h.Name)
		return l.list(caddyhttp.RouteList{*route})
	case *intercept.Intercept:
		return l.responses(h.HandleResponse)
	case *reverseproxy.Handler:
		return l.responses(h.HandleResponse)
	}
	return true
}

func (l *lister) responses(responses []caddyhttp.ResponseHandler) bool {
	for _, response := range responses {
		if !l.list(response.Routes) {
			return false
		}
	}
	return true
}

// seesRefusals reports whether an error route may match a refusal. It evaluates
// expressions of the status alone, as handle_errors 404 makes them.
func seesRefusals(route caddyhttp.Route, server *caddyhttp.Server) bool {
	if len(route.MatcherSets) == 0 {
		return true
	}
	return slices.ContainsFunc(route.MatcherSets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(gateStatuses, func(status int) bool { return mayMatch(set, server, status) })
	})
}

var ofStatusAlone = regexp.MustCompile(`^(\{http\.error\.status_code\}|in|[][0-9 ,<>=!&|()])*$`)

func mayMatch(set caddyhttp.MatcherSet, server *caddyhttp.Server, status int) bool {
	for _, matcher := range set {
		expression, ok := matcher.(*caddyhttp.MatchExpression)
		if !ok || !ofStatusAlone.MatchString(expression.Expr) {
			continue
		}
		r := &http.Request{URL: new(url.URL), Header: make(http.Header)}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, server)
		r = server.Errors.WithError(r, caddyhttp.Error(status, nil))
		if matches, err := expression.MatchWithError(r); err == nil && !matches {
			return false
		}
	}
	return true
}
