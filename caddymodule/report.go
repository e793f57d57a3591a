package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// maxMethod and maxText bound how much text of a client is logged, in bytes.
const (
	maxMethod = 16
	maxText   = 128
)

// sampled bounds what a flood of requests can write to the log: 100 lines of one
// message a second, then one in 1,000. What it drops is counted.
func sampled(logger *zap.Logger) (*zap.Logger, *atomic.Int64) {
	dropped := new(atomic.Int64)
	count := zapcore.SamplerHook(func(entry zapcore.Entry, decision zapcore.SamplingDecision) {
		if entry.Level == zapcore.WarnLevel && decision&zapcore.LogDropped != 0 {
			dropped.Add(1)
		}
	})
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Second, 100, 1000, count)
	})), dropped
}

// report tells the operator why a request was refused. A line that the sampler drops
// costs only the question.
func (h *Handler) report(message string, r *http.Request, a *attempt) {
	line := h.logger.Check(zapcore.WarnLevel, message)
	if line == nil {
		return
	}
	reason := cmp.Or(a.reason, a.guard)
	fields := append([]zap.Field{
		zap.String("error_id", a.id()),
		zap.String("reason", string(reason)),
		zap.Int("status", h.status(reason)),
	}, came(r)...)
	fields = append(fields,
		a.tenantField(),
		zap.Int64("content_length", r.ContentLength),
		zap.String("content_type", clip(h.shown(r.Header, "Content-Type"), maxText)),
		zap.String("user_agent", clip(h.shown(r.Header, "User-Agent"), maxText)),
		names("hops", diagnosis.Hops(r.Header)),
		names("foreign_signatures", a.material.gate.ForeignFields(r.Header)),
	)
	if reason == refusal.Overloaded {
		fields = append(fields, cause(a.cause))
	}
	if !a.first.IsZero() {
		fields = append(fields, zap.Time("first", a.first))
	}
	if dropped := h.dropped.Swap(0); dropped > 0 {
		fields = append(fields, zap.Int64("dropped", dropped))
	}
	switch {
	case reason == refusal.SignatureMismatch:
		fields = append(fields, a.tried()...)
	case reason == refusal.TokenMismatch: // without a byte of the body
		fields = append(fields, zap.Strings("tokens", a.material.labels))
	case a.finding != "":
		fields = append(fields, zap.String("diagnosis", a.finding), zap.String("hint", a.hint))
	}
	line.Write(fields...)
}

// came says what the request asked for, and from where, as the client sent it. A query may
// hold a secret.
func came(r *http.Request) []zap.Field {
	return []zap.Field{
		zap.String("method", clip(r.Method, maxMethod)),
		zap.String("host", clip(r.Host, maxText)),
		zap.String("path", clip(arrived(r).path, maxText)),
		zap.String("client_ip", clip(clientOf(r), maxText)),
	}
}

func (a *attempt) tenantField() zap.Field {
	if a.tenant == "" {
		return zap.Skip()
	}
	return zap.String("tenant", a.tenant)
}

func clientOf(r *http.Request) string {
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return client
}

// names leaves out a field that has nothing to say.
func names(field string, values []string) zap.Field {
	if len(values) == 0 {
		return zap.Skip()
	}
	return zap.Strings(field, values)
}

// tried says what a signature was compared with. Eight digits of the body's hash are
// enough to compare the body with the one on the sender's page, and do not reveal it.
func (a *attempt) tried() []zap.Field {
	sum := sha256.New()
	if _, err := a.body.WriteTo(sum); err != nil {
		return nil
	}
	return []zap.Field{
		zap.Strings("secrets", a.material.labels),
		zap.String("algorithm", a.match.Algorithm),
		zap.Int64("body_length", a.body.Size()),
		zap.String("body_sha256_8", hex.EncodeToString(sum.Sum(nil)[:4])),
	}
}

// inspect finds what the header section alone shows: a check that was not answered, or a
// known mistake. The log and the history say the same, so it does not depend on what the
// log lets through; it has a bound of its own, because the request waits for it.
func (h *Handler) inspect(r *http.Request, a *attempt) {
	if h.Diagnose == "off" || a.reason == refusal.SignatureMismatch || a.reason == refusal.TokenMismatch || !h.inspections.Allow() {
		return
	}
	delivery := h.delivery(r)
	var found diagnosis.Finding
	if a.reason == refusal.MissingSignature || a.reason == refusal.TokenMissing {
		found = a.material.gate.Check(asked(r), a.material.challenge)
	}
	if found.Diagnosis == "" {
		found = a.material.gate.Inspect(&delivery, a.reason)
	}
	if found.Diagnosis != "" {
		a.finding, a.hint = string(found.Diagnosis), found.Hint
		h.meter.diagnose(found.Diagnosis)
	}
}

// reportAccepted costs only a look at the log level, except under debug.
func (h *Handler) reportAccepted(r *http.Request, a *attempt) {
	if line := h.logger.Check(zapcore.DebugLevel, "delivery accepted"); line != nil {
		fields := append([]zap.Field{zap.String("id", a.id()), a.tenantField()}, matched(a.match)...)
		fields = append(fields, zap.Int64("body_length", a.body.Size()))
		line.Write(append(fields, came(r)...)...)
	}
}

// matched says what verified a delivery. A token is not called a secret, because nothing was
// signed with it.
func matched(m signature.Match) []zap.Field {
	if !m.Signed() {
		return []zap.Field{zap.String("token", m.Secret)}
	}
	return []zap.Field{zap.String("secret", m.Secret), zap.String("algorithm", m.Algorithm)}
}

// reportFailure tells the operator about an authentic delivery that the app did not take.
// Senders retry only for some time, and some never do.
func (h *Handler) reportFailure(r *http.Request, a *attempt, class answerClass, status int) {
	line := h.logger.Check(zapcore.WarnLevel, "delivery failed")
	if line == nil {
		return
	}
	fields := append([]zap.Field{
		zap.String("id", a.id()),
		a.tenantField(),
		zap.String("class", string(class)),
		zap.Int("status", status),
		zap.Duration("duration", a.answer.duration()),
		zap.Int64("body_length", a.body.Size()),
	}, came(r)...)
	if class == classTimeout {
		fields = append(fields, zap.Duration("delivery_timeout", time.Duration(h.DeliveryTimeout)))
	}
	if a.cause != nil {
		fields = append(fields, cause(a.cause))
	}
	line.Write(fields...)
}

// cause leaves out what Caddy and the spool add to the error of the proxy, or of the
// disk.
func cause(err error) zap.Field {
	if full, ok := errors.AsType[*spool.FullError](err); ok {
		err = full.Cause
	}
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok && he.Err != nil {
		err = he.Err
	}
	return zap.NamedError("cause", err)
}

func clip(text string, limit int) string { return text[:min(len(text), limit)] }
