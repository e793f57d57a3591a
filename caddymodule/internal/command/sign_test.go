package command

import (
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// hostile are texts that a shell, or curl, would make something of.
var hostile = []string{"", "plain", "it's", `"`, `\`, `\'`, "$HOME", "`id`", "a b", "a\tb", "!", "*", "{a,b}[1-2]", "@file", "-x", ";", "\n", "é"}

// TestQuote: whatever a text holds, for a shell it is one word with that text.
func TestQuote(t *testing.T) {
	shell := tools.Need(t, "sh")
	words := make([]string, len(hostile))
	for i, text := range hostile {
		words[i] = quote(text)
	}
	script := `for word in ` + strings.Join(words, " ") + `; do printf '<%s>' "$word"; done`
	output, err := exec.CommandContext(t.Context(), shell, "-c", script).Output()
	if want := "<" + strings.Join(hostile, "><") + ">"; err != nil || string(output) != want {
		t.Errorf("%v, the shell reads\n%q, want\n%q", err, output, want)
	}
}

func TestCurlCommand(t *testing.T) {
	for name, c := range map[string]struct {
		options options
		header  http.Header
		fields  []sender.Field
		want    []string
	}{
		"text": {
			options{method: "POST", url: "http://localhost:8080/webhook", data: "it's"},
			http.Header{"Content-Type": {"application/json"}},
			[]sender.Field{{Name: "X-Sig", Value: "a=b"}},
			[]string{
				`curl --globoff --request 'POST' 'http://localhost:8080/webhook' \`, `  --header 'Content-Type: application/json' \`,
				`  --header 'X-Sig: a=b' \`, `  --data-raw 'it'\''s'`,
			},
		},
		"a file, an empty field, a field twice": {
			options{method: "PUT", url: "http://localhost/?{a,b}", data: "@body.json"},
			http.Header{"X-Empty": {""}, "X-Two": {"a", "b"}},
			[]sender.Field{{Name: "X-Sig", Value: "a"}},
			[]string{
				`curl --globoff --request 'PUT' 'http://localhost/?{a,b}' \`, `  --header 'X-Empty;' \`, `  --header 'X-Two: a' \`,
				`  --header 'X-Two: b' \`, `  --header 'X-Sig: a' \`, `  --data-binary '@body.json'`,
			},
		},
		"what is signed is there once, as it is signed": {
			options{method: "POST", url: "http://localhost/", data: "x"},
			http.Header{"Svix-Id": {"msg_1"}},
			[]sender.Field{{Name: "svix-id", Value: "msg_1"}, {Name: "svix-signature", Value: "v1,a"}},
			[]string{
				`curl --globoff --request 'POST' 'http://localhost/' \`, `  --header 'svix-id: msg_1' \`, `  --header 'svix-signature: v1,a' \`,
				`  --data-raw 'x'`,
			},
		},
	} {
		got := (&command{options: c.options}).curlCommand(c.header, c.fields, false)
		if got != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, strings.Join(c.want, "\n"))
		}
	}
}

// TestCurlReads: curl sends what the command says. Its words are read as a shell does.
func TestCurlReads(t *testing.T) {
	shell := tools.Need(t, "sh")
	for _, text := range hostile {
		c := &command{options: options{method: "POST", url: "http://localhost/" + text, data: text}}
		line := c.curlCommand(http.Header{"X-A": {text}}, nil, false)
		script := "curl() { for word; do printf '<%s>' \"$word\"; done; }\n" + line
		output, err := exec.CommandContext(t.Context(), shell, "-c", script).Output()
		if err != nil || !strings.Contains(string(output), "<http://localhost/"+text+">") || !strings.HasSuffix(string(output), "<"+text+">") {
			t.Errorf("%q: %v, %q", text, err, output)
		}
	}
}

func TestWithContentType(t *testing.T) {
	for _, c := range []struct{ given, want http.Header }{
		{http.Header{}, http.Header{"Content-Type": {"application/json"}}},
		{http.Header{"Content-Type": {"text/plain"}}, http.Header{"Content-Type": {"text/plain"}}},
	} {
		given := c.given.Clone()
		if got := withContentType(c.given); !maps.EqualFunc(got, c.want, slices.Equal) || !maps.EqualFunc(c.given, given, slices.Equal) {
			t.Errorf("%v: %v, want %v", given, got, c.want)
		}
	}
}

// What --header takes.
func TestHeaderFlag(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  http.Header // nil: an error
	}{
		{nil, http.Header{}},
		{[]string{"x-a: b"}, http.Header{"X-A": {"b"}}},
		{[]string{"X-A:b:c", "x-a:  d "}, http.Header{"X-A": {"b:c", "d"}}},
		{[]string{"X-Empty:"}, http.Header{"X-Empty": {""}}},
		{[]string{"s3cr3t-v4lue"}, nil},
		{[]string{": s3cr3t-v4lue"}, nil},
	} {
		got, err := (&command{options: options{headers: c.lines}}).header()
		if (err != nil) != (c.want == nil) || !maps.EqualFunc(got, c.want, slices.Equal) {
			t.Errorf("%q: %v, %v", c.lines, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%v shows what was given", err)
		}
	}
}
