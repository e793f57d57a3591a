package command_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func mac(key, text string) []byte {
	sum := hmac.New(sha256.New, []byte(key))
	sum.Write([]byte(text))
	return sum.Sum(nil)
}

func hub(key, body string) string {
	return "X-Hub-Signature-256: sha256=" + hex.EncodeToString(mac(key, body)) + "\n"
}

const oneGate = "http://hooks.example.com {\n\twebhook_auth {\n\t\tGATE\n\t}\n\trespond ok\n}\n"

// The output is documented: the verdict, what to do, and what was judged.
func TestVerifyOutput(t *testing.T) {
	const body, sum = `{"eventType":"x"}`, "8b1f2ac2b5b4cc87d4ab15a9c67dc2ea76ef6f8a3cf9b0c3a3e2a8f1b6f0d3c1"
	hash := sha256.Sum256([]byte(body))
	judged := "gate: hub\nhost: hooks.example.com\nbody: 17 bytes, SHA-256 " + hex.EncodeToString(hash[:]) + "\n"
	folder(t, oneGate, "right", "Host: hooks.example.com\n"+hub(secret, body), "wrong", "Host: hooks.example.com\nX-Hub-Signature-256: sha256="+sum)
	for _, c := range []struct {
		code int
		file string
		want string
	}{
		{0, "right", "authentic: signed with the secret \"1\" (sha256)\n" + judged},
		{1, "wrong", "refused: signature_mismatch\nNo known mistake explains it: the sender has another secret, the body was changed beyond recognition, or the request is forged; " +
			"compare the secret on both sides, then the SHA-256 of the body with what the sender shows.\n" + judged},
	} {
		if o := webhook(t, "", "verify", "--headers", c.file, "--data", body); o.code != c.code || o.stdout != c.want || o.stderr != "" {
			t.Errorf("%s: %+v, want\n%s", c.file, o, c.want)
		}
	}
	o := webhook(t, "", "verify", "--json", "--headers", "right", "--data", body)
	var got map[string]any
	if err := json.Unmarshal([]byte(o.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got["host"] != "hooks.example.com" || got["body_bytes"] != 17.0 || got["body_sha256"] != hex.EncodeToString(hash[:]) || got["gate"] != "hub" || got["authentic"] != true {
		t.Errorf("%v", got)
	}
}

// A delivery that is signed with any of the secrets is authentic, however many there are.
func TestVerifyTriesAllSecrets(t *testing.T) {
	folder(t, strings.ReplaceAll(oneGate, "GATE", "secret a {env.OTHER_SECRET}\n\t\tsecret b \"a secret that is in between\"\n\t\tsecret c {env.WEBHOOK_SECRET}"),
		"headers", hub(secret, "x"))
	webhook(t, "", "verify", "--headers", "headers", "--data", "x").want(t, 0, `authentic: signed with the secret "c" (sha256)`)
}

const manyGates = `
http://a.example {
	webhook_auth /webhook {
		name a
		GATE
	}
	respond ok
}
https://b.example {
	tls internal
	webhook_auth /webhook {
		name b
		secret {env.OTHER_SECRET}
	}
	@square path /square
	handle @square {
		webhook_auth square {
			secret {env.OTHER_SECRET}
			public_url https://b.example/square
		}
		respond ok
	}
	respond ok
}
`

// What a capture says of the URL is enough to find the gate.
func TestVerifyFindsTheGate(t *testing.T) {
	line := func(host, uri, more string) string {
		return fmt.Sprintf(`{"ts":%d,"request":{"method":"POST","host":%q,"uri":%q,"headers":{"X-Hub-Signature-256":["sha256=%s"]}%s}}`,
			time.Now().Unix(), host, uri, hex.EncodeToString(mac(secret, "x")), more)
	}
	folder(t, manyGates,
		"a.json", line("a.example", "/webhook?x=y", ""),
		"b.json", line("b.example", "/webhook", `,"tls":{"version":772}`),
		"a.txt", "POST /webhook HTTP/1.1\nHost: a.example\n"+hub(secret, "x"),
		"github.txt", "Request URL: https://b.example/webhook\n"+hub(another, "x"),
		"nowhere.json", line("a.example", "/other", ""),
		"nowhere.txt", "POST /other HTTP/1.1\nHost: a.example\n"+hub(secret, "x"),
		"bare.txt", hub(secret, "x"),
		"square.txt", "Request URL: https://b.example/square\nX-Square-Hmacsha256-Signature: "+base64.StdEncoding.EncodeToString(mac(another, "https://b.example/squarex")),
	)
	for _, c := range []struct {
		code  int
		flags string
		want  []string
	}{
		{0, "--headers a.json", []string{"gate: a\nhost: a.example\ntime: "}},
		{1, "--headers b.json", []string{"signed_with_another_gates_secret", "gate: b\nhost: b.example\n"}},
		{0, "--headers a.txt", []string{"gate: a\nhost: a.example\nbody: "}},
		{0, "--headers github.txt", []string{"gate: b\nhost: b.example\nbody: "}},
		{0, "--headers square.txt", []string{"gate: square\nhost: b.example\nurl: https://b.example/square\nbody: "}},
		{0, "--headers bare.txt --url http://a.example/webhook", []string{"gate: a\nhost: a.example\n"}},
		{0, "--headers bare.txt --url http://localhost/webhook -H Host:a.example", []string{"host: a.example\n"}},
		{2, "--headers bare.txt", []string{"the configuration has 3 gates; add --url", "http://a.example/webhook (a)"}},
		{2, "--headers nowhere.json", []string{"no gate guards POST http://a.example/other; the configuration guards:", "http://a.example/webhook (a)"}},
		{2, "--headers nowhere.txt", []string{"a.example/other"}},
	} {
		webhook(t, "", append([]string{"verify", "--data", "x"}, strings.Fields(c.flags)...)...).want(t, c.code, c.want...)
	}
}

// A line of the log says when; --at goes before it.
func TestVerifyTime(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	value := fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac(secret, fmt.Sprintf("%d.x", at.Unix()))))
	folder(t, "http://a.example {\n\twebhook_auth stripe {\n\t\tGATE\n\t}\n\trespond ok\n}\n",
		"line", fmt.Sprintf(`{"ts":%d.5,"duration":0.5,"request":{"headers":{"Stripe-Signature":[%q]}}}`, at.Unix(), value),
		"fields", "Stripe-Signature: "+value)
	webhook(t, "", "verify", "--headers", "line", "--data", "x").want(t, 0, "time: 2026-07-01T12:00:00Z\n")
	webhook(t, "", "verify", "--headers", "line", "--data", "x", "--at", "2026-07-01T14:00:00+01:00").want(t, 1, "timestamp_out_of_range", "time: 2026-07-01T13:00:00Z\n")
	webhook(t, "", "verify", "--headers", "fields", "--data", "x").want(t, 1, "timestamp_out_of_range", "add --at with the time of its arrival")
	webhook(t, "", "verify", "--headers", "fields", "--data", "x", "--at", "noon").want(t, 2, "--at takes a time such as 2026")
}

// What the log does not show cannot be judged, and what it may leave out is said.
func TestVerifyLogHidesFields(t *testing.T) {
	folder(t, strings.ReplaceAll(oneGate, "GATE", "GATE\n\t\theader Authorization"),
		"redacted", `{"request":{"headers":{"Authorization":["REDACTED"]}}}`,
		"deleted", `{"request":{"headers":{}}}`,
		"fields", "Authorization: REDACTED")
	webhook(t, "", "verify", "--headers", "redacted", "--data", "x").want(t, 2, "shows Authorization as REDACTED; take the fields from the sender's page")
	webhook(t, "", "verify", "--headers", "deleted", "--data", "x").want(t, 1, "missing_signature", "The log may also leave fields out")
	webhook(t, "", "verify", "--headers", "fields", "--data", "x").want(t, 1, "malformed_signature")
}

// The checks that senders make before they deliver.
func TestVerifyChecks(t *testing.T) {
	folder(t, "http://x.example {\n\twebhook_auth {\n\t\tname x\n\t\tGATE\n\t\tchallenge x\n\t}\n\trespond ok\n}\n"+
		"http://slack.example {\n\twebhook_auth {\n\t\tname slack\n\t\tsecret \"a secret of the gate for Slack\"\n\t\tchallenge slack\n\t}\n\trespond ok\n}\n"+
		"http://meta.example {\n\twebhook_auth meta {\n\t\tsecret \"a secret of the gate for Meta\"\n\t\tchallenge hub {env.OTHER_SECRET}\n\t}\n\trespond ok\n}\n",
		"token", "Host: x.example\n"+hub(secret, "token_1"),
		"crc", "GET /?crc_token=token_1 HTTP/1.1\nHost: x.example",
		"post", "POST /?crc_token=token_1 HTTP/1.1\nHost: x.example",
		"slack", "Host: slack.example\n"+hub("a secret of the gate for Slack", `{"type":"url_verification","challenge":"a"}`),
		"meta", "GET /?hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong HTTP/1.1\nHost: meta.example")
	for _, c := range []struct {
		code             int
		file, data, host string
		want             []string
	}{
		{1, "token", "token_1", "x.example", []string{"refused: signature_mismatch\n", "with `challenge x` anyone can have such a body signed"}},
		{0, "crc", "", "x.example", []string{"answered: it is the sender's check (challenge x), which has no signature"}},
		{1, "post", "", "x.example", []string{"refused: missing_signature, check_has_another_method"}},
		{0, "slack", `{"type":"url_verification","challenge":"a"}`, "slack.example", []string{"authentic: ", "the gate answers it: it is the sender's check (challenge slack)"}},
		{1, "meta", "", "meta.example", []string{"refused: missing_signature, check_token_differs"}},
	} {
		webhook(t, "", "verify", "--headers", c.file, "--data", c.data, "--url", "http://"+c.host+"/").want(t, c.code, c.want...)
	}
	webhook(t, "", "verify", "--headers", "crc", "--data", "", "--json").want(t, 0, `"authentic": false`, `"answered": "x"`)
}

// What is wrong around the signature.
func TestVerifyRequests(t *testing.T) {
	folder(t, strings.ReplaceAll(oneGate, "GATE", "GATE\n\t\tmax_size 10B"), "headers", hub(secret, "x"), "long", hub(secret, strings.Repeat("x", 11)),
		"none", "Accept: */*", "twice", hub(secret, "x")+hub(secret, "x"), "sha1", "X-Hub-Signature: sha1="+strings.Repeat("0", 40))
	for _, c := range []struct{ flags, want string }{
		{"--headers headers --data x -H Incremental:?1", "incremental\nThe field Incremental asks"},
		{"--headers headers --data x --method CONNECT", "method_not_allowed\nCONNECT asks for a tunnel"},
		{"--headers headers --data x -H Content-Length:11", "body_too_large\nThe body has 11 bytes, and the gate takes 10; raise max_size."},
		{"--headers headers --data x -H Content-Length:2", "body_incomplete\nThe data has 1 bytes, and the field Content-Length says 2"},
		{"--headers long --data xxxxxxxxxxx", "body_too_large\nThe body has 11 bytes"},
		{"--headers none --data x", "missing_signature\n"},
		{"--headers twice --data x", "ambiguous_signature\nA field or a value that counts once is there twice"},
		{"--headers sha1 --data x", "algorithm_not_allowed"},
	} {
		webhook(t, "", append([]string{"verify"}, strings.Fields(c.flags)...)...).want(t, 1, "refused: "+c.want)
	}
}

// A body that is too large for a diagnosis is still judged.
func TestVerifyLargeBody(t *testing.T) {
	body := strings.Repeat("x", 65<<10)
	folder(t, oneGate, "right", hub(secret, body), "wrong", hub(secret, "x"), "body", body)
	webhook(t, "", "verify", "--headers", "right", "--data", "@body").want(t, 0, "body: 66560 bytes")
	webhook(t, "", "verify", "--headers", "wrong", "--data", "@body").want(t, 1, "refused: signature_mismatch\nThe body has more than 65536 bytes")
}

// Standard input is one of the two.
func TestVerifyStandardInput(t *testing.T) {
	folder(t, oneGate, "headers", hub(secret, "x"))
	webhook(t, hub(secret, "x"), "verify", "--headers", "-", "--data", "x").want(t, 0, "authentic")
	webhook(t, "x", "verify", "--headers", "headers", "--data", "@-").want(t, 0, "authentic")
	webhook(t, "x", "verify", "--headers", "-", "--data", "@-").want(t, 2, "only one of --headers and --data can be standard input")
}

// What cannot be judged.
func TestVerifyFails(t *testing.T) {
	folder(t, oneGate, "secret", secret, "headers", hub(secret, "x"), "text", "some text")
	for _, c := range []struct{ flags, want string }{
		{"", "needs --headers FILE and --data @FILE; a delivery without a body has --data ''"},
		{"--headers headers", "needs --headers FILE"},
		{"--data x", "needs --headers FILE"},
		{"extra --headers headers --data x", "takes no argument"},
		{"--headers nothing --data x", "--headers: open nothing"},
		{"--headers text --data x", "line 1 is not of the form Name: value"},
		{"--headers headers --data x -H nothing", "--header takes 'Name: value'"},
		{"--headers headers --data @nothing", "--data: open nothing"},
		{"--headers headers --data x --url nothing", "--url is not a URL such as http://localhost:8080/webhook"},
		{"--headers headers --data x --secret-file secret --preset square", "square signs the URL as well; add --url"},
		{"--headers headers --data x --secret-file secret --preset githb", `unknown preset "githb"; did you mean github?`},
		{"--headers headers --data x --secret-file nothing", "--secret-file: it takes the path of a file, and this one cannot be read"},
	} {
		webhook(t, "", append([]string{"verify"}, strings.Fields(c.flags)...)...).want(t, 2, "caddy webhook verify: ", c.want)
	}
	webhook(t, "", "verify", "--headers", "headers", "--data", "x", "--secret-file", "secret", "--preset", "github").want(t, 0, "authentic", "gate: github\n")
	webhook(t, "", "verify", "--headers", "headers", "--data", "x", "--secret-file", "secret").want(t, 0, "gate: hub\n")
}
