package caddymodule

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// withTenants is a gate whose tenants are named by the host.
func withTenants(t *testing.T, others ...*Handler) (*Handler, string) {
	t.Helper()
	folder, ctx := t.TempDir(), emptyContext(t)
	h := &Handler{Name: t.Name(), Tenants: &Tenants{Folder: folder, Name: "{http.request.host}"}}
	for _, gate := range append(others, h) {
		if err := gate.Provision(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return h, folder
}

func tenantFile(t *testing.T, folder, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// toHost is a delivery to the tenant of a host.
func toHost(host, secret string) *http.Request {
	r := signedBy(secret, "sha256", delivery)
	r.Host = host
	return r
}

// answerOf is what a request is answered with.
func answerOf(h *Handler, r *http.Request) (int, *spy) {
	w, app := newRecorder(), new(spy)
	_, _ = serve(h, w, r, app)
	return w.Code, app
}

// A request for a tenant that is unknown, or named in a way that cannot be one, is refused
// like a wrong signature.
func TestTenantRefusals(t *testing.T) {
	h, folder := withTenants(t)
	tenantFile(t, folder, "acme", testSecret)
	tenantFile(t, folder, "broken", "changeme")
	if status, app := answerOf(h, toHost("ACME", testSecret)); status != http.StatusOK || app.calls != 1 {
		t.Errorf("acme: status %d, %d calls", status, app.calls)
	}
	for host, want := range map[string]refusal.Reason{
		"acme": refusal.SignatureMismatch, "globex": refusal.TenantUnknown, "broken": refusal.TenantUnknown, "": refusal.TenantUnknown,
		"../acme": refusal.TenantUnknown, ".acme": refusal.TenantUnknown,
	} {
		w, app := newRecorder(), new(spy)
		r, err := serve(h, w, toHost(host, anotherSecret), app)
		wantRefused(t, w, r, err, app, want)
	}
}

// Deliveries of one tenant leave room for the others, and those of nobody for all.
func TestTenantBounds(t *testing.T) {
	h, folder := withTenants(t)
	tenantFile(t, folder, "acme", testSecret)
	tenantFile(t, folder, "globex", testSecret)
	h.tenants.held["acme"] = &holding{deliveries: maxHeld}
	if status, _ := answerOf(h, toHost("acme", testSecret)); status != http.StatusServiceUnavailable {
		t.Errorf("one more than may be held: status %d", status)
	}
	if status, _ := answerOf(h, toHost("globex", testSecret)); status != http.StatusOK {
		t.Errorf("another tenant: status %d", status)
	}
	h.tenants.held["acme"] = &holding{deliveries: 1, bytes: budget.Disk.Limit() / maxShare}
	if status, _ := answerOf(h, toHost("acme", testSecret)); status != http.StatusServiceUnavailable {
		t.Errorf("more bytes than its share: status %d", status)
	}
	h.tenants.held["acme"] = &holding{deliveries: 1}
	if status, _ := answerOf(h, toHost("acme", testSecret)); status != http.StatusOK || h.tenants.held["acme"].deliveries != 1 || len(h.tenants.held) != 1 {
		t.Errorf("status %d, and then %v is held", status, h.tenants.held)
	}
	for range maxStrangers {
		h.tenants.strangers <- struct{}{}
	}
	if status, _ := answerOf(h, toHost("nobody", testSecret)); status != http.StatusUnauthorized {
		t.Errorf("one stranger more: status %d", status)
	}
	if status, _ := answerOf(h, toHost("globex", testSecret)); status != http.StatusOK {
		t.Errorf("a tenant beside them: status %d", status)
	}
}

// Strangers who know the name of a tenant take none of its room, however many there are and
// whatever length they announce.
func TestStrangersTakeNoRoom(t *testing.T) {
	h, folder := withTenants(t)
	tenantFile(t, folder, "acme", testSecret)
	forged := toHost("acme", anotherSecret)
	forged.ContentLength = h.MaxSize
	forged.Body = io.NopCloser(onRead(func() {
		if len(h.tenants.held) != 0 {
			t.Errorf("%v is held of a tenant while a forged body arrives", *h.tenants.held["acme"])
		}
	}))
	if status, _ := answerOf(h, forged); status == http.StatusOK {
		t.Errorf("status %d", status)
	}
}

// An app that panics, and a body that breaks off, leave nothing held.
func TestRoomIsGivenBack(t *testing.T) {
	h, folder := withTenants(t)
	tenantFile(t, folder, "acme", testSecret)
	app := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		if len(h.tenants.held) != 1 {
			t.Errorf("%d tenants held, want 1", len(h.tenants.held))
		}
		panic(http.ErrAbortHandler)
	})
	func() {
		defer func() { _ = recover() }()
		w := newRecorder()
		_ = h.ServeHTTP(w, caddyhttp.PrepareRequest(toHost("acme", testSecret), caddy.NewReplacer(), w, nil), app)
	}()
	broken := toHost("nobody", testSecret)
	broken.ContentLength++
	answerOf(h, broken)
	if len(h.tenants.held) != 0 || len(h.tenants.strangers) != 0 {
		t.Errorf("%d tenants and %d strangers are held afterwards", len(h.tenants.held), len(h.tenants.strangers))
	}
}

// A tenant must not bring what another gate shows, or has strangers sign with; also not when
// that gate changes later.
func TestTenantsBesideOtherGates(t *testing.T) {
	const token = "tk-0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	oracle := &Handler{Name: "oracle", Preset: "x", Challenge: &Challenge{Kind: "x"}, Secrets: []Secret{{Value: anotherSecret}}}
	path := write(t, token)
	tokens := &Handler{Name: "tokens", Headers: []string{"X-Token"}, Tokens: []Token{{Value: "{file." + path + "}"}}}
	h, folder := withTenants(t, oracle, tokens)
	tenantFile(t, folder, "signs", anotherSecret)
	tenantFile(t, folder, "shows", token)
	tenantFile(t, folder, "later", testSecret)
	for host, secret := range map[string]string{"signs": anotherSecret, "shows": token} {
		if status, _ := answerOf(h, toHost(host, secret)); status != http.StatusUnauthorized {
			t.Errorf("%s: status %d", host, status)
		}
	}
	if status, _ := answerOf(h, toHost("later", testSecret)); status != http.StatusOK {
		t.Errorf("later: status %d", status)
	}
	if err := os.WriteFile(path, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens.notice(t.Context(), tokens.files.read())
	if status, _ := answerOf(h, toHost("later", testSecret)); status != http.StatusUnauthorized {
		t.Errorf("it is the token of another gate now: status %d", status)
	}
}

// The secrets of a file have names, or their place.
func TestTenantSecrets(t *testing.T) {
	h, _ := withTenants(t)
	for text, want := range map[string]string{
		testSecret:                             "1",
		"\n" + testSecret + "\r\n\r\n":         "1",
		"new: " + testSecret:                   "new",
		testSecret + "\nold: " + anotherSecret: "1 old",
		"a secret: with a colon, long and odd": "1",
		"":                                     "empty or blank", " \n\t": "empty or blank", "changeme": "line 1 ", testSecret + "\nchangeme": "line 2 ",
		"same: " + testSecret + "\nsame: " + anotherSecret: "used twice", strings.Repeat(testSecret+"\n", 17): "16",
	} {
		secrets, err := h.tenantSecrets(text)
		var got []string
		for _, s := range secrets {
			got = append(got, s.Name)
		}
		if err == nil && strings.Join(got, " ") != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %q, %v; want %q", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "changeme") {
			t.Errorf("the error shows it: %v", err)
		}
	}
}

// What is only observed passes, and is not called a mistake of the sender, while nobody can
// read the files.
func TestObservedWithoutFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tenants")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	h, _ := provisioned(t, &Handler{Name: t.Name(), Secrets: []Secret{}, UnsafeObserveOnly: true, Tenants: &Tenants{Folder: folder, Name: "{http.request.host}"}})
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	app := new(spy)
	r, _ := serve(h, newRecorder(), toHost("acme", testSecret), app)
	if got := placeholder(r, "reason"); app.calls != 1 || got != "overloaded" {
		t.Errorf("%d calls, reason %q", app.calls, got)
	}
}

// A captured request is judged by the tenant that it is for, also where that is nobody yet.
func TestJudgedAgain(t *testing.T) {
	folder := t.TempDir()
	h, _ := provisioned(t, &Handler{Name: t.Name(), Secrets: []Secret{}, Capture: 10, Tenants: &Tenants{Folder: folder, Name: "{http.request.host}"}})
	t.Cleanup(h.closeCapture)
	for _, host := range []string{"acme", "late", ".none"} {
		answerOf(h, toHost(host, testSecret))
	}
	tenantFile(t, folder, "late", testSecret)
	h.tenants.cache.Judge(func(*material) bool { return true }) // it is read again
	for i, want := range []string{`There is no tenant "acme"`, "", "names no tenant"} {
		v := h.judgeAgain(h.captures.held[i])
		if v.Authentic != (want == "") || !strings.Contains(v.Hint, want) || want != "" && v.Reason != "tenant_unknown" {
			t.Errorf("%d: %+v", i, v)
		}
	}
}

// The same bytes to two tenants are two deliveries to the replay guard.
func TestTenantsAndReplay(t *testing.T) {
	folder := t.TempDir()
	h, _ := provisioned(t, &Handler{Name: t.Name(), Secrets: []Secret{}, Tenants: &Tenants{Folder: folder, Name: "{http.request.host}"}, Replay: &Replay{Window: caddy.Duration(1e12)}})
	for _, name := range []string{"acme", "globex"} {
		tenantFile(t, folder, name, testSecret)
		for n, want := range []int{1, 0} {
			if _, app := answerOf(h, toHost(name, testSecret)); app.calls != want {
				t.Errorf("%s, time %d: %d calls", name, n+1, app.calls)
			}
		}
	}
}

// A name from the path is one only where all that read the path find the same segments.
func TestPlainTargets(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "/hooks/acme": true, "/hooks/acme/": true, "/hooks/acme/x.y/%C3%A9?a=../b;c": true, "http://host/hooks/acme": true,
		"": false, "*": false, "hooks": false, "/hooks/..": false, "/./hooks": false, "/hooks//acme": false, "//hooks": false, "/hooks/%2E": false, "/a%2Fb": false,
		"/a%5cb": false, "/a\\b": false, "/a;b": false, "/a%3Bb": false, "/a%252e": false, "/a%00": false, "/a//": false, "http://host//a": false,
	} {
		if isPlainTarget(target) != want {
			t.Errorf("%q: %v", target, !want)
		}
	}
	const letters = "/a.%2fF5cC;\\e\x00"
	for range 200_000 { // the short way finds no other answer than the long one
		path := []byte("/")
		for range rand.IntN(8) {
			path = append(path, letters[rand.IntN(len(letters))])
		}
		u := &url.URL{Path: string(path)}
		if isSimple(u.Path) && !isPlain(&url.URL{Path: u.Path, RawPath: u.EscapedPath()}) {
			t.Fatalf("%q", path)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/hooks/acme/../globex", nil)
	if isPlain(r.URL) {
		t.Error("a request with a dot segment")
	}
}

// What is wrong with the files of tenants is found before a delivery meets them.
func TestTenantFindings(t *testing.T) {
	h, folder := withTenants(t)
	for name, text := range map[string]string{
		"acme": testSecret, "globex": anotherSecret + "\n" + testSecret, "broken": "changeme", ".hidden": "changeme", "no-name-": testSecret, "fine": "yet-another-secret-of-a-sender-98765", "short": "k7Qz9fWmXv2",
	} {
		tenantFile(t, folder, name, text)
	}
	want := map[string]lint.Kind{"broken": lint.TenantUnusable, "acme and globex": lint.TenantsShare, `"no-name-"`: lint.TenantNoName, "short": lint.KeyShort}
	for _, f := range h.tenantFindings() {
		if kind := want[f.Tenant+f.By]; kind != f.Kind || f.Gate != h.Name {
			t.Errorf("finds %s", f)
		}
		if strings.Contains(f.String(), "changeme") || strings.Contains(f.String(), testSecret[:8]) {
			t.Errorf("it shows a secret: %s", f)
		}
		delete(want, f.Tenant+f.By)
	}
	if len(want) > 0 {
		t.Errorf("it does not find %v", want)
	}
}

// A placeholder that can never name a tenant does not load: each delivery would be refused.
func TestTenantPlaceholders(t *testing.T) {
	for written, paths := range map[string]bool{
		"{http.request.uri.path.0}": true, "{http.regexp.hook.1}": true, "{http.vars.tenant}": true,
		"{http.request.host}": false, "{http.request.host.labels.3}": false, "{http.request.header.X-Tenant}": false,
	} {
		if name, got, err := tenantName(written); err != nil || got != paths || "{"+name+"}" != written {
			t.Errorf("%s: %q, %v, %v", written, name, got, err)
		}
	}
	for _, written := range []string{
		"{http.request.uri.path.file.acme}", "{http.request.uri.path.file.base}", "{http.request.uri.path.-1}", "{http.request.uri.path.}", "{http.request.host.labels.x}",
		"{http.request.hostport}", "{http.request.header.}", "{http.request.uri.query.tenant}", "{http.request.uri.path.0}x", "http.request.host", "{env.TENANT}", "acme",
	} {
		if _, _, err := tenantName(written); err == nil {
			t.Errorf("%s names a tenant", written)
		}
	}
}
