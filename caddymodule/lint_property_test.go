package caddymodule

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// A generator writes Caddyfiles with gates, answers and one app in any order.
type generator struct {
	*rand.Rand
	app   string
	gates int
}

func (g *generator) caddyfile() string {
	var b strings.Builder
	if g.IntN(4) == 0 {
		b.WriteString("{\n order webhook_auth " + g.pick("last", "first", "after reverse_proxy") + "\n}\n")
	}
	b.WriteString("&(gate) {\n" + g.gate("") + "}\n&(app) {\n reverse_proxy " + g.app + "\n}\n&(both) {\n" + g.block(0) + "}\n:8080 {\n")
	return b.String() + g.block(3) + "}\n"
}

func (g *generator) pick(words ...string) string { return words[g.IntN(len(words))] }

func (g *generator) matcher() string {
	return g.pick("", "", "", " /a", " /a", " /b", " /a*", " @put", " @field")
}

func (g *generator) gate(matcher string) string {
	g.gates++
	return fmt.Sprintf("webhook_auth%s {\n secret {env.WEBHOOK_SECRET}\n name g%d\n}\n", matcher, g.gates)
}

// block has a gate and an app more often than not.
func (g *generator) block(depth int) string {
	var b strings.Builder
	if depth > 0 {
		b.WriteString("@put method PUT\n@field header X-Field x\n")
	}
	for range 1 + g.IntN(4) {
		b.WriteString(g.directive(depth))
	}
	return b.String()
}

func (g *generator) directive(depth int) string {
	matcher := g.matcher()
	if depth == 0 {
		matcher = g.pick("", "", " /a", " /b") // a named route has no named matchers
	}
	choice := g.IntN(13)
	if depth == 0 {
		choice = g.IntN(8)
	}
	switch choice {
	case 0, 1:
		return g.gate(matcher)
	case 2, 3:
		return "reverse_proxy" + matcher + " " + g.app + "\n"
	case 4:
		return "respond" + matcher + " ok\n"
	case 5:
		return "header" + matcher + " X-Seen y\n"
	case 6:
		return "rewrite" + g.pick(" /a /b", " /b /a", " * /a") + "\n"
	case 7:
		return "request_header" + matcher + " X-Field x\n"
	case 8:
		return "invoke" + matcher + " " + g.pick("gate", "app", "both") + "\n"
	case 9, 10:
		return "handle" + matcher + " {\n" + g.block(depth-1) + "}\n"
	case 11:
		return "handle_path /a* {\n" + g.block(depth-1) + "}\n"
	}
	return "route" + matcher + " {\n" + g.block(depth-1) + "}\n"
}

type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetReadDeadline(time.Time) error { return nil }

// outcome is what became of one request.
type outcome struct{ refused, app, answered bool }

// TestFindingsHold runs requests through random configurations. What is certain must be
// so: no request meets a gate that is never met, and none is answered behind a gate with
// nothing behind it. And what is found must be all: where an unsigned request reaches an
// app that is guarded elsewhere, there is a finding.
func TestFindingsHold(t *testing.T) {
	var hits atomic.Int64
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { hits.Add(1) }))
	t.Cleanup(app.Close)
	t.Setenv("WEBHOOK_SECRET", testSecret)
	t.Setenv("HOME", t.TempDir())
	configurations, around := 0, 0
	for seed := range uint64(1200) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), app: strings.TrimPrefix(app.URL, "http://")}
		config := g.caddyfile()
		server, findings := serverOf(t, config)
		if server == nil {
			continue
		}
		configurations++
		has := func(k lint.Kind) bool {
			return slices.ContainsFunc(findings, func(f lint.Finding) bool { return f.Kind == k })
		}
		refused := slices.ContainsFunc(findings, func(f lint.Finding) bool { return f.Severity == lint.Error })
		var open, guarded bool
		for _, method := range []string{"POST", "PUT"} {
			for _, path := range []string{"/a", "/b", "/ab", "/a/b", "/c"} {
				for _, field := range []string{"", "x"} {
					unsigned, signed := run(t, server, &hits, method, path, field, false), run(t, server, &hits, method, path, field, true)
					open = open || unsigned.app
					guarded = guarded || unsigned.refused && signed.app
				}
			}
		}
		if open && guarded {
			around++
			if !refused && !has("way_around") {
				t.Fatalf("seed %d: an unsigned request reaches the guarded app, and nothing is found:\n%s", seed, config)
			}
		}
		checkCertain(t, seed, config, server, findings)
	}
	if configurations < 400 || around < 25 {
		t.Errorf("only %d configurations, %d of them open", configurations, around)
	}
}

// checkCertain runs signed requests, and follows which gates they meet.
func checkCertain(t *testing.T, seed uint64, config string, server *caddyhttp.Server, findings []lint.Finding) {
	t.Helper()
	byName := make(map[string][]lint.Kind)
	for _, f := range findings {
		if f.Severity == lint.Error {
			byName[f.Gate] = append(byName[f.Gate], f.Kind)
		}
	}
	places := make(map[string]int)
	lint.Walk(server, noGate, func(handler caddyhttp.MiddlewareHandler, _ lint.Place) {
		if h, ok := handler.(*Handler); ok {
			places[h.Name]++
		}
	})
	for name, found := range byName {
		if places[name] > 1 { // invoked from several places: one of them is meant
			continue
		}
		for _, path := range []string{"/a", "/b", "/ab", "/a/b", "/c"} {
			for _, method := range []string{"POST", "PUT"} {
				met := wayOf(server, httptest.NewRequest(method, path, nil)).gates
				isMet := slices.ContainsFunc(met, func(h *Handler) bool { return h.Name == name })
				if isMet && slices.Contains(found, "never_met") {
					t.Errorf("seed %d: %s %s meets %s, which is never met:\n%s", seed, method, path, name, config)
				}
				var hits atomic.Int64
				if isMet && slices.Contains(found, "nothing_behind") && run(t, server, &hits, method, path, "", true).answered {
					t.Errorf("seed %d: %s %s is answered behind %s:\n%s", seed, method, path, name, config)
				}
			}
		}
	}
}

// serverOf is nil for what is not a configuration.
func serverOf(t *testing.T, config string) (*caddyhttp.Server, []lint.Finding) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		return nil, nil
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &parsed); err != nil {
		t.Fatal(err)
	}
	parsed.Logging = silence()
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	shared, err := ctx.App("webhook_auth")
	if err != nil {
		t.Fatal(err)
	}
	routes, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range routes.(*caddyhttp.App).Servers {
		return server, findings(shared.(*App), nil)
	}
	return nil, nil
}

func run(t *testing.T, server *caddyhttp.Server, hits *atomic.Int64, method, path, field string, signed bool) outcome {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("body"))
	if field != "" {
		r.Header.Set("X-Field", field)
	}
	if signed {
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte("body"))
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	before, answered := hits.Load(), true
	w := deadlineRecorder{httptest.NewRecorder()}
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, server)
	_ = server.Routes.Compile(caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		answered = false
		return nil
	})).ServeHTTP(w, r)
	refused := w.Header().Get("Webhook-Auth-Error-Id") != ""
	return outcome{refused: refused, app: hits.Load() > before, answered: answered && !refused}
}
