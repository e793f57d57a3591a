package diagnosis

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A check is a request that a sender makes before it delivers. It is recognized by a
// parameter of its query, by a field or by its method.
type check struct {
	kind      string // of the challenge that answers it
	arguments string // of that challenge
	senders   string
	method    string // empty: any
	parameter string
	field     string
}

// checks lists every check that a hint can name. If the judge does not know its kind,
// something in front of the gate has to answer it.
var checks = []check{
	{kind: "hub", arguments: "<verify_token>", senders: "Meta, or a WebSub hub with a token,", parameter: "hub.verify_token"},
	{kind: "hub", arguments: "<verify_token>", senders: "Meta, or a WebSub hub with a token,", parameter: "hub_verify_token"},
	{kind: "websub", arguments: "<topic>", senders: "a WebSub hub", parameter: "hub.topic"},
	{kind: "websub", arguments: "<topic>", senders: "a WebSub hub", parameter: "hub_topic"},
	{kind: "hub", arguments: "<verify_token>", senders: "Meta, or a WebSub hub with a token,", parameter: "hub.challenge"},
	{kind: "x", senders: "X", parameter: "crc_token"},
	{kind: "linkedin", senders: "LinkedIn", parameter: "challengeCode"},
	{kind: "graph", senders: "Microsoft Graph", parameter: "validationToken"},
	{kind: "asana", senders: "Asana", field: "X-Hook-Secret"},
	{kind: "smartsheet", senders: "Smartsheet", field: "Smartsheet-Hook-Challenge"},
	{kind: "okta", senders: "Okta", field: "X-Okta-Verification-Challenge"},
	{kind: "worldline", senders: "Worldline", field: "X-Gcs-Webhooks-Endpoint-Verification"},
	{kind: "cloudevents", arguments: "<origin>", senders: "a sender of CloudEvents", method: http.MethodOptions, field: "Webhook-Request-Origin"},
	{kind: "dropbox", senders: "Dropbox", parameter: "challenge", method: http.MethodGet},
	{kind: "head", senders: "Trello, Intercom or Mandrill", method: http.MethodHead},
}

// is reports whether a request is this check.
func (c *check) is(d *signature.Delivery, query url.Values) bool {
	return (c.method == "" || c.method == d.Method) &&
		(c.parameter == "" || len(query[c.parameter]) > 0) &&
		(c.field == "" || len(d.Header[c.field]) > 0)
}

// Check says why a sender's check was not answered. Call it for a request without a
// signature that the gate refused. configured is the gate's challenge, or nil. Check
// returns a zero Finding if the request is not a known check.
func (g *Gate) Check(d *signature.Delivery, query url.Values, configured *signature.Challenge) Finding {
	i := slices.IndexFunc(checks, func(c check) bool { return c.is(d, query) })
	if i < 0 {
		return Finding{}
	}
	asked := checks[i]
	if isHub(asked.kind) && isHub(configured.Kind()) {
		return g.hubCheck(d, query, configured)
	}
	if asked.kind != configured.Kind() {
		return asked.missing()
	}
	return g.queryCheck(d, query, asked)
}

func isHub(kind string) bool { return kind == "hub" || kind == "websub" }

// missing says what to write to answer a check that no challenge is configured for.
func (c *check) missing() Finding {
	line := strings.TrimSpace("challenge " + c.kind + " " + c.arguments)
	if slices.Contains(signature.Challenges(), c.kind) {
		return finding(checkIsNotConfigured, c.senders, "write `"+line+"`")
	}
	return finding(checkIsNotConfigured, c.senders, "no challenge does, so answer it with another handler in front of the gate")
}

// queryCheck explains a check whose one parameter is echoed or signed.
func (g *Gate) queryCheck(d *signature.Delivery, query url.Values, asked check) Finding {
	switch {
	case asked.parameter == "":
		return Finding{}
	case d.Method != http.MethodGet:
		return finding(checkHasAnotherMethod, asked.kind, methodOf(d))
	case len(query[asked.parameter]) > 1:
		return finding(checkRepeatsParameter, asked.parameter)
	}
	return finding(checkTextIsNotEchoed, asked.longest())
}

// hubCheck explains the check of Meta and WebSub hubs.
func (g *Gate) hubCheck(d *signature.Delivery, query url.Values, configured *signature.Challenge) Finding {
	names := []string{"hub.mode", "hub.challenge", "hub.verify_token"}
	if configured.Kind() == "websub" {
		names[2] = "hub.topic"
	}
	if d.Method != http.MethodGet {
		return finding(checkHasAnotherMethod, configured.Kind(), methodOf(d))
	}
	for _, name := range names {
		switch rewritten := strings.Replace(name, ".", "_", 1); {
		case len(query[name]) > 1:
			return finding(checkRepeatsParameter, name)
		case len(query[name]) == 0 && len(query[rewritten]) > 0:
			return finding(checkNamesWereChanged)
		case len(query[name]) == 0:
			return finding(checkLacksParameter, name)
		}
	}
	if query.Get("hub.mode") != "subscribe" {
		return finding(checkAsksNoSubscription)
	}
	if g.answersWith(configured.Kind(), query, names[2]) {
		return finding(map[string]Diagnosis{"hub": checkTokenDiffers, "websub": checkTopicDiffers}[configured.Kind()])
	}
	return finding(checkTextIsNotEchoed, "512 bytes")
}

// answersWith reports whether the judge would answer if the configuration had the token
// or topic of the request. Then only that differs, because otherwise the request would
// have been answered.
func (g *Gate) answersWith(kind string, query url.Values, name string) bool {
	c, err := signature.NewChallenge(kind, []string{query.Get(name)})
	if err != nil || g.load().plain == nil {
		return len(query.Get(name)) == 0 // no configuration has an empty token
	}
	_, ok := c.AnswerQuery(nil, query, g.load().plain)
	return ok
}

// methodOf returns the method, or "another method" if a hint must not show it.
func methodOf(d *signature.Delivery) string {
	if slices.Contains([]string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions}, d.Method) {
		return d.Method
	}
	return "another method"
}

// longest returns the longest text that a check may have signed or sent back.
func (c *check) longest() string {
	if c.kind == "x" {
		return "64 bytes"
	}
	return "512 bytes"
}
