package integration_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// A protocol is one way to speak to the gateway.
type protocol struct {
	name   string
	scheme string
	proto  string // its name in the answer
	client func(t *testing.T, roots *x509.CertPool) http.RoundTripper
}

var protocols = []protocol{
	{"HTTP/1.1", "http", "HTTP/1.1", func(t *testing.T, _ *x509.CertPool) http.RoundTripper {
		return newTransport(t, nil, (*http.Protocols).SetHTTP1)
	}},
	{"h2c", "http", "HTTP/2.0", func(t *testing.T, _ *x509.CertPool) http.RoundTripper {
		return newTransport(t, nil, (*http.Protocols).SetUnencryptedHTTP2)
	}},
	{"TLS with HTTP/1.1", "https", "HTTP/1.1", func(t *testing.T, roots *x509.CertPool) http.RoundTripper {
		return newTransport(t, roots, (*http.Protocols).SetHTTP1)
	}},
	{"TLS with h2", "https", "HTTP/2.0", func(t *testing.T, roots *x509.CertPool) http.RoundTripper {
		return newTransport(t, roots, (*http.Protocols).SetHTTP2)
	}},
	{"h3", "https", "HTTP/3.0", func(t *testing.T, roots *x509.CertPool) http.RoundTripper {
		h3 := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		t.Cleanup(func() { h3.Close() })
		return h3
	}},
}

func newTransport(t *testing.T, roots *x509.CertPool, set func(*http.Protocols, bool)) *http.Transport {
	t.Helper()
	tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{RootCAs: roots}}
	set(tr.Protocols, true)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// secured returns a canonical site that speaks TLS with the certificate of newCertificate.
func secured(site string) string {
	return strings.Replace(site, ":{$PORT} {\n", "https://127.0.0.1:{$PORT} {\n\ttls {$HOME}/cert.pem {$HOME}/key.pem\n", 1)
}

// newCertificate writes a certificate for 127.0.0.1 into dir.
func newCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	writeFile(t, filepath.Join(dir, "cert.pem"), string(cert))
	writeFile(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return roots
}

// A link is a gateway and a client that speaks one protocol with it.
type link struct {
	*gateway
	app    *app
	base   string
	proto  string
	client http.RoundTripper
}

func newLink(t *testing.T, p protocol, a *app, options ...string) *link {
	t.Helper()
	g := newGateway(t)
	roots := newCertificate(t, g.dir)
	site := canonical(a, options...)
	if p.scheme == "https" {
		site = secured(site)
	}
	g.write(t, site)
	g.start(t)
	return &link{g, a, p.scheme + "://" + g.addr, p.proto, p.client(t, roots)}
}

// exchange sends a request and returns the answer in the form of the raw tests.
func (l *link) exchange(t *testing.T, r *http.Request) response {
	t.Helper()
	resp, err := l.client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Proto != l.proto {
		t.Errorf("the answer came in %s, want %s", resp.Proto, l.proto)
	}
	return response{status: resp.StatusCode, header: resp.Header, body: string(body)}
}

// TestProtocols: the promise holds in every protocol.
func TestProtocols(t *testing.T) {
	t.Parallel()
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l := newLink(t, p, startApp(t))
			t.Run("accepted", l.accepted)
			t.Run("refused", l.refusedHere)
			t.Run("cut off", l.cutOff)
			// This one is last, because net/http ends an h2 connection on which trailers
			// come after the answer, with everything else that is sent there.
			t.Run("trailers", l.trailers)
		})
	}
}

func (l *link) accepted(t *testing.T) {
	large := strings.Repeat("0123456789", 500_000)
	for _, tt := range []struct {
		name     string
		delivery delivery
	}{
		{"small", authentic(chatBotKit)},
		{"empty", authentic("")},
		{"GET without a body", delivery{id: fresh(), method: "GET", target: "/webhook", fields: []string{signed(nil)}}},
		{"GET with a body", authentic(chatBotKit).with("GET", "/webhook")},
		{"no declared length", authentic(chatBotKit).chunks()},
		{"5 MB", authentic(large)},
		{"5 MB without a declared length", authentic(large).chunks()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answered(t, l.exchange(t, tt.delivery.request(t, l.base)))
			delivered(t, l.app, tt.delivery)
		})
	}
}

func (l *link) refusedHere(t *testing.T) {
	for _, tt := range []struct {
		name, why string
		status    int
		delivery  delivery
	}{
		{"unsigned", "missing_signature", 401, post(chatBotKit)},
		{"unsigned, no declared length", "missing_signature", 401, post(chatBotKit).chunks()},
		{"forged", "signature_mismatch", 401, post(chatBotKit, forgedField)},
		{"forged, no declared length", "signature_mismatch", 401, post(chatBotKit, forgedField).chunks()},
		{"two lines", "ambiguous_signature", 401, post(chatBotKit, goodField, goodField)},
		{"unsigned GET", "missing_signature", 401, delivery{id: fresh(), method: "GET", target: "/webhook"}},
		{"incremental", "incremental", 501, authentic(chatBotKit, "Incremental: ?1")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.refusal(t, l.exchange(t, tt.delivery.request(t, l.base)), tt.status, tt.why)
			l.app.nothing(t, tt.delivery.id)
		})
	}
}

// trailers are not signed, so the gateway drops them, and a signature among them does not
// count.
func (l *link) trailers(t *testing.T) {
	with := func(d delivery) *http.Request {
		r := d.chunks().request(t, l.base)
		r.Trailer = http.Header{"X-Hub-Signature": {goodValue}, "X-Evil": {"1"}}
		return r
	}
	d := authentic(chatBotKit)
	answered(t, l.exchange(t, with(d)))
	delivered(t, l.app, d)
	if got := l.app.once(t, d.id).Trailer; len(got) > 0 {
		t.Errorf("the app got trailers: %v", got)
	}
	d = post(chatBotKit)
	l.refusal(t, l.exchange(t, with(d)), 401, "missing_signature")
	l.app.nothing(t, d.id)
}

// cutOff is a sender that leaves after everything that it has signed, but before the end
// of the request. Only the end completes a delivery.
func (l *link) cutOff(t *testing.T) {
	d := authentic(strings.Repeat("x", 256<<10)).chunks()
	r := d.request(t, l.base)
	ctx, leave := context.WithCancel(r.Context())
	defer leave()
	r = r.WithContext(ctx)
	body, w := io.Pipe()
	r.Body = body
	go func() {
		defer w.CloseWithError(io.ErrClosedPipe) // net/http waits for its read
		defer leave()
		w.Write(d.body)
		// Wait until the gateway has it: HTTP/3 drops everything it has received, even the
		// header section, if the stream ends before anyone has read it.
		if held, has := tries(patience, func() (any, bool) { n := l.held(t); return n, n >= float64(len(d.body)) }); !has {
			t.Errorf("the gateway holds %v bytes of the %d that were sent", held, len(d.body))
		}
	}()
	// A fast gateway answers before the client has left.
	if resp, err := l.client.RoundTrip(r); err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("status %d for an incomplete request, want 400 or none", resp.StatusCode)
		}
	}
	l.log.wait(t, "the refusal", reason("body_incomplete"))
	l.app.nothing(t, d.id)
}

// TestLimitsOfProtocols: both limits hold in each protocol, even without a declared
// length.
func TestLimitsOfProtocols(t *testing.T) {
	t.Parallel()
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			l := newLink(t, p, startApp(t), "max_size 1KiB", "body_timeout 1s")
			largest := authentic(strings.Repeat("x", 1024))
			answered(t, l.exchange(t, largest.request(t, l.base)))
			delivered(t, l.app, largest)
			tooLarge := authentic(strings.Repeat("x", 1025))
			l.refusal(t, l.exchange(t, tooLarge.request(t, l.base)), 413, "body_too_large")
			l.app.nothing(t, tooLarge.id)
			unknown := authentic(strings.Repeat("x", 1025)).chunks()
			l.refusal(t, l.exchange(t, unknown.request(t, l.base)), 413, "body_too_large")
			l.app.nothing(t, unknown.id)
			t.Run("too slow", l.tooSlow)
		})
	}
}

func (l *link) tooSlow(t *testing.T) {
	d := authentic(chatBotKit).chunks()
	r := d.request(t, l.base)
	rest, stop := io.Pipe()
	defer stop.Close()
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(chatBotKit[:10]), rest))
	l.refusal(t, l.exchange(t, r), 408, "body_timeout")
	l.app.nothing(t, d.id)
}

// TestUnencryptedUpgrade: the old upgrade from HTTP/1.1 to h2c leads nowhere, like any
// other Upgrade.
func TestUnencryptedUpgrade(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	d := authentic("", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")
	answered(t, g.deliver(t, d))
	if got := a.once(t, d.id); got.Header["Upgrade"] != nil {
		t.Errorf("the app got Upgrade: %v", got.Header["Upgrade"])
	}
}

// TestEarlyData: an eavesdropper can replay TLS early data, so an authentic delivery in
// it is answered 425, and its sender sends it again (RFC 8470).
func TestEarlyData(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := newGateway(t)
	roots := newCertificate(t, g.dir)
	g.write(t, secured(canonical(a)))
	g.start(t)
	udp, tickets := newHeldConn(t), ticketCache{tls.NewLRUClientSessionCache(1), make(chan struct{}, 16)}
	h3 := &http3.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ClientSessionCache: tickets}, Dial: udp.dial}
	t.Cleanup(func() { h3.Close() })
	l := &link{g, a, "https://" + g.addr, "HTTP/3.0", h3}

	first := authentic("").with(http3.MethodGet0RTT, "/webhook")
	first.body = nil
	answered(t, l.exchange(t, first.request(t, l.base)))
	delivered(t, a, first.with("GET", "/webhook"))
	ends(t, "the ticket", tickets.put)
	h3.CloseIdleConnections()

	// Nothing from the gateway gets through, so the sender cannot finish the handshake, and
	// the gateway gets only early data.
	early := first
	early.id = fresh()
	release := udp.hold()
	defer release()
	answer := make(chan *http.Response, 1)
	go func() {
		resp, _ := h3.RoundTrip(early.request(t, l.base))
		answer <- resp
	}()
	line := g.log.wait(t, "the refusal", reason("early_data"))
	release()
	resp := ends(t, "the answer", answer)
	if resp == nil || resp.StatusCode != http.StatusTooEarly || resp.Header.Get(errorID) != line.text("error_id") {
		t.Errorf("answer %v, want 425 with the error id of %v", resp, line)
	}
	a.nothing(t, early.id)
}

// A ticketCache reports when it gets a ticket for the next handshake.
type ticketCache struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c ticketCache) Put(key string, state *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, state)
	if state != nil {
		c.put <- struct{}{}
	}
}

// A heldConn is a UDP socket whose incoming packets can be held back.
type heldConn struct {
	net.PacketConn
	gate      sync.RWMutex // locked while packets are held back
	transport *quic.Transport
}

func newHeldConn(t *testing.T) *heldConn {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &heldConn{PacketConn: udp}
	c.transport = &quic.Transport{Conn: c}
	t.Cleanup(func() { c.transport.Close(); udp.Close() })
	return c
}

// hold holds back incoming packets until release.
func (c *heldConn) hold() (release func()) {
	c.gate.Lock()
	return sync.OnceFunc(c.gate.Unlock)
}

func (c *heldConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(p)
	c.gate.RLock()
	defer c.gate.RUnlock()
	return n, from, err
}

func (c *heldConn) dial(ctx context.Context, addr string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	return c.transport.DialEarly(ctx, to, tlsConfig, config)
}
