package signature_test

import (
	"encoding/json"
	"maps"
	"net/url"
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
	a, ok := c.AnswerQuery(query(t, raw), newVerifier(t, nil, secret))
	if !ok && a != (signature.Answer{}) {
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
		{"printable", right + url.QueryEscape("a b<c>\"~!"), "a b<c>\"~!"},
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
		got, ok := c.AnswerBody([]byte(tc.body), v, signature.Match{})
		if got.Body != tc.want || ok != (tc.want != "") || ok && got.ContentType != "text/plain; charset=utf-8" {
			t.Errorf("%s, %.80s: %+v, %v", tc.kind, tc.body, got, ok)
		}
		if _, ok := c.AnswerQuery(url.Values{"challenge": {"x"}, "crc_token": {"x"}}, v); ok {
			t.Errorf("%s answers a query", tc.kind)
		}
		if !c.WantsBody(4<<10) || c.WantsBody(4<<10+1) {
			t.Errorf("%s: no bound of the body", tc.kind)
		}
	}
	for _, kind := range []string{"hub", "websub", "dropbox", "x"} {
		c := challenge(t, kind, strings.Fields(map[string]string{"hub": verifyToken, "websub": "topic"}[kind])...)
		if _, ok := c.AnswerBody([]byte(slack), newVerifier(t, nil, secret), signature.Match{}); ok || c.WantsBody(1) {
			t.Errorf("%s answers a body", kind)
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
	got, ok := challenge(t, "zoom").AnswerBody([]byte(zoom), v, match)
	if want := `"encryptedToken":"` + signText("token") + `"`; !ok || !strings.Contains(got.Body, want) {
		t.Errorf("%+v, %v; want %s", got, ok, want)
	}
}

// The handshakes of vectors.json that are answered; LinkedIn and eBay are not.
func TestHandshakes(t *testing.T) {
	kinds := map[string]struct {
		kind string
		args []string
	}{"zoom-crc": {"zoom", nil}, "x-crc": {"x", nil}, "meta-hub": {"hub", []string{"tok"}}}
	for _, h := range vectors(t).Handshakes {
		k, ok := kinds[h.ID]
		if !ok {
			if h.ID != "linkedin" && h.ID != "ebay" {
				t.Errorf("%s is not answered", h.ID)
			}
			continue
		}
		c, v := challenge(t, k.kind, k.args...), newVerifier(t, nil, h.Secret)
		var got signature.Answer
		if text, isBody := strings.CutPrefix(h.Request, "POST "); isBody {
			got, ok = c.AnswerBody([]byte(text), v, signature.Match{})
		} else {
			got, ok = c.AnswerQuery(query(t, strings.TrimPrefix(h.Request, "GET ?")), v)
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
		{"meta", []string{verifyToken}, "none of the kinds hub, websub, dropbox, x, slack, twitch, zoom"},
		{"hub", nil, "challenge hub takes <verify_token>, not 0"},
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
		{"slack", []string{verifyToken}, "challenge slack takes no argument"},
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
