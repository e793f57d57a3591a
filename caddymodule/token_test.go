package caddymodule

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const (
	newToken = "tk-3Kq9vYw0Zr7uXe5Lb2Np"
	oldToken = "tk-8Hd4mQc1Ts6oGj9Fa0Vy"
)

// tokened returns a gate with two tokens, and its log.
func tokened(t testing.TB, h *Handler) (*Handler, *observer.ObservedLogs) {
	t.Helper()
	if h.Tokens == nil {
		h.Tokens = []Token{{Name: "new", Value: newToken}, {Name: "old", Value: oldToken}}
	}
	if h.Preset == "" && h.Headers == nil {
		h.Headers = []string{"X-Token"}
	}
	return keyed(t, h)
}

// withToken is a delivery with a token and any body.
func withToken(token, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
	r.Header["X-Token"] = []string{token}
	return r
}

// Each preset loads with nothing but its token, and with a replay guard if it says what makes
// a delivery.
func TestTokenPresetsLoad(t *testing.T) {
	data, err := os.ReadFile("internal/signature/testdata/tokens.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Preset, Name, Token, Body string
		Headers                   map[string][]string
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, v := range vectors {
		if v.Name != "right" {
			continue
		}
		loaded++
		p, _ := signature.FindPresetOf(v.Preset, signature.Tokens)
		h, _ := keyed(t, &Handler{Preset: v.Preset, Tokens: []Token{{Value: v.Token}}})
		if h.Name != v.Preset || h.MaxSize != defaultMaxSize {
			t.Errorf("%s: name %q, max_size %d", v.Preset, h.Name, h.MaxSize)
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(v.Body))
		for name, lines := range v.Headers {
			r.Header[http.CanonicalHeaderKey(name)] = lines
		}
		next := new(spy)
		if _, err := serve(h, newRecorder(), r, next); err != nil || next.calls != 1 || string(next.body) != v.Body {
			t.Errorf("%s: %v, the app was called %d times with %q", v.Preset, err, next.calls, next.body)
		}
		guarded := &Handler{Preset: v.Preset, Tokens: []Token{{Value: v.Token}}, Replay: &Replay{Window: caddy.Duration(time.Hour)}}
		if err := guarded.Provision(emptyContext(t)); (err == nil) != (p.Scheme.Payload != "") {
			t.Errorf("%s with replay: %v", v.Preset, err)
		}
	}
	if loaded != len(signature.TokenPresets()) {
		t.Errorf("%d of %d presets were loaded", loaded, len(signature.TokenPresets()))
	}
}

// A delivery with one of the tokens reaches the app, byte for byte and with its field, and
// nothing says that it was signed.
func TestTokenGate(t *testing.T) {
	for token, name := range map[string]string{newToken: "new", oldToken: "old"} {
		h, logs := tokened(t, &Handler{Name: "tokens"})
		next := new(spy)
		r, err := serve(h, newRecorder(), withToken(token, delivery), next)
		if err != nil || next.calls != 1 || string(next.body) != delivery || next.header.Get("X-Token") != token {
			t.Fatalf("%v, the app was called %d times with %q and %v", err, next.calls, next.body, next.header)
		}
		for placeholderName, want := range map[string]string{
			"verified": "true", "signed": "false", "secret": name, "algorithm": "", "preset": "", "reason": "",
		} {
			if got := placeholder(r, placeholderName); got != want {
				t.Errorf("%s is %q, want %q", placeholderName, got, want)
			}
		}
		lines := logs.FilterMessage("delivery accepted").All()
		if len(lines) != 1 || lines[0].ContextMap()["token"] != name || lines[0].ContextMap()["secret"] != nil || lines[0].ContextMap()["algorithm"] != nil {
			t.Errorf("the log says %v", lines)
		}
	}
}

// A signature says that it is one; what is refused is not signed.
func TestSignedPlaceholder(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	for body, want := range map[string]string{delivery: "true", "x": "false"} {
		request := signed(delivery)
		if body != delivery {
			request.Header.Set("X-Hub-Signature", sign(body))
		}
		if r, _ := serve(h, newRecorder(), request, new(spy)); placeholder(r, "signed") != want {
			t.Errorf("%s: signed is %q, want %q", body, placeholder(r, "signed"), want)
		}
	}
	observed, _ := tokened(t, &Handler{UnsafeObserveOnly: true})
	if r, _ := serve(observed, newRecorder(), withToken("x", delivery), new(spy)); placeholder(r, "signed") != "false" || placeholder(r, "verified") != "false" {
		t.Error("what is observed is signed")
	}
}

// tokenRefusals are the requests that a gate with tokens refuses, none with a byte of its body
// read except for the last ones.
var tokenRefusals = []struct {
	name   string
	change func(*http.Request)
	want   refusal.Reason
	unread bool
}{
	{"no token", func(r *http.Request) { r.Header.Del("X-Token") }, refusal.TokenMissing, true},
	{"in another field", func(r *http.Request) {
		r.Header.Del("X-Token")
		r.Header.Set("Authorization", newToken)
	}, refusal.TokenMissing, true},
	{"a signature", func(r *http.Request) {
		r.Header.Del("X-Token")
		r.Header.Set("X-Hub-Signature", sign(delivery))
	}, refusal.TokenMissing, true},
	{"two lines", func(r *http.Request) { r.Header.Add("X-Token", newToken) }, refusal.TokenAmbiguous, true},
	{"another one", func(r *http.Request) { r.Header.Set("X-Token", "tk-0Xx1Yy2Zz3Aa4Bb5Cc6D") }, refusal.TokenMismatch, true},
	{"an empty one", func(r *http.Request) { r.Header.Set("X-Token", "") }, refusal.TokenMismatch, true},
	{"in small letters", func(r *http.Request) { r.Header.Set("X-Token", strings.ToLower(newToken)) }, refusal.TokenMismatch, true},
	{"a part", func(r *http.Request) { r.Header.Set("X-Token", newToken[:10]) }, refusal.TokenMismatch, true},
	{"too large", func(r *http.Request) { r.ContentLength = 1001 }, refusal.BodyTooLarge, true},
	{"another one, too large", func(r *http.Request) {
		r.ContentLength = 1001
		r.Header.Set("X-Token", "x")
	}, refusal.TokenMismatch, true},
	{"CONNECT", func(r *http.Request) { r.Method = http.MethodConnect }, refusal.MethodNotAllowed, true},
	{"too large, chunked", func(r *http.Request) {
		r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(strings.Repeat("x", 1001)))
	}, refusal.BodyTooLarge, false},
	{"shorter than declared", func(r *http.Request) { r.ContentLength++ }, refusal.BodyIncomplete, false},
}

func TestTokenRefusals(t *testing.T) {
	for _, tc := range tokenRefusals {
		t.Run(tc.name, func(t *testing.T) {
			h, logs := tokened(t, &Handler{MaxSize: 1000, Name: "gate"})
			request := withToken(newToken, delivery)
			tc.change(request)
			w, next := newRecorder(), new(spy)
			touched := &touchedBody{ReadCloser: request.Body, w: w}
			request.Body = touched
			r, err := serve(h, w, request, next)
			wantRefused(t, w, r, err, next, tc.want)
			wantLogged(t, logs, err, tc.want)
			if touched.read == tc.unread || !touched.closed {
				t.Errorf("the body: read %v, closed %v", touched.read, touched.closed)
			}
			fields := logs.All()[0].ContextMap()
			if names, ok := fields["tokens"].([]any); tc.want == refusal.TokenMismatch && (!ok || len(names) != 2 || names[0] != "new") {
				t.Errorf("the log names the tokens %v", fields["tokens"])
			}
			for name, value := range fields {
				if text, ok := value.(string); ok && (strings.Contains(text, newToken[:8]) || strings.Contains(text, oldToken[:8])) {
					t.Errorf("field %s shows a token", name)
				}
			}
		})
	}
}

// The line on a refusal says what the header section shows; a token that is wrong is looked
// into in the background.
func TestTokenDiagnosis(t *testing.T) {
	h, logs := tokened(t, &Handler{Name: "gate"})
	request := withToken("", delivery)
	request.Header.Del("X-Token")
	request.Header.Set("Authorization", "Bearer "+newToken)
	_, _ = serve(h, newRecorder(), request, new(spy))
	if fields := logs.All()[0].ContextMap(); fields["diagnosis"] != "token_in_another_field" || !strings.Contains(fields["hint"].(string), "`header Authorization` and `signature \"Bearer {token}\"`") {
		t.Errorf("the log says %v", fields)
	}
	_, _ = serve(h, newRecorder(), withToken("Bearer "+newToken, delivery), new(spy))
	select {
	case s := <-h.app.specimens:
		s.diagnose(nil)
	default:
		t.Fatal("nothing is diagnosed")
	}
	if fields := logs.FilterMessage("delivery diagnosed").All()[0].ContextMap(); fields["diagnosis"] != "token_has_another_form" {
		t.Errorf("the log says %v", fields)
	}
	h.Diagnose = "off"
	_, _ = serve(h, newRecorder(), withToken("Bearer "+newToken, delivery), new(spy))
	if len(h.app.specimens) != 0 {
		t.Error("it is diagnosed although that is off")
	}
}

// With a guard, what payload says makes a delivery. Of two without a body and with two
// numbers both arrive, and each of them once, whichever token it comes with.
func TestTokenReplay(t *testing.T) {
	h := &Handler{
		Name: t.Name(), Headers: []string{"X-Token"}, Payload: "{header.X-Channel}.{header.X-Number}.{body}",
		Replay: &Replay{Window: caddy.Duration(time.Hour)},
	}
	h, _ = tokened(t, h)
	next := new(spy)
	send := func(token, number, body string) string {
		r := withToken(token, body)
		r.Header.Set("X-Channel", "4ba78bf0-6a47-11e2-bcfd-0800200c9a77")
		if number != "" {
			r.Header.Set("X-Number", number)
		}
		done, _ := serve(h, newRecorder(), r, next)
		return placeholder(done, "reason")
	}
	for _, step := range []struct {
		token, number, body string
		want                refusal.Reason
		calls               int
	}{
		{newToken, "1", "", "", 1},
		{newToken, "2", "", "", 2},
		{newToken, "1", "", refusal.Duplicate, 2},
		{oldToken, "2", "", refusal.Duplicate, 2},
		{newToken, "2", "x", "", 3},
		{newToken, "", "", refusal.TokenMissing, 3},
		{newToken, "1.2", "", "", 4}, // the last field has the body's fence, see below
	} {
		if got := send(step.token, step.number, step.body); step.number != "1.2" && (got != string(step.want) || next.calls != step.calls) {
			t.Errorf("%+v: %q, the app was called %d times", step, got, next.calls)
		}
	}
	if got := send(newToken, "1.2", ""); got != string(refusal.TokenAmbiguous) {
		t.Errorf("a field with the text that ends it: %q", got)
	}
}

// Nothing else than a token loads beside it, and a token alone does not load for others.
func TestTokensThatDoNotLoad(t *testing.T) {
	tokens := []Token{{Value: newToken}}
	guard := func() *Replay { return &Replay{Window: caddy.Duration(time.Hour)} }
	for name, tc := range map[string]struct {
		h    *Handler
		want string
	}{
		"beside a secret":       {&Handler{Preset: "gitlab-token", Tokens: tokens, Secrets: []Secret{{Value: testSecret}}}, "exclude each other"},
		"beside a public key":   {&Handler{Preset: "discord", Tokens: tokens, PublicKeys: []PublicKey{{Value: edPublic}}}, "exclude each other"},
		"all three":             {&Handler{Tokens: tokens, PublicKeys: []PublicKey{{Value: edPublic}}, Secrets: []Secret{{Value: testSecret}}}, "exclude each other"},
		"no field":              {&Handler{Tokens: tokens}, "a token has no usual field"},
		"17 tokens":             {&Handler{Headers: []string{"X-Token"}, Tokens: slices.Repeat(tokens, 17)}, "token: there are 17"},
		"a name twice":          {&Handler{Headers: []string{"X-Token"}, Tokens: []Token{{"a", newToken}, {"a", oldToken}}}, "give each token a name of its own"},
		"a long name":           {&Handler{Headers: []string{"X-Token"}, Tokens: []Token{{strings.Repeat("n", 16), newToken}}}, "token 1: a name is at most 15"},
		"an unset variable":     {&Handler{Headers: []string{"X-Token"}, Tokens: []Token{{Value: "{env.NO_SUCH_TOKEN_X}"}}}, "token 1: {env.NO_SUCH_TOKEN_X} is unset"},
		"a sample":              {&Handler{Headers: []string{"X-Token"}, Tokens: []Token{{Value: "your-webhook-token"}}}, "token 1: it looks like a sample"},
		"a reference":           {&Handler{Headers: []string{"X-Token"}, Tokens: []Token{{Value: "${GITLAB_WEBHOOK_TOKEN}"}}}, "write {env.GITLAB_WEBHOOK_TOKEN}"},
		"an empty password":     {&Handler{Preset: "postmark", Tokens: []Token{{Value: "a-user-of-16-bytes:"}}}, "a password that is empty or blank"},
		"replay, no payload":    {&Handler{Preset: "huggingface", Tokens: tokens, Replay: guard()}, "say what makes a delivery"},
		"payload, no replay":    {&Handler{Preset: "huggingface", Tokens: tokens, Payload: "{body}"}, "add for example: replay 24h"},
		"a payload with a time": {&Handler{Preset: "huggingface", Tokens: tokens, Payload: "{ts}.{body}", Replay: guard()}, "a token dates nothing"},
		"a check with a MAC":    {&Handler{Preset: "huggingface", Tokens: tokens, Challenge: &Challenge{Kind: "zoom"}}, "the answer of zoom"},
		"a preset with secrets": {&Handler{Preset: "github", Tokens: tokens}, "github signs with a secret; write secret instead of token"},
		"a secret for it":       {&Handler{Preset: "telegram", Secrets: []Secret{{Value: testSecret}}}, "write token instead of secret"},
		"nothing for it":        {&Handler{Preset: "telegram"}, "token: it is missing; add: token {env.WEBHOOK_TOKEN}"},
	} {
		err := tc.h.Provision(emptyContext(t))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), newToken[:8]) {
			t.Errorf("%s: the error shows a token", name)
		}
	}
}

// At load the log says what a token cannot do, and what is unwise about this one.
func TestTokenWarnings(t *testing.T) {
	t.Setenv("WEBHOOK_TEST_TOKEN", "short")
	t.Setenv("WEBHOOK_TEST_QUOTED", `"`+newToken+`"`)
	file := write(t, newToken)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	h := &Handler{
		Name: "gate", logger: zap.New(core), Headers: []string{"X-Token"},
		Tokens: []Token{{Value: "{env.WEBHOOK_TEST_TOKEN}"}, {Value: "{env.WEBHOOK_TEST_QUOTED}"}, {Value: oldToken}},
	}
	if err := h.compile(emptyContext(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a token is no signature: nothing protects the body", "a token under 16 bytes can be guessed", "the token is in quotes", "a literal token is readable", "gate gate: no preset, 3 tokens",
	} {
		if logs.FilterMessageSnippet(want).Len() != 1 {
			t.Errorf("the log does not say %q once: %v", want, logs.All())
		}
	}
	if logs.FilterMessageSnippet("secret").Len() != 0 {
		t.Errorf("a token is called a secret: %v", logs.All())
	}
	for _, line := range logs.All() {
		if text := line.Message + " " + mustJSON(t, line.ContextMap()); strings.Contains(text, newToken[:8]) || strings.Contains(text, oldToken[:8]) {
			t.Errorf("the log shows a token: %s", text)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The token of one gate does not load as the secret of another, and in another field it
// warns.
func TestSharedTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		second *Handler
		warns  int
		want   string
	}{
		"the same field":        {&Handler{Headers: []string{"x-token"}, Tokens: []Token{{Value: newToken}}}, 0, ""},
		"another field":         {&Handler{Headers: []string{"X-Other"}, Tokens: []Token{{Value: newToken}}}, 1, ""},
		"another token":         {&Handler{Headers: []string{"X-Other"}, Tokens: []Token{{Value: "tk-0Xx1Yy2Zz3Aa4Bb5Cc6D"}}}, 0, ""},
		"a secret":              {&Handler{Secrets: []Secret{{Value: newToken}}}, 0, `the token of the gate "first" is the secret of the gate "second"`},
		"an old secret":         {&Handler{Secrets: []Secret{{Value: testSecret}, {Value: oldToken}}}, 0, `the token of the gate "first" is the secret of the gate "second"`},
		"a secret with a check": {&Handler{Secrets: []Secret{{Value: newToken}}, Challenge: &Challenge{Kind: "x"}}, 0, `the token of the gate "first" is the secret of the gate "second"`},
	} {
		for _, swapped := range []bool{false, true} {
			first, second := Handler{Name: "first", Headers: []string{"X-Token"}, Tokens: []Token{{Name: "new", Value: newToken}, {Name: "old", Value: oldToken}}}, *tc.second
			second.Name = "second"
			found, err := sharing(t, first, second)
			if swapped {
				found, err = sharing(t, second, first)
			}
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v; want %q", name, err, tc.want)
			}
			if err == nil && len(found) != tc.warns {
				t.Errorf("%s: finds %v", name, found)
			}
		}
	}
}

const tokenBlock = "{\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Gitlab-Token delete\n\t\t}\n\t}\n}"

// A finding that a log shows a token ends with a block that mends it, and after which there is
// none. When a configuration starts, its logs are not known, and it is a warning.
func TestTokenLogBlock(t *testing.T) {
	const site = ":8080 {\n\tlog\n\twebhook_auth gitlab-token {\n\t\ttoken {env.WEBHOOK_SECRET}\n\t}\n\treverse_proxy app:1\n}\n"
	inLog := func(found []lint.Finding) []lint.Finding {
		return slices.DeleteFunc(found, func(f lint.Finding) bool { return f.Kind == lint.TokenUnsigned })
	}
	found := inLog(findingsOf(t, site))
	if len(found) != 1 || found[0].Severity != lint.Error || found[0].Block != tokenBlock || found[0].By != "the log default" {
		t.Fatalf("finds %v", found)
	}
	if line := found[0].String(); !strings.HasPrefix(line, "error token_in_log: by the log default, server srv0: a log shows tokens") || !strings.HasSuffix(line, ":\n"+tokenBlock) {
		t.Errorf("it is shown as\n%s", line)
	}
	if found := inLog(findingsOf(t, found[0].Block+"\n"+site)); len(found) != 0 {
		t.Errorf("with the block: %v", found)
	}
	for _, f := range inLog(findingsAtLoad(t, site)) {
		if f.Severity != lint.Warning || f.Kind != "token_in_log" || f.By != "" {
			t.Errorf("at load: %v", f)
		}
	}
}
