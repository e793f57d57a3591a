package sender_test

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const gateSecret = "nY7vQ2xLk9RfTz4BsWd8HcJmA"

// arguments are what gates of the tests have.
var arguments = map[string]string{
	"hub": "v3rify-t0ken", "oura": "v3rify-t0ken", "websub": "https://example.com/feed", "cloudevents": "eventgrid.azure.net",
}

// answer is what the judge answers to a check, or an error.
func answer(t *testing.T, kind string, c *sender.Check, signer *sender.Signer) (signature.Answer, error) {
	t.Helper()
	challenge, err := signature.NewChallenge(kind, strings.Fields(arguments[kind]))
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.New(signature.Scheme{}, []signature.Secret{{Name: "1", Text: gateSecret}})
	if err != nil {
		t.Fatal(err)
	}
	header := make(http.Header)
	for _, field := range c.Fields {
		header.Set(field.Name, field.Value)
	}
	r := &signature.Request{Method: c.Method, Header: header, Query: c.Query.Encode(), Length: int64(len(c.Body))}
	got, ok := challenge.Answer(r, v)
	if !ok {
		got, ok = challenge.AnswerUnsigned(r, []byte(c.Body), v)
	}
	if c.Signed {
		for _, field := range signer.Sign(sender.Delivery{Method: c.Method, Header: header, Body: []byte(c.Body), Time: time.Now()}) {
			header.Set(field.Name, field.Value)
		}
		check, err := v.Begin(&signature.Delivery{Method: c.Method, Header: header})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = check.Write([]byte(c.Body))
		match, err := check.End(strings.NewReader(c.Body))
		if err != nil {
			t.Fatal(err)
		}
		got, ok = challenge.AnswerVerified(r, []byte(c.Body), match)
	}
	if !ok {
		return got, errors.New("it is not answered")
	}
	return got, nil
}

func fieldsOf(a signature.Answer) http.Header {
	header := make(http.Header)
	for name, value := range a.Fields {
		header.Set(name, value)
	}
	return header
}

// Each kind of challenge has a sender here, whose check the judge answers as the sender
// wants. Any change of the answer is seen.
func TestChecksAreAnswered(t *testing.T) {
	signer, err := sender.New(signature.Scheme{}, signature.Secret{Text: gateSecret})
	if err != nil {
		t.Fatal(err)
	}
	other, err := sender.New(signature.Scheme{}, signature.Secret{Text: gateSecret + "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range signature.Challenges() {
		c, ok := sender.NewCheck(kind, arguments[kind])
		if !ok {
			t.Errorf("%s: there is no check", kind)
			continue
		}
		got, err := answer(t, kind, c, signer)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		status := max(got.Status, http.StatusOK)
		if err := c.Answered(status, fieldsOf(got), []byte(got.Body), signer); err != nil {
			t.Errorf("%s: %+v: %v", kind, got, err)
		}
		for name, wrong := range map[string]error{
			"another status": c.Answered(status+1, fieldsOf(got), []byte(got.Body), signer),
			"a refusal":      c.Answered(http.StatusUnauthorized, nil, nil, signer),
			"another body":   c.Answered(status, fieldsOf(got), []byte(got.Body+"x"), signer),
			"a JSON body":    c.Answered(status, fieldsOf(got), []byte(`{"a":"b"}`), signer),
		} {
			if wrong == nil {
				t.Errorf("%s: %s is what the sender wants", kind, name)
			}
		}
		if len(got.Fields) > 0 && c.Answered(status, nil, []byte(got.Body), signer) == nil {
			t.Errorf("%s: an answer without its fields is what the sender wants", kind)
		}
		if keyed := slices.Contains([]string{"x", "linkedin", "zoom"}, kind); keyed &&
			(c.Answered(status, nil, []byte(got.Body), other) == nil || c.Answered(status, nil, []byte(got.Body), nil) == nil) {
			t.Errorf("%s: a MAC under another secret is what the sender wants", kind)
		}
		again, _ := sender.NewCheck(kind, arguments[kind])
		if same := again.Query.Encode() == c.Query.Encode() && slices.Equal(again.Fields, c.Fields) && again.Body == c.Body; same && kind != "head" {
			t.Errorf("%s: two checks have the same token", kind)
		}
	}
	if _, ok := sender.NewCheck("nobody", ""); ok {
		t.Error("there is a check of nobody")
	}
}

// A check for another gate is refused, if the gate can know it.
func TestWrongChecksAreRefused(t *testing.T) {
	found := make(map[string]string)
	for _, kind := range signature.Challenges() {
		c, wrong, ok := sender.WrongCheck(kind)
		if ok {
			found[kind] = wrong
			if got, err := answer(t, kind, c, nil); err == nil {
				t.Errorf("%s with another %s: %+v", kind, wrong, got)
			}
		}
	}
	if want := map[string]string{"hub": "token", "oura": "token", "websub": "topic", "cloudevents": "origin"}; !maps.Equal(found, want) {
		t.Errorf("%v, want %v", found, want)
	}
}
