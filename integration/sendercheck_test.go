package integration_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A senderCheck is a row of checks.json: a sender's check, and the answer that it wants.
type senderCheck struct {
	Kind, Method, Query, Body, Token, Secret string
	Arguments                                []string
	Fields                                   map[string]string
	Signed                                   bool
	Answer                                   struct {
		Status      int
		ContentType string `json:"content_type"`
		Fields      map[string]string
		Body        string
	}
}

func senderChecks(t *testing.T) []senderCheck {
	t.Helper()
	var file struct{ Checks []senderCheck }
	if err := json.Unmarshal(readFile(t, filepath.Join(repository, "caddymodule/internal/signature/testdata/checks.json")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Checks) < 19 {
		t.Fatalf("only %d kinds", len(file.Checks))
	}
	return file.Checks
}

// key is a secret of the kind's own: what one gate signs for strangers does not load at
// another.
func (c *senderCheck) key() string {
	if c.Secret != "" {
		return c.Secret + c.Kind
	}
	return hex.EncodeToString(sum([]byte(testSecret), c.Kind))
}

// checkSite has a gate for each kind, in front of a handler.
func checkSite(behind string, checks []senderCheck) string {
	var b strings.Builder
	b.WriteString(":{$PORT} {\n")
	for _, c := range checks {
		b.WriteString("\thandle /" + c.Kind + " {\n\t\twebhook_auth {\n\t\t\tname " + c.Kind + "\n\t\t\tsecret \"" + c.key() + "\"\n\t\t\tchallenge " +
			c.Kind + " " + strings.Join(c.Arguments, " ") + "\n\t\t\tbody_timeout 1s\n\t\t}\n\t\t" + behind + "\n\t}\n")
	}
	return b.String() + "\trespond 404\n}\n"
}

// delivery is the check, signed where the sender signs it.
func (c *senderCheck) delivery() delivery {
	d := delivery{id: fresh(), method: c.Method, target: "/" + c.Kind}
	if c.Query != "" {
		d.target += "?" + c.Query
	}
	for name, value := range c.Fields {
		d.fields = append(d.fields, name+": "+value)
	}
	if c.Method == http.MethodPost {
		d.body = []byte(c.Body)
	}
	if c.Signed {
		d.fields = append(d.fields, "X-Hub-Signature: sha256="+hmacHex("sha256", c.key(), d.body))
	}
	return d
}

// wanted fails the test unless it is the answer that the sender wants. Its MACs are made here.
func (c *senderCheck) wanted(t *testing.T, status int, header http.Header, body string) {
	t.Helper()
	want := max(c.Answer.Status, http.StatusOK)
	if status != want || header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Type") != c.Answer.ContentType {
		t.Errorf("%s: answer %d %v, want %d", c.Kind, status, header, want)
	}
	for name, value := range c.Answer.Fields {
		if header.Get(name) != value {
			t.Errorf("%s: %s: %q, want %q", c.Kind, name, header.Get(name), value)
		}
	}
	var got, object map[string]any
	if json.Unmarshal([]byte(c.Answer.Body), &object) != nil {
		if body != c.Answer.Body {
			t.Errorf("%s: %q, want %q", c.Kind, body, c.Answer.Body)
		}
		return
	}
	mac := sum([]byte(c.key()), c.Token)
	for member, value := range map[string]string{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(mac), "challengeResponse": hex.EncodeToString(mac), "encryptedToken": hex.EncodeToString(mac)} {
		if object[member] != nil {
			object[member] = value
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || !reflect.DeepEqual(got, object) {
		t.Errorf("%s: %s, want %v", c.Kind, body, object)
	}
}

// TestChecksOverTheWire: each kind of check is answered as its sender wants, over HTTP/1.1 and
// HTTP/2, and never reaches the app. On the same connection a delivery follows. What differs
// from the check in one thing is refused, and a signed delivery like it reaches the app.
func TestChecksOverTheWire(t *testing.T) {
	t.Parallel()
	checks := senderChecks(t)
	a := startApp(t)
	g := startGateway(t, checkSite("reverse_proxy "+a.addr, checks))
	h2 := newTransport(t, nil, (*http.Protocols).SetUnencryptedHTTP2)
	for _, c := range checks {
		t.Run(c.Kind, func(t *testing.T) {
			t.Parallel()
			d := c.delivery()
			connection := g.dial(t)
			connection.send(d.wire())
			resp := connection.response(d.method)
			c.wanted(t, resp.status, resp.header, resp.body)
			a.nothing(t, d.id)
			after := post(chatBotKit, "X-Hub-Signature: sha256="+hmacHex("sha256", c.key(), []byte(chatBotKit))).with("POST", "/"+c.Kind)
			connection.send(after.wire())
			answered(t, connection.response(after.method))
			delivered(t, a, after)

			again := c.delivery()
			answer, err := h2.RoundTrip(again.request(t, "http://"+g.addr))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			c.wanted(t, answer.StatusCode, answer.Header, string(body))
			a.nothing(t, again.id)
			if !c.Signed {
				c.nearMisses(t, g, a)
			}
		})
	}
}

func (c *senderCheck) nearMisses(t *testing.T, g *gateway, a *app) {
	t.Helper()
	other := c.delivery()
	other.method = map[bool]string{true: http.MethodPut, false: http.MethodDelete}[c.Method == http.MethodPost]
	g.refused(t, a, other, http.StatusUnauthorized, "missing_signature")
	if c.Method == http.MethodPost {
		g.refused(t, a, c.delivery().chunks(), http.StatusUnauthorized, "missing_signature")
		large := c.delivery()
		large.body = append(large.body, strings.Repeat(" ", 5<<10)...)
		g.refused(t, a, large, http.StatusUnauthorized, "missing_signature")
	}
	forged := c.delivery()
	forged.fields = append(forged.fields, "X-Hub-Signature: sha256="+strings.Repeat("0", 64))
	g.refused(t, a, forged, http.StatusUnauthorized, "signature_mismatch")
	if c.Kind == "x" || c.Kind == "linkedin" || c.Method == http.MethodHead {
		return // an empty body may be what strangers have signed; and HEAD gets no body
	}
	right := c.delivery()
	right.fields = append(right.fields, "X-Hub-Signature: sha256="+hmacHex("sha256", c.key(), right.body))
	g.accepts(t, a, right)
}

// TestSlowChecks: a check with a body that does not come ends with the time for bodies, and
// one that is judged by its header section at once.
func TestSlowChecks(t *testing.T) {
	t.Parallel()
	checks := senderChecks(t)
	a := startApp(t)
	g := startGateway(t, checkSite("reverse_proxy "+a.addr, checks))
	for _, c := range checks {
		if c.Signed || c.Method != http.MethodPost {
			continue
		}
		d := c.delivery()
		d.body = append(d.body, strings.Repeat(" ", 100)...)
		connection := g.dial(t)
		connection.send(d.head() + c.Body) // and 100 bytes never
		resp := connection.response(d.method)
		if c.Kind != "eventgrid" {
			c.wanted(t, resp.status, resp.header, resp.body)
		} else if resp.status != http.StatusRequestTimeout {
			t.Errorf("%s: answer %d, want 408", c.Kind, resp.status)
		}
		smuggled := post(chatBotKit, "X-Hub-Signature: sha256="+hmacHex("sha256", c.key(), []byte(chatBotKit))).with("POST", "/"+c.Kind)
		io.WriteString(connection, smuggled.wire())
		connection.closed()
		a.nothing(t, smuggled.id)
		a.nothing(t, d.id)
	}
}

// TestChecksFetchNothing: the URLs in checks of CloudEvents and Event Grid are fetched by
// nobody: who asks could otherwise send the gateway anywhere.
func TestChecksFetchNothing(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	called := make(chan struct{}, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			conn.Close()
			called <- struct{}{}
		}
	}()
	checks := senderChecks(t)
	g := startGateway(t, checkSite("respond app", checks))
	for _, c := range checks {
		switch c.Kind {
		case "cloudevents":
			c.Fields["WebHook-Request-Callback"] = "http://" + listener.Addr().String() + "/callback"
		case "eventgrid":
			c.Body = strings.Replace(c.Body, "https://rp-eastus2.eventgrid.azure.net:553", "http://"+listener.Addr().String(), 1)
		default:
			continue
		}
		resp := g.deliver(t, c.delivery())
		c.wanted(t, resp.status, resp.header, resp.body)
	}
	g.stop(t) // what it does in the background has ended
	select {
	case <-called:
		t.Error("the gateway has fetched a URL of a check")
	default:
	}
}

// TestPreflightIsNoCheck: a browser's preflight and an origin that is not listed get no
// permission, and the log says which check it was.
func TestPreflightIsNoCheck(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "challenge cloudevents eventgrid.azure.net"))
	for _, tt := range []struct {
		fields    []string
		diagnosis string
	}{
		{[]string{"Origin: https://evil.example", "Access-Control-Request-Method: POST"}, ""},
		{[]string{"WebHook-Request-Origin: eventgrid.azure.net", "Access-Control-Request-Method: POST"}, ""},
		{[]string{"WebHook-Request-Origin: evil.example"}, "check_origin_differs"},
		{[]string{"WebHook-Request-Origin: *"}, "check_origin_differs"},
		{[]string{"WebHook-Request-Origin: eventgrid.azure.net", "WebHook-Request-Rate: many"}, "check_asks_for_no_rate"},
		{[]string{"X-Okta-Verification-Challenge: a"}, "check_is_not_configured"},
	} {
		d := delivery{id: fresh(), method: http.MethodOptions, target: "/webhook", fields: tt.fields}
		resp := g.refused(t, a, d, http.StatusUnauthorized, "missing_signature")
		for name := range resp.header {
			if strings.HasPrefix(name, "Webhook-Allowed") || strings.HasPrefix(name, "Access-Control") {
				t.Errorf("%v gets %s", tt.fields, name)
			}
		}
		line := g.log.wait(t, "the refusal", func(e entry) bool { return e.text("error_id") == resp.header.Get(errorID) })
		if line.text("diagnosis") != tt.diagnosis {
			t.Errorf("%v: the log says %q, want %q", tt.fields, line.text("diagnosis"), tt.diagnosis)
		}
	}
}

// TestTokenGateChecks: a check in an unsigned body is answered only with the token.
func TestTokenGateChecks(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, tokenSite(a, "challenge eventgrid"), tokenEnviron...)
	for _, c := range senderChecks(t) {
		if c.Kind != "eventgrid" {
			continue
		}
		check := func(fields ...string) delivery {
			d := c.delivery()
			d.target, d.fields = "/webhook", append(d.fields, fields...)
			return d
		}
		resp := g.refused(t, a, check(), http.StatusUnauthorized, "token_missing")
		line := g.log.wait(t, "the refusal", func(e entry) bool { return e.text("error_id") == resp.header.Get(errorID) })
		if line.text("diagnosis") != "check_needs_token" {
			t.Errorf("the log says %v", line)
		}
		g.refused(t, a, check("X-Token: wrong"), http.StatusUnauthorized, "token_mismatch")
		right := check(tokenLine)
		answer := g.deliver(t, right)
		c.wanted(t, answer.status, answer.header, answer.body)
		a.nothing(t, right.id)
		g.accepts(t, a, post(chatBotKit, tokenLine, "Aeg-Event-Type: Notification"))
	}
}

// TestLinkedInOverTheWire: LinkedIn's check signs for strangers, and no answer is a delivery.
func TestLinkedInOverTheWire(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "header X-LI-Signature", "signature {hex}", "payload hmacsha256={body}", "challenge linkedin"))
	signed := func(body string) string {
		return "X-LI-Signature: " + hex.EncodeToString(sum([]byte(testSecret), "hmacsha256="+body))
	}
	g.accepts(t, a, post(chatBotKit, signed(chatBotKit)))
	ask := func(code string) delivery {
		return delivery{id: fresh(), method: http.MethodGet, target: "/webhook?challengeCode=" + code}
	}
	const code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
	resp := g.deliver(t, ask(code))
	var made map[string]string
	if err := json.Unmarshal([]byte(resp.body), &made); err != nil || made["challengeResponse"] != hex.EncodeToString(sum([]byte(testSecret), code)) {
		t.Fatalf("%d %q", resp.status, resp.body)
	}
	g.refused(t, a, ask("hmacsha256=%7B%22evil%22:1%7D"), http.StatusUnauthorized, "missing_signature")
	g.refused(t, a, ask("hmacsha256="+code), http.StatusUnauthorized, "missing_signature")
	g.refused(t, a, post(code, "X-LI-Signature: "+made["challengeResponse"]), http.StatusUnauthorized, "signature_mismatch")
	g.refused(t, a, post(code, signed(code)), http.StatusUnauthorized, "signature_mismatch") // no sender's delivery is a UUID
}

// TestCommandMakesChecks: `caddy webhook send` makes the check of each kind, and sees that
// the gate answers it.
func TestCommandMakesChecks(t *testing.T) {
	t.Parallel()
	checks := senderChecks(t)
	g := startGateway(t, checkSite("respond app", checks))
	_, port, _ := net.SplitHostPort(g.addr)
	for _, c := range checks {
		t.Run(c.Kind, func(t *testing.T) {
			t.Parallel()
			rows := []string{"check\tanswered\t200\tkept\n"}
			if c.Answer.Status != 0 {
				rows[0] = "check\tanswered\t204\tkept\n"
			}
			if len(c.Arguments) > 0 {
				wrong := map[string]string{"hub": "token", "oura": "token", "websub": "topic", "cloudevents": "origin"}[c.Kind]
				rows = append(rows, "check, wrong "+wrong+"\t401\t401\tkept\n")
			}
			output, ok := g.caddy(t, "webhook", "send", "--config", g.file, "http://127.0.0.1:"+port+"/"+c.Kind)
			if !ok || slices.ContainsFunc(rows, func(row string) bool { return !strings.Contains(output, row) }) || strings.Contains(output, "BROKEN") {
				t.Errorf("%s", output)
			}
		})
	}
}
