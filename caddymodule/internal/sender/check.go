package sender

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A Check is what a sender asks before it delivers, and the answer that it wants.
type Check struct {
	Method string
	Query  url.Values
	Fields []Field
	Body   string
	// Signed says that it is a signed delivery. Token says that a gate with a token answers
	// it only with the token.
	Signed bool
	Token  bool

	want expected
}

// An expected answer. Text that is a JSON object is compared by its values.
type expected struct {
	status int // 0: 200
	fields []Field
	body   string
	mac    func(token string, sum []byte) string // the body, if it holds a MAC
	token  string
}

// A checkKind is how one kind of challenge is asked: with a token, and with an argument of
// the gate. It is written anew from what the senders document, and shares nothing with what
// answers it.
type checkKind struct {
	argument string // what another argument would be called; empty: it has none
	token    func() string
	ask      func(token, argument string) Check
}

var checkKinds = map[string]checkKind{
	"hub": {"token", digits, func(token, argument string) Check {
		return query(token, "hub.mode", "subscribe", "hub.verify_token", argument, "hub.challenge", token)
	}},
	"websub": {"topic", random, func(token, argument string) Check {
		return query(token, "hub.mode", "subscribe", "hub.topic", argument, "hub.challenge", token, "hub.lease_seconds", "864000")
	}},
	"dropbox": {"", random, func(token, _ string) Check { return query(token, "challenge", token) }},
	"x": {"", random, func(token, _ string) Check {
		c := query("", "crc_token", token)
		c.want.token, c.want.mac = token, func(_ string, sum []byte) string {
			return object("response_token", "sha256="+base64.StdEncoding.EncodeToString(sum))
		}
		return c
	}},
	"linkedin": {"", newUUID, func(code, _ string) Check {
		c := query("", "challengeCode", code, "applicationId", digits())
		c.want.token, c.want.mac = code, func(code string, sum []byte) string {
			return object("challengeCode", code, "challengeResponse", hex.EncodeToString(sum))
		}
		return c
	}},
	"oura": {"token", random, func(token, argument string) Check {
		return query(object("challenge", token), "verification_token", argument, "challenge", token)
	}},
	"head": {"", random, func(string, string) Check { return Check{Method: http.MethodHead} }},
	"okta": {"", random, func(token, _ string) Check {
		return Check{Method: http.MethodGet, Fields: []Field{{"X-Okta-Verification-Challenge", token}}, want: expected{body: object("verification", token)}}
	}},
	"cloudevents": {"origin", digits, func(rate, argument string) Check {
		return Check{
			Method: http.MethodOptions, Fields: []Field{{"WebHook-Request-Origin", argument}, {"WebHook-Request-Rate", rate}},
			want: expected{fields: []Field{{"WebHook-Allowed-Origin", argument}, {"WebHook-Allowed-Rate", rate}}},
		}
	}},
	"eventgrid": {"", newUUID, func(code, _ string) Check {
		return Check{
			Method: http.MethodPost, Fields: []Field{{"aeg-event-type", "SubscriptionValidation"}, {"Content-Type", "application/json; charset=utf-8"}}, Token: true,
			Body: `[{"id":"` + code + `","topic":"","subject":"","data":{"validationCode":"` + code + `"},` +
				`"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":"2022-10-25T22:12:19Z","metadataVersion":"1","dataVersion":"2"}]`,
			want: expected{body: object("validationResponse", code)},
		}
	}},
	"graph": {"", newUUID, func(id, _ string) Check {
		sentence := "Validation: Testing client application reachability for subscription Request-Id: " + id
		c := query(sentence, "validationToken", sentence)
		c.Method = http.MethodPost
		return c
	}},
	"smartsheet": {"", newUUID, func(token, _ string) Check {
		return Check{
			Method: http.MethodPost, Fields: []Field{{"Smartsheet-Hook-Challenge", token}}, Body: `{"challenge":"` + token + `","webhookId":1}`,
			want: expected{fields: []Field{{"Smartsheet-Hook-Response", token}}, body: object("smartsheetHookResponse", token)},
		}
	}},
	"ringcentral": {"", newUUID, func(token, _ string) Check {
		return Check{Method: http.MethodPost, Fields: []Field{{"Validation-Token", token}}, want: expected{fields: []Field{{"Validation-Token", token}}}}
	}},
	"slack": {"", random, func(token, _ string) Check {
		return signed(`{"type":"url_verification","challenge":"`+token+`"}`, expected{body: token})
	}},
	"twitch": {"", random, func(token, _ string) Check {
		return signed(`{"challenge":"`+token+`","subscription":{"status":"webhook_callback_verification_pending"}}`, expected{body: token})
	}},
	"zoom": {"", random, func(token, _ string) Check {
		return signed(`{"event":"endpoint.url_validation","payload":{"plainToken":"`+token+`"}}`, expected{token: token, mac: func(token string, sum []byte) string {
			return object("plainToken", token, "encryptedToken", hex.EncodeToString(sum))
		}})
	}},
	"front": {"", random, func(token, _ string) Check {
		c := signed(`{"type":"sync","authorization":{"id":"cmp_abc"}}`, expected{body: object("challenge", token)})
		c.Fields = []Field{{"X-Front-Challenge", token}}
		return c
	}},
	"discord": {"", random, func(token, _ string) Check {
		return signed(`{"application_id":"1","id":"2","token":"`+token+`","type":1,"version":1}`, expected{body: `{"type":1}`})
	}},
	"discord-events": {"", digits, func(id, _ string) Check {
		return signed(`{"version":1,"application_id":"`+id+`","type":0}`, expected{status: http.StatusNoContent})
	}},
}

// NewCheck returns the check of a kind of challenge, with a token that nobody knows before.
// argument is one that the gate has. It reports whether the kind is known.
func NewCheck(kind, argument string) (*Check, bool) {
	k, ok := checkKinds[kind]
	if !ok {
		return nil, false
	}
	c := k.ask(k.token(), argument)
	return &c, true
}

// WrongCheck returns a check that a gate must refuse, because it is for another one, and
// says what is wrong with it. It reports whether there is one of that kind.
func WrongCheck(kind string) (c *Check, wrong string, ok bool) {
	k := checkKinds[kind]
	if k.argument == "" {
		return nil, "", false
	}
	c, ok = NewCheck(kind, random()+".example")
	return c, k.argument, ok
}

// Answered says what is wrong with an answer. secret is the signer with the secret under
// which the gate makes MACs, or nil.
func (c *Check) Answered(status int, header http.Header, body []byte, secret *Signer) error {
	if want := cmp.Or(c.want.status, http.StatusOK); status != want {
		return fmt.Errorf("the status is %d, and the sender wants %d", status, want)
	}
	for _, field := range c.want.fields {
		if header.Get(field.Name) != field.Value {
			return fmt.Errorf("the field %s is not what the sender wants", field.Name)
		}
	}
	text := c.want.body
	if c.want.mac != nil {
		if secret == nil {
			return errors.New("it holds a MAC, and there is no secret to verify it with")
		}
		text = c.want.mac(c.want.token, secret.proof(c.want.token))
	}
	if sorted(text) != sorted(string(body)) {
		return errors.New("the body is not what the sender wants")
	}
	return nil
}

// proof is the MAC that answers hold, whatever algorithm deliveries have.
func (s Signer) proof(token string) []byte {
	mac := hmac.New(sha256.New, s.key)
	_, _ = mac.Write([]byte(token))
	return mac.Sum(nil)
}

// sorted writes a JSON object with its members in order.
func sorted(text string) string {
	var members map[string]any
	if json.Unmarshal([]byte(text), &members) != nil {
		return text
	}
	ordered, _ := json.Marshal(members) // it was JSON
	return string(ordered)
}

// query is a GET with parameters.
func query(body string, pairs ...string) Check {
	c := Check{Method: http.MethodGet, Query: make(url.Values), want: expected{body: body}}
	for i := 0; i < len(pairs); i += 2 {
		c.Query.Set(pairs[i], pairs[i+1])
	}
	return c
}

func signed(body string, want expected) Check {
	return Check{Method: http.MethodPost, Body: body, Signed: true, want: want}
}

// object is a JSON object of texts that need no escape.
func object(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, `,"%s":"%s"`, pairs[i], pairs[i+1])
	}
	return "{" + b.String()[1:] + "}"
}

func random() string { return rand.Text() }

// digits are a number of eight digits.
func digits() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = '1' + b[i]%9
	}
	return string(b[:])
}

// newUUID is one of version 4 (RFC 9562, section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
