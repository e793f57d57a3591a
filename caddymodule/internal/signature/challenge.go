package signature

import (
	"cmp"
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
// Some checks have no signature. They are judged by the header section alone, except
// where the sender writes its token into the body. Other checks are signed deliveries, and
// are looked at only after the signature was verified. What is sent back is bounded in
// length and alphabet: see isHarmless.
type Challenge struct {
	kind challengeKind
	args []string
}

// A Request is what the header section of a request says that may be a check.
type Request struct {
	Method string
	Header http.Header
	Query  string // as it arrived
	Length int64  // of the body, as it was announced; -1: it was not
}

// An Answer is what the sender wants to see.
type Answer struct {
	Status      int // 0: 200
	ContentType string
	Fields      map[string]string // beside those that every answer has
	Body        string
}

// Bounds of what is echoed or signed for a sender, and of a check's body, in bytes.
const (
	maxToken         = 512
	maxKeyedToken    = 64
	maxChallengeBody = 4 << 10
)

// A challengeKind is one row of the table below.
type challengeKind struct {
	name     string
	min, max int                // how many arguments
	argument string             // what they are, for error texts
	secret   bool               // whether they are secrets, such as a verify token
	check    func(string) error // what an argument may be; nil: see checkArgument

	signed bool   // the check is a signed delivery
	method string // of an unsigned one
	body   bool   // read looks at the body, which is JSON
	// head says of an unsigned check with a body whether a header section is one's, so that
	// no other request has its body read.
	head func(http.Header) bool
	// late says that a gate with tokens answers the check also where it has the right
	// token: a field that no delivery has names it. With the check in its body, that gate
	// does so only then.
	late bool
	// read finds the token in a request that is the check. There may be none, and then it
	// is empty.
	read func(c *Challenge, q question) (token string, ok bool)
	// fits tells tokens that are answered; nil: isHarmless.
	fits func(token string) bool
	// answer writes the token, or its MAC, as the sender wants it.
	answer func(token string, q question) Answer
	// sums says that the answer holds a MAC, so that only a secret can give it.
	sums bool
	// keyed are the letters of the tokens that strangers have signed with the secret. Empty:
	// none. See Forgeable.
	keyed string
}

// A question is a request as a row reads it.
type question struct {
	header   http.Header
	query    url.Values
	document any                      // the body of a check that has one
	sum      func(text string) []byte // HMAC-SHA256; nil unless the gate has secrets
}

// challenges is every kind, with its source.
var challenges = []challengeKind{
	// W3C WebSub, section 5.3; Meta, "Verification Requests". Only subscriptions: an
	// unsubscription that nobody here asked for is an attack.
	{name: "hub", min: 1, max: 1, argument: "<verify_token>", secret: true, method: http.MethodGet, read: hubToken, answer: plain},
	{name: "websub", min: 1, max: 64, argument: "<topic>...", method: http.MethodGet, read: hubTopic, answer: plain},
	// Dropbox, "Webhooks: the verification request".
	{name: "dropbox", method: http.MethodGet, read: parameter("challenge"), fits: upTo(maxToken), answer: plain},
	// X, "Securing webhooks: challenge-response checks".
	{
		name: "x", method: http.MethodGet, read: parameter("crc_token"), fits: upTo(maxKeyedToken), answer: crc,
		sums: true, keyed: tokenLetters,
	},
	// LinkedIn, "Webhooks: validation of webhook endpoints". Its deliveries sign "hmacsha256="
	// and the body, so that a code of any letters would be a delivery. It is a UUID.
	{
		name: "linkedin", method: http.MethodGet, read: parameter("challengeCode"), fits: isUUID, answer: linkedIn,
		sums: true, keyed: uuidLetters,
	},
	// Oura API v2, "Webhook subscription".
	{name: "oura", min: 1, max: 1, argument: "<verify_token>", secret: true, method: http.MethodGet, read: ouraToken, answer: member("challenge")},
	// Trello, "Webhooks: creating"; Intercom, "Webhooks: setting up"; Circle, "Webhooks:
	// endpoint configuration".
	{name: "head", method: http.MethodHead, read: nothing, fits: isNone, answer: fixed(Answer{})},
	// Okta, "Event hooks: one-time verification request".
	{name: "okta", method: http.MethodGet, read: field("X-Okta-Verification-Challenge"), answer: member("verification"), late: true},
	// CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery", section 4. A callback by which
	// the permission could be given later is not fetched: anyone could name one. An asterisk
	// would let every origin deliver.
	{
		name: "cloudevents", min: 1, max: 64, argument: "<origin>...", check: checkOrigin,
		method: http.MethodOptions, read: eventOrigin, answer: allowOrigin, late: true,
	},
	// Azure Event Grid, "Endpoint validation with Event Grid event schema". Its validationUrl
	// is not fetched either.
	{
		name: "eventgrid", method: http.MethodPost, body: true, head: isValidation, read: validationCode,
		answer: member("validationResponse"), late: true,
	},
	// Microsoft Graph, "Receive change notifications through webhooks: notificationUrl
	// validation"; SharePoint, "Create a new subscription".
	{name: "graph", method: http.MethodPost, read: parameter("validationToken", "validationtoken"), answer: plain},
	// Smartsheet API, "Webhook verification". The body repeats the field, and is not read.
	{name: "smartsheet", method: http.MethodPost, read: field("Smartsheet-Hook-Challenge"), answer: smartsheet},
	// RingCentral, "Creating webhooks".
	{name: "ringcentral", method: http.MethodPost, read: field("Validation-Token"), answer: ringCentral},
	// Slack, "url_verification event".
	{name: "slack", signed: true, body: true, read: event("url_verification", path{"type"}, path{"challenge"}), answer: plain},
	// Twitch, "Responding to a challenge request".
	{name: "twitch", signed: true, body: true, read: event("webhook_callback_verification_pending", path{"subscription", "status"}, path{"challenge"}), answer: plain},
	// Zoom, "Validate your webhook endpoint".
	{name: "zoom", signed: true, body: true, read: event("endpoint.url_validation", path{"event"}, path{"payload", "plainToken"}), answer: zoom, sums: true},
	// Front, "Application webhooks: validation".
	{name: "front", signed: true, body: true, read: frontToken, answer: member("challenge")},
	// Discord, "Interactions: PING" and "Webhook events: PING". Their types are two sets of
	// numbers: 1 is the PING of the one and an ordinary event of the other. What is not
	// surely a PING goes on to the app, whose library answers a PING as well. Both ask for a
	// Content-Type, even of an answer without a body.
	{name: "discord", signed: true, body: true, read: interactionPing, fits: isNone, answer: fixed(Answer{ContentType: jsonType, Body: `{"type":1}`})},
	{name: "discord-events", signed: true, body: true, read: eventPing, fits: isNone, answer: fixed(Answer{Status: http.StatusNoContent, ContentType: jsonType})},
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
	kind := challenges[slices.Index(Challenges(), name)]
	for i, arg := range args {
		if err := kind.checks(arg); err != nil {
			return nil, mistake.In(fmt.Sprintf("challenge %s, argument %d", name, i+1), "%w", err)
		}
	}
	return &Challenge{kind: kind, args: args}, nil
}

// CheckChallenge reports a kind that does not exist, or that takes another number of
// arguments. An unknown one may be the verify token, and is not shown.
func CheckChallenge(name string, arguments int) error {
	i := slices.Index(Challenges(), name)
	if i < 0 {
		set := mistake.Set{Words: Challenges(), Also: map[string]string{
			"meta": "hub", "facebook": "hub", "whatsapp": "hub", "instagram": "hub", "pubsubhubbub": "websub", "twitter": "x",
			"microsoft": "graph", "sharepoint": "graph", "onedrive": "graph", "outlook": "graph", "azure": "eventgrid",
			"trello": "head", "intercom": "head", "circle": "head",
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

func (k *challengeKind) checks(arg string) error {
	if err := checkArgument(arg); err != nil || k.check == nil {
		return err
	}
	return k.check(arg)
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

// checkOrigin takes what a sender of CloudEvents calls itself: a DNS name. An asterisk
// would allow everyone.
func checkOrigin(arg string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
	switch {
	case arg == "*":
		return errors.New("an asterisk would let every origin deliver; write the name that the sender sends in WebHook-Request-Origin, such as eventgrid.azure.net")
	case strings.Trim(arg, letters) != "":
		return errors.New("an origin is a host name alone; write for example: challenge cloudevents eventgrid.azure.net")
	}
	return nil
}

// HasSecrets reports whether the arguments of a kind of challenge are secrets.
func HasSecrets(kind string) bool {
	return slices.ContainsFunc(challenges, func(c challengeKind) bool { return c.name == kind && c.secret })
}

// IsOracle reports whether a kind of challenge has strangers' texts signed.
func IsOracle(kind string) bool {
	return slices.ContainsFunc(challenges, func(c challengeKind) bool { return c.name == kind && c.keyed != "" })
}

// Kind returns the name of its kind; of no challenge, "".
func (c *Challenge) Kind() string {
	if c == nil {
		return ""
	}
	return c.kind.name
}

// Method returns the method of the check, or "" if it is a signed delivery.
func (c *Challenge) Method() string { return c.kind.method }

// Arguments returns what it was made with. A verify token is among them.
func (c *Challenge) Arguments() []string { return c.args }

// Oracle returns the kind of a challenge that gives strangers a MAC under the secret, see
// Forgeable, or "".
func (c *Challenge) Oracle() string {
	if c == nil || c.kind.keyed == "" {
		return ""
	}
	return c.kind.name
}

// CheckScheme reports why gates with a scheme cannot have the challenge.
func (c *Challenge) CheckScheme(s Scheme) error {
	switch {
	case c == nil:
		return nil
	case c.kind.sums && s.Kind() != Secrets:
		return mistake.In("challenge", "the answer of %s is made with a secret, and this gate has a %s instead; remove the option",
			c.kind.name, strings.ReplaceAll(s.Kind().String(), "_", " "))
	case c.kind.keyed != "" && !strings.Contains(cmp.Or(s.Payload, DefaultPayload), "{body}"):
		// A digest of the body is what a stranger can have signed: see Forgeable.
		return mistake.In("challenge", "%s has texts signed for strangers, and only a payload with {body} itself tells them from deliveries; remove the option, or write {body} into payload", c.kind.name)
	}
	return nil
}

// Answer answers a check that the header section makes up alone. A request that carries a
// signature or a token is a delivery, whatever else it says: answered here, it would be
// lost.
func (c *Challenge) Answer(r *Request, v *Verifier) (Answer, bool) {
	if c.kind.body || !c.asks(r) || v.carries(r.Header) {
		return Answer{}, false
	}
	return c.respond(r, nil, v.keys[0])
}

// ReadsBody reports whether a request without a signature is a check as far as its header
// section says, so that its body has to be read. A gate with tokens asks for one first.
func (c *Challenge) ReadsBody(r *Request, v *Verifier) bool {
	return c.kind.body && c.asks(r) && !v.carries(r.Header) && v.scheme.token == nil
}

// AnswerUnsigned answers a check of which the body was read because of ReadsBody.
func (c *Challenge) AnswerUnsigned(r *Request, body []byte, v *Verifier) (Answer, bool) {
	if !c.ReadsBody(r, v) {
		return Answer{}, false
	}
	return c.respond(r, body, v.keys[0])
}

// WantsVerified reports whether a verified delivery with a body of that size may be the
// check.
func (c *Challenge) WantsVerified(r *Request, size int64, m Match) bool {
	if size > maxChallengeBody {
		return false
	}
	return c.kind.signed || c.kind.late && !m.Signed() && c.asks(r)
}

// AnswerVerified answers a verified delivery that is the check.
func (c *Challenge) AnswerVerified(r *Request, body []byte, m Match) (Answer, bool) {
	if m.key == nil || !c.WantsVerified(r, int64(len(body)), m) {
		return Answer{}, false
	}
	return c.respond(r, body, m.key)
}

// asks reports whether a request without a signature may be the check. Of a body no more is
// taken than a check has, and only if its length is known: what is refused costs no more
// than any other refusal.
func (c *Challenge) asks(r *Request) bool {
	if c.kind.signed || r.Method != c.kind.method {
		return false
	}
	if c.kind.head != nil && !c.kind.head(r.Header) {
		return false
	}
	return r.Method != http.MethodPost || r.Length >= 0 && r.Length <= maxChallengeBody
}

// carries reports whether a header section has a field with a signature or a token.
func (v *Verifier) carries(header http.Header) bool {
	return slices.ContainsFunc(v.scheme.headers, func(field string) bool { return len(header[field]) > 0 })
}

// respond answers what its row reads as the check, if the token fits.
func (c *Challenge) respond(r *Request, body []byte, key *keyring) (Answer, bool) {
	q := question{header: r.Header, sum: key.sum}
	var err error
	if q.query, err = url.ParseQuery(r.Query); err != nil && !c.kind.signed {
		return Answer{}, false
	}
	if c.kind.body && json.Unmarshal(body, &q.document) != nil {
		return Answer{}, false
	}
	token, ok := c.kind.read(c, q)
	fits := c.kind.fits
	if fits == nil {
		fits = isHarmless
	}
	if !ok || !fits(token) {
		return Answer{}, false
	}
	return c.kind.answer(token, q), true
}

// Forgeable reports whether anyone could have had this body signed. The checks of X and of
// LinkedIn answer every GET with the HMAC of a token of the caller's choice, under the
// secret that signs deliveries. Whatever a payload writes around the body, the message is
// such a token only if the body is made of the same letters and is no longer. Such a body
// (those of both senders are JSON objects) is no delivery.
func (c *Challenge) Forgeable(body []byte) bool {
	return c.MayForge(int64(len(body))) && strings.Trim(string(body), c.kind.keyed) == ""
}

// MayForge reports whether bodies of that size have to be shown to Forgeable.
func (c *Challenge) MayForge(size int64) bool { return c.kind.keyed != "" && size <= maxKeyedToken }
