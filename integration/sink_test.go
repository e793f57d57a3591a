package integration_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// A sink is an app that counts. It runs in the test's own process, because its main use
// is to show that nothing comes.
type sink struct {
	name string
	addr string

	mu       sync.Mutex
	requests map[string][]string // by delivery
	touched  int                 // connections that carried a byte, and datagrams
}

// What a delivery may ask of a sink, in the field X-Fault. A number is the status of the
// answer. A sink answers 200 to every other request.
const (
	sinkResets  = "resets"   // before the header section of the answer
	sinkBreaks  = "breaks"   // in the middle of a 200
	sinkHangs   = "hangs"    // never answers
	sinkHints   = "hints"    // a 103, then a 200
	sinkUpgrade = "upgrades" // a 101 that nobody asked for
	sinkBare    = "bare 101" // the same without a protocol
)

// startSink runs an app that speaks one protocol: h1, h2, h2c, h3 or fcgi. Start it
// before the gateway, so that the gateway is gone when the sink looks back.
func startSink(t *testing.T, name, protocol string) *sink {
	t.Helper()
	s := &sink{name: name, requests: make(map[string][]string)}
	if protocol == "h3" {
		s.serveQUIC(t)
		return s
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().String()
	counted := countingListener{listener, s}
	if protocol == "fcgi" {
		t.Cleanup(func() { listener.Close() })
		go fcgi.Serve(counted, s)
		return s
	}
	server := &http.Server{Handler: s, Protocols: new(http.Protocols)}
	switch protocol {
	case "h1":
		server.Protocols.SetHTTP1(true)
	case "h2":
		server.Protocols.SetHTTP2(true)
	case "h2c":
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(func() { server.Close() })
	if protocol == "h2" {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{loadCertificate(t)}}
		go server.ServeTLS(counted, "", "")
	} else {
		go server.Serve(counted)
	}
	return s
}

func (s *sink) serveQUIC(t *testing.T) {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = udp.LocalAddr().String()
	server := &http3.Server{Handler: s, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{loadCertificate(t)}})}
	t.Cleanup(func() { server.Close(); udp.Close() })
	go server.Serve(countingPackets{udp, s})
}

func loadCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	dir := t.TempDir()
	newCertificate(t, dir)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (s *sink) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched++
}

// A countingListener counts the connections on which something came.
type countingListener struct {
	net.Listener
	sink *sink
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{Conn: c, first: sync.OnceFunc(l.sink.touch)}, nil
}

type countingConn struct {
	net.Conn
	first func()
}

func (c *countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.first()
	}
	return n, err
}

type countingPackets struct {
	net.PacketConn
	sink *sink
}

func (c countingPackets) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	if n > 0 {
		c.sink.touch()
	}
	return n, from, err
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The header section counts: an app may act on it before it reads the body.
	s.record(r.Header.Get(idField), r.Method+" "+r.URL.Path)
	io.Copy(io.Discard, r.Body)
	fault := r.Header.Get("X-Fault")
	switch fault {
	case sinkResets, sinkBreaks, sinkUpgrade, sinkBare:
		s.speak(w, fault)
	case sinkHangs:
		<-r.Context().Done()
	case sinkHints:
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "the app got it")
	default:
		var status int
		if fmt.Sscan(fault, &status); status != 0 {
			w.WriteHeader(status)
		}
		if status != http.StatusNoContent {
			io.WriteString(w, "the app got it")
		}
	}
}

// speak writes answers that net/http's server cannot write.
func (s *sink) speak(w http.ResponseWriter, fault string) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	switch fault {
	case sinkResets:
		if counted, ok := c.(*countingConn); ok {
			counted.Conn.(*net.TCPConn).SetLinger(0)
		}
	case sinkBreaks:
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
	case sinkUpgrade:
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		s.tunnel(c)
	case sinkBare:
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		s.tunnel(c)
	}
}

// tunnel records what comes after a 101, which nobody has verified.
func (s *sink) tunnel(c net.Conn) {
	c.SetReadDeadline(time.Now().Add(patience))
	if said, _ := io.ReadAll(c); len(said) > 0 {
		s.record("", fmt.Sprintf("in a tunnel: %.80q", said))
	}
}

func (s *sink) record(id, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[id] = append(s.requests[id], what)
}

// times returns how often a delivery came.
func (s *sink) times(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests[id])
}

// untouched fails the test if anything came, even only a connection.
func (s *sink) untouched(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) > 0 || s.touched > 0 {
		t.Errorf("the app of %s got %d requests over %d connections: %.600v", s.name, len(s.requests), s.touched, s.requests)
	}
}

// An answer is everything that came over a connection with one request.
type answer struct {
	status  int
	head    string
	header  http.Header
	body    string
	interim int   // answers of 1xx before it
	rest    int   // bytes after it
	err     error // there is no answer, or it breaks off
}

// ask sends bytes on a new connection and reads to its end. Any goroutine may call it.
func ask(addr, wire, method string) (a answer) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{err: err}
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, wire)
	var raw bytes.Buffer
	stream := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		begin := raw.Len() - stream.Buffered()
		resp, err := http.ReadResponse(stream, &http.Request{Method: method})
		if err != nil {
			return answer{err: fmt.Errorf("no complete answer, only %.300q: %w", raw.String(), err)}
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			a.interim++
			continue
		}
		head, _, _ := bytes.Cut(raw.Bytes()[begin:], []byte("\r\n\r\n"))
		a.status, a.head, a.header = resp.StatusCode, string(head), resp.Header
		body, err := io.ReadAll(resp.Body)
		a.body, a.err = string(body), err
		break
	}
	c.(*net.TCPConn).CloseWrite()
	rest, _ := io.ReadAll(stream)
	a.rest = len(rest)
	return a
}

// sameHead returns a head without the parts that differ between requests.
func sameHead(head string) string {
	var kept []string
	for line := range strings.SplitSeq(head, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(name) {
		case "date", strings.ToLower(errorID), "connection":
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}
