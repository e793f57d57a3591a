// Package diagnosis says why a signature did not match, after the request was
// refused. Its findings go into the operator's log; the sender never sees them.
//
// It can never accept a request: no function returns a verdict, and nothing that
// decides imports it. [signature.Verifier] stays the only judge. A deviation is one
// change to the scheme, the secret, the header section or the body, and it is named only
// if the verifier accepts the delivery with that change. So a forged request stays
// [Unknown], with three exceptions: what its header section shows by its form, an empty
// body, and a signature under the empty key, which anyone can make. None of this is a
// reason to let a delivery through: an attacker who may change the body and keep the
// signature has broken the signature.
//
// The cost of a diagnosis is bounded. The body has at most [MaxBody] bytes, and a variant
// of it at most four times as many. The gate's own secrets cost at most 96 MACs over 6 MiB
// in all, and each of up to 16 other gates costs four more MACs. With public keys they are
// 32 verifications and eight. Only the first two secrets, keys or tokens of a gate are tried,
// and all of its own keys where a field names them. Tokens take no body: some
// twenty changes of a value of up to 4 KiB are compared, and the tokens of 16 other gates. No hint holds a byte of a body, a secret
// or a digest. From the request, a hint shows only the label in front of a digest, up to
// 20 bytes of it.
package diagnosis

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// MaxBody is the size of the largest body that is diagnosed.
const MaxBody = 64 << 10

// Bounds of one diagnosis.
const (
	maxVariant       = 4 * MaxBody // of what a body is made into
	maxMACs          = 96          // with the gate's own secrets, and what they are made into
	maxVerifications = 32          // with the gate's own public keys, instead: each costs as much as many MACs
	maxBytes         = 6 << 20     // that these are made over
	maxSecrets       = 2           // of each gate, newest first: rotation needs two
	maxGates         = 16          // other gates
	maxElsewhere     = 4           // verifications of a verdict with the keys of another gate
)

// A Gate holds what diagnosis needs to know about one gate of the configuration. Any
// number of goroutines may use it.
type Gate struct {
	name   string
	scheme signature.Scheme
	fields []string         // fields that may carry the signature, canonical
	load   func() *compiled // hides the secrets in a closure, so that no %v prints them
}

// A Finding names one deviation with which the delivery would have matched.
type Finding struct {
	// Diagnosis is the log field and the metric label.
	Diagnosis Diagnosis
	// Hint tells the operator what is wrong, on whose side, and how to mend it.
	Hint string
}

// NewGate takes a scheme and secrets that [signature.New] has accepted. It compiles
// nothing before the first diagnosis.
func NewGate(name string, scheme signature.Scheme, secrets []signature.Secret) *Gate {
	return newGate(name, scheme, keys{secrets: slices.Clone(secrets[:min(len(secrets), maxSecrets)])})
}

// NewPublicGate takes a scheme and public keys that [signature.NewPublic] has accepted.
func NewPublicGate(name string, scheme signature.Scheme, public []signature.PublicKey) *Gate {
	if scheme.KeyID == "" { // else one of them is chosen
		public = public[:min(len(public), maxSecrets)]
	}
	return newGate(name, scheme, keys{public: slices.Clone(public)})
}

// NewTokenGate takes a scheme and tokens that [signature.NewTokens] has accepted.
func NewTokenGate(name string, scheme signature.Scheme, tokens []signature.Token) *Gate {
	return newGate(name, scheme, keys{tokens: slices.Clone(tokens[:min(len(tokens), maxSecrets)])})
}

func newGate(name string, scheme signature.Scheme, k keys) *Gate {
	return &Gate{
		name: name, scheme: scheme, fields: fieldsOf(scheme),
		load: sync.OnceValue(func() *compiled { return compile(scheme, k) }),
	}
}

// compiled holds what is tried for one gate.
type compiled struct {
	plain   *signature.Verifier // the gate's own; nil where it does not compile
	keys    keys
	secrets []deviation                    // from the gate's own secrets or keys
	forms   map[refusal.Reason][]deviation // of the scheme, by the refusal that they explain

	tokenForms []tokenForm // where the gate has tokens, instead of the rest
}

func compile(scheme signature.Scheme, k keys) *compiled {
	c := &compiled{keys: k}
	if k.isToken() {
		c.plain, _ = k.compile(scheme)
		c.tokenForms = tokenForms(scheme, k.tokens)
		return c
	}
	c.forms = formDeviations(scheme, k)
	if c.plain, _ = k.compile(scheme); c.plain == nil {
		return c
	}
	if k.isPublic() {
		c.secrets = publicDeviations(scheme, k)
	} else {
		c.secrets = secretDeviations(scheme, k.secrets)
	}
	return c
}

// A deviation is one change to the scheme or its secrets, compiled.
type deviation struct {
	diagnosis Diagnosis
	args      []any // of the hint
	named     bool  // the hint's argument is the name of the secret that matched
	verifier  *signature.Verifier
	macs      int
}

// Diagnose tries one deviation at a time on a delivery that did not match. others are
// the other gates of the same configuration. If the header section alone was refused,
// Diagnose returns what Inspect returns unless it can prove more. d.Now is the time at
// which the request was judged.
func (g *Gate) Diagnose(d *signature.Delivery, body []byte, others []*Gate) Finding {
	if g.load().keys.isToken() {
		return g.diagnoseToken(d, others)
	}
	unknown := finding(Unknown)
	if len(body) > MaxBody || g.load().plain == nil {
		return unknown
	}
	t := newTrial(g, d, body)
	for _, stage := range []func() Finding{
		t.byKeyID, t.forms, t.values, t.clock, t.url, t.target, t.hashes, t.secrets,
		func() Finding { return t.gates(others) },
		t.senders, t.bodies,
		func() Finding { return g.Inspect(&t.delivery, t.reason) },
	} {
		if f := stage(); f.Diagnosis != "" {
			return f
		}
	}
	if len(body) == 0 {
		return noBody(d.Method)
	}
	return unknown
}

// noBody explains an empty body that no other diagnosis explains. With these methods,
// most senders sign a body but do not send it.
func noBody(method string) Finding {
	if slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions}, method) {
		return finding(methodSendsNoBody, method)
	}
	return finding(bodyIsEmpty)
}

// A trial is one diagnosis in progress.
type trial struct {
	*compiled
	gate     *Gate
	delivery signature.Delivery
	reason   refusal.Reason // why the gate refuses the delivery
	body     []byte
	left     int // MACs that are left
	bytes    int // bytes that these may be computed over
	tried    map[uint64]bool
}

func newTrial(g *Gate, d *signature.Delivery, body []byte) *trial {
	t := &trial{compiled: g.load(), gate: g, delivery: *d, body: body, left: maxMACs, bytes: maxBytes, reason: refusal.SignatureMismatch}
	if t.keys.isPublic() {
		t.left = maxVerifications
	}
	if t.delivery.Now.IsZero() {
		t.delivery.Now = time.Now()
	}
	if _, err := t.plain.Begin(&t.delivery); err != nil {
		t.reason, _ = err.(refusal.Reason) //nolint:errorlint // Begin returns it unwrapped
	}
	return t
}

// first returns the first deviation that explains the delivery.
func (t *trial) first(deviations []deviation) Finding {
	for i := range deviations {
		d := &deviations[i]
		if name, ok := t.verifies(d.verifier, d.macs, &t.delivery, t.body); ok {
			return d.finding(name)
		}
	}
	return Finding{}
}

func (d *deviation) finding(name string) Finding {
	if d.named {
		return finding(d.diagnosis, name)
	}
	return finding(d.diagnosis, d.args...)
}

// values tries the changes that the value of the field suggests.
func (t *trial) values() Finding {
	for _, a := range t.gate.attempts(&t.delivery, t.reason) {
		v, _ := t.keys.compile(a.scheme) // nil where it does not compile
		if _, ok := t.verifies(v, t.keys.cost(), &a.delivery, t.body); ok {
			return finding(a.diagnosis, a.args...)
		}
	}
	return Finding{}
}

func (t *trial) forms() Finding   { return t.first(t.compiled.forms[t.reason]) }
func (t *trial) secrets() Finding { return t.first(t.compiled.secrets) }

// plainly tries a changed delivery or body with the gate's own scheme and secrets.
func (t *trial) plainly(d *signature.Delivery, body []byte) bool {
	_, ok := t.verifies(t.plain, t.keys.cost(), d, body)
	return ok
}

// verifies asks the judge, which costs that many MACs, and returns the name of the
// secret that matched. A delivery that fails by its header section costs none.
func (t *trial) verifies(v *signature.Verifier, macs int, d *signature.Delivery, body []byte) (name string, ok bool) {
	if v == nil || macs > t.left || macs*len(body) > t.bytes {
		return "", false
	}
	check, err := v.Begin(d)
	if err != nil || !t.affords(check, macs, len(body)) {
		return "", false
	}
	_, _ = check.Write(body) // it never fails
	match, err := check.End(content(body))
	return match.Secret, err == nil
}

// affords counts what a verdict costs, if that is left: with a public key, a verification
// of each signature that the sender offers. A verdict of another gate has macs 0, and a
// bound of its own.
func (t *trial) affords(check *signature.Check, macs, size int) bool {
	verifications := check.Verifications()
	if macs == 0 {
		return verifications <= maxElsewhere
	}
	macs = max(macs, verifications)
	if macs > t.left || macs*size > t.bytes {
		return false
	}
	t.left -= macs
	t.bytes -= macs * size
	return true
}

// content is a body that can be written repeatedly.
type content []byte

// WriteTo implements io.WriterTo.
func (c content) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(c)
	return int64(n), err
}
