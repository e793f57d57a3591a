package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// leaseGrace is what a claim may outlive its gateway longer than a delivery takes.
const leaseGrace = 5 * time.Second

// Replay is the replay guard: each signed delivery reaches the app once. A
// delivery is what the sender signed, so one that it signs anew, with another
// time, is another one.
//
// It is claimed once it has been verified, and remembered once the app begins to
// answer it with 2xx. After any other answer it is forgotten, so that the sender's
// next attempt passes.
type Replay struct {
	// How long a delivery is remembered after the app took it, from `1s` to `366d`.
	// Required.
	Window caddy.Duration `json:"window,omitempty"`

	// What a repetition of a delivery that the app took is answered with, without
	// reaching the app: `200` or `409`. With `pass` it reaches the app, and
	// `{http.webhook_auth.duplicate}` is `true`. Default: `200`.
	OnDuplicate string `json:"on_duplicate,omitempty"`

	// What becomes of deliveries while the store takes no claims: `refuse`, with 503
	// and `Retry-After`, or `pass`, unguarded. Default: `refuse`.
	OnError string `json:"on_error,omitempty"`

	// What remembers the deliveries. Default: `memory`.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=http.webhook_auth.replay inline_key=store"`

	store replay.Store
}

// checkReplay is content with what is not there.
func (h *Handler) checkReplay() error {
	if h.Replay == nil {
		return nil
	}
	var errs [3]error
	if errs[0] = limits.Window.Check(int64(h.Replay.Window)); h.Replay.Window == 0 {
		errs[0] = errors.New("replay: the window is missing; write how long deliveries are remembered: replay 24h")
	}
	if !slices.Contains([]string{"", "200", "409", "pass"}, h.Replay.OnDuplicate) {
		errs[1] = fmt.Errorf("replay: on_duplicate is 200, 409 or pass, not %q", h.Replay.OnDuplicate)
	}
	if !slices.Contains([]string{"", "refuse", "pass"}, h.Replay.OnError) {
		errs[2] = fmt.Errorf("replay: on_error is refuse or pass, not %q", h.Replay.OnError)
	}
	return errors.Join(errs[:]...)
}

// openReplay loads the store, once there is a verifier.
func (h *Handler) openReplay(ctx caddy.Context) error {
	g := h.Replay
	if g == nil {
		return nil
	}
	if err := h.app.guard(h.Name); err != nil {
		return err
	}
	g.OnDuplicate = cmp.Or(g.OnDuplicate, "200")
	g.OnError = cmp.Or(g.OnError, "refuse")
	if g.StoreRaw == nil {
		g.StoreRaw = json.RawMessage(`{"store":"memory"}`)
	}
	module, err := ctx.LoadModule(g, "StoreRaw")
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	opener, ok := module.(replay.Opener)
	if !ok {
		return fmt.Errorf("replay: %T is no store", module)
	}
	if g.store, err = opener.Open(h.Name); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	h.verifier.Fingerprints(h.Name)
	if lived := h.verifier.Lifetime(); time.Duration(g.Window) < lived {
		h.logger.Warn("replay: a captured delivery is authentic for longer than it is remembered", zap.Duration("lifetime", lived))
	}
	return nil
}

// deliverOnce hands the verified delivery on unless the guard stands against it.
// The claim does not depend on the sender's connection, as the delivery does not.
func (h *Handler) deliverOnce(w http.ResponseWriter, r *http.Request, v *verdict, next caddyhttp.Handler) error {
	c := replay.NewClaim(v.match.Fingerprint(), time.Duration(h.DeliveryTimeout)+leaseGrace)
	reason := h.claim(r, v, c)
	switch {
	case reason == "":
		h.meter.accept(v)
		h.reportAccepted(*v)
		return h.deliverClaimed(w, r, v.body, c, next)
	case h.lets(reason):
		h.pass(r, v, reason)
		if reason == signature.ReplayUnavailable { // the claim may hold all the same
			return h.deliverClaimed(w, r, v.body, c, next)
		}
		return h.deliver(w, r, v.body, next)
	}
	v.reason = reason
	publish(r, v)
	return h.refuseRepeated(w, r, v)
}

// claim returns why the delivery cannot be claimed, or nothing.
func (h *Handler) claim(r *http.Request, v *verdict, c replay.Claim) signature.Refusal {
	state, first, err := h.Replay.store.Claim(context.WithoutCancel(r.Context()), c)
	if err != nil {
		h.logger.Error("the replay store does not claim deliveries", zap.Error(err))
		return signature.ReplayUnavailable
	}
	v.first, v.duplicate = first, state == replay.Done
	switch state {
	case replay.Fresh:
		return ""
	case replay.Done:
		return signature.Duplicate
	}
	return signature.InFlight
}

// lets reports whether a delivery reaches the app although it could not be claimed.
func (h *Handler) lets(reason signature.Refusal) bool {
	switch {
	case h.UnsafeObserveOnly: // then the guard only reports
		return true
	case reason == signature.Duplicate:
		return h.Replay.OnDuplicate == "pass"
	case reason == signature.ReplayUnavailable:
		return h.Replay.OnError == "pass"
	}
	return false
}

// pass reports what reaches the app all the same: an authentic delivery.
func (h *Handler) pass(r *http.Request, v *verdict, reason signature.Refusal) {
	told := *v
	told.reason = reason
	if h.UnsafeObserveOnly {
		h.meter.count(resultObserved, reason)
		h.report("delivery observed", r, told, "")
	} else {
		h.meter.pass(v, reason)
		h.report("delivery passed the replay guard", r, told, "")
	}
	publish(r, v)
}

// refuseRepeated answers a delivery that stays here.
func (h *Handler) refuseRepeated(w http.ResponseWriter, r *http.Request, v *verdict) error {
	if v.duplicate {
		w.Header().Set("Webhook-Auth-Duplicate", "true")
	}
	if h.status(v.reason) != http.StatusOK {
		return h.refuse(w, r, v)
	}
	h.meter.count(resultRefused, v.reason) // not an error: no error route may turn it into one
	h.report("delivery repeated", r, *v, "")
	poison(r)
	w.WriteHeader(http.StatusOK)
	return nil
}

// status is what a refusal answers at this gate.
func (h *Handler) status(refusal signature.Refusal) int {
	if refusal == signature.Duplicate && h.Replay.OnDuplicate == "409" {
		return http.StatusConflict
	}
	return refusal.Status()
}

// deliverClaimed hands on what is claimed, and finishes the claim by what the app
// answers. An answer that begins with 2xx is one, whatever becomes of the rest: the
// claim is committed before the sender sees of it, because nothing bounds how long
// a sender takes to read. Anything else releases it: also where nobody answered,
// and where a handler panics, as reverse_proxy does where the app breaks off.
func (h *Handler) deliverClaimed(w http.ResponseWriter, r *http.Request, body *spool.Body, c replay.Claim, next caddyhttp.Handler) error {
	seen := &statusWriter{
		ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w},
		took:                  func() { h.commit(r, c) },
	}
	defer func() {
		if seen.status/100 != 2 {
			h.release(r, c)
		}
	}()
	return h.deliver(seen, r, body, next)
}

// commit changes nothing about the answer.
func (h *Handler) commit(r *http.Request, c replay.Claim) {
	if err := h.Replay.store.Commit(context.WithoutCancel(r.Context()), c, time.Duration(h.Replay.Window)); err != nil {
		h.logger.Error("a delivery cannot be remembered yet; a repetition may pass", zap.Error(err))
	}
}

func (h *Handler) release(r *http.Request, c replay.Claim) {
	if err := h.Replay.store.Release(context.WithoutCancel(r.Context()), c); err != nil {
		h.logger.Error("a delivery that failed cannot be released yet; the next attempt has to wait", zap.Error(err))
	}
}

// A statusWriter sees the status of the answer that passes through it.
type statusWriter struct {
	caddyhttp.ResponseWriterWrapper
	status int    // 0: none yet
	took   func() // called before a status of 2xx passes on
}

// begin passes over what is only informational (RFC 9110, section 15.2), and over
// all but the first status.
func (w *statusWriter) begin(status int) {
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	if status/100 == 2 {
		w.took()
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, by which net/http copies a file.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController looks for. A flush sends the header.
func (w *statusWriter) FlushError() error {
	w.begin(http.StatusOK)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// replayOption reads the guard:
//
//	replay <window> {
//	    store        memory|redis { ... }
//	    on_duplicate 200|409|pass
//	    on_error     refuse|pass
//	}
func (h *Handler) replayOption(l line) error {
	h.Replay = new(Replay)
	err := duration(&h.Replay.Window)(l)
	return errors.Join(err, parseOptions(l.dispenser, map[string]func(line) error{
		"store":        h.Replay.storeOption,
		"on_duplicate": text(&h.Replay.OnDuplicate),
		"on_error":     text(&h.Replay.OnError),
	}, ""))
}

// storeOption leaves the block behind the name to the store.
func (g *Replay) storeOption(l line) error {
	if len(l.args) != 1 || strings.Trim(l.args[0], "abcdefghijklmnopqrstuvwxyz_") != "" {
		return l.fail("takes the name of a store: memory or redis")
	}
	store, err := caddyfile.UnmarshalModule(l.dispenser, replay.Namespace+"."+l.args[0])
	if err != nil {
		return err
	}
	g.StoreRaw = caddyconfig.JSONModuleObject(store, "store", l.args[0], nil)
	return nil
}

// Interface guards
var (
	_ http.ResponseWriter = (*statusWriter)(nil)
	_ io.ReaderFrom       = (*statusWriter)(nil)
)
