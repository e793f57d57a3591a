package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// content is a body that can be written once for each secret.
type content []byte

// WriteTo implements io.WriterTo.
func (c content) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(c)
	return int64(n), err
}

// A verdict is what the gate makes of a delivery.
type verdict struct {
	match    signature.Match
	answered string         // the kind of the sender's check that it is; empty: none
	reason   refusal.Reason // empty: it is let through, or answered
	forged   bool           // the signature matches, and anyone can have had it made
}

// judge asks in the order of the gate; TestVerifyJudgesAsTheGate compares the two.
func (c *command) judge(gate *Gate, captured *capture, d *signature.Delivery, body []byte) (v verdict, err error) {
	verifier, err := gate.verifier()
	if err != nil {
		return v, err
	}
	asked := captured.asked(d, body)
	if gate.Challenge != nil {
		if _, ok := gate.Challenge.Answer(asked, verifier); ok {
			return verdict{answered: gate.Challenge.Kind()}, nil
		}
	}
	v.match, err = c.match(gate, verifier, d, body)
	if reason, refused := errors.AsType[refusal.Reason](err); refused {
		v.reason = reason
		return gate.unsigned(v, asked, verifier, body), nil
	}
	if err != nil || gate.Challenge == nil {
		return v, err
	}
	if gate.Challenge.Forgeable(body) {
		v.reason, v.forged = refusal.SignatureMismatch, true
		return v, nil
	}
	if _, ok := gate.Challenge.AnswerVerified(asked, body, v.match); ok {
		v.answered = gate.Challenge.Kind()
	}
	return v, nil
}

// asked is the request as a challenge knows it. A capture without Content-Length does not
// say that a body had none, and its length is the body's.
func (c *capture) asked(d *signature.Delivery, body []byte) *signature.Request {
	length, known := announcedLength(d.Header)
	if !known {
		length = int64(len(body))
	}
	if d.Header.Get("Transfer-Encoding") != "" {
		length = -1
	}
	return &signature.Request{Method: d.Method, Header: d.Header, Query: c.query(), Length: length}
}

// unsigned is the verdict on a refused request. Where it has no signature, it may be a check
// with its token in the body.
func (g *Gate) unsigned(v verdict, asked *signature.Request, verifier *signature.Verifier, body []byte) verdict {
	if g.Challenge == nil || v.reason.Status() != http.StatusUnauthorized || !g.Challenge.ReadsBody(asked, verifier) {
		return v
	}
	if wrong, ok := errors.AsType[refusal.Reason](g.received(asked.Header, body)); ok {
		return verdict{reason: wrong}
	}
	if _, ok := g.Challenge.AnswerUnsigned(asked, body, verifier); ok {
		return verdict{answered: g.Challenge.Kind()}
	}
	return v
}

// match asks the one judge. The error is a refusal, or says that nothing can be judged.
func (c *command) match(gate *Gate, verifier *signature.Verifier, d *signature.Delivery, body []byte) (match signature.Match, err error) {
	if err := c.gateway.Unservable(&http.Request{Method: d.Method, Header: d.Header}); err != nil {
		return match, err
	}
	check, err := verifier.Begin(d)
	if err != nil {
		return match, err
	}
	if err := gate.received(d.Header, body); err != nil {
		return match, err
	}
	_, _ = check.Write(body) // never fails
	return check.End(content(body))
}

// received returns the refusal of a body that the gate would not have received whole.
func (g *Gate) received(header http.Header, body []byte) error {
	size := int64(len(body))
	announced, known := announcedLength(header)
	switch {
	case size > g.MaxSize, known && announced > g.MaxSize:
		return refusal.BodyTooLarge
	case known && announced != size:
		return refusal.BodyIncomplete
	}
	return nil
}

// announcedLength returns what Content-Length says, if it says it as HTTP has it.
func announcedLength(header http.Header) (int64, bool) {
	length, err := strconv.ParseUint(header.Get("Content-Length"), 10, 63)
	return int64(length), err == nil
}

// cures are for refusals that diagnosis has no word for.
var cures = map[refusal.Reason]string{
	refusal.MissingSignature:    "There is no signature, or a field that is signed is missing: give the sender the secret, and look for a proxy that removes fields.",
	refusal.AmbiguousSignature:  "A field or a value that counts once is there twice: look for a proxy that adds fields, or a sender that is set up twice.",
	refusal.MalformedSignature:  "The signature is not of the form that the gate takes; compare `preset` and `signature` with what the sender documents.",
	refusal.AlgorithmNotAllowed: "The sender signs with an algorithm that is not among `algorithms`.",
	refusal.KeyUnknown:          "The field of `key_id` names a key that the gate does not have: the sender has a new one. Add it as public_key, with that name.",
	refusal.TimestampMissing:    "The time of signing is missing: look for a proxy that removes its field, or compare `timestamp` with what the sender documents.",
	refusal.TimestampMalformed:  "The time of signing is not written as `timestamp` says (seconds, milliseconds or a date), or the capture has written it in another way than the sender.",
	refusal.TimestampOutOfRange: "The time of signing is further away than `tolerance`.",
	refusal.TokenMissing:        "There is no token, or a field of `payload` is missing: set the token at the sender, compare `header` with what it documents, and look for a proxy that removes fields.",
	refusal.TokenAmbiguous:      "The field with the token, or one of `payload`, is there twice or holds the text that ends it in `payload`: look for a proxy that adds fields, or a sender that is set up twice.",
	refusal.TokenMismatch:       "The sender has another token, or the request is forged: compare the token on both sides.",
	refusal.MethodNotAllowed:    "CONNECT asks for a tunnel; no delivery comes that way.",
	refusal.Incremental:         "The field Incremental asks that the body is not held back, and a gate that verifies must; take it out at the sender.",
}

// diagnose says what is wrong, and the cure.
func (c *command) diagnose(t *target, captured *capture, d *signature.Delivery, body []byte, v verdict) diagnosis.Finding {
	gate := t.diagnosed()
	switch {
	case v.forged:
		return diagnosis.Finding{Hint: fmt.Sprintf("The signature matches. But with `challenge %s` anyone can have such a body signed, a token of letters and digits alone, "+
			"so the gate takes it for no delivery.", t.Challenge.Kind())}
	case v.reason == refusal.BodyTooLarge:
		announced, _ := announcedLength(d.Header)
		return diagnosis.Finding{Hint: fmt.Sprintf("The body has %d bytes, and the gate takes %d; raise max_size.", max(int64(len(body)), announced), t.MaxSize)}
	case v.reason == refusal.BodyIncomplete:
		return diagnosis.Finding{Hint: fmt.Sprintf("The data has %d bytes, and the field Content-Length says %s: save the body byte for byte, with its last line break "+
			"or without.", len(body), d.Header.Get("Content-Length"))}
	case v.reason.Status() != http.StatusUnauthorized: // whatever the signature is
		return diagnosis.Finding{Hint: cures[v.reason]}
	case len(body) > diagnosis.MaxBody && v.reason == refusal.SignatureMismatch:
		return diagnosis.Finding{Diagnosis: diagnosis.Unknown, Hint: fmt.Sprintf("The body has more than %d bytes, and is not looked into; "+
			"compare its SHA-256 with what the sender shows.", diagnosis.MaxBody)}
	}
	if v.reason == refusal.MissingSignature || v.reason == refusal.TokenMissing {
		if found := gate.Check(captured.asked(d, body), t.Challenge); found.Diagnosis != "" {
			return found
		}
	}
	found := gate.Diagnose(d, body, t.others())
	if found.Diagnosis == diagnosis.Unknown && v.reason != refusal.SignatureMismatch {
		found = diagnosis.Finding{Hint: cures[v.reason]}
	}
	return captured.explain(found, v.reason)
}

// explain adds to a hint what only a capture can be the cause of.
func (c *capture) explain(found diagnosis.Finding, reason refusal.Reason) diagnosis.Finding {
	switch {
	case reason == refusal.TimestampOutOfRange && c.arrived.IsZero():
		found.Hint += " For a delivery captured some time ago, add --at with the time of its arrival."
	case (reason == refusal.MissingSignature || reason == refusal.TokenMissing) && c.logged:
		found.Hint += " The log may also leave fields out (format filter): then take them from the sender's page."
	}
	return found
}

// redacted returns the first of the fields that count which Caddy's log does not show.
func (c *capture) redacted(scheme signature.Scheme) string {
	for _, name := range append([]string{scheme.Timestamp}, scheme.Headers...) {
		if c.logged && c.header.Get(name) == "REDACTED" {
			return name
		}
	}
	return ""
}

// diagnosed is the gate as diagnosis knows it.
func (g *Gate) diagnosed() *diagnosis.Gate {
	switch g.Scheme.Kind() {
	case signature.PublicKeys:
		return diagnosis.NewPublicGate(g.Name, g.Scheme, g.Keys)
	case signature.Tokens:
		return diagnosis.NewTokenGate(g.Name, g.Scheme, g.Tokens)
	}
	return diagnosis.NewGate(g.Name, g.Scheme, g.Secrets)
}

// others are the gates that a delivery may have been meant for.
func (t *target) others() (gates []*diagnosis.Gate) {
	for _, g := range t.config.Gates {
		if g != t.Gate && g.Tenants == nil { // of tenants, one is known
			gates = append(gates, g.diagnosed())
		}
	}
	return gates
}
