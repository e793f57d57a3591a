package caddymodule

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// handOn makes the verified body the body of r, framed by its length alone. It removes
// what is not signed and could change how the connection is read: trailers, Expect, and
// Upgrade, which would open a raw tunnel to the app. It removes Connection, because
// reverse_proxy deletes the fields that the client names there: signed ones too, such as
// the id by which the app knows a repetition.
func handOn(r *http.Request, body *spool.Body) {
	r.Body, r.GetBody, r.ContentLength = body.Reader(), nil, body.Size()
	r.TransferEncoding, r.Trailer = nil, nil
	switch {
	case !repeatable(r):
		r.GetBody = func() (io.ReadCloser, error) { return body.Reader(), nil }
	case body.Size() == 0:
		// net/http sends a request without a body a second time, but not one whose length
		// it does not know. identity keeps it from announcing chunks.
		r.ContentLength, r.TransferEncoding = -1, []string{"identity"}
	}
	for _, field := range []string{"Connection", "Expect", "Trailer", "Upgrade"} {
		r.Header.Del(field)
	}
	r.Header.Set("Content-Length", strconv.FormatInt(body.Size(), 10))
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

// drainTimeout bounds how long the answer to a refused request waits for the rest of its
// body, and maxDrain how much of it is read: so that an HTTP/1 connection can be used
// again, and because curl up to 7.88 reports an error and not the answer where an HTTP/2
// stream is reset while it still sends.
const (
	drainTimeout = time.Second
	maxDrain     = 256 << 10
)

// endBody ends the body of a request that the gate answers without it. The body is
// closed for good: a handler in front, such as tracing, may hold a copy of the request
// that shares it.
func endBody(w http.ResponseWriter, r *http.Request, whole bool, patience time.Duration) {
	if r.Body == nil || r.ContentLength == 0 && r.ProtoMajor == 1 {
		return
	}
	if !whole && r.ContentLength != 0 && !drain(w, r, patience) && r.ProtoMajor == 1 {
		closeConnection(w)
	}
	_ = r.Body.Close() // nobody reads it any more
}

// drain reads what a client still sends, and reports whether that was all. A
// client that waits for 100 Continue sends nothing before it has the answer.
func drain(w http.ResponseWriter, r *http.Request, patience time.Duration) bool {
	if r.Header.Get("Expect") != "" {
		patience = 0
	}
	if setReadDeadline(w, time.Now().Add(patience)) != nil || patience == 0 {
		return false
	}
	if _, err := io.CopyN(io.Discard, r.Body, maxDrain+1); !errors.Is(err, io.EOF) {
		return false
	}
	_ = setReadDeadline(w, time.Time{})
	return true
}

func setReadDeadline(w http.ResponseWriter, deadline time.Time) error {
	return http.NewResponseController(w).SetReadDeadline(deadline)
}

// closeConnection ends an HTTP/1 connection on which a body is still under way: what
// remains of it must not be taken for the next request. net/http cannot see this body,
// because Caddy wraps it, but it does listen to MaxBytesReader: then it closes in two
// steps, so that a client that still writes can read the answer.
func closeConnection(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = wrapper.Unwrap()
	}
	tooLarge := http.MaxBytesReader(w, io.NopCloser(strings.NewReader(".")), 0)
	_, _ = tooLarge.Read(make([]byte, 1))
}

// lockField is a header field whose name Go's transports refuse before they send
// anything. It is random, and the Connection field goes with it: reverse_proxy deletes
// the fields that the client names there, this one too.
var lockField = "Ended by webhook_auth " + rand.Text()

// lock makes r useless to every handler that gets it after the gate: an error route or an
// intercept with reverse_proxy would otherwise forward what was refused, or deliver a
// second time what was delivered. The header map is shared with the copies of r that
// handlers in front may hold. `header_up -*` would take the field off; it does not
// touch trailers, whose names the transports look at too. A body that fails is not
// enough, because the header section may be on its way by then.
func lock(r *http.Request) {
	r.Header[lockField] = []string{""}
	r.Trailer = http.Header{lockField: nil}
	delete(r.Header, "Connection")
	delete(r.Header, "Upgrade")
	r.Body, r.ContentLength, r.GetBody = locked{}, -1, nil
}

type locked struct{}

func (locked) Read([]byte) (int, error) { return 0, spool.ErrReleased }
func (locked) Close() error             { return nil }

// refusalOf maps an error, including a failed body read, to a refusal. A limit that
// another handler set (request_body, timeouts) counts like our own.
func refusalOf(err error) refusal.Reason {
	if reason, ok := errors.AsType[refusal.Reason](err); ok {
		return reason
	}
	he, ok := errors.AsType[caddyhttp.HandlerError](err)
	switch {
	case errors.Is(err, spool.ErrTooLarge), ok && he.StatusCode == http.StatusRequestEntityTooLarge:
		return refusal.BodyTooLarge
	case errors.Is(err, spool.ErrFull):
		return refusal.Overloaded
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal.BodyTimeout
	}
	return refusal.BodyIncomplete
}
