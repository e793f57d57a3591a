package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// A delivery is what the clients send, over and over.
type delivery struct {
	body      []byte
	signature string // the value of X-Hub-Signature; "": unsigned
}

func signed(secret string, size int) delivery {
	d := delivery{body: bytes.Repeat([]byte("x"), size)}
	d.sign(secret)
	return d
}

func (d *delivery) sign(secret string) {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(d.body) // never fails
	d.signature = "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func unsigned(size int) delivery { return delivery{body: make([]byte, size)} }

// forged returns a delivery that is signed with another secret. The gateway must read the
// whole body to find out.
func forged(size int) delivery { return signed("not the secret", size) }

// A site is one site of the gateway.
type site struct {
	address string
	roots   *x509.CertPool // for an HTTP/2 site
}

func (s site) protocol() string {
	if s.roots != nil {
		return "h2 over TLS"
	}
	return "HTTP/1.1"
}

// A client sends one delivery at a time over its own connection.
type client interface {
	send(ctx context.Context) (status int, err error)
	close()
}

func connect(ctx context.Context, s site, d delivery) (client, error) {
	if s.roots != nil {
		return newH2Client(s, d), nil
	}
	return newH1Client(ctx, s, d)
}

// An h1Client writes the same bytes each time and reads as little of the answer as
// possible, because the load takes its time from the gateway.
type h1Client struct {
	conn    net.Conn
	in      *bufio.Reader
	request []byte
}

func newH1Client(ctx context.Context, s site, d delivery) (*h1Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &h1Client{conn: conn, in: bufio.NewReader(conn), request: append(head(s, d), d.body...)}, nil
}

// head returns the request up to its body.
func head(s site, d delivery) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /webhook HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n", s.address)
	if d.signature != "" {
		fmt.Fprintf(&b, "X-Hub-Signature: %s\r\n", d.signature)
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(d.body))
	return b.Bytes()
}

func (c *h1Client) send(context.Context) (int, error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	return readAnswer(c.in)
}

func (c *h1Client) close() { _ = c.conn.Close() }

// readAnswer reads an answer to its end and returns its status.
func readAnswer(in *bufio.Reader) (int, error) {
	first, length, err := readHead(in)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(first, " ")
	if length < 0 || len(rest) < 3 {
		return 0, fmt.Errorf("the answer has no Content-Length: %q", first)
	}
	status, err := strconv.Atoi(rest[:3])
	if err != nil {
		return 0, err
	}
	_, err = in.Discard(length)
	return status, err
}

// An h2Client is net/http's client. For a small delivery it costs more than the gateway,
// so that HTTP/2 shows smaller differences than HTTP/1.1.
type h2Client struct {
	http     http.Client
	url      string
	delivery delivery
}

func newH2Client(s site, d delivery) *h2Client {
	transport := &http.Transport{
		TLSClientConfig:    &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS13},
		ForceAttemptHTTP2:  true,
		DisableCompression: true,
	}
	return &h2Client{http: http.Client{Transport: transport}, url: "https://" + s.address + "/webhook", delivery: d}
}

func (c *h2Client) send(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.delivery.body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.delivery.signature != "" {
		request.Header.Set("X-Hub-Signature", c.delivery.signature)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.ProtoMajor != 2 {
		return 0, fmt.Errorf("the gateway speaks %s", response.Proto)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

func (c *h2Client) close() { c.http.CloseIdleConnections() }
