package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// This file holds what the rows of challenges are made of: which tokens are taken, where
// they are in a request, and how they are answered.

const (
	tokenLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	uuidLetters  = "0123456789abcdef-"
)

func isToken(s string) bool { return strings.Trim(s, tokenLetters) == "" }

// upTo takes letters, digits, '-' and '_'.
func upTo(longest int) func(string) bool {
	return func(token string) bool { return token != "" && len(token) <= longest && isToken(token) }
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// isUUID takes a UUID as RFC 9562 writes it, section 4.
func isUUID(token string) bool { return len(token) == 36 && uuid.MatchString(token) }

// isHarmless reports whether a token may be echoed. Whoever sends it chooses the body
// of an answer, in front of which other handlers may stand: `templates` would run
// {{env "S"}} and show a secret. What opens a template, a page, a placeholder, a
// string or a percent code is therefore not echoed, in part or whole. Blank, colon
// and slash are: some senders ask for a sentence or a URL.
func isHarmless(token string) bool {
	return token != "" && len(token) <= maxToken && strings.Trim(token, tokenLetters+" .:+/=~") == ""
}

// isNone is for checks without a token.
func isNone(token string) bool { return token == "" }

// one returns a parameter that is in the query exactly once.
func one(q url.Values, name string) string {
	if len(q[name]) != 1 {
		return ""
	}
	return q[name][0]
}

// parameter takes the token from the one parameter that has one of the names.
func parameter(names ...string) func(*Challenge, question) (string, bool) {
	return func(_ *Challenge, q question) (string, bool) {
		var all []string
		for _, name := range names {
			all = append(all, q.query[name]...)
		}
		if len(all) != 1 {
			return "", false
		}
		return all[0], true
	}
}

// field takes the token from a field that is there exactly once. The name is canonical.
func field(name string) func(*Challenge, question) (string, bool) {
	return func(_ *Challenge, q question) (string, bool) { return oneLine(q.header, name) }
}

func oneLine(header http.Header, name string) (string, bool) {
	if len(header[name]) != 1 {
		return "", false
	}
	return header[name][0], true
}

func nothing(*Challenge, question) (string, bool) { return "", true }

// hubChallenge returns the token of a subscription check.
func hubChallenge(q question) (string, bool) {
	return one(q.query, "hub.challenge"), one(q.query, "hub.mode") == "subscribe"
}

func hubToken(c *Challenge, q question) (string, bool) {
	token, ok := hubChallenge(q)
	return token, sameText(one(q.query, "hub.verify_token"), c.args[0]) && ok
}

func hubTopic(c *Challenge, q question) (string, bool) {
	token, ok := hubChallenge(q)
	return token, ok && slices.Contains(c.args, one(q.query, "hub.topic"))
}

func ouraToken(c *Challenge, q question) (string, bool) {
	return one(q.query, "challenge"), sameText(one(q.query, "verification_token"), c.args[0])
}

// sameText compares in a time that tells nothing, not even the length.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return hmac.Equal(x[:], y[:])
}

// eventOrigin takes an origin of the configuration. A browser's preflight is OPTIONS too, and
// has a field of its own (Fetch standard, "CORS-preflight request").
func eventOrigin(c *Challenge, q question) (string, bool) {
	origin, ok := oneLine(q.header, "Webhook-Request-Origin")
	_, rated := allowedRate(q.header)
	return origin, ok && rated && slices.Contains(c.args, origin) && len(q.header["Access-Control-Request-Method"]) == 0
}

// allowedRate allows what is asked for, in deliveries a minute: the gate has no limit of its
// own.
func allowedRate(header http.Header) (string, bool) {
	const asked = "Webhook-Request-Rate"
	if len(header[asked]) == 0 {
		return "*", true
	}
	rate, ok := oneLine(header, asked)
	return rate, ok && rate != "" && rate[0] != '0' && len(rate) <= 9 && strings.Trim(rate, "0123456789") == ""
}

func allowOrigin(origin string, q question) Answer {
	rate, _ := allowedRate(q.header)
	return Answer{Fields: map[string]string{"Allow": http.MethodPost, "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": rate}}
}

// isValidation tells Event Grid's check from its events, which say Notification.
func isValidation(header http.Header) bool {
	kind, _ := oneLine(header, "Aeg-Event-Type")
	return kind == "SubscriptionValidation"
}

// validationCode takes the code of the one event in the array.
func validationCode(_ *Challenge, q question) (string, bool) {
	events, _ := q.document.([]any)
	if len(events) != 1 || text(events[0], path{"eventType"}) != "Microsoft.EventGrid.SubscriptionValidationEvent" {
		return "", false
	}
	return text(events[0], path{"data", "validationCode"}), true
}

// frontToken takes the token from a field that is not signed. Who changes it in a captured
// check has another text sent back, and nothing else.
func frontToken(_ *Challenge, q question) (string, bool) {
	token, ok := oneLine(q.header, "X-Front-Challenge")
	return token, ok && text(q.document, path{"type"}) == "sync"
}

// event takes the token of a body that says what it is.
func event(name string, where, token path) func(*Challenge, question) (string, bool) {
	return func(_ *Challenge, q question) (string, bool) {
		return text(q.document, token), text(q.document, where) == name
	}
}

// interactionPing also asks for the token that every interaction has, and no event.
func interactionPing(_ *Challenge, q question) (string, bool) {
	fields, _ := q.document.(map[string]any)
	token, _ := fields["token"].(string)
	return "", fields["type"] == 1.0 && token != "" && !has(fields, "event")
}

func eventPing(_ *Challenge, q question) (string, bool) {
	fields, _ := q.document.(map[string]any)
	return "", fields["type"] == 0.0 && !has(fields, "event")
}

func has(document map[string]any, name string) bool {
	_, ok := document[name]
	return ok
}

// A path leads to a value in a JSON document.
type path []string

// text returns the string at a path, or "".
func text(document any, where path) string {
	for _, name := range where {
		fields, _ := document.(map[string]any)
		document = fields[name]
	}
	s, _ := document.(string)
	return s
}

const jsonType = "application/json"

func plain(token string, _ question) Answer {
	return Answer{ContentType: "text/plain; charset=utf-8", Body: token}
}

func fixed(a Answer) func(string, question) Answer {
	return func(string, question) Answer { return a }
}

// member writes the token as the one member of a JSON object.
func member(name string) func(string, question) Answer {
	return func(token string, _ question) Answer { return object(map[string]string{name: token}) }
}

func crc(token string, q question) Answer {
	return object(map[string]string{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(q.sum(token))})
}

func linkedIn(code string, q question) Answer {
	return object(map[string]string{"challengeCode": code, "challengeResponse": hex.EncodeToString(q.sum(code))})
}

func zoom(token string, q question) Answer {
	return object(map[string]string{"plainToken": token, "encryptedToken": hex.EncodeToString(q.sum(token))})
}

func smartsheet(token string, _ question) Answer {
	a := object(map[string]string{"smartsheetHookResponse": token})
	a.Fields = map[string]string{"Smartsheet-Hook-Response": token}
	return a
}

func ringCentral(token string, _ question) Answer {
	return Answer{Fields: map[string]string{"Validation-Token": token}}
}

// object writes fields as a JSON object.
func object(fields map[string]string) Answer {
	body, _ := json.Marshal(fields) // a map of strings always has a JSON text
	return Answer{ContentType: jsonType, Body: string(body)}
}
