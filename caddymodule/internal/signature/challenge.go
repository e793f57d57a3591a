package signature

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// A Challenge is how a sender checks an endpoint before it delivers to it. It is
// answered instead of forwarded; what does not fit it exactly is a delivery like
// any other.
//
// Some challenges are queries without a signature. Others are signed bodies, and are
// looked at only after the signature was verified. Either echoes a token that is
// bounded in length and alphabet: see isHarmless.
type Challenge struct {
	kind challengeKind
	args []string
}

// An Answer is what the sender wants to see.
type Answer struct {
	Status      int // 0: 200
	ContentType string
	Body        string
}

// Bounds of what is echoed or signed for a sender, in bytes.
const (
	maxToken         = 512
	maxKeyedToken    = 64
	maxChallengeBody = 4 << 10
)

// A challengeKind is one row of the table below.
type challengeKind struct {
	name     string
	min, max int    // how many arguments
	argument string // what they are, for error texts
	secret   bool   // whether they are secrets, such as a verify token
	// query answers a GET by its query alone.
	query func(c *Challenge, q url.Values) (token string, ok bool)
	// path and value tell a challenge from other bodies, token is where the token
	// stands in it.
	path  []string
	value string
	token []string
	// answer writes the token, or its MAC, as the sender wants it.
	answer func(token string, sum func(string) []byte) Answer
	// keyed says that a query is answered with a MAC under the secret, see Forgeable.
	keyed bool
	// sums says that the answer holds a MAC, so that public keys cannot give it.
	sums bool
	// ping tells a challenge without a token from other bodies, and pong answers it.
	ping func(document map[string]any) bool
	pong Answer
}

// challenges is every kind, with its source.
var challenges = []challengeKind{
	// W3C WebSub, section 5.3; Meta, "Verification Requests". Only subscriptions: an
	// unsubscription that nobody here asked for is an attack.
	{name: "hub", min: 1, max: 1, argument: "<verify_token>", secret: true, query: hubToken, answer: plain},
	{name: "websub", min: 1, max: 64, argument: "<topic>...", query: hubTopic, answer: plain},
	// Dropbox, "Webhooks: the verification request".
	{name: "dropbox", query: echo("challenge", maxToken), answer: plain},
	// X, "Securing webhooks: challenge-response checks". See Forgeable.
	{name: "x", query: echo("crc_token", maxKeyedToken), answer: crc, keyed: true, sums: true},
	// Slack, "url_verification event".
	{name: "slack", path: []string{"type"}, value: "url_verification", token: []string{"challenge"}, answer: plain},
	// Twitch, "Responding to a challenge request".
	{name: "twitch", path: []string{"subscription", "status"}, value: "webhook_callback_verification_pending", token: []string{"challenge"}, answer: plain},
	// Zoom, "Validate your webhook endpoint".
	{name: "zoom", path: []string{"event"}, value: "endpoint.url_validation", token: []string{"payload", "plainToken"}, answer: zoom, sums: true},
	// Discord, "Interactions: PING" and "Webhook events: PING". Their types are two sets of
	// numbers: 1 is the PING of the one and an ordinary event of the other. What is not
	// surely a PING goes on to the app, whose library answers a PING as well. Both ask for a
	// Content-Type, even of an answer without a body.
	{name: "discord", ping: isInteractionPing, pong: Answer{ContentType: "application/json", Body: `{"type":1}`}},
	{name: "discord-events", ping: isEventPing, pong: Answer{Status: http.StatusNoContent, ContentType: "application/json"}},
}

// isInteractionPing also asks for the token that every interaction has, and no event.
func isInteractionPing(document map[string]any) bool {
	token, _ := document["token"].(string)
	return document["type"] == 1.0 && token != "" && !has(document, "event")
}

func isEventPing(document map[string]any) bool {
	return document["type"] == 0.0 && !has(document, "event")
}

func has(document map[string]any, name string) bool {
	_, ok := document[name]
	return ok
}

// Challenges returns the names of all kinds.
func Challenges() []string {
	names := make([]string, len(challenges))
	for i := range challenges {
		names[i] = challenges[i].name
	}
	return names
}

// NewChallenge returns the challenge of that name. No error shows an argument: the
// verify token is a secret.
func NewChallenge(name string, args []string) (*Challenge, error) {
	if err := CheckChallenge(name, len(args)); err != nil {
		return nil, err
	}
	for i, arg := range args {
		if err := checkArgument(arg); err != nil {
			return nil, mistake.In(fmt.Sprintf("challenge %s, argument %d", name, i+1), "%w", err)
		}
	}
	return &Challenge{kind: challenges[slices.Index(Challenges(), name)], args: args}, nil
}

// CheckChallenge reports a kind that does not exist, or that takes another number of
// arguments. An unknown one may be the verify token, and is not shown.
func CheckChallenge(name string, arguments int) error {
	i := slices.Index(Challenges(), name)
	if i < 0 {
		set := mistake.Set{Words: Challenges(), Also: map[string]string{
			"meta": "hub", "facebook": "hub", "whatsapp": "hub", "instagram": "hub", "pubsubhubbub": "websub", "twitter": "x",
		}}
		if near := set.Near(name); near != nil {
			return mistake.In("challenge", "unknown kind; did you mean %s?", mistake.Either(near))
		}
		return mistake.In("challenge", "the first argument is none of the kinds; write %s", mistake.Either(set.Words))
	}
	kind := challenges[i]
	if arguments < kind.min || arguments > kind.max {
		return mistake.In("challenge", "%s takes %s, not %d; write: challenge %s", name, cmp.Or(kind.argument, "no argument"), arguments,
			strings.TrimSpace(name+" "+kind.argument))
	}
	return nil
}

// checkArgument refuses what no sender can send: its form has one line, and drops white
// space at the ends. Every check would be refused, and nobody would see why. It is not
// trimmed, because a file that holds more than the token holds something else.
func checkArgument(arg string) error {
	switch {
	case arg == "":
		return errors.New("it is empty")
	case strings.TrimSpace(arg) != arg:
		return errors.New("it begins or ends with white space or a line break, which no sender sends; take it out of the variable or file")
	case strings.ContainsFunc(arg, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("it has an invisible character in it, which no sender sends; write it again")
	}
	return nil
}

// HasSecrets reports whether the arguments of a kind of challenge are secrets.
func HasSecrets(kind string) bool {
	return slices.ContainsFunc(challenges, func(c challengeKind) bool { return c.name == kind && c.secret })
}

// Oracle returns the kind of a challenge that gives strangers a MAC under the secret, see
// Forgeable, or "".
func (c *Challenge) Oracle() string {
	if c == nil || !c.kind.keyed {
		return ""
	}
	return c.kind.name
}

// AnswerQuery answers a GET, if its query is the challenge. A GET that carries a
// signature is a delivery, whatever its query says: answered here, it would be lost.
func (c *Challenge) AnswerQuery(header http.Header, q url.Values, v *Verifier) (Answer, bool) {
	if c.kind.query == nil || v.mayBeSigned(header) {
		return Answer{}, false
	}
	token, ok := c.kind.query(c, q)
	if !ok {
		return Answer{}, false
	}
	return c.kind.answer(token, v.keys[0].sum), true // with public keys, sum is nil, and no answer calls it: see NeedsSecret
}

// NeedsSecret reports whether the answer holds a MAC, which no public key can make.
func (c *Challenge) NeedsSecret() bool { return c != nil && c.kind.sums }

// mayBeSigned reports whether a header section carries a signature field.
func (v *Verifier) mayBeSigned(header http.Header) bool {
	return slices.ContainsFunc(v.scheme.headers, func(field string) bool { return len(header[field]) > 0 })
}

// Kind returns the name of its kind; of no challenge, "".
func (c *Challenge) Kind() string {
	if c == nil {
		return ""
	}
	return c.kind.name
}

// WantsBody reports whether a verified body of that size may be the challenge.
func (c *Challenge) WantsBody(size int64) bool {
	return c.kind.query == nil && size <= maxChallengeBody
}

// AnswerBody answers a verified delivery, if its body is the challenge.
func (c *Challenge) AnswerBody(body []byte, v *Verifier, m Match) (Answer, bool) {
	if c.kind.query != nil {
		return Answer{}, false
	}
	var document any
	if json.Unmarshal(body, &document) != nil {
		return Answer{}, false
	}
	if c.kind.ping != nil {
		fields, _ := document.(map[string]any)
		return c.kind.pong, c.kind.ping(fields)
	}
	if text(document, c.kind.path) != c.kind.value {
		return Answer{}, false
	}
	token := text(document, c.kind.token)
	if !isHarmless(token) {
		return Answer{}, false
	}
	return c.kind.answer(token, cmp.Or(m.key, v.keys[0]).sum), true
}

// Forgeable reports whether anyone could have had this body signed: X's check
// answers every GET with the HMAC of a token of the caller's choice, under the
// secret that signs deliveries. Tokens are therefore letters, digits, '-' and '_'
// alone, and a body that is nothing else (X's are JSON objects) is no delivery.
func (c *Challenge) Forgeable(body []byte) bool {
	return c.kind.keyed && len(body) <= maxKeyedToken && isToken(string(body))
}

// MayForge reports whether bodies of that size have to be shown to Forgeable.
func (c *Challenge) MayForge(size int64) bool { return c.kind.keyed && size <= maxKeyedToken }

const tokenLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func isToken(s string) bool { return strings.Trim(s, tokenLetters) == "" }

// isHarmless reports whether a token may be echoed. Whoever sends it chooses the body
// of an answer, in front of which other handlers may stand: `templates` would run
// {{env "S"}} and show a secret. What opens a template, a page, a placeholder, a
// string or a percent code is therefore not echoed, in part or whole. Blank, colon
// and slash are: some senders ask for a sentence or a URL.
func isHarmless(token string) bool {
	return token != "" && len(token) <= maxToken && strings.Trim(token, tokenLetters+" .:+/=~") == ""
}

// one returns a parameter that stands in the query exactly once.
func one(q url.Values, name string) string {
	if len(q[name]) != 1 {
		return ""
	}
	return q[name][0]
}

// hubChallenge returns the token of a subscription check.
func hubChallenge(q url.Values) (string, bool) {
	token := one(q, "hub.challenge")
	return token, one(q, "hub.mode") == "subscribe" && isHarmless(token)
}

func hubToken(c *Challenge, q url.Values) (string, bool) {
	token, ok := hubChallenge(q)
	return token, sameText(one(q, "hub.verify_token"), c.args[0]) && ok
}

func hubTopic(c *Challenge, q url.Values) (string, bool) {
	token, ok := hubChallenge(q)
	return token, ok && slices.Contains(c.args, one(q, "hub.topic"))
}

// sameText compares in a time that tells nothing, not even the length.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}

// echo takes the token from one parameter.
func echo(name string, longest int) func(*Challenge, url.Values) (string, bool) {
	return func(_ *Challenge, q url.Values) (string, bool) {
		token := one(q, name)
		return token, token != "" && len(token) <= longest && isToken(token)
	}
}

func plain(token string, _ func(string) []byte) Answer {
	return Answer{ContentType: "text/plain; charset=utf-8", Body: token}
}

func crc(token string, sum func(string) []byte) Answer {
	return object(map[string]string{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(sum(token))})
}

func zoom(token string, sum func(string) []byte) Answer {
	return object(map[string]string{"plainToken": token, "encryptedToken": hex.EncodeToString(sum(token))})
}

// object writes fields as a JSON object.
func object(fields map[string]string) Answer {
	body, _ := json.Marshal(fields) // a map of strings always has a JSON text
	return Answer{ContentType: "application/json", Body: string(body)}
}

// text returns the string at path in a JSON document, or "".
func text(document any, path []string) string {
	for _, name := range path {
		fields, _ := document.(map[string]any)
		document = fields[name]
	}
	s, _ := document.(string)
	return s
}
