package caddymodule

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// drainTimeout bounds how long the answer to a refused HTTP/1 request waits for
// the rest of its body: net/http reads up to 256 KiB of it first, so that the
// connection can be used again.
const drainTimeout = time.Second

// retryAfter is how many seconds a sender is asked to wait for room.
const retryAfter = "5"

// errRefused is the text of every refusal. It does not say which check failed.
var errRefused = errors.New("webhook delivery refused")

// ServeHTTP lets r through to next if and only if it is an authentic delivery.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.answerQuery(w, r) {
		return nil
	}
	start := time.Now()
	body := new(spool.Body)
	defer body.Release()
	match, err := h.verify(w, r, body)
	v := &verdict{preset: h.Preset, match: match, body: body}
	if err != nil {
		v.reason = refusalOf(err)
		h.meter.judged(start, v)
		publish(r, v)
		if h.UnsafeObserveOnly && v.reason != signature.Overloaded { // then bytes are missing
			return h.observe(w, r, v, next)
		}
		return h.refuse(w, r, v)
	}
	h.meter.judged(start, v)
	publish(r, v)
	if h.answerBody(w, body, match) {
		return nil
	}
	if h.Replay != nil {
		return h.deliverOnce(w, r, v, next)
	}
	h.meter.accept(v)
	h.reportAccepted(*v)
	return h.deliver(w, r, body, next)
}

// verify receives the body and returns whose it is, or the refusal. Nothing is
// read from a request whose header section alone refuses it.
func (h *Handler) verify(w http.ResponseWriter, r *http.Request, body *spool.Body) (signature.Match, error) {
	if refusal := judgeRequest(r); refusal != nil {
		return signature.Match{}, refusal
	}
	check, err := h.verifier.Begin(&signature.Delivery{Header: r.Header, Method: r.Method, URL: h.PublicURL})
	if err != nil {
		return signature.Match{}, err
	}
	if r.ContentLength > h.MaxSize {
		return signature.Match{}, signature.BodyTooLarge
	}
	if err := h.receive(w, r, body, check); err != nil {
		return signature.Match{}, err
	}
	match, err := check.End(body)
	if err == nil {
		err = h.judgeBody(body)
	}
	if _, ok := err.(signature.Refusal); err != nil && !ok { //nolint:errorlint // it comes as it is
		h.logger.Error("the body that was held cannot be read again", zap.Error(err))
		err = signature.Internal
	}
	return match, err
}

// judgeRequest refuses what a gateway that buffers cannot serve at all.
func judgeRequest(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect:
		return signature.MethodNotAllowed
	case early(r.TLS):
		return signature.EarlyData
	case caddyhttp.IsIncremental(r.Header):
		return signature.Incremental
	}
	return nil
}

// early reports whether the request came as TLS 1.3 early data, which whoever
// sees it on the wire can send again (RFC 8470, section 5.2).
func early(state *tls.ConnectionState) bool { return state != nil && !state.HandshakeComplete }

// receive reads the whole body, in one pass, into the spool and into check. The
// deadline is one for all of it: Caddy's own starts anew with each read, and a
// client that sends a byte a minute never meets it.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, body *spool.Body, check io.Writer) error {
	if r.ContentLength == 0 {
		return nil
	}
	deadline := time.Now().Add(time.Duration(h.BodyTimeout))
	if err := h.limitBody(w, deadline); err != nil {
		return err
	}
	r.Header.Del("Expect") // the first read sends the 100 Continue
	limits := spool.Limits{Size: h.MaxSize, Memory: h.Memory}
	if err := body.Fill(r.Body, check, r.ContentLength, limits, &budget); err != nil {
		return err
	}
	if r.ContentLength > 0 && r.ContentLength != body.Size() {
		return signature.BodyIncomplete
	}
	if h.UnsafeObserveOnly {
		if time.Now().After(deadline) {
			return signature.BodyTimeout
		}
		return nil
	}
	return setReadDeadline(w, time.Time{})
}

// limitBody sets the deadline, but for unsafe_observe_only, which must not cut off
// what it lets through.
func (h *Handler) limitBody(w http.ResponseWriter, deadline time.Time) error {
	if h.UnsafeObserveOnly {
		return nil
	}
	if err := setReadDeadline(w, deadline); err != nil {
		h.logger.Error("no read deadline can be set; a handler in front hides it", zap.Error(err))
		return signature.Internal
	}
	return nil
}

func setReadDeadline(w http.ResponseWriter, deadline time.Time) error {
	return http.NewResponseController(w).SetReadDeadline(deadline)
}

// deliver hands the verified delivery to the app. It no longer depends on the
// sender's connection: a sender that hangs up after its last byte would otherwise
// cut an authentic delivery in half.
func (h *Handler) deliver(w http.ResponseWriter, r *http.Request, body *spool.Body, next caddyhttp.Handler) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(h.DeliveryTimeout))
	defer cancel()
	handOn(r, body)
	defer poison(r) // an error route must not deliver it a second time
	return next.ServeHTTP(w, r.WithContext(ctx))
}

// refuse is the only way out for a request that is not let through.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, v *verdict) error {
	err := caddyhttp.Error(h.status(v.reason), errRefused)
	h.meter.count(resultRefused, v.reason)
	h.report("delivery refused", r, *v, err.ID)
	h.diagnose(r, *v, err.ID)
	answer(w.Header(), r, err.StatusCode, err.ID)
	if r.ContentLength != 0 && !v.whole() {
		_ = setReadDeadline(w, time.Now().Add(drainTimeout)) // where it fails, receive has refused already
	}
	poison(r)
	return err
}

// answer sets the header fields of a refusal.
func answer(fields http.Header, r *http.Request, status int, id string) {
	fields.Set("Webhook-Auth-Error-Id", id)
	switch status {
	case http.StatusUnauthorized:
		fields.Set("WWW-Authenticate", "HMAC") // RFC 9110, section 15.5.2: a challenge is a must
	case http.StatusMethodNotAllowed:
		fields.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE")
	case http.StatusConflict, http.StatusServiceUnavailable:
		fields.Set("Retry-After", retryAfter)
	}
	// Caddy's wrapper hides from net/http that a client waits for 100-continue, and
	// the answer would wait for a body that never comes. Only HTTP/1 reads on after
	// the answer; nothing is in flight, so closing loses nothing.
	if r.ProtoMajor == 1 && r.Header.Get("Expect") != "" {
		fields.Set("Connection", "close")
	}
}

// observe lets a request through that was not verified, as unsafe_observe_only
// asks: what was received of the body first, then the rest as it comes.
func (h *Handler) observe(w http.ResponseWriter, r *http.Request, v *verdict, next caddyhttp.Handler) error {
	id := caddyhttp.Error(v.reason.Status(), errRefused).ID // what the refusal would have been
	h.meter.count(resultObserved, v.reason)
	h.report("delivery observed", r, *v, id)
	h.diagnose(r, *v, id)
	if r.Body != nil && r.ContentLength != 0 {
		_ = setReadDeadline(w, time.Time{})
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(v.body.Reader(), r.Body), r.Body}
	}
	return next.ServeHTTP(w, r)
}

// Interface guards
var _ caddyhttp.MiddlewareHandler = (*Handler)(nil)
