package caddymodule

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Bounds of diagnosis. A forged request costs up to 96 MACs more, so each gate diagnoses
// one a second after a burst, and no request waits for it.
const (
	diagnosesPerSecond = 1
	diagnosesBurst     = 5
	diagnosesWaiting   = 16

	inspectionsPerSecond = 100 // as many as lines of the log
)

// skipped counts mismatches that were not looked into.
const skipped diagnosis.Diagnosis = "skipped"

// A specimen is a copy of all that the diagnosis of a refused delivery needs. Nothing
// leads from it back to the request.
type specimen struct {
	handler  *Handler
	material *material
	errorID  string
	delivery signature.Delivery
	body     []byte
}

// newGate is the gate as the diagnosis knows it, and those of other gates, whose secret a
// sender may have used by mistake.
func (h *Handler) newGate(texts keyTexts) *diagnosis.Gate {
	switch h.kind() {
	case signature.PublicKeys:
		return diagnosis.NewPublicGate(h.Name, h.scheme(), texts.public)
	case signature.Tokens:
		return diagnosis.NewTokenGate(h.Name, h.scheme(), texts.tokens)
	}
	return diagnosis.NewGate(h.Name, h.scheme(), texts.secrets)
}

// provisionDiagnosis sets the bounds of the gate.
func (h *Handler) provisionDiagnosis() {
	h.diagnoses = rate.NewLimiter(diagnosesPerSecond, diagnosesBurst)
	h.inspections = rate.NewLimiter(inspectionsPerSecond, inspectionsPerSecond)
}

// diagnose hands a mismatch to the worker, or drops it. It returns nothing: the refusal
// is decided, and no finding can change it.
func (h *Handler) diagnose(r *http.Request, a *attempt) {
	if h.Diagnose == "off" || a.reason != refusal.SignatureMismatch && a.reason != refusal.TokenMismatch {
		return
	}
	if a.body.Size() > diagnosis.MaxBody || !h.diagnoses.Allow() {
		h.meter.diagnose(skipped)
		return
	}
	var body bytes.Buffer
	if _, err := a.body.WriteTo(&body); err != nil {
		return
	}
	select {
	case h.app.specimens <- specimen{h, a.material, a.id(), h.copyOf(r), body.Bytes()}:
	default:
		h.meter.diagnose(skipped)
	}
}

func (h *Handler) copyOf(r *http.Request) signature.Delivery {
	d := h.delivery(r)
	d.Header, d.Now = r.Header.Clone(), time.Now()
	return d
}

// gates are all gates of the configuration, with what they verify with now.
func (a *App) gates() []*diagnosis.Gate {
	all := make([]*diagnosis.Gate, len(a.handlers))
	for i, h := range a.handlers {
		all[i] = h.material().gate
	}
	return all
}

// diagnoseAll is the one worker of a configuration. It ends with it.
func (a *App) diagnoseAll(ctx context.Context) {
	for {
		select {
		case s := <-a.specimens:
			if ctx.Err() == nil { // select takes either
				s.diagnose(a.gates())
			}
		case <-ctx.Done():
			return
		}
	}
}

// diagnose logs one finding, under the id of the refusal. The body is whatever a
// stranger sent, so a panic must not end the process.
func (s *specimen) diagnose(gates []*diagnosis.Gate) {
	h := s.handler
	defer func() {
		if p := recover(); p != nil {
			h.logger.Error("diagnosis failed", zap.String("error_id", s.errorID)) // p may hold a part of the body
		}
	}()
	found := s.material.gate.Diagnose(&s.delivery, s.body, gates)
	h.meter.diagnose(found.Diagnosis)
	past.Diagnose(s.errorID, string(found.Diagnosis), found.Hint)
	h.logger.Warn("delivery diagnosed",
		zap.String("error_id", s.errorID),
		zap.String("diagnosis", string(found.Diagnosis)),
		zap.String("hint", found.Hint))
}
