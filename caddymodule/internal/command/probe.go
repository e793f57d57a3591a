package command

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
)

// A probe is one delivery of the matrix, and what the gate has promised about it.
type probe struct {
	name     string
	expected int // status of the refusal; 0: it is let through
	make     func(p *prober, body []byte) (*http.Request, error)
	answered func(r result) error // of a sender's check: what is wrong with the answer
}

var matrix = []probe{
	{name: "signed", expected: 0, make: (*prober).signed},
	{name: "unsigned", expected: http.StatusUnauthorized, make: (*prober).unsigned},
	{name: "tampered", expected: http.StatusUnauthorized, make: (*prober).tampered},
	{name: "wrong secret", expected: http.StatusUnauthorized, make: (*prober).wrongSecret},
	{name: otherAlgorithmName, expected: http.StatusUnauthorized, make: (*prober).otherAlgorithm},
	{name: "over the limit", expected: http.StatusRequestEntityTooLarge, make: (*prober).oversized},
}

// ping is a body that nobody takes for a real event. It differs each time, so that
// no replay guard takes it for an old one.
func ping() []byte {
	return fmt.Appendf(nil, `{"event":"ping","source":"caddy webhook send","id":%q,"time":%q}`,
		rand.Text(), time.Now().UTC().Format(time.RFC3339Nano))
}

// request is a delivery with these fields.
func (p *prober) request(body io.Reader, fields []sender.Field) (*http.Request, error) {
	r, err := http.NewRequestWithContext(context.Background(), p.method, p.address.String(), body)
	if err != nil {
		return nil, err
	}
	p.dress(r, fields)
	return r, nil
}

// dress gives a request the fields of the command line, and these.
func (p *prober) dress(r *http.Request, fields []sender.Field) {
	r.Header = p.header.Clone()
	for _, field := range fields {
		r.Header[http.CanonicalHeaderKey(field.Name)] = []string{field.Value}
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "caddy-webhook-send")
	}
}

func (p *prober) fields(signer *sender.Signer, body []byte) []sender.Field {
	return signer.Sign(sender.Delivery{Method: p.method, URL: p.target.PublicURL, Target: p.address.RequestURI(), Header: p.header, Body: body, Time: time.Now()})
}

func (p *prober) signed(body []byte) (*http.Request, error) {
	return p.request(bytes.NewReader(body), p.fields(p.signer, body))
}

func (p *prober) unsigned(body []byte) (*http.Request, error) {
	r, err := p.signed(body)
	if err == nil {
		for _, name := range p.signer.SignatureFields() {
			r.Header.Del(name)
		}
	}
	return r, err
}

// tampered changes the body but not its length.
func (p *prober) tampered(body []byte) (*http.Request, error) {
	changed := bytes.Replace(body, []byte("ping"), []byte("pong"), 1)
	return p.request(bytes.NewReader(changed), p.fields(p.signer, body))
}

// wrongSecret signs with 64 hex digits, which are a key in every encoding.
func (p *prober) wrongSecret(body []byte) (*http.Request, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	signer, err := p.target.stranger(hex.EncodeToString(key))
	if err != nil {
		return nil, err
	}
	return p.request(bytes.NewReader(body), p.fields(signer, body))
}

func (p *prober) otherAlgorithm(body []byte) (*http.Request, error) {
	signer, err := p.signer.Using(p.signer.Disallowed())
	if err != nil {
		return nil, err
	}
	return p.request(bytes.NewReader(body), p.fields(signer, body))
}

// oversized announces one byte too many and, by Expect, waits to be asked for it.
// What does not know Expect gets blanks.
func (p *prober) oversized(body []byte) (*http.Request, error) {
	size := p.target.MaxSize + 1
	r, err := p.request(io.LimitReader(new(blanks), size), p.fields(p.signer, body))
	if err == nil {
		r.ContentLength = size
		r.Header.Set("Expect", "100-continue")
	}
	return r, err
}

const (
	// expectTimeout is how long a server has to refuse what was announced.
	expectTimeout = 5 * time.Second
	// maxBlanks is how much a server gets that asks for it nevertheless.
	maxBlanks = 64 << 10
)

var errNotRefused = errors.New("announced, not refused")

// blanks are the beginning of a body that does not come.
type blanks struct{ read int }

func (b *blanks) Read(p []byte) (int, error) {
	if b.read >= maxBlanks {
		time.Sleep(expectTimeout) // for an answer that is on its way
		return 0, errNotRefused
	}
	for i := range p {
		p[i] = ' '
	}
	b.read += len(p)
	return len(p), nil
}
