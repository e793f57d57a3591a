package caddymodule

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// retryAfter is how many seconds a sender is asked to wait for room.
const retryAfter = "5"

// The values of on_refusal.
const (
	answerRefusals = "answer"
	handleErrors   = "handle_errors"
)

// errRefused is the text of every refusal. It does not say which check failed.
var errRefused = errors.New("webhook delivery refused")

// ServeHTTP lets r through to next if and only if it is an authentic delivery. The file
// reads from here downwards: receive, judge, publish, then deliver and count, or refuse.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	m := h.material()
	if h.answerCheck(w, r, m) {
		return nil
	}
	a := &attempt{verdict: verdict{preset: h.Preset}, material: m}
	a.verdict.body = &a.body
	defer a.body.Release()
	defer a.leaveTenant()
	h.judge(w, r, a)
	if h.answerBody(w, r, a) {
		return nil
	}
	if a.verified() && h.Replay != nil {
		h.claim(r, a)
	}
	publish(r, a)
	switch {
	case a.verified():
		return h.deliver(w, r, a, next)
	case h.UnsafeObserveOnly && (a.whole || a.reason != refusal.Overloaded): // else bytes are missing
		return h.observe(w, r, a, next)
	}
	return h.refuse(w, r, a)
}

// judge receives the body and finds the verdict. The replay guard has its say later.
func (h *Handler) judge(w http.ResponseWriter, r *http.Request, a *attempt) {
	a.began = time.Now()
	if err := h.verify(w, r, a); err != nil {
		a.reason, a.cause = refusalOf(err), err
	}
	a.took = time.Since(a.began)
	h.meter.judged(a)
}

// verify receives the body and finds whose secret signed it, or returns the reason to
// refuse. It reads no byte of a body if the header section is enough to refuse.
func (h *Handler) verify(w http.ResponseWriter, r *http.Request, a *attempt) error {
	if reason := judgeRequest(r); reason != nil {
		return reason
	}
	delivery := h.delivery(r)
	check, err := a.material.verifier.Begin(&delivery)
	if err != nil {
		return h.receiveCheck(w, r, a, err)
	}
	if r.ContentLength > h.MaxSize {
		return refusal.BodyTooLarge
	}
	if check, err = h.forTenant(r, a, check, &delivery); err != nil {
		return err
	}
	if err := h.receive(w, r, &a.body, check); err != nil {
		return err
	}
	a.whole = true
	leave, err := a.material.admit(a.body.Size())
	if err != nil {
		return err
	}
	defer leave()
	if a.match, err = check.End(&a.body, leave); err == nil {
		err = a.material.judgeBody(&a.body)
	}
	err = a.ofTenant(err)
	if _, ok := err.(refusal.Reason); err != nil && !ok { //nolint:errorlint // nobody wraps it
		h.logger.Error("the body that was held cannot be read again", zap.Error(err))
		return refusal.Internal
	}
	if err == nil && h.tenants != nil {
		return h.tenants.hold(a)
	}
	return err
}

// delivery is what the verifier is told of a request. Its method and target are those that
// arrived, which is what a sender signs: method, rewrite, uri, handle_path and try_files
// change those of the request before the gate sees it.
func (h *Handler) delivery(r *http.Request) signature.Delivery {
	line := arrived(r)
	return signature.Delivery{Header: r.Header, Method: line.method, URL: h.PublicURL, Target: line.target}
}

// A requestLine is what the client asked for.
type requestLine struct{ method, target, path string }

// arrived is the request line as the client sent it. Routes in front of the gate may have
// changed r. Caddy keeps its copy of the request by value, so a pointer to it would be an
// allocation of 300 bytes.
func arrived(r *http.Request) requestLine {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return requestLine{original.Method, original.RequestURI, original.URL.Path}
	}
	return requestLine{r.Method, r.RequestURI, r.URL.Path}
}

// judgeRequest refuses what a gateway that buffers cannot serve at all.
func judgeRequest(r *http.Request) error {
	switch {
	case r.Method == http.MethodConnect:
		return refusal.MethodNotAllowed
	case early(r.TLS):
		return refusal.EarlyData
	case caddyhttp.IsIncremental(r.Header):
		return refusal.Incremental
	}
	return nil
}

// early reports whether the request came as TLS 1.3 early data, which anyone who sees it
// on the wire can send again (RFC 8470, section 5.2).
func early(state *tls.ConnectionState) bool { return state != nil && !state.HandshakeComplete }

// receive reads the whole body, in one pass, into the spool and into check. One
// deadline covers all of it: Caddy's own starts anew with each read, and a client that
// sends a byte a minute never meets it.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, body *spool.Body, check io.Writer) error {
	if r.ContentLength == 0 && r.ProtoMajor == 1 {
		return nil // HTTP/2 and HTTP/3 messages end with their stream, whatever their length
	}
	deadline := time.Now().Add(time.Duration(h.BodyTimeout))
	if err := h.limitBody(w, deadline); err != nil {
		return err
	}
	r.Header.Del("Expect") // the first read sends the 100 Continue
	limits := spool.Limits{Size: h.MaxSize, Memory: h.Memory, Stretch: h.stretch}
	if err := body.Fill(r.Body, check, r.ContentLength, limits, &budget); err != nil {
		return err
	}
	if r.ContentLength >= 0 && r.ContentLength != body.Size() {
		return refusal.BodyIncomplete
	}
	if h.UnsafeObserveOnly {
		if time.Now().After(deadline) {
			return refusal.BodyTimeout
		}
		return nil
	}
	return setReadDeadline(w, time.Time{})
}

// limitBody sets the read deadline, except under unsafe_observe_only, which must not
// cut requests off.
func (h *Handler) limitBody(w http.ResponseWriter, deadline time.Time) error {
	if h.UnsafeObserveOnly {
		return nil
	}
	if err := setReadDeadline(w, deadline); err != nil {
		h.logger.Error("no read deadline can be set; a handler in front hides it", zap.Error(err))
		return refusal.Internal
	}
	return nil
}

// deliver hands the verified delivery to the app. From here on it does not depend on the
// sender's connection: a sender that hangs up after its last byte would otherwise cut an
// authentic delivery in half.
func (h *Handler) deliver(w http.ResponseWriter, r *http.Request, a *attempt, next caddyhttp.Handler) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Duration(h.DeliveryTimeout))
	defer cancel()
	a.answer.watch(w, func() { h.commit(r, a) })
	handOn(r, &a.body)
	// The app has a cursor of its own: {http.request.body} reads from r, and must not
	// take the bytes away.
	sent := r.WithContext(ctx)
	sent.Body = a.body.Reader()
	defer lock(r) // an error route must not deliver it a second time
	defer func() {
		if !a.counted { // next panics, as reverse_proxy does when the app breaks off
			h.count(r, a, noAnswer)
			h.reportFailure(r, a, noAnswer, a.answer.status)
		}
	}()
	return h.conclude(ctx, w, r, a, next.ServeHTTP(&a.answer, sent))
}

// conclude counts what the app answered. If nobody answered, the gate does.
func (h *Handler) conclude(ctx context.Context, w http.ResponseWriter, r *http.Request, a *attempt, err error) error {
	class := a.answer.class(ctx, err)
	if err == nil && a.answer.silent() {
		a.reason = refusal.NoApp
	}
	h.count(r, a, class)
	switch {
	case a.reason == refusal.NoApp:
		return h.refuse(w, r, a)
	case err != nil:
		return h.fail(w, r, a, class, err)
	case class != class2xx && class != class3xx:
		h.reportFailure(r, a, class, a.answer.status)
	}
	return nil
}

// count counts and reports, once, what became of a delivery that was let through.
func (h *Handler) count(r *http.Request, a *attempt, class answerClass) {
	a.counted = true
	h.release(r, a)
	h.meter.answered(class, a.answer.duration())
	defer h.rememberDelivery(r, a, class)
	switch {
	case a.reason == refusal.NoApp: // counted as a refusal
	case a.guard == "":
		h.meter.accept(a)
		h.reportAccepted(r, a)
	case h.UnsafeObserveOnly:
		h.meter.count(resultObserved, a.guard)
		h.report("delivery observed", r, a)
	default:
		h.meter.accept(a)
		h.report("delivery passed the replay guard", r, a)
	}
}

// fail answers with the status of an error that next returned, as Caddy does when there
// are no error routes. Error routes could send the delivery out a second time.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, a *attempt, class answerClass, err error) error {
	status := cmp.Or(a.answer.status, statusOf(err))
	a.cause = err
	h.reportFailure(r, a, class, status)
	if h.OnRefusal == handleErrors {
		return answerable(err, status)
	}
	if a.answer.status == 0 {
		w.WriteHeader(status)
	}
	return nil
}

// answerable gives an error the status that it is answered with. Caddy would answer one
// with an informational status by that, and net/http add an empty 200.
func answerable(err error, status int) error {
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok && he.StatusCode != 0 && he.StatusCode < http.StatusOK {
		he.StatusCode = status
		return he
	}
	return err
}

// refuse is the only exit for a request that is not let through.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, a *attempt) error {
	status := h.status(a.reason)
	h.meter.count(resultRefused, a.reason)
	h.inspect(r, a)
	h.report(message(a.reason, status), r, a)
	h.rememberRefusal(r, a, status)
	h.capture(r, a)
	h.diagnose(r, a)
	fields(w.Header(), a, status)
	defer lock(r)
	defer endBody(w, r, a.whole, drainTimeout)
	if h.OnRefusal == handleErrors && status >= http.StatusBadRequest {
		return caddyhttp.HandlerError{Err: errRefused, StatusCode: status, ID: a.id()}
	}
	w.WriteHeader(status)
	return nil
}

func message(reason refusal.Reason, status int) string {
	if reason == refusal.Duplicate && status == http.StatusOK {
		return "delivery repeated"
	}
	return "delivery refused"
}

// fields sets the header fields of a refusal.
func fields(header http.Header, a *attempt, status int) {
	if a.duplicate {
		header.Set("Webhook-Auth-Duplicate", "true")
	}
	switch status {
	case http.StatusOK:
		return // the app has taken it before: this is no error, so it has no error id
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "HMAC") // RFC 9110, section 15.5.2: a challenge is a must
	case http.StatusMethodNotAllowed:
		header.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE")
	case http.StatusConflict, http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfter)
	}
	header.Set("Webhook-Auth-Error-Id", a.id())
}

// observe lets a request through that was refused, because unsafe_observe_only says so:
// first what was received of the body, then the rest as it arrives.
func (h *Handler) observe(w http.ResponseWriter, r *http.Request, a *attempt, next caddyhttp.Handler) error {
	h.meter.count(resultObserved, a.reason)
	h.inspect(r, a)
	h.report("delivery observed", r, a)
	h.rememberObserved(r, a) // the diagnosis may be there before the answer
	h.capture(r, a)
	h.diagnose(r, a)
	if r.Body != nil && r.ContentLength != 0 {
		_ = setReadDeadline(w, time.Time{})
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(a.body.Reader(), r.Body), r.Body}
	}
	a.answer.watch(w, func() {})
	class, status := noAnswer, 0 // if next panics, as reverse_proxy does when the app breaks off
	defer func() { past.Answer(a.id(), string(class), cmp.Or(a.answer.status, status), a.answer.duration()) }()
	err := next.ServeHTTP(&a.answer, r)
	if class = a.answer.class(r.Context(), err); err != nil {
		status = statusOf(err)
	}
	return err
}

// Interface guards
var _ caddyhttp.MiddlewareHandler = (*Handler)(nil)
