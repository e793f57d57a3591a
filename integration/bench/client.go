package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A delivery is what the clients send, over and over.
type delivery struct {
	body      []byte
	signature string // the value of X-Hub-Signature; "": unsigned
}

func signed(secret string, size int) delivery {
	return sign(secret, bytes.Repeat([]byte("x"), size))
}

func sign(secret string, body []byte) delivery {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body) // never fails
	return delivery{body, "sha256=" + hex.EncodeToString(mac.Sum(nil))}
}

// forged returns a delivery that is signed with another secret. The gateway must read the
// whole body to find out.
func forged(size int) delivery { return signed("not the secret", size) }

// A site is one site of the gateway, and how its clients use it.
type site struct {
	address string
	tls     bool
	hangUp  bool   // a new connection for each delivery
	fresh   string // the secret, if each delivery is new, so that no replay guard has seen it
}

// A client sends one delivery at a time over its own connection. It writes the same bytes
// each time, because what it costs is taken from the gateway.
type client struct {
	site    site
	size    int
	request []byte
	conn    net.Conn
	in      *bufio.Reader
}

func newClient(s site, d delivery) *client {
	return &client{site: s, size: len(d.body), request: append(head(s, d), d.body...)}
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

func (c *client) send(ctx context.Context) (status int, err error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return 0, err
		}
	}
	if c.site.fresh != "" {
		body := make([]byte, c.size)
		_, _ = rand.Read(body) // never fails
		d := sign(c.site.fresh, body)
		c.request = append(head(c.site, d), d.body...)
	}
	if c.site.hangUp {
		defer c.close()
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, err
	}
	return readAnswer(c.in)
}

func (c *client) dial(ctx context.Context) (err error) {
	if c.site.tls {
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}} //nolint:gosec // the gateway's own authority
		c.conn, err = dialer.DialContext(ctx, "tcp", c.site.address)
	} else {
		c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.site.address)
	}
	if err != nil {
		return err
	}
	conn := c.conn
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	c.in = bufio.NewReader(conn)
	return nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

// readAnswer reads an answer to its end and returns its status.
func readAnswer(in *bufio.Reader) (int, error) {
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
