package signature_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const verifyToken = "v3rify-t0ken"

func challenge(t testing.TB, kind string, args ...string) *signature.Challenge {
	t.Helper()
	c, err := signature.NewChallenge(kind, args)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func query(t testing.TB, raw string) url.Values {
	t.Helper()
	q, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// answer returns the body of the answer to a query, or "" where there is none.
func answer(t testing.TB, c *signature.Challenge, raw string) string {
	t.Helper()
	a, ok := c.Answer(&signature.Request{Method: http.MethodGet, Query: raw}, newVerifier(t, nil, secret))
	if !ok && !reflect.DeepEqual(a, signature.Answer{}) {
		t.Errorf("%s: an answer that is none: %+v", raw, a)
	}
	if ok && a.Body == "" {
		t.Errorf("%s: an empty answer", raw)
	}
	return a.Body
}

func TestHub(t *testing.T) {
	const right = "hub.mode=subscribe&hub.verify_token=" + verifyToken + "&hub.challenge="
	for _, tc := range []struct{ name, query, want string }{
		{"as Meta asks", right + "1158201444", "1158201444"},
		{"with a topic", right + "x&hub.topic=https://example.com/feed&hub.lease_seconds=1", "x"},
		{"every letter", right + url.QueryEscape("aZ 0._:+/=~-"), "aZ 0._:+/=~-"},
		{"as long as may be", right + strings.Repeat("x", 512), strings.Repeat("x", 512)},

		{"too long", right + strings.Repeat("x", 513), ""},
		{"far too long", right + strings.Repeat("x", 1<<20), ""},
		{"empty", right, ""},
		{"line feed", right + "a%0Ab", ""},
		{"NUL", right + "a%00b", ""},
		{"DEL", right + "a%7Fb", ""},
		{"not ASCII", right + "%C3%A9", ""},
		{"not UTF-8", right + "%FF", ""},
		{"no challenge", "hub.mode=subscribe&hub.verify_token=" + verifyToken, ""},
		{"two challenges", right + "1&hub.challenge=1", ""},

		{"no token", "hub.mode=subscribe&hub.challenge=1", ""},
		{"an empty token", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=", ""},
		{"another token", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=x", ""},
		{"part of the token", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=v3rify-t0ke", ""},
		{"more than the token", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=v3rify-t0kenn", ""},
		{"another case", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=V3RIFY-T0KEN", ""},
		{"a huge token", "hub.mode=subscribe&hub.challenge=1&hub.verify_token=" + strings.Repeat("x", 1<<20), ""},
		{"two tokens, right first", right + "1&hub.verify_token=x", ""},
		{"two tokens, right last", "hub.verify_token=x&" + right + "1", ""},
		{"two tokens, both right", right + "1&hub.verify_token=" + verifyToken, ""},

		{"no mode", "hub.verify_token=" + verifyToken + "&hub.challenge=1", ""},
		{"unsubscribe", "hub.mode=unsubscribe&hub.verify_token=" + verifyToken + "&hub.challenge=1", ""},
		{"denied", "hub.mode=denied&hub.verify_token=" + verifyToken + "&hub.challenge=1", ""},
		{"two modes", right + "1&hub.mode=unsubscribe", ""},
		{"underscores", "hub_mode=subscribe&hub_verify_token=" + verifyToken + "&hub_challenge=1", ""},
		{"nothing", "", ""},
	} {
		if got := answer(t, challenge(t, "hub", verifyToken), tc.query); got != tc.want {
			t.Errorf("%s: %.80q, want %.80q", tc.name, got, tc.want)
		}
	}
}

func TestWebSub(t *testing.T) {
	const a, b = "https://example.com/a", "https://example.com/b?c=d"
	c := challenge(t, "websub", a, b)
	for _, tc := range []struct{ name, query, want string }{
		{"one topic", "hub.mode=subscribe&hub.challenge=1&hub.topic=" + url.QueryEscape(a), "1"},
		{"another", "hub.mode=subscribe&hub.challenge=2&hub.topic=" + url.QueryEscape(b), "2"},
		{"no topic of ours", "hub.mode=subscribe&hub.challenge=1&hub.topic=https://example.com/", ""},
		{"part of one", "hub.mode=subscribe&hub.challenge=1&hub.topic=https://example.com/aa", ""},
		{"none", "hub.mode=subscribe&hub.challenge=1", ""},
		{"two", "hub.mode=subscribe&hub.challenge=1&hub.topic=" + url.QueryEscape(a) + "&hub.topic=x", ""},
		{"unsubscribe", "hub.mode=unsubscribe&hub.challenge=1&hub.topic=" + url.QueryEscape(a), ""},
		{"no challenge", "hub.mode=subscribe&hub.topic=" + url.QueryEscape(a), ""},
		{"too long", "hub.mode=subscribe&hub.topic=" + url.QueryEscape(a) + "&hub.challenge=" + strings.Repeat("x", 513), ""},
	} {
		if got := answer(t, c, tc.query); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What is echoed or signed without a signature is bounded, and of letters that are
// part of no page and of no delivery.
func TestEchoedTokens(t *testing.T) {
	for _, tc := range []struct {
		kind, parameter, token string
		answered               bool
	}{
		{"dropbox", "challenge", "abc-DEF_123", true},
		{"dropbox", "challenge", strings.Repeat("a", 512), true},
		{"dropbox", "challenge", strings.Repeat("a", 513), false},
		{"dropbox", "challenge", "<script>", false},
		{"dropbox", "challenge", "a b", false},
		{"dropbox", "challenge", "", false},
		{"dropbox", "crc_token", "abc", false},

		{"x", "crc_token", "challenge_string", true},
		{"x", "crc_token", "MTU4MzI3Njk5Mg-_", true},
		{"x", "crc_token", strings.Repeat("a", 64), true},
		{"x", "crc_token", strings.Repeat("a", 65), false},
		{"x", "crc_token", `{"evil":1}`, false},
		{"x", "crc_token", "[]", false},
		{"x", "crc_token", "a=b", false},
		{"x", "crc_token", "1700000000.x", false},
		{"x", "crc_token", "a b", false},
		{"x", "crc_token", "a\n", false},
		{"x", "crc_token", "é", false},
		{"x", "crc_token", "", false},
		{"x", "challenge", "abc", false},
	} {
		got := answer(t, challenge(t, tc.kind), tc.parameter+"="+url.QueryEscape(tc.token))
		if (got != "") != tc.answered {
			t.Errorf("%s, %.80q: %q", tc.kind, tc.token, got)
		}
	}
	for _, twice := range []string{"crc_token=a&crc_token=a", "crc_token=a&crc_token=b", "crc_token=&crc_token=a"} {
		if got := answer(t, challenge(t, "x"), twice); got != "" {
			t.Errorf("%s: %s", twice, got)
		}
	}
}

// An asker asks a challenge with a token.
type asker func(t testing.TB, c *signature.Challenge, token string) (signature.Answer, bool)

type echo struct {
	kind string
	args []string
	ask  asker
}

// echoes are all ways to have a token echoed.
var echoes = []echo{
	{"hub", []string{verifyToken}, asQuery("hub.challenge", "hub.mode=subscribe&hub.verify_token="+verifyToken)},
	{"websub", []string{"topic"}, asQuery("hub.challenge", "hub.mode=subscribe&hub.topic=topic")},
	{"dropbox", nil, asQuery("challenge", "")},
	{"x", nil, asQuery("crc_token", "")},
	{"linkedin", nil, asQuery("challengeCode", "")},
	{"oura", []string{verifyToken}, asQuery("challenge", "verification_token="+verifyToken)},
	{"okta", nil, asField(http.MethodGet, "X-Okta-Verification-Challenge")},
	{"eventgrid", nil, func(t testing.TB, c *signature.Challenge, token string) (signature.Answer, bool) {
		return askUnsigned(t, c, validationOf(token))
	}},
	{"graph", nil, asQuery("validationToken", "")},
	{"smartsheet", nil, asField(http.MethodPost, "Smartsheet-Hook-Challenge")},
	{"ringcentral", nil, asField(http.MethodPost, "Validation-Token")},
	{"slack", nil, asBody(func(token string) any { return map[string]any{"type": "url_verification", "challenge": token} })},
	{"twitch", nil, asBody(func(token string) any {
		status := map[string]any{"status": "webhook_callback_verification_pending"}
		return map[string]any{"subscription": status, "challenge": token}
	})},
	{"zoom", nil, asBody(func(token string) any {
		return map[string]any{"event": "endpoint.url_validation", "payload": map[string]any{"plainToken": token}}
	})},
	{"front", nil, func(t testing.TB, c *signature.Challenge, token string) (signature.Answer, bool) {
		return askGate(t, c, &signature.Request{Method: http.MethodPost, Header: http.Header{"X-Front-Challenge": {token}}}, `{"type":"sync"}`)
	}},
}

func asQuery(parameter, rest string) asker {
	return func(t testing.TB, c *signature.Challenge, token string) (signature.Answer, bool) {
		q := query(t, rest)
		q.Set(parameter, token)
		return askGate(t, c, &signature.Request{Method: c.Method(), Query: q.Encode()}, "")
	}
}

func asField(method, name string) asker {
	return func(t testing.TB, c *signature.Challenge, token string) (signature.Answer, bool) {
		return askGate(t, c, &signature.Request{Method: method, Header: http.Header{name: {token}}}, "")
	}
}

func asBody(document func(token string) any) asker {
	return func(t testing.TB, c *signature.Challenge, token string) (signature.Answer, bool) {
		body, err := json.Marshal(document(token))
		if err != nil {
			t.Fatal(err)
		}
		return askGate(t, c, &signature.Request{Method: http.MethodPost}, string(body))
	}
}

// askGate asks a gate of the X-Hub-Signature family, as the sender of the kind asks: with a
// signature or without.
func askGate(t testing.TB, c *signature.Challenge, r *signature.Request, body string) (signature.Answer, bool) {
	t.Helper()
	v := newVerifier(t, nil, secret)
	r.Length = int64(len(body))
	if c.Method() == "" {
		match, err := verify(v, hub("sha256="+signText(body)), body)
		if err != nil {
			t.Fatal(err)
		}
		return c.AnswerVerified(r, []byte(body), match)
	}
	if c.ReadsBody(r, v) {
		return c.AnswerUnsigned(r, []byte(body), v)
	}
	return c.Answer(r, v)
}

// validationOf is Event Grid's event with a code.
func validationOf(code string) string {
	body, _ := json.Marshal([]any{map[string]any{
		"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": map[string]any{"validationCode": code},
	}})
	return string(body)
}

func askUnsigned(t testing.TB, c *signature.Challenge, body string) (signature.Answer, bool) {
	t.Helper()
	return askGate(t, c, &signature.Request{Method: http.MethodPost, Header: http.Header{"Aeg-Event-Type": {"SubscriptionValidation"}}}, body)
}

// TestEchoesAreAll: a new kind of challenge has its place among the tests of echoes.
func TestEchoesAreAll(t *testing.T) {
	var kinds []string
	for _, e := range echoes {
		kinds = append(kinds, e.kind)
	}
	kinds = append(kinds, "discord", "discord-events", "head", "cloudevents") // they echo nothing: TestPings, TestCheckVectors
	want := signature.Challenges()
	slices.Sort(kinds)
	slices.Sort(want)
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds %q, want %q", kinds, want)
	}
}

// A PING is answered, and nothing else is taken for one: 1 is the PING of an interaction
// and an ordinary webhook event, and an event that is swallowed is lost.
func TestPings(t *testing.T) {
	const (
		interaction = `{"application_id":"1","id":"2","token":"A_UNIQUE_TOKEN","type":1,"version":1}`
		command     = `{"application_id":"1","id":"2","token":"A_UNIQUE_TOKEN","type":2,"version":1,"data":{"type":1}}`
		ping        = `{"version":1,"application_id":"1234560123453231555","type":0}`
		event       = `{"version":1,"application_id":"1","type":1,"event":{"type":"APPLICATION_AUTHORIZED","timestamp":"2024-10-18T14:42:53.064834","data":{}}}`
	)
	for _, tc := range []struct {
		kind, body string
		want       bool
	}{
		{"discord", interaction, true},
		{"discord", command, false},
		{"discord", ping, false},
		{"discord", event, false},
		{"discord", `{"type":1}`, false},
		{"discord", `{"type":1,"token":""}`, false},
		{"discord", `{"type":1,"token":7}`, false},
		{"discord", `{"type":"1","token":"x"}`, false},
		{"discord", `{"type":1,"token":"x","event":null}`, false},
		{"discord", `[{"type":1,"token":"x"}]`, false},
		{"discord", interaction + interaction, false},
		{"discord-events", ping, true},
		{"discord-events", event, false},
		{"discord-events", interaction, false},
		{"discord-events", `{"type":0,"event":{}}`, false},
		{"discord-events", `{"type":"0"}`, false},
		{"discord-events", `{"type":null}`, false},
		{"discord-events", `{}`, false},
		{"discord-events", `null`, false},
		{"discord-events", `0`, false},
		{"discord-events", ``, false},
	} {
		c, err := signature.NewChallenge(tc.kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, ok := askGate(t, c, &signature.Request{Method: http.MethodPost}, tc.body)
		if ok != tc.want {
			t.Errorf("%s: %s: answered: %v", tc.kind, tc.body, ok)
		}
		if want := map[string]signature.Answer{
			"discord":        {ContentType: "application/json", Body: `{"type":1}`},
			"discord-events": {Status: http.StatusNoContent, ContentType: "application/json"},
		}[tc.kind]; ok && !reflect.DeepEqual(answer, want) {
			t.Errorf("%s answers %+v", tc.kind, answer)
		}
	}
}

// dangerous means something to a template, a page, a shell, a placeholder, a string
// or a percent encoding that another handler around the gate may look for.
const dangerous = "{}<>$%&\"'\\`|;,()[]!?*#^@\r\n\t\x00\x7f\x80é\u202e\u2028"

// What a sender may have echoed is no template, page or placeholder of any handler
// around the gate: not whole, not in part.
func TestEchoIsHarmless(t *testing.T) {
	attacks := []string{
		`{{env "S"}}`, `{{`, `a{{b`, `{env.S}`, "{$S}", "${S}", "<script>", "<?php", "<%= x %>", "&lt;", "%7b%7b", `\u007b`,
		"`id`", "$(id)", "a\r\nSet-Cookie: a=b", "{% x %}", "#{x}", "<!--#exec cmd=x-->", "[[x]]",
	}
	for _, r := range dangerous {
		attacks = append(attacks, string(r), "a"+string(r), string(r)+"a", "a"+string(r)+"b")
	}
	attacks = append(attacks, "\xff", "a\xc3", strings.Repeat("a", 513), strings.Repeat("a", 512)+"{")
	for _, e := range echoes {
		c := challenge(t, e.kind, e.args...)
		for _, token := range attacks {
			if got, ok := e.ask(t, c, token); ok {
				t.Errorf("%s: %.80q is answered with %+.80v", e.kind, token, got)
			}
		}
	}
}

// What senders send in earnest is echoed.
func TestRealTokens(t *testing.T) {
	for _, tc := range []struct{ kind, token string }{
		{"hub", "1158201444"},              // Meta
		{"websub", "14812412344293873520"}, // Google's hub
		{"websub", "3a1f0c9e5b7d4e2f8a6b"},
		{"websub", "c2VjcmV0LXRva2Vu/+=="},
		{"graph", "Validation: Testing client application reachability for subscription Request-Id: 9b7d2c1e-5f0a-4c3d-8e6b-1a2b3c4d5e6f"},
		{"websub", "https://hub.example.com/verify/~a.b_c-d"},
		{"dropbox", "UFtYR0hhUGhPdzBSbzZGbWJGLWJJQQ"},
		{"graph", "87a2bb1c-8e2f-4b1a-9c3d-5e6f7a8b9c0d"}, // SharePoint
		{"linkedin", "890e4665-4dfe-4ab1-b689-ed553bceeed0"},
		{"oura", "dd9f0e5a7b8c4f6d9e0a1b2c3d4e5f60"},
		{"okta", "8T3zGvnC4uXj0aYkQwEr1tYuIoPaSdFg-h_2"},
		{"eventgrid", "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"},
		{"smartsheet", "b1cb5d3f-9cba-4de0-8e5c-0c7a1f3d2b6a"},
		{"ringcentral", "f2a4c6e8-0b1d-4f3a-9c5e-7d9b1f3e5a7c"},
		{"front", "aGVsbG8td29ybGQ="},
		{"x", "MTU4MzI3Njk5Mg-_"},
		{"slack", "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"},
		{"twitch", "pogchamp-kappa-360noscope-vohiyo"},
		{"twitch", "c0b3b3a1-8a1f-4f0e-9b1a-0c1d2e3f4a5b"},
		{"zoom", "qgg8vlvZRS6UYooatFL8Aw"},
	} {
		i := slices.IndexFunc(echoes, func(e echo) bool { return e.kind == tc.kind })
		if got, ok := echoes[i].ask(t, challenge(t, tc.kind, echoes[i].args...), tc.token); !ok || tc.kind != "x" && len(got.Fields) == 0 && !strings.Contains(got.Body, tc.token) {
			t.Errorf("%s: %q is answered with %q, %v", tc.kind, tc.token, got.Body, ok)
		}
	}
}

// FuzzEcho: whatever anyone asks for, an answer is of harmless letters alone, or is
// the JSON object of its kind.
func FuzzEcho(f *testing.F) {
	for i := range echoes {
		f.Add(i, "abc 0._:+/=~-")
		f.Add(i, `{{env "S"}}`)
		f.Add(i, strings.Repeat("a", 513))
	}
	f.Fuzz(func(t *testing.T, i int, token string) {
		e := echoes[uint(i)%uint(len(echoes))]
		got, ok := e.ask(t, challenge(t, e.kind, e.args...), token)
		if !ok {
			return
		}
		for _, bad := range []string{"{{", "<", "${", "%", "&", "`", "\\"} {
			for _, sent := range append(slices.Collect(maps.Values(got.Fields)), got.Body) {
				if strings.Contains(sent, bad) {
					t.Errorf("%s: %q is answered with %q", e.kind, token, sent)
				}
			}
		}
		if len(token) > 512 || strings.ContainsAny(token, dangerous) || token == "" { //nolint:staticcheck // a broken byte is one of them
			t.Errorf("%s: %q is answered", e.kind, token)
		}
	})
}

// Whatever token is signed, a body that is the same text is no delivery.
func TestForgeable(t *testing.T) {
	c := challenge(t, "x")
	for _, tc := range []struct {
		body string
		want bool
	}{
		{"", true},
		{"challenge_string", true},
		{"0", true},
		{"true", true},
		{"1700000000", true},
		{strings.Repeat("a", 64), true},
		{strings.Repeat("a", 65), false},
		{"{}", false},
		{`{"tweet_create_events":[]}`, false},
		{"a b", false},
		{"a\n", false},
	} {
		if got := c.Forgeable([]byte(tc.body)); got != tc.want {
			t.Errorf("%.80q: %v", tc.body, got)
		}
		if tc.want && !c.MayForge(int64(len(tc.body))) {
			t.Errorf("%.80q is not even looked at", tc.body)
		}
		// and the other way round: what is answered is forgeable
		if answer(t, c, "crc_token="+url.QueryEscape(tc.body)) != "" && !tc.want {
			t.Errorf("%.80q is signed for anyone, and let through", tc.body)
		}
	}
	for _, kind := range []string{"slack", "twitch", "zoom", "dropbox"} {
		if c := challenge(t, kind); c.MayForge(0) || c.Forgeable(nil) {
			t.Errorf("%s signs nothing for strangers", kind)
		}
	}
}

func TestSignedChallenges(t *testing.T) {
	const slack = `{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	const twitch = `{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"status":"webhook_callback_verification_pending"}}`
	for _, tc := range []struct{ kind, body, want string }{
		{"slack", slack, "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"},
		{"slack", " " + slack + "\n", "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"},
		{"slack", slack + slack, ""},
		{"slack", slack[:len(slack)-1], ""},
		{"slack", `{"type":"event_callback","challenge":"x"}`, ""},
		{"slack", `{"type":["url_verification"],"challenge":"x"}`, ""},
		{"slack", `{"type":"url_verification"}`, ""},
		{"slack", `{"type":"url_verification","challenge":""}`, ""},
		{"slack", `{"type":"url_verification","challenge":5}`, ""},
		{"slack", `{"type":"url_verification","challenge":"` + strings.Repeat("x", 513) + `"}`, ""},
		{"slack", `["url_verification"]`, ""},
		{"slack", `null`, ""},
		{"slack", ``, ""},
		{"twitch", twitch, "pogchamp-kappa-360noscope-vohiyo"},
		{"twitch", `{"challenge":"x","subscription":{"status":"enabled"}}`, ""},
		{"twitch", `{"challenge":"x","subscription":"webhook_callback_verification_pending"}`, ""},
		{"zoom", `{"event":"meeting.started","payload":{"plainToken":"x"}}`, ""},
		{"zoom", `{"event":"endpoint.url_validation","payload":{}}`, ""},
		{"zoom", slack, ""},
	} {
		c, v := challenge(t, tc.kind), newVerifier(t, nil, secret)
		got, ok := askGate(t, c, &signature.Request{Method: http.MethodPost}, tc.body)
		if got.Body != tc.want || ok != (tc.want != "") || ok && got.ContentType != "text/plain; charset=utf-8" {
			t.Errorf("%s, %.80s: %+v, %v", tc.kind, tc.body, got, ok)
		}
		unsigned := &signature.Request{Method: http.MethodPost, Query: "challenge=x&crc_token=x", Length: int64(len(tc.body))}
		if _, ok := c.Answer(unsigned, v); ok || c.ReadsBody(unsigned, v) {
			t.Errorf("%s answers what is not signed", tc.kind)
		}
		if _, ok := c.AnswerUnsigned(unsigned, []byte(tc.body), v); ok {
			t.Errorf("%s answers a body that is not signed", tc.kind)
		}
		if _, ok := c.AnswerVerified(unsigned, []byte(tc.body), signature.Match{}); ok {
			t.Errorf("%s answers a body that nobody has verified", tc.kind)
		}
		if !c.WantsVerified(unsigned, 4<<10, signature.Match{}) || c.WantsVerified(unsigned, 4<<10+1, signature.Match{}) {
			t.Errorf("%s: no bound of the body", tc.kind)
		}
	}
	for _, kind := range []string{"hub", "websub", "dropbox", "x"} {
		c := challenge(t, kind, strings.Fields(map[string]string{"hub": verifyToken, "websub": "topic"}[kind])...)
		if match, _ := verify(newVerifier(t, nil, secret), hub("sha256="+signText(slack)), slack); c.WantsVerified(&signature.Request{Method: http.MethodPost}, 1, match) {
			t.Errorf("%s answers a signed body", kind)
		}
	}
}

// The answer is made under the secret that the challenge was signed with.
func TestSignedChallengeUnderASecondSecret(t *testing.T) {
	v := newVerifier(t, nil, "another secret", secret)
	zoom := `{"event":"endpoint.url_validation","payload":{"plainToken":"token"}}`
	match, err := verify(v, hub("sha256="+signText(zoom)), zoom)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := challenge(t, "zoom").AnswerVerified(&signature.Request{Method: http.MethodPost}, []byte(zoom), match)
	if want := `"encryptedToken":"` + signText("token") + `"`; !ok || !strings.Contains(got.Body, want) {
		t.Errorf("%+v, %v; want %s", got, ok, want)
	}
}

// The handshakes of vectors.json that are answered; eBay's is not.
func TestHandshakes(t *testing.T) {
	kinds := map[string]struct {
		kind string
		args []string
	}{"zoom-crc": {"zoom", nil}, "x-crc": {"x", nil}, "meta-hub": {"hub", []string{"tok"}}, "linkedin": {"linkedin", nil}}
	for _, h := range vectors(t).Handshakes {
		k, ok := kinds[h.ID]
		if !ok {
			if h.ID != "ebay" {
				t.Errorf("%s is not answered", h.ID)
			}
			continue
		}
		c, v := challenge(t, k.kind, k.args...), newVerifier(t, nil, h.Secret)
		var got signature.Answer
		if text, isBody := strings.CutPrefix(h.Request, "POST "); isBody {
			match, err := verify(v, hub("sha256="+signUnder(h.Secret, text)), text)
			if err != nil {
				t.Fatal(err)
			}
			got, ok = c.AnswerVerified(&signature.Request{Method: http.MethodPost}, []byte(text), match)
		} else {
			got, ok = c.Answer(&signature.Request{Method: http.MethodGet, Query: strings.TrimPrefix(h.Request, "GET ?")}, v)
		}
		if !ok || !sameAnswer(t, got, h.Response) {
			t.Errorf("%s: %+v, %v; want %s", h.ID, got, ok, h.Response)
		}
	}
}

// sameAnswer compares JSON by its values, and text as it stands.
func sameAnswer(t *testing.T, got signature.Answer, want json.RawMessage) bool {
	t.Helper()
	var text string
	if json.Unmarshal(want, &text) == nil {
		return got.Body == text && strings.HasPrefix(got.ContentType, "text/plain")
	}
	var x, y map[string]string
	errX, errY := json.Unmarshal([]byte(got.Body), &x), json.Unmarshal(want, &y)
	return errX == nil && errY == nil && maps.Equal(x, y) && got.ContentType == "application/json"
}

// The verify token is a secret: no error shows an argument.
func TestChallengesThatDoNotLoad(t *testing.T) {
	for _, tc := range []struct {
		kind string
		args []string
		want string
	}{
		{"", nil, "none of the kinds"},
		{"meta", []string{verifyToken}, "unknown kind; did you mean hub?"},
		{"hub", nil, "challenge: hub takes <verify_token>, not 0"},
		{"hub", []string{verifyToken, verifyToken}, "not 2"},
		{"hub", []string{""}, "challenge hub, argument 1: it is empty"},
		{"hub", []string{verifyToken + "\n"}, "challenge hub, argument 1: it begins or ends with white space or a line break"},
		{"hub", []string{verifyToken + "\r"}, "white space"},
		{"hub", []string{" " + verifyToken}, "white space"},
		{"hub", []string{verifyToken + "\u00a0"}, "white space"},
		{"hub", []string{"\uFEFF" + verifyToken}, "invisible"},
		{"hub", []string{verifyToken + "\u200b"}, "invisible"},
		{"hub", []string{verifyToken + "\nx"}, "invisible"},
		{"hub", []string{verifyToken + "\x00"}, "invisible"},
		{"websub", []string{"https://example.com/feed", "https://example.com/ "}, "challenge websub, argument 2: it begins or ends with white space"},
		{"websub", nil, "not 0"},
		{"websub", make([]string, 65), "not 65"},
		{"slack", []string{verifyToken}, "challenge: slack takes no argument"},
		{"x", []string{verifyToken}, "takes no argument"},
	} {
		_, err := signature.NewChallenge(tc.kind, tc.args)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %s", tc.kind, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), verifyToken) {
			t.Errorf("%s: the error shows the token", tc.kind)
		}
	}
}
