package mistake_test

import (
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// Of two words the first is a name only where no secret can have been split into the two.
func TestIsName(t *testing.T) {
	t.Setenv("MISTAKE_TEST_SECRET", "old")
	t.Setenv("MISTAKE_TEST_SPLIT", `abc "0123456789abcdefgh"`)
	bare := func(text string) mistake.Word { return mistake.Word{Text: text} }
	quoted := func(text string) mistake.Word { return mistake.Word{Text: text, Quoted: true} }
	for _, tc := range []struct {
		name, value mistake.Word
		want        bool
	}{
		{bare("current"), bare("{env.NAME}"), true},
		{bare("current"), quoted("{file./run/secrets/webhook}"), true},
		{bare("current"), quoted("a literal, long enough"), true},
		{bare("current"), bare("0123456789abcdefgh"), false},
		{bare("current"), bare("{http.request.host}"), false},
		{bare("current"), bare("{env.A}{env.B}"), false},
		{quoted("current"), bare("{env.NAME}"), false},
		{quoted("current"), quoted("a literal, long enough"), false},
		{bare("old"), bare("{env.NAME}"), false},
		{bare("old"), quoted("a literal, long enough"), false},
		{bare("abc"), quoted("0123456789abcdefgh"), false},
	} {
		if got := mistake.IsName(tc.name, tc.value); got != tc.want {
			t.Errorf("%v %v: %t", tc.name, tc.value, got)
		}
	}
}

func TestOptionMayBeSecret(t *testing.T) {
	t.Setenv("MISTAKE_TEST_LINES", "first\n  second\nthird")
	t.Setenv("MISTAKE_TEST_KEY", "correcthorse")
	for option, want := range map[string]bool{
		"max_sise": false, "first": false, "a_name_of_many_many_words_": true, "Secret": true, "max-size": true, "s3cret": true,
		"second": true, "third": true, "correcthorse": true, "not_utf8_\x87": true,
	} {
		if got := mistake.OptionMayBeSecret(option); got != want {
			t.Errorf("%s: %t", option, got)
		}
	}
}

// A name is shown in logs and metrics. What is short is an ordinary word, and what a
// variable says is a name, a path or the id of a key is no secret.
func TestCheckName(t *testing.T) {
	for name, value := range map[string]string{
		"SECRET": "nY7vQ2xLk9RfTz4BsWd8HcJm", "TOKEN": "correct-horse", "KEY": "acme", "PASSWORD": "eight888",
		"KEY_ID": "PUB_KEY_ID_0114232134912410000000000000", "SECRET_NAME": "acme-webhook", "SECRET_FILE": "acme-webhook.key",
		"PLAIN": "a plain variable",
	} {
		t.Setenv("MISTAKE_TEST_"+name, value)
	}
	for name, want := range map[string]bool{
		"nY7vQ2xLk9RfTz4BsWd8HcJm": false, "acme-nY7vQ2xLk9RfTz4BsWd8HcJm": false, "correct-horse": false, "eight888": false,
		"acme": true, "acme-correct-horse": true, "PUB_KEY_ID_0114232134912410000000000000": true, "acme-webhook": true, "acme-webhook.key": true,
		"a plain variable": true, "": true,
	} {
		err := mistake.CheckName(name)
		if (err == nil) != want || err != nil && strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bytes that are no UTF-8 may be a secret, and are no reason to panic.
func TestNotUTF8MayBeSecret(t *testing.T) {
	if !mistake.IsVariable("\x87") {
		t.Error("it is shown")
	}
}
