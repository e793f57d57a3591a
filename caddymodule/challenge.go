package caddymodule

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// Challenge is the check that a sender makes before it delivers to an endpoint.
type Challenge struct {
	// The kind. Checks without a signature: `hub` (Meta, WebSub hubs that send a token),
	// `websub`, `dropbox`, `x`, `linkedin`, `oura`, `head` (Trello, Intercom, Circle),
	// `okta`, `cloudevents`, `eventgrid` (Azure), `graph` (Microsoft), `smartsheet` or
	// `ringcentral`. Signed ones: `slack`, `twitch`, `zoom`, `front`, `discord` or
	// `discord-events`.
	Kind string `json:"kind,omitempty"`

	// For `hub` and `oura` the verify token, literal, `{env.NAME}` or `{file./path}`; for
	// `websub` the topics whose subscription is confirmed; for `cloudevents` the origins
	// that may deliver, such as `eventgrid.azure.net`.
	Arguments []string `json:"arguments,omitempty"`
}

// demandedChecks are the checks that the senders of presets make with requests that are
// not signed, and that no preset can answer by itself: which topic or token is the right
// one, and whether strangers may have texts signed, the operator decides.
var demandedChecks = map[string]string{
	"meta":        "hub <verify_token>",
	"websub":      "websub <topic>",
	"dropbox":     "dropbox",
	"nylas":       "dropbox",
	"x":           "x",
	"linkedin":    "linkedin",
	"oura":        "oura <verify_token>",
	"trello":      "head",
	"intercom":    "head",
	"circle":      "head",
	"okta":        "okta",
	"smartsheet":  "smartsheet",
	"ringcentral": "ringcentral",
}

// readChallenge compiles the challenge of the configuration or of the preset.
func (h *Handler) readChallenge(m *material) error {
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
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if signature.HasSecrets(c.Kind) {
		m.expected = arguments
	}
	var err error
	m.challenge, err = signature.NewChallenge(c.Kind, arguments)
	return err
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
	made, err := signature.NewChallenge(c.Kind, c.Arguments)
	if err != nil || h.checkPreset() != nil || h.checkKind() != nil {
		return err
	}
	return made.CheckScheme(h.scheme())
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
	return mistake.In(argumentOption(kind, position), "%w", err)
}

func argumentOption(kind string, position int) string {
	return fmt.Sprintf("challenge %s, argument %d", kind, position+1)
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

// asked is the request as the challenge knows it.
func asked(r *http.Request) *signature.Request {
	return &signature.Request{Method: r.Method, Header: r.Header, Query: r.URL.RawQuery, Length: r.ContentLength}
}

// answerCheck answers a check that the header section makes up alone, and reports whether
// it was one.
func (h *Handler) answerCheck(w http.ResponseWriter, r *http.Request, m *material) bool {
	if m.challenge == nil {
		return false
	}
	answer, ok := m.challenge.Answer(asked(r), m.verifier)
	if !ok {
		return false
	}
	patience := time.Duration(0) // the answer comes at once, whatever body was announced
	if r.Method == http.MethodPost {
		patience = drainTimeout // a POST has a body, which is small and on its way
	}
	endBody(w, r, false, patience)
	lock(r)
	h.writeAnswer(w, answer)
	h.rememberCheck(r, &attempt{material: m}, answer.Status)
	return true
}

// receiveCheck receives the body of a request that has no signature and may be a check. In
// any other case no byte of the body is read. The request stays refused: see answerBody.
func (h *Handler) receiveCheck(w http.ResponseWriter, r *http.Request, a *attempt, refused error) error {
	if m := a.material; m.challenge == nil || !m.challenge.ReadsBody(asked(r), m.verifier) {
		return refused
	}
	if r.ContentLength > h.MaxSize {
		return refusal.BodyTooLarge
	}
	if err := h.receive(w, r, &a.body, io.Discard); err != nil {
		return err
	}
	a.whole = true
	return refused
}

// answerBody answers a check of which the body was received: a verified delivery, or a
// request without a signature. It reports whether it was one.
func (h *Handler) answerBody(w http.ResponseWriter, r *http.Request, a *attempt) bool {
	m := a.material
	if m.challenge == nil || !a.mayBeCheck(r) {
		return false
	}
	var held bytes.Buffer
	if _, err := a.body.WriteTo(&held); err != nil {
		return false // the app meets the same error
	}
	var answer signature.Answer
	var ok bool
	if a.verified() {
		answer, ok = m.challenge.AnswerVerified(asked(r), held.Bytes(), a.match)
	} else {
		answer, ok = m.challenge.AnswerUnsigned(asked(r), held.Bytes(), m.verifier)
	}
	if ok {
		endBody(w, r, true, 0)
		lock(r)
		h.writeAnswer(w, answer)
		h.rememberCheck(r, a, answer.Status)
	}
	return ok
}

// mayBeCheck reports whether the challenge has to see the body.
func (a *attempt) mayBeCheck(r *http.Request) bool {
	m := a.material
	if a.verified() {
		return m.challenge.WantsVerified(asked(r), a.body.Size(), a.match)
	}
	return a.whole && m.challenge.ReadsBody(asked(r), m.verifier)
}

// judgeBody refuses a verified body that a stranger could have had signed by the
// challenge.
func (m *material) judgeBody(body *spool.Body) error {
	if m.challenge == nil || !m.challenge.MayForge(body.Size()) {
		return nil
	}
	var held bytes.Buffer
	if _, err := body.WriteTo(&held); err != nil {
		return refusal.Internal
	}
	if m.challenge.Forgeable(held.Bytes()) {
		return refusal.SignatureMismatch
	}
	return nil
}

// writeAnswer keeps a browser from taking an echoed token for a page, and a cache from
// keeping it.
func (h *Handler) writeAnswer(w http.ResponseWriter, answer signature.Answer) {
	h.meter.challenge()
	h.logger.Info("challenge answered", zap.Int("bytes", len(answer.Body)))
	for name, value := range answer.Fields {
		w.Header().Set(name, value)
	}
	if answer.ContentType != "" {
		w.Header().Set("Content-Type", answer.ContentType)
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store") // it answers this request, and no other one
	w.WriteHeader(cmp.Or(answer.Status, http.StatusOK))
	if answer.Body != "" {
		_, _ = io.WriteString(w, answer.Body) // fails only if the sender has left
	}
}
