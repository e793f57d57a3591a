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
	value     string // of the field; empty: any
	without   string // a field that it never has
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
	{kind: "graph", senders: "SharePoint", parameter: "validationtoken"},
	{kind: "oura", arguments: "<verify_token>", senders: "Oura", parameter: "verification_token", method: http.MethodGet},
	{kind: "asana", senders: "Asana", field: "X-Hook-Secret"},
	{kind: "smartsheet", senders: "Smartsheet", field: "Smartsheet-Hook-Challenge"},
	{kind: "okta", senders: "Okta", field: "X-Okta-Verification-Challenge"},
	{kind: "ringcentral", senders: "RingCentral", field: "Validation-Token"},
	{kind: "eventgrid", senders: "Azure Event Grid", field: "Aeg-Event-Type", value: "SubscriptionValidation"},
	{kind: "worldline", senders: "Worldline", field: "X-Gcs-Webhooks-Endpoint-Verification"},
	{
		kind: "cloudevents", arguments: "<origin>", senders: "a sender of CloudEvents", method: http.MethodOptions,
		field: "Webhook-Request-Origin", without: "Access-Control-Request-Method",
	},
	{kind: "dropbox", senders: "Dropbox", parameter: "challenge", method: http.MethodGet},
	{kind: "head", senders: "Trello, Intercom, Circle or Mandrill", method: http.MethodHead},
}

// is reports whether a request is this check.
func (c *check) is(r *signature.Request, query url.Values) bool {
	return (c.method == "" || c.method == r.Method) &&
		(c.parameter == "" || len(query[c.parameter]) > 0) &&
		(c.field == "" || len(r.Header[c.field]) > 0) &&
		(c.value == "" || slices.Contains(r.Header[c.field], c.value)) &&
		(c.without == "" || len(r.Header[c.without]) == 0)
}

// Check says why a sender's check was not answered. Call it for a request without a
// signature that the gate refused. configured is the gate's challenge, or nil. Check
// looks for a sender that signs nothing if the request is not a known check, and
// returns a zero Finding if it knows none.
func (g *Gate) Check(r *signature.Request, configured *signature.Challenge) Finding {
	query, malformed := url.ParseQuery(r.Query)
	i := slices.IndexFunc(checks, func(c check) bool { return c.is(r, query) })
	if i < 0 {
		return g.unsigned(&signature.Delivery{Method: r.Method, Header: r.Header})
	}
	asked := checks[i]
	hub := isHub(asked.kind) && isHub(configured.Kind())
	switch {
	case asked.kind != configured.Kind() && !hub:
		return asked.missing()
	case r.Method != configured.Method():
		return finding(checkHasAnotherMethod, configured.Kind(), methodOf(r), configured.Method())
	case malformed != nil:
		return finding(checkQueryIsMalformed)
	case hub:
		return g.hubCheck(r, query, configured)
	}
	return g.explain(&asked, r, query, configured)
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

// explain says why a check was not answered that the gate has the challenge for. What is
// left in the end is a text that the gate sends back to nobody.
func (g *Gate) explain(c *check, r *signature.Request, query url.Values, configured *signature.Challenge) Finding {
	if r.Method == http.MethodPost && (r.Length < 0 || r.Length > maxCheckBody) {
		return finding(checkBodyIsTooLong, maxCheckBody)
	}
	if name := c.repeated(r, query); name != "" {
		return finding(checkRepeatsParameter, name)
	}
	switch c.kind {
	case "oura":
		if len(query["challenge"]) == 0 {
			return finding(checkLacksParameter, "challenge")
		}
		if g.answersWith(c.kind, r, query.Get(c.parameter)) {
			return finding(checkTokenDiffers, c.parameter, c.kind)
		}
	case "cloudevents":
		if !slices.Contains(configured.Arguments(), r.Header[c.field][0]) {
			return finding(checkOriginDiffers)
		}
		return finding(checkAsksForNoRate)
	case "eventgrid":
		if g.load().keys.isToken() {
			return finding(checkNeedsToken, g.scheme.Headers[0])
		}
		return finding(checkBodyDiffers)
	}
	return finding(checkTextIsNotEchoed, c.longest())
}

// maxCheckBody is how many bytes the body of a check may have.
const maxCheckBody = 4096

// repeated returns the name of what the check has more than once, or "".
func (c *check) repeated(r *signature.Request, query url.Values) string {
	switch {
	case c.field != "" && len(r.Header[c.field]) > 1:
		return c.field
	case c.kind == "oura" && len(query["challenge"]) > 1:
		return "challenge"
	case c.kind == "graph" && len(query["validationToken"])+len(query["validationtoken"]) > 1,
		c.parameter != "" && len(query[c.parameter]) > 1:
		return c.parameter
	}
	return ""
}

// hubCheck explains the check of Meta and WebSub hubs.
func (g *Gate) hubCheck(r *signature.Request, query url.Values, configured *signature.Challenge) Finding {
	names := []string{"hub.mode", "hub.challenge", "hub.verify_token"}
	if configured.Kind() == "websub" {
		names[2] = "hub.topic"
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
	switch {
	case query.Get("hub.mode") != "subscribe":
		return finding(checkAsksNoSubscription)
	case !g.answersWith(configured.Kind(), r, query.Get(names[2])):
		return finding(checkTextIsNotEchoed, "512 bytes")
	case configured.Kind() == "websub":
		return finding(checkTopicDiffers)
	}
	return finding(checkTokenDiffers, names[2], configured.Kind())
}

// answersWith reports whether the judge would answer if the configuration had the token or
// topic of the request. Then only that differs, because otherwise the request
// would have been answered.
func (g *Gate) answersWith(kind string, r *signature.Request, argument string) bool {
	c, err := signature.NewChallenge(kind, []string{argument})
	if err != nil || g.load().plain == nil {
		return argument == "" // no configuration has an empty token
	}
	_, ok := c.Answer(r, g.load().plain)
	return ok
}

// methodOf returns the method, or "another method" if a hint must not show it.
func methodOf(r *signature.Request) string {
	if slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodOptions}, r.Method) {
		return r.Method
	}
	return "another method"
}

// longest returns the longest text that a check may have signed or sent back.
func (c *check) longest() string {
	switch c.kind {
	case "x":
		return "64 bytes"
	case "linkedin":
		return "the 36 bytes of a UUID"
	}
	return "512 bytes"
}
