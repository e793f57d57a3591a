package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// The secrets of all tests. No log may contain one.
const (
	testSecret    = "wk-5f1d0c9a7be24e63880f4a6f1c2d3e4b5a69788796a5b4c3d2e1f00f1e2d3c4b"
	otherSecret   = "wk-00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100"
	literalSecret = "s3cr3t-v4lue-that-stands-in-the-Caddyfile"
)

// chatBotKit is a delivery as ChatBotKit makes it.
const chatBotKit = `{"eventType":"conversation.create","eventData":{"id":"c1","text":"hi"}}`

// idField identifies a delivery. It is not signed; the gateway hands it on like any other
// field.
const idField = "X-Delivery"

var deliveries atomic.Int64

func fresh() string { return fmt.Sprintf("d%d", deliveries.Add(1)) }

// canonical is a site as the README shows it: the gate and the proxy in one handle, and
// everything else refused.
func canonical(a *app, options ...string) string {
	return ":{$PORT} {\n\thandle /webhook {\n" + gate(a, options...) + "\t}\n\trespond 404\n}\n"
}

// gate is webhook_auth in front of an app, with options besides the secret.
func gate(a *app, options ...string) string {
	var b strings.Builder
	b.WriteString("\t\twebhook_auth {\n\t\t\tsecret {env.WEBHOOK_SECRET}\n")
	for _, option := range options {
		b.WriteString("\t\t\t" + option + "\n")
	}
	b.WriteString("\t\t}\n\t\treverse_proxy " + a.addr + "\n")
	return b.String()
}

var hashes = map[string]func() hash.Hash{
	"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

// hmacHex is the part of a signature after the `=`.
func hmacHex(algorithm, secret string, body []byte) string {
	mac := hmac.New(hashes[algorithm], []byte(secret))
	mac.Write(body)
	return fmt.Sprintf("%x", mac.Sum(nil))
}

// signed is the field line of an authentic delivery.
func signed(body []byte) string { return signedWith(testSecret, body) }

func signedWith(secret string, body []byte) string {
	return "X-Hub-Signature: sha256=" + hmacHex("sha256", secret, body)
}

// A delivery is a request as a sender makes it, or as a forger does.
type delivery struct {
	id      string
	method  string
	target  string
	fields  []string // further field lines, in this order
	body    []byte
	chunked bool
}

// post is a POST of body to the gateway's one path.
func post(body string, fields ...string) delivery {
	return delivery{id: fresh(), method: http.MethodPost, target: "/webhook", fields: fields, body: []byte(body)}
}

// authentic is a post with a valid signature.
func authentic(body string, fields ...string) delivery {
	return post(body, append(fields, signed([]byte(body)))...)
}

func (d delivery) chunks() delivery { d.chunked = true; return d }

func (d delivery) with(method, target string) delivery { d.method, d.target = method, target; return d }

// head is the header section in HTTP/1.1.
func (d delivery) head() string {
	lines := []string{d.method + " " + d.target + " HTTP/1.1", "Host: gateway", idField + ": " + d.id}
	lines = append(lines, d.fields...)
	switch {
	case d.chunked:
		lines = append(lines, "Transfer-Encoding: chunked")
	case d.body != nil:
		lines = append(lines, "Content-Length: "+strconv.Itoa(len(d.body)))
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// content is the body in HTTP/1.1, in chunks of different lengths if chunked.
func (d delivery) content() string {
	if !d.chunked {
		return string(d.body)
	}
	var b strings.Builder
	for rest, size := d.body, 1; len(rest) > 0; size = min(size*3, 64<<10) {
		n := min(size, len(rest))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// wire is the whole request in HTTP/1.1.
func (d delivery) wire() string { return d.head() + d.content() }

// request is the delivery for a Go HTTP client. A chunked one declares no length, in
// every protocol.
func (d delivery) request(t *testing.T, base string) *http.Request {
	t.Helper()
	var body io.Reader
	if d.body != nil {
		body = bytes.NewReader(d.body)
	}
	if d.chunked {
		body = io.MultiReader(body)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*patience, errors.New("no answer yet"))
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, d.method, base+d.target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(idField, d.id)
	for _, field := range d.fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// deliver sends d over HTTP/1.1 on a connection of its own.
func (g *gateway) deliver(t *testing.T, d delivery) response {
	t.Helper()
	c := g.dial(t)
	c.send(d.wire())
	return c.response(d.method)
}

// statusOf sends d on a connection that others use too, from any goroutine. Without an answer
// it is 0.
func (g *gateway) statusOf(t *testing.T, d delivery) int {
	t.Helper()
	resp, err := http.DefaultClient.Do(d.request(t, "http://"+g.addr))
	if err != nil {
		t.Error(err)
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// accepts fails the test unless d gets 200 and reaches the app byte-exact and
// exactly once.
func (g *gateway) accepts(t *testing.T, a *app, d delivery) {
	t.Helper()
	answered(t, g.deliver(t, d))
	delivered(t, a, d)
}

// answered fails the test unless resp is the app's answer.
func answered(t *testing.T, resp response) {
	t.Helper()
	if resp.status != http.StatusOK || !strings.HasPrefix(resp.body, "the app got ") {
		t.Fatalf("answer %d %q, want the app's", resp.status, resp.body)
	}
}

// delivered fails the test unless d reached the app byte-exact, exactly once, and
// framed by its length alone.
func delivered(t *testing.T, a *app, d delivery) {
	t.Helper()
	got := a.once(t, d.id)
	if got.Method != d.method || got.URI != d.target {
		t.Errorf("the app got %s %s, want %s %s", got.Method, got.URI, d.method, d.target)
	}
	if !bytes.Equal(got.Body, d.body) || got.Problem != "" {
		t.Errorf("the app got %d bytes %.80q %s, want %d bytes %.80q", len(got.Body), got.Body, got.Problem, len(d.body), d.body)
	}
	framed(t, got)
	for _, field := range d.fields {
		name, value, _ := strings.Cut(field, ": ")
		if !hopByHop[name] && got.Header.Get(name) != value {
			t.Errorf("the app got %s: %q, want %q", name, got.Header.Get(name), value)
		}
	}
}

// hopByHop are the fields that the gateway does not hand on.
var hopByHop = map[string]bool{"Connection": true, "Expect": true, "Trailer": true, "Upgrade": true, "Content-Length": true}

// framed checks the bytes that the app got: one Content-Length, no other framing, and
// nothing after the body (RFC 9112, section 6.3).
func framed(t *testing.T, got request) {
	t.Helper()
	head, body, _ := bytes.Cut(got.Raw, []byte("\r\n\r\n"))
	lengths := fieldLines(string(head), "Content-Length")
	want := []string{strconv.Itoa(len(got.Body))}
	if len(got.Body) == 0 && len(lengths) == 0 {
		want = nil // without one the body is empty: RFC 9112, section 6.3, rule 7
	}
	if fmt.Sprint(lengths) != fmt.Sprint(want) || !bytes.Equal(body, got.Body) {
		t.Errorf("Content-Length %v and %d bytes reached the app, want %v", lengths, len(body), want)
	}
	for _, name := range []string{"Transfer-Encoding", "Trailer", "Expect", "Upgrade"} {
		if lines := fieldLines(string(head), name); lines != nil {
			t.Errorf("the app got %s: %v", name, lines)
		}
	}
}

// fieldLines returns the values of all lines of a field.
func fieldLines(head, name string) (values []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}

// A conn is a sender's end of a TCP connection, byte by byte.
type conn struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

func (g *gateway) dial(t *testing.T) *conn {
	t.Helper()
	c, err := dial(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &conn{c, t, bufio.NewReader(c)}
}

// send does not wait, because the gateway may answer and close before it has read all of
// a large body.
func (c *conn) send(s string) {
	if len(s) > 32<<10 {
		go io.WriteString(c, s)
		return
	}
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Errorf("sending: %v", err)
	}
}

// A response is one answer, as it was on the wire.
type response struct {
	status int
	head   string
	header http.Header
	body   string
}

// response reads the next answer to a request of that method.
func (c *conn) response(method string) response {
	c.t.Helper()
	var head strings.Builder
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		line, err := c.r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			c.t.Fatalf("no complete answer, only %q: %v", head.String(), err)
		}
	}
	resp := parseHead(c.t, head.String())
	if method == http.MethodHead || resp.status < 200 || resp.status == http.StatusNoContent {
		return resp
	}
	size, err := strconv.Atoi(resp.header.Get("Content-Length"))
	if err != nil {
		c.t.Fatalf("an answer without a length: %q", resp.head)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c.r, body); err != nil {
		c.t.Fatalf("the answer's body: %v", err)
	}
	resp.body = string(body)
	return resp
}

func parseHead(t *testing.T, head string) response {
	t.Helper()
	_, fields, _ := strings.Cut(head, "\r\n")
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields))).ReadMIMEHeader()
	if err != nil {
		t.Fatalf("the answer %q: %v", head, err)
	}
	resp := response{head: head, header: http.Header(header)}
	if _, err := fmt.Sscanf(head, "HTTP/1.1 %d", &resp.status); err != nil {
		t.Fatalf("the answer %q: %v", head, err)
	}
	return resp
}

// closed fails the test if anything but the end of the connection follows.
func (c *conn) closed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		c.t.Errorf("after the last answer comes %q", rest)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Error("the connection stays open")
	}
}
