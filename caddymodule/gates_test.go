package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

const manyWays = `
&(shared) {
	webhook_auth GATE:shared
}
:8080 {
	@a path /a*
	handle @a {
		webhook_auth GATE:a
		respond a
	}
	handle_path /strip/* {
		route /b {
			webhook_auth GATE:b
			reverse_proxy 127.0.0.1:1
		}
	}
	@put method PUT
	handle @put {
		webhook_auth GATE:put
	}
	handle /c {
		invoke shared
	}
	handle /rewritten {
		route {
			uri replace /rewritten /x
			webhook_auth /x GATE:x
			respond x
		}
	}
	handle /fields {
		@hook header X-Kind hook
		route {
			request_header X-Kind hook
			webhook_auth @hook GATE:fields
		}
	}
	handle /early {
		route {
			respond early
			webhook_auth GATE:late
		}
	}
	handle /two {
		webhook_auth GATE:two
		route {
			webhook_auth GATE:three
		}
	}
	respond 404
}`

func TestWayOf(t *testing.T) {
	server := provisionedServer(t, manyWays)
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/a", "a"},
		{"POST", "/abc", "a"},
		{"POST", "/strip/b", "b"},
		{"POST", "/b", ""},
		{"PUT", "/other", "put"},
		{"POST", "/other", ""},
		{"POST", "/c", "shared"},
		{"POST", "/rewritten", "x"},
		{"POST", "/fields", "fields"},
		{"POST", "/early", ""},
		{"POST", "/two", "two three"},
		{"POST", "/", ""},
	} {
		got := namesOf(wayOf(server, httptest.NewRequest(c.method, c.path, nil)).gates)
		if got != c.want {
			t.Errorf("%s %s meets the gates %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestWayOfHost(t *testing.T) {
	server := provisionedServer(t, "http://one.example, http://two.example {\n webhook_auth GATE:hosts\n respond x\n}")
	for host, want := range map[string]string{"one.example": "hosts", "two.example:80": "hosts", "localhost": ""} {
		r := httptest.NewRequest(http.MethodPost, "http://"+host+"/", nil)
		if got := namesOf(wayOf(server, r).gates); got != want {
			t.Errorf("%s meets the gates %q, want %q", host, got, want)
		}
	}
}

// What the command is told of the gates of a configuration.
func TestLoadGates(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // the command changes it
	t.Setenv("WEBHOOK_SECRET", testSecret)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	text := `
http://a.example:8080, http://c.example:8080 {
	webhook_auth /hook {
		secret main {env.WEBHOOK_SECRET}
		max_size 1KiB
		unsafe_observe_only
	}
	respond ok
}
https://b.example:8443 {
	tls internal
	webhook_auth square {
		name second
		secret {env.WEBHOOK_SECRET}
		public_url https://b.example/
	}
	respond ok
}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := loadGates(file, "caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range config.Gates {
		if len(g.Secrets) != 1 || g.Secrets[0].Text != testSecret {
			t.Errorf("%s has other secrets", g.Name)
		}
		got = append(got, fmt.Sprint(g.Name, g.Preset, g.Secrets[0].Name, g.PublicURL, g.MaxSize, g.Observes, g.Scheme.NeedsURL(), g.URLs))
	}
	want := []string{
		fmt.Sprint("hub", "hub", "main", "", 1024, true, false, []string{"http://a.example:8080/hook", "http://c.example:8080/hook"}),
		fmt.Sprint("second", "square", "1", "https://b.example/", defaultMaxSize, false, true, []string{"https://b.example:8443/"}),
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for address, want := range map[string]string{
		"http://a.example:9999/hook":  "hub", // something in front has that port
		"http://a.example:8080/hook":  "hub",
		"http://a.example:8080/other": "",
		"https://b.example:8443/":     "second",
		"https://b.example/":          "second",
		"https://a.example:8080/hook": "the server on port 8080 speaks HTTP; write http://a.example:8080/hook",
		"http://b.example:8443/":      "the server on port 8443 speaks HTTPS; write https://b.example:8443/",
	} {
		u, _ := url.Parse(address)
		met, err := config.Meet(http.MethodPost, u, http.Header{})
		found := ""
		if err != nil {
			found = err.Error()
		}
		for _, g := range met.Gates {
			found += g.Name
		}
		if found != want {
			t.Errorf("%s: %q, want %q", address, found, want)
		}
	}
}

const gridCheck = `[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"512d38b6"}}]`

// judgedGates are gates that differ in what is judged beside the signature. Each knows
// the test's secret.
func judgedGates() map[string]*Handler {
	main := Secret{Name: "main", Value: testSecret}
	return map[string]*Handler{
		"plain":  {Secrets: []Secret{main}},
		"x":      {Secrets: []Secret{main}, Challenge: &Challenge{Kind: "x"}},
		"slack":  {Secrets: []Secret{main}, Challenge: &Challenge{Kind: "slack"}},
		"small":  {Secrets: []Secret{main}, MaxSize: 10},
		"head":   {Secrets: []Secret{main}, Challenge: &Challenge{Kind: "head"}},
		"graph":  {Secrets: []Secret{main}, Challenge: &Challenge{Kind: "graph"}},
		"grid":   {Secrets: []Secret{main}, Challenge: &Challenge{Kind: "eventgrid"}},
		"mini":   {Secrets: []Secret{main}, MaxSize: 10, Challenge: &Challenge{Kind: "eventgrid"}},
		"token":  {Tokens: []Token{Token(main)}, Headers: []string{"X-Token"}, Challenge: &Challenge{Kind: "eventgrid"}},
		"oldest": {Secrets: []Secret{{Value: "a secret that is the newest of all"}, {Value: "a secret that is in between"}, main}},
	}
}

// judgedRequests are requests, authentic and not, and checks.
func judgedRequests(bodies []string) (requests []*http.Request) {
	for _, body := range bodies {
		r := func(method, target, signature string) *http.Request {
			r := httptest.NewRequest(method, target, strings.NewReader(body))
			if signature != "" {
				r.Header.Set("X-Hub-Signature", signature)
			}
			requests = append(requests, r)
			return r
		}
		for _, signature := range []string{sign(body), sign("other"), "", "sha1=" + strings.Repeat("0", 40), "sha256=0", "nothing"} {
			r(http.MethodPost, "/", signature)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodConnect} {
			r(method, "/?crc_token=token_1", "").Host = "example.com"
			r(method, "/?crc_token=token_1", sign(body)).Host = "example.com"
		}
		for _, field := range []string{"", "X-Hub-Signature", "X-Token", "Incremental"} {
			grid := r(http.MethodPost, "/?validationToken=a", "")
			grid.Header.Set("Aeg-Event-Type", "SubscriptionValidation")
			if field != "" {
				grid.Header.Set(field, map[string]string{"X-Hub-Signature": sign(body), "X-Token": testSecret, "Incremental": "?1"}[field])
			}
		}
		short := r(http.MethodPost, "/", "")
		short.Header.Set("Aeg-Event-Type", "SubscriptionValidation")
		short.ContentLength += 5
		r(http.MethodPost, "/", sign(body)).Header.Add("X-Hub-Signature", sign(body))
		r(http.MethodPost, "/", sign(body)).Header.Set("Incremental", "?1")
		r(http.MethodPost, "/", sign(body)).ContentLength = 11
	}
	return requests
}

// TestVerifyJudgesAsTheGate: for any delivery, `caddy webhook verify` and the gate come
// to the same end.
func TestVerifyJudgesAsTheGate(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // the command changes it
	ends := make(map[string]int)
	for name, h := range judgedGates() {
		config := filepath.Join(t.TempDir(), "config.json")
		text := fmt.Sprintf(`{"apps": {"http": {"servers": {"s": {"listen": [":8080"], "routes": [{"handle": [%s, {"handler": "static_response"}]}]}}}}}`,
			caddyconfig.JSONModuleObject(h, "handler", "webhook_auth", nil))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h, _ = keyed(t, h)
		bodies := []string{"", "token_1", delivery, `{"type":"url_verification","challenge":"a"}`, strings.Repeat("x", 65)}
		if h.Challenge != nil && h.material().challenge.Method() == http.MethodPost {
			bodies = []string{"token_1", gridCheck}
		}
		for _, r := range judgedRequests(bodies) {
			offline := verified(t, config, r)
			end := judgedBy(h, r)
			if offline != end {
				t.Errorf("%s: the gate says %q of %s %s with %v, and the command %q", name, end, r.Method, r.RequestURI, r.Header, offline)
			}
			ends[end]++
		}
	}
	for _, end := range []string{
		"authentic", "answered", "missing_signature", "malformed_signature", "algorithm_not_allowed", "signature_mismatch",
		"ambiguous_signature", "incremental", "method_not_allowed", "body_too_large", "body_incomplete",
	} {
		if ends[end] == 0 {
			t.Errorf("no request ends as %s: %v", end, ends)
		}
	}
}

// judgedBy returns what the gate makes of a request: a reason, or one of two words.
func judgedBy(h *Handler, r *http.Request) string {
	next := new(spy)
	r, err := serve(h, newRecorder(), r, next)
	switch reason := placeholder(r, "reason"); {
	case reason != "" || err != nil:
		return reason
	case next.calls == 0:
		return "answered"
	}
	return "authentic"
}

// verified returns what the command makes of it.
func verified(t *testing.T, config string, r *http.Request) string {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body)) // for the gate
	header := r.Header.Clone()
	header.Set("Content-Length", fmt.Sprint(r.ContentLength))
	line, err := json.Marshal(map[string]any{"request": map[string]any{"method": r.Method, "host": r.Host, "uri": r.URL.RequestURI(), "headers": header}})
	if err != nil {
		t.Fatal(err)
	}
	headers, data := filepath.Join(t.TempDir(), "headers"), filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(headers, line, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, body, 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	parent := &cobra.Command{Use: "webhook"}
	caddycmd.Commands()["webhook"].CobraFunc(parent)
	parent.SetOut(&output)
	parent.SetErr(&output)
	parent.SetArgs([]string{"verify", "--json", "--config", config, "--headers", headers, "--data", "@" + data})
	_ = parent.Execute() // its output says more
	var got struct {
		Authentic        bool
		Answered, Reason string
	}
	if err := json.Unmarshal(output.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, &output)
	}
	switch {
	case got.Reason != "":
		return got.Reason
	case got.Answered != "":
		return "answered"
	case got.Authentic:
		return "authentic"
	}
	return "nothing"
}
