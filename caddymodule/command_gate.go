package caddymodule

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A target is the gate that a command tries.
type target struct {
	gate     *Handler
	secrets  []signature.Secret
	all      []guarded // gates of the configuration, this one among them
	findings []finding // of the configuration
}

// target finds the gate. Without an address there must be only one.
func (c *command) target(method, address string, header http.Header) (*target, error) {
	if err := quiet(); err != nil {
		return nil, err
	}
	if c.secretFile != "" {
		return c.fileTarget(address)
	}
	config, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	gate, err := findGate(config.http, method, address, header)
	if err != nil {
		return nil, err
	}
	secrets, err := gate.resolveSecrets()
	if err != nil {
		return nil, err
	}
	return &target{gate: gate, secrets: secrets, all: allGates(config.http), findings: config.analyse()}, nil
}

// quiet sends Caddy's log nowhere from now on.
func quiet() error {
	_, err := caddy.ProvisionContext(&caddy.Config{Logging: silence()})
	return err
}

// fileTarget is a gate of which only the secret and the preset are known.
func (c *command) fileTarget(address string) (*target, error) {
	gate := &Handler{Preset: c.preset, PublicURL: address}
	gate.setDefaults()
	if _, ok := signature.FindPreset(gate.Preset); !ok {
		return nil, fmt.Errorf("--preset: there is none of the name %q", c.preset)
	}
	secret, err := readSecret(c.secretFile, gate.scheme())
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	if gate.scheme().NeedsURL() && address == "" {
		return nil, fmt.Errorf("%s signs the URL as well; add --url with the one that the sender was given", gate.Preset)
	}
	return &target{gate: gate, secrets: []signature.Secret{{Name: "1", Text: secret}}}, nil
}

// readSecret reads a file as a gate does. Where there is none, the error does not show
// the path: a user who mistook the flag may have passed the secret itself.
func readSecret(file string, scheme signature.Scheme) (string, error) {
	_, err := os.ReadFile(file) //nolint:gosec // the operator's own path
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return "", fmt.Errorf("it takes the path of a file, and this one cannot be read: %w", pathErr.Err)
	}
	secret, err := resolve("{file."+file+"}", scheme, minSecret)
	return secret.Text, err
}

// signer signs with the secret of --secret-name, or the first.
func (t *target) signer(name string) (*sender.Signer, error) {
	i := 0
	if name != "" {
		i = slices.IndexFunc(t.secrets, func(s signature.Secret) bool { return s.Name == name })
	}
	if i < 0 {
		var names []string
		for _, secret := range t.secrets {
			names = append(names, secret.Name)
		}
		return nil, fmt.Errorf("--secret-name: the gate has no secret of that name; it has %s", strings.Join(names, ", "))
	}
	return sender.New(t.gate.scheme(), t.secrets[i])
}

// A configuration is one that was provisioned and does not run.
type configuration struct {
	http    *caddyhttp.App
	shared  *App
	logging *caddy.Logging // as it is written, and not opened
}

func (c *configuration) analyse() []finding { return analyse(c.shared, c.logging) }

// loadConfig provisions the configuration as "caddy validate" does, but for what
// it would write, or need other rights for: logs, certificates and their storage
// stay out of it.
func (c *command) loadConfig() (*configuration, error) {
	raw, file, _, err := caddycmd.LoadConfig(c.config, c.adapter)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, errors.New("there is no Caddyfile here; name your configuration with --config FILE, " +
			"or a file with the secret with --secret-file FILE")
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
	logging := config.Logging
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
	return &configuration{routes.(*caddyhttp.App), shared.(*App), logging}, nil
}

// silence keeps Caddy's log off a command's output; whatever stops the command
// comes back as an error.
func silence() *caddy.Logging {
	return &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		"default": {BaseLog: caddy.BaseLog{Level: zap.FatalLevel.String()}},
	}}
}

// findGate returns the gate that guards address, or the only one there is.
func findGate(app *caddyhttp.App, method, address string, header http.Header) (*Handler, error) {
	all := allGates(app)
	switch {
	case len(all) == 0:
		return nil, errors.New("the configuration has no webhook_auth; there is nothing to try")
	case address == "" && len(all) == 1:
		return all[0].handler, nil
	case address == "":
		return nil, fmt.Errorf("the configuration has %d gates; add --url with the one you mean:%s", len(all), listGates(all))
	}
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	servers, err := serversOf(app, u)
	if err != nil {
		return nil, err
	}
	met := meet(app, servers, method, u, header)
	for i := 0; len(met.gates) == 0 && i < len(all); i++ {
		signed := meet(app, servers, method, u, signedHeader(all[i].handler, method, header))
		met.gates, met.hidden = signed.gates, append(met.hidden, signed.hidden...)
	}
	return theOne(met, all, method+" "+u.Redacted())
}

// meet is what a request meets in any of the servers.
func meet(app *caddyhttp.App, servers []*caddyhttp.Server, method string, u *url.URL, header http.Header) (all way) {
	for _, server := range servers {
		one := wayOf(server, routed(method, u, header, isTLS(app, server)))
		all.gates, all.hidden = append(all.gates, one.gates...), append(all.hidden, one.hidden...)
		all.answered = cmp.Or(all.answered, one.answered)
	}
	return all
}

// theOne is the gate among those that a request meets.
func theOne(met way, all []guarded, request string) (*Handler, error) {
	switch {
	case len(met.gates) == 1:
		return met.gates[0], nil
	case len(met.gates) > 1:
		return nil, fmt.Errorf("%d gates guard %s, and a delivery is signed for one; the configuration guards:%s", len(met.gates), request, listGates(all))
	case len(met.hidden) > 0:
		return nil, fmt.Errorf("no delivery meets the gate %s: %s answers %s before it; put webhook_auth in front of what answers, "+
			"and remove an order option for it", met.hidden[0].Name, met.answered, request)
	}
	return nil, fmt.Errorf("no gate guards %s; the configuration guards:%s", request, listGates(all))
}

// signedHeader is the header section of a delivery to a gate. Where a route asks for
// such a field, whoever leaves it out goes around the gate, and has to be shown.
func signedHeader(gate *Handler, method string, header http.Header) http.Header {
	header = header.Clone()
	signer, err := sender.New(gate.scheme(), signature.Secret{Text: anyKey})
	if err != nil {
		return header
	}
	for _, field := range signer.Sign(sender.Delivery{Method: method, Header: header, Time: time.Now()}) {
		header.Set(field.Name, field.Value)
	}
	return header
}

// anyKey is a key in every encoding.
const anyKey = "00000000000000000000000000000001"

// parseURL is for errors that say what to write.
func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("this is not a URL such as http://localhost:8080/webhook")
	}
	return u, nil
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
		for _, gate := range walkServer(server, func(caddyhttp.MiddlewareHandler, place) {}) {
			i := slices.IndexFunc(all, func(g guarded) bool { return g.handler == gate.Handler })
			if i < 0 {
				i, all = len(all), append(all, guarded{handler: gate.Handler})
			}
			all[i].urls = append(all[i].urls, urlsOf(app, server, gate.at)...)
		}
	}
	return all
}

// urlsOf puts together what the routes around a gate match.
func urlsOf(app *caddyhttp.App, server *caddyhttp.Server, at place) (urls []string) {
	hosts, paths := at.hosts(), at.paths()
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

// listGates prints gates one below the other.
func listGates(gates []guarded) string {
	var b strings.Builder
	for _, g := range gates {
		for _, u := range g.urls {
			fmt.Fprintf(&b, "\n  %s (%s)", u, g.handler.Name)
		}
	}
	return b.String()
}
