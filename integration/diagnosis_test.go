package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A fault is one thing that goes wrong between a sender and the gate.
type fault struct {
	name    string
	want    string // the diagnosis
	hint    string // a part of the hint
	options string // of the gate; default: the secret from the environment
	secret  string // of the gate's environment; default: testSecret
	key     string // that the sender signs with; default: testSecret
	signs   string // the body that the sender signs; default: what it sends
	sends   string // the body that arrives; default: chatBotKit
	field   string // the whole signature field; default: X-Hub-Signature of key and signs
	fields  []string
}

const (
	compact = `{"path":"/a/b","who":"Zoë","n":[1,2.50],"e":{}}`
	pretty  = "{\n  \"path\": \"/a/b\",\n  \"who\": \"Zoë\",\n  \"n\": [\n    1,\n    2.50\n  ],\n  \"e\": {}\n}"
)

var (
	aKey       = strings.Repeat("kW7q", 8)
	keyBase64  = base64.StdEncoding.EncodeToString([]byte(aKey))
	keyHex     = hex.EncodeToString([]byte(aKey))
	longAgo    = time.Now().Add(-time.Hour).Unix()
	inBase64   = base64.StdEncoding.EncodeToString(hmacSHA256(testSecret, chatBotKit))
	slackField = func(at int64) []string {
		return []string{
			fmt.Sprintf("X-Slack-Request-Timestamp: %d", at),
			fmt.Sprintf("X-Slack-Signature: v0=%x", hmacSHA256(testSecret, fmt.Sprintf("v0:%d:%s", at, chatBotKit))),
		}
	}
)

func hmacSHA256(key, text string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// faults are the mistakes that senders and operators really make, each made as it
// happens.
var faults = []fault{
	// The secret.
	{name: "a blank in the gate's variable", want: "secret_has_surrounding_whitespace", secret: testSecret + " ", hint: "gate's secret"},
	{name: "CR in the gate's variable", want: "secret_has_surrounding_whitespace", secret: testSecret + "\r", hint: "gate's secret"},
	{name: "quotes in an env file", want: "secret_is_quoted", secret: `"` + testSecret + `"`, hint: "quotes"},
	{name: "a newline pasted at the sender", want: "sender_secret_ends_with_newline", key: testSecret + "\n", hint: "sender"},
	{name: "CR LF pasted at the sender", want: "sender_secret_ends_with_newline", key: testSecret + "\r\n", hint: "sender"},
	{name: "base64 of the key given as text", want: "secret_needs_base64_decode", secret: keyBase64, key: aKey, hint: "secret_encoding base64"},
	{name: "hex of the key given as text", want: "secret_needs_hex_decode", secret: keyHex, key: aKey, hint: "secret_encoding hex"},
	{name: "whsec_ not decoded", want: "secret_needs_whsec_decode", secret: "whsec_" + keyBase64, key: aKey, hint: "whsec_"},
	{name: "decoded, and the sender does not", want: "secret_should_not_be_decoded", secret: keyBase64, key: keyBase64, options: goodSecret + "secret_encoding base64", hint: "secret_encoding text"},
	{name: "a Kubernetes value at the sender", want: "sender_key_is_base64_of_secret", secret: aKey, key: keyBase64, hint: "Kubernetes"},
	{name: "hex at the sender", want: "sender_key_is_hex_of_secret", secret: aKey, key: keyHex, hint: "hex"},
	{name: "no secret at the sender", want: "sender_secret_is_empty", key: "\x00", hint: "empty"}, // HMAC pads a key with zeros
	{name: "the secret of another gate", want: "signed_with_another_gates_secret", key: otherSecret, hint: `"stripe"`},

	// The field.
	{name: "base64 for hex", want: "signature_is_base64_not_hex", field: "X-Hub-Signature: sha256=" + inBase64, hint: "base64"},
	{name: "hex for base64", want: "signature_is_hex_not_base64", options: goodSecret + "signature {alg}={base64}", hint: "hex"},
	{name: "labelled sha256, is sha1", want: "algorithm_label_wrong", field: "X-Hub-Signature: sha256=" + hmacHex("sha1", testSecret, []byte(chatBotKit)), hint: "sha1"},
	{name: "SHA-1", want: "algorithm_not_listed", field: "X-Hub-Signature: sha1=" + hmacHex("sha1", testSecret, []byte(chatBotKit)), hint: "algorithms"},
	{name: "another field", want: "signature_in_another_field", field: "X-Gogs-Signature: " + hmacHex("sha256", testSecret, []byte(chatBotKit)), hint: "X-Gogs-Signature"},
	{name: "an old delivery", want: "clock_is_off", options: "preset slack", field: slackField(longAgo)[0], fields: slackField(longAgo)[1:], hint: "seconds in the past"},

	// The body.
	{name: "lost by a redirect", want: "body_is_empty", signs: chatBotKit, sends: "-", hint: "final URL"},
	{name: "signed before it was there", want: "sender_signed_empty_body", signs: "-", hint: "empty body"},
	{name: "curl -d @file", want: "trailing_newline_was_removed", signs: chatBotKit + "\n", hint: "--data-binary"},
	{name: "echo | curl", want: "trailing_newline_was_added", signs: chatBotKit, sends: chatBotKit + "\n", hint: "printf"},
	{name: "text mode", want: "line_breaks_were_changed", signs: pretty, sends: strings.ReplaceAll(pretty, "\n", "\r\n"), hint: "LF"},
	{name: "curl -d of indented JSON", want: "line_breaks_were_removed", signs: pretty, sends: strings.ReplaceAll(pretty, "\n", ""), hint: "--data-binary"},
	{name: "a byte order mark", want: "byte_order_mark_was_added", signs: compact, sends: "\xEF\xBB\xBF" + compact, hint: "byte order mark"},
	{name: "a relay that indents", want: "json_was_pretty_printed", signs: compact, sends: pretty, hint: "white space"},
	{name: "a relay that compacts", want: "json_was_compacted", signs: pretty, sends: compact, hint: "2 blanks"},
	{name: "Python at the sender, JavaScript on the way", want: "json_spacing_was_changed", signs: `{"a": 1, "b": [1, 2]}`, sends: `{"a":1,"b":[1,2]}`, hint: "Python"},
	{name: "PHP at the sender", want: "json_slash_was_unescaped", signs: strings.ReplaceAll(compact, "/", `\/`), sends: compact, hint: "PHP"},
	{name: "PHP on the way", want: "json_slash_was_escaped", signs: compact, sends: strings.ReplaceAll(compact, "/", `\/`), hint: "PHP"},
	{name: "escapes undone", want: "json_unicode_was_unescaped", signs: strings.ReplaceAll(compact, "ë", `\u00eb`), sends: compact, hint: `\u`},
	{name: "escapes made", want: "json_unicode_was_escaped", signs: compact, sends: strings.ReplaceAll(compact, "ë", `\u00eb`), hint: `\u`},
	{name: "PHP's defaults", want: "json_was_reencoded", signs: strings.NewReplacer("/", `\/`, "ë", `\u00eb`).Replace(compact), sends: compact, hint: "json_encode"},
	{name: "a hop that compresses", want: "body_was_gzipped", signs: compact, sends: gzipped(compact), hint: "gzip"},
	{name: "a form", want: "sender_signed_form_payload", signs: compact, sends: "payload=" + url.QueryEscape(compact), hint: "application/json"},

	// What no mistake explains.
	{name: "forged", want: "unknown", key: "a secret that nobody here has", hint: "forged"},
	{name: "changed beyond recognition", want: "unknown", signs: compact, sends: `{"who":"Mallory"}`, hint: "changed"},
}

// TestDiagnoses: the log names each mistake, with the error id that the sender gets. The
// request is still refused, and the app sees nothing.
func TestDiagnoses(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, f.caddyfile(a), "WEBHOOK_SECRET="+or(f.secret, testSecret), "OTHER_SECRET="+otherSecret)
			d := f.delivery()
			resp := g.deliver(t, d)
			if resp.status != 401 || resp.body != "" {
				t.Errorf("answer %d %q, want 401", resp.status, resp.body)
			}
			a.nothing(t, d.id)
			id := resp.header.Get(errorID)
			line := g.log.wait(t, "the diagnosis", func(e entry) bool { return e.text("error_id") == id && e.text("diagnosis") != "" })
			if line.text("diagnosis") != f.want || !strings.Contains(line.text("hint"), f.hint) {
				t.Errorf("diagnosis %q, %q; want %q, and a hint with %q", line.text("diagnosis"), line.text("hint"), f.want, f.hint)
			}
			compare(t, g.metrics(t), map[string]float64{fmt.Sprintf(`diagnoses_total{diagnosis=%q,name="gate"}`, f.want): 1})
		})
	}
}

func or(text, otherwise string) string {
	switch text {
	case "":
		return otherwise
	case "-":
		return ""
	}
	return text
}

func (f fault) caddyfile(a *app) string {
	options, preset := or(f.options, goodSecret), ""
	if name, ok := strings.CutPrefix(options, "preset "); ok {
		preset, options = name, goodSecret
	}
	return ":{$PORT} {\nhandle /webhook {\nwebhook_auth " + preset + " {\nname gate\n" + options + "\n}\nreverse_proxy " + a.addr + "\n}\n" +
		"handle /stripe {\nwebhook_auth stripe {\nsecret {env.OTHER_SECRET}\n}\nreverse_proxy " + a.addr + "\n}\n}\n"
}

func (f fault) delivery() delivery {
	sends := or(f.sends, chatBotKit)
	signs := sends
	if f.signs != "" {
		signs = or(f.signs, "")
	}
	field := or(f.field, signedWith(or(f.key, testSecret), []byte(signs)))
	return post(sends, append([]string{field}, f.fields...)...)
}

// TestForgedStaysUnknown: no forged request gets a diagnosis, whatever its form.
func TestForgedStaysUnknown(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, body := range []string{chatBotKit, pretty, "", "x=1", gzipped("{}"), "\x00\xff", strings.Repeat("[", 20000), strings.Repeat("{\"a\":", 5000)} {
		g := startGateway(t, canonical(a, "name gate"))
		d := post(body, forgedField)
		id := g.deliver(t, d).header.Get(errorID)
		line := g.log.wait(t, "the diagnosis", func(e entry) bool { return e.text("error_id") == id && e.text("diagnosis") != "" })
		want := "unknown"
		if body == "" {
			want = "body_is_empty" // anyone can see that, whoever sent it
		}
		if line.text("diagnosis") != want {
			t.Errorf("%.20q: %s", body, line.text("diagnosis"))
		}
		a.nothing(t, d.id)
	}
}

// TestDiagnoseOff: without diagnosis, the log has one line for each refusal.
func TestDiagnoseOff(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "diagnose off"))
	g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch")
	g.refused(t, a, post(chatBotKit, "X-Gogs-Signature: 00"), 401, "missing_signature")
	g.accepts(t, a, authentic(chatBotKit))
	if found, _ := g.log.find(func(e entry) bool { return e.text("diagnosis") != "" }); len(found) > 0 {
		t.Errorf("diagnosed %v", found)
	}
	for name := range g.metrics(t) {
		if strings.HasPrefix(name, "diagnoses_total") {
			t.Errorf("counted %s", name)
		}
	}
}

// TestDiagnosisAfterReload: after a reload the new gate is diagnosed, and the worker of
// the old configuration ends.
func TestDiagnosisAfterReload(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for i := range 3 {
		d := post(chatBotKit, forgedField)
		id := g.deliver(t, d).header.Get(errorID)
		g.log.wait(t, "the diagnosis", func(e entry) bool { return e.text("error_id") == id && e.text("diagnosis") == "unknown" })
		g.write(t, canonical(a, fmt.Sprintf("max_size %dMiB", i+1)))
		g.load(t)
	}
	await(t, "one worker", func() (any, bool) {
		n := strings.Count(g.admin(t, "/debug/pprof/goroutine?debug=2"), ".diagnoseAll(")
		return n, n == 1
	})
}
