package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// Challenge is the check that a sender makes before it delivers to an endpoint.
type Challenge struct {
	// The kind: `hub` (Meta, WebSub hubs that send a token), `websub`, `dropbox`,
	// `slack`, `twitch`, `x` or `zoom`.
	Kind string `json:"kind,omitempty"`

	// For `hub` the verify token, literal, `{env.NAME}` or `{file./path}`; for `websub`
	// the topics whose subscription is confirmed.
	Arguments []string `json:"arguments,omitempty"`
}

// demandedChecks are the checks that the senders of presets make with requests that are
// not signed, and that no preset can answer by itself: which topic or token is the right
// one, and whether strangers may have texts signed, the operator decides.
var demandedChecks = map[string]string{
	"meta":    "hub <verify_token>",
	"websub":  "websub <topic>",
	"dropbox": "dropbox",
	"x":       "x",
}

// resolveChallenge compiles the challenge of the configuration or of the preset.
func (h *Handler) resolveChallenge() error {
	c := h.Challenge
	if preset, _ := h.findPreset(); c == nil && preset.Challenge != "" {
		c = &Challenge{Kind: preset.Challenge}
	}
	if c == nil {
		return nil
	}
	if err := signature.CheckChallenge(c.Kind, len(c.Arguments)); err != nil {
		return err
	}
	arguments := make([]string, len(c.Arguments))
	var errs []error
	for i, argument := range c.Arguments {
		var err error
		if arguments[i], err = resolveArgument(c.Kind, argument); err != nil {
			errs = append(errs, inArgument(c.Kind, i, err))
			continue
		}
		h.warnOfArgument(c.Kind, argument)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var err error
	if h.challenge, err = signature.NewChallenge(c.Kind, arguments); err == nil {
		err = h.checkOracle(h.challenge)
	}
	return err
}

// checkOracle refuses a challenge that signs what strangers send where what is signed is a
// hash: they could ask for that of a body of their own.
func (h *Handler) checkOracle(c *signature.Challenge) error {
	if c.Oracle() == "" || !h.scheme().SignsHash() {
		return nil
	}
	return mistake.In("challenge", "%s signs texts that strangers send, and a hash of the body is such a text: anyone could have a body of their own signed; "+
		"remove it, or write a payload with {body}", c.Kind()).Or("payload")
}

// checkChallenge reports what is wrong with the challenge as it is written. It reads
// nothing from outside the configuration; references are text here.
func (h *Handler) checkChallenge() error {
	c := h.Challenge
	if c == nil {
		return nil
	}
	if err := signature.CheckChallenge(c.Kind, len(c.Arguments)); err != nil {
		return err
	}
	if err := h.checkArguments(false); err != nil {
		return err
	}
	challenge, err := signature.NewChallenge(c.Kind, c.Arguments)
	if err != nil {
		return err
	}
	return h.checkOracle(challenge)
}

// checkArguments reports arguments that cannot be used: those outside of the configuration,
// or those in it.
func (h *Handler) checkArguments(outside bool) error {
	if h.Challenge == nil {
		return nil
	}
	var errs []error
	for i, argument := range h.Challenge.Arguments {
		if secretref.IsOutside(argument) != outside {
			continue
		}
		if _, err := resolveArgument(h.Challenge.Kind, argument); err != nil {
			errs = append(errs, inArgument(h.Challenge.Kind, i, err))
		}
	}
	return errors.Join(errs...)
}

// inArgument is a mistake in the argument at that position, from 0.
func inArgument(kind string, position int, err error) error {
	return mistake.In(fmt.Sprintf("challenge %s, argument %d", kind, position+1), "%w", err)
}

// resolveArgument returns a verify token by the rule for secrets, or a topic, which is
// none.
func resolveArgument(kind, written string) (string, error) {
	if !signature.HasSecrets(kind) {
		return secretref.Resolve(written)
	}
	token, err := resolve(written, signature.Scheme{}, 1)
	return token.Text, err
}

func (h *Handler) warnOfArgument(kind, written string) {
	if !signature.HasSecrets(kind) {
		return
	}
	if !secretref.Is(written) {
		h.logger.Warn("a literal verify token is readable in the configuration and the admin API; use {env.NAME} or {file./path}", zap.String("challenge", kind))
	}
	if isWorldReadable(written) {
		h.logger.Warn("every user of this machine can read the verify token's file; chmod 600", zap.String("challenge", kind))
	}
}

// answerQuery answers a GET that is the challenge, and reports whether it was.
func (h *Handler) answerQuery(w http.ResponseWriter, r *http.Request) bool {
	if h.challenge == nil || r.Method != http.MethodGet {
		return false
	}
	answer, ok := h.challenge.AnswerQuery(r.Header, r.URL.Query(), h.verifier)
	if ok {
		endBody(w, r, false, 0) // at once, whatever body it announced
		lock(r)
		h.writeAnswer(w, answer)
	}
	return ok
}

// answerBody answers a verified delivery that is the challenge, and reports
// whether it was.
func (h *Handler) answerBody(w http.ResponseWriter, r *http.Request, a *attempt) bool {
	if h.challenge == nil || !h.challenge.WantsBody(a.body.Size()) {
		return false
	}
	var held bytes.Buffer
	if _, err := a.body.WriteTo(&held); err != nil {
		return false // the app meets the same error
	}
	answer, ok := h.challenge.AnswerBody(held.Bytes(), h.verifier, a.match)
	if ok {
		endBody(w, r, true, 0)
		lock(r)
		h.writeAnswer(w, answer)
	}
	return ok
}

// judgeBody refuses a verified body that a stranger could have had signed by the
// challenge.
func (h *Handler) judgeBody(body *spool.Body) error {
	if h.challenge == nil || !h.challenge.MayForge(body.Size()) {
		return nil
	}
	var held bytes.Buffer
	if _, err := body.WriteTo(&held); err != nil {
		return refusal.Internal
	}
	if h.challenge.Forgeable(held.Bytes()) {
		return refusal.SignatureMismatch
	}
	return nil
}

// writeAnswer keeps a browser from taking an echoed token for a page, and a cache from
// keeping it.
func (h *Handler) writeAnswer(w http.ResponseWriter, answer signature.Answer) {
	h.meter.challenge()
	h.logger.Info("challenge answered", zap.Int("bytes", len(answer.Body)))
	w.Header().Set("Content-Type", answer.ContentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // it answers this request, and no other one
	if answer.Status != 0 {
		w.WriteHeader(answer.Status)
	}
	_, _ = io.WriteString(w, answer.Body) // fails only if the sender has left
}
