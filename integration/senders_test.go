package integration_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A sender signs and sends, and shares no code with the gateway.
type sender struct {
	name  string
	tools []string
	argv  []string // empty: Go, in the test itself
}

var senders = []sender{
	{name: "Node createHmac", tools: []string{"node"}, argv: []string{"node", "createhmac.mjs"}},
	{name: "Web Crypto", tools: []string{"node"}, argv: []string{"node", "webcrypto.mjs"}},
	{name: "openssl", tools: []string{"bash", "openssl", "curl", "od"}, argv: []string{"bash", "openssl.sh"}},
	{name: "Go"},
}

// send makes the sender sign d with secret and deliver it.
func (s sender) send(t *testing.T, g *gateway, d delivery, secret, field string) (status, answer string) {
	t.Helper()
	if s.argv == nil {
		d.fields = append(d.fields[:len(d.fields):len(d.fields)], field+": sha256="+hmacHex("sha256", secret, d.body))
		return sendGo(t, g, d)
	}
	for _, tool := range s.tools {
		needs(t, tool)
	}
	framing := "length"
	if d.chunked {
		framing = "chunked"
	}
	args := []string{filepath.Join("testdata", "senders", s.argv[1]), "http://" + g.addr + d.target, d.method, framing, idField + ": " + d.id}
	cmd := command(t, s.argv[0], append(args, d.fields...)...)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret, "SIGNATURE_FIELD="+field)
	cmd.Stdin = bytes.NewReader(d.body)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", s.name, err, &stderr)
	}
	status, answer, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return status, answer
}

func sendGo(t *testing.T, g *gateway, d delivery) (status, answer string) {
	t.Helper()
	client := newClient(&http.Transport{DisableKeepAlives: true})
	resp, err := client.Do(d.request(t, "http://"+g.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status[:3], string(body)
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// TestSenders delivers every kind of body from every sender.
func TestSenders(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	form := "payload=" + url.QueryEscape(`{"action":"opened","title":"a+b & ä"}`)
	bodies := []struct {
		name string
		make func() delivery
	}{
		{"ChatBotKit", func() delivery { return post(chatBotKit) }},
		{"unicode", func() delivery { return post("{\"text\":\"\\u001B ä 漢 😀 \\ud83d\\ude00\"}\r\n") }},
		{"invalid UTF-8", func() delivery { return post("\xff\xfe\x00\x80") }},
		{"empty", func() delivery { return post("") }},
		{"form", func() delivery { return post(form, "Content-Type: application/x-www-form-urlencoded") }},
		{"gzip stays gzip", func() delivery { return post(gzipped(chatBotKit), "Content-Encoding: gzip") }},
		{"200 kB chunked", func() delivery { return post(strings.Repeat("0123456789", 20_000)).chunks() }},
		{"5 MB", func() delivery { return post(strings.Repeat("0123456789", 500_000)) }},
	}
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, body := range bodies {
				t.Run(body.name, func(t *testing.T) {
					d := body.make()
					status, answer := s.send(t, g, d, testSecret, "X-Hub-Signature")
					if status != "200" || !strings.HasPrefix(answer, "the app got ") {
						t.Errorf("answer %s %q, want the app's", status, answer)
					}
					delivered(t, a, d)
				})
			}
		})
	}
}

// TestSendersWithAnotherSecret: every sender gets 401, and nothing arrives.
func TestSendersWithAnotherSecret(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) {
			d := post(chatBotKit)
			if status, answer := s.send(t, g, d, otherSecret, "X-Hub-Signature"); status != "401" || answer != "" {
				t.Errorf("answer %s %q, want 401 and no body", status, answer)
			}
			a.nothing(t, d.id)
		})
	}
}

// TestChatBotKit: users of ChatBotKit write the request themselves, so any method may
// come, with any content type or none.
func TestChatBotKit(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS", "REPORT"} {
		for _, contentType := range []string{"", "application/json", "text/plain;charset=UTF-8"} {
			t.Run(method+" "+contentType, func(t *testing.T) {
				d := authentic(chatBotKit).with(method, "/webhook?bot=1&empty=")
				if contentType != "" {
					d.fields = append(d.fields, "Content-Type: "+contentType)
				}
				if resp := g.deliver(t, d); resp.status != http.StatusOK {
					t.Errorf("status %d, want 200", resp.status)
				}
				delivered(t, a, d)
				if got := a.once(t, d.id).Header["Content-Type"]; contentType == "" && got != nil {
					t.Errorf("the app got a Content-Type that nobody sent: %q", got)
				}
			})
		}
	}
}

// TestChatBotKitSender: the same with Node's own client, which frames a GET with a body in
// its own way.
func TestChatBotKitSender(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
		d := post(chatBotKit).with(method, "/webhook")
		if status, answer := senders[0].send(t, g, d, testSecret, "X-Hub-Signature"); status != "200" {
			t.Errorf("%s: answer %s %q", method, status, answer)
		}
		delivered(t, a, d)
	}
}

// TestGitHub: GitHub signs twice, and only the SHA-256 field counts. By default it sends
// a form and signs the raw form.
func TestGitHub(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	form := "payload=" + url.QueryEscape(`{"zen":"Keep it logically awesome."}`)
	github := func(body, contentType string) delivery {
		return post(body,
			"User-Agent: GitHub-Hookshot/1a2b3c4",
			"Content-Type: "+contentType,
			"X-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958",
			"X-GitHub-Event: ping",
			"X-Hub-Signature: sha1="+hmacHex("sha1", testSecret, []byte(body)),
			"X-Hub-Signature-256: sha256="+hmacHex("sha256", testSecret, []byte(body)))
	}
	g.accepts(t, a, github(form, "application/x-www-form-urlencoded"))
	g.accepts(t, a, github(`{"zen":"Keep it logically awesome."}`, "application/json"))

	redelivered := github(form, "application/x-www-form-urlencoded")
	again := redelivered
	again.id = fresh()
	g.accepts(t, a, redelivered)
	g.accepts(t, a, again) // the same bytes are a new delivery
}

// TestWebSubHub: a hub may sign with any algorithm of WebSub, and with SHA-1 only if the
// operator names it.
func TestWebSubHub(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "algorithms sha1 sha256 sha384 sha512"))
	for algorithm := range hashes {
		body := "<feed>" + algorithm + "</feed>"
		d := post(body, "Content-Type: application/atom+xml", "X-Hub-Signature: "+algorithm+"="+hmacHex(algorithm, testSecret, []byte(body)))
		g.accepts(t, a, d)
	}
}
