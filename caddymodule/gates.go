package caddymodule

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/command"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

func init() {
	caddycmd.RegisterCommand(command.Webhook(command.Gateway{Load: loadGates, Alone: gateOf, Unservable: judgeRequest, Checks: demandedChecks, Ask: askAdmin}))
}

// loadGates hands the command what it needs to know of a configuration.
func loadGates(file, adapter string) (*command.Configuration, error) {
	if err := quiet(); err != nil {
		return nil, err
	}
	config, err := loadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	return config.plain()
}

// askAdmin asks the admin API of the running server, at the address that `caddy reload`
// would use.
func askAdmin(address, file, adapter, path string) (*http.Response, error) {
	if err := quiet(); err != nil {
		return nil, err
	}
	config, used, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil && file != "" && address == "" {
		return nil, err
	}
	address, err = caddycmd.DetermineAdminAPIAddress(address, config, used, adapter)
	if err != nil {
		return nil, err
	}
	answer, err := caddycmd.AdminAPIRequest(address, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("the admin API at %s: %w; does the server run, and is --address that of its admin option?", address, err)
	}
	return answer, nil
}

// gateOf returns a gate of which only the preset and a file with its secret are known.
func gateOf(preset, secretFile string) (*command.Gate, error) {
	if err := quiet(); err != nil {
		return nil, err
	}
	h := &Handler{Preset: preset, Secrets: []Secret{{}}, logger: zap.NewNop()}
	if p, ok := signature.FindPreset(preset); ok && p.Scheme.Tokens() {
		h.Secrets, h.Tokens = nil, []Token{{}}
	}
	h.setDefaults()
	if err := h.checkKind(); err != nil {
		return nil, err
	}
	m := new(material)
	text, err := readSecret(secretFile, h.scheme())
	if err := errors.Join(err, h.readChallenge(m)); err != nil {
		return nil, err
	}
	if h.kind() == signature.Tokens {
		m.texts.tokens = []signature.Token{{Name: "1", Text: text}}
	} else {
		m.texts.secrets = []signature.Secret{{Name: "1", Text: text}}
	}
	return h.plain(m), nil
}

// plain is the gate as the command knows it.
func (h *Handler) plain(m *material) *command.Gate {
	return &command.Gate{
		Name: h.Name, Preset: h.Preset, Scheme: h.scheme(), Secrets: m.texts.secrets, Keys: m.texts.public, Tokens: m.texts.tokens, PublicURL: h.PublicURL,
		MaxSize: h.MaxSize, Guarded: h.Replay != nil, Observes: h.UnsafeObserveOnly, Challenge: m.challenge,
	}
}

// quiet sends Caddy's log nowhere from now on.
func quiet() error {
	_, err := caddy.ProvisionContext(&caddy.Config{Logging: silence()})
	return err
}

// readSecret reads a file once, which may be a pipe, and judges it as a gate does. The
// error does not show the path: a user who mistook the flag may have passed the secret
// itself.
func readSecret(file string, scheme signature.Scheme) (string, error) {
	text, err := secretref.ReadArgument(file)
	if err != nil {
		return "", fmt.Errorf("it takes the path of a file, and this one cannot be read: %w", err)
	}
	if strings.TrimSpace(text) == "" {
		return "", errors.New("the file is empty or blank; write the secret into it")
	}
	secret, err := judge(text, scheme)
	if err != nil {
		return "", fmt.Errorf("the secret in it %w", err)
	}
	return secret.Text, nil
}

// A configuration is one that was provisioned and does not run.
type configuration struct {
	http    *caddyhttp.App
	shared  *App
	logging *caddy.Logging // as it is written, and not opened
	admin   string         // where the admin API listens, if other machines can reach that
}

// findings are what lint finds in a configuration. logging is that of the configuration,
// if it is known.
func findings(app *App, logging *caddy.Logging) []lint.Finding {
	configured, err := app.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // then there are no gates either
	}
	known := make(map[*Handler]*lint.Gate)
	gateOf := func(handler caddyhttp.MiddlewareHandler) *lint.Gate {
		h, ok := handler.(*Handler)
		if ok && known[h] == nil {
			known[h] = h.linted()
		}
		return known[h]
	}
	return lint.Analyse(lint.Config{
		Servers: configured.(*caddyhttp.App).Servers, GateOf: gateOf, Unguarded: app.Unguarded, Logging: logging,
	})
}

// linted is the gate as lint knows it.
func (h *Handler) linted() *lint.Gate {
	return &lint.Gate{
		Name: h.Name, Preset: h.Preset, OnRefusal: h.OnRefusal, Guarded: h.Replay != nil, ObservesOnly: h.UnsafeObserveOnly,
		Fields: h.scheme().WithDefaults().Headers, Tokens: h.kind() == signature.Tokens,
		Check: h.missingCheck(), Findings: h.material().unwise,
	}
}

func noGate(caddyhttp.MiddlewareHandler) *lint.Gate { return nil }

// plain is the configuration as the command knows it.
func (c *configuration) plain() (*command.Configuration, error) {
	config := new(command.Configuration)
	gates := make(map[*Handler]*command.Gate)
	for _, g := range allGates(c.http) {
		gate := g.handler.plain(g.handler.material())
		gate.URLs = g.urls
		g.handler.addTenants(gate)
		for _, f := range g.handler.tenantFindings() {
			config.Findings = append(config.Findings, command.Finding{Gate: f.Gate, Detail: f})
		}
		gates[g.handler], config.Gates = gate, append(config.Gates, gate)
	}
	for _, f := range findings(c.shared, c.logging) {
		config.Findings = append(config.Findings, command.Finding{Gate: f.Gate, Note: f.Severity == lint.Note, Detail: f})
	}
	if c.admin != "" {
		open := lint.About(lint.AdminOpen, func(f *lint.Finding) { f.By = "admin " + c.admin })
		config.Findings = append(config.Findings, command.Finding{Detail: open})
	}
	config.Meet = func(method string, u *url.URL, header http.Header) (command.Way, error) {
		met, err := meet(c.http, method, u, header)
		way := command.Way{Gates: plainGates(gates, met.gates), Answered: met.answered, Hidden: plainGates(gates, met.hidden)}
		for i, tenant := range met.tenants {
			way.Gates[i] = way.Gates[i].Of(tenant)
		}
		return way, err
	}
	return config, nil
}

func plainGates(known map[*Handler]*command.Gate, handlers []*Handler) (gates []*command.Gate) {
	for _, h := range handlers {
		gates = append(gates, known[h])
	}
	return gates
}

// loadConfig provisions the configuration as "caddy validate" does, without what
// it would write or need other rights for: logs, certificates and their storage.
func loadConfig(file, adapter string) (*configuration, error) {
	raw, file, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, command.ErrNoFile
	}
	config := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(raw), config); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	provisioned, err := provision(config)
	if err != nil {
		return nil, fmt.Errorf("%s does not load: %w\n"+
			"Secrets are read as the server reads them: this command needs the same environment and the same rights", file, err)
	}
	return provisioned, nil
}

func provision(config *caddy.Config) (*configuration, error) {
	dir, err := os.MkdirTemp("", "caddy-webhook-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// acme_server opens a database there, and would wait for a running server's.
	if err := os.Setenv("XDG_DATA_HOME", dir); err != nil {
		return nil, err
	}
	logging, admin := config.Logging, openAdmin(config.Admin)
	config.Admin, config.Logging = nil, silence()
	config.StorageRaw = fmt.Appendf(nil, `{"module": "file_system", "root": %q}`, dir)
	delete(config.AppsRaw, "tls")
	ctx, err := caddy.ProvisionContext(config)
	if err != nil {
		return nil, err
	}
	routes, err := ctx.App("http")
	if err != nil {
		return nil, err
	}
	shared, err := ctx.App("webhook_auth")
	if err != nil {
		return nil, err
	}
	if logging == nil { // which is known, too
		logging = new(caddy.Logging)
	}
	return &configuration{routes.(*caddyhttp.App), shared.(*App), logging, admin}, nil
}

// openAdmin returns where the admin API listens, if other machines may reach that. Who
// listens on a socket that was handed over is not known.
func openAdmin(admin *caddy.AdminConfig) string {
	listen := caddy.DefaultAdminListen // also of the variable CADDY_ADMIN
	if admin != nil {
		if admin.Disabled {
			return ""
		}
		listen = cmp.Or(caddy.NewReplacer().ReplaceKnown(admin.Listen, ""), listen)
	}
	address, err := caddy.ParseNetworkAddress(listen)
	if err != nil || address.IsUnixNetwork() || address.IsFdNetwork() || address.Host == "localhost" {
		return "" // what cannot be parsed does not load
	}
	if ip, err := netip.ParseAddr(address.Host); err == nil && ip.IsLoopback() {
		return ""
	}
	return listen
}

// silence keeps Caddy's log off a command's output; whatever stops the command
// comes back as an error.
func silence() *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{Level: zap.FatalLevel.String()}},
	}}
}

// meet is what a request meets in any of the servers that its URL may lead to.
func meet(app *caddyhttp.App, method string, u *url.URL, header http.Header) (all way, err error) {
	servers, err := serversOf(app, u)
	for _, server := range servers {
		one := wayOf(server, routed(method, u, header, isTLS(app, server)))
		all.tenants = append(all.tenants, one.tenants...)
		all.gates, all.hidden = append(all.gates, one.gates...), append(all.hidden, one.hidden...)
		all.answered = cmp.Or(all.answered, one.answered)
	}
	return all, err
}

// routed is the request as the server's routes see it.
func routed(method string, u *url.URL, header http.Header, overTLS bool) *http.Request {
	r := &http.Request{
		Method: method, Host: cmp.Or(header.Get("Host"), u.Host), Header: header.Clone(),
		URL:        &url.URL{Path: cmp.Or(u.Path, "/"), RawPath: u.RawPath, RawQuery: u.RawQuery},
		RequestURI: u.RequestURI(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	r.Header.Del("Host")
	if overTLS {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: hostname(r.Host)}
	}
	return r
}

// hostname takes the port off a host.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// serversOf returns the servers that listen on the URL's port. If none does,
// something stands in front (a load balancer, a container's port), and it may be
// any of them.
func serversOf(app *caddyhttp.App, u *url.URL) ([]*caddyhttp.Server, error) {
	var all, found []*caddyhttp.Server
	for _, server := range app.Servers {
		all = append(all, server)
		if slices.Contains(ports(server), portOf(u)) {
			found = append(found, server)
		}
	}
	for _, server := range found {
		if wants := protocol(app, server); wants != u.Scheme {
			return nil, fmt.Errorf("the server on port %s speaks %s; write %s://%s", portOf(u), strings.ToUpper(wants), wants, u.Host+u.RequestURI())
		}
	}
	if len(found) == 0 {
		return all, nil
	}
	return found, nil
}

func portOf(u *url.URL) string {
	if u.Scheme == "https" {
		return cmp.Or(u.Port(), "443")
	}
	return cmp.Or(u.Port(), "80")
}

// ports returns what a server listens on; none for a socket.
func ports(server *caddyhttp.Server) (found []string) {
	for _, listen := range server.Listen {
		address, err := caddy.ParseNetworkAddress(listen)
		if err != nil || address.IsUnixNetwork() || address.IsFdNetwork() {
			continue
		}
		for port := address.StartPort; port <= address.EndPort; port++ {
			found = append(found, strconv.FormatUint(uint64(port), 10))
		}
	}
	return found
}

// isTLS is Caddy's own rule (caddyhttp.App.Start).
func isTLS(app *caddyhttp.App, server *caddyhttp.Server) bool {
	plain := strconv.Itoa(cmp.Or(app.HTTPPort, caddyhttp.DefaultHTTPPort))
	return len(server.TLSConnPolicies) > 0 && !slices.Contains(ports(server), plain)
}

// protocol is what stands in front of a server's URLs; a scheme is how a sender signs.
func protocol(app *caddyhttp.App, server *caddyhttp.Server) string {
	if isTLS(app, server) {
		return "https"
	}
	return "http"
}

// A guarded is a gate with the URLs that lead to it, as well as they are known.
type guarded struct {
	handler *Handler
	urls    []string
}

// allGates returns every gate of the configuration once.
func allGates(app *caddyhttp.App) (all []guarded) {
	names := make([]string, 0, len(app.Servers))
	for name := range app.Servers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		server := app.Servers[name]
		lint.Walk(server, noGate, func(handler caddyhttp.MiddlewareHandler, at lint.Place) {
			gate, ok := handler.(*Handler)
			if !ok {
				return
			}
			i := slices.IndexFunc(all, func(g guarded) bool { return g.handler == gate })
			if i < 0 {
				i, all = len(all), append(all, guarded{handler: gate})
			}
			all[i].urls = append(all[i].urls, urlsOf(app, server, at)...)
		})
	}
	return all
}

// urlsOf puts together what the routes around a gate match.
func urlsOf(app *caddyhttp.App, server *caddyhttp.Server, at lint.Place) (urls []string) {
	hosts, paths := at.Hosts(), at.Paths()
	if len(hosts) == 0 {
		hosts = []string{"localhost"}
	}
	if len(paths) == 0 {
		paths = []string{"/"}
	}
	port := ""
	if listens := ports(server); len(listens) > 0 && listens[0] != "80" && listens[0] != "443" {
		port = ":" + listens[0]
	}
	for _, host := range hosts {
		for _, path := range paths {
			urls = append(urls, protocol(app, server)+"://"+host+port+path)
		}
	}
	return urls
}

// A way is what a request meets in a provisioned server.
type way struct {
	gates    []*Handler // the first one first
	tenants  []string   // whose deliveries they would take it for; empty: nobody's
	answered string     // what answers it, as in a Caddyfile; empty: nothing that is known to
	hidden   []*Handler // gates that it would meet if that did not answer
}

// wayOf follows Caddy's routing: handlers that only prepare a request run, and no other
// handler is called.
func wayOf(server *caddyhttp.Server, r *http.Request) way {
	r.RemoteAddr = "127.0.0.1:1"
	s := seeker{server: server, request: caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, server)}
	s.list(server.Routes)
	return s.way
}

type seeker struct {
	way
	server  *caddyhttp.Server
	request *http.Request
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
		s.meet(h)
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
	if lint.Ends(handler) && s.answered == "" {
		s.answered = lint.Word(handler)
	}
	return true
}

func (s *seeker) meet(gate *Handler) {
	if s.answered == "" {
		s.gates, s.tenants = append(s.gates, gate), append(s.tenants, gate.tenantAt(s.request))
	} else {
		s.hidden = append(s.hidden, gate)
	}
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
