package caddymodule

import (
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
)

// analyse looks at the routes as they were provisioned. It cannot see an app that is
// reached under another name, from another process, or through an upstream that is
// chosen by the request. logging is that of the configuration, if it is known.
func analyse(app *App, logging *caddy.Logging) []finding {
	configured, err := app.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // then there are no gates either
	}
	servers := configured.(*caddyhttp.App).Servers
	a := analysis{logging: logging, guarded: make(map[string]*Handler)}
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		a.server(servers[name])
	}
	a.waysAround(app.Unguarded)
	a.replayGuards()
	return a.findings
}

// An analysis gathers what is known of the apps and gates of a configuration.
type analysis struct {
	logging  *caddy.Logging // nil: not known
	findings []finding
	passages []*passage
	guarded  map[string]*Handler // the gate in front, by upstream
	open     []openWay
}

// An openWay is a way to an app that passes no gate.
type openWay struct {
	upstream string // as it is written
	at       place
}

func (a *analysis) find(k kind, gate *Handler, at place, change ...func(*finding)) {
	f := newFinding(k, gate, at)
	for _, set := range change {
		set(&f)
	}
	if !slices.ContainsFunc(a.findings, func(g finding) bool { return reflect.DeepEqual(f, g) }) {
		a.findings = append(a.findings, f)
	}
}

// by names the handler that a finding is about.
func by(handler string) func(*finding) { return func(f *finding) { f.By = handler } }

func (a *analysis) server(server *caddyhttp.Server) {
	passages := walkServer(server, a.add)
	a.passages = append(a.passages, passages...)
	var seen []*Handler
	for _, p := range passages {
		a.passage(p, server.NamedRoutes)
		if !slices.Contains(seen, p.Handler) {
			seen = append(seen, p.Handler)
			a.gate(p)
		}
	}
	if fields := loggedFields(server, passages, a.logging); len(fields) > 0 {
		a.find(signaturesLogged, nil, place{server: server}, func(f *finding) {
			f.Cure = "log { format filter { request>headers>" + strings.Join(fields, " delete; request>headers>") + " delete } }"
		})
	}
}

// add notes which apps a proxy reaches, and past which gates.
func (a *analysis) add(handler caddyhttp.MiddlewareHandler, at place) {
	h, ok := handler.(*reverseproxy.Handler)
	if !ok || at.ended.by != "" && !at.ended.static || asksOnly(h) {
		return
	}
	if at.ended.static {
		a.shadowed(at.gates, at)
		return
	}
	a.shadowed(at.sunk, at)
	for _, upstream := range h.Upstreams {
		if len(at.gates) == 0 {
			a.open = append(a.open, openWay{upstream.Dial, at})
		}
		for _, gate := range union(at.gates, at.partly) {
			a.guarded[sameHost(upstream.Dial)] = gate.Handler
		}
	}
}

// shadowed reports gates whose deliveries are answered before they reach a proxy.
func (a *analysis) shadowed(gates []*passage, at place) {
	for _, gate := range gates {
		if gate.at.ended.by == "" {
			a.find(answeredBefore, gate.Handler, gate.at, by(at.ended.by))
		}
	}
}

// passage judges a gate at one place.
func (a *analysis) passage(p *passage, named map[string]*caddyhttp.Route) {
	if p.at.ended.by != "" {
		a.find(neverMet, p.Handler, p.at, by(p.at.ended.by))
		return
	}
	a.behind(p)
	a.repeated(p)
	for _, front := range p.at.fronts {
		if !disjoint(front.scopes, p.at.scopes) {
			a.front(p, front, named)
		}
	}
	a.errorRoutes(p, named)
}

// behind judges what answers what a gate lets through.
func (a *analysis) behind(p *passage) {
	isError := func(m met) bool {
		return roleOf(m.handler) == answers && staticStatus(m.handler) >= http.StatusBadRequest
	}
	switch {
	case len(p.behind) == 0:
		a.find(nothingBehind, p.Handler, p.at)
	case !slices.ContainsFunc(p.behind, func(m met) bool { return !isError(m) }):
		a.find(onlyErrorsBehind, p.Handler, p.at, by(wordFor(p.behind[0].handler)))
	}
}

// repeated reports a replay guard that a request meets a second time.
func (a *analysis) repeated(p *passage) {
	same := func(q *passage) bool { return q.Handler == p.Handler }
	switch {
	case p.Replay == nil || p.UnsafeObserveOnly: // then it only reports
	case slices.ContainsFunc(p.at.gates, same):
		a.find(metTwice, p.Handler, p.at)
	case slices.ContainsFunc(p.at.partly, same):
		a.find(metTwice, p.Handler, p.at, func(f *finding) { f.Severity = asWarning })
	}
}

// gateStatuses are the statuses that a gate may answer with, 200 among them: for a
// repetition, and for a check.
var gateStatuses = []int{200, 400, 401, 405, 408, 409, 413, 425, 500, 501, 502, 503}

// front judges an intercept that gets what the gate answers, with the request.
func (a *analysis) front(p *passage, f front, named map[string]*caddyhttp.Route) {
	for _, response := range f.HandleResponse {
		if !covers(response.Match, gateStatuses...) {
			continue
		}
		hides := isSuccess(response.StatusCode)
		for handler := range handlersIn(response.Routes, named, nil) {
			if reachesApp(handler) {
				a.find(interceptReaches, p.Handler, p.at, by(wordFor(handler)))
				return
			}
			hides = hides || roleOf(handler) == answers && staticStatus(handler)/100 == 2
		}
		if hides && covers(response.Match, gateStatuses[1:]...) {
			a.find(interceptHides, p.Handler, p.at, by("intercept"))
			return
		}
	}
}

// covers reports whether a matcher may match one of the statuses.
func covers(match *caddyhttp.ResponseMatcher, statuses ...int) bool {
	if match == nil || len(match.StatusCode) == 0 {
		return true
	}
	return slices.ContainsFunc(statuses, func(status int) bool {
		return slices.ContainsFunc(match.StatusCode, func(want int) bool { return caddyhttp.StatusCodeMatches(status, want) })
	})
}

func isSuccess(status caddyhttp.WeakString) bool {
	return len(status) == 3 && strings.HasPrefix(status.String(), "2")
}

// errorRoutes judges the error routes that get what is returned at a gate.
func (a *analysis) errorRoutes(p *passage, named map[string]*caddyhttp.Route) {
	var holds []caddyhttp.MiddlewareHandler
	for _, routes := range p.at.errors {
		skip := func(route caddyhttp.Route) bool {
			elsewhere := routes.server && disjoint([]scope{{sets: route.MatcherSets}}, p.at.scopes)
			return elsewhere || !seesRefusals(route, p.at.server)
		}
		holds = slices.AppendSeq(holds, handlersIn(routes.Routes, named, skip))
	}
	for _, m := range p.failed {
		holds = append(holds, m.handler)
	}
	switch {
	case len(holds) == 0:
	case p.OnRefusal == "handle_errors":
		a.refusalRoutes(p, holds)
	case p.OnRefusal == "": // who writes on_refusal answer knows
		a.find(errorsUnused, p.Handler, p.at)
	}
}

// answersAll reports whether routes answer every request that comes to them.
func answersAll(routes caddyhttp.RouteList) bool {
	return slices.ContainsFunc(routes, func(route caddyhttp.Route) bool {
		return len(route.MatcherSets) == 0 && slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
			return roleOf(handler) == answers
		})
	})
}

// refusalRoutes judges what on_refusal handle_errors hands refused requests to. The
// request is locked so that Caddy's HTTP transport cannot send it; FastCGI, and what
// nobody here knows, would.
func (a *analysis) refusalRoutes(p *passage, holds []caddyhttp.MiddlewareHandler) {
	unlocked := slices.ContainsFunc(holds, func(handler caddyhttp.MiddlewareHandler) bool {
		h, ok := handler.(*headers.Handler)
		return ok && deletesByPattern(h)
	})
	worst := kind("")
	var which caddyhttp.MiddlewareHandler
	for _, handler := range holds {
		found := kind("")
		proxy, isProxy := handler.(*reverseproxy.Handler)
		switch {
		case isProxy && lockHolds(proxy) && !unlocked:
			found = errorsProxy
		case reachesApp(handler):
			found = errorsReach
		case staticStatus(handler)/100 == 2 && p.Preset != "websub": // whose specification wants 2xx
			found = errorsHide
		}
		if rank(found) > rank(worst) {
			worst, which = found, handler
		}
	}
	if worst != "" {
		a.find(worst, p.Handler, p.at, by(wordFor(which)))
	}
}

func rank(k kind) int { return slices.Index([]kind{"", errorsHide, errorsProxy, errorsReach}, k) }

// lockHolds reports whether a proxy fails at once with a locked request: it has Caddy's
// HTTP transport, leaves the field that locks the request where it is, and does not try
// again, which would hold a GET for as long as it tries.
func lockHolds(h *reverseproxy.Handler) bool {
	_, isHTTP := h.Transport.(*reverseproxy.HTTPTransport)
	retries := h.LoadBalancing != nil && (h.LoadBalancing.Retries > 0 || h.LoadBalancing.TryDuration > 0)
	return isHTTP && !retries && !deletesByPattern(h.Headers)
}

// deletesByPattern reports whether a handler deletes request fields that it does not
// name, as header_up -* does.
func deletesByPattern(h *headers.Handler) bool {
	return h != nil && h.Request != nil &&
		slices.ContainsFunc(h.Request.Delete, func(field string) bool { return strings.Contains(field, "*") })
}

// gate judges the options of a gate.
func (a *analysis) gate(p *passage) {
	if p.UnsafeObserveOnly {
		a.find(observesOnly, p.Handler, p.at)
	}
	for _, name := range p.verifier.ShortKeys(minSecret) {
		a.find(keyShort, p.Handler, p.at, func(f *finding) { f.Secret = name })
	}
	for i, secret := range p.Secrets {
		named := func(f *finding) { f.Secret = p.labels[i] }
		if !secretref.Is(secret.Value) {
			a.find(secretLiteral, p.Handler, p.at, named)
		}
		if isWorldReadable(secret.Value) {
			a.find(secretFileReadable, p.Handler, p.at, named)
		}
	}
}

// waysAround reports the ways to guarded apps that pass no gate, except to those that
// the configuration says are meant.
func (a *analysis) waysAround(meant []string) {
	used := make(map[string]bool)
	for _, way := range a.open {
		upstream := sameHost(way.upstream)
		gate, ok := a.guarded[upstream]
		switch {
		case !ok:
		case slices.ContainsFunc(meant, func(m string) bool { return sameHost(m) == upstream }):
			used[upstream] = true
		default:
			a.find(wayAround, gate, way.at, func(f *finding) { f.Upstream = upstream })
		}
	}
	for _, upstream := range meant {
		if !used[sameHost(upstream)] {
			a.find(unguardedUnused, nil, place{}, func(f *finding) { f.Upstream = upstream })
		}
	}
}

// replayGuards reports gates that remember deliveries, and lead to several apps.
func (a *analysis) replayGuards() {
	apps := make(map[*Handler][]string)
	for _, p := range a.passages {
		if p.Replay == nil {
			continue
		}
		known := len(apps[p.Handler])
		for _, m := range p.behind {
			apps[p.Handler] = union(apps[p.Handler], appOf(m.handler))
		}
		if len(apps[p.Handler]) > 1 && known < 2 {
			a.find(replayTwoApps, p.Handler, p.at)
		}
	}
}

// appOf names the upstreams of a proxy, in one text: they are one app.
func appOf(handler caddyhttp.MiddlewareHandler) []string {
	h, ok := handler.(*reverseproxy.Handler)
	if !ok || len(h.Upstreams) == 0 {
		return nil
	}
	var dials []string
	for _, upstream := range h.Upstreams {
		dials = append(dials, sameHost(upstream.Dial))
	}
	slices.Sort(dials)
	return []string{strings.Join(dials, " ")}
}

// sameHost writes the names of this machine in one way.
func sameHost(dial string) string {
	host, port, err := net.SplitHostPort(dial)
	if ip := net.ParseIP(host); err == nil && (host == "" || strings.EqualFold(host, "localhost") || ip.IsLoopback()) {
		return "localhost:" + port
	}
	return dial
}
