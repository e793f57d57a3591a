package caddymodule

import (
	"crypto/sha256"
	"errors"
	"fmt"
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

// allows reports why the gate must not have what a tenant brings, beside what other gates
// have. What tenants bring is not added: there may be any number of them.
func (x *index) allows(h *Handler, m *material) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.judge(h, m)
}

func (x *index) judge(h *Handler, m *material) error {
	use := h.keyUse(m)
	for _, id := range m.verifier.KeyIDs() {
		for _, other := range x.keys[id] {
			if err := use.mayMeet(other); err != nil {
				return err
			}
		}
	}
	for i, secret := range m.texts.secrets {
		for _, form := range h.formsOf(secret) {
			for _, other := range x.texts[sha256.Sum256([]byte(form))] {
				if other.shown != nowhere {
					return fmt.Errorf("line %d has the same text as %s of %s, %s", i+1, other.option, other.gate.place(), remedies[other.shown])
				}
			}
		}
	}
	return nil
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
	a.judgeTenants()
	h.live.Store(m)
	return nil
}

// judgeTenants drops the tenants that may not be beside what the gates have now.
func (a *App) judgeTenants() {
	for _, h := range a.handlers {
		if h.tenants != nil {
			h.tenants.cache.Judge(func(m *material) bool { return a.index.judge(h, m) == nil })
		}
	}
}
