package sender_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Each preset's token is written as in the vectors, with the fields that make a delivery, and
// the gate takes it.
func TestTokenIsSentAsTheSenderDoes(t *testing.T) {
	data, err := os.ReadFile("../signature/testdata/tokens.json")
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
	seen := 0
	for _, v := range vectors {
		if v.Name != "right" {
			continue
		}
		seen++
		p, _ := signature.FindPresetOf(v.Preset, signature.Tokens)
		s, err := sender.NewToken(p.Scheme, signature.Token{Name: "1", Text: v.Token})
		if err != nil {
			t.Fatal(err)
		}
		fields := make(http.Header)
		for _, field := range s.Sign(sender.Delivery{Method: "POST", Body: []byte(v.Body)}) {
			fields.Set(field.Name, field.Value)
		}
		field := p.Scheme.Headers[0]
		if got := fields.Get(field); got != v.Headers[field][0] {
			t.Errorf("%s: %s: %q", v.Preset, field, got)
		}
		verifier, err := signature.NewTokens(p.Scheme, []signature.Token{{Name: "1", Text: v.Token}})
		if err != nil {
			t.Fatal(err)
		}
		verifier.Fingerprints("gate")
		check, err := verifier.Begin(&signature.Delivery{Header: fields})
		if err != nil {
			t.Errorf("%s: %v", v.Preset, err)
			continue
		}
		io.WriteString(check, v.Body)
		if _, err := check.End(strings.NewReader(v.Body)); err != nil {
			t.Errorf("%s: %v", v.Preset, err)
		}
	}
	if seen != len(signature.TokenPresets()) {
		t.Errorf("%d of %d presets", seen, len(signature.TokenPresets()))
	}
}

func TestTokenThatCannotBeSent(t *testing.T) {
	p, _ := signature.FindPresetOf("postmark", signature.Tokens)
	for text, want := range map[string]string{"no-colon-in-it": "write user:password", "": "is empty", "a:b\n": "white space"} {
		if _, err := sender.NewToken(p.Scheme, signature.Token{Name: "main", Text: text}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `token "main"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := sender.NewToken(signature.Scheme{}, signature.Token{Text: "x"}); err == nil {
		t.Error("a scheme of secrets is taken")
	}
}
