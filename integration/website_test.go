package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"
)

// mark is a value that only the gate's route and the app know.
const mark = "f6d1c0b29a8e47b3f6d1c0b29a8e47b3"

// normalised returns the path that a lenient app routes by. Servlet containers drop
// ;parameters. Others decode twice, join slashes, ignore case, or dots and blanks at the
// end, or take the path from a header field.
func normalised(r *http.Request) string {
	text := r.RequestURI
	for _, field := range []string{"X-Original-Url", "X-Rewrite-Url"} {
		if value := r.Header.Get(field); value != "" {
			text = value
		}
	}
	for range 2 {
		if decoded, err := url.PathUnescape(text); err == nil {
			text = decoded
		}
	}
	text = regexp.MustCompile(`;[^/]*`).ReplaceAllString(strings.ReplaceAll(text, `\`, "/"), "")
	return strings.TrimRight(strings.ToLower(path.Clean("/"+text)), " ./")
}

// TestWebsiteAndWebhook: one app is both website and webhook. The path does not tell it
// whether a request has passed the gate, but a mark does that only the gate's route sets.
func TestWebsiteAndWebhook(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if normalised(r) != "/webhooks/github" {
			io.WriteString(w, "page")
			return
		}
		fmt.Fprintf(w, "webhook, marked %v", r.Header.Get("X-Webhook-Gate") == mark)
	}))
	t.Cleanup(app.Close)
	addr := app.Listener.Addr().String()
	g := startGateway(t, "{\nwebhook_auth {\nunguarded "+addr+"\n}\n}\n:{$PORT} {\nhandle /webhooks/* {\n"+gateBlock+
		"reverse_proxy "+addr+" {\nheader_up X-Webhook-Gate {env.MARK}\n}\n}\nhandle {\nreverse_proxy "+addr+" {\nheader_up -X-Webhook-Gate\n}\n}\n}\n", "MARK="+mark)
	around := 0
	for _, target := range []string{
		"/webhooks/github", "/webhooks/github/", "/;/webhooks/github", "//webhooks/github", "/./webhooks/github", "/x/../webhooks/github",
		"/webhooks;a=b/github", "/webhooks/github;x", "/WEBHOOKS/GitHub", "/webhooks%2fgithub", "/%77ebhooks/github", "/webhooks%252fgithub",
		"/%2577ebhooks/github", `/webhooks\github`, "/%5cwebhooks%5cgithub", "/webhooks/github%20", "/webhooks/github.", "/webhooks//github",
		"http://127.0.0.1/;/webhooks/github", "/ HTTP/1.1\r\nX-Original-URL: /webhooks/github\r\nX-A:", "/ HTTP/1.1\r\nX-Rewrite-URL: /webhooks/github\r\nX-A:",
		"/;/webhooks/github HTTP/1.1\r\nX-Webhook-Gate: " + mark + "\r\nX-A:",
	} {
		switch answer := unsigned(t, g, target); answer {
		case "webhook, marked true":
			t.Errorf("%q reaches the webhook as if it had passed the gate", target)
		case "webhook, marked false":
			around++
		}
	}
	if around == 0 {
		t.Error("this app is not lenient, so the test proves nothing")
	}
	resp := g.deliver(t, authentic("x").with(http.MethodPost, "/webhooks/github"))
	if resp.status != http.StatusOK || resp.body != "webhook, marked true" {
		t.Errorf("a signed delivery: %d %q", resp.status, resp.body)
	}
	if found, _ := g.log.find(func(e entry) bool { return warned(e) && e.text("kind") != "" }); len(found) > 0 {
		t.Errorf("warns %v", found)
	}
}

// unsigned sends a request line unchanged and returns the body of the answer.
func unsigned(t *testing.T, g *gateway, target string) string {
	t.Helper()
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", target)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}
