package diagnosis

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Bounds of what is compared with tokens. That of other fields than the gate's is done for
// each line of the log, and so costs less.
const (
	maxTokenValue  = 4 << 10 // bytes of the gate's own field
	maxOtherValue  = 512     // of each other field
	maxOtherFields = 4
)

// unknownToken is the hint of [Unknown] at a gate with tokens.
const unknownToken = "No known mistake explains it: the sender has another token, or the request is forged; compare the token on both sides."

// tokenPatterns are the usual ways to write a token.
var tokenPatterns = []string{
	"{token}", "Bearer {token}", "Basic {token_base64}", "Token {token}", "token {token}", "ApiKey {token}", "Basic {token}",
	"{token_base64}", "Bearer {token_base64}",
}

// tokenFields are where senders write a token. A closed list bounds what is compared, and
// keeps the diagnosis out of fields that have nothing to do with it.
var tokenFields = []string{
	"Authorization", "Cf-Webhook-Auth", "Proxy-Authorization", "Verification-Token", "X-Access-Token", "X-Api-Key", "X-Api-Token", "X-Auth-Token",
	"X-Buildkite-Token", "X-Gitlab-Token", "X-Goog-Channel-Token", "X-Hook-Token", "X-Secret", "X-Secret-Token", "X-Telegram-Bot-Api-Secret-Token",
	"X-Token", "X-Verification-Token", "X-Webhook-Secret", "X-Webhook-Token",
}

// A tokenForm is one way to write the gate's tokens, compiled for any field.
type tokenForm struct {
	pattern  string
	verifier *signature.Verifier
}

// anyField is the field of a compiled form.
const anyField = "X-Token"

// tokenForms compiles the gate's own pattern, and then the usual ones. A token that cannot be
// written in one has no such form.
func tokenForms(scheme signature.Scheme, tokens []signature.Token) []tokenForm {
	var forms []tokenForm
	for _, pattern := range append([]string{scheme.Signature}, tokenPatterns...) {
		if form, ok := newTokenForm(pattern, tokens); ok {
			forms = append(forms, form)
		}
	}
	return forms
}

func newTokenForm(pattern string, tokens []signature.Token) (form tokenForm, ok bool) {
	v, err := signature.NewTokens(signature.Scheme{Headers: []string{anyField}, Signature: pattern}, tokens)
	return tokenForm{pattern, v}, err == nil
}

// holds asks the judge whether a field with that value has one of the tokens.
func (f tokenForm) holds(value string) bool {
	_, err := f.verifier.Begin(&signature.Delivery{Header: http.Header{anyField: {value}}})
	return err == nil
}

// A tokenTrial is one diagnosis of a field's value.
type tokenTrial struct {
	scheme signature.Scheme
	tokens []signature.Token
	value  string
}

// holds is that of the form that the trial has. There is none where it does not compile.
func (t tokenTrial) holds() bool {
	form, ok := newTokenForm(t.scheme.Signature, t.tokens)
	return ok && form.holds(t.value)
}

// with returns the trial of another value.
func (t tokenTrial) with(value string) tokenTrial {
	t.value = value
	return t
}

// changed returns the trial with other tokens, without those that do not change.
func (t tokenTrial) changed(change func(string) string) tokenTrial {
	all := t.tokens
	t.tokens = nil
	for _, token := range all {
		if text := change(token.Text); text != "" && text != token.Text {
			t.tokens = append(t.tokens, signature.Token{Name: token.Name, Text: text})
		}
	}
	return t
}

// diagnoseToken explains a token that is not the gate's.
func (g *Gate) diagnoseToken(d *signature.Delivery, others []*Gate) Finding {
	field := g.ownField(d.Header)
	unknown := Finding{Diagnosis: Unknown, Hint: unknownToken}
	if field == "" {
		return cmp.Or(g.tokenMissing(d), unknown)
	}
	t := tokenTrial{g.scheme, g.load().keys.tokens, d.Header[field][0]}
	switch {
	case t.value == "":
		return finding(senderHasNoToken, field)
	case len(t.value) > maxTokenValue:
		return unknown
	}
	for _, stage := range []func() Finding{t.senders, func() Finding { return t.forms(g.load().tokenForms) }, t.gates, func() Finding { return t.otherGates(g, d, others) }} {
		if f := stage(); f.Diagnosis != "" {
			return f
		}
	}
	return unknown
}

// senders tries what a sender, or who set it up, puts around a token.
func (t tokenTrial) senders() Finding {
	for _, row := range []struct {
		diagnosis Diagnosis
		mended    string
	}{
		{senderTokenIsQuoted, strings.NewReplacer(`"`, "", "'", "", "`", "").Replace(t.value)},
		{senderTokenHasWhiteSpace, strings.Join(strings.Fields(t.value), " ")},
		{senderTokenHasWhiteSpace, strings.Map(visible, t.value)},
		{senderTokenHasWhiteSpace, strings.NewReplacer(`\r`, "", `\n`, "", "%0D", "", "%0A", "", "%0d", "", "%0a", "").Replace(t.value)},
	} {
		if row.mended != t.value && t.with(row.mended).holds() {
			return finding(row.diagnosis)
		}
	}
	return Finding{}
}

// visible drops what is not printable ASCII, and blanks.
func visible(r rune) rune {
	if r <= ' ' || r > '~' {
		return -1
	}
	return r
}

// forms tries other patterns, and then any text in front.
func (t tokenTrial) forms(forms []tokenForm) Finding {
	if form, ok := newTokenForm(t.respelled(), t.tokens); ok {
		forms = append([]tokenForm{form}, forms...)
	}
	for _, form := range forms {
		if form.pattern != t.scheme.Signature && form.holds(t.value) {
			other := t.scheme
			other.Signature = form.pattern
			return finding(tokenHasAnotherForm, cure(t.scheme, other))
		}
	}
	own := strings.TrimSuffix(strings.TrimSuffix(t.scheme.Signature, "{token}"), "{token_base64}")
	if i := strings.LastIndexAny(strings.TrimRight(t.value, "="), " =:"); i >= 0 && t.with(own+t.value[i+1:]).holds() {
		return finding(tokenHasAnotherForm, "`signature` with the text that the sender puts in front of it")
	}
	return Finding{}
}

// respelled returns the gate's own pattern with the letters of the sender in front, or "".
func (t tokenTrial) respelled() string {
	at := strings.Index(t.scheme.Signature, "{")
	if len(t.value) < at || !strings.EqualFold(t.value[:at], t.scheme.Signature[:at]) {
		return ""
	}
	return t.value[:at] + t.scheme.Signature[at:]
}

// gates tries the mistakes with the gate's own token.
func (t tokenTrial) gates() Finding {
	lower := t.changed(strings.ToLower)
	lower.tokens = append(lower.tokens, t.tokens...) // one may have small letters alone
	lower.scheme.Signature, lower.value = strings.ToLower(t.scheme.Signature), strings.ToLower(t.value)
	switch {
	case t.changed(unquote).holds():
		return finding(tokenIsQuoted)
	case t.changed(fromBase64).holds():
		return finding(tokenIsBase64)
	case !strings.Contains(t.scheme.Signature, "{token_base64}") && lower.holds(): // else the letters are base64's
		return finding(tokenCaseDiffers)
	}
	return Finding{}
}

func fromBase64(text string) string {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}
	return string(decoded)
}

// otherGates tries the tokens and the fields of other gates.
func (t tokenTrial) otherGates(own *Gate, d *signature.Delivery, others []*Gate) Finding {
	for _, other := range others[:min(len(others), maxGates)] {
		if other == nil || other == own || !other.load().keys.isToken() {
			continue
		}
		if t.tokens = other.load().keys.tokens; t.holds() {
			return finding(tokenOfAnotherGate, other.name)
		}
		if _, err := other.load().plain.Begin(d); err == nil {
			return finding(meantForAnotherGate, other.name)
		}
	}
	return Finding{}
}

// tokenMissing explains a request without the gate's field, or without exactly one of those
// that make a delivery.
func (g *Gate) tokenMissing(d *signature.Delivery) Finding {
	if g.carries(d.Header) {
		for _, m := range signedField.FindAllStringSubmatch(g.scheme.Payload, -1) {
			if len(d.Header[http.CanonicalHeaderKey(m[1])]) != 1 {
				return finding(fieldOfDeliveryIsMissing, m[1])
			}
		}
		return Finding{}
	}
	if f := g.tokenElsewhere(d.Header); f.Diagnosis != "" {
		return f
	}
	best, _ := g.candidates(d)
	if len(best) == 0 {
		return Finding{}
	}
	return finding(senderSignsDeliveries, best[0].field, presetsOf(best, best[0].field))
}

// tokenElsewhere looks for the gate's token in another field.
func (g *Gate) tokenElsewhere(h http.Header) Finding {
	left := maxOtherFields
	for _, field := range tokenFields {
		if len(h[field]) != 1 || len(h[field][0]) > maxOtherValue || left == 0 {
			continue
		}
		left--
		for _, form := range g.load().tokenForms {
			if form.holds(h[field][0]) {
				there := g.scheme
				there.Headers, there.Signature = []string{field}, form.pattern
				return finding(tokenInAnotherField, field, cure(g.scheme, there))
			}
		}
	}
	return Finding{}
}
