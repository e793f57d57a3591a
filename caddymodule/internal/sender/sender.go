// Package sender signs deliveries as a sender does, to try a gate. It verifies nothing,
// and nothing that verifies imports it: a mistake that signing and verifying shared would
// stay hidden.
package sender

import (
	"cmp"
	"crypto"
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // to sign with an algorithm that no gate allows
	"crypto/sha1" //nolint:gosec // some senders still do
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

var hashes = map[string]func() hash.Hash{
	"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New, "sha1": sha1.New, "md5": md5.New,
}

// A Delivery is what a Signer signs.
type Delivery struct {
	Method string
	URL    string      // as the sender knows it
	Target string      // path and query of the request
	Header http.Header // the fields that the sender sends anyway
	Body   []byte
	Time   time.Time
}

// A Field is one line of a header section.
type Field struct{ Name, Value string }

// A Signer signs as one sender does.
type Signer struct {
	scheme    signature.Scheme
	key       []byte
	algorithm string
	private   crypto.Signer // instead of the key
	keyID     string
	sent      string // instead of both: the token, as the field has it
}

// New returns the signer of a scheme. No error shows the secret.
func New(scheme signature.Scheme, secret signature.Secret) (*Signer, error) {
	if err := errors.Join(scheme.Validate(), scheme.CheckKind(signature.Secrets)); err != nil {
		return nil, err
	}
	key, err := scheme.Key(secret)
	if err != nil {
		return nil, fmt.Errorf("secret %q %w", secret.Name, err)
	}
	s := newSigner(scheme)
	s.key = key
	return s, nil
}

// newSigner returns a signer without a key.
func newSigner(scheme signature.Scheme) *Signer {
	scheme = scheme.WithDefaults()
	s := &Signer{scheme: scheme}
	if len(scheme.Algorithms) > 0 { // a token has none
		s.algorithm = scheme.Algorithms[0]
	}
	return s
}

// Using returns a signer with another algorithm, even one that the scheme forbids.
func (s Signer) Using(algorithm string) (*Signer, error) {
	if hashes[algorithm] == nil {
		return nil, fmt.Errorf("unknown algorithm %q; known are sha256, sha384, sha512, sha1 and md5", algorithm)
	}
	s.algorithm = algorithm
	return &s, nil
}

// Disallowed returns an algorithm that the scheme does not allow.
func (s Signer) Disallowed() string {
	for _, name := range []string{"sha1", "sha256"} {
		if !slices.Contains(s.scheme.Algorithms, name) {
			return name
		}
	}
	return "md5"
}

// SignatureFields returns the names of the fields that may carry the signature.
func (s Signer) SignatureFields() []string { return s.scheme.Headers }

// Sign returns the fields that are signed, with the signature last. It takes their
// values from the delivery, and makes up those that the delivery does not have.
func (s Signer) Sign(d Delivery) []Field {
	var fields []Field
	stamp := s.stamp(d.Time)
	if name := s.scheme.Timestamp; name != "" && name != "{ts}" {
		stamp = cmp.Or(value(d.Header, name), stamp)
		fields = append(fields, Field{name, stamp})
	}
	values := map[string]string{
		"ts": stamp, "nonce": s.token(), "method": d.Method, "url": d.URL, "path_query": d.Target, "body": string(d.Body),
		"lf": "\n", "cr": "\r", "tab": "\t",
	}
	hashBody(values, d.Body)
	for _, name := range placeholders(s.scheme.Payload) {
		field, ok := strings.CutPrefix(name, "header.")
		if !ok || values[name] != "" {
			continue
		}
		values[name] = cmp.Or(value(d.Header, field), s.token())
		fields = append(fields, Field{field, values[name]})
	}
	if s.scheme.KeyID != "" {
		fields = append(fields, Field{s.scheme.KeyID, cmp.Or(value(d.Header, s.scheme.KeyID), s.keyID)})
	}
	if s.sent != "" {
		return append(fields, Field{s.scheme.Headers[0], s.sent})
	}
	message := []byte(fill(s.scheme.Payload, values))
	return append(fields, Field{s.scheme.Headers[0], s.signature(s.sum(message), stamp, values["nonce"])})
}

// hashBody adds the hashes of a body in each of their forms.
func hashBody(values map[string]string, body []byte) {
	short, long := sha256.Sum256(body), sha512.Sum512(body)
	for name, sum := range map[string][]byte{"body_sha256": short[:], "body_sha512": long[:]} {
		values[name] = hex.EncodeToString(sum)
		values[name+"_base64"] = base64.StdEncoding.EncodeToString(sum)
	}
}

// sum makes the digest or the signature of a message.
func (s Signer) sum(message []byte) []byte {
	if s.private != nil {
		return s.signPrivate(message)
	}
	mac := hmac.New(hashes[s.algorithm], s.key)
	_, _ = mac.Write(message)
	return mac.Sum(nil)
}

// value returns the value of a field, whatever the case of its name.
func value(header http.Header, name string) string {
	for have, values := range header {
		if strings.EqualFold(have, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// signature returns the value of the signature field.
func (s Signer) signature(digest []byte, stamp, nonce string) string {
	pattern := s.scheme.Signature
	if list, ok := strings.CutSuffix(pattern, "..."); ok {
		pattern = list[:len(list)-1] // the separator
	}
	pattern = strings.Replace(pattern, "{raw_", "{", 1) // the digest is raw already
	return fill(pattern, map[string]string{
		"alg": s.algorithm, "ts": stamp, "nonce": nonce,
		"hex":       hex.EncodeToString(digest),
		"base64":    base64.StdEncoding.EncodeToString(digest),
		"base64url": base64.RawURLEncoding.EncodeToString(digest),
	})
}

func (s Signer) stamp(at time.Time) string {
	switch s.scheme.TimestampUnit {
	case "ms":
		return strconv.FormatInt(at.UnixMilli(), 10)
	case "http":
		return at.UTC().Format(http.TimeFormat)
	case "rfc3339":
		return at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	return strconv.FormatInt(at.Unix(), 10)
}

// token makes up an id. The id has no character of the text around it, which could end
// it too early.
func (s Signer) token() string {
	text := fill(s.scheme.Payload, nil)
	alphabet := strings.Map(func(r rune) rune {
		if strings.ContainsRune(text, r) {
			return -1
		}
		return r
	}, "abcdefghijklmnopqrstuvwxyz0123456789")
	token := make([]byte, 24)
	for i := range token {
		token[i] = alphabet[rand.IntN(len(alphabet))] //nolint:gosec // an id, not a secret
	}
	return string(token)
}

// placeholders returns the names between braces. New has validated the template.
func placeholders(template string) (names []string) {
	for _, part := range strings.Split(template, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}

// fill replaces the placeholders with their values.
func fill(template string, values map[string]string) string {
	parts := strings.Split(template, "{")
	for i, part := range parts[1:] {
		name, text, _ := strings.Cut(part, "}")
		parts[i+1] = values[name] + text
	}
	return strings.Join(parts, "")
}
