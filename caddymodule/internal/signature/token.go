package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// A Token is what a sender sends with each delivery, as it is. The name may be shown, the
// text never.
type Token struct {
	Name string
	Text string
}

// DefaultTokenSignature is the pattern of a field that holds the token and nothing else.
const DefaultTokenSignature = "{token}"

// maxTokenText is how long a token may be. Servers limit a header section to some KiB.
const maxTokenText = 4 << 10

// Tokens reports whether the sender sends a token, and signs nothing.
func (s Scheme) Tokens() bool {
	return strings.Contains(s.Signature, "{token}") || strings.Contains(s.Signature, "{token_base64}")
}

// Signed reports whether a signature was verified, and not only a token compared.
func (m Match) Signed() bool { return m.Algorithm != "" }

// NewTokens compiles a scheme and its tokens. No error shows a token.
func NewTokens(s Scheme, tokens []Token) (*Verifier, error) {
	v, err := compile(s, Tokens.String(), tokens, newTokenring, s.CheckKind(Tokens))
	if err != nil {
		return nil, err
	}
	v.most = 0
	return v, nil
}

// A tokenForm is the compiled pattern of a field with a token.
type tokenForm struct {
	prefix string
	base64 bool // behind the prefix comes the token in base64
}

func compileTokenForm(source string) (*tokenForm, error) {
	tokens, err := scan("signature", source)
	if err != nil {
		return nil, err
	}
	f := new(tokenForm)
	for i, t := range tokens {
		last := i == len(tokens)-1
		switch {
		case !t.placeholder && !last:
			f.prefix += t.text
		case last && (t.text == "token" || t.text == "token_base64"):
			f.base64 = t.text == "token_base64"
		default:
			return nil, inTemplate("signature", source, t.position, "beside {token} or {token_base64} there is only text in front of it; write for example: signature \"Bearer {token}\"")
		}
	}
	if problem := notInField(f.prefix + "."); problem != "" {
		return nil, mistake.In("signature", "%s: the text in front of the token %s", mistake.Show(source), problem)
	}
	return f, nil
}

// notInField says why no header field has the value text (RFC 9110, section 5.5), or "".
func notInField(text string) string {
	switch {
	case strings.TrimSpace(text) != text:
		return "begins or ends with white space, which no header field holds; take it out"
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return "has a character in it that is not printable ASCII, which no header field holds; write it again"
	}
	return ""
}

// check says why a text is no token of the form. It does not show the text.
func (f *tokenForm) check(text string) error {
	if text == "" {
		return errors.New("is empty")
	}
	if problem := notInField(text); problem != "" {
		return errors.New(problem)
	}
	switch {
	case len(text) > maxTokenText:
		return fmt.Errorf("has %d bytes, and no token is longer than %d", len(text), maxTokenText)
	case f.prefix != "" && strings.HasPrefix(text, f.prefix):
		return fmt.Errorf("begins with %q, which the signature pattern writes in front of it; take it out", f.prefix)
	case f.basic() && !strings.Contains(text, ":"):
		return errors.New("has no colon; write user:password, as it is before the sender encodes it")
	}
	return nil
}

// basic reports whether the field is that of HTTP's Basic scheme (RFC 7617).
func (f *tokenForm) basic() bool { return f.base64 && strings.EqualFold(f.prefix, "Basic ") }

// written returns the value of the field.
func (f *tokenForm) written(text string) string {
	if f.base64 {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	return f.prefix + text
}

// Password returns the part of a token that is secret. Of user:password the user is not.
func (s Scheme) Password(text string) string {
	if f, err := compileTokenForm(s.Signature); err == nil && f.basic() {
		_, text, _ = strings.Cut(text, ":")
	}
	return text
}

// notForTokens are fields that HTTP itself or every client writes, and that the gate's own
// log shows in part.
var notForTokens = []string{"Connection", "Content-Length", "Content-Type", "Expect", "Te", "Upgrade", "User-Agent"}

func (s Scheme) compileToken() (*scheme, error) {
	var errs [4]error
	c := &scheme{fixed: -1}
	c.headers, errs[0] = s.tokenField()
	c.token, errs[1] = compileTokenForm(s.Signature)
	c.payload, errs[2] = s.tokenPayload()
	errs[3] = s.onlyToken()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return c, nil
}

func (s Scheme) tokenField() ([]string, error) {
	switch {
	case len(s.Headers) == 0:
		return nil, mistake.In("header", "a token has no usual field; write the one that the sender sends it in, such as: header X-Webhook-Token")
	case len(s.Headers) > 1 || s.AnyHeader:
		return nil, mistake.In("header", "a token is in one field; write that one alone")
	case slices.Contains(notForTokens, http.CanonicalHeaderKey(s.Headers[0])):
		return nil, mistake.In("header", "%s says something else in every request, and logs show it; let the sender write its token into a field of its own", mistake.Show(s.Headers[0]))
	}
	return canonical(s.Headers)
}

// tokenPayload compiles what makes a delivery, for a fingerprint. A fingerprint never holds
// the token: it is the same after a rotation, and tells nothing of it.
func (s Scheme) tokenPayload() (payload, error) {
	source := s.WithDefaults().Payload
	p, err := compilePayload(source, false)
	if err != nil {
		return p, err
	}
	if p.stamped {
		return p, mistake.In("payload", "a token dates nothing, so that there is no {ts}; a time that the sender writes into a field is {header.NAME}")
	}
	if p.nonced || p.hash != nil {
		return p, mistake.In("payload", "nothing is signed here, so that there is no {nonce} and no hash of the body; write {body}")
	}
	for _, part := range p.parts {
		if part.kind == partField && len(s.Headers) > 0 && part.text == http.CanonicalHeaderKey(s.Headers[0]) {
			return p, mistake.In("payload", "%s holds the token, which is the same in each delivery and must not be stored; take it out", mistake.Show(s.Headers[0]))
		}
	}
	return p, nil
}

// onlyToken reports what is for signatures.
func (s Scheme) onlyToken() error {
	var errs []error
	for _, rule := range []struct {
		broken       bool
		option, text string
	}{
		{len(s.Algorithms) > 0, "algorithms", "a token is compared, and no algorithm makes it; take the option out"},
		{s.SecretEncoding+s.SecretPrefix != "", "secret_encoding", "it is for secrets; a token in base64 is {token_base64} in signature"},
		{s.Timestamp+s.TimestampUnit != "", "timestamp", "a token does not cover a time, which anyone could change; take the option out"},
		{s.Tolerance != 0 || s.Ahead != 0, "tolerance", "a token does not cover a time, which anyone could change; take the option out"},
		{s.KeyID != "", "key_id", "it names a public key; all tokens are tried"},
	} {
		if rule.broken {
			errs = append(errs, mistake.In(rule.option, "%s", rule.text))
		}
	}
	return errors.Join(errs...)
}

// A storedToken is what is kept of a token.
type storedToken struct {
	digest [sha256.Size]byte // of the field's value
	id     []byte            // see KeyIDs
}

func newTokenring(t Token, s *scheme) (*keyring, error) {
	if err := s.token.check(t.Text); err != nil {
		return nil, mistake.In("token", "%q %w", t.Name, err)
	}
	mac := hmac.New(sha256.New, []byte(t.Text))
	_, _ = mac.Write([]byte(keyIDText))
	stored := &storedToken{digest: sha256.Sum256([]byte(s.token.written(t.Text))), id: mac.Sum(nil)}
	return &keyring{name: t.Name, size: len(t.Text), token: stored}, nil
}

// beginToken judges a token, which is all in the header section. If there are fingerprints,
// it begins to hash what makes the delivery.
func (c *Check) beginToken(d *Delivery) error {
	c.mac, c.size = nil, 0
	if err := c.findToken(d); err != nil {
		return err
	}
	if c.verifier.printKey == nil {
		return nil
	}
	if err := c.render(d); err != nil {
		return withToken(err)
	}
	if c.hasher == nil {
		c.hasher = sha256.New()
	}
	c.mac = c.hasher
	c.open(c.mac)
	return nil
}

// findToken finds the token that the field has. Hashes have one length, and all of them are
// compared, so that the time says neither how much of a token is right nor which one it is.
func (c *Check) findToken(d *Delivery) error {
	lines := d.Header[c.verifier.scheme.headers[0]]
	switch {
	case len(lines) == 0:
		return refusal.TokenMissing
	case len(lines) > 1:
		return refusal.TokenAmbiguous
	}
	c.frame = append(c.frame[:0], lines[0]...)
	digest := sha256.Sum256(c.frame)
	clear(c.frame) // the check waits for the next delivery
	c.keys = nil
	for i, key := range c.verifier.keys {
		if key.token.holds(&digest) && c.keys == nil {
			c.keys = c.verifier.keys[i : i+1]
		}
	}
	if c.keys == nil {
		return refusal.TokenMismatch
	}
	return nil
}

// holds compares hashes in constant time.
func (t *storedToken) holds(digest *[sha256.Size]byte) bool {
	return hmac.Equal(digest[:], t.digest[:])
}

// withToken turns the refusal of a field that makes a delivery into one of a token gate.
func withToken(err error) error {
	if err == refusal.MissingSignature { //nolint:errorlint // render returns it unwrapped
		return refusal.TokenMissing
	}
	return refusal.TokenAmbiguous
}

// endToken gives the verdict that Begin has found.
func (c *Check) endToken() Match {
	m := Match{Secret: c.keys[0].name, key: c.keys[0]}
	if c.mac != nil {
		c.frame = c.sum(c.mac, c.frame[:0])
		c.seal(&m)
	}
	return m
}
