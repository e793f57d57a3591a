package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/memory" // the default store
)

// leaseGrace is how much longer than delivery_timeout a claim lasts after its gateway has
// died.
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

	// What the fingerprints of deliveries in the store are keyed with: literal,
	// `{env.NAME}` or `{file./path}`. Set it if people who can read the store must
	// not be able to recognise a delivery that they know. Every gateway that shares the
	// store needs the same one. Default: the name of the gate, which is no secret.
	Key string `json:"key,omitempty"`

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

// checkReplay rejects values that the guard cannot work with. Missing ones have defaults.
func (h *Handler) checkReplay() error {
	if h.Replay == nil {
		return nil
	}
	if h.Replay.Window == 0 {
		return errors.Join(mistake.In("replay", "the window is missing; write how long deliveries are remembered: replay 24h"), h.Replay.checkWords())
	}
	return errors.Join(limits.Window.Check(int64(h.Replay.Window)), h.Replay.checkWords())
}

func (g *Replay) checkWords() error {
	return errors.Join(oneOf("replay: on_duplicate", g.OnDuplicate, "200", "409", "pass"), oneOf("replay: on_error", g.OnError, "refuse", "pass"))
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
		return mistake.In("replay: store", "%w", err)
	}
	opener, ok := module.(replay.Opener)
	if !ok {
		return mistake.In("replay: store", "module %T is not a replay store", module)
	}
	if g.store, err = opener.Open(h.Name); err != nil {
		return mistake.In("replay: store", "%w", err)
	}
	return nil
}

// keyFingerprints has deliveries told apart by what was signed. The key is no secret of a
// sender, so that nothing is forgotten when one of these changes.
func (h *Handler) keyFingerprints(m *material) error {
	if h.Replay == nil {
		return nil
	}
	h.printKey = "name " + h.Name
	if h.Replay.Key != "" {
		if err := h.readReplayKey(); err != nil {
			return err
		}
	}
	m.verifier.Fingerprints(h.printKey)
	return nil
}

func (h *Handler) readReplayKey() error {
	key, err := resolve(h.Replay.Key, signature.Scheme{}, minSecret)
	if errors.Is(err, errShortLiteral) {
		err = fmt.Errorf("%w; write {env.NAME} or {file./path}", err)
	}
	if err != nil {
		return mistake.In("replay: key", "%w", err)
	}
	h.printKey, h.printText = "key "+key.Text, strings.TrimSpace(key.Text)
	return nil
}

// claim claims the delivery. An objection of the guard becomes the reason to refuse, or
// a.guard if the configuration lets the delivery pass regardless. Like the delivery, the
// claim does not depend on the sender's connection.
func (h *Handler) claim(r *http.Request, a *attempt) {
	a.claim = replay.NewClaim(a.match.Fingerprint(), time.Duration(h.DeliveryTimeout)+leaseGrace)
	a.claim.Owner = a.owner
	objection := h.ask(r, a)
	if objection != "" && !h.lets(objection) {
		a.reason = objection
		return
	}
	a.guard = objection
	a.claimed = objection == "" || objection == refusal.ReplayUnavailable // that claim may hold too
}

// ask returns why the delivery cannot be claimed, or nothing.
func (h *Handler) ask(r *http.Request, a *attempt) refusal.Reason {
	state, first, err := h.Replay.store.Claim(context.WithoutCancel(r.Context()), a.claim)
	if err != nil {
		h.logger.Error("the replay store does not claim deliveries", zap.Error(err))
		return refusal.ReplayUnavailable
	}
	a.first, a.duplicate = first, state == replay.Done
	switch state {
	case replay.Fresh:
		return ""
	case replay.Done:
		return refusal.Duplicate
	}
	return refusal.InFlight
}

// lets reports whether a delivery passes although the guard objects.
func (h *Handler) lets(objection refusal.Reason) bool {
	switch {
	case h.UnsafeObserveOnly: // then the guard only reports
		return true
	case objection == refusal.Duplicate:
		return h.Replay.OnDuplicate == "pass"
	case objection == refusal.ReplayUnavailable:
		return h.Replay.OnError == "pass"
	}
	return false
}

// status is what a refusal answers at this gate.
func (h *Handler) status(reason refusal.Reason) int {
	if reason == refusal.Duplicate && h.Replay.OnDuplicate == "409" {
		return http.StatusConflict
	}
	return reason.Status()
}

// commit remembers that the app took a claimed delivery. It runs before the sender sees
// the answer, because nothing bounds how long a sender takes to read it. A commit that
// fails does not change the answer: the app has taken the delivery.
func (h *Handler) commit(r *http.Request, a *attempt) {
	if !a.claimed {
		return
	}
	a.claimed = false
	if err := h.Replay.store.Commit(context.WithoutCancel(r.Context()), a.claim, time.Duration(h.Replay.Window)); err != nil {
		h.logger.Error("a delivery cannot be remembered yet; a repetition may pass", zap.Error(err))
	}
}

// release gives up a claim that was not committed, so that the sender's next attempt
// passes.
func (h *Handler) release(r *http.Request, a *attempt) {
	if !a.claimed {
		return
	}
	a.claimed = false
	if err := h.Replay.store.Release(context.WithoutCancel(r.Context()), a.claim); err != nil {
		h.logger.Error("a delivery that failed cannot be released yet; the next attempt has to wait", zap.Error(err))
	}
}

// replayOption reads the guard:
//
//	replay <window> {
//	    store        memory|redis { ... }
//	    key          <value>
//	    on_duplicate 200|409|pass
//	    on_error     refuse|pass
//	}
func (h *Handler) replayOption(l options.Line) error {
	h.Replay = new(Replay)
	l.Block(options.Table{
		Of: "replay", Also: map[string]string{"duplicate": "on_duplicate", "error": "on_error", "storage": "store"},
		Hint: misplacedInReplay,
		Options: map[string]func(options.Line) error{
			"store":        h.Replay.storeOption,
			"key":          h.Replay.keyOption,
			"on_duplicate": options.Text(&h.Replay.OnDuplicate),
			"on_error":     options.Text(&h.Replay.OnError),
		},
	})
	return options.Duration(&h.Replay.Window, limits.Window, "24h")(l)
}

// misplacedInReplay says where to write a word that is not an option of the guard.
func misplacedInReplay(option string, _ []string) string {
	switch option {
	case "window":
		return "write it behind replay: replay 24h"
	case "max_entries":
		return "write it into the block of the store: store memory { max_entries <n> }"
	case "address", "cluster", "sentinel", "sentinel_username", "sentinel_password", "password", "username", "tls", "tls_client_auth", "tls_server_name",
		"key_prefix", "timeout", "wait_replicas":
		return "write it into the block of the store: store redis { " + option + " ... }"
	}
	return ""
}

// keyOption shows no argument in an error: it may be a part of the key.
func (g *Replay) keyOption(l options.Line) error {
	if len(l.Args) != 1 || l.Args[0] == "" {
		return errors.New("it takes one value: {env.NAME}, {file./path}, or a literal, in quotes if it contains blanks")
	}
	g.Key = l.Args[0]
	return nil
}

// storeOption leaves the block behind the name to the store.
func (g *Replay) storeOption(l options.Line) error {
	stores := mistake.Set{What: "store"}
	for _, module := range caddy.GetModules(replay.Namespace) {
		stores.Words = append(stores.Words, module.ID.Name())
	}
	if len(l.Args) != 1 {
		return errors.New("it takes the name of a store, and its options in a block; write " + mistake.Either(stores.Words))
	}
	name := l.Args[0]
	if !slices.Contains(stores.Words, name) {
		return errors.New(stores.Unknown(name))
	}
	store, err := l.Module(replay.Namespace + "." + name)
	if err != nil {
		return err
	}
	g.StoreRaw = caddyconfig.JSONModuleObject(store, "store", name, nil)
	return nil
}
