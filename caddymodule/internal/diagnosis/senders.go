package diagnosis

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A carrier is a field that carries the signatures of a preset.
type carrier struct {
	field    string
	preset   signature.Preset
	verifier *signature.Verifier // judges header sections only
}

// carriers lists the fields of all presets; within a family, the stronger one first.
var carriers = sync.OnceValue(func() []carrier {
	var all []carrier
	for _, preset := range signature.Presets() {
		v, _ := signature.New(preset.Scheme, stranger) // TestPresets compiles each
		for _, field := range fieldsOf(preset.Scheme) {
			all = append(all, carrier{field, preset, v})
		}
	}
	return all
})

// How well a header section fits a preset.
const (
	fitsNot   = iota
	fitsPart  // another field is missing, or the time cannot be read
	fitsWhole // at any time
)

// fit reports how well a delivery fits the preset, by the values of its fields. Many
// senders use the same name of a field, but few write the value in the same form.
func (c *carrier) fit(d *signature.Delivery) int {
	_, err := c.verifier.Begin(d)
	reason, _ := errors.AsType[refusal.Reason](err)
	switch reason {
	case "", refusal.TimestampOutOfRange:
		return fitsWhole
	case refusal.MissingSignature, refusal.TimestampMissing, refusal.TimestampMalformed:
		return fitsPart
	}
	return fitsNot
}

// foreign returns the carriers in h that the gate does not read.
func (g *Gate) foreign(h http.Header) []carrier {
	var present []carrier
	for _, c := range carriers() {
		if len(h[c.field]) > 0 && !slices.Contains(g.fields, c.field) {
			present = append(present, c)
		}
	}
	return present
}

// ForeignFields returns the fields in h that carry signatures of senders other than this
// gate's, sorted.
func (g *Gate) ForeignFields(h http.Header) []string {
	var names []string
	for _, c := range g.foreign(h) {
		names = append(names, c.field)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// candidates returns the carriers that fit best, and how well they fit. It returns none
// if the gate's own field is present: then another field is missing, which is signed too.
func (g *Gate) candidates(d *signature.Delivery) (best []carrier, fit int) {
	if slices.ContainsFunc(g.fields, func(name string) bool { return len(d.Header[name]) > 0 }) {
		return nil, fitsNot
	}
	for _, c := range g.foreign(d.Header) {
		switch n := c.fit(d); {
		case n > fit:
			best, fit = []carrier{c}, n
		case n == fit:
			best = append(best, c)
		}
	}
	return best, fit
}

// elsewhere says which other field has the signature, and what to write to read it.
func (g *Gate) elsewhere(d *signature.Delivery) Finding {
	best, fit := g.candidates(d)
	if len(best) == 0 {
		return Finding{}
	}
	field := best[0].field
	own := attempt{scheme: g.scheme, delivery: *d}
	own.scheme.Headers = []string{field}
	var ways []string
	if own.fits(g.load()) {
		ways = append(ways, cure(g.scheme, own.scheme))
	}
	if fit > fitsNot {
		ways = append(ways, presetsOf(best, field))
	}
	if ways == nil {
		ways = append(ways, cure(g.scheme, own.scheme)+" and a `signature` of the form that its sender documents, because no preset takes this value")
	}
	more := ""
	if fit == fitsPart {
		more = " Another field that is signed with it is missing or cannot be read; look for a proxy that removes fields."
	}
	return finding(signatureInAnotherField, field, strings.Join(ways, ", or "), more)
}

// maxNamed is how many presets a hint names.
const maxNamed = 3

// presetsOf names the presets of a field. It leaves out hub, the default, if there is
// another one.
func presetsOf(carriers []carrier, field string) string {
	var names []string
	for _, c := range carriers {
		if name := "`webhook_auth " + c.preset.Name + "`"; c.field == field && len(names) < maxNamed && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if hub := slices.Index(names, "`webhook_auth hub`"); hub >= 0 && len(names) > 1 {
		names = slices.Delete(names, hub, hub+1)
	}
	return strings.Join(names, " or ")
}

// maxSenders is how many presets are tried with the gate's secrets.
const maxSenders = 4

// senders tries the delivery as another sender's, with the gate's own secrets.
func (t *trial) senders() Finding {
	best, fit := t.gate.candidates(&t.delivery)
	if fit != fitsWhole {
		return Finding{}
	}
	field, ways := best[0].field, []string(nil)
	own := t.gate.scheme
	if own.Headers = []string{field}; t.verifiesAs(own) {
		ways = append(ways, cure(t.gate.scheme, own))
	}
	proven := slices.DeleteFunc(best[:min(len(best), maxSenders)], func(c carrier) bool { return !t.verifiesAs(c.preset.Scheme) })
	if len(proven) > 0 {
		ways = append(ways, presetsOf(proven, field))
	}
	if ways == nil {
		return Finding{}
	}
	return finding(signatureInAnotherField, field, strings.Join(ways, ", or "), right)
}

// verifiesAs asks the judge with another scheme and the gate's own secrets.
func (t *trial) verifiesAs(s signature.Scheme) bool {
	v, _ := t.keys.compile(s) // nil where it does not compile, or they do not decode
	_, ok := t.verifies(v, t.keys.cost(), &t.delivery, t.body)
	return ok
}

// fieldsOf returns the fields of a scheme that may carry the signature.
func fieldsOf(s signature.Scheme) []string {
	names := s.WithDefaults().Headers
	fields := make([]string, len(names))
	for i, name := range names {
		fields[i] = http.CanonicalHeaderKey(name)
	}
	return fields
}
