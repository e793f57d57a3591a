package command_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A gate keeps its promise, and the command sees it.
func TestSendMatrix(t *testing.T) {
	port := folder(t, "http://localhost:PORT {\n\troute /webhook {\n\t\twebhook_auth {\n\t\t\tGATE\n\t\t}\n\t\trespond ok\n\t}\n\trespond 404\n}\n")
	serve(t)
	webhook(t, "", "send", "http://localhost:"+port+"/webhook").want(t, 0,
		"signed\tlet through\t200\tkept\nunsigned\t401\t401\tkept\ntampered\t401\t401\tkept\n"+
			"wrong secret\t401\t401\tkept\nalgorithm not allowed\t401\t401\tkept\nover the limit\t413\t413\tkept\n")
	o := webhook(t, "", "send", "--json", "http://localhost:"+port+"/webhook")
	var got struct {
		Gate       string
		Kept       bool
		Deliveries []struct{ Kept bool }
	}
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || o.code != 0 || !got.Kept || len(got.Deliveries) != 6 || got.Gate != "hub" {
		t.Errorf("%+v: %v", o, err)
	}
}

const site = `
http://127.0.0.1:PORT {
	handle /webhook {
		webhook_auth {
			secret new {env.WEBHOOK_SECRET}
			secret old {env.OTHER_SECRET}
		}
		respond "{http.request.method} {http.request.header.X-Hello} {http.request.body}"
	}
	handle /failing {
		webhook_auth slack {
			GATE
		}
		respond 503
	}
	handle /moved {
		route {
			webhook_auth stripe {
				GATE
			}
			redir https://example.com/ 302
		}
	}
	handle /observed {
		webhook_auth {
			name observed
			GATE
			unsafe_observe_only
		}
		respond app
	}
	handle /own-id {
		webhook_auth {
			name own-id
			GATE
		}
		header Webhook-Auth-Error-Id own
		respond app
	}
	respond 404
}
`

// What the app answers to the signed delivery is said, and breaks no promise.
func TestSendAdvises(t *testing.T) {
	port := folder(t, site)
	serve(t)
	for _, c := range []struct {
		code  int
		flags string
		want  []string
	}{
		{0, "/webhook", nil},
		{0, "--secret-name old /webhook", nil},
		{0, "/failing", []string{"The gate is sound; the app behind it answered 503 to the signed delivery, or could not be reached."}},
		{0, "/moved", []string{"The gate is sound; the app behind it answered 302 to the signed delivery.\n"}},
		{1, "/observed", []string{"warning observe_only: gate observed", "signed\tlet through\t200\tkept\n", "Forged deliveries were not sent"}},
		{1, "/own-id", []string{"signed\tlet through\t200\tBROKEN\n", "Something behind the gate sets it"}},
		{2, "/other", []string{"no gate guards POST http://127.0.0.1:", "/webhook (hub)"}},
		{2, "--secret-name nobody /webhook", []string{"--secret-name: the gate has no secret of that name; it has new, old"}},
		{2, "--cacert nothing /webhook", []string{"--cacert: open nothing"}},
		{2, "-H nothing /webhook", []string{"--header takes 'Name: value'"}},
		{0, "--data x -H X-Hello:1 /webhook", []string{"200 OK\nPOST 1 x\n"}},
		{0, "--data @- --method PUT /webhook", []string{"200 OK\nPUT  input\n"}},
		{0, "--json --data x /webhook", []string{`"answer": "POST  x"`, `"kept": true`}},
		{1, "--data x /failing", []string{"503 Service Unavailable\n"}},
		{1, "--data x /own-id", []string{"Something behind the gate sets it"}},
		{2, "--data @nothing /webhook", []string{"--data: open nothing"}},
		{0, "--data x /observed", []string{"200 OK\napp\n"}},
	} {
		args := strings.Fields(c.flags)
		args[len(args)-1] = "http://127.0.0.1:" + port + args[len(args)-1]
		o := webhook(t, "input", append([]string{"send"}, args...)...)
		o.want(t, c.code, c.want...)
		if c.code == 0 && !slices.Contains(args, "--data") && strings.Count(o.stdout, "\tkept\n")-strings.Count(o.stdout, "check\t") != 6 {
			t.Errorf("%s: %+v", c.flags, o)
		}
	}
	webhook(t, "", "send").want(t, 2, "takes one URL, such as")
	webhook(t, "", "send", "localhost:8080/webhook").want(t, 2, "the argument is not a URL such as")
}

// brokenServers answer deliveries as no gate does. Their address is none of the
// configuration's, as with a load balancer in front.
var brokenServers = map[string]struct {
	handler http.HandlerFunc
	want    []string
}{
	"a server without a gate": {
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		[]string{"signed\tlet through\t200\tkept\n", "unsigned\t401\t200\tBROKEN\n", "over the limit\t413\t200\tBROKEN\n", "was it reloaded since (caddy reload)?"},
	},
	"something in front that asks for a password": {
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		[]string{"unsigned\t401\t401\tBROKEN\n", "A 401 without Webhook-Auth-Error-Id does not come from the gate"},
	},
	"a gate with another secret": {
		refusing(func(*http.Request) int { return http.StatusUnauthorized }),
		[]string{"signed\tlet through\t401\tBROKEN\n", "The gate refused a signed delivery. Its log says why under the error_id abc."},
	},
	"a gate with a larger limit": {
		refusing(func(r *http.Request) int {
			if r.Header.Get("X-Hub-Signature-256") != "" && r.ContentLength < 1000 && !strings.Contains(readAll(r), "pong") {
				return http.StatusOK
			}
			return http.StatusUnauthorized
		}),
		[]string{"over the limit\t413\t401\tBROKEN\n"},
	},
}

func readAll(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// refusing answers as a gate does, with the status that it is told.
func refusing(status func(*http.Request) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		code := status(r)
		if code != http.StatusOK {
			w.Header().Set("Webhook-Auth-Error-Id", "abc")
		}
		w.WriteHeader(code)
	}
}

func TestSendBrokenServers(t *testing.T) {
	folder(t, "http://127.0.0.1 {\n\twebhook_auth {\n\t\tGATE\n\t\tmax_size 1KiB\n\t}\n\trespond ok\n}\n")
	for name, c := range brokenServers {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			webhook(t, "", "send", server.URL).want(t, 1, c.want...)
			webhook(t, "", "send", "--json", server.URL).want(t, 1, `"kept": false`)
		})
	}
}

// What was seen is shown, although there is no answer to the rest.
func TestSendBreaksOff(t *testing.T) {
	folder(t, "http://127.0.0.1 {\n\twebhook_auth {\n\t\tGATE\n\t}\n\trespond ok\n}\n")
	for code, answers := range map[int]int{2: 1, 1: 2} {
		calls := 0
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			if calls++; calls > answers {
				panic(http.ErrAbortHandler)
			}
		}))
		o := webhook(t, "", "send", server.URL)
		server.Close()
		o.want(t, code, "no answer from 127.0.0.1:")
		if strings.Contains(o.stdout, "signed\tlet through\t200") != (code == 1) {
			t.Errorf("%+v", o)
		}
	}
}

// Whoever sends without a configuration names a file.
func TestSendSecretFile(t *testing.T) {
	port := folder(t, site, "secret", secret, "short", "short", "sample", "changeme")
	serve(t)
	address := "http://127.0.0.1:" + port
	webhook(t, "", "send", "--secret-file", "secret", address+"/webhook").want(t, 0, "signed\tlet through\t200\tkept\n")
	webhook(t, "", "send", "--secret-file", "secret", "--preset", "slack", address+"/failing").want(t, 0, "answered 503")
	webhook(t, "", "send", "--secret-file", "nothing", address+"/webhook").want(t, 2, "--secret-file: it takes the path of a file, and this one cannot be read")
	webhook(t, "", "send", "--secret-file", "sample", address+"/webhook").want(t, 2, "--secret-file: ")
	webhook(t, "", "send", "--secret-file", "secret", "--config", "Caddyfile", address+"/webhook").want(t, 2, "drop it or --config")
	webhook(t, "", "send", "--secret-file", "secret", "--secret-name", "a", address+"/webhook").want(t, 2, "drop it or --secret-file")
	webhook(t, "", "send", "--preset", "slack", address+"/webhook").want(t, 2, "--preset goes with --secret-file")
}

// checkArguments are what gates with a challenge have as its arguments.
var checkArguments = map[string]string{
	"hub": "{env.VERIFY_TOKEN}", "oura": "{env.VERIFY_TOKEN}", "websub": "https://example.com/feed", "cloudevents": "eventgrid.azure.net",
}

// The sender's check is made at each kind of gate, and answered as the sender wants.
func TestSendChecks(t *testing.T) {
	t.Setenv("VERIFY_TOKEN", "nY7vQ2xLk9RfTz4BsWd8HcJmA")
	t.Setenv("OBSERVED_SECRET", "kTz4BsWd8HcJmA7vQ2xLk9Rf")
	gate := func(name, matcher string, options ...string) string {
		return fmt.Sprintf("\thandle /%s {\n\t\t@post method POST\n\t\twebhook_auth %s {\n\t\t\tname %s\n\t\t\t%s\n\t\t}\n\t\trespond app\n\t}\n",
			name, matcher, name, strings.Join(options, "\n\t\t\t"))
	}
	var sites strings.Builder
	for _, kind := range signature.Challenges() {
		key := hex.EncodeToString(mac("key", kind))
		sites.WriteString(gate(kind, "", `secret new "`+key[:32]+`"`, `secret old "`+key[32:]+`"`, "challenge "+kind+" "+checkArguments[kind]))
	}
	sites.WriteString(gate("token", "", "token {env.OTHER_SECRET}", "header X-Token", "challenge eventgrid"))
	sites.WriteString(gate("posts", "@post", "GATE", "challenge dropbox"))
	sites.WriteString(gate("observed", "", "secret {env.OBSERVED_SECRET}", "unsafe_observe_only", "challenge hub {env.VERIFY_TOKEN}"))
	port := folder(t, "http://127.0.0.1:PORT {\n"+sites.String()+"}\n")
	serve(t)
	wrong := map[string]string{"hub": "token", "oura": "token", "websub": "topic", "cloudevents": "origin"}
	for _, kind := range signature.Challenges() {
		for _, flags := range [][]string{nil, {"--secret-name", "old"}} {
			status := "200"
			if kind == "discord-events" {
				status = "204"
			}
			want := []string{"check\tanswered\t" + status + "\tkept\n"}
			if wrong[kind] != "" {
				want = append(want, "check, wrong "+wrong[kind]+"\t401\t401\tkept\n")
			}
			o := webhook(t, "", append(append([]string{"send"}, flags...), "http://127.0.0.1:"+port+"/"+kind)...)
			o.want(t, 0, want...)
			if strings.Count(o.stdout, "check") != len(want) {
				t.Errorf("%s: %s", kind, o.stdout)
			}
		}
	}
	webhook(t, "", "send", "http://127.0.0.1:"+port+"/token").want(t, 0, "check\tanswered\t200\tkept\n")
	webhook(t, "", "send", "http://127.0.0.1:"+port+"/hub?a=b").want(t, 0, "check\tanswered\t200\tkept\n")
	webhook(t, "", "send", "http://127.0.0.1:"+port+"/posts").want(t, 1, "check\tanswered\t200\tBROKEN\n",
		"The sender's check (challenge dropbox) was not answered as the sender wants: the body is not what the sender wants.", "It is a GET: look for a route in front of the gate")
	o := webhook(t, "", "send", "http://127.0.0.1:"+port+"/observed")
	o.want(t, 1, "check\tanswered\t200\tkept\n")
	if strings.Contains(o.stdout, "wrong token") {
		t.Errorf("a check for another gate would reach the app: %s", o.stdout)
	}
	webhook(t, "", "send", "--json", "http://127.0.0.1:"+port+"/hub").want(t, 0, `"delivery": "check"`, `"expected": "answered"`)
}

// What breaks a check is said.
func TestSendSaysWhyACheckFailed(t *testing.T) {
	port := folder(t, "http://127.0.0.1:PORT {\n\twebhook_auth {\n\t\tGATE\n\t\tchallenge okta\n\t}\n\trespond ok\n}\n",
		"running", "http://127.0.0.1:PORT {\n\twebhook_auth {\n\t\tsecret {env.WEBHOOK_SECRET}\n\t}\n\trespond ok\n}\n")
	configured, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	running, _ := os.ReadFile("running")
	if err := os.WriteFile("Caddyfile", []byte(strings.ReplaceAll(string(running), "PORT", port)), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t)
	if err := os.WriteFile("Caddyfile", configured, 0o600); err != nil {
		t.Fatal(err)
	}
	webhook(t, "", "send", "http://127.0.0.1:"+port).want(t, 1, "check\tanswered\t401\tBROKEN\n", "the status is 401, and the sender wants 200",
		"The gate refused it; its log says why under the error_id", "Was the server reloaded since the challenge was written")
}
