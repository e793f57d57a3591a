package diagnosis_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const tokenField = "X-Webhook-Token"

// A tokenFault is as faulty, of a gate with a token. cured is the gate or the request with
// which it is accepted: what the hint says.
type tokenFault struct {
	want    diagnosis.Diagnosis
	hint    string
	pattern string // default: {token}
	payload string // with a replay guard
	tokens  []string
	header  http.Header
	others  []*diagnosis.Gate
	cured   func(*tokenFault)
}

func tokenFaults() []tokenFault {
	value := func(text string) http.Header { return header(tokenField, text) }
	sends := func(text string) func(*tokenFault) {
		return func(f *tokenFault) { f.header = value(text) }
	}
	writes := func(pattern string) func(*tokenFault) { return func(f *tokenFault) { f.pattern = pattern } }
	has := func(text string) func(*tokenFault) { return func(f *tokenFault) { f.tokens = []string{text} } }
	user := "hooks:" + secret
	b64 := base64.StdEncoding.EncodeToString
	ours := func(name, field, text string) *diagnosis.Gate {
		return diagnosis.NewTokenGate(name, signature.Scheme{Headers: []string{field}, Signature: "{token}"}, []signature.Token{{Name: "1", Text: text}})
	}
	return []tokenFault{
		{want: "sender_token_is_quoted", header: value(`"` + secret + `"`), cured: sends(secret)},
		{want: "sender_token_is_quoted", pattern: "Bearer {token}", header: value("Bearer '" + secret + "'"), cured: sends("Bearer " + secret)},
		{want: "sender_token_has_white_space", pattern: "Bearer {token}", header: value("Bearer  " + secret), cured: sends("Bearer " + secret)},
		{want: "sender_token_has_white_space", pattern: "Bearer {token}", header: value("Bearer\t" + secret), cured: sends("Bearer " + secret)},
		{want: "sender_token_has_white_space", header: value(secret[:8] + " " + secret[8:]), cured: sends(secret)},
		{want: "sender_token_has_white_space", header: value("\ufeff" + secret), cured: sends(secret)},
		{want: "sender_token_has_white_space", hint: `such as \n`, header: value(secret + `\n`), cured: sends(secret)},
		{want: "sender_token_has_white_space", header: value(secret + "%0D%0A"), cured: sends(secret)},

		{want: "token_has_another_form", hint: "`signature \"Bearer {token}\"`", header: value("Bearer " + secret), cured: writes("Bearer {token}")},
		{want: "token_has_another_form", hint: "`signature {token}`", pattern: "Bearer {token}", header: value(secret), cured: writes("{token}")},
		{want: "token_has_another_form", hint: "`signature \"Token {token}\"`", pattern: "Bearer {token}", header: value("Token " + secret), cured: writes("Token {token}")},
		{want: "token_has_another_form", hint: "`signature \"bearer {token}\"`", pattern: "Bearer {token}", header: value("bearer " + secret), cured: writes("bearer {token}")},
		{want: "token_has_another_form", hint: "`signature {token_base64}`", header: value(b64([]byte(secret))), cured: writes("{token_base64}")},
		{want: "token_has_another_form", hint: "`signature \"Bearer {token_base64}\"`", pattern: "Bearer {token}", header: value("Bearer " + b64([]byte(secret))), cured: writes("Bearer {token_base64}")},
		{want: "token_has_another_form", hint: "`signature \"Basic {token_base64}\"`", tokens: []string{user}, header: value("Basic " + b64([]byte(user))), cured: writes("Basic {token_base64}")},
		{want: "token_has_another_form", hint: "`signature {token}`", pattern: "Basic {token_base64}", tokens: []string{user}, header: value(user), cured: writes("{token}")},
		{want: "token_has_another_form", hint: "`signature` with the text", header: value("key=" + secret), cured: writes("key={token}")},
		{want: "token_has_another_form", hint: "`signature` with the text", pattern: "Bearer {token}", header: value("Secret-Key " + secret), cured: writes("Secret-Key {token}")},

		{want: "token_case_differs", header: value(strings.ToUpper(secret)), cured: sends(secret)},
		{want: "token_case_differs", tokens: []string{hexKey}, header: value(strings.ToUpper(hexKey)), cured: sends(hexKey)},
		{want: "token_case_differs", pattern: "Bearer {token}", header: value("BEARER " + strings.ToLower(secret)), cured: sends("Bearer " + secret)},
		{want: "token_is_quoted", tokens: []string{`"` + secret + `"`}, header: value(secret), cured: has(secret)},
		{want: "token_is_base64", tokens: []string{b64([]byte(secret))}, header: value(secret), cured: has(secret)},
		{
			want: "token_of_another_gate", hint: `"second"`, header: value(decoy), cured: has(decoy),
			others: []*diagnosis.Gate{nil, gate("signed", signature.Scheme{}, decoy), ours("first", "X-A", secret+"1"), ours("second", "X-A", decoy)},
		},
		{
			want: "meant_for_another_gate", hint: `"second"`, header: header(tokenField, "0123456789abcdef", "X-A", decoy),
			others: []*diagnosis.Gate{ours("second", "X-A", decoy)},
		},
		{want: "sender_has_no_token", hint: "The field " + tokenField, header: value(""), cured: sends(secret)},
		{want: "unknown", hint: "compare the token", header: value(decoy)},
		{want: "unknown", hint: "compare the token", header: value(strings.Repeat(`"`, 5000) + secret)},
		{want: "unknown", header: value(secret[:len(secret)-1])},
		{want: "unknown", pattern: "Basic {token_base64}", tokens: []string{user}, header: value("Basic " + b64([]byte("hooks:"+decoy)))},

		{want: "token_in_another_field", hint: "`header Authorization` and `signature \"Bearer {token}\"`", header: header("Authorization", "Bearer "+secret), cured: sends(secret)},
		{want: "token_in_another_field", hint: "`header X-Gitlab-Token`", header: header("X-Gitlab-Token", secret), cured: sends(secret)},
		{want: "token_in_another_field", hint: "`header X-Api-Key` and `signature {token}`", pattern: "Bearer {token}", header: header("X-Api-Key", secret), cured: sends("Bearer " + secret)},
		{want: "sender_signs_deliveries", hint: "X-Buildkite-Signature; write `webhook_auth buildkite` with secret", header: header("X-Buildkite-Signature", "timestamp=1,signature="+hexOf("sha256", secret, "1.x"))},
		{want: "sender_signs_deliveries", hint: "`webhook_auth standard-webhooks`", header: standard(secret)},
		{
			want: "field_of_delivery_is_missing", hint: "X-Number", payload: "{header.X-Channel}.{header.X-Number}.{body}", header: header(tokenField, secret, "X-Channel", "1"),
			cured: func(f *tokenFault) { f.header.Set("X-Number", "1") },
		},
		{want: "", header: header("X-Api-Key", decoy)},
		{want: "", header: header("X-Api-Key", strings.Repeat(" ", 512)+secret)},
		{want: "", header: header()},
	}
}

func (f *tokenFault) scheme() signature.Scheme {
	s := signature.Scheme{Headers: []string{tokenField}, Signature: f.pattern, Payload: f.payload}
	if s.Signature == "" {
		s.Signature = "{token}"
	}
	return s
}

func (f *tokenFault) all() []signature.Token {
	texts := f.tokens
	if texts == nil {
		texts = []string{secret}
	}
	var all []signature.Token
	for i, text := range append([]string{"decoy:0123456789abcdef"}, texts...) { // the newest one is not in use yet
		all = append(all, signature.Token{Name: fmt.Sprint(i), Text: text})
	}
	return all
}

func (f *tokenFault) verdict(t *testing.T) error {
	t.Helper()
	v, err := signature.NewTokens(f.scheme(), f.all())
	if err != nil {
		t.Fatal(err)
	}
	if f.payload != "" {
		v.Fingerprints("gate")
	}
	_, err = v.Begin(&signature.Delivery{Header: f.header})
	return err
}

// At a gate with a token too, a diagnosis names the one change with which the judge accepts.
// Nothing is named for a token that is not known, and no hint shows one.
func TestTokenDiagnoses(t *testing.T) {
	for i, f := range tokenFaults() {
		t.Run(fmt.Sprintf("%d %s", i, f.want), func(t *testing.T) {
			reason := f.verdict(t)
			g := diagnosis.NewTokenGate("own", f.scheme(), f.all())
			d := &signature.Delivery{Header: f.header, Method: http.MethodPost, Now: now}
			var got diagnosis.Finding
			switch {
			case errors.Is(reason, refusal.TokenMismatch):
				got = g.Diagnose(d, nil, append([]*diagnosis.Gate{g}, f.others...))
			case errors.Is(reason, refusal.TokenMissing):
				got = g.Check(&signature.Request{Method: d.Method, Header: d.Header}, nil)
			default:
				t.Fatalf("the gate says %v", reason)
			}
			if got.Diagnosis != f.want || !strings.Contains(got.Hint, f.hint) || strings.Contains(got.Hint, "%!") || f.want != "" && !strings.HasSuffix(got.Hint, ".") {
				t.Errorf("got %+v, want %q with %q", got, f.want, f.hint)
			}
			if inspected := g.Inspect(d, refusal.Reason(reason.Error())); inspected.Diagnosis != "" {
				t.Errorf("the header section is looked into twice: %+v", inspected)
			}
			for _, hidden := range append(f.tokens, secret, decoy, f.header.Get(tokenField)) {
				if part := common(hidden, got.Hint, 8); part != "" {
					t.Errorf("the hint holds %q", part)
				}
			}
			if f.cured == nil {
				return
			}
			if f.cured(&f); f.verdict(t) != nil {
				t.Errorf("the cure does not help: %v", f.verdict(t))
			}
		})
	}
}

// A request to a gate with a signature may have been meant for one with a token.
func TestTokenGateAmongOthers(t *testing.T) {
	own := gate("own", signature.Scheme{}, secret)
	f := tokenFaults()[0]
	other := diagnosis.NewTokenGate("tokens", f.scheme(), f.all())
	d := &signature.Delivery{Header: hub(decoy, plain), Now: now}
	if got := own.Diagnose(d, []byte(plain), []*diagnosis.Gate{own, other}); got.Diagnosis != diagnosis.Unknown {
		t.Errorf("%+v", got)
	}
	d.Header.Set(tokenField, secret)
	if got := own.Diagnose(d, []byte(plain), []*diagnosis.Gate{own, other}); got.Diagnosis != "meant_for_another_gate" || !strings.Contains(got.Hint, `"tokens"`) {
		t.Errorf("%+v", got)
	}
	for _, format := range []string{"%v", "%+v", "%#v"} {
		if out := fmt.Sprintf(format, *other); common(secret, out, 6) != "" {
			t.Errorf("%s: %s", format, out)
		}
	}
}

// The hints about senders with a token name presets that exist, with the field of each.
func TestTokenSendersHavePresets(t *testing.T) {
	for _, row := range checkRows() {
		if row.want != "sender_sends_token" {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(row.hint, "`webhook_auth "), "`")
		p, ok := signature.FindPresetOf(name, signature.Tokens)
		if !ok || !slices.ContainsFunc(p.Scheme.Headers, func(field string) bool { return strings.EqualFold(field, row.field) }) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
