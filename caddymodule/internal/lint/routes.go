package lint

import (
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// A Place is where a handler is in a configuration, and what a request may have met
// on its way there.
type Place struct {
	server *caddyhttp.Server
	scopes []scope // the routes around it, the innermost last

	gates  []*Passage // every request has passed them, the nearest last
	partly []*Passage // some requests have passed them, and others go around
	sunk   []*Passage // what these let through is answered before
	failed []*Passage // what these refuse comes here past error routes that do not end

	ended    ending // set: what is in front answers every request
	fronts   []front
	errors   []errorRoutes
	rewrites int     // how often its path, method or host may have been changed
	rehosted bool    // its host may have been changed
	facts    []*fact // forgotten when what they match by may have been changed
}

// A scope is a route around a place. Its matchers see the request as the client sent
// it while rewrites is 0.
type scope struct {
	sets     caddyhttp.MatcherSets
	rewrites int
}

// A Passage is a gate at one place. Through invoke, one gate has several.
type Passage struct {
	*Gate
	At Place

	behind []met // what may answer what the gate lets through
	failed []met // what may get what the gate refuses, past error routes that do not end
}

// A met is a handler at a place.
type met struct {
	handler caddyhttp.MiddlewareHandler
	at      Place
}

// An ending is the handler that answers every request before a place.
type ending struct {
	by     string // as in a Caddyfile; empty: there is none
	static bool   // it is no app
}

// A front is an intercept around a place: it gets the answers that are made there.
type front struct {
	*intercept.Intercept
	scopes []scope
}

func unionFronts(a, b []front) []front {
	a = slices.Clone(a)
	for _, f := range b {
		if !slices.ContainsFunc(a, func(g front) bool { return g.Intercept == f.Intercept }) {
			a = append(a, f)
		}
	}
	return a
}

// errorRoutes get the errors that are returned at a place.
type errorRoutes struct {
	*caddyhttp.HTTPErrorConfig
	server bool // those of the server, whose matchers see the request as the client sent it
}

// A fact holds for the requests that match the sets.
type fact struct {
	sets  caddyhttp.MatcherSets
	gates []*Passage
	ended ending
}

// Gates returns the gates that every request has passed on its way to the place, the
// nearest last.
func (p Place) Gates() (gates []*Gate) {
	for _, passage := range p.gates {
		gates = append(gates, passage.Gate)
	}
	return gates
}

// Hosts returns what the routes around match of the host; none means any.
func (p Place) Hosts() []string {
	return innermost(p.scopes, func(m any) []string {
		if hosts, ok := m.(*caddyhttp.MatchHost); ok {
			return *hosts
		}
		return nil
	})
}

// Paths returns what the routes around match of the path; none means any.
func (p Place) Paths() []string {
	return innermost(p.scopes, func(m any) []string {
		if paths, ok := m.(*caddyhttp.MatchPath); ok {
			return *paths
		}
		return nil
	})
}

// innermost returns what the nearest route says whose matchers say anything.
func innermost(scopes []scope, values func(matcher any) []string) (found []string) {
	for _, scope := range slices.Backward(scopes) {
		for _, set := range scope.sets {
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

// Walk shows visit each handler of a provisioned server, in the order in which
// requests meet them, and returns the gates. It follows subroutes, named routes, error
// routes, intercept, and what reverse_proxy does with responses. It does not evaluate
// matchers: where a request may go two ways, it follows both and joins what it knows.
func Walk(server *caddyhttp.Server, gateOf GateOf, visit func(caddyhttp.MiddlewareHandler, Place)) []*Passage {
	w := walker{named: server.NamedRoutes, gateOf: gateOf, visit: visit}
	start := Place{server: server}
	if server.Errors == nil {
		w.list(server.Routes, start)
		return w.passages
	}
	inside := start
	inside.errors = []errorRoutes{{server.Errors, true}}
	w.list(server.Routes, inside)
	w.list(server.Errors.Routes, start) // met before any gate as well
	return w.passages
}

type walker struct {
	named    map[string]*caddyhttp.Route
	gateOf   GateOf
	visit    func(caddyhttp.MiddlewareHandler, Place)
	passages []*Passage
	invoked  []string // named routes that are being walked: one may invoke itself
}

// A fork is what is known of the requests that took a route of a group, and of those
// that took none yet.
type fork struct{ taken, untaken Place }

// list walks routes and returns the place behind them. Of the routes of one group, a
// request takes one at most; a route without a group is a group of its own.
func (w *walker) list(routes caddyhttp.RouteList, at Place) Place {
	groups := make(map[string]fork)
	for _, route := range routes {
		f, ok := groups[route.Group]
		if !ok || route.Group == "" {
			f = fork{taken: Place{ended: ending{by: "nothing"}}, untaken: at}
		}
		inside := f.untaken.inside(route)
		out := w.route(route, inside)
		out.scopes = at.scopes
		for group, other := range groups {
			groups[group] = fork{other.taken.beside(out), other.untaken.beside(out)}
		}
		f.taken = join(f.taken, out)
		around := goesAround(route, f.untaken)
		if !around {
			f.untaken.ended = out.ended.or("handle")
		}
		groups[route.Group] = f
		at = join(f.taken, f.untaken)
		if around && route.Group == "" {
			at = at.learn(route, inside, out)
		}
	}
	return at
}

// goesAround reports whether a request that comes to the route may not match it. Where
// the routes around match the same already, none does.
func goesAround(route caddyhttp.Route, at Place) bool {
	implied := func(s scope) bool {
		return s.rewrites == at.rewrites && isPlain(s.sets) && reflect.DeepEqual(s.sets, route.MatcherSets)
	}
	matchesAll := func(set caddyhttp.MatcherSet) bool { return len(set) == 0 }
	return len(route.MatcherSets) > 0 && !slices.ContainsFunc(route.MatcherSets, matchesAll) && !slices.ContainsFunc(at.scopes, implied)
}

// isPlain reports whether sets match by nothing but path, host and method, which give
// the same answer each time they are asked.
func isPlain(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		for _, matcher := range set {
			if alternatives(matcher) == nil {
				return false
			}
		}
	}
	return true
}

// inside is the place in a route, before its first handler. A gate guards a later
// route that matches the same as its own.
func (p Place) inside(route caddyhttp.Route) Place {
	p.scopes = append(slices.Clone(p.scopes), scope{route.MatcherSets, p.rewrites})
	for _, fact := range p.facts {
		if !reflect.DeepEqual(fact.sets, route.MatcherSets) {
			continue
		}
		p.gates, p.partly = union(p.gates, fact.gates), union(p.partly, fact.gates)
		if p.ended.by == "" {
			p.ended = fact.ended
		}
	}
	return p
}

// learn adds what is known behind a route of the requests that match it. Where the
// route answers, the gates that only those have passed let nothing more through; a gate
// and an answer in a subroute of their own are a sink that is meant.
func (p Place) learn(route caddyhttp.Route, inside, out Place) Place {
	known := &fact{sets: route.MatcherSets, gates: out.gates}
	if isPlain(route.MatcherSets) {
		known.ended = out.ended
	}
	if out.ended.by != "" {
		done := without(out.gates, p.gates)
		p.partly = without(p.partly, done)
		if out.ended.static {
			nested := func(g *Passage) bool { return len(g.At.scopes) > len(inside.scopes) }
			p.sunk = union(p.sunk, slices.DeleteFunc(done, nested))
		}
	}
	p.facts = append(slices.Clone(p.facts), known)
	return p
}

// join is where the requests of two places meet.
func join(a, b Place) Place {
	met := joinWays(a, b)
	met.failed = union(a.failed, b.failed)
	return met
}

func joinWays(a, b Place) Place {
	if a.ended.by != "" {
		return b
	}
	if b.ended.by != "" {
		return a
	}
	b.gates, b.facts = intersection(a.gates, b.gates), intersection(a.facts, b.facts)
	return b.beside(a)
}

// beside adds what some requests have met.
func (p Place) beside(other Place) Place {
	p.failed = union(p.failed, other.failed)
	if other.ended.by != "" {
		return p
	}
	p.partly, p.sunk = union(p.partly, other.partly), union(p.sunk, other.sunk)
	p.errors = union(p.errors, other.errors)
	p.fronts = unionFronts(p.fronts, other.fronts)
	p.rewrites = max(p.rewrites, other.rewrites)
	p.rehosted = p.rehosted || other.rehosted
	return p
}

func (e ending) or(by string) ending {
	if e.by == "" {
		e.by = by
	}
	return e
}

func union[T comparable](a, b []T) []T {
	a = slices.Clone(a)
	for _, v := range b {
		if !slices.Contains(a, v) {
			a = append(a, v)
		}
	}
	return a
}

func intersection[T comparable](a, b []T) []T { return without(b, without(b, a)) }

func without[T comparable](a, b []T) []T {
	return slices.DeleteFunc(slices.Clone(a), func(v T) bool { return slices.Contains(b, v) })
}

// route walks the handlers of one route and returns the place behind the last.
func (w *walker) route(route caddyhttp.Route, at Place) Place {
	for _, handler := range route.Handlers {
		w.visit(handler, at)
		w.mark(handler, at)
		at = w.handler(handler, at)
	}
	if route.Terminal {
		at.ended = at.ended.or("a terminal route")
	}
	return at
}

// mark notes at the gates what may answer behind them.
func (w *walker) mark(handler caddyhttp.MiddlewareHandler, at Place) {
	for _, gate := range at.failed {
		gate.failed = append(gate.failed, met{handler, at})
	}
	switch roleOf(handler) {
	case handsOn, marks, rewrites, holdsRoutes, asks:
		return
	}
	if at.ended.by == "" {
		for _, gate := range at.partly {
			gate.behind = append(gate.behind, met{handler, at})
		}
	}
}

// handler walks what a handler holds and returns the place behind it.
func (w *walker) handler(handler caddyhttp.MiddlewareHandler, at Place) Place {
	if gate := w.gateOf(handler); gate != nil {
		met := []*Passage{{Gate: gate, At: at}}
		w.passages = append(w.passages, met...)
		at.gates, at.partly = union(at.gates, met), union(at.partly, met)
	}
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		return w.subroute(h, at)
	case *caddyhttp.Invoke:
		return w.invoke(h.Name, at)
	case *reverseproxy.Handler:
		for _, response := range h.HandleResponse {
			w.list(response.Routes, at.afterwards())
		}
	case *intercept.Intercept:
		for _, response := range h.HandleResponse {
			w.list(response.Routes, at.afterwards())
		}
		at.fronts = append(slices.Clone(at.fronts), front{h, at.scopes})
	}
	if Ends(handler) && at.ended.by == "" {
		at.ended = ending{by: Word(handler), static: roleOf(handler) == answers}
	}
	switch roleOf(handler) {
	case rewrites, mayProxy:
		at.rewrites, at.facts = at.rewrites+1, nil
		at.rehosted = at.rehosted || rehosts(handler)
	case marks:
		at.facts = slices.DeleteFunc(slices.Clone(at.facts), func(f *fact) bool { return !isPlain(f.sets) })
	}
	return at
}

// afterwards is the place of routes that run only after an answer or an error: they
// are not what answers behind a gate.
func (p Place) afterwards() Place {
	p.partly, p.sunk = nil, nil
	return p
}

// subroute knows that the errors of what is behind a subroute come to its error routes
// as well: what is behind runs within it. Where these do not answer, a request with an
// error goes on behind the subroute.
func (w *walker) subroute(h *caddyhttp.Subroute, at Place) Place {
	if h.Errors == nil {
		return w.list(h.Routes, at)
	}
	w.list(h.Errors.Routes, at.afterwards())
	at.errors = union(at.errors, []errorRoutes{{h.Errors, false}})
	known := len(w.passages)
	at = w.list(h.Routes, at)
	if !answersAll(h.Errors.Routes) {
		at.failed = union(at.failed, w.passages[known:])
	}
	return at
}

func (w *walker) invoke(name string, at Place) Place {
	route, ok := w.named[name]
	if !ok || slices.Contains(w.invoked, name) {
		return at
	}
	w.invoked = append(w.invoked, name)
	at = w.list(caddyhttp.RouteList{*route}, at)
	w.invoked = w.invoked[:len(w.invoked)-1]
	return at
}

// disjoint reports whether no request can be at both places, by the hosts, paths and
// methods that are matched before anything changes the request.
func disjoint(a, b []scope) bool {
	for _, s := range a {
		for _, t := range b {
			if s.rewrites == 0 && t.rewrites == 0 && disjointSets(s.sets, t.sets) {
				return true
			}
		}
	}
	return false
}

// disjointSets: of a list of sets one must match, of a set all matchers.
func disjointSets(a, b caddyhttp.MatcherSets) bool {
	for _, set := range a {
		for _, other := range b {
			if !disjointSet(set, other) {
				return false
			}
		}
	}
	return len(a) > 0 && len(b) > 0
}

func disjointSet(a, b caddyhttp.MatcherSet) bool {
	for _, m := range a {
		for _, n := range b {
			if reflect.TypeOf(m) == reflect.TypeOf(n) && disjointValues(alternatives(m), alternatives(n)) {
				return true
			}
		}
	}
	return false
}

// alternatives returns the values of a matcher of paths, hosts or methods.
func alternatives(matcher any) []string {
	switch m := matcher.(type) {
	case *caddyhttp.MatchPath:
		return *m
	case *caddyhttp.MatchHost:
		return *m
	case *caddyhttp.MatchMethod:
		return *m
	}
	return nil
}

func disjointValues(a, b []string) bool {
	for _, v := range a {
		for _, w := range b {
			if overlap(strings.ToLower(v), strings.ToLower(w)) {
				return false
			}
		}
	}
	return len(a) > 0 && len(b) > 0
}

// isOdd reports whether a pattern is more than text that Caddy compares as it is.
func isOdd(pattern string) bool {
	return strings.ContainsAny(pattern, "*{%\\") || strings.Contains(pattern, "//") || strings.Contains(pattern, "/.")
}

// overlap reports whether one value may match both patterns. It compares plain text
// and prefixes; of all else it says that they may.
func overlap(a, b string) bool {
	a, aPrefix := strings.CutSuffix(a, "*")
	b, bPrefix := strings.CutSuffix(b, "*")
	switch {
	case isOdd(a) || isOdd(b):
		return true
	case aPrefix && bPrefix:
		return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
	case aPrefix:
		return strings.HasPrefix(b, a)
	case bPrefix:
		return strings.HasPrefix(a, b)
	}
	return a == b
}
