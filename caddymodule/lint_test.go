package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// expand writes out GATE:name[:option...] as a gate of that name, with {} for a blank in
// an option.
func expand(config string) string {
	for part := range strings.FieldsSeq(config) {
		if spec, ok := strings.CutPrefix(part, "GATE:"); ok {
			words := strings.Split(spec, ":")
			block := "{\n secret {env.WEBHOOK_SECRET}\n name " + words[0] + "\n"
			for _, option := range words[1:] {
				block += strings.ReplaceAll(option, "_of_", " ") + "\n"
			}
			config = strings.Replace(config, part, block+"}\n", 1)
		}
	}
	return config
}

// findingsOf are the findings in a Caddyfile or, if it begins with "{", in JSON, as of
// `caddy webhook check`.
func findingsOf(t *testing.T, config string) []lint.Finding {
	t.Helper()
	app, logging := unstarted(t, config)
	if logging == nil {
		logging = new(caddy.Logging)
	}
	return findings(app, logging)
}

// findingsAtLoad are those that a server finds when it starts.
func findingsAtLoad(t *testing.T, config string) []lint.Finding {
	t.Helper()
	app, _ := unstarted(t, config)
	return findings(app, nil)
}

func unstarted(t *testing.T, config string) (*App, *caddy.Logging) {
	t.Helper()
	t.Setenv("WEBHOOK_SECRET", testSecret)
	t.Setenv("VERIFY_TOKEN", testToken)
	t.Setenv("HOME", t.TempDir())
	raw := []byte(config)
	if !strings.HasPrefix(config, `{"`) {
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(expand(config)), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, expand(config))
		}
		raw = adapted
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &parsed); err != nil {
		t.Fatal(err)
	}
	logging := parsed.Logging
	parsed.Logging = silence()
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	app, err := ctx.App("webhook_auth")
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App), logging
}

// short is a finding in a word or some: its severity if it is not that of its kind.
func short(f lint.Finding) string {
	words := []string{string(f.Kind)}
	if f.Severity != f.Kind.Severity() {
		words[0] += "(" + string(f.Severity) + ")"
	}
	for _, word := range []string{f.Gate, f.Upstream, strings.Join(f.Paths, ",")} {
		if word != "" {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

// tokenGate is a gate with a token and an app, and tokenFilter the global option that keeps
// the token out of the logs.
const (
	tokenGate   = " webhook_auth {\n token {env.WEBHOOK_SECRET}\n header X-Token\n}\n reverse_proxy app:1\n"
	tokenFilter = "{\n log {\n format filter {\n request>headers>X-Token delete\n}\n}\n}\n"
)

const hubFilter = "format filter {\n request>headers>X-Hub-Signature-256 delete\n request>headers>X-Hub-Signature hash\n}\n"

var findingTests = []struct {
	name, config string
	want         []string
}{
	// What is right.
	{"handle", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n respond 404\n}", nil},
	{"the whole site", ":8080 {\n webhook_auth GATE:g\n reverse_proxy app:1\n}", nil},
	{"a sink", ":8080 {\n handle /a {\n webhook_auth GATE:g\n respond ok\n}\n}", nil},
	{"an unknown module behind", ":8080 {\n handle /a {\n webhook_auth GATE:g\n fake_unknown\n}\n}", nil},
	{"php_fastcgi", ":8080 {\n handle /a {\n webhook_auth GATE:g\n php_fastcgi app:9000\n}\n}", nil},
	{"file_server behind", ":8080 {\n handle /a {\n webhook_auth GATE:g\n file_server\n}\n}", nil},
	{"a proxy with matchers behind", ":8080 {\n webhook_auth GATE:g\n reverse_proxy /x app:1\n}", nil},
	{"two apps without replay", ":8080 {\n webhook_auth GATE:g\n handle /a {\n reverse_proxy app:1\n}\n handle /b {\n reverse_proxy app:2\n}\n}", nil},
	{"redir in front", ":8080 {\n redir /old /new\n webhook_auth GATE:g\n reverse_proxy app:1\n}", nil},
	{"health in front", ":8080 {\n route {\n respond /health ok\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"answer some", ":8080 {\n handle /a {\n webhook_auth GATE:g\n @ping header X-GitHub-Event ping\n respond @ping 200\n reverse_proxy app:1\n}\n}", nil},
	{"forward_auth in front", ":8080 {\n route {\n forward_auth auth:1 {\n uri /x\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"what hands on, behind and in front", ":8080 {\n handle /a {\n route {\n tracing {\n span x\n}\n vars a b\n map {path} {x} {\n default y\n}\n header X y\n request_header X y\n" +
		"encode gzip\n request_body {\n max_size 1MB\n}\n rewrite * /b\n log_append a b\n push\n webhook_auth GATE:g\n templates\n basic_auth {\n bob $2a$14$W/XRQk9tEBUsrnOjcq8r3eis4cM7kpW2Yc0AO7ECrABS.3lROYWu.\n}\n reverse_proxy app:1\n}\n}\n}", nil},

	// Nothing behind.
	{"nothing behind", ":8080 {\n handle /a {\n webhook_auth GATE:g\n}\n}", []string{"nothing_behind g /a"}},
	{"nothing behind what hands on", ":8080 {\n handle /a {\n webhook_auth GATE:g\n encode gzip\n header X y\n templates\n}\n}", []string{"nothing_behind g /a"}},
	{"the whole site alone", ":8080 {\n webhook_auth GATE:g\n}", []string{"nothing_behind g"}},
	{"in the other handle", ":8080 {\n handle /a {\n webhook_auth GATE:g\n}\n handle {\n reverse_proxy app:1\n}\n}", []string{"nothing_behind g /a"}},
	{"only forward_auth behind", ":8080 {\n handle /a {\n webhook_auth GATE:g\n forward_auth auth:1 {\n uri /x\n}\n}\n}", []string{"nothing_behind g /a"}},
	{"only an error route behind", ":8080 {\n handle /a {\n webhook_auth GATE:g\n}\n handle_errors {\n respond error\n}\n}", []string{"nothing_behind g /a", "error_routes_unused g /a"}},
	{"falls through", ":8080 {\n handle /a {\n webhook_auth GATE:g\n}\n reverse_proxy /a app:1\n}", nil},
	{"falls through to a terminal 404", ":8080 {\n handle /a {\n webhook_auth GATE:g\n}\n respond 404\n}", []string{"only_errors_behind g /a"}},
	{"falls through a route", ":8080 {\n route /a {\n handle {\n webhook_auth GATE:g\n}\n}\n reverse_proxy app:1\n}", []string{"way_around g app:1"}},
	{"in another site", "http://a.example {\n webhook_auth GATE:g\n}\nhttp://b.example {\n reverse_proxy app:1\n}", []string{"nothing_behind g"}},
	{"snippet", "(gate) {\n webhook_auth GATE:g\n}\n:8080 {\n handle /a {\n import gate\n reverse_proxy app:1\n}\n}", nil},
	{"snippet alone", "(gate) {\n webhook_auth GATE:g\n}\n:8080 {\n handle /a {\n import gate\n}\n}", []string{"nothing_behind g /a"}},
	{"named route, the app in the caller", "&(gate) {\n webhook_auth GATE:g\n}\n:8080 {\n handle /a {\n invoke gate\n reverse_proxy app:1\n}\n}", nil},
	{"named route, no app", "&(gate) {\n webhook_auth GATE:g\n}\n:8080 {\n handle /a {\n invoke gate\n}\n handle /b {\n invoke gate\n reverse_proxy app:1\n}\n}", []string{"nothing_behind g /a"}},
	{"the app by another spelling", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy localhost:1 App:2\n}\n reverse_proxy /b tcp/localhost:1\n reverse_proxy /c 0.0.0.0:1\n reverse_proxy /d app.:2\n}", []string{"way_around g localhost:1 /b", "way_around g localhost:1 /c", "way_around g app:2 /d"}},
	{"named route, gate and app", "&(app) {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n:8080 {\n handle /a {\n invoke app\n}\n}", nil},
	{"named route, the gate behind another handler", "&(gate) {\n request_body {\n max_size 1MB\n}\n webhook_auth GATE:g\n}\n:8080 {\n handle /a {\n invoke gate\n}\n reverse_proxy app:1\n}", []string{"way_around g app:1"}},
	{"the app in a named route", "&(app) {\n reverse_proxy app:1\n}\n:8080 {\n handle /a {\n webhook_auth GATE:g\n invoke app\n}\n}", nil},
	{"gate in handle_errors", ":8080 {\n respond /a ok\n handle_errors {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"gate alone in handle_errors", ":8080 {\n respond /a ok\n handle_errors {\n webhook_auth GATE:g\n}\n}", []string{"nothing_behind g"}},
	{"only an error behind", ":8080 {\n handle /a {\n webhook_auth GATE:g\n error 500\n}\n}", []string{"only_errors_behind g /a"}},

	// Something answers first.
	{"proxy before the gate", ":8080 {\n route {\n reverse_proxy app:1\n webhook_auth GATE:g\n}\n}", []string{"never_met g"}},
	{"order last", "{\n order webhook_auth last\n}\n:8080 {\n webhook_auth GATE:g\n reverse_proxy app:1\n}", []string{"never_met g"}},
	{"order after", "{\n order webhook_auth after reverse_proxy\n}\n:8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"never_met g /a"}},
	{"order last, one matcher", "{\n order webhook_auth last\n}\n:8080 {\n webhook_auth /a GATE:g\n reverse_proxy /a app:1\n}", []string{"never_met g /a"}},
	{"order last, another matcher", "{\n order webhook_auth last\n}\n:8080 {\n webhook_auth GATE:g\n reverse_proxy /a app:1\n respond ok\n}", []string{"never_met g"}},
	{"respond before the gate", ":8080 {\n route {\n respond ok\n webhook_auth GATE:g\n}\n}", []string{"never_met g"}},
	{"redir before the gate", ":8080 {\n redir https://x.example\n webhook_auth GATE:g\n reverse_proxy app:1\n}", []string{"never_met g"}},
	{"the matcher of a group around", ":8080 {\n handle /a {\n route {\n reverse_proxy /a app:1\n webhook_auth GATE:g\n}\n}\n}", []string{"never_met g /a"}},
	{
		"one way of two", "&(gate) {\n webhook_auth GATE:g\n}\n:8080 {\n handle /a {\n invoke gate\n reverse_proxy app:1\n}\n handle /b {\n route {\n reverse_proxy app:1\n invoke gate\n}\n}\n}",
		[]string{"never_met g /b", "way_around g app:1 /b"},
	},
	{"early hints do not answer", ":8080 {\n route {\n respond 103\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"a file server that passes through", ":8080 {\n route {\n file_server {\n pass_thru\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},

	// Something answers between gate and app.
	{"respond before the proxy", ":8080 {\n handle /a {\n webhook_auth GATE:g\n respond ok\n reverse_proxy app:1\n}\n}", []string{"answered_before_app g /a"}},
	{"the matcher of the gate", ":8080 {\n webhook_auth /a GATE:g\n respond /a ok\n reverse_proxy app:1\n}", []string{"answered_before_app g /a"}},
	{"the matcher around", ":8080 {\n handle /a {\n webhook_auth GATE:g\n respond /a ok\n reverse_proxy app:1\n}\n}", []string{"answered_before_app g /a"}},
	{"a sink, and the rest of the site", ":8080 {\n route /a {\n webhook_auth GATE:g\n respond ok\n}\n reverse_proxy app:1\n}", nil},
	{"another matcher", ":8080 {\n webhook_auth /a GATE:g\n respond /b ok\n reverse_proxy /a app:1\n}", nil},

	// intercept.
	{"intercept 401 proxies", ":8080 {\n route {\n intercept {\n @no status 401\n handle_response @no {\n reverse_proxy app:2\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept 4xx proxies", ":8080 {\n route {\n intercept {\n @no status 4xx\n handle_response @no {\n reverse_proxy app:2\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept 2xx proxies", ":8080 {\n route {\n intercept {\n @no status 2xx\n handle_response @no {\n reverse_proxy app:2\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept all, by a named route", "&(app) {\n reverse_proxy app:2\n}\n:8080 {\n route {\n intercept {\n handle_response {\n invoke app\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept to php_fastcgi", ":8080 {\n route {\n intercept {\n handle_response {\n php_fastcgi app:9000\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept to an unknown module", ":8080 {\n route {\n intercept {\n handle_response {\n fake_unknown\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept of the header", ":8080 {\n route {\n intercept {\n @x header X-Accel *\n handle_response @x {\n reverse_proxy app:2\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept with a matcher", ":8080 {\n handle /a {\n route {\n intercept /a {\n handle_response {\n reverse_proxy app:2\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}\n}", []string{"intercept_reaches_app g /a"}},
	{"intercept around a route", ":8080 {\n intercept {\n handle_response {\n reverse_proxy app:2\n}\n}\n route {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_reaches_app g"}},
	{"intercept elsewhere", ":8080 {\n intercept /b/* {\n handle_response {\n reverse_proxy app:2\n}\n}\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"intercept in another handle", ":8080 {\n handle /b {\n intercept {\n handle_response {\n reverse_proxy app:2\n}\n}\n respond ok\n}\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"intercept 404", ":8080 {\n route {\n intercept {\n @no status 404\n handle_response @no {\n reverse_proxy app:2\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"intercept behind the gate", ":8080 {\n route {\n webhook_auth GATE:g\n intercept {\n handle_response {\n reverse_proxy app:2\n}\n}\n reverse_proxy app:1\n}\n}", nil},
	{"intercept in its usual place", ":8080 {\n webhook_auth GATE:g\n intercept {\n handle_response {\n reverse_proxy app:2\n}\n}\n reverse_proxy app:1\n}", nil},
	{"intercept that only answers", ":8080 {\n route {\n intercept {\n @no status 5xx\n handle_response @no {\n respond \"sorry\" 503\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},
	{"intercept to 200", ":8080 {\n route {\n intercept {\n @no status 4xx\n replace_status @no 200\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_hides_refusal g"}},
	{"intercept responds 204", ":8080 {\n route {\n intercept {\n handle_response {\n respond 204\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", []string{"intercept_hides_refusal g"}},
	{"intercept 200 to 202", ":8080 {\n route {\n intercept {\n @ok status 200\n replace_status @ok 202\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}", nil},

	// Error routes.
	{"error routes, no on_refusal", ":8080 {\n webhook_auth GATE:g\n reverse_proxy app:1\n handle_errors {\n respond error\n}\n}", []string{"error_routes_unused g"}},
	{"error routes, answer", ":8080 {\n webhook_auth GATE:g:on_refusal_of_answer\n reverse_proxy app:1\n handle_errors {\n respond error\n}\n}", nil},
	{"error routes, on_refusal", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n respond error\n}\n}", nil},
	{"error routes of another site", "http://a.example {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n}\nhttp://b.example {\n respond b\n handle_errors {\n php_fastcgi app:9000\n}\n}", nil},
	{"error routes of other statuses", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors 404 410 {\n php_fastcgi app:9000\n}\n}", nil},
	{"error routes of these statuses", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors 404 4xx {\n php_fastcgi app:9000\n}\n}", []string{"error_route_reaches_app g"}},
	{"error routes to FastCGI", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n php_fastcgi app:9000\n}\n}", []string{"error_route_reaches_app g"}},
	{"error routes to FastCGI over reverse_proxy", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n reverse_proxy app:2 {\n transport fastcgi\n}\n}\n}", []string{"error_route_reaches_app g"}},
	{"error routes to an unknown module", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n fake_unknown\n}\n}", []string{"error_route_reaches_app g"}},
	{"error routes to HTTP", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n reverse_proxy app:2\n}\n}", []string{"error_route_proxies g"}},
	{"error routes to FastCGI, not asked", ":8080 {\n webhook_auth GATE:g:on_refusal_of_answer\n reverse_proxy app:1\n handle_errors {\n php_fastcgi app:9000\n}\n}", nil},
	{"error routes that say 200", ":8080 {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n respond 200\n}\n}", []string{"error_route_hides_refusal g"}},
	{
		"error routes that change the path first", ":8080 {\n route /hook* {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n}\n handle_errors {\n rewrite * /err\n reverse_proxy /err app:2 {\n transport fastcgi\n}\n}\n}",
		[]string{"error_route_reaches_app g /hook*"},
	},
	{
		"error routes that change the method first", ":8080 {\n @post method POST\n route @post {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n}\n handle_errors {\n @get method GET\n method GET\n php_fastcgi @get app:9000\n}\n}",
		[]string{"error_route_reaches_app g"},
	},
	{
		"error routes of another path", ":8080 {\n route /hook* {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n}\n handle_errors {\n reverse_proxy /err app:2 {\n transport fastcgi\n}\n}\n}", nil,
	},
	{
		"a host that is changed in front of the gate", "http://a.example {\n route {\n request_header Host b.example\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n}\n}\nhttp://b.example {\n respond b\n handle_errors {\n php_fastcgi app:9000\n}\n}",
		[]string{"error_route_reaches_app g"},
	},
	{
		"an error page of one site, FastCGI of the other", "http://a.example {\n webhook_auth GATE:g:on_refusal_of_handle_errors\n reverse_proxy app:1\n handle_errors {\n rewrite * /error.html\n file_server\n}\n}\nhttp://b.example {\n respond b\n handle_errors {\n php_fastcgi app:9000\n}\n}", nil,
	},
	{
		"error routes that raise another error", `{"apps":{"http":{"servers":{"s":{"listen":[":8080"],"routes":[{"handle":[{"handler":"subroute",
		"routes":[{"handle":[{"handler":"webhook_auth","name":"g","on_refusal":"handle_errors","secrets":[{"value":"{env.WEBHOOK_SECRET}"}]},
		{"handler":"reverse_proxy","upstreams":[{"dial":"app:1"}]}]}],
		"errors":{"routes":[{"handle":[{"handler":"file_server"}]}]}}]}],
		"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} == 404"}],
		"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"},"upstreams":[{"dial":"app:2"}]}]}]}}}}}}`,
		[]string{"error_route_reaches_app g"},
	},
	{
		"error routes that only respond, and another status", `{"apps":{"http":{"servers":{"s":{"listen":[":8080"],"routes":[{"handle":[{"handler":"subroute",
		"routes":[{"handle":[{"handler":"webhook_auth","name":"g","on_refusal":"handle_errors","secrets":[{"value":"{env.WEBHOOK_SECRET}"}]},
		{"handler":"reverse_proxy","upstreams":[{"dial":"app:1"}]}]}],
		"errors":{"routes":[{"handle":[{"handler":"static_response","status_code":403}]}]}}]}],
		"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} == 404"}],
		"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"},"upstreams":[{"dial":"app:2"}]}]}]}}}}}}`,
		nil,
	},
	{
		"an error that goes on behind a subroute, raised anew", `{"apps":{"http":{"servers":{"s":{"listen":[":8080"],"routes":[{"handle":[{"handler":"subroute",
		"routes":[{"handle":[{"handler":"webhook_auth","name":"g","on_refusal":"handle_errors","secrets":[{"value":"{env.WEBHOOK_SECRET}"}]},
		{"handler":"reverse_proxy","upstreams":[{"dial":"app:1"}]}]}],
		"errors":{"routes":[{"handle":[{"handler":"vars"}]}]}}]},{"handle":[{"handler":"file_server"}]}],
		"errors":{"routes":[{"match":[{"expression":"{http.error.status_code} == 404"}],
		"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"},"upstreams":[{"dial":"app:2"}]}]}]}}}}}}`,
		[]string{"error_route_reaches_app g"},
	},
	{"a build hook", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1 {\n method GET\n handle_response {\n respond 204\n}\n}\n}\n}", nil},
	{"a host that is matched once more", ":8080 {\n @a host a.example\n route {\n respond @a ok\n request_header Host a.example\n route @a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}\n}", nil},
	{
		"intercept 504 to 200", ":8080 {\n route {\n intercept {\n @late status 504\n replace_status @late 200\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n}",
		[]string{"intercept_hides_refusal g"},
	},
	{
		"subroute with errors", `{"apps":{"http":{"servers":{"s":{"listen":[":8080"],"routes":[{"handle":[{"handler":"subroute",
		"routes":[{"handle":[{"handler":"webhook_auth","name":"g","on_refusal":"handle_errors","secrets":[{"value":"{env.WEBHOOK_SECRET}"}]},
		{"handler":"reverse_proxy","upstreams":[{"dial":"app:1"}]}]}],
		"errors":{"routes":[{"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"},"upstreams":[{"dial":"app:2"}]}]}]}}]}]}}}}}`,
		[]string{"error_route_reaches_app g"},
	},
	{
		"behind a subroute with errors", `{"apps":{"http":{"servers":{"s":{"listen":[":8080"],"routes":[
		{"handle":[{"handler":"subroute","routes":[{"handle":[{"handler":"vars"}]}],
		"errors":{"routes":[{"handle":[{"handler":"reverse_proxy","transport":{"protocol":"fastcgi"},"upstreams":[{"dial":"app:2"}]}]}]}}]},
		{"handle":[{"handler":"webhook_auth","name":"g","on_refusal":"handle_errors","secrets":[{"value":"{env.WEBHOOK_SECRET}"}]},
		{"handler":"reverse_proxy","upstreams":[{"dial":"app:1"}]}]}]}}}}}`,
		[]string{"error_route_reaches_app g"},
	},

	// Ways around.
	{"the rest of the site", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy localhost:1\n}\n handle {\n reverse_proxy 127.0.0.1:1\n}\n}", []string{"way_around g localhost:1"}},
	{"the rest of the site, meant", "{\n webhook_auth {\n unguarded [::1]:1\n}\n}\n:8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy localhost:1\n}\n handle {\n reverse_proxy 127.0.0.1:1\n}\n}", nil},
	{
		"another one meant", "{\n webhook_auth {\n unguarded app:2 app:3\n}\n}\n:8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1 app:2\n}\n handle {\n reverse_proxy app:1 app:2\n}\n}",
		[]string{"way_around g app:1", "unguarded_unused app:3"},
	},
	{"behind something that answers", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n handle {\n respond 404\n reverse_proxy app:1\n}\n}", nil},
	{"behind all handles", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n handle {\n respond 404\n}\n reverse_proxy app:1\n}", nil},
	{"in an error route", ":8080 {\n handle /a {\n webhook_auth GATE:g:on_refusal_of_answer\n reverse_proxy app:1\n}\n handle_errors {\n reverse_proxy app:1\n}\n}", []string{"way_around g app:1"}},
	{"in intercept", ":8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n handle /b {\n intercept {\n handle_response {\n reverse_proxy app:1\n}\n}\n respond ok\n}\n}", []string{"way_around g app:1 /b"}},
	{"a rewrite between gate and proxy", ":8080 {\n route {\n webhook_auth /a GATE:g\n rewrite /b /a\n reverse_proxy /a app:1\n}\n}", []string{"way_around g app:1 /a"}},
	{"a field added between gate and proxy", ":8080 {\n @x header X-Kind hook\n webhook_auth @x GATE:g\n request_header X-Kind hook\n reverse_proxy @x app:1\n}", []string{"way_around g app:1"}},
	{"a field added in front", ":8080 {\n @x header X-Kind hook\n route {\n request_header X-Kind hook\n webhook_auth @x GATE:g\n reverse_proxy @x app:1\n}\n}", nil},
	{"a field added, matched by path", ":8080 {\n webhook_auth /a GATE:g\n request_header X-Kind hook\n reverse_proxy /a app:1\n}", nil},
	{"http and https of a site", "http://a.example {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\nhttps://a.example {\n tls internal\n webhook_auth GATE:h\n reverse_proxy app:1\n}", nil},

	// Replay guards.
	{"replay, one app", ":8080 {\n handle /a {\n webhook_auth GATE:g:replay_of_1h\n reverse_proxy app:1 app:2\n}\n}", nil},
	{"replay, two apps", ":8080 {\n webhook_auth GATE:g:replay_of_1h\n handle /a {\n reverse_proxy app:1\n}\n handle /b {\n reverse_proxy app:2\n}\n}", []string{"replay_two_apps g"}},
	{"replay, two apps, one upstream", ":8080 {\n webhook_auth GATE:g:replay_of_1h\n handle /a {\n reverse_proxy localhost:1\n}\n handle /b {\n reverse_proxy 127.0.0.1:1\n}\n}", nil},
	{"replay, invoked from two routes", "&(gate) {\n webhook_auth GATE:g:replay_of_1h\n}\n:8080 {\n handle /a {\n invoke gate\n reverse_proxy app:1\n}\n handle /b {\n invoke gate\n reverse_proxy app:2\n}\n}", []string{"replay_two_apps g /b"}},
	{"replay, twice", "&(gate) {\n webhook_auth GATE:g:replay_of_1h\n}\n:8080 {\n route {\n invoke gate\n invoke gate\n reverse_proxy app:1\n}\n}", []string{"met_twice g"}},
	{"replay, perhaps twice", "&(gate) {\n webhook_auth GATE:g:replay_of_1h\n}\n:8080 {\n route {\n invoke /a gate\n invoke gate\n reverse_proxy app:1\n}\n}", []string{"met_twice(warning) g"}},
	{"twice without replay", "&(gate) {\n webhook_auth GATE:g\n}\n:8080 {\n route {\n invoke gate\n invoke gate\n reverse_proxy app:1\n}\n}", nil},

	// Options.
	{"observe only", ":8080 {\n webhook_auth GATE:g:unsafe_observe_only\n reverse_proxy app:1\n}", []string{"observe_only g"}},
	{"a literal", ":8080 {\n webhook_auth {\n secret some-literal-of-32-characters-00\n}\n reverse_proxy app:1\n}", []string{"secret_literal hub"}},
	{"a gate at two places", ":8080 {\n handle /a {\n webhook_auth GATE:g:unsafe_observe_only\n reverse_proxy app:1\n}\n handle /b {\n webhook_auth GATE:h:unsafe_observe_only\n reverse_proxy app:2\n}\n}", []string{"observe_only g /a", "observe_only h /b"}},
	{"a literal verify token", ":8080 {\n webhook_auth GATE:g:challenge_of_hub_of_some-token-of-a-gate\n reverse_proxy app:1\n}", []string{"verify_token_literal g"}},
	{"one key, two payloads", ":8080 {\n handle /a {\n webhook_auth stripe GATE:g\n reverse_proxy app:1\n}\n handle /b {\n webhook_auth GATE:h\n reverse_proxy app:2\n}\n}", []string{"key_shared h /b"}},
	{"no challenge", ":8080 {\n webhook_auth meta GATE:g\n reverse_proxy app:1\n}", []string{"challenge_missing g"}},
	{"no challenge, and no check", ":8080 {\n webhook_auth github GATE:g\n reverse_proxy app:1\n}", nil},
	{"a challenge", ":8080 {\n webhook_auth meta GATE:g:challenge_of_hub_of_{env.VERIFY_TOKEN}\n reverse_proxy app:1\n}", nil},
	{"no challenge, GET to the app", ":8080 {\n @post method POST\n webhook_auth @post meta GATE:g\n reverse_proxy @post app:1\n}", nil},
	{"no challenge, GET as well", ":8080 {\n @both method GET POST\n webhook_auth @both meta GATE:g\n reverse_proxy @both app:1\n}", []string{"challenge_missing g"}},

	{"an access log", ":8080 {\n log\n webhook_auth GATE:g\n reverse_proxy app:1\n}", []string{"signatures_in_log"}},
	{"an access log of one host", "http://a.example {\n log\n webhook_auth GATE:g\n reverse_proxy app:1\n}", []string{"signatures_in_log"}},
	{"an access log that filters", "http://a.example {\n log {\n" + hubFilter + "}\n webhook_auth GATE:g\n reverse_proxy app:1\n}", nil},
	{"an access log that filters, without a host", ":8080 {\n log {\n" + hubFilter + "}\n webhook_auth GATE:g\n reverse_proxy app:1\n}", nil},
	{"an access log that filters all fields", ":8080 {\n log {\n format filter {\n request>headers delete\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}", nil},
	{"an access log that filters one field of two", ":8080 {\n log {\n format filter {\n request>headers>X-Hub-Signature delete\n}\n}\n webhook_auth GATE:g\n reverse_proxy app:1\n}", []string{"signatures_in_log"}},
	{"an access log of another site", "http://a.example {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\nhttp://b.example {\n log\n respond b\n}", nil},
	{"a second log of all", "{\n log all {\n include http.log.access\n}\n}\nhttp://a.example {\n log {\n" + hubFilter + "}\n webhook_auth GATE:g\n reverse_proxy app:1\n}", []string{"signatures_in_log"}},
	{"a signature in a field that Caddy hides", ":8080 {\n log\n webhook_auth GATE:g:header_of_Authorization\n reverse_proxy app:1\n}", nil},
	// Logs with tokens: also without an access log.
	{"a token, no log at all", ":8080 {\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, a filter on every line", tokenFilter + ":8080 {\n log\n" + tokenGate + "}", nil},
	{"a token, a filter on access lines alone", ":8080 {\n log {\n format filter {\n request>headers>X-Token delete\n}\n}\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, a filter on the other lines alone", tokenFilter + ":8080 {\n log {\n output stderr\n}\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, a filter with other letters", strings.ReplaceAll(tokenFilter, "X-Token", "X-TOKEN") + ":8080 {\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, another field filtered", strings.ReplaceAll(tokenFilter, "X-Token", "X-Other") + ":8080 {\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, hashed", strings.ReplaceAll(tokenFilter, "delete", "hash") + ":8080 {\n log\n" + tokenGate + "}", nil},
	{"a token, renamed", strings.ReplaceAll(tokenFilter, "delete", "rename other") + ":8080 {\n log\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, a wrapped filter", "{\n log {\n format append {\n wrap filter {\n request>headers>X-Token delete\n}\n server x\n}\n}\n}\n:8080 {\n" + tokenGate + "}", nil},
	{"a token, no log is kept", "{\n log {\n output discard\n}\n}\n:8080 {\n" + tokenGate + "}", nil},
	{"a token, a second log of errors", tokenFilter[:len(tokenFilter)-2] + " log errors {\n include http.log.error\n}\n}\n:8080 {\n" + tokenGate + "}", []string{"token_in_log(error)"}},
	{"a token, a second log of the gates alone", tokenFilter[:len(tokenFilter)-2] + " log gates {\n include http.handlers.webhook_auth\n}\n}\n:8080 {\n" + tokenGate + "}", nil},
	{"a token, a log of another site", tokenFilter + "http://a.example {\n" + tokenGate + "}\nhttp://b.example {\n log {\n output stderr\n}\n respond b\n}", nil},
	{"a token, a log of all hosts of a domain", tokenFilter + "http://*.example {\n log {\n output stderr\n}\n @a host a.example\n handle @a {\n" + tokenGate + "}\n}", []string{"token_in_log(error)"}},
	{"a token, a log that a route chooses", tokenFilter + "http://a.example {\n log_name other\n" + tokenGate + "}\nhttp://b.example {\n log other {\n output stderr\n}\n respond b\n}", []string{"token_in_log(error)"}},
	{"a token in Authorization", ":8080 {\n log\n" + strings.ReplaceAll(tokenGate, "X-Token", "Authorization") + "}", nil},
	{"a token in Authorization, which is logged", "{\n servers {\n log_credentials\n}\n}\n:8080 {\n log\n" + strings.ReplaceAll(tokenGate, "X-Token", "Authorization") + "}", []string{"token_in_log(error)"}},
	{"a literal token", tokenFilter + ":8080 {\n webhook_auth {\n token some-literal-of-32-characters-00\n header X-Token\n}\n reverse_proxy app:1\n}", []string{"token_literal token"}},

	{"an access log without a gate", ":8080 {\n log\n reverse_proxy app:1\n}", nil},
}

func TestFindings(t *testing.T) {
	for _, tt := range findingTests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range findingsOf(t, tt.config) {
				if f.Kind != lint.TokenUnsigned { // of each gate with a token
					got = append(got, short(f))
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("finds %q, want %q", got, tt.want)
			}
		})
	}
}

// Every kind is found in a test, and says what to do.
func TestKinds(t *testing.T) {
	found := map[lint.Kind]bool{
		lint.KeyShared: true, lint.PublicKeyShared: true, lint.TokenShared: true, // TestSharedKeys, TestSharedPublicKeys, TestSharedTokens
		lint.AdminOpen:      true,                                                                                  // TestOpenAdmin
		lint.TenantUnusable: true, lint.TenantFileReadable: true, lint.TenantNoName: true, lint.TenantsShare: true, // TestTenantFindings
		lint.TokenFileReadable:  true,
		lint.SecretFileReadable: true, lint.VerifyTokenFileReadable: true, lint.ReplayKeyFileReadable: true, // not on Windows
	}
	for _, gate := range unwiseGates(t) {
		for _, want := range gate.want {
			kind, _, _ := strings.Cut(want, ":")
			found[lint.Kind(kind)] = true
		}
	}
	for _, tt := range findingTests {
		for _, want := range tt.want {
			found[lint.Kind(strings.FieldsFunc(want, func(r rune) bool { return r == ' ' || r == '(' })[0])] = true
		}
	}
	for _, kind := range lint.Kinds() {
		if kind.Cure() == "" && kind.Severity() != lint.Note {
			t.Errorf("%s says nothing", kind)
		}
		if !found[kind] {
			t.Errorf("no test finds %s", kind)
		}
		delete(found, kind)
	}
	if len(found) > 0 {
		t.Errorf("there are no kinds %v", found)
	}
}

// What people copy first has no finding.
func TestExampleHasNoFindings(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if found := findingsOf(t, string(example)); len(found) > 0 {
		t.Errorf("finds %v", found)
	}
}

// A finding is one line that says where.
func TestFindingLine(t *testing.T) {
	found := findingsOf(t, "http://one.example:8080 {\n handle /a {\n webhook_auth GATE:g\n reverse_proxy app:1\n}\n handle /b {\n reverse_proxy app:1\n}\n}")
	want := "warning way_around: gate g, upstream app:1, server srv0, hosts one.example, paths /b: the app behind a gate is also reached without one; " + lint.Kind("way_around").Cure()
	if got := fmt.Sprint(found); got != "["+want+"]" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An unknown is a handler that the analysis has never heard of.
type unknown struct{}

func init() {
	caddy.RegisterModule(unknown{})
	httpcaddyfile.RegisterHandlerDirective("fake_unknown", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) { return unknown{}, nil })
	httpcaddyfile.RegisterDirectiveOrder("fake_unknown", httpcaddyfile.Before, "respond")
}

func (unknown) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.fake_unknown", New: func() caddy.Module { return new(unknown) }}
}

func (unknown) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}
