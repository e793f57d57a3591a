// Package caddymodule is the gate: a Caddy HTTP handler that lets only signed webhook
// deliveries through to the app behind it.
//
//	:8080
//	webhook_auth {
//		secret {env.WEBHOOK_SECRET}
//	}
//	reverse_proxy localhost:3000
//
// The package knows Caddy and requests. Package internal/signature decides what is
// authentic, and its doc is the specification of schemes. Bodies wait in internal/spool,
// replay remembers what was delivered, and internal/diagnosis says in the log why a
// signature did not match.
//
// handler.go is the path of a request, with body.go, answer.go and verdict.go. module.go
// and caddyfile.go are the configuration of one gate, app.go that of all gates.
package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/time/rate"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

func init() { caddy.RegisterModule(Handler{}) }

// Defaults.
const (
	defaultPreset          = "hub"
	defaultMaxSize         = 25 << 20  // what GitHub sends at most
	defaultOnePiece        = 256 << 10 // where all of a body is in memory at once, see signature.Verifier.OnePiece
	defaultMemory          = 1 << 20
	defaultBodyTimeout     = 30 * time.Second
	defaultDeliveryTimeout = time.Minute
)

// Handler lets a request through only if it is an authentic webhook delivery: if its
// signature was made over its raw body with a shared secret or with a private key, or, for
// senders that sign nothing, if it has the sender's token. Without options that is
// `X-Hub-Signature: <algorithm>=<hex HMAC of the body>`; a preset or the options
// describe how other senders sign. Put it in front of `reverse_proxy`, inside the same
// route, and the app behind it needs no verification code.
//
// The gate receives and verifies the whole body before the app sees a byte of it. The
// app gets the same bytes, with a Content-Length and without trailers, `Connection`,
// `Expect` and `Upgrade`. The delivery then no longer depends on the sender's connection; it has
// `delivery_timeout` to finish. What the sender does not sign is not judged: with most
// senders, that is everything except the body.
//
// The gate answers every other request itself, with an empty body: 401 for anything
// wrong with the signature, 413, 400 and 408 for the body, 405 for CONNECT, 425 for TLS
// early data, 501 for `Incremental: ?1`, 503 if there is no room for the body, and with
// `replay` 409 and 503. It also answers a delivery that failed behind it, with 502 or
// 504. With `on_refusal handle_errors`, Caddy's error routes answer instead.
//
// All options with examples: https://github.com/webhookauth/caddy-webhook-auth/blob/main/docs/reference.md
//
// This module makes the following placeholders available:
//
// Placeholder | Description
// ------------|---------------
// `{http.webhook_auth.verified}` | `true` if the request is an authentic delivery that goes on to the app, otherwise `false`
// `{http.webhook_auth.signed}` | `true` if its signature was verified; `false` for what is not verified, and behind a gate with tokens
// `{http.webhook_auth.id}` | A name for the request, as in the log
// `{http.webhook_auth.preset}` | The preset of the gate that judged the request
// `{http.webhook_auth.tenant}` | The tenant that the delivery is for, behind a gate with tenants
// `{http.webhook_auth.secret}` | The name of the secret or public key that the delivery was signed with, or of its token
// `{http.webhook_auth.algorithm}` | The algorithm of its signature, empty behind a gate with tokens
// `{http.webhook_auth.body_sha256}` | The SHA-256 of the body in hex, until the app has answered
// `{http.webhook_auth.duplicate}` | `true` if the replay guard knows that the app took the delivery before, otherwise `false`
// `{http.webhook_auth.reason}` | Why the request was refused: one of a closed set of words
type Handler struct {
	// A label for the log and the metrics. Default: the preset.
	Name string `json:"name,omitempty"`

	// The secrets shared with the sender, 1 to 16, newest first. A delivery signed
	// with any of them is authentic, so that a secret can be rotated.
	Secrets []Secret `json:"secrets,omitempty"`

	// The public keys of a sender that signs with a private key, 1 to 16, instead of
	// secrets. A delivery signed with any of them is authentic.
	PublicKeys []PublicKey `json:"public_keys,omitempty"`

	// The tokens of a sender that signs nothing and sends a token with each delivery, 1 to
	// 16, newest first, instead of secrets and public keys. A delivery with any of them is
	// let through: a token proves who sends, and protects neither the body nor against
	// repetition.
	Tokens []Token `json:"tokens,omitempty"`

	// The secrets of many senders, a file for each, instead of secrets.
	Tenants *Tenants `json:"tenants,omitempty"`

	// The header field in which the sender names its key. Default: none, and all
	// keys are tried.
	KeyID string `json:"key_id,omitempty"`

	// The name of a sender whose scheme is built in, such as `github`, `stripe` or
	// `standard-webhooks`. The options below override it, one by one. Default: `hub`,
	// the X-Hub-Signature family.
	Preset string `json:"preset,omitempty"`

	// How a secret's text is turned into the key: `text` (the bytes themselves),
	// `base64` or `hex`. Default: `text`.
	SecretEncoding string `json:"secret_encoding,omitempty"`

	// What secrets may begin with that is not part of the key, such as `whsec_`.
	SecretPrefix string `json:"secret_prefix,omitempty"`

	// The header fields that may carry the signature. The first one that is present
	// decides. Default: `X-Hub-Signature-256`, `X-Hub-Signature`. With tokens the one field
	// that holds the token, without a default.
	Headers []string `json:"headers,omitempty"`

	// Whether each of the header fields may carry a signature, of which any may
	// match, as with senders that sign with two keys. Default: `false`.
	AnyHeader bool `json:"any_header,omitempty"`

	// The algorithms that the signature may name, among `sha256`, `sha384`, `sha512`
	// and `sha1`; where the pattern has no `{alg}`, the one algorithm. Default: all but
	// `sha1`, or `sha256`. With public keys exactly one of `ed25519`, `ecdsa-p256-sha256`,
	// `ecdsa-p384-sha384`, `rsa-v1_5-sha256`, `rsa-v1_5-sha512` and `rsa-pss-sha512`.
	Algorithms []string `json:"algorithms,omitempty"`

	// How the field's value is built, from `{alg}`, `{hex}`, `{base64}`, `{base64url}`,
	// `{ts}`, `{nonce}` and text, and `...` behind a separator for a list; with `{raw_hex}`,
	// `{raw_base64}` and `{raw_base64url}` an ECDSA signature is two numbers. Default:
	// `{alg}={hex}`. With tokens `{token}` or `{token_base64}`, and text in front of it, such
	// as `Bearer {token}`. Default: `{token}`.
	Signature string `json:"signature,omitempty"`

	// What is signed, from `{body}` or one hash of it (exactly once), `{ts}`, `{nonce}`,
	// `{header.NAME}`, `{method}`, `{path_query}`, `{url}` and text. The hashes are
	// `{body_sha256}`, `{body_sha512}`, `{body_sha256_base64}` and `{body_sha512_base64}`.
	// Method, path and query are those that arrived, before any rewrite. Default: `{body}`.
	// With tokens nothing is signed: it says what makes a delivery to the replay guard, is
	// needed with one, and does not load without.
	Payload string `json:"payload,omitempty"`

	// The header field that holds `{ts}`, the time of signing. Default: none, or the
	// `{ts}` of the signature.
	Timestamp string `json:"timestamp,omitempty"`

	// The unit of `{ts}`: `s`, `ms`, `rfc3339` or `http`. Default: `s`.
	TimestampUnit string `json:"timestamp_unit,omitempty"`

	// How far `{ts}` may be from now, in the past and in the future. Default: `5m`.
	Tolerance caddy.Duration `json:"tolerance,omitempty"`

	// The `{url}` that the sender signs: the whole URL as it was given to the sender; in
	// front of `{path_query}`, what comes before the path. Needed where the payload holds
	// `{url}`, and only there.
	PublicURL string `json:"public_url,omitempty"`

	// The check that the sender makes before it delivers, answered by the gate.
	// Default: what the preset needs.
	Challenge *Challenge `json:"challenge,omitempty"`

	// The largest body, in bytes; a larger one is refused with 413. Default: 25 MiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// How much of one body is held in memory, in bytes; a larger body goes to a
	// temporary file. Default: 1 MiB, and up to `max_size` while less than half of
	// `memory_budget` is in use.
	Memory int64 `json:"memory,omitempty"`

	// How long the whole body may take to arrive; a slower one is refused with 408.
	// Default: `30s`.
	BodyTimeout caddy.Duration `json:"body_timeout,omitempty"`

	// How long the app may take to answer, even if the sender has hung up. Default:
	// `1m`.
	DeliveryTimeout caddy.Duration `json:"delivery_timeout,omitempty"`

	// The guard against repetition: each signed delivery reaches the app once.
	// Default: none.
	Replay *Replay `json:"replay,omitempty"`

	// What becomes of a refused request: `answer`, where the gate itself answers, with an
	// empty body; or `handle_errors`, where Caddy's error routes answer. Default: `answer`.
	OnRefusal string `json:"on_refusal,omitempty"`

	// How many of the last refused requests are kept for an hour, in memory, with their
	// header section and their body up to 64 KiB, so that the admin API can show and judge
	// them; at most 50. Default: `0`.
	Capture int `json:"capture,omitempty"`

	// DANGEROUS: lets every request through and only logs what would have been
	// refused. For trying the gateway in front of an app that still verifies.
	UnsafeObserveOnly bool `json:"unsafe_observe_only,omitempty"`

	// Whether the gate looks into a signature that did not match, in the background, to
	// log what is probably wrong: `on` or `off`. Default: `on`.
	Diagnose string `json:"diagnose,omitempty"`

	live      *atomic.Pointer[material] // see material
	files     *files                    // nil: nothing to follow
	tenants   *tenants                  // nil: none
	printKey  string                    // of the fingerprints, see keyFingerprints
	printText string                    // that it was made of; empty: the name
	hidden    bool                      // the name is a secret
	stretch   bool                      // memory is not written: see spool.Limits
	app       *App
	meter     *meter
	diagnoses *rate.Limiter
	// of header sections, see inspect
	inspections *rate.Limiter
	logger      *zap.Logger
	masks       []string      // fields that are shown elsewhere, and that this gate reads
	captures    *captures     // nil: none
	dropped     *atomic.Int64 // lines that the sampler kept out of the log
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.webhook_auth",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision compiles the configuration into a verifier, or reports every mistake
// in it at once. What cannot keep the promise does not load.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.setDefaults()
	h.logger, h.dropped = sampled(ctx.Logger())
	h.logger = h.logger.With(zap.String("name", h.Name))
	err := h.compile(ctx)
	return mistake.At(h.place(), err) // not before: it may turn out that the name is a secret
}

func (h *Handler) compile(ctx caddy.Context) error {
	h.live, h.files = new(atomic.Pointer[material]), h.newFiles()
	m, err := h.newMaterial()
	if err != nil {
		return err
	}
	if h.tenants, err = h.newTenants(); err != nil {
		return err
	}
	if err := h.keyFingerprints(m); err != nil {
		return err
	}
	if err := h.join(ctx, m); err != nil {
		return err
	}
	if err := h.openReplay(ctx); err != nil {
		return err
	}
	h.logUnwise(m.unwise)
	h.logger.Info(h.summary())
	return nil
}

// summary is one line of what the gate does.
func (h *Handler) summary() string {
	kind, m := strings.ReplaceAll(h.kind().String(), "_", " "), h.material()
	if len(m.labels) != 1 {
		kind += "s"
	}
	keys := strconv.Itoa(len(m.labels)) + " " + kind
	if h.Tenants != nil {
		keys = "tenants in " + h.Tenants.Folder
	}
	parts := []string{cmp.Or(h.Preset, "no preset"), keys}
	if m.challenge != nil {
		parts = append(parts, "challenge "+m.challenge.Kind())
	}
	if h.Replay != nil {
		parts = append(parts, "replay "+time.Duration(h.Replay.Window).String())
	}
	if h.UnsafeObserveOnly {
		parts = append(parts, "observes only")
	}
	return "gate " + h.Name + ": " + strings.Join(parts, ", ")
}

// place is the gate as errors name it: gate "acme" (stripe). An unknown preset may be a
// secret, and so may a name that is one elsewhere.
func (h *Handler) place() string {
	preset := cmp.Or(h.Preset, defaultPreset)
	if h.kind() != signature.Secrets {
		preset = cmp.Or(h.Preset, h.Name, h.kind().String())
	}
	name := cmp.Or(h.Name, preset)
	switch known := h.checkPreset() == nil; {
	case h.hidden, mistake.IsVariable(name), mistake.CheckName(name) != nil, name == preset && !known:
		return "webhook_auth"
	case name == preset, !known:
		return fmt.Sprintf("gate %q", name)
	}
	return fmt.Sprintf("gate %q (%s)", name, preset)
}

// join makes the gate part of its configuration and of the process.
func (h *Handler) join(ctx caddy.Context, m *material) error {
	app, err := ctx.App("webhook_auth") // configured or not; it puts the budgets in force
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if err := h.app.add(h, m); err != nil {
		return err
	}
	if err := h.app.needDisk(h.MaxSize, h.Memory); err != nil {
		return err
	}
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		h.app.hold(server)
	}
	h.provisionDiagnosis()
	h.meter = newMeter(h.Name, m.labels)
	h.meter.expect(h)
	h.masks = h.maskedFields()
	h.provisionCapture()
	return registerMetrics(ctx.GetMetricsRegistry())
}

// Cleanup gives back what the gate holds of the process.
func (h *Handler) Cleanup() error {
	h.meter.close()
	h.closeCapture()
	return nil
}

// scheme is the preset's, with the options that override it.
func (h *Handler) scheme() signature.Scheme {
	preset, _ := h.findPreset()
	if h.kind() == signature.Tokens {
		preset.Scheme.Signature = cmp.Or(preset.Scheme.Signature, signature.DefaultTokenSignature)
	}
	return signature.Scheme{
		Headers: h.Headers, AnyHeader: h.AnyHeader, Algorithms: h.Algorithms,
		Signature: h.Signature, Payload: h.Payload,
		Timestamp: h.Timestamp, TimestampUnit: h.TimestampUnit, Tolerance: time.Duration(h.Tolerance),
		SecretEncoding: h.SecretEncoding, SecretPrefix: h.SecretPrefix, KeyID: h.KeyID,
	}.Or(preset.Scheme)
}

// checkOptions reports what is wrong with the options as they are written. It
// reads nothing from outside the configuration.
func (h *Handler) checkOptions() error {
	var scheme error
	if h.checkPreset() == nil { // otherwise nobody knows what the scheme is
		if scheme = h.checkKind(); scheme == nil {
			scheme = h.scheme().Validate()
		}
		scheme = errors.Join(scheme, h.checkURL())
	}
	return errors.Join(h.checkName(), scheme, h.checkTenants(), h.checkLimits(), h.checkReplay(), h.checkTokenReplay(),
		oneOf("on_refusal", h.OnRefusal, answerRefusals, handleErrors), oneOf("diagnose", h.Diagnose, "on", "off"))
}

func (h *Handler) checkName() error {
	if err := mistake.CheckName(h.Name); err != nil {
		return mistake.In("name", "it %w", err)
	}
	return nil
}

func (h *Handler) checkPreset() error {
	if _, ok := signature.FindPreset(cmp.Or(h.Preset, defaultPreset)); ok {
		return nil
	}
	problem, _ := signature.UnknownPreset(h.Preset)
	return mistake.In("preset", "%s", problem)
}

// oneOf reports a value that is none of the words. Empty means the default.
func oneOf(option, value string, words ...string) error {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	return mistake.In(option, "%s", mistake.Set{What: "value", Words: words}.Unknown(value))
}

func (h *Handler) checkURL() error {
	if h.PublicURL == "" {
		if h.scheme().NeedsURL() {
			return mistake.In("payload", "{url} needs the URL that the sender was given; add for example: public_url https://hooks.example.com/webhook")
		}
		return nil
	}
	u, err := url.Parse(h.PublicURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(h.PublicURL, "{}"):
		return mistake.In("public_url", "it is not a URL such as https://hooks.example.com/webhook, without a user and placeholders; write the one that the sender was given")
	case strings.Contains(h.scheme().Payload, "{url}{path_query}") && (strings.HasSuffix(h.PublicURL, "/") || strings.ContainsAny(h.PublicURL, "?#")):
		return mistake.In("public_url", "in front of {path_query} it is what comes before the path, such as https://hooks.example.com; remove what is behind that").Or("payload")
	case !h.scheme().NeedsURL():
		return mistake.In("public_url", "the payload does not have {url}; remove the option, or write for example: payload {url}{body}")
	}
	return nil
}

func (h *Handler) setDefaults() {
	if h.kind() == signature.Secrets { // of the others, none is like most
		h.Preset = cmp.Or(h.Preset, defaultPreset)
	}
	h.Name = cmp.Or(h.Name, h.Preset, h.kind().String())
	if h.MaxSize == 0 && h.scheme().OnePiece() {
		h.MaxSize = defaultOnePiece
	}
	h.MaxSize = cmp.Or(h.MaxSize, defaultMaxSize)
	h.stretch, h.Memory = h.Memory == 0, cmp.Or(h.Memory, defaultMemory)
	h.BodyTimeout = cmp.Or(h.BodyTimeout, caddy.Duration(defaultBodyTimeout))
	h.DeliveryTimeout = cmp.Or(h.DeliveryTimeout, caddy.Duration(defaultDeliveryTimeout))
}

// checkLimits rejects what is beyond its limit. Zero means the default. The
// tolerance is bounded in package signature, and the options of a store there.
func (h *Handler) checkLimits() error {
	maxSize := limits.MaxSize
	if h.scheme().OnePiece() {
		maxSize = limits.OnePiece
	}
	return errors.Join(
		maxSize.Check(h.MaxSize),
		limits.Memory.Check(h.Memory),
		limits.BodyTimeout.Check(int64(h.BodyTimeout)),
		limits.DeliveryTimeout.Check(int64(h.DeliveryTimeout)),
		limits.Capture.Check(int64(h.Capture)),
	)
}

// MarshalLogObject implements zapcore.ObjectMarshaler. Caddy's logs.trace prints
// handlers whole; this one shows no secret, not even a literal one.
func (h *Handler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("name", h.Name)
	enc.AddInt("secrets", len(h.Secrets))
	enc.AddInt("public_keys", len(h.PublicKeys))
	enc.AddInt("tokens", len(h.Tokens))
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner       = (*Handler)(nil)
	_ caddy.CleanerUpper      = (*Handler)(nil)
	_ zapcore.ObjectMarshaler = (*Handler)(nil)
)
