package integration_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// An errorRoute is one way in which an error route, or something like it in Caddy, hands
// a request to an app.
type errorRoute struct {
	name     string
	protocol string // that the app speaks
	route    string // the text of handle_errors; APP is the app's address
	// notAsked says that the form gets past the locks on a refused request, or holds it, so
	// that it is safe only if no request reaches it.
	notAsked bool
	// other says that under handle_errors a refusal may end with the error of the app that
	// was not reached.
	other bool
}

// errorRoutes lists every form. The control of TestErrorRoutes shows that each one
// reaches its app if no gate refuses.
var errorRoutes = []errorRoute{
	{name: "plain", protocol: "h1", route: "reverse_proxy APP"},
	{name: "method", protocol: "h1", route: "reverse_proxy APP {\n method GET\n }"},
	{name: "h2", protocol: "h2", route: "reverse_proxy https://APP {\n transport http {\n tls_insecure_skip_verify\n versions 2\n }\n }"},
	{name: "h2c", protocol: "h2c", route: "reverse_proxy h2c://APP"},
	{name: "h3", protocol: "h3", route: "reverse_proxy https://APP {\n transport http {\n tls_insecure_skip_verify\n versions 3\n }\n }"},
	{name: "fastcgi", protocol: "fcgi", route: "reverse_proxy APP {\n transport fastcgi {\n root {$HOME}\n }\n }", notAsked: true},
	{name: "php", protocol: "fcgi", route: "root * {$HOME}/php\n php_fastcgi APP", notAsked: true},
	{name: "auth", protocol: "h1", route: "forward_auth APP {\n uri /auth\n }\n respond \"a page\" 200"},
	{name: "buffers", protocol: "h1", route: "reverse_proxy APP {\n request_buffers 1MiB\n }"},
	{name: "retries", protocol: "h1", route: "reverse_proxy APP {\n lb_try_duration 5m\n }", notAsked: true}, // far over the test's patience
	{name: "named", protocol: "h1", route: "invoke deliver"},
	{name: "strips", protocol: "h1", route: "reverse_proxy APP {\n header_up -*\n }", notAsked: true},
	// Written in JSON: see wrap.
	{name: "subroute", protocol: "h1", other: true},
	{name: "subroute-fastcgi", protocol: "fcgi", notAsked: true},
}

// fronts are handlers that may come before the gate.
var fronts = []struct{ name, directive string }{
	{"nothing", ""},
	{"tracing", "tracing {\n span webhook\n }"},
	{"forward_auth", "forward_auth HELPER {\n uri /auth\n header_up -X-Fault\n copy_headers X-User\n }"},
	{"request_header", "request_header X-Front yes"},
}

// A table is one gateway with a site for each error-route form, over plain HTTP and
// over TLS.
type table struct {
	*gateway
	mode   string
	forms  []errorRoute
	sinks  map[string]*sink // the app of each form's error route
	behind *sink            // the app behind every gate
	tls    string           // host and port
	wrongs atomic.Int64     // complaints so far
	dead   string           // an address where no app listens
}

func newTable(t *testing.T, mode, front string, forms []errorRoute) *table {
	t.Helper()
	tb := &table{mode: mode, forms: forms, sinks: make(map[string]*sink), behind: startSink(t, "the gate", "h1")}
	for _, f := range forms {
		tb.sinks[f.name] = startSink(t, f.name, f.protocol)
	}
	helper := startSink(t, "forward_auth in front", "h1")
	tb.gateway = newGateway(t, "OTEL_TRACES_EXPORTER=none")
	newCertificate(t, tb.dir)
	tb.tls = net.JoinHostPort("127.0.0.1", strconv.Itoa(tools.FreePort(t)))
	tb.dead = net.JoinHostPort("127.0.0.1", strconv.Itoa(tools.FreePort(t)))
	if err := os.Mkdir(filepath.Join(tb.dir, "php"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(tb.dir, "php", "index.php"), "")
	tb.write(t, tb.caddyfile(strings.ReplaceAll(front, "HELPER", helper.addr)))
	return tb
}

// caddyfile has a snippet for each form, which the form's two sites import.
func (tb *table) caddyfile(front string) string {
	var b strings.Builder
	_, tlsPort, _ := net.SplitHostPort(tb.tls)
	if named := tb.sinks["named"]; named != nil {
		fmt.Fprintf(&b, "&(deliver) {\n reverse_proxy %s\n}\n", named.addr)
	}
	for _, f := range tb.forms {
		fmt.Fprintf(&b, "(form-%s) {\n handle /control {\n error 418\n }\n route {\n %s\n webhook_auth {\n", f.name, front)
		fmt.Fprintf(&b, " secret {env.WEBHOOK_SECRET}\n %s\n delivery_timeout 1s\n }\n", onRefusal(tb.mode))
		fmt.Fprintf(&b, " @dead header X-Fault dead\n reverse_proxy @dead %s\n reverse_proxy %s\n }\n", tb.dead, tb.behind.addr)
		if f.route != "" {
			fmt.Fprintf(&b, " handle_errors {\n %s\n }\n", strings.ReplaceAll(f.route, "APP", tb.sinks[f.name].addr))
		}
		fmt.Fprintf(&b, "}\nhttp://%s:{$PORT} {\n import form-%s\n}\n", f.host(), f.name)
		fmt.Fprintf(&b, "https://%s:%s {\n tls {$HOME}/cert.pem {$HOME}/key.pem\n import form-%s\n}\n", f.host(), tlsPort, f.name)
	}
	return b.String()
}

// onRefusal leaves out the default, as most configurations do.
func onRefusal(mode string) string {
	if mode == "answer" {
		return ""
	}
	return "on_refusal " + mode
}

func (f errorRoute) host() string { return f.name + ".test" }

// wrap gives the sites without handle_errors a form that no Caddyfile can express: a
// subroute whose error routes do not answer, so that Caddy goes on after the subroute.
func (tb *table) wrap(t *testing.T) {
	t.Helper()
	forms := slices.DeleteFunc(slices.Clone(tb.forms), func(f errorRoute) bool { return f.route != "" })
	if len(forms) == 0 {
		return
	}
	adapted, ok := tb.caddy(t, "adapt", "--config", tb.file, "--adapter", "caddyfile")
	if !ok {
		t.Fatalf("it does not adapt:\n%s", adapted)
	}
	var config object
	for line := range strings.Lines(adapted) { // the others are the log
		if strings.HasPrefix(line, `{"admin"`) {
			if err := json.Unmarshal([]byte(line), &config); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range forms {
		if n := wrapSites(config, f, tb.sinks[f.name]); n != 2 {
			t.Fatalf("wrapped %d sites of %s, want 2:\n%s", n, f.name, adapted)
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	tb.file = filepath.Join(tb.dir, "caddy.json")
	writeFile(t, tb.file, string(text))
}

type object = map[string]any

// wrapSites does that in an adapted configuration, and returns the number of sites.
func wrapSites(config object, f errorRoute, app *sink) (wrapped int) {
	proxy := object{"handler": "reverse_proxy", "upstreams": []any{object{"dial": app.addr}}}
	if f.protocol == "fcgi" {
		proxy["transport"] = object{"protocol": "fastcgi", "root": "/"}
	}
	for _, server := range config["apps"].(object)["http"].(object)["servers"].(object) {
		for _, route := range server.(object)["routes"].([]any) {
			if !strings.Contains(fmt.Sprint(route.(object)["match"]), "["+f.host()+"]") {
				continue
			}
			site := route.(object)["handle"].([]any)[0].(object)
			inner := object{"handler": "subroute", "routes": site["routes"], "errors": object{
				"routes": []any{object{"handle": []any{object{"handler": "vars", "failed": "yes"}}}},
			}}
			site["routes"] = []any{object{"handle": []any{inner}}, object{"handle": []any{proxy}}}
			wrapped++
		}
	}
	return wrapped
}

// TestErrorRoutes: a refused request reaches no app, and a delivery that an app failed
// reaches no second one. That holds for every error route, every form of request and
// every handler in front of the gate.
func TestErrorRoutes(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"answer", "handle_errors"} {
		for _, front := range fronts {
			t.Run(mode+"/"+front.name, func(t *testing.T) {
				t.Parallel()
				forms := slices.Clone(errorRoutes)
				if mode == "handle_errors" {
					forms = slices.DeleteFunc(forms, func(f errorRoute) bool { return f.notAsked })
				}
				tb := newTable(t, mode, front.directive, forms)
				tb.wrap(t)
				tb.start(t)
				tb.run(t)
			})
		}
	}
}

func (tb *table) run(t *testing.T) {
	refused := t.Run("refused", func(t *testing.T) {
		tb.each(t, func(t *testing.T, f errorRoute) { tb.refuses(t, f, requestForms()) })
	})
	if refused { // otherwise each of the following ones waits for patience too
		t.Run("refused over others", tb.refusesOthers)
	}
	tb.untouched(t)
	tb.behind.untouched(t)
	if refused {
		t.Run("failed", tb.fails)
		tb.untouched(t)
	}
	t.Run("control", tb.control)
}

func (tb *table) untouched(t *testing.T) {
	t.Helper()
	for _, f := range tb.forms {
		tb.sinks[f.name].untouched(t)
	}
}

func (tb *table) each(t *testing.T, do func(*testing.T, errorRoute)) {
	for _, f := range tb.forms {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			do(t, f)
		})
	}
}

// connections are field names that a client may list in Connection. A proxy deletes the
// fields that are listed there (RFC 9110, section 7.6.1).
var connections = []string{
	"Connection: close",
	"Connection: Ended by webhook_auth",
	"Connection: Host, " + idField + ", Content-Length, Content-Type, Transfer-Encoding, User-Agent, X-Hub-Signature, Expect, Connection",
	"Connection: Webhook-Auth, Webhook-Auth-Error-Id, Webhook-Auth-Refused, Webhook-Auth-Ended, X-Webhook-Auth, webhook_auth, *",
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
}

// requestForms are the requests to every error-route form. All are refused with 401.
func requestForms() (forms []delivery) {
	large := strings.Repeat("0123456789", 30_000)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
		bare := post("").with(method, "/webhook")
		bare.body = nil
		forms = append(forms, bare,
			post(chatBotKit).with(method, "/webhook"),
			post(large).with(method, "/webhook"),
			post(chatBotKit).chunks().with(method, "/webhook"),
			post(chatBotKit, forgedField).with(method, "/webhook"),
			post(chatBotKit, goodField, goodField).with(method, "/webhook"),
			post(chatBotKit, expect, connections[1]).with(method, "/webhook"))
		if method == "HEAD" || method == "PUT" || method == "OPTIONS" {
			continue
		}
		for _, list := range connections {
			bare := post("", list, "User-Agent: x").with(method, "/webhook")
			bare.body = nil
			forms = append(forms, bare,
				post(chatBotKit, list, "Content-Type: application/json").with(method, "/webhook"),
				post(chatBotKit, list, forgedField).chunks().with(method, "/webhook"))
		}
		forms = append(forms, post(large, connections[1], "Idempotency-Key: 1").with(method, "/webhook"))
	}
	for i := range forms {
		forms[i].id = fresh()
	}
	return forms
}

// at is the request for a site of a table.
func (d delivery) at(f errorRoute) string {
	return strings.Replace(d.wire(), "Host: gateway", "Host: "+f.host(), 1)
}

// brief describes a request in the message of a test.
func (d delivery) brief() string { return fmt.Sprintf("%.300q, %d bytes", d.head(), len(d.body)) }

// refuses sends every request and fails the test unless each gets its one answer.
func (tb *table) refuses(t *testing.T, f errorRoute, requests []delivery) {
	heads, bad := make(map[string]string), 0
	for _, d := range requests {
		a := ask(tb.addr, d.at(f), d.method)
		if a.err != nil {
			t.Fatalf("%s: %v", d.brief(), a.err) // the rest would wait for patience too
		}
		if a.rest > 0 || a.interim > 0 {
			t.Errorf("%s: %d interim answers and %d bytes after the answer", d.brief(), a.interim, a.rest)
		}
		if !tb.is401(t, f, d, a) {
			bad++
		}
		if bad == 3 {
			t.Fatal("more of the same")
		}
		if d.method != http.MethodHead { // net/http writes no length for it
			heads[sameHead(a.head)] = d.brief()
		}
	}
	if len(heads) > 1 && tb.mode == "answer" {
		t.Errorf("the 401s differ: %q", heads)
	}
}

func (tb *table) is401(t *testing.T, f errorRoute, d delivery, a answer) bool {
	t.Helper()
	if f.other && tb.mode == "handle_errors" && a.status == http.StatusBadGateway {
		return true
	}
	good := a.status == http.StatusUnauthorized && a.body == "" && a.header.Get(errorID) != "" && a.header.Get(challenge) == "HMAC"
	if !good {
		t.Errorf("%s: answer %.300q %.80q, want the gate's 401", d.brief(), a.head, a.body)
	}
	return good
}

// refusesOthers sends a smaller set over h2c, h2 and h3.
func (tb *table) refusesOthers(t *testing.T) {
	for name, client := range tb.clients(t) {
		t.Run(name, func(t *testing.T) {
			base := "https://%s:" + strings.TrimPrefix(tb.tls, "127.0.0.1:")
			if name == "h2c" {
				base = "http://%s:" + strings.TrimPrefix(tb.addr, "127.0.0.1:")
			}
			tb.each(t, func(t *testing.T, f errorRoute) {
				for _, method := range []string{"GET", "POST", "DELETE", "HEAD"} {
					bare := post("").with(method, "/webhook")
					bare.body = nil
					for _, d := range []delivery{
						bare, post(chatBotKit).with(method, "/webhook"), post(chatBotKit).chunks().with(method, "/webhook"),
						post(chatBotKit, forgedField).with(method, "/webhook"),
					} {
						if !tb.is401(t, f, d, exchange(t, client, d, fmt.Sprintf(base, f.host()))) {
							t.FailNow()
						}
					}
				}
			})
		})
	}
}

// clients connect to the gateway's address, whatever the host of the URL is.
func (tb *table) clients(t *testing.T) map[string]http.RoundTripper {
	t.Helper()
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(addr)
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	}
	h2c := newTransport(t, nil, (*http.Protocols).SetUnencryptedHTTP2)
	h2 := newTransport(t, nil, (*http.Protocols).SetHTTP2)
	h2.TLSClientConfig.InsecureSkipVerify = true // the certificate is for an address
	h2c.DialContext, h2.DialContext = dial, dial
	h3 := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Dial: func(ctx context.Context, addr string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			return quic.DialAddrEarly(ctx, "127.0.0.1:"+port, tlsConfig, config)
		},
	}
	t.Cleanup(func() { h3.Close() })
	return map[string]http.RoundTripper{"h2c": h2c, "h2": h2, "h3": h3}
}

// exchange sends a request with a Go client.
func exchange(t *testing.T, client http.RoundTripper, d delivery, base string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := client.RoundTrip(d.request(t, base).WithContext(ctx))
	if err != nil {
		t.Fatalf("%s: %v", d.brief(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, head: fmt.Sprint(resp.Header), header: resp.Header, body: string(body), err: err}
}

// appFailures are the ways in which an app fails an authentic delivery, and the sender's
// answer.
var appFailures = []struct {
	fault   string
	status  int
	reaches bool // reaches the app for certain
}{
	{sinkResets, 502, true},
	{sinkBreaks, 200, true},
	{"500", 500, true},
	{"504", 504, true},
	{"dead", 502, false},
	{sinkHangs, 504, true},
}

// wrong reports only the first errors, because a broken gate fails every request.
func (tb *table) wrong(t *testing.T, format string, args ...any) {
	t.Helper()
	if tb.wrongs.Add(1) <= 10 {
		t.Errorf(format, args...)
	} else {
		t.Fail()
	}
}

// fails sends authentic deliveries to an app that fails each of them. It sends them all
// at once, because some take as long as delivery_timeout.
func (tb *table) fails(t *testing.T) {
	var senders sync.WaitGroup
	room := make(chan struct{}, 64)
	for _, f := range tb.forms {
		for _, failure := range appFailures {
			fault := "X-Fault: " + failure.fault
			empty := delivery{id: fresh(), method: "GET", target: "/webhook", fields: []string{signed(nil), fault, connections[1]}}
			for _, d := range []delivery{
				empty, authentic(chatBotKit, fault, connections[1]), authentic(chatBotKit, fault, "Idempotency-Key: 1").chunks(),
				authentic(pattern(1, 300_000), fault),
			} {
				senders.Go(func() {
					room <- struct{}{}
					defer func() { <-room }()
					a := ask(tb.addr, d.at(f), d.method)
					tb.failedOnce(t, f, d, a, failure.status)
					times := tb.behind.times(d.id)
					if times > 1 || failure.reaches && times == 0 {
						tb.wrong(t, "%s, %s: the app got the delivery %d times", f.name, d.brief(), times)
					}
				})
			}
		}
	}
	senders.Wait()
}

// failedOnce checks the answer to a delivery that the app failed.
func (tb *table) failedOnce(t *testing.T, f errorRoute, d delivery, a answer, status int) {
	t.Helper()
	other := f.other && tb.mode == "handle_errors" && status > 500 && a.status == http.StatusBadGateway
	if a.status != status && !other || a.rest > 0 || a.interim > 0 {
		tb.wrong(t, "%s, %s: answer %.300q and %d bytes (%v), want %d", f.name, d.brief(), a.head, a.rest, a.err, status)
	}
	if broken := status == http.StatusOK; (a.err != nil) != broken || broken && a.body != "half" {
		tb.wrong(t, "%s, %s: answer %.300q %.80q ends with %v", f.name, d.brief(), a.head, a.body, a.err)
	}
}

// control shows that each error route reaches its app for an error that does not come
// from a gate. Routes that reach nothing would prove nothing.
func (tb *table) control(t *testing.T) {
	for _, f := range tb.forms {
		d := post(chatBotKit).with("POST", "/control")
		if a := ask(tb.addr, d.at(f), d.method); tb.sinks[f.name].times(d.id)+tb.sinks[f.name].times("") != 1 {
			t.Errorf("%s: the error route does not reach its app: %.300q %v", f.name, a.head, a.err)
		}
	}
	hint := func(e entry) bool { return strings.Contains(fmt.Sprint(e), "on_refusal handle_errors") }
	if lines, _ := tb.log.find(hint); tb.mode == "answer" && len(lines) == 0 {
		t.Error("the log does not say that the error routes see no refusals")
	}
}

// TestIntercept: an intercept in front of the gate sees the answer and so gets the
// refused request, whatever the gate does with its error. A configuration whose intercept
// leads to an app does not load.
func TestIntercept(t *testing.T) {
	t.Parallel()
	for _, matcher := range []string{"status 4xx", "status 401 403", "header Www-Authenticate *", "status 200"} {
		for _, mode := range []string{"answer", "handle_errors"} {
			t.Run(mode+"/"+matcher, func(t *testing.T) {
				t.Parallel()
				app := startSink(t, "intercept", "h1")
				front := "intercept {\n @no " + matcher + "\n handle_response @no {\n reverse_proxy " + app.addr + "\n }\n }"
				tb := newTable(t, mode, front, errorRoutes[:1])
				loadsSafely(t, tb, "intercept", app)
			})
		}
	}
}

// TestErrorRoutePastLocks: an error route that gets past every lock on the request does
// not load if refused requests would reach it.
func TestErrorRoutePastLocks(t *testing.T) {
	t.Parallel()
	for _, f := range errorRoutes {
		if f.notAsked {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				tb := newTable(t, "handle_errors", "", []errorRoute{f})
				tb.wrap(t)
				loadsSafely(t, tb, "on_refusal handle_errors", tb.sinks[f.name])
			})
		}
	}
}

// loadsSafely fails the test if something reaches the app. A configuration that does not
// load is safe too, if its error names the culprit.
func loadsSafely(t *testing.T, tb *table, culprit string, app *sink) {
	t.Helper()
	if !tb.loads(t) {
		if log := tb.log.String(); !strings.Contains(log, culprit) {
			t.Errorf("the error does not say %s:\n%s", culprit, log)
		}
		return
	}
	for _, d := range requestForms() {
		if a := ask(tb.addr, d.at(tb.forms[0]), d.method); a.err != nil {
			t.Errorf("%s: %v", d.brief(), a.err)
		}
		if t.Failed() || app.times(d.id) > 0 {
			break
		}
	}
	app.untouched(t)
}

// TestErrorPages: under handle_errors an error route may answer a refusal or a failed
// delivery with its own page that names the status. Under answer no request reaches it.
func TestErrorPages(t *testing.T) {
	t.Parallel()
	pages := errorRoute{name: "pages", protocol: "h1", route: "respond \"no, {err.status_code}\" 202"}
	for _, tt := range []struct {
		mode            string
		refused, failed string
	}{
		{"answer", `401 ""`, `502 ""`},
		{"handle_errors", `202 "no, 401"`, `202 "no, 502"`},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			tb := newTable(t, tt.mode, "", []errorRoute{pages})
			tb.start(t)
			refused, failed, good := post(chatBotKit), authentic(chatBotKit, "X-Fault: dead"), authentic(chatBotKit)
			for d, want := range map[*delivery]string{&refused: tt.refused, &failed: tt.failed, &good: `200 "the app got it"`} {
				a := ask(tb.addr, d.at(pages), d.method)
				if got := fmt.Sprintf("%d %q", a.status, a.body); got != want || a.err != nil {
					t.Errorf("%s: answer %s (%v), want %s", d.brief(), got, a.err, want)
				}
			}
			if tb.behind.times(good.id) != 1 || tb.behind.times(refused.id) > 0 {
				t.Errorf("the app got %v", tb.behind.requests)
			}
		})
	}
}
