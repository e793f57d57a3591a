package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// answering is a site with a named gate and its own handlers behind it.
func answering(options, behind, errors string) string {
	return ":{$PORT} {\n route {\n webhook_auth {\n name hook\n secret {env.WEBHOOK_SECRET}\n delivery_timeout 1s\n " + options + "\n }\n " +
		behind + "\n }\n " + errors + "\n}\n"
}

// appAnswers lists what an app may do, the class that the gate counts it in, and the
// status that the sender gets.
var appAnswers = []struct {
	fault, class string
	status       int
}{
	{"200", "2xx", 200},
	{"204", "2xx", 204},
	{"303", "3xx", 303},
	{"404", "4xx", 404},
	{"401", "4xx", 401},
	{"500", "5xx", 500},
	{"504", "5xx", 504}, // the app's own, and not our time-out
	{sinkHints, "2xx", 200},
	{sinkResets, "5xx", 502},
	{"dead", "5xx", 502},
	{sinkHangs, "timeout", 504},
	{sinkBreaks, "none", 200},
	{sinkUpgrade, "none", 502},
	{sinkBare, "none", 502},
}

// TestAppAnswersAreCounted: each answer of an app is counted once, in its class. Without
// an answer the sender never gets an empty 200. No app gets a delivery twice, whatever
// the error routes do.
func TestAppAnswersAreCounted(t *testing.T) {
	t.Parallel()
	page := "handle_errors {\n respond \"a page\" 202\n }"
	for name, tt := range map[string]struct{ options, errors string }{
		"answer":                     {"", ""},
		"answer, error routes":       {"", page},
		"handle_errors":              {"on_refusal handle_errors", ""},
		"handle_errors, error route": {"on_refusal handle_errors", page},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := startSink(t, "the gate", "h1")
			behind := "@dead header X-Fault dead\n reverse_proxy @dead 127.0.0.1:{$DEAD}\n reverse_proxy " + app.addr
			g := startGateway(t, answering(tt.options, behind, tt.errors), fmt.Sprint("DEAD=", tools.FreePort(t)))
			want := answerSeries(map[string]float64{})
			compare(t, g.metrics(t), want) // at zero from the start
			for _, answer := range appAnswers {
				d := authentic(chatBotKit, "X-Fault: "+answer.fault)
				a := ask(g.addr, d.wire(), d.method)
				status := answer.status
				if byGate := status > 500 && answer.fault != "504"; byGate && strings.Contains(tt.errors, "202") && tt.options != "" {
					status = 202
				}
				if a.status != status || a.rest > 0 || (a.err != nil) != (answer.fault == sinkBreaks) {
					t.Errorf("%s: answer %.300q %q and %d bytes (%v), want %d", answer.fault, a.head, a.body, a.rest, a.err, status)
				}
				if hinted := answer.fault == sinkHints; hinted != (a.interim == 1) {
					t.Errorf("%s: %d interim answers", answer.fault, a.interim)
				}
				if n := app.times(d.id); n != 1 && answer.fault != "dead" || n > 1 {
					t.Errorf("%s: the app got the delivery %d times", answer.fault, n)
				}
				want[`app_answers_total{class="`+answer.class+`",name="hook"}`]++
				compare(t, g.metrics(t), want)
				if t.Failed() {
					t.FailNow() // the counts that follow would be wrong too
				}
			}
			if n := app.times(""); n > 0 {
				t.Errorf("%d tunnels reached the app", n)
			}
		})
	}
}

// answerSeries fills in the missing classes with zero.
func answerSeries(series map[string]float64) map[string]float64 {
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx", "timeout", "none"} {
		series[`app_answers_total{class="`+class+`",name="hook"}`] += 0
	}
	return series
}

// TestFailuresAreLogged: each failed delivery is one line with the status and, if our own
// time-out ended it, the option.
func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	app := startSink(t, "the gate", "h1")
	g := startGateway(t, answering("", "reverse_proxy "+app.addr, "handle_errors {\n respond 202\n }"))
	for i, tt := range []struct {
		fault  string
		status float64
		option bool
	}{{"500", 500, false}, {sinkResets, 502, false}, {sinkHangs, 504, true}, {"504", 504, false}} {
		ask(g.addr, authentic(chatBotKit, "X-Fault: "+tt.fault).wire(), "POST")
		lines := g.log.waitFor(t, i+1, "the failure", message("delivery failed"))
		line := lines[len(lines)-1]
		if _, named := line["delivery_timeout"]; len(lines) != i+1 || line["status"] != tt.status || named != tt.option {
			t.Errorf("%s: logged %v in %d lines", tt.fault, line, len(lines))
		}
	}
	if strings.Contains(g.log.String(), goodHex) {
		t.Error("the log contains a signature")
	}
}

// TestNoHandlerAnswers: if no handler behind the gate answers, the configuration does not
// load, or the sender gets 502 and the metrics show it. It never gets an empty 200, which
// it would take for a success.
func TestNoHandlerAnswers(t *testing.T) {
	t.Parallel()
	app := startSink(t, "the gate", "h1")
	for name, behind := range map[string]string{
		"nothing":                       "",
		"vars":                          "vars a b",
		"log_append":                    "log_append a b",
		"header":                        "header X-A b",
		"encode":                        "encode gzip",
		"templates":                     "templates",
		"empty handle":                  "handle {\n vars a b\n }",
		"a matcher that does not match": "@other path /other\n reverse_proxy @other " + app.addr,
		"a response that nobody copies": "reverse_proxy " + app.addr + " {\n @any status 2xx\n handle_response @any {\n vars a b\n }\n }",
		"a 101":                         "reverse_proxy " + app.addr + " {\n header_up X-Fault upgrades\n }",
	} {
		for _, mode := range []string{"answer", "handle_errors"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				g := newGateway(t)
				g.write(t, answering("on_refusal "+mode, behind, ""))
				if !g.loads(t) {
					if log := g.log.String(); strings.Contains(behind, app.addr) || !strings.Contains(log, "no handler behind the gate") {
						t.Errorf("it does not load:\n%s", log)
					}
					return
				}
				for range 2 {
					d := authentic(chatBotKit)
					a := ask(g.addr, d.wire(), d.method)
					if a.status != http.StatusBadGateway || a.body != "" || a.err != nil || a.rest > 0 || a.header.Get(errorID) == "" {
						t.Errorf("answer %.300q %q (%v), want 502", a.head, a.body, a.err)
					}
				}
				if lines := g.log.waitFor(t, 2, "the lines of both", reason("no_app")); len(lines) != 2 {
					t.Errorf("the log says no_app %d times, want 2", len(lines))
				}
				compare(t, g.metrics(t), map[string]float64{
					`app_answers_total{class="none",name="hook"}`:                    2,
					`app_answers_total{class="2xx",name="hook"}`:                     0,
					`deliveries_total{name="hook",reason="no_app",result="refused"}`: 2,
					`deliveries_total{name="hook",reason="",result="accepted"}`:      0,
				})
			})
		}
	}
}

// TestFileServer: behind the gate, a file server still serves files, ranges and hints.
func TestFileServer(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	if err := os.Mkdir(filepath.Join(g.dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	large := pattern(1, 3_000_000)
	writeFile(t, filepath.Join(g.dir, "files", "large.txt"), large)
	g.write(t, answering("", "root * {$HOME}/files\n file_server", ""))
	g.start(t)
	for _, tt := range []struct {
		target, field string
		status        int
		body          string
	}{
		{"/large.txt", "X-A: b", 200, large},
		{"/large.txt", "Range: bytes=5-9", 206, large[5:10]},
		{"/none.txt", "X-A: b", 404, ""},
	} {
		d := delivery{id: fresh(), method: "GET", target: tt.target, fields: []string{signed(nil), tt.field}}
		if a := ask(g.addr, d.wire(), d.method); a.status != tt.status || a.body != tt.body || a.err != nil {
			t.Errorf("%s %s: answer %.300q and %d bytes (%v), want %d", tt.target, tt.field, a.head, len(a.body), a.err, tt.status)
		}
	}
	compare(t, g.metrics(t), answerSeries(map[string]float64{
		`app_answers_total{class="2xx",name="hook"}`: 2, `app_answers_total{class="4xx",name="hook"}`: 1,
	}))
	unsigned := delivery{id: fresh(), method: "GET", target: "/large.txt"}
	if a := ask(g.addr, unsigned.wire(), "GET"); a.status != http.StatusUnauthorized || a.body != "" {
		t.Errorf("answer %.300q and %d bytes, want 401", a.head, len(a.body))
	}
}

// bodyReaders are other readers of the body behind the gate.
var bodyReaders = map[string]string{
	"expression":  "@m expression `{http.request.body}.contains(\"conversation\")`\n reverse_proxy @m APP",
	"vars_regexp": "@m vars_regexp {http.request.body} conversation\n reverse_proxy @m APP",
	"vars":        "vars body {http.request.body}\n reverse_proxy APP",
	"log_append":  "log_append body {http.request.body}\n reverse_proxy APP",
	"header_up":   "reverse_proxy APP {\n header_up X-Body {http.request.body}\n }",
	"header":      "header X-Body {http.request.body}\n reverse_proxy APP",
	"twice":       "vars body {http.request.body}\n reverse_proxy APP {\n header_up X-Body {http.request.body_base64}\n }",
}

// TestBodyReaders: another reader of the body takes no byte from the app.
func TestBodyReaders(t *testing.T) {
	t.Parallel()
	for _, front := range fronts[:2] {
		t.Run(front.name, func(t *testing.T) {
			t.Parallel()
			a := startApp(t)
			g := newGateway(t, "OTEL_TRACES_EXPORTER=none")
			var site strings.Builder
			site.WriteString(":{$PORT} {\n log\n")
			for name, reader := range bodyReaders {
				fmt.Fprintf(&site, " handle /%s {\n route {\n %s\n webhook_auth {\n secret {env.WEBHOOK_SECRET}\n memory 1KiB\n }\n %s\n }\n }\n",
					name, front.directive, strings.ReplaceAll(reader, "APP", a.addr))
			}
			g.write(t, site.String()+" respond 404\n}\n")
			g.start(t)
			for name := range bodyReaders {
				t.Run(name, func(t *testing.T) {
					// Where tracing has copied the request, Caddy's placeholder is empty and
					// the matcher does not match. The sender is told.
					unmatched := front.directive != "" && strings.Contains(bodyReaders[name], "@m")
					for _, body := range []string{chatBotKit, strings.Repeat(`{"eventType":"conversation"}`, 1_000)} {
						for _, d := range []delivery{authentic(body), authentic(body).chunks()} {
							resp := g.deliver(t, d.with("POST", "/"+name))
							if unmatched && resp.status == http.StatusNotFound {
								a.nothing(t, d.id)
								continue
							}
							answered(t, resp)
							delivered(t, a, d.with("POST", "/"+name))
						}
					}
				})
			}
		})
	}
}
