package integration_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestCheckWithAnnouncedBody: a check is answered at once, whatever body it announces. A
// client that never sends the body would otherwise delay the answer by a minute.
func TestCheckWithAnnouncedBody(t *testing.T) {
	t.Parallel()
	const target, want = "/webhook?crc_token=abc", `{"response_token":"sha256=`
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l := newLink(t, p, startApp(t), "challenge x")
			never, stop := io.Pipe()
			t.Cleanup(func() { stop.Close() })
			for _, field := range []string{"X-A: b", expect} {
				d := delivery{id: fresh(), method: "GET", target: target, fields: []string{field}}
				r := d.request(t, l.base)
				r.Body, r.ContentLength = io.NopCloser(never), 100
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				resp, err := l.client.RoundTrip(r.WithContext(ctx))
				if err != nil {
					t.Fatalf("%s: %v", field, err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), want) {
					t.Errorf("%s: answer %d %q %v, want the check's", field, resp.StatusCode, body, err)
				}
			}
		})
	}
	t.Run("socket", func(t *testing.T) {
		t.Parallel()
		a := startApp(t)
		g := startGateway(t, canonical(a, "challenge x"))
		for _, fields := range [][]string{
			{"Content-Length: 100"},
			{"Transfer-Encoding: chunked"},
			{"Content-Length: 100", expect},
			{"Transfer-Encoding: chunked", expect},
			{"Content-Length: 9223372036854775807"},
			{"Content-Length: 100", "Connection: close"},
		} {
			d := delivery{id: fresh(), method: "GET", target: target, fields: fields}
			c := g.dial(t)
			c.send(d.head()) // and nothing more
			resp := c.response(d.method)
			if resp.status != http.StatusOK || !strings.HasPrefix(resp.body, want) {
				t.Errorf("%q: answer %d %q, want the check's", fields, resp.status, resp.body)
			}
			// What still comes must not be taken for a request.
			smuggled := authentic(chatBotKit)
			io.WriteString(c, smuggled.wire())
			c.closed()
			a.nothing(t, smuggled.id)
		}
	})
}

// A stream is one request over h2c, frame by frame, because net/http's client sends no
// malformed messages.
type stream struct {
	t    *testing.T
	conn net.Conn
	*http2.Framer
}

func (g *gateway) stream(t *testing.T) *stream {
	t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, http2.ClientPreface)
	s := &stream{t, c, http2.NewFramer(c, c)}
	s.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	s.must(s.WriteSettings())
	return s
}

func (s *stream) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Errorf("sending a frame: %v", err)
	}
}

// head sends the header section of a delivery, with the length that it announces.
func (s *stream) head(d delivery, length string, last bool) {
	s.t.Helper()
	fields := [][2]string{{":method", d.method}, {":scheme", "http"}, {":authority", "gateway"}, {":path", d.target}, {idField, d.id}}
	for _, line := range d.fields {
		name, value, _ := strings.Cut(line, ": ")
		fields = append(fields, [2]string{name, value})
	}
	if length != "" {
		fields = append(fields, [2]string{"content-length", length})
	}
	s.must(s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(fields), EndStream: last, EndHeaders: true}))
}

func block(fields [][2]string) []byte {
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	for _, field := range fields {
		encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(field[0]), Value: field[1]})
	}
	return b.Bytes()
}

// ping returns when the gateway has read everything sent before. It fails the test if
// there is an answer by then.
func (s *stream) ping() {
	s.t.Helper()
	s.must(s.WritePing(false, [8]byte{1}))
	for {
		switch f := s.next().(type) {
		case nil:
			return
		case *http2.PingFrame:
			if f.IsAck() {
				return
			}
		case *http2.MetaHeadersFrame:
			s.t.Errorf("answer %s before the stream has ended", f.PseudoValue("status"))
			return
		}
	}
}

// answer returns the status, or "reset" if the gateway ends the stream or the connection
// instead.
func (s *stream) answer() string {
	s.t.Helper()
	for {
		switch f := s.next().(type) {
		case nil, *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return "reset"
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		}
	}
}

// next returns the next frame, or nil if the connection has ended.
func (s *stream) next() http2.Frame {
	s.t.Helper()
	f, err := s.ReadFrame()
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		s.t.Fatal("no answer")
	}
	if err != nil {
		return nil
	}
	if settings, ok := f.(*http2.SettingsFrame); ok && !settings.IsAck() {
		s.must(s.WriteSettingsAck())
	}
	return f
}

// TestStreamsEnd: in HTTP/2 a message is complete when its stream has ended, whatever
// length it announced. If its length differs from that, it is malformed (RFC 9113,
// section 8.1.1).
func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	type step func(s *stream)
	data := func(text string, last bool) step {
		return func(s *stream) { s.must(s.WriteData(1, last, []byte(text))) }
	}
	ping := func(s *stream) { s.ping() }
	trailers := func(s *stream) {
		s.must(s.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block([][2]string{{"x-note", "none"}}), EndStream: true, EndHeaders: true}))
	}
	cancel := func(s *stream) { s.must(s.WriteRSTStream(1, http2.ErrCodeCancel)) }
	for _, tt := range []struct {
		name, length, signed string
		last                 bool
		steps                []step
		accepted             bool
	}{
		{"no body", "", "", true, nil, true},
		{"length 0, ended", "0", "", true, nil, true},
		{"length 0, ended later", "0", "", false, []step{ping, data("", true)}, true},
		{"length 0, trailers", "0", "", false, []step{ping, trailers}, true},
		{"length 0, late data", "0", "", false, []step{ping, data("x", true)}, false},
		{"length 0, late data, not ended", "0", "", false, []step{ping, data("x", false)}, false},
		{"length 0, data at once", "0", "", false, []step{data("x", true)}, false},
		{"length 0, signed data", "0", "x", false, []step{ping, data("x", true)}, false},
		{"length 0, cancelled", "0", "", false, []step{ping, cancel}, false},
		{"length 5", "5", "hello", false, []step{ping, data("hel", false), ping, data("lo", false), ping, data("", true)}, true},
		{"length 5, more", "5", "hello", false, []step{data("hello", false), ping, data("!", true)}, false},
		{"length 5, less", "5", "hell", false, []step{data("hell", false), ping, data("", true)}, false},
		{"length 5, cancelled", "5", "hello", false, []step{data("hello", false), ping, cancel}, false},
		{"no length", "", "hello", false, []step{ping, data("hello", false), ping, data("", true)}, true},
		{"no length, cancelled", "", "hello", false, []step{data("hello", false), ping, cancel}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := authentic(tt.signed)
			s := g.stream(t)
			s.head(d, tt.length, tt.last)
			for _, step := range tt.steps {
				step(s)
			}
			if strings.HasSuffix(tt.name, "cancelled") { // and nobody answers
				s.must(s.WritePing(false, [8]byte{2}))
				s.conn.Close()
				return // the app looks back when the gateway is gone
			}
			status := s.answer()
			if tt.accepted {
				if status != "200" {
					t.Errorf("answer %s, want the app's", status)
				}
				delivered(t, a, d)
				return
			}
			if status != "400" && status != "reset" {
				t.Errorf("answer %s, want 400 or none", status)
			}
			a.nothing(t, d.id)
		})
	}
}

// TestRefusedStreamIsNotReset: the answer to a refused request waits a moment for the
// rest of its body. If the gateway resets a stream while curl up to 7.88 still sends, curl
// reports an error and not the answer.
func TestRefusedStreamIsNotReset(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, length := range []string{"", strconv.Itoa(len(chatBotKit))} {
		d := post(chatBotKit)
		s := g.stream(t)
		s.head(d, length, false)
		s.ping()
		s.must(s.WriteData(1, true, []byte(chatBotKit)))
		if status := s.answer(); status != "401" {
			t.Errorf("answer %s, want 401", status)
		}
		s.must(s.WritePing(false, [8]byte{2}))
		for f := s.next(); f != nil && f.Header().Type != http2.FramePing; f = s.next() {
			if reset, ok := f.(*http2.RSTStreamFrame); ok {
				t.Errorf("the stream is reset: %v", reset.ErrCode)
			}
		}
		a.nothing(t, d.id)
	}
}

// TestQUICStreamsEnd: the same in HTTP/3 (RFC 9114, section 4.1.2).
func TestQUICStreamsEnd(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := newGateway(t)
	roots := newCertificate(t, g.dir)
	g.write(t, secured(canonical(a)))
	g.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tlsConfig := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{http3.NextProtoH3}}
	wire, err := quic.DialAddr(ctx, g.addr, tlsConfig, &quic.Config{EnableDatagrams: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { wire.CloseWithError(0, "") })
	h3 := new(http3.Transport).NewClientConn(wire)
	for _, tt := range []struct {
		name, signed, sent string
		cancelled, good    bool
	}{
		{name: "ended later", good: true},
		{name: "late data", sent: "x"},
		{name: "signed data", signed: "x", sent: "x"},
		{name: "cancelled", cancelled: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := authentic(tt.signed)
			d.body = nil // the client announces a length of 0
			s, err := h3.OpenRequestStream(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s.SetDeadline(time.Now().Add(patience))
			if err := s.SendRequestHeader(d.request(t, "https://"+g.addr)); err != nil {
				t.Fatal(err)
			}
			// Once another stream has its answer, this one would have had time for one too.
			other, err := h3.RoundTrip(post(chatBotKit).request(t, "https://"+g.addr))
			if err != nil || other.StatusCode != http.StatusUnauthorized {
				t.Fatalf("answer %v, %v", other, err)
			}
			other.Body.Close()
			a.nothing(t, d.id)
			if tt.sent != "" {
				s.Write([]byte(tt.sent)) // may find the stream reset
			}
			if tt.cancelled {
				s.CancelWrite(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
			} else {
				s.Close()
			}
			resp, err := s.ReadResponse()
			switch {
			case tt.good && (err != nil || resp.StatusCode != http.StatusOK):
				t.Fatalf("answer %v, %v, want the app's", resp, err)
			case tt.good:
				d.body = []byte{}
				delivered(t, a, d)
			case err == nil && resp.StatusCode != http.StatusBadRequest, errors.Is(err, os.ErrDeadlineExceeded):
				t.Errorf("answer %v, %v, want 400 or none", resp, err)
			default:
				a.nothing(t, d.id)
			}
		})
	}
}
