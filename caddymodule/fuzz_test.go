package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// The gate that is fuzzed: large bodies go to disk early, and a second secret makes
// it read what it holds once more.
const (
	fuzzMaxSize = 16 << 10
	fuzzMemory  = 4 << 10
	fuzzSecond  = "wk-second-fedcba9876543210fedcba9876543210fedcba9876543210"
)

// unsignedDigest stands in the raw bytes where a right digest goes: the one of the
// body of the first, second, third request. No fuzzer finds one by itself.
var unsignedDigest = strings.Repeat("S", 64)

// fuzzHub is the field as the documents describe it, written a second time.
var fuzzHub = regexp.MustCompile(`\A(sha256|sha384|sha512)=([0-9A-Fa-f]+)\z`)

var fuzzHashes = map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

func hexHMAC(algorithm, secret string, body []byte) string {
	mac := hmac.New(fuzzHashes[algorithm], []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// isSigned is the oracle: it makes the signatures that would be right, and looks
// whether the deciding field is one of them.
func isSigned(fields http.Header, body []byte) bool {
	lines, ok := fields["X-Hub-Signature-256"]
	if !ok {
		lines = fields["X-Hub-Signature"]
	}
	if len(lines) != 1 {
		return false
	}
	m := fuzzHub.FindStringSubmatch(lines[0])
	if m == nil {
		return false
	}
	claimed := strings.ToLower(m[2])
	return claimed == hexHMAC(m[1], testSecret, body) || claimed == hexHMAC(m[1], fuzzSecond, body)
}

// A rawRequest is one request of a stream, as net/http reads it without the gate.
type rawRequest struct {
	*http.Request
	body  []byte
	whole bool
}

// deliverable says whether the gate must let the request through.
func (r rawRequest) deliverable() bool {
	return r.whole && r.Method != http.MethodConnect && len(r.body) <= fuzzMaxSize && isSigned(r.Header, r.body)
}

// readRaw takes a stream apart, up to the first request that is not whole.
func readRaw(raw []byte) (requests []rawRequest) {
	stream := bufio.NewReader(bytes.NewReader(raw))
	for {
		r, err := http.ReadRequest(stream)
		if err != nil {
			return requests
		}
		body, err := io.ReadAll(r.Body)
		requests = append(requests, rawRequest{r, body, err == nil})
		if err != nil {
			return requests
		}
		if r.Method == http.MethodPost { // net/http's server forgives old clients empty lines here
			next, _ := stream.Peek(4)
			stream.Discard(len(next) - len(bytes.TrimLeft(next, "\r\n")))
		}
	}
}

// signRaw puts right digests where they are wanted.
func signRaw(raw []byte) []byte {
	for _, r := range readRaw(raw) {
		raw = bytes.Replace(raw, []byte(unsignedDigest), []byte(hexHMAC("sha256", testSecret, r.body)), 1)
	}
	return raw
}

// A judged is what the gate did with one request.
type judged struct {
	forwarded []string // what reached the app; each entry is a complaint, or empty
	status    int      // of the refusal; 0: none
	panicked  any
}

// A wire is the server's end of a pipe whose other end says no more after some
// bytes, but still listens.
type wire struct {
	net.Conn
	left   int
	answer bytes.Buffer
	over   chan struct{}
	end    func()
	judged []judged // of one goroutine, until over
}

func (c *wire) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func (c *wire) Write(p []byte) (int, error) { return c.answer.Write(p) }

// CloseWrite is the last that net/http does before it waits half a second.
func (c *wire) CloseWrite() error { c.end(); return nil }

func (c *wire) Close() error { c.end(); return c.Conn.Close() }

// A pipeListener is a listener without a network.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l pipeListener) Close() error   { return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

type wireKey struct{}

// serveRaw starts net/http's server with the gate, and returns what sends it bytes.
func serveRaw(t testing.TB) func(raw []byte) *wire {
	gate, _ := provisioned(t, &Handler{
		MaxSize: fuzzMaxSize, Memory: fuzzMemory,
		Secrets: []Secret{{Name: "first", Value: testSecret}, {Name: "second", Value: fuzzSecond}},
	})
	gate.logger = zap.NewNop() // the observer keeps every line
	listener := make(pipeListener)
	server := &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { judgeRaw(gate, w, r) }),
		ErrorLog:    log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, wireKey{}, c) },
	}
	go server.Serve(listener)
	t.Cleanup(func() { close(listener); server.Close() })
	return func(raw []byte) *wire {
		client, conn := net.Pipe()
		c := &wire{Conn: conn, left: len(raw), over: make(chan struct{})}
		c.end = sync.OnceFunc(func() { close(c.over) })
		listener <- c
		go client.Write(raw)
		select {
		case <-c.over:
		case <-time.After(patience):
			panic("the gate hangs") // the fuzzer keeps the input
		}
		client.Close()
		return c
	}
}

// patience is far below the 60 s that any of Caddy's own timeouts takes.
const patience = 20 * time.Second

// judgeRaw does with a request what Caddy's server does, and keeps what came of it.
func judgeRaw(gate *Handler, w http.ResponseWriter, r *http.Request) {
	var j judged
	c := r.Context().Value(wireKey{}).(*wire)
	defer func() {
		j.panicked = recover()
		c.judged = append(c.judged, j)
	}()
	app := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		j.forwarded = append(j.forwarded, complaint(r))
		io.WriteString(w, "the app")
		return nil
	})
	seen := new(answer)
	seen.watch(w, func() {})
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), seen, nil)
	err := gate.ServeHTTP(seen, r, app)
	if err != nil {
		panic(err)
	}
	if w.Header().Get("Webhook-Auth-Error-Id") != "" {
		j.status = seen.status
	}
}

// complaint says what is wrong with a request that reached the app.
func complaint(r *http.Request) string {
	body, err := io.ReadAll(r.Body)
	length := r.ContentLength
	if length == -1 && len(body) == 0 {
		length = 0 // of an unknown length, so that no transport sends it twice
	}
	switch {
	case err != nil:
		return "its body breaks off: " + err.Error()
	case !isSigned(r.Header, body):
		return fmt.Sprintf("it is not signed: %q %q", r.Header, body)
	case length != int64(len(body)) || !slices.Equal(r.Header["Content-Length"], []string{strconv.Itoa(len(body))}):
		return fmt.Sprintf("%d bytes with the length %d and the fields %q", len(body), r.ContentLength, r.Header["Content-Length"])
	case r.Method == http.MethodConnect || r.Header["Upgrade"] != nil || r.Header["Expect"] != nil:
		return "it asks for more than a delivery"
	case r.Header["Trailer"] != nil || len(r.Trailer) > 0 || slices.Contains(r.TransferEncoding, "chunked"):
		return "it is framed by more than its length"
	}
	return ""
}

// rawSeeds are the kinds of integration/rawsocket_test.go, in bytes.
func rawSeeds() (seeds []string) {
	const small = `{"eventType":"conversation.create","eventData":{"id":"c1"}}`
	value := "X-Hub-Signature: sha256=" + unsignedDigest + "\r\n"
	head := func(start string, fields ...string) string {
		return start + " HTTP/1.1\r\nHost: gateway\r\n" + strings.Join(fields, "")
	}
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	whole := func(body string, fields ...string) string {
		return head("POST /webhook", append(fields, length(len(body)))...) + "\r\n" + body
	}
	chunks := func(tail string, fields ...string) string {
		return head("POST /webhook", append(fields, "Transfer-Encoding: chunked\r\n")...) + "\r\n5\r\nhello\r\n1;a=b\r\n!\r\n" + tail
	}
	zeros := "X-Hub-Signature: sha256=" + strings.Repeat("0", 64) + "\r\n"
	newer := "X-Hub-Signature-256: sha256=" + unsignedDigest + "\r\n"
	for _, body := range []string{"", small, strings.Repeat("0123456789abcdef", 512), strings.Repeat("x", fuzzMaxSize), strings.Repeat("x", fuzzMaxSize+1)} {
		bySecond := "X-Hub-Signature: sha512=" + hexHMAC("sha512", fuzzSecond, []byte(body)) + "\r\n"
		seeds = append(seeds, whole(body, value), whole(body), whole(body, zeros), whole(body, bySecond))
	}
	return append(seeds,
		// pipelining, and a body that looks like a request
		whole(small, value)+whole(small)+whole("", value),
		whole(whole(small, value), zeros)+whole(small, value),
		whole(small)+"\r\n"+whole(small, value),
		chunks("0\r\n\r\n", value)+whole(small, value),
		// framing that recipients disagree on
		chunks("0\r\n\r\n", value, length(5)),
		chunks("0\r\nX-Hub-Signature: sha256="+unsignedDigest+"\r\nX-Evil: 1\r\n\r\n", "Trailer: X-Hub-Signature\r\n"),
		chunks("0\r\nX-Evil: 1\r\n\r\n", value, "Trailer: X-Evil\r\n"),
		chunks("", value), chunks("0\r\n", value), chunks("zz\r\n", value), chunks("fffffffffffffffff\r\nx", value),
		head("POST /webhook", value, length(5), length(6))+"\r\nhello!",
		head("POST /webhook", value, "Content-Length: +5\r\n")+"\r\nhello",
		head("POST /webhook", value, length(1000))+"\r\nhello",
		head("POST /webhook", value, length(1<<62))+"\r\nhello",
		head("POST /webhook", value, "Transfer-Encoding: gzip, chunked\r\n")+"\r\n0\r\n\r\n",
		strings.ReplaceAll(whole(small, value), "\r\n", "\n"),
		// fields
		whole(small, value, value), whole(small, value, zeros), whole(small, newer, zeros), whole(small, zeros, newer),
		whole(small, "X_Hub_Signature: sha256="+unsignedDigest+"\r\n"),
		whole(small, "X-Hub-Signature: sha256="+unsignedDigest+","+unsignedDigest+"\r\n"),
		whole(small, "X-Hub-Signature: sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59\r\n"),
		whole(small, "X-Hub-Signature: sha256="+unsignedDigest[1:]+"\r\n"),
		whole(small, "X-Hub-Signature:\r\n sha256="+unsignedDigest+"\r\n"),
		whole(small, value, "Connection: X-Hub-Signature, Content-Length\r\n"),
		// what asks for more than a delivery
		whole(small, value, "Expect: 100-continue\r\n"), whole(small, "Expect: 100-continue\r\n"),
		whole(small, value, "Incremental: ?1\r\n"),
		head("GET /webhook", value, "Connection: Upgrade\r\nUpgrade: websocket\r\n")+"\r\n"+whole(small),
		head("CONNECT app:80", value)+"\r\n", head("CONNECT /webhook", value, length(5))+"\r\nhello",
		head("GET /webhook?hub.mode=subscribe&hub.challenge=1&hub.verify_token=x")+"\r\n",
		head("HEAD /webhook", value)+"\r\n", head("PUT /webhook", value, length(5))+"\r\nhello",
		strings.Replace(whole(small, value), "HTTP/1.1", "HTTP/1.0", 1),
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	)
}

// FuzzHandler feeds raw bytes to net/http's server with the gate behind it. Whatever
// reaches the app is authentic by a judgement of its own, whole, and there once;
// what is authentic and whole reaches it; all else is refused, and learns nothing.
func FuzzHandler(f *testing.F) {
	send := serveRaw(f)
	forwarded, refused := 0, 0
	for _, seed := range rawSeeds() {
		f.Add([]byte(seed))
		for _, j := range send(signRaw([]byte(seed))).judged {
			forwarded += len(j.forwarded)
			refused += min(j.status, 1)
		}
	}
	if forwarded < 20 || refused < 30 {
		f.Fatalf("of the seeds %d reach the app and %d are refused", forwarded, refused)
	}
	f.Fuzz(func(t *testing.T, raw []byte) { wantRaw(t, send, raw) })
}

// wantRaw sends raw bytes and judges what became of each request in them.
func wantRaw(t *testing.T, send func([]byte) *wire, raw []byte) (forwarded int) {
	t.Helper()
	raw = signRaw(raw)
	requests := readRaw(raw)
	c := send(raw)
	if len(c.judged) > len(requests) {
		t.Fatalf("%d requests were judged where net/http alone sees %d", len(c.judged), len(requests))
	}
	for i, j := range c.judged {
		wantJudged(t, requests[i], j)
		forwarded += len(j.forwarded)
		if right := hexHMAC("sha256", testSecret, requests[i].body); bytes.Contains(bytes.ToLower(c.answer.Bytes()), []byte(right)) {
			t.Errorf("request %d: the answer shows the right digest", i)
		}
	}
	if budget.Memory.Used() != 0 || budget.Disk.Used() != 0 {
		t.Errorf("still held: %d bytes of memory, %d of disk", budget.Memory.Used(), budget.Disk.Used())
	}
	return forwarded
}

// TestRawMutations is FuzzHandler with mutations of its own, some thousands in each
// run of the tests: the fuzzer of Go is slow where all of Caddy is in the binary.
// WEBHOOK_AUTH_MUTATIONS sets another number.
func TestRawMutations(t *testing.T) {
	send, seeds, forwarded, refused := serveRaw(t), rawSeeds(), 0, 0
	count, seed := 3000, rand.Uint64()
	if text := os.Getenv("WEBHOOK_AUTH_MUTATIONS"); text != "" {
		fmt.Sscan(text, &count)
	}
	for i := range count {
		raw := mutated(seeds, rand.New(rand.NewPCG(seed, uint64(i))))
		if n := wantRaw(t, send, []byte(raw)); n > 0 {
			forwarded++
		} else {
			refused++
		}
		if t.Failed() {
			t.Fatalf("mutation %d of %d: %q", i, seed, raw)
		}
	}
	if forwarded < count/20 || refused < count/20 {
		t.Errorf("of %d mutations %d still reach the app, and %d do not", count, forwarded, refused)
	}
}

// mutated takes a seed and cuts, repeats, flips, joins and inserts.
func mutated(seeds []string, r *rand.Rand) string {
	raw := seeds[r.IntN(len(seeds))]
	words := []string{
		"\r\n", "\n", ":", ",", " ", "\x00", "0\r\n\r\n", "sha256=", "sha512=", unsignedDigest,
		"X-Hub-Signature: ", "X-Hub-Signature-256: sha256=" + unsignedDigest + "\r\n", "Content-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n",
		"Trailer: X\r\n", "Upgrade: h2c\r\n", "HTTP/1.0",
	}
	for range 1 + r.IntN(3) {
		at := r.IntN(len(raw) + 1)
		to := min(len(raw), at+1+r.IntN(40))
		switch r.IntN(6) {
		case 0:
			raw = raw[:at] + raw[to:]
		case 1:
			raw = raw[:to] + raw[at:]
		case 2:
			if at < len(raw) {
				raw = raw[:at] + string(raw[at]^byte(1<<r.IntN(8))) + raw[at+1:]
			}
		case 3:
			raw += seeds[r.IntN(len(seeds))]
		case 4: // at the beginning of a line
			if i := strings.Index(raw[at:], "\r\n"); i >= 0 {
				at += i + 2
			}
			fallthrough
		default:
			raw = raw[:at] + words[r.IntN(len(words))] + raw[at:]
		}
	}
	return raw
}

// wantJudged compares what became of a request with what should have.
func wantJudged(t *testing.T, r rawRequest, j judged) {
	t.Helper()
	switch {
	case j.panicked != nil:
		t.Fatalf("panic: %v", j.panicked)
	case len(j.forwarded) > 1:
		t.Errorf("it reached the app %d times", len(j.forwarded))
	case len(j.forwarded) == 1 && (j.forwarded[0] != "" || j.status != 0):
		t.Errorf("it reached the app, and %s, and the answer is %d", j.forwarded[0], j.status)
	case len(j.forwarded) == 1 && !r.deliverable():
		t.Errorf("it reached the app: %s %q, body %q, whole: %v", r.Method, r.Header, r.body, r.whole)
	case len(j.forwarded) == 0 && j.status == 0:
		t.Error("it was neither forwarded nor refused")
	case len(j.forwarded) == 0 && r.deliverable() && r.Header["Incremental"] == nil:
		t.Errorf("it is authentic and was refused with %d: %s %q, body %q", j.status, r.Method, r.Header, r.body)
	case len(j.forwarded) == 0 && !slices.Contains([]int{400, 401, 405, 413, 501}, j.status):
		t.Errorf("refused with %d", j.status)
	}
}

// FuzzCaddyfile reads any directive, twice, with different text behind each
// `secret`. It does not panic, and what it says does not depend on that text: then
// nothing of it can be in an error.
func FuzzCaddyfile(f *testing.F) {
	for _, block := range []string{
		"", "{\n}", "github {\nsecret x\n}", "x y z", "{\nsecret\n}", "{\nsecret a b c\n}", "{\nsecret {\na b\n}\n}",
		"{\nsecret a b {\nsecret c\n}\n}", "{\nsecret \"a b\" `c d`\n}", "{\nsecret a \\\nb\n}", "{\nsecret {env.A}\nsecret {file./a}\n}",
		"{\nname a\nheader any_of A B\nalgorithms sha256 sha1\nsignature v1={hex},...\npayload {ts}.{body}\ntimestamp T ms\ntolerance 5m\n}",
		"{\nsecret a\npublic_url https://a/b\npayload {url}{body}\nchallenge hub a b\nmax_size 1MB\nmemory 1KiB\nbody_timeout 1s\ndelivery_timeout 1d\n}",
		"{\nsecret a\nmax_size -1\nmemory 0\nbody_timeout x\ndelivery_timeout\ndiagnose maybe\nunsafe_observe_only x\nsecret_encoding base64 whsec_\n}",
		"{\nsecret a\nsecret a\nname a\nname b\nunknown a\nwk-0123 b\n}", "{\nsecret <<END\na\nEND\n}", "{\nchallenge\nchallenge x {\n}\n}",
	} {
		f.Add(block)
	}
	f.Fuzz(func(t *testing.T, block string) {
		tokens, err := caddyfile.Tokenize([]byte("webhook_auth "+block), "Caddyfile")
		if err != nil || len(tokens) == 0 {
			return // the lexer is Caddy's
		}
		first, second := directive(tokens, "wk-first-5f1d0c9a"), directive(tokens, "wk-second-00112233445566")
		if first != second {
			t.Errorf("it depends on a secret:\n%s\n%s", first, second)
		}
		if strings.Contains(first, "wk-first-5f1d0c9a") {
			t.Errorf("it shows a secret: %s", first)
		}
	})
}

// directive reads tokens in which every word behind `secret`, on the same line and
// in a block that it opens, is the given one, and returns what there is to say.
func directive(tokens []caddyfile.Token, word string) string {
	tokens = slices.Clone(tokens)
	of := 0 // the line of a secret
	for i, token := range tokens {
		begins := i > 0 && token.Line != tokens[i-1].Line
		switch {
		case begins && token.Text == "secret":
			of = token.Line
		case token.Line == of && strings.Trim(token.Text, "{}") != "":
			tokens[i].Text = word + strconv.Itoa(i)
		}
	}
	err := new(Handler).UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))
	if err == nil {
		return ""
	}
	return err.Error()
}
