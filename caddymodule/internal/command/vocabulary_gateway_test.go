package command_test

import (
	"regexp"
	"strings"
	"testing"
)

// vocabularyGates sign the path, a hash of the body, a nonce, a list without tags and a date
// of HTTP. Where PORT is, the path that arrives is not the one that the gate's route sees.
var vocabularyGates = map[string]string{
	"target and hash": "payload {method}{path_query}{body_sha256}\n\t\t\tsignature {hex}",
	"target and body": "payload \"{method} {path_query}{lf}{body}\"\n\t\t\tsignature {hex}",
	"url and target":  "payload \"{url}{path_query} {body}\"\n\t\t\tpublic_url http://hooks.example.com\n\t\t\tsignature {hex}",
	"hash in base64":  "payload {ts}.{body_sha512_base64}\n\t\t\ttimestamp Date http\n\t\t\tsignature {base64}",
	"nonce":           "payload {nonce}.{body}\n\t\t\tsignature t={nonce},s={hex}",
	"without tags":    "payload {ts}.{body}\n\t\t\tsignature {ts},{hex},...\n\t\t\ttimestamp {ts} ms",
}

func vocabularyGate(name string) string {
	return ":PORT {\n\thandle_path /hooks/* {\n\t\twebhook_auth {\n\t\t\tGATE\n\t\t\theader X-Sig\n\t\t\t" + vocabularyGates[name] + "\n\t\t}\n\t\trespond ok\n\t}\n}\n"
}

// What send signs reaches the app, and what it forges does not, with each word.
func TestSendWithTheVocabulary(t *testing.T) {
	for name := range vocabularyGates {
		t.Run(name, func(t *testing.T) {
			port := folder(t, vocabularyGate(name))
			serve(t)
			webhook(t, "", "send", "http://127.0.0.1:"+port+"/hooks/a?b=%2f&c").want(t, 0)
		})
	}
}

// What sign prints is authentic to verify, at the path that it was signed for.
func TestVerifyWithTheVocabulary(t *testing.T) {
	for name := range vocabularyGates {
		t.Run(name, func(t *testing.T) {
			folder(t, strings.ReplaceAll(vocabularyGate(name), ":PORT", "http://hooks.example.com"))
			signed := webhook(t, "", "sign", "--url", "http://hooks.example.com/hooks/a?b=%2f&c", "--data", "body")
			signed.want(t, 0)
			verify := func(path, data string) output {
				return webhook(t, "POST "+path+" HTTP/1.1\nHost: hooks.example.com\n"+signed.stdout, "verify", "--headers", "-", "--data", data)
			}
			verify("/hooks/a?b=%2f&c", "body").want(t, 0, "authentic")
			verify("/hooks/a?b=%2f&c", "other").want(t, 1, "signature_mismatch")
			code := 0
			if strings.Contains(vocabularyGates[name], "{path_query}") {
				code = 1
			}
			verify("/hooks/a?b=%2F&c", "body").want(t, code)
		})
	}
}

// Without a path there is nothing to sign, and nothing to verify.
func TestPathIsNeeded(t *testing.T) {
	folder(t, strings.ReplaceAll(vocabularyGate("target and hash"), ":PORT", "http://hooks.example.com"), "headers", "X-Sig: "+strings.Repeat("0", 64))
	webhook(t, "", "sign", "--data", "body").want(t, 2, "signs the path of the request as well; add --url")
	webhook(t, "", "verify", "--headers", "headers", "--data", "body").want(t, 2, "signs the path of the request as well", "add --url")
	webhook(t, "", "verify", "--headers", "headers", "--data", "body", "--url", "http://hooks.example.com/hooks/a?b").want(t, 1, "path and query: /hooks/a?b")
	webhook(t, "", "sign", "--curl", "--url", "http://hooks.example.com/hooks/../a", "--data", "body").want(t, 2)
	curl := webhook(t, "", "sign", "--curl", "--url", "http://hooks.example.com/hooks/a/../b", "--data", "body")
	if curl.want(t, 0); !regexp.MustCompile(`\Acurl --globoff --path-as-is --request 'POST' 'http://hooks\.example\.com/hooks/a/\.\./b'`).MatchString(curl.stdout) {
		t.Error(curl.stdout)
	}
}
