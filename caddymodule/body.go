package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A body is a received body, held until the app has answered. Any number of
// readers may go over it at once, each with its own cursor.
type body struct {
	mu       sync.RWMutex
	bytes    []byte
	released bool
}

var errReleased = errors.New("webhook_auth: the body is no longer held")

// receive reads r to its end into b and into tee, in one pass. A body longer than
// limit is read one byte past it and no further: a declared length is a limit, never
// an allocation.
func (b *body) receive(r io.Reader, tee io.Writer, limit int64) error {
	var held bytes.Buffer
	n, err := io.Copy(io.MultiWriter(&held, tee), io.LimitReader(r, limit+1))
	b.bytes = held.Bytes()
	if err == nil && n > limit {
		return signature.BodyTooLarge
	}
	return err
}

func (b *body) size() int64 { return int64(len(b.bytes)) }

// replay writes the whole body to w.
func (b *body) replay(w io.Writer) error {
	_, err := w.Write(b.bytes)
	return err
}

// release ends the use of b. The transport may still read while the app has
// answered early, so later reads fail instead of finding another body's bytes.
func (b *body) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes, b.released = nil, true
}

func (b *body) reader() io.ReadCloser { return &bodyReader{body: b} }

// A bodyReader is one cursor over a body.
type bodyReader struct {
	body   *body
	offset int
	closed bool
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.mu.RLock()
	defer r.body.mu.RUnlock()
	if r.body.released || r.closed {
		return 0, errReleased
	}
	if r.offset == len(r.body.bytes) {
		return 0, io.EOF
	}
	n := copy(p, r.body.bytes[r.offset:])
	r.offset += n
	return n, nil
}

func (r *bodyReader) Close() error {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	r.closed = true
	return nil
}

// handOn makes the verified body the body of r, framed by its length alone. What
// was not signed and could change how the rest of the connection is read goes:
// trailers, Expect, and Upgrade, which would open a raw tunnel to the app.
func (b *body) handOn(r *http.Request) {
	r.Body, r.GetBody, r.ContentLength = b.reader(), nil, b.size()
	switch {
	case !repeatable(r):
		r.GetBody = func() (io.ReadCloser, error) { return b.reader(), nil }
	case b.size() == 0:
		// Of a request without a body net/http knows that it can send it again. Of an
		// unknown length it does not, and finds out by itself that nothing comes.
		r.ContentLength = -1
	}
	r.TransferEncoding, r.Trailer = nil, nil
	for _, field := range []string{"Expect", "Trailer", "Upgrade"} {
		r.Header.Del(field)
	}
	r.Header.Set("Content-Length", strconv.FormatInt(b.size(), 10))
}

// repeatable reports whether net/http would send r again although the app may
// have processed it (RFC 9110, section 9.2.2). For all other requests it uses
// GetBody only where the app provably did not, as after an HTTP/2 REFUSED_STREAM,
// and there it saves the delivery.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// poison makes sure that r can be sent to no one any more: an error route with
// reverse_proxy would otherwise hand on what was refused, or deliver a second time
// what was delivered. A field name with blanks is what Go's transport refuses
// before it dials; it stands in the header map, which copies of r share, as the
// tracing handler makes them. A body that fails alone would be too late: the
// header section is on its way by then.
func poison(r *http.Request) {
	r.Header["Ended by webhook_auth"] = []string{""}
	r.Body, r.ContentLength, r.GetBody = poisoned{}, -1, nil
}

type poisoned struct{}

func (poisoned) Read([]byte) (int, error) { return 0, errReleased }
func (poisoned) Close() error             { return nil }

// bodyRefusal says what a failed read means. A refusal passes through; a limit
// that another handler set (request_body, timeouts) counts like our own.
func bodyRefusal(err error) signature.Refusal {
	if refusal, ok := errors.AsType[signature.Refusal](err); ok {
		return refusal
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return signature.BodyTimeout
	}
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok && he.StatusCode == http.StatusRequestEntityTooLarge {
		return signature.BodyTooLarge
	}
	return signature.BodyIncomplete
}
