package caddymodule

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/command"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/tenant"
)

// Tenants are the secrets of many senders, a file for each.
type Tenants struct {
	// The folder of the files. Each file is named like its tenant: at most 64 letters,
	// digits, `-`, `_` and `.`, the last two within. It holds one secret, or several, one in
	// a line and the newest first, each also as `name: value`. A change is noticed within
	// five seconds.
	Folder string `json:"folder,omitempty"`

	// The placeholder that names the tenant of a request:
	// `{http.request.uri.path.N}`, `{http.request.host}`, `{http.request.host.labels.N}`,
	// `{http.request.header.NAME}`, or one below `{http.regexp.` or `{http.vars.`.
	Name string `json:"name,omitempty"`
}

// Bounds of tenants.
const (
	// maxHeld is how many deliveries of one tenant are handed on at the same time, so that
	// an app that hangs for one of them leaves room for the others. Only verified ones
	// count: strangers who know the name of a tenant would use up its room otherwise.
	maxHeld = 256
	// maxShare is which part of the disk budget one tenant may fill.
	maxShare = 4
	// maxStrangers is how many bodies under unknown names are received at the same time.
	// They are received as others are, so that the answer shows nothing; and a flood of
	// them is not.
	maxStrangers = 64
)

// tenants are those of one gate.
type tenants struct {
	name  string // of the placeholder, without its braces
	paths bool   // it may come from the path
	cache *tenant.Cache[*material]

	strangers chan struct{}
	mu        sync.Mutex
	held      map[string]*holding // by tenant
}

// A holding is what is held of one tenant now.
type holding struct {
	deliveries int
	bytes      int64
}

// checkTenants reports what is wrong with the option as it is written.
func (h *Handler) checkTenants() error {
	t := h.Tenants
	switch {
	case t == nil:
		return nil
	case len(h.Secrets)+len(h.PublicKeys)+len(h.Tokens) > 0:
		return mistake.In("tenants", "secret, public_key, token and tenants exclude each other; write a gate of its own for each other one")
	case t.Folder == "" || t.Name == "":
		return mistake.In("tenants", "%s", tenantsForm)
	case h.Challenge != nil && signature.IsOracle(h.Challenge.Kind):
		return mistake.In("tenants", "with challenge %s, strangers have texts signed, and which tenant's secret signs them is not known; write a gate with a secret of its own for it", h.Challenge.Kind)
	}
	_, _, err := tenantName(t.Name)
	return err
}

const tenantsForm = "it takes a folder and a placeholder; write for example: tenants /etc/caddy/tenants {path.1}"

// tenantSources are the placeholders that may name a tenant, and whether
// they may come from the path. A query is none: senders and apps do not agree on what is in
// one.
var tenantSources = []struct {
	pattern *regexp.Regexp
	paths   bool
}{
	{regexp.MustCompile(`^\{http\.request\.uri\.path\.\d{1,3}\}$`), true},
	{regexp.MustCompile(`^\{http\.request\.host(\.labels\.\d{1,3})?\}$`), false},
	{regexp.MustCompile(`^\{http\.request\.header\.[^{}]+\}$`), false},
	{regexp.MustCompile(`^\{http\.(regexp|vars)\.[^{}]+\}$`), true},
}

// tenantName returns the name of the placeholder.
func tenantName(written string) (name string, paths bool, err error) {
	for _, source := range tenantSources {
		if source.pattern.MatchString(written) {
			return strings.Trim(written, "{}"), source.paths, nil
		}
	}
	return "", false, mistake.In("tenants", "the second word is one placeholder: {path.<n>}, {labels.<n>}, {host}, {header.<name>}, {re.<name>.<n>} or {vars.<name>}; write for example: tenants /etc/caddy/tenants {path.1}")
}

// newTenants opens the tenants of the gate.
func (h *Handler) newTenants() (*tenants, error) {
	if h.Tenants == nil {
		return nil, nil
	}
	if _, err := tenant.Folder(h.Tenants.Folder).Names(); err != nil {
		return nil, mistake.In("tenants", "the folder cannot be read: %w; make it a folder that Caddy's user may read", err)
	}
	t := &tenants{strangers: make(chan struct{}, maxStrangers), held: make(map[string]*holding)}
	t.name, t.paths, _ = tenantName(h.Tenants.Name) // checkTenants has judged it
	t.cache = tenant.NewCache(tenant.Folder(h.Tenants.Folder), h.tenantMaterial, h.reportTenant)
	return t, nil
}

func (h *Handler) reportTenant(name string, err error) {
	h.meter.swapFailed()
	h.logger.Error("the file of a tenant cannot be used", zap.String("tenant", name), zap.Error(err))
}

// tenantMaterial compiles the file of a tenant. The rules between gates are the same as for
// other secrets.
func (h *Handler) tenantMaterial(name, text string) (*material, error) {
	secrets, err := h.tenantSecrets(text)
	if err != nil {
		return nil, err
	}
	m := &material{challenge: h.material().challenge, expected: h.material().expected, texts: keyTexts{secrets: secrets}}
	if m.verifier, err = signature.New(h.scheme(), secrets); err != nil {
		return nil, err
	}
	if h.printKey != "" { // no tenant's deliveries are taken for another's
		m.verifier.Fingerprints(h.printKey + "\x00tenant " + name)
	}
	m.labels, m.gate = m.texts.labels(), h.newGate(m.texts)
	return m, h.app.index.allows(h, m)
}

// tenantSecrets reads the secrets in the file of a tenant, one in a line.
func (h *Handler) tenantSecrets(text string) ([]signature.Secret, error) {
	var all []Secret
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, tenantLine(line))
		}
	}
	if len(all) == 0 {
		return nil, errors.New("it is empty or blank; write the secret into it")
	}
	names, err := labels(signature.Secrets, all)
	errs := []error{signature.CheckNumber(signature.Secrets, len(all)), err}
	secrets := make([]signature.Secret, len(all))
	for i, s := range all {
		if _, err := judge(s.Value, h.scheme()); err != nil {
			errs = append(errs, fmt.Errorf("line %d %w", i+1, err))
		}
		secrets[i] = signature.Secret{Name: names[i], Text: s.Value}
	}
	return secrets, errors.Join(errs...)
}

// tenantLine is `name: value` only where the first part can be a name, which no secret is
// short enough for.
func tenantLine(line string) Secret {
	name, value, ok := strings.Cut(line, ": ")
	if _, err := (Secret{Name: name}).label(0); ok && name != "" && err == nil {
		return Secret{Name: name, Value: strings.TrimSpace(value)}
	}
	return Secret{Value: line}
}

// nobody is a material that no signature matches, for requests of unknown tenants: they take
// the steps of any other request that is refused.
func (h *Handler) nobody() (*signature.Verifier, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key)           // it never fails
	text := hex.EncodeToString(key) // which is base64, too
	return signature.New(h.scheme(), []signature.Secret{{Name: "nobody", Text: text}})
}

// tenantOf is the name of the tenant that the request is for; empty: it names none. target is
// the one that arrived.
func (t *tenants) tenantOf(r *http.Request, target string) string {
	if t.paths && (!isPlain(r.URL) || !isPlainTarget(target)) {
		return ""
	}
	name, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).GetString(t.name)
	if strings.HasPrefix(t.name, "http.request.host") {
		name = strings.ToLower(name) // as DNS has it
	}
	if !tenant.IsName(name) {
		return ""
	}
	return name
}

func isPlainTarget(target string) bool {
	if path, _, _ := strings.Cut(target, "?"); isSimple(path) {
		return true
	}
	u, err := url.ParseRequestURI(target)
	return err == nil && isPlain(u)
}

// isPlain reports whether all that read the path find the same segments in it. Signed with
// the secret of one tenant, /hooks/acme/../globex would be a delivery to another one in an
// app that cleans paths, and so would what it takes for a slash or for a dot.
func isPlain(u *url.URL) bool {
	if u.RawPath == "" && isSimple(u.Path) {
		return true
	}
	path := strings.ToLower(u.EscapedPath())
	for _, text := range []string{"%2f", "%5c", "%2e", "%3b", "%25", "%00", "\\", ";"} {
		if strings.Contains(path, text) {
			return false
		}
	}
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	return strings.HasPrefix(path, "/") && !slices.ContainsFunc(segments, func(s string) bool { return s == "" && len(segments) > 1 || s == "." || s == ".." })
}

// isSimple reports whether a path has nothing in it that isPlain looks at, as most have not.
func isSimple(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "%;\\.\x00") && !strings.Contains(path, "//")
}

// enter finds the tenant of a request. The material of an unknown one stays nobody's.
func (h *Handler) enter(r *http.Request, a *attempt, target string) error {
	t := h.tenants
	a.tenant = t.tenantOf(r, target)
	m, err := t.cache.Get(a.tenant)
	switch {
	case errors.Is(err, tenant.ErrUnknown):
		return t.enterStranger(a)
	case err != nil:
		return &spool.FullError{Cause: err}
	}
	a.material = m
	return nil
}

// materialOf is what verifies the deliveries of a tenant, or nobody's.
func (h *Handler) materialOf(name string) *material {
	if h.tenants != nil {
		if m, err := h.tenants.cache.Get(name); err == nil {
			return m
		}
	}
	return h.material()
}

// noTenant says what is wrong where a request is for nobody.
func (h *Handler) noTenant(name string) string {
	if name == "" {
		return "The request names no tenant in " + h.Tenants.Name + ", or names it in a way that cannot be one; docs/tenants.md says what a name is."
	}
	return fmt.Sprintf("There is no tenant %q with a usable file. If there is such a file, the log says what is wrong with it.", name)
}

// forTenant has the secrets of the tenant judge the delivery. The header section was judged
// before anything was looked for, so that what scanners send reads no file.
func (h *Handler) forTenant(r *http.Request, a *attempt, check *signature.Check, d *signature.Delivery) (*signature.Check, error) {
	if h.tenants == nil {
		return check, nil
	}
	check.Abandon()
	err := h.enter(r, a, d.Target)
	if err != nil && (!h.UnsafeObserveOnly || err == refusal.TenantUnknown) { //nolint:errorlint // nobody wraps it
		return nil, err
	}
	a.unread = err != nil
	return a.material.verifier.Begin(d)
}

// ofTenant says of a delivery that is not authentic whether there is a tenant of that name,
// and whether anyone knows.
func (a *attempt) ofTenant(err error) error {
	switch {
	case err != refusal.SignatureMismatch: //nolint:errorlint // nobody wraps it
		return err
	case a.unknown:
		return refusal.TenantUnknown
	case a.unread:
		return refusal.Overloaded
	}
	return err
}

// leaveTenant gives up the room that the request has.
func (a *attempt) leaveTenant() {
	if a.leave != nil {
		a.leave()
	}
}

func (t *tenants) enterStranger(a *attempt) error {
	select {
	case t.strangers <- struct{}{}:
		a.unknown, a.leave = true, func() { <-t.strangers }
		return nil
	default:
		return refusal.TenantUnknown
	}
}

var errTenantFull = errors.New("too many deliveries of this tenant are under way")

// hold makes room for a verified delivery of a tenant, until a.leave, and names the tenant.
func (t *tenants) hold(a *attempt) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	held, size := t.held[a.tenant], a.body.Size()
	if held == nil {
		held = new(holding)
		t.held[a.tenant] = held
	}
	if held.deliveries == maxHeld || held.deliveries > 0 && held.bytes+size > budget.Disk.Limit()/maxShare {
		return &spool.FullError{Cause: errTenantFull}
	}
	held.deliveries++
	held.bytes += size
	a.owner, a.leave = a.tenant, func() { t.release(a.tenant, size) }
	return nil
}

func (t *tenants) release(name string, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := t.held[name]
	held.deliveries--
	held.bytes -= size
	if held.deliveries == 0 {
		delete(t.held, name)
	}
}

// tenantAt is the name of the tenant that a request is for; empty: there is none.
func (h *Handler) tenantAt(r *http.Request) string {
	if h.tenants == nil {
		return ""
	}
	return h.tenants.tenantOf(r, arrived(r).target)
}

// addTenants tells the command how to find the secrets of a tenant.
func (h *Handler) addTenants(gate *command.Gate) {
	if h.tenants == nil {
		return
	}
	folder := tenant.Folder(h.Tenants.Folder)
	gate.Tenants = func(name string) ([]signature.Secret, error) {
		file, err := folder.Read(name)
		if err != nil {
			return nil, err
		}
		m, err := h.tenantMaterial(name, file.Text)
		if err != nil {
			return nil, fmt.Errorf("the file of the tenant %s cannot be used: %w", name, err)
		}
		return m.texts.secrets, nil
	}
}

// tenantFindings reads the files of all tenants, and says what is wrong with them.
func (h *Handler) tenantFindings() (found []lint.Finding) {
	if h.tenants == nil {
		return nil
	}
	about := func(kind lint.Kind, change func(*lint.Finding)) {
		found = append(found, lint.About(kind, func(f *lint.Finding) { f.Gate = h.Name }, change))
	}
	folder := tenant.Folder(h.Tenants.Folder)
	names, _ := folder.Names() // it was read when the configuration was loaded
	owners, readable := make(map[string]string), false
	for _, name := range names {
		file, err := folder.Read(name)
		var m *material
		if err == nil {
			m, err = h.tenantMaterial(name, file.Text)
		}
		if err != nil {
			about(lint.TenantUnusable, func(f *lint.Finding) { f.Tenant, f.Problem = name, f.Problem+": "+err.Error() })
			continue
		}
		for _, key := range m.verifier.ShortKeys(minSecret) {
			about(lint.KeyShort, func(f *lint.Finding) { f.Tenant, f.Secret = name, key })
		}
		for _, id := range m.verifier.KeyIDs() {
			if other, ok := owners[id]; ok && other != name {
				about(lint.TenantsShare, func(f *lint.Finding) { f.Tenant = other + " and " + name })
			}
			owners[id] = name
		}
		if path := filepath.Join(h.Tenants.Folder, name); !readable && isWorldReadable("{file."+path+"}") {
			readable = true
			about(lint.TenantFileReadable, func(f *lint.Finding) { f.Tenant = name })
		}
	}
	for _, name := range folder.Strays() {
		about(lint.TenantNoName, func(f *lint.Finding) { f.By = strconv.Quote(name) })
	}
	return found
}

// tenantsOption reads a folder and a placeholder. The adapter has made its long form of it.
func (h *Handler) tenantsOption(l options.Line) error {
	h.Tenants = new(Tenants)
	if len(l.Args) != 2 {
		return nil // checkTenants says what is missing
	}
	h.Tenants.Folder, h.Tenants.Name = l.Args[0], l.Args[1]
	if _, err := os.Stat(l.Args[1]); err == nil {
		return errors.New("the folder comes first, and then the placeholder; write for example: tenants /etc/caddy/tenants {path.1}")
	}
	return nil
}
