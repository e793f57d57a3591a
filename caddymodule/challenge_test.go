package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

const (
	testToken = "v3rify-t0ken"
	subscribe = "/webhook?hub.mode=subscribe&hub.verify_token=" + testToken + "&hub.challenge=1158201444"
)

// challenged returns a gate with a challenge, and its log.
func challenged(t *testing.T, h *Handler, kind string, arguments ...string) (*Handler, *observer.ObservedLogs) {
	t.Helper()
	h.Challenge = &Challenge{Kind: kind, Arguments: arguments}
	return provisioned(t, h)
}

func get(target string) *http.Request { return httptest.NewRequest(http.MethodGet, target, nil) }

// wantAnswered asks for exactly this answer, which no browser takes for a page and
// the app never hears of.
func wantAnswered(t *testing.T, w *recorder, err error, next *spy, contentType, body string) {
	t.Helper()
	if err != nil || next.calls != 0 || w.Code != http.StatusOK || w.Body.String() != body {
		t.Errorf("err %v, %d calls, %d %q; want %q", err, next.calls, w.Code, w.Body, body)
	}
	if got := w.Header().Get("Content-Type"); got != contentType {
		t.Errorf("Content-Type %q, want %q", got, contentType)
	}
	if got := w.Header().Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options %q", got)
	}
}

const plainText = "text/plain; charset=utf-8"

func TestSubscriptionCheck(t *testing.T) {
	t.Setenv("WEBHOOK_TEST_TOKEN", testToken)
	for _, token := range []string{testToken, "{env.WEBHOOK_TEST_TOKEN}", "{file." + write(t, testToken+"\n") + "}"} {
		h, _ := challenged(t, new(Handler), "hub", token)
		w, next := newRecorder(), new(spy)
		_, err := serve(h, w, get(subscribe), next)
		wantAnswered(t, w, err, next, plainText, "1158201444")
	}
}

// What is not the challenge to the letter is a delivery like any other, and one
// without a signature.
func TestOtherQueriesAreRefused(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"none":            get("/webhook"),
		"another token":   get("/webhook?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1"),
		"unsubscribe":     get(strings.Replace(subscribe, "subscribe", "unsubscribe", 1)),
		"twice the token": get(subscribe + "&hub.verify_token=" + testToken),
		"a page":          get(strings.Replace(subscribe, "1158201444", "%0Aa", 1)),
		"HEAD":            httptest.NewRequest(http.MethodHead, subscribe, nil),
		"POST":            httptest.NewRequest(http.MethodPost, subscribe, strings.NewReader("{}")),
		"X's":             get("/webhook?crc_token=a"),
		"a form":          with(httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(subscribe[9:])), header("Content-Type", "application/x-www-form-urlencoded")),
	} {
		t.Run(name, func(t *testing.T) {
			h, logs := challenged(t, new(Handler), "hub", testToken)
			w, next := newRecorder(), new(spy)
			r, err := serve(h, w, r, next)
			wantRefused(t, w, r, err, next, refusal.MissingSignature)
			wantLogged(t, logs, err, refusal.MissingSignature)
		})
	}
}

// A gate without a challenge answers none, and one with a challenge lets authentic
// deliveries through as before, a GET included.
func TestChallengeChangesNothingElse(t *testing.T) {
	h, _ := provisioned(t, new(Handler))
	w, next := newRecorder(), new(spy)
	r, err := serve(h, w, get(subscribe), next)
	wantRefused(t, w, r, err, next, refusal.MissingSignature)

	h, _ = challenged(t, new(Handler), "hub", testToken)
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		next := new(spy)
		if _, err := serve(h, newRecorder(), with(signed(delivery), func(r *http.Request) { r.Method = method }), next); err != nil || next.calls != 1 {
			t.Errorf("%s: %v, %d calls", method, err, next.calls)
		}
	}

	// A signed GET is a delivery, whatever its query says.
	next = new(spy)
	r = get(subscribe + "&hub.verify_token=" + testToken)
	r.Header.Set("X-Hub-Signature", sign(""))
	if _, err := serve(h, newRecorder(), r, next); err != nil || next.calls != 1 {
		t.Errorf("a signed check: %v, %d calls", err, next.calls)
	}
}

// X's check has the gate sign a text of the caller's choice under the secret that
// signs deliveries. What it signs must never be a delivery.
func TestSigningOracle(t *testing.T) {
	h, _ := challenged(t, &Handler{Preset: "x"}, "x")
	answer := func(token string) (*recorder, *spy, *http.Request, error) {
		w, next := newRecorder(), new(spy)
		r, err := serve(h, w, get("/webhook?crc_token="+url.QueryEscape(token)), next)
		return w, next, r, err
	}
	for _, evil := range []string{`{"evil":1}`, "[]", `"a"`, delivery, "a b", strings.Repeat("a", 65), ""} {
		w, next, r, err := answer(evil)
		wantRefused(t, w, r, err, next, refusal.MissingSignature)
	}
	for _, token := range []string{"challenge_string", "1234", "true", "-", strings.Repeat("a", 64)} {
		w, next, _, err := answer(token)
		var made struct {
			Token string `json:"response_token"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || made.Token != "sha256="+base64Sum(token) {
			t.Fatalf("%s: %q, %v", token, w.Body, err)
		}
		wantAnswered(t, w, err, next, "application/json", `{"response_token":"`+made.Token+`"}`)
		w, next = newRecorder(), new(spy)
		r, err := serve(h, w, xDelivery(token, made.Token), next)
		wantRefused(t, w, r, err, next, refusal.SignatureMismatch)
	}
	w, next := newRecorder(), new(spy) // an empty body is no token, and no event either
	r, err := serve(h, w, xDelivery("", "sha256="+base64Sum("")), next)
	wantRefused(t, w, r, err, next, refusal.SignatureMismatch)
	for _, event := range []string{"{}", delivery} {
		next = new(spy)
		if _, err := serve(h, newRecorder(), xDelivery(event, "sha256="+base64Sum(event)), next); err != nil || string(next.body) != event {
			t.Errorf("%s: %v, %q", event, err, next.body)
		}
	}
}

func base64Sum(text string) string { return base64.StdEncoding.EncodeToString(rawSum(text)) }

func xDelivery(body, value string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
	r.Header.Set("X-Twitter-Webhooks-Signature", value)
	return r
}

// The presets of senders that sign their challenge answer it unasked, and only
// once the signature was verified.
func TestPresetsAnswerSignedChallenges(t *testing.T) {
	slack := func(body string) *http.Request {
		at := ago(0)
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
		r.Header.Set("X-Slack-Request-Timestamp", at)
		r.Header.Set("X-Slack-Signature", "v0="+sum("v0:"+at+":"+body))
		return r
	}
	zoom := func(body string) *http.Request {
		r := slack(body)
		r.Header = http.Header{
			"X-Zm-Signature": r.Header["X-Slack-Signature"], "X-Zm-Request-Timestamp": r.Header["X-Slack-Request-Timestamp"],
		}
		return r
	}
	for _, tc := range []struct {
		preset, body, contentType, want string
		request                         func(string) *http.Request
	}{
		{"slack", `{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRN"}`, plainText, "3eZbrw1aBm2rZgRN", slack},
		{
			"zoom", `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6U"}}`, "application/json",
			`{"encryptedToken":"` + sum("qgg8vlvZRS6U") + `","plainToken":"qgg8vlvZRS6U"}`, zoom,
		},
	} {
		t.Run(tc.preset, func(t *testing.T) {
			h, _ := provisioned(t, &Handler{Preset: tc.preset})
			w, next := newRecorder(), new(spy)
			_, err := serve(h, w, tc.request(tc.body), next)
			wantAnswered(t, w, err, next, tc.contentType, tc.want)

			forged := with(tc.request(tc.body), func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(tc.body + " ")); r.ContentLength++ })
			w, next = newRecorder(), new(spy)
			r, err := serve(h, w, forged, next)
			wantRefused(t, w, r, err, next, refusal.SignatureMismatch)
			if w.Body.Len() != 0 {
				t.Errorf("answered %q", w.Body)
			}

			next = new(spy)
			if _, err := serve(h, newRecorder(), tc.request(delivery), next); err != nil || string(next.body) != delivery {
				t.Errorf("a delivery: %v, %q", err, next.body)
			}
			large := `{"type":"url_verification","event":"endpoint.url_validation","challenge":"x","pad":"` + strings.Repeat("x", 5000) + `"}`
			next = new(spy)
			if _, err := serve(h, newRecorder(), tc.request(large), next); err != nil || string(next.body) != large {
				t.Errorf("a large delivery: %v, %d bytes", err, len(next.body))
			}
		})
	}
}

// The verify token is a secret. It is in no log line, no error and no dump.
func TestVerifyTokenIsNotShown(t *testing.T) {
	h, logs := challenged(t, new(Handler), "hub", testToken)
	for _, target := range []string{subscribe, subscribe + "&hub.mode=x"} {
		_, err := serve(h, newRecorder(), get(target), new(spy))
		if err != nil && strings.Contains(err.Error(), testToken) {
			t.Errorf("the error shows it: %v", err)
		}
	}
	if logs.Len() != 2 || logs.All()[0].Message != "challenge answered" {
		t.Fatalf("logged %v", logs.All())
	}
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"})
	for _, entry := range logs.All() {
		line, err := encoder.EncodeEntry(entry.Entry, append(entry.Context, zap.Any("handler", h)))
		if err != nil || strings.Contains(line.String(), testToken) || strings.Contains(line.String(), "1158201444") {
			t.Errorf("logged %s, %v", line, err)
		}
	}
}

// A challenge that cannot be answered does not load; the error shows the
// reference, and never the token.
func TestChallengeOptionsThatDoNotLoad(t *testing.T) {
	t.Setenv("WEBHOOK_TEST_EMPTY", "")
	t.Setenv("WEBHOOK_TEST_LINE", testToken+"\n")
	for _, tc := range []struct {
		challenge Challenge
		want      string
	}{
		{Challenge{Kind: "hub", Arguments: []string{"{env.WEBHOOK_TEST_LINE}"}}, `gate "hub": challenge hub, argument 1: it begins or ends with white space or a line break`},
		{Challenge{Kind: "hub", Arguments: []string{"{file." + write(t, testToken+"\r\n\n") + "}"}}, "white space or a line break"},
		{Challenge{Kind: "hub", Arguments: []string{testToken + "\u200b"}}, "invisible"},
		{Challenge{Kind: "hub", Arguments: []string{"{env.WEBHOOK_TEST_UNSET}"}}, "challenge hub, argument 1: {env.WEBHOOK_TEST_UNSET} is unset"},
		{Challenge{Kind: "hub", Arguments: []string{"{env.WEBHOOK_TEST_EMPTY}"}}, "{env.WEBHOOK_TEST_EMPTY} is unset, empty or blank"},
		{Challenge{Kind: "hub", Arguments: []string{""}}, "challenge hub, argument 1: it is empty or blank"},
		{Challenge{Kind: "hub", Arguments: []string{testToken + "{env.HOME}"}}, "must be the whole value"},
		{Challenge{Kind: "hub", Arguments: []string{testToken, testToken}}, "not 2"},
		{Challenge{Kind: "hub"}, "not 0"},
		{Challenge{Kind: "meta", Arguments: []string{testToken}}, "unknown kind; did you mean hub?"},
	} {
		ctx, err := caddy.ProvisionContext(&caddy.Config{})
		if err != nil {
			t.Fatal(err)
		}
		err = (&Handler{Secrets: []Secret{{Value: testSecret}}, Challenge: &tc.challenge}).Provision(ctx)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v; want %s", tc.challenge, err, tc.want)
		} else if strings.Contains(err.Error(), testToken) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
}

// A writer that fails is the sender's loss alone.
func TestAnswerToASenderThatLeft(t *testing.T) {
	h, _ := challenged(t, new(Handler), "hub", testToken)
	r := caddyhttp.PrepareRequest(get(subscribe), caddy.NewReplacer(), newRecorder(), nil)
	if err := h.ServeHTTP(brokenWriter{httptest.NewRecorder()}, r, new(spy)); err != nil {
		t.Error(err)
	}
}

type brokenWriter struct{ http.ResponseWriter }

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// A challenge that signs what strangers send does not load beside a hash of the body: the
// hash of a body of theirs is such a text.
func TestOraclesSignNoHashes(t *testing.T) {
	token := strings.Repeat("0", 64) // as long as a hash
	h := &Handler{Preset: "x", Challenge: &Challenge{Kind: "x"}, Secrets: []Secret{{Value: testSecret}}, Payload: "{body_sha256}", Signature: "sha256={base64}"}
	if err := h.checkChallenge(); err == nil || !strings.Contains(err.Error(), "only a payload with {body} itself tells them from deliveries") {
		t.Errorf("as written: %v", err)
	}
	if err := h.Provision(emptyContext(t)); err == nil {
		t.Error("it loads")
	}
	h.Payload = ""
	m := new(material)
	if err := errors.Join(h.checkChallenge(), h.readChallenge(m)); err != nil || !m.challenge.Forgeable([]byte(token)) {
		t.Errorf("%v", err)
	}
}
