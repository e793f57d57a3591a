package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestExpectAccepted: the 100 comes once the header section is good. Until then, the
// sender need not send its body.
func TestExpectAccepted(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, d := range []delivery{authentic(chatBotKit, expect), authentic(chatBotKit, expect).chunks()} {
		c := g.dial(t)
		c.send(d.head())
		if resp := c.response(d.method); resp.status != http.StatusContinue {
			t.Fatalf("status %d, want 100", resp.status)
		}
		c.send(d.content())
		answered(t, c.response(d.method))
		delivered(t, a, d)
	}
	impatient := authentic(chatBotKit, expect) // does not wait for the 100, as it may
	c := g.dial(t)
	c.send(impatient.wire())
	if resp := c.response("POST"); resp.status != http.StatusContinue {
		answered(t, resp)
	} else {
		answered(t, c.response("POST"))
	}
	delivered(t, a, impatient)
}

const expect = "Expect: 100-continue"

// TestExpectRefused: a request that is refused by its header section is answered while the
// client still holds its body back. Stock Caddy 2.11.9 takes 60 s for that.
func TestExpectRefused(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "max_size 1KiB"))
	tooLarge := strings.Repeat("x", 1025)
	for _, tt := range []struct {
		name, why string
		status    int
		delivery  delivery
	}{
		{"unsigned", "missing_signature", 401, post(chatBotKit, expect)},
		{"unsigned, chunked", "missing_signature", 401, post(chatBotKit, expect).chunks()},
		{"two lines", "ambiguous_signature", 401, post(chatBotKit, expect, goodField, goodField)},
		{"malformed", "malformed_signature", 401, post(chatBotKit, expect, "X-Hub-Signature: sha256=")},
		{"sha1", "algorithm_not_allowed", 401, post(chatBotKit, expect, "X-Hub-Signature: sha1="+goodHex[:40])},
		{"too large", "body_too_large", 413, authentic(tooLarge, expect)},
		{"incremental", "incremental", 501, authentic(chatBotKit, expect, "Incremental: ?1")},
		{"connect", "method_not_allowed", 405, authentic(chatBotKit, expect).with("CONNECT", "/webhook")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // the end of a connection takes a second
			c := g.dial(t)
			c.send(tt.delivery.head())
			resp := c.response(tt.delivery.method) // a 100 would be the wrong status
			g.refusal(t, resp, tt.status, tt.why)
			if resp.header.Get("Connection") != "close" {
				t.Errorf("Connection %q, want close, because nobody knows whether the body follows", resp.header.Get("Connection"))
			}
			c.closed()
			a.nothing(t, tt.delivery.id)
		})
	}
}

// TestExpectRefusedAtOnce: the gateway does not wait, not even a second, for a body that
// it has not asked for. The fastest of several answers shows that, however busy the
// machine is.
func TestExpectRefusedAtOnce(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	fastest := patience
	for range 10 {
		c := g.dial(t)
		start := time.Now()
		c.send(post(chatBotKit, expect).head())
		if resp := c.response("POST"); resp.status != http.StatusUnauthorized {
			t.Fatalf("status %d, want 401", resp.status)
		}
		fastest = min(fastest, time.Since(start))
	}
	if fastest > 500*time.Millisecond {
		t.Errorf("the fastest answer took %v", fastest)
	}
}

// TestKeepAliveAfterRefusal: after a refused request whose body was read to its end, the
// connection serves the next delivery.
func TestKeepAliveAfterRefusal(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "max_size 1KiB"))
	c := g.dial(t)
	for _, tt := range []struct {
		status   int
		why      string
		delivery delivery
	}{
		{401, "missing_signature", post(chatBotKit)},
		{401, "missing_signature", post(chatBotKit).chunks()},
		{401, "missing_signature", delivery{id: fresh(), method: "GET", target: "/webhook"}},
		{401, "signature_mismatch", post(chatBotKit, forgedField)},
		{401, "signature_mismatch", post(chatBotKit, forgedField).chunks()},
		{413, "body_too_large", authentic(strings.Repeat("x", 1025))},
		{413, "body_too_large", authentic(strings.Repeat("x", 1025)).chunks()},
		{501, "incremental", authentic(chatBotKit, "Incremental: ?1")},
	} {
		c.send(tt.delivery.wire())
		g.refusal(t, c.response(tt.delivery.method), tt.status, tt.why)
		a.nothing(t, tt.delivery.id)
		next := authentic(chatBotKit)
		c.send(next.wire())
		answered(t, c.response("POST"))
		delivered(t, a, next)
	}
}

// TestPipelining: each request is judged on its own, and the body of a refused one
// is never read as a request, however much it looks like one.
func TestPipelining(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "max_size 1KiB"))
	smuggled := authentic(chatBotKit).wire()
	for _, tt := range []struct {
		name, why string
		status    int
		first     delivery
	}{
		{"unsigned", "missing_signature", 401, post(smuggled)},
		{"unsigned, chunked", "missing_signature", 401, post(smuggled).chunks()},
		{"forged", "signature_mismatch", 401, post(smuggled, forgedField)},
		{"forged, chunked", "signature_mismatch", 401, post(smuggled, forgedField).chunks()},
		{"too large", "body_too_large", 413, authentic(strings.Repeat(smuggled, 5))},
		{"too large, chunked", "body_too_large", 413, authentic(strings.Repeat(smuggled, 5)).chunks()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			second, third := authentic(chatBotKit), post(chatBotKit)
			c := g.dial(t)
			c.send(tt.first.wire() + second.wire() + third.wire())
			g.refusal(t, c.response("POST"), tt.status, tt.why)
			answered(t, c.response("POST"))
			g.refusal(t, c.response("POST"), 401, "missing_signature")
			delivered(t, a, second)
			a.nothing(t, third.id)
		})
	}
}

// TestLargeRefusedBody: a refused body that is larger than net/http discards ends the
// connection. No part of it is read as a request.
func TestLargeRefusedBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "max_size 1KiB"))
	large := strings.Repeat(authentic(chatBotKit).wire(), 10_000)
	for _, d := range []delivery{post(large), post(large).chunks(), authentic(large), authentic(large).chunks()} {
		c := g.dial(t)
		c.send(d.wire())
		resp := c.response("POST")
		if resp.status != 401 && resp.status != 413 || resp.header.Get("Connection") != "close" {
			t.Errorf("status %d, Connection %q", resp.status, resp.header.Get("Connection"))
		}
		c.closed()
		a.nothing(t, d.id)
	}
}

// TestStalledRefusedBody: a client that stops in the middle of a refused body gets its
// answer within seconds, and not after Caddy's minute.
func TestStalledRefusedBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, d := range []delivery{post(chatBotKit), post(chatBotKit).chunks()} {
		c := g.dial(t)
		c.send(d.head() + d.content()[:2])
		g.refusal(t, c.response("POST"), 401, "missing_signature")
		c.closed()
		a.nothing(t, d.id)
	}
}

// TestSlowBody: the whole body has one deadline, so neither silence nor a byte now and
// then holds up the gateway.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "body_timeout 1s"))
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		for _, d := range []delivery{authentic(chatBotKit), authentic(chatBotKit).chunks()} {
			c := g.dial(t)
			c.send(d.head() + d.content()[:10])
			g.refusal(t, c.response("POST"), 408, "body_timeout")
			c.closed()
			a.nothing(t, d.id)
		}
	})
	t.Run("drops", func(t *testing.T) {
		t.Parallel()
		d := authentic(strings.Repeat("x", 10_000))
		c := g.dial(t)
		c.send(d.head())
		go drip(c)
		g.refusal(t, c.response("POST"), 408, "body_timeout")
		a.nothing(t, d.id)
	})
	t.Run("slow but in time", func(t *testing.T) {
		t.Parallel()
		g := startGateway(t, canonical(a, "body_timeout 15s"))
		d := authentic(chatBotKit)
		c := g.dial(t)
		c.send(d.head())
		for _, b := range chatBotKit {
			time.Sleep(time.Millisecond) // as a slow sender
			c.send(string(b))
		}
		answered(t, c.response("POST"))
		delivered(t, a, d)
	})
}

// drip writes a byte now and then until a write fails.
func drip(w io.Writer) {
	for {
		if _, err := io.WriteString(w, "x"); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestMaxSize: the limit holds to the byte. A declared length over it is refused before
// the body is sent.
func TestMaxSize(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "max_size 100kB"))
	g.accepts(t, a, authentic(strings.Repeat("x", 100_000)))
	g.accepts(t, a, authentic(strings.Repeat("x", 100_000)).chunks())
	for _, d := range []delivery{authentic(strings.Repeat("x", 100_001)), authentic(strings.Repeat("x", 100_001)).chunks()} {
		g.refused(t, a, d, 413, "body_too_large")
	}
	endless := authentic("")
	endless.fields = append(endless.fields, expect, "Content-Length: 9223372036854775807")
	endless.body = nil
	c := g.dial(t)
	c.send(endless.head())
	g.refusal(t, c.response("POST"), 413, "body_too_large")
	a.nothing(t, endless.id)
}

// TestTrailerFields: trailers do not reach the app, with and without a Trailer field in
// the header section. They are not signed, and a signature among them comes after the body
// that it should protect.
func TestTrailerFields(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	trailers := "X-Hub-Signature: " + goodValue + "\r\nX-Evil: 1\r\nContent-Length: 3\r\n"
	for _, announced := range []string{"X-Note: none", "Trailer: X-Hub-Signature, X-Evil"} {
		wire := func(d delivery) string { return strings.TrimSuffix(d.wire(), "\r\n") + trailers + "\r\n" }
		d := authentic(chatBotKit, announced).chunks()
		c := g.dial(t)
		c.send(wire(d))
		answered(t, c.response("POST"))
		delivered(t, a, d)
		if got := a.once(t, d.id); len(got.Trailer) > 0 || got.Header["X-Evil"] != nil {
			t.Errorf("the app got trailers: %v, %v", got.Trailer, got.Header)
		}
		unsigned := post(chatBotKit, announced).chunks()
		c = g.dial(t)
		c.send(wire(unsigned))
		g.refusal(t, c.response("POST"), 401, "missing_signature")
		a.nothing(t, unsigned.id)
	}
}

// TestUpgrade: with any signature of the empty body, such as a ping's, an Upgrade would
// open a permanent tunnel to the app, past every check.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, protocol := range []string{"websocket", "h2c", "anything/1.0"} {
		t.Run(protocol, func(t *testing.T) {
			d := authentic("", "Connection: Upgrade", "Upgrade: "+protocol,
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13").with("GET", "/webhook")
			next := post(chatBotKit)
			c := g.dial(t)
			c.send(d.wire() + next.wire())
			answered(t, c.response("GET"))
			delivered(t, a, d)
			g.refusal(t, c.response("POST"), 401, "missing_signature") // judged, so not a tunnel
			a.nothing(t, next.id)
		})
	}
}

// TestConnect: CONNECT asks for a tunnel too. It is refused before its signature is
// judged.
func TestConnect(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, ":{$PORT} {\n"+gate(a)+"}\n") // no path: CONNECT has none
	for _, d := range []delivery{
		authentic("").with("CONNECT", a.addr),
		authentic("").with("CONNECT", "/webhook"),
		authentic(chatBotKit).with("CONNECT", "/webhook"),
		post("").with("CONNECT", a.addr),
	} {
		resp := g.refused(t, a, d, http.StatusMethodNotAllowed, "method_not_allowed")
		if allow := resp.header.Get("Allow"); !strings.Contains(allow, "POST") || strings.Contains(allow, "CONNECT") {
			t.Errorf("Allow %q", allow) // required by RFC 9110, section 15.5.6
		}
	}
}

// TestIncremental: a gateway that must see the end of a request before it hands anything
// on cannot do what `Incremental: ?1` asks for (RFC 10036).
func TestIncremental(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	g.refused(t, a, authentic(chatBotKit, "Incremental: ?1"), http.StatusNotImplemented, "incremental")
	g.accepts(t, a, authentic(chatBotKit, "Incremental: ?0"))
}

// TestHalfBody: a sender that leaves in the middle has delivered nothing, even if the part
// that came is signed itself.
func TestHalfBody(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	longer := authentic(chatBotKit)
	longer.body = append(longer.body, "the rest that never comes"...)
	for name, wire := range map[string]string{
		"half":               authentic(chatBotKit).head() + chatBotKit[:20],
		"all that is signed": longer.head() + chatBotKit,
		"no last chunk":      strings.TrimSuffix(authentic(chatBotKit).chunks().wire(), "0\r\n\r\n"),
		"no end of trailers": strings.TrimSuffix(authentic(chatBotKit).chunks().wire(), "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			before, _ := g.log.find(reason("body_incomplete"))
			c := g.dial(t)
			c.send(wire)
			c.CloseWrite()
			g.refusal(t, c.response("POST"), http.StatusBadRequest, "body_incomplete")
			c.closed()
			c = g.dial(t)
			c.send(wire)
			c.Close()
			g.log.waitFor(t, len(before)+2, "both refusals", reason("body_incomplete"))
		})
	}
}

// TestSenderLeavesAfterDelivery: a sender that closes right after its last byte, or times
// out while the app works, has delivered. The delivery must arrive whole and once,
// although nobody waits for the answer.
func TestSenderLeavesAfterDelivery(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	large := strings.Repeat("0123456789", 2_000_000) // more than all sockets on the way buffer
	t.Run("half-closes", func(t *testing.T) {
		t.Parallel()
		d := authentic(large, "X-App: "+appSlow)
		c := g.dial(t)
		io.WriteString(c, d.wire())
		c.CloseWrite()
		answered(t, c.response("POST"))
		delivered(t, a, d)
	})
	t.Run("closes", func(t *testing.T) {
		t.Parallel()
		d := authentic(large, "X-App: "+appSlow)
		c := g.dial(t)
		io.WriteString(c, d.wire())
		c.Close()
		delivered(t, a, d)
	})
	t.Run("resets", func(t *testing.T) {
		t.Parallel()
		d := authentic(large, "X-App: "+appSlow)
		c := g.dial(t)
		io.WriteString(c, d.wire())
		// Wait until the gateway has it all: a reset discards what is still in the socket.
		a.begun(t, d.id)
		c.SetLinger(0)
		c.Close()
		delivered(t, a, d)
	})
}

// TestFraming: net/http decides how a request is framed, where senders and proxies could
// disagree, and the gate writes new framing for the request that it hands on.
func TestFraming(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	lines := func(d delivery, body string, fields ...string) string {
		d.fields, d.body = append(d.fields, fields...), nil
		return d.head() + body
	}
	t.Run("length and chunks", func(t *testing.T) {
		d := authentic(chatBotKit)
		c := g.dial(t)
		c.send(lines(d, d.chunks().content(), "Content-Length: 5", "Transfer-Encoding: chunked"))
		answered(t, c.response("POST"))
		delivered(t, a, d)
	})
	t.Run("chunk extensions", func(t *testing.T) {
		d := authentic(chatBotKit)
		c := g.dial(t)
		c.send(lines(d, fmt.Sprintf("%x;a=b\r\n%s\r\n0;c\r\n\r\n", len(chatBotKit), chatBotKit), "Transfer-Encoding: chunked"))
		answered(t, c.response("POST"))
		delivered(t, a, d)
	})
	for _, tt := range []struct {
		name   string
		body   string
		fields []string
	}{
		{"chunk size that is no number", "zz\r\n" + chatBotKit + "\r\n0\r\n\r\n", []string{"Transfer-Encoding: chunked"}},
		{"chunk longer than its size", "5\r\n" + chatBotKit + "\r\n0\r\n\r\n", []string{"Transfer-Encoding: chunked"}},
		{"chunk size over 64 bits", "fffffffffffffffff\r\n" + chatBotKit, []string{"Transfer-Encoding: chunked"}},
		{"bare LF", fmt.Sprintf("%x\n%s\n0\n\n", len(chatBotKit), chatBotKit), []string{"Transfer-Encoding: chunked"}},
		{"two lengths", chatBotKit, []string{"Content-Length: 71", "Content-Length: 5"}},
		{"negative length", chatBotKit, []string{"Content-Length: -1"}},
		{"length with a sign", chatBotKit, []string{"Content-Length: +71"}},
		{"length that is no number", chatBotKit, []string{"Content-Length: 0x47"}},
		{"blank before the colon", chatBotKit, []string{"Content-Length : 71"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := authentic(chatBotKit)
			c := g.dial(t)
			c.send(lines(d, tt.body, tt.fields...))
			if status := c.status(); status != http.StatusBadRequest {
				t.Errorf("status %d, want 400", status)
			}
			a.nothing(t, d.id)
		})
	}
}

// status reads only the first line of the answer, because net/http's own answer to
// malformed HTTP has no length.
func (c *conn) status() (status int) {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "HTTP/1.1 %d", &status); scanErr != nil {
		c.t.Fatalf("no complete answer, only %q: %v", line, err)
	}
	return status
}

// TestConnectionField: the fields that a client lists in Connection are judged, and reach
// the app.
func TestConnectionField(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	nominated := "Connection: X-Hub-Signature, Content-Length"
	d := authentic(chatBotKit, nominated)
	answered(t, g.deliver(t, d))
	if got := a.once(t, d.id); string(got.Body) != chatBotKit || got.Header.Get("X-Hub-Signature") == "" {
		t.Errorf("the app got %q with %v", got.Body, got.Header)
	}
	framed(t, a.once(t, d.id))
	g.refused(t, a, post(chatBotKit, nominated), 401, "missing_signature")
	g.refused(t, a, post(chatBotKit, nominated, forgedField), 401, "signature_mismatch")
}

// TestHTTP10: a sender may speak HTTP/1.0.
func TestHTTP10(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	old := func(d delivery) string { return strings.Replace(d.wire(), "HTTP/1.1", "HTTP/1.0", 1) }
	d := authentic(chatBotKit)
	c := g.dial(t)
	c.send(old(d))
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("answer %v, %v", resp, err)
	}
	delivered(t, a, d)
	forged := post(chatBotKit, forgedField)
	c = g.dial(t)
	c.send(old(forged))
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("answer %v, %v", resp, err)
	}
	a.nothing(t, forged.id)
}
