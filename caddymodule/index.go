package caddymodule

import (
	"errors"
	"sync"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// An index is who has which key and which text in one configuration.
type index struct {
	mu    sync.Mutex
	keys  keys
	texts texts
}

func newIndex() *index { return &index{keys: make(keys), texts: make(texts)} }

// add adds what a gate verifies with, unless the configuration must not have both that and
// what another gate has.
func (x *index) add(h *Handler, m *material) ([]lint.Finding, error) {
	texts := h.shareTexts(x.texts, m)
	found, err := x.keys.add(h.keyUse(m), m.verifier.KeyIDs())
	return found, errors.Join(texts, err)
}

// add makes a gate part of the configuration, with what it verifies with.
func (a *App) add(h *Handler, m *material) error {
	a.index.mu.Lock()
	defer a.index.mu.Unlock()
	found, err := a.index.add(h, m)
	if err != nil {
		return err
	}
	m.unwise = append(m.unwise, found...)
	h.live.Store(m)
	a.handlers = append(a.handlers, h)
	return nil
}

// replace puts m in the place of what the gate verifies with. The rules between gates are
// the same as at load: otherwise a changed file could give one gate the secret that another
// one shows, or signs with for strangers.
func (a *App) replace(h *Handler, m *material) error {
	a.index.mu.Lock()
	defer a.index.mu.Unlock()
	fresh := newIndex()
	for _, other := range a.handlers {
		if other != h {
			_, _ = fresh.add(other, other.material()) // they are in force, and may be together
		}
	}
	found, err := fresh.add(h, m)
	if err != nil {
		return err
	}
	m.unwise = append(m.unwise, found...)
	a.index.keys, a.index.texts = fresh.keys, fresh.texts
	h.live.Store(m)
	return nil
}
