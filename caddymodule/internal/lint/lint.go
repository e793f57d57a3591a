// Package lint finds what in a configuration breaks the promise of its gates, or may: a
// gate with nothing behind it, a way around one, a log that shows signatures. It knows
// Caddy's routes, and of a gate only a few plain values.
package lint

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
)

// A Gate is what has to be known of a gate.
type Gate struct {
	Name, Preset string
	OnRefusal    string // as it is written
	Guarded      bool   // by a replay guard
	ObservesOnly bool
	Fields       []string  // that may carry a signature, or a token
	Tokens       bool      // it compares tokens, and verifies no signature
	Check        string    // the challenge that answers the sender's check, if it is missing
	Findings     []Finding // of the gate about its own options
}

// GateOf returns the gate that a handler is, the same one each time, or nil.
type GateOf func(caddyhttp.MiddlewareHandler) *Gate

// A Config is a configuration that was provisioned.
type Config struct {
	Servers   map[string]*caddyhttp.Server
	GateOf    GateOf
	Unguarded []string       // upstreams that are meant to be reached without a gate
	Logging   *caddy.Logging // nil: not known
}

// Analyse looks at the routes of a configuration. It cannot see an app that is reached
// under another name, from another process, or through an upstream that the request
// chooses.
func Analyse(c Config) []Finding {
	a := analysis{logging: c.Logging, gateOf: c.GateOf, guarded: make(map[string]*Gate)}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		a.server(c.Servers[name])
	}
	a.waysAround(c.Unguarded)
	a.replayGuards()
	a.challenges()
	return a.findings
}

// An analysis gathers what is known of the apps and gates of a configuration.
type analysis struct {
	logging  *caddy.Logging // nil: not known
	gateOf   GateOf
	findings []Finding
	passages []*Passage
	guarded  map[string]*Gate // the gate in front, by upstream
	open     []openWay
	loggers  []string // of the server, that its routes choose
}

// An openWay is a way to an app that passes no gate.
type openWay struct {
	upstream string // as it is written
	at       Place
}

func (a *analysis) find(k Kind, gate *Gate, at Place, change ...func(*Finding)) {
	a.add(About(k, change...).at(gate, at))
}

// add adds a finding that is not yet there.
func (a *analysis) add(f Finding) {
	if !slices.ContainsFunc(a.findings, func(g Finding) bool { return reflect.DeepEqual(f, g) }) {
		a.findings = append(a.findings, f)
	}
}

// by names the handler that a finding is about.
func by(handler string) func(*Finding) { return func(f *Finding) { f.By = handler } }

func (a *analysis) server(server *caddyhttp.Server) {
	a.loggers = nil
	passages := Walk(server, a.gateOf, a.proxy)
	a.passages = append(a.passages, passages...)
	var seen []*Gate
	for _, p := range passages {
		a.passage(p, server.NamedRoutes)
		if !slices.Contains(seen, p.Gate) {
			seen = append(seen, p.Gate)
			a.options(p)
		}
	}
	if fields := loggedFields(server, passages, a.logging); len(fields) > 0 {
		a.find(signaturesLogged, nil, Place{server: server}, func(f *Finding) {
			f.Cure = "log { format filter { request>headers>" + strings.Join(fields, " delete; request>headers>") + " delete } }"
		})
	}
	a.tokens(server, passages)
}

// tokens reports logs that show a token. What a log shows is known only from a configuration
// that does not run yet: then it is an error, because one line is a key for ever.
func (a *analysis) tokens(server *caddyhttp.Server, passages []*Passage) {
	found := tokensLogged(server, passages, a.logging, a.loggers)
	if len(found.fields) == 0 {
		return
	}
	a.find(tokensInLog, nil, Place{server: server}, func(f *Finding) {
		if a.logging != nil {
			f.Severity, f.By = Error, strings.TrimSuffix("the log "+strings.Join(found.logs, " and the log "), " ")
		}
		f.Block = filterBlock(found.fields)
	})
}

// proxy notes which apps a proxy reaches, and past which gates.
func (a *analysis) proxy(handler caddyhttp.MiddlewareHandler, at Place) {
	a.loggers = union(a.loggers, namedLoggers(handler))
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
			a.guarded[sameHost(upstream.Dial)] = gate.Gate
		}
	}
}

// shadowed reports gates whose deliveries are answered before they reach a proxy.
func (a *analysis) shadowed(gates []*Passage, at Place) {
	for _, gate := range gates {
		if gate.At.ended.by == "" {
			a.find(answeredBefore, gate.Gate, gate.At, by(at.ended.by))
		}
	}
}

// passage judges a gate at one place.
func (a *analysis) passage(p *Passage, named map[string]*caddyhttp.Route) {
	if p.At.ended.by != "" {
		a.find(neverMet, p.Gate, p.At, by(p.At.ended.by))
		return
	}
	a.behind(p)
	a.repeated(p)
	for _, front := range p.At.fronts {
		if !disjoint(front.scopes, p.At.scopes) {
			a.front(p, front, named)
		}
	}
	a.errorRoutes(p, named)
}

// behind judges what answers what a gate lets through.
func (a *analysis) behind(p *Passage) {
	isError := func(m met) bool {
		return roleOf(m.handler) == answers && staticStatus(m.handler) >= http.StatusBadRequest
	}
	switch {
	case len(p.behind) == 0:
		a.find(nothingBehind, p.Gate, p.At)
	case !slices.ContainsFunc(p.behind, func(m met) bool { return !isError(m) }):
		a.find(onlyErrorsBehind, p.Gate, p.At, by(Word(p.behind[0].handler)))
	}
}

// repeated reports a replay guard that a request meets a second time.
func (a *analysis) repeated(p *Passage) {
	same := func(q *Passage) bool { return q.Gate == p.Gate }
	switch {
	case !p.Guarded || p.ObservesOnly: // then it only reports
	case slices.ContainsFunc(p.At.gates, same):
		a.find(metTwice, p.Gate, p.At)
	case slices.ContainsFunc(p.At.partly, same):
		a.find(metTwice, p.Gate, p.At, func(f *Finding) { f.Severity = Warning })
	}
}

// gateStatuses are the statuses that a gate may answer with, 200 among them: for a
// repetition, and for a check.
var gateStatuses = []int{200, 400, 401, 405, 408, 409, 413, 425, 500, 501, 502, 503, 504}

// front judges an intercept that gets what the gate answers, with the request.
func (a *analysis) front(p *Passage, f front, named map[string]*caddyhttp.Route) {
	for _, response := range f.HandleResponse {
		if !covers(response.Match, gateStatuses...) {
			continue
		}
		hides := isSuccess(response.StatusCode)
		for handler := range handlersIn(response.Routes, named, nil) {
			if reachesApp(handler) {
				a.find(interceptReaches, p.Gate, p.At, by(Word(handler)))
				return
			}
			hides = hides || roleOf(handler) == answers && staticStatus(handler)/100 == 2
		}
		if hides && covers(response.Match, gateStatuses[1:]...) {
			a.find(interceptHides, p.Gate, p.At, by("intercept"))
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

// errorRoutes judges the error routes that get what is returned at a gate. Those of a
// server see the request as the client sent it, except for its Host, which Caddy does not
// restore, and until one of them changes it. Routes in which an error can be raised anew
// give the others any status.
func (a *analysis) errorRoutes(p *Passage, named map[string]*caddyhttp.Route) {
	var holds []caddyhttp.MiddlewareHandler
	for i, routes := range p.At.errors {
		anyStatus := failsAgain(slices.Delete(slices.Clone(p.At.errors), i, i+1), p.failed, named)
		skip := func(route caddyhttp.Route, changed bool) bool {
			elsewhere := routes.server && !changed && !p.At.rehosted && disjoint([]scope{{sets: route.MatcherSets}}, p.At.scopes)
			return elsewhere || !anyStatus && !seesRefusals(route, p.At.server)
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
		a.find(errorsUnused, p.Gate, p.At)
	}
}

// failsAgain reports whether what gets a refusal first may return another error, whose
// status nobody here knows.
func failsAgain(inner []errorRoutes, failed []met, named map[string]*caddyhttp.Route) bool {
	for _, routes := range inner {
		for handler := range handlersIn(routes.Routes, named, nil) {
			if !routes.server && mayFail(handler) {
				return true
			}
		}
	}
	return slices.ContainsFunc(failed, func(m met) bool { return mayFail(m.handler) })
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
func (a *analysis) refusalRoutes(p *Passage, holds []caddyhttp.MiddlewareHandler) {
	unlocked := slices.ContainsFunc(holds, func(handler caddyhttp.MiddlewareHandler) bool {
		h, ok := handler.(*headers.Handler)
		return ok && deletesByPattern(h)
	})
	worst := Kind("")
	var which caddyhttp.MiddlewareHandler
	for _, handler := range holds {
		found := Kind("")
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
		a.find(worst, p.Gate, p.At, by(Word(which)))
	}
}

func rank(k Kind) int { return slices.Index([]Kind{"", errorsHide, errorsProxy, errorsReach}, k) }

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

// options adds where the gate is to what it found in its own options.
func (a *analysis) options(p *Passage) {
	for _, f := range p.Findings {
		f = f.at(p.Gate, p.At)
		f.AtGate = true
		a.add(f)
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
			a.find(wayAround, gate, way.at, func(f *Finding) { f.Upstream = upstream })
		}
	}
	for _, upstream := range meant {
		if !used[sameHost(upstream)] {
			a.find(unguardedUnused, nil, Place{}, func(f *Finding) { f.Upstream = upstream })
		}
	}
}

// replayGuards reports gates that remember deliveries, and lead to several apps.
func (a *analysis) replayGuards() {
	apps := make(map[*Gate][]string)
	for _, p := range a.passages {
		if !p.Guarded {
			continue
		}
		known := len(apps[p.Gate])
		for _, m := range p.behind {
			apps[p.Gate] = union(apps[p.Gate], appOf(m.handler))
		}
		if len(apps[p.Gate]) > 1 && known < 2 {
			a.find(replayTwoApps, p.Gate, p.At)
		}
	}
}

// challenges reports gates that refuse a check of their sender. One that no GET meets does
// not: the app may answer.
func (a *analysis) challenges() {
	isGet := []scope{{sets: caddyhttp.MatcherSets{{&caddyhttp.MatchMethod{http.MethodGet}}}}}
	var seen []*Gate
	for _, p := range a.passages {
		if p.Check == "" || slices.Contains(seen, p.Gate) || disjoint(p.At.scopes, isGet) {
			continue
		}
		seen = append(seen, p.Gate)
		a.find(challengeMissing, p.Gate, p.At, func(f *Finding) { f.Cure = "write: challenge " + p.Check + "; " + f.Cure })
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

// sameHost writes the address of an app in one way, whatever the case of its host, and
// with one name for this machine.
func sameHost(dial string) string {
	address := dial
	for _, network := range []string{"tcp/", "tcp4/", "tcp6/"} {
		address = strings.TrimPrefix(address, network)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil { // a socket, or a placeholder
		return dial
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip := net.ParseIP(host); host == "" || ip.IsLoopback() || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
