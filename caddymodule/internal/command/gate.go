package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A Gateway is what the command asks of the package that has the gates.
type Gateway struct {
	// Load reads a configuration as `caddy run` does, and does not run it. Its error is
	// ErrNoFile where no file is named and there is none to take.
	Load func(file, adapter string) (*Configuration, error)
	// Alone returns a gate of which only the preset and a file with its secret are known.
	// Its error does not show the path, which may be the secret itself.
	Alone func(preset, secretFile string) (*Gate, error)
	// Unservable returns the refusal of a request that no gate can serve, whatever its
	// signature.
	Unservable func(*http.Request) error
	// Ask asks the admin API of the running server for a path. Without an address it is
	// that of the configuration in the file, or the default one.
	Ask func(address, file, adapter, path string) (*http.Response, error)
	// Checks are the checks of senders that a gate answers only if it is told to, by
	// preset, as they are written behind challenge.
	Checks map[string]string
}

// ErrNoFile is the error of Load where no file is named and there is none to take.
var ErrNoFile = errors.New("there is no Caddyfile here")

// A Configuration is what the command is told of one that was loaded.
type Configuration struct {
	Gates    []*Gate
	Findings []Finding
	// Meet follows the routes of a request to a URL. A field Host in the header goes
	// before the URL's.
	Meet func(method string, u *url.URL, header http.Header) (Way, error)
}

// A Gate is what the command is told of one gate.
type Gate struct {
	Name      string
	Preset    string
	Scheme    signature.Scheme
	Secrets   []signature.Secret
	Keys      []signature.PublicKey // instead of secrets
	Tokens    []signature.Token     // instead of both
	PublicURL string                // that the sender signs, if it does
	MaxSize   int64
	Guarded   bool                 // by a replay guard
	Observes  bool                 // it refuses nothing
	Challenge *signature.Challenge // the sender's check that it answers; nil: none
	URLs      []string             // that lead to it, as well as they are known
	// Tenants reads the secrets of a tenant. Without tenants it is nil.
	Tenants func(name string) ([]signature.Secret, error)
	Tenant  string // that a request was for
}

// Of is the gate as a request of the tenant meets it.
func (g *Gate) Of(tenant string) *Gate {
	if g.Tenants == nil {
		return g
	}
	copied := *g
	copied.Tenant = tenant
	return &copied
}

// A Way is what a request meets.
type Way struct {
	Gates    []*Gate // the first one first
	Answered string  // what answers it, as in a Caddyfile; empty: nothing that is known to
	Hidden   []*Gate // gates that it would meet if that did not answer
}

// A Finding is something in a configuration that breaks the promise of a gate, or may.
type Finding struct {
	Gate   string       // whose name; empty: of no gate
	Note   bool         // nothing is wrong
	Detail fmt.Stringer // one line; and as JSON, all of it
}

// A target is the gate that a command tries.
type target struct {
	*Gate
	config *Configuration
}

// load loads the configuration of --config.
func (c *command) load() (*Configuration, error) {
	config, err := c.gateway.Load(c.config, c.adapter)
	if !errors.Is(err, ErrNoFile) {
		return config, err
	}
	if c.name == "check" {
		return nil, fmt.Errorf("%w; name your configuration with --config FILE", err)
	}
	return nil, fmt.Errorf("%w; name your configuration with --config FILE, or a file with the secret with --secret-file FILE", err)
}

// target finds the gate. Without an address there must be only one, or one of the
// guesses leads to it.
func (c *command) target(method, address string, header http.Header, guesses ...string) (*target, error) {
	if c.secretFile != "" {
		return c.fileTarget(address)
	}
	config, err := c.load()
	if err != nil {
		return nil, err
	}
	gate, err := config.find(method, address, header)
	if address == "" && len(config.Gates) > 1 && len(guesses) > 0 {
		gate, err = config.guess(method, guesses, header)
	}
	if err == nil {
		gate, err = c.withTenant(gate)
	}
	if err != nil {
		return nil, err
	}
	return &target{gate, config}, nil
}

// withTenant is the gate with the secrets of the tenant that --tenant names, or the address.
func (c *command) withTenant(gate *Gate) (*Gate, error) {
	name := cmp.Or(c.tenant, gate.Tenant)
	switch {
	case gate.Tenants == nil && c.tenant != "":
		return nil, fmt.Errorf("--tenant is for a gate with tenants, and %s has none; drop it", gate.Name)
	case gate.Tenants == nil:
		return gate, nil
	case name == "":
		return nil, fmt.Errorf("the gate %s has tenants; add --tenant with the name of one, or --url with an address of one", gate.Name)
	case gate.Tenant != "" && name != gate.Tenant:
		return nil, fmt.Errorf("--tenant: the address is one of the tenant %s; take another address, or drop the flag", gate.Tenant)
	}
	secrets, err := gate.Tenants(name)
	if err != nil {
		return nil, fmt.Errorf("the gate %s: %w", gate.Name, err)
	}
	copied := *gate.Of(name)
	copied.Secrets = secrets
	return &copied, nil
}

// guess returns the gate that guards one of the addresses. Where none does, the error is
// about the first.
func (c *Configuration) guess(method string, addresses []string, header http.Header) (*Gate, error) {
	gate, err := c.find(method, addresses[0], header)
	for _, address := range addresses[1:] {
		if err == nil {
			break
		}
		if other, wrong := c.find(method, address, header); wrong == nil {
			return other, nil
		}
	}
	return gate, err
}

// fileTarget is the gate of --secret-file.
func (c *command) fileTarget(address string) (*target, error) {
	if _, ok := signature.FindPreset(c.preset); !ok && c.preset != "" {
		return nil, unknownPreset(c.preset)
	}
	gate, err := c.gateway.Alone(c.preset, c.secretFile)
	if err != nil {
		return nil, fmt.Errorf("--secret-file: %w", err)
	}
	if gate.Scheme.NeedsURL() && address == "" {
		return nil, fmt.Errorf("%s signs the URL as well; add --url with the one that the sender was given", gate.Preset)
	}
	if address != "" {
		if _, err := parseURL("--url", address); err != nil {
			return nil, err
		}
	}
	if gate.PublicURL = address; gate.Scheme.NeedsTarget() {
		gate.PublicURL = origin(address)
	}
	return &target{gate, new(Configuration)}, nil
}

// origin is what comes before the path of a URL. It is "" for none.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// path is the path and query of a delivery to that address, if the sender signs them.
func (g *Gate) path(address string) (string, error) {
	switch {
	case !g.Scheme.NeedsTarget():
		return "", nil
	case address == "":
		return "", errors.New("the sender signs the path of the request as well; add --url with the one that the delivery is for")
	}
	u, err := parseURL("--url", address)
	if err != nil {
		return "", err
	}
	return u.RequestURI(), nil
}

// errNoPrivateKey is for a gate that has only the public half.
var errNoPrivateKey = errors.New("this gate has public keys, and signing takes the private one: add --private-key-file FILE, " +
	"for a sender of your own. A sender's own key never leaves it; let it send a test delivery")

// signer signs with the secret of --secret-name, or the first, or with the private key.
func (c *command) signer(t *target) (*sender.Signer, error) {
	switch {
	case t.Scheme.Public() && c.privateKeyFile == "":
		return nil, errNoPrivateKey
	case t.Scheme.Public():
		return t.privateSigner(c.privateKeyFile)
	case c.privateKeyFile != "":
		return nil, fmt.Errorf("--private-key-file is for a gate with public keys, and this one has %ss; drop it", t.kind())
	}
	return t.signer(c.secretName)
}

// privateSigner refuses a key of which the gate does not have the public half.
func (t *target) privateSigner(file string) (*sender.Signer, error) {
	text, err := secretref.ReadArgument(file)
	if err != nil {
		return nil, fmt.Errorf("--private-key-file: it takes the path of a file, and this one cannot be read: %w", err)
	}
	key, err := sender.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("--private-key-file: %w", err)
	}
	public, err := sender.PublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("--private-key-file: %w", err)
	}
	if _, err := sender.NewPrivate(t.Scheme, key, ""); err != nil {
		return nil, fmt.Errorf("--private-key-file: %w", err)
	}
	for _, known := range t.Keys {
		if sameKey(t.Scheme, known.Text, public) {
			return sender.NewPrivate(t.Scheme, key, known.Name)
		}
	}
	return nil, errors.New("--private-key-file: the gate does not have its public key, and would refuse what it signs; add it as public_key, or take the right file")
}

// sameKey reports whether two texts are one public key.
func sameKey(scheme signature.Scheme, a, b string) bool {
	v, err := signature.NewPublic(scheme, []signature.PublicKey{{Name: "a", Text: a}, {Name: "b", Text: b}})
	return err == nil && v.KeyIDs()[0] == v.KeyIDs()[1]
}

// kind is the kind of key that the gate has.
func (g *Gate) kind() string { return strings.ReplaceAll(g.Scheme.Kind().String(), "_", " ") }

// verifier is the gate's own.
func (g *Gate) verifier() (*signature.Verifier, error) {
	switch g.Scheme.Kind() {
	case signature.PublicKeys:
		return signature.NewPublic(g.Scheme, g.Keys)
	case signature.Tokens:
		return g.tokenVerifier()
	}
	return signature.New(g.Scheme, g.Secrets)
}

// stranger signs with a key that the gate does not have.
func (g *Gate) stranger(secret string) (*sender.Signer, error) {
	switch g.Scheme.Kind() {
	case signature.Tokens:
		return g.tokenStranger(secret)
	case signature.Secrets:
		return sender.New(g.Scheme, signature.Secret{Text: secret})
	}
	name := ""
	if len(g.Keys) > 0 {
		name = g.Keys[0].Name
	}
	return sender.Stranger(g.Scheme, name)
}

// signer signs with the secret of that name, or the first, or has that token.
func (t *target) signer(name string) (*sender.Signer, error) {
	var names []string
	for _, secret := range t.Secrets {
		names = append(names, secret.Name)
	}
	for _, token := range t.Tokens {
		names = append(names, token.Name)
	}
	i := 0
	if name != "" {
		i = slices.Index(names, name)
	}
	switch {
	case i < 0:
		return nil, fmt.Errorf("--secret-name: the gate has no %s of that name; it has %s", t.kind(), strings.Join(names, ", "))
	case t.Scheme.Tokens():
		return sender.NewToken(t.Scheme, t.Tokens[i])
	}
	return sender.New(t.Scheme, t.Secrets[i])
}

// find returns the gate that guards address, or the only one there is.
func (c *Configuration) find(method, address string, header http.Header) (*Gate, error) {
	switch {
	case len(c.Gates) == 0:
		return nil, errors.New("the configuration has no webhook_auth; there is nothing to try")
	case address == "" && len(c.Gates) == 1:
		return c.Gates[0], nil
	case address == "":
		return nil, fmt.Errorf("the configuration has %d gates; add --url with the one you mean:%s", len(c.Gates), c.list())
	}
	u, err := parseURL("--url", address)
	if err != nil {
		return nil, err
	}
	met, err := c.Meet(method, u, header)
	for i := 0; err == nil && len(met.Gates) == 0 && i < len(c.Gates); i++ {
		var signed Way
		signed, err = c.Meet(method, u, signedHeader(c.Gates[i], method, header))
		met.Gates, met.Hidden = signed.Gates, append(met.Hidden, signed.Hidden...)
	}
	if err != nil {
		return nil, err
	}
	return c.theOne(met, method+" "+u.Redacted())
}

// theOne is the gate among those that a request meets.
func (c *Configuration) theOne(met Way, request string) (*Gate, error) {
	switch {
	case len(met.Gates) == 1:
		return met.Gates[0], nil
	case len(met.Gates) > 1:
		return nil, fmt.Errorf("%d gates guard %s, and a delivery is signed for one; the configuration guards:%s", len(met.Gates), request, c.list())
	case len(met.Hidden) > 0:
		return nil, fmt.Errorf("no delivery meets the gate %s: %s answers %s before it; put webhook_auth in front of what answers, "+
			"and remove an order option for it", met.Hidden[0].Name, met.Answered, request)
	}
	return nil, fmt.Errorf("no gate guards %s; the configuration guards:%s", request, c.list())
}

// list prints the gates, one URL below the other.
func (c *Configuration) list() string {
	var b strings.Builder
	for _, gate := range c.Gates {
		for _, u := range gate.URLs {
			fmt.Fprintf(&b, "\n  %s (%s)", u, gate.Name)
		}
	}
	return b.String()
}

// signedHeader is the header section of a signed delivery. A route may match on such a
// field; a request without it would go around the gate, and send must show that.
func signedHeader(gate *Gate, method string, header http.Header) http.Header {
	header = header.Clone()
	signer, err := gate.stranger(anyKey)
	if err != nil {
		return header
	}
	for _, field := range signer.Sign(sender.Delivery{Method: method, Target: "/", Header: header, Time: time.Now()}) {
		header.Set(field.Name, field.Value)
	}
	return header
}

// anyKey is a key in every encoding.
const anyKey = "00000000000000000000000000000001"

// parseURL reads an argument or a flag.
func parseURL(name, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("%s is not a URL such as http://localhost:8080/webhook", name)
	}
	return u, nil
}
