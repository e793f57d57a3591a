package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// handOn makes the verified body the body of r, framed by its length alone. What
// was not signed and could change how the rest of the connection is read goes:
// trailers, Expect, and Upgrade, which would open a raw tunnel to the app.
func handOn(r *http.Request, body *spool.Body) {
	r.Body, r.GetBody, r.ContentLength = body.Reader(), nil, body.Size()
	r.TransferEncoding, r.Trailer = nil, nil
	switch {
	case !repeatable(r):
		r.GetBody = func() (io.ReadCloser, error) { return body.Reader(), nil }
	case body.Size() == 0:
		// Of a request without a body net/http knows that it can send it again. Of an
		// unknown length it does not; identity keeps it from announcing chunks.
		r.ContentLength, r.TransferEncoding = -1, []string{"identity"}
	}
	for _, field := range []string{"Expect", "Trailer", "Upgrade"} {
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

func (poisoned) Read([]byte) (int, error) { return 0, spool.ErrReleased }
func (poisoned) Close() error             { return nil }

// refusalOf says which refusal an error is: of a failed read as well. A limit
// that another handler set (request_body, timeouts) counts like our own.
func refusalOf(err error) signature.Refusal {
	if refusal, ok := errors.AsType[signature.Refusal](err); ok {
		return refusal
	}
	he, ok := errors.AsType[caddyhttp.HandlerError](err)
	switch {
	case errors.Is(err, spool.ErrTooLarge), ok && he.StatusCode == http.StatusRequestEntityTooLarge:
		return signature.BodyTooLarge
	case errors.Is(err, spool.ErrFull):
		return signature.Overloaded
	case errors.Is(err, os.ErrDeadlineExceeded):
		return signature.BodyTimeout
	}
	return signature.BodyIncomplete
}
