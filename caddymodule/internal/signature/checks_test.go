package signature_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A checkVector is one row of checks.json.
type checkVector struct {
	Kind, Source, Method, Query, Body, Token, Secret string
	Arguments                                        []string
	Fields                                           map[string]string
	Signed                                           bool
	Answer                                           struct {
		Status      int
		ContentType string `json:"content_type"`
		Fields      map[string]string
		Body        string
	}
}

func checkVectors(t testing.TB) []checkVector {
	t.Helper()
	var file struct{ Checks []checkVector }
	load(t, "checks.json", &file)
	return file.Checks
}

func signUnder(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func (v *checkVector) key() string {
	if v.Secret == "" {
		return secret
	}
	return v.Secret
}

// request returns the check without a signature.
func (v *checkVector) request() *signature.Request {
	return &signature.Request{Method: v.Method, Header: headerFields(v.Fields), Query: v.Query, Length: int64(len(v.Body))}
}

// ask asks a gate of the X-Hub-Signature family.
func (v *checkVector) ask(t testing.TB, r *signature.Request, body string) (signature.Answer, bool) {
	t.Helper()
	c, gate := challenge(t, v.Kind, v.Arguments...), newVerifier(t, nil, v.key())
	if !v.Signed {
		if got, ok := c.Answer(r, gate); ok {
			return got, ok
		}
		return c.AnswerUnsigned(r, []byte(body), gate)
	}
	match, err := verify(gate, hub("sha256="+signUnder(v.key(), body)), body)
	if err != nil {
		t.Fatal(err)
	}
	return c.AnswerVerified(r, []byte(body), match)
}

// Each kind of challenge has a check of its sender, and answers it as the sender wants.
func TestCheckVectors(t *testing.T) {
	var kinds []string
	for _, v := range checkVectors(t) {
		kinds = append(kinds, v.Kind)
		want := signature.Answer{Status: v.Answer.Status, ContentType: v.Answer.ContentType, Fields: v.Answer.Fields, Body: v.Answer.Body}
		got, ok := v.ask(t, v.request(), v.Body)
		if !ok || !sameCheck(t, got, want) {
			t.Errorf("%s: %+v, %v; want %+v", v.Kind, got, ok, want)
		}
		if v.Source == "" {
			t.Errorf("%s: nobody says so", v.Kind)
		}
	}
	want := signature.Challenges()
	slices.Sort(kinds)
	slices.Sort(want)
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds %q, want %q", kinds, want)
	}
}

// sameCheck compares JSON by its values.
func sameCheck(t *testing.T, got, want signature.Answer) bool {
	t.Helper()
	if strings.HasPrefix(want.Body, `{"type"`) || want.ContentType != "application/json" || want.Body == "" {
		return reflect.DeepEqual(got, want)
	}
	same := sameAnswer(t, got, []byte(want.Body))
	got.Body, want.Body = "", ""
	return same && reflect.DeepEqual(got, want)
}

// Whatever differs from an unsigned check in one thing is none, and goes on to be judged: a
// delivery that is answered is lost.
func TestNearMissesOfChecks(t *testing.T) {
	const foreign = `a{{b`
	for _, v := range checkVectors(t) {
		if v.Signed {
			continue
		}
		near := map[string]func(r *signature.Request, body *string){
			"a signature": func(r *signature.Request, _ *string) { r.Header.Set("X-Hub-Signature", "sha256=x") },
			"an empty signature": func(r *signature.Request, _ *string) {
				r.Header["X-Hub-Signature-256"] = []string{""}
			},
			"a broken query": func(r *signature.Request, _ *string) { r.Query += "&%zz" },
			"a semicolon":    func(r *signature.Request, _ *string) { r.Query += ";a=b" },
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "get", "DELETE", ""} {
			if method != v.Method {
				near["method "+method] = func(r *signature.Request, _ *string) { r.Method = method }
			}
		}
		parameters, _ := url.ParseQuery(v.Query)
		for name := range parameters {
			if name == "hub.lease_seconds" || name == "applicationId" {
				continue
			}
			near["twice "+name] = func(r *signature.Request, _ *string) { r.Query += "&" + name + "=" + parameters.Get(name) }
			near["without "+name] = func(r *signature.Request, _ *string) {
				fewer, _ := url.ParseQuery(r.Query)
				fewer.Del(name)
				r.Query = fewer.Encode()
			}
		}
		for name := range v.Fields {
			if name == "Content-Type" || name == "WebHook-Request-Callback" {
				continue
			}
			near["twice "+name] = func(r *signature.Request, _ *string) { r.Header.Add(name, r.Header.Get(name)) }
			if name != "WebHook-Request-Rate" {
				near["without "+name] = func(r *signature.Request, _ *string) { r.Header.Del(name) }
				near["another "+name] = func(r *signature.Request, _ *string) { r.Header.Set(name, foreign) }
			}
		}
		if v.Token != "" {
			for name, token := range map[string]string{
				"foreign letters": foreign, "too long": strings.Repeat("a", 513), "empty": "", "a page": "<b>", "a line": "a\r\nb", "not ASCII": "é",
			} {
				near[name] = func(r *signature.Request, body *string) { v.replace(r, body, token) }
			}
		}
		if v.Method == http.MethodPost {
			near["chunks"] = func(r *signature.Request, _ *string) { r.Length = -1 }
			near["5 KiB"] = func(r *signature.Request, _ *string) { r.Length = 5 << 10 }
			near["a byte too many"] = func(r *signature.Request, _ *string) { r.Length = 4<<10 + 1 }
		}
		for name, differ := range near {
			r, body := v.request(), v.Body
			differ(r, &body)
			if got, ok := v.ask(t, r, body); ok || !reflect.DeepEqual(got, signature.Answer{}) {
				t.Errorf("%s, %s: answered %+v", v.Kind, name, got)
			}
		}
		if v.Method == http.MethodPost {
			r := v.request()
			r.Length = 4 << 10
			if _, ok := v.ask(t, r, v.Body); !ok {
				t.Errorf("%s: 4 KiB are not answered", v.Kind)
			}
		}
	}
}

// replace puts another token where the check has its own.
func (v *checkVector) replace(r *signature.Request, body *string, token string) {
	r.Query = strings.ReplaceAll(r.Query, url.QueryEscape(v.Token), url.QueryEscape(token))
	if parameters, _ := url.ParseQuery(r.Query); len(parameters["validationToken"]) > 0 { // written with small digits
		r.Query = "validationToken=" + url.QueryEscape(token)
	}
	for name, value := range v.Fields {
		if value == v.Token {
			r.Header.Set(name, token)
		}
	}
	*body = strings.ReplaceAll(*body, v.Token, token)
}

// What else is none of the checks that have a form of their own.
func TestOtherRequestsAreNoChecks(t *testing.T) {
	const origin = "eventgrid.azure.net"
	options := func(pairs ...string) *signature.Request {
		r := &signature.Request{Method: http.MethodOptions, Header: http.Header{}}
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Add(pairs[i], pairs[i+1])
		}
		return r
	}
	for _, tc := range []struct {
		name string
		r    *signature.Request
		rate string // of the answer; empty: none
	}{
		{"no rate", options("WebHook-Request-Origin", origin), "*"},
		{"a rate", options("WebHook-Request-Origin", origin, "WebHook-Request-Rate", "100"), "100"},
		{"another origin", options("WebHook-Request-Origin", "evil.example"), ""},
		{"a longer origin", options("WebHook-Request-Origin", origin+".evil.example"), ""},
		{"an asterisk", options("WebHook-Request-Origin", "*"), ""},
		{"two origins", options("WebHook-Request-Origin", origin, "WebHook-Request-Origin", origin), ""},
		{"a preflight", options("WebHook-Request-Origin", origin, "Access-Control-Request-Method", "POST"), ""},
		{"a preflight of browsers", options("Origin", origin, "Access-Control-Request-Method", "POST"), ""},
		{"no origin", options("WebHook-Request-Rate", "100"), ""},
		{"rate 0", options("WebHook-Request-Origin", origin, "WebHook-Request-Rate", "0"), ""},
		{"rate *", options("WebHook-Request-Origin", origin, "WebHook-Request-Rate", "*"), ""},
		{"an empty rate", options("WebHook-Request-Origin", origin, "WebHook-Request-Rate", ""), ""},
		{"a rate of text", options("WebHook-Request-Origin", origin, "WebHook-Request-Rate", "{{1}}"), ""},
		{"a rate of ten digits", options("WebHook-Request-Origin", origin, "WebHook-Request-Rate", "1000000000"), ""},
	} {
		got, ok := challenge(t, "cloudevents", origin, "other.example").Answer(tc.r, newVerifier(t, nil, secret))
		want := map[string]string{"Allow": "POST", "WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": tc.rate}
		if ok != (tc.rate != "") || ok && !reflect.DeepEqual(got.Fields, want) {
			t.Errorf("%s: %+v, %v", tc.name, got, ok)
		}
	}

	right := validationOf("code-1")
	for name, body := range map[string]string{
		"not an array": right[1 : len(right)-1], "two events": "[" + right[1:len(right)-1] + "," + right[1:len(right)-1] + "]", "none": "[]",
		"another event": strings.Replace(right, "SubscriptionValidationEvent", "SubscriptionDeletedEvent", 1), "no code": strings.Replace(right, "validationCode", "code", 1),
		"a number": strings.Replace(right, `"code-1"`, "1", 1), "no JSON": "code-1", "more": right + "x", "empty": "", "null": "[null]", "strings": `["a"]`,
	} {
		if got, ok := askUnsigned(t, challenge(t, "eventgrid"), body); ok {
			t.Errorf("%s: answered %+v", name, got)
		}
	}
	if _, ok := askUnsigned(t, challenge(t, "eventgrid"), right); !ok {
		t.Error("the right one is not answered")
	}
	for _, query := range []string{"validationToken=a&validationtoken=a", "validationtoken=a&validationtoken=b", "VALIDATIONTOKEN=a", "validationtoken="} {
		if got, ok := challenge(t, "graph").Answer(&signature.Request{Method: http.MethodPost, Query: query}, newVerifier(t, nil, secret)); ok {
			t.Errorf("%s: answered %+v", query, got)
		}
	}
	for _, front := range []struct{ field, body string }{{"", `{"type":"sync"}`}, {"X-Front-Challenge", `{"type":"inbound_received"}`}, {"X-Front-Challenge", `[]`}} {
		r := &signature.Request{Method: http.MethodPost, Header: http.Header{front.field: {"abc"}}}
		if got, ok := askGate(t, challenge(t, "front"), r, front.body); ok {
			t.Errorf("%+v: answered %+v", front, got)
		}
	}
}

// Only a request that is Event Grid's check by its header section has its body read.
func TestBodiesOfChecks(t *testing.T) {
	for _, v := range checkVectors(t) {
		c, gate := challenge(t, v.Kind, v.Arguments...), newVerifier(t, nil, secret)
		if got := c.ReadsBody(v.request(), gate); got != (v.Kind == "eventgrid") {
			t.Errorf("%s: %v", v.Kind, got)
		}
		other := v.request()
		other.Header.Set("Aeg-Event-Type", "Notification")
		if c.ReadsBody(other, gate) {
			t.Errorf("%s: the body of an event is read", v.Kind)
		}
	}
}

// At a gate with a token, a check in a body is answered only with the token; and the other
// ones that a field names with the token or without. With another token nothing is.
func TestChecksOfTokenGates(t *testing.T) {
	scheme := signature.Scheme{Headers: []string{"X-Token"}, Signature: "{token}"}
	gate, err := signature.NewTokens(scheme, []signature.Token{{Name: "1", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range checkVectors(t) {
		c := challenge(t, v.Kind, v.Arguments...)
		if c.CheckScheme(scheme) != nil {
			continue
		}
		r := v.request()
		_, bare := c.Answer(r, gate)
		_, read := c.AnswerUnsigned(r, []byte(v.Body), gate)
		if want := !v.Signed && v.Kind != "eventgrid"; bare != want || read || c.ReadsBody(r, gate) {
			t.Errorf("%s without a token: %v %v, want %v", v.Kind, bare, read, want)
		}
		r.Header.Set("X-Token", secret)
		check, err := gate.Begin(&signature.Delivery{Method: v.Method, Header: r.Header})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(check, v.Body)
		match, err := check.End(strings.NewReader(v.Body))
		if err != nil {
			t.Fatal(err)
		}
		late := slices.Contains([]string{"okta", "cloudevents", "eventgrid"}, v.Kind) || v.Signed
		_, early := c.Answer(r, gate)
		got, ok := c.AnswerVerified(r, []byte(v.Body), match)
		if early || ok != late || ok && got.Body != v.Answer.Body {
			t.Errorf("%s with the token: %v %v %+v, want %v", v.Kind, early, ok, got, late)
		}
		if _, ok := c.AnswerVerified(r, []byte(v.Body), signature.Match{}); ok {
			t.Errorf("%s: answered before the token was compared", v.Kind)
		}
		if !v.Signed && ok {
			r.Method = http.MethodPut
			if _, ok := c.AnswerVerified(r, []byte(v.Body), match); ok {
				t.Errorf("%s: a delivery is answered", v.Kind)
			}
		}
	}
}

// A signed delivery that looks like an unsigned check is a delivery.
func TestSignedDeliveriesAreNoChecks(t *testing.T) {
	for _, v := range checkVectors(t) {
		if v.Signed {
			continue
		}
		gate := newVerifier(t, nil, secret)
		match, err := verify(gate, hub("sha256="+signText(v.Body)), v.Body)
		if err != nil {
			t.Fatal(err)
		}
		c, r := challenge(t, v.Kind, v.Arguments...), v.request()
		if _, ok := c.AnswerVerified(r, []byte(v.Body), match); ok || c.WantsVerified(r, 1, match) {
			t.Errorf("%s: it is answered", v.Kind)
		}
	}
}

// What the keyed checks sign for strangers is a delivery under no payload: whatever is
// written around the body, the body is made of the same letters, and the gate refuses it.
func TestOraclesSignNoDelivery(t *testing.T) {
	for _, tc := range []struct{ kind, parameter, token string }{
		{"x", "crc_token", "1700000000-0123456789abcdef_1700000000"},
		{"linkedin", "challengeCode", "17000000-00e2-9b41-d4a7-164466554400"},
	} {
		c := challenge(t, tc.kind)
		made, ok := askGate(t, c, &signature.Request{Method: http.MethodGet, Query: tc.parameter + "=" + tc.token}, "")
		if !ok || !strings.Contains(made.Body, ":") {
			t.Fatalf("%s signs nothing: %+v", tc.kind, made)
		}
		forged := make(map[string]int)
		for _, payload := range []string{
			"{body}", "{ts}{body}", "{body}{ts}", "{ts}-{body}", "{body}-{ts}", "{header.X-Id}-{body}", "{header.X-Id}{ts}{body}", "{method}{ts}{body}", "hmacsha256={body}", "{ts}.{body}",
		} {
			scheme := signature.Scheme{Payload: payload}
			if strings.Contains(payload, "{ts}") {
				scheme.Timestamp, scheme.Tolerance = "X-Time", signature.MaxTolerance
			}
			v, err := signature.New(scheme, []signature.Secret{{Name: "1", Text: secret}})
			if err != nil {
				continue // it does not load
			}
			// Every way to cut the token into three: a field or a time, a body, a rest.
			for i := range len(tc.token) + 1 {
				for j := i; j <= len(tc.token); j++ {
					for _, around := range []string{tc.token[:i], tc.token[j:]} {
						body := tc.token[i:j]
						fields := http.Header{"X-Hub-Signature": {"sha256=" + signText(tc.token)}, "X-Id": {strings.Trim(around, "-")}, "X-Time": {strings.Trim(around, "-")}}
						d := &signature.Delivery{Header: fields, Method: "POST", Now: now}
						if judge(v, d, body) != accepted {
							continue
						}
						forged[payload]++
						if !c.Forgeable([]byte(body)) {
							t.Errorf("%s, %s: %q is a delivery that a stranger had signed", tc.kind, payload, body)
						}
					}
				}
			}
		}
		if len(forged) < 2 {
			t.Errorf("%s: hardly a cut was accepted, so that nothing was tried: %v", tc.kind, forged)
		}
		if err := c.CheckScheme(signature.Scheme{Payload: "{ts}.{body_sha256}"}); err == nil || !strings.Contains(err.Error(), "write {body} into payload") {
			t.Errorf("%s: a payload with a digest in it loads: %v", tc.kind, err)
		}
		if err := c.CheckScheme(signature.Scheme{}); err != nil {
			t.Error(err)
		}
	}
}

// LinkedIn's own deliveries have a text in front, and its check could sign such a one.
func TestLinkedInSignsUUIDs(t *testing.T) {
	c := challenge(t, "linkedin")
	for _, tc := range []struct {
		code     string
		answered bool
	}{
		{"890e4665-4dfe-4ab1-b689-ed553bceeed0", true},
		{"00000000-0000-0000-0000-000000000000", true},
		{`hmacsha256={"evil":1}`, false},
		{"hmacsha256=890e4665-4dfe-4ab1-b689-ed553bceeed0", false},
		{"890E4665-4DFE-4AB1-B689-ED553BCEEED0", false},
		{"890e46654dfe4ab1b689ed553bceeed0", false},
		{"890e4665-4dfe-4ab1-b689-ed553bceeed0a", false},
		{"890e4665-4dfe-4ab1-b689-ed553bceeed0\n", false},
		{"890e4665-4dfe-4ab1-b689-ed553bceeedg", false},
		{"------------------------------------", false},
		{"", false},
	} {
		got, ok := askGate(t, c, &signature.Request{Method: http.MethodGet, Query: url.Values{"challengeCode": {tc.code}}.Encode()}, "")
		if ok != tc.answered {
			t.Errorf("%q: %+v", tc.code, got)
		}
		if ok && (!c.Forgeable([]byte(tc.code)) || !c.MayForge(int64(len(tc.code)))) {
			t.Errorf("%q is signed for anyone, and a delivery", tc.code)
		}
	}
	for _, body := range []string{"", "0", "-", "1700000000", "abc"} {
		if !c.Forgeable([]byte(body)) {
			t.Errorf("%q may be a part of a UUID", body)
		}
	}
	for _, body := range []string{"{}", "g", `{"a":1}`, "890e4665 4dfe"} {
		if c.Forgeable([]byte(body)) {
			t.Errorf("%q is refused", body)
		}
	}
}

// FuzzCheck: whatever a stranger asks, what is answered is of the kind's own method, carries
// no signature, and holds nothing that another handler could take for more than a text.
func FuzzCheck(f *testing.F) {
	all := checkVectors(f)
	for i, v := range all {
		var fields strings.Builder
		for name, value := range v.Fields {
			fmt.Fprintf(&fields, "%s: %s\n", name, value)
		}
		f.Add(i, v.Method, v.Query, fields.String(), v.Body, int64(len(v.Body)))
		f.Add(i, v.Method, v.Query+"&"+v.Query, fields.String()+fields.String()+"X-Hub-Signature: a", v.Body, int64(-1))
	}
	f.Fuzz(func(t *testing.T, i int, method, query, fields, body string, length int64) {
		v := all[uint(i)%uint(len(all))]
		if v.Signed {
			return
		}
		header := http.Header{}
		for line := range strings.SplitSeq(fields, "\n") {
			name, value, _ := strings.Cut(line, ":")
			header.Add(name, strings.TrimSpace(value))
		}
		r := &signature.Request{Method: method, Header: header, Query: query, Length: length}
		got, ok := v.ask(t, r, body)
		if !ok {
			return
		}
		if method != v.Method || header.Get("X-Hub-Signature") != "" || header.Get("X-Hub-Signature-256") != "" {
			t.Errorf("%s: answered %q %v", v.Kind, method, header)
		}
		if method == http.MethodPost && (length < 0 || length > 4<<10) {
			t.Errorf("%s: a body of %d bytes is answered", v.Kind, length)
		}
		for name, sent := range got.Fields {
			if strings.ContainsAny(sent, "{}<>$%&\"'`\\\r\n\x00") || len(sent) > 512 {
				t.Errorf("%s: %s: %q", v.Kind, name, sent)
			}
		}
		if strings.ContainsAny(got.Body, "<>$%&'`\\\r\n\x00") || strings.Contains(got.Body, "{{") || len(got.Body) > 1<<10 {
			t.Errorf("%s: %q", v.Kind, got.Body)
		}
	})
}
