package caddymodule_test

import (
	"os"
	"strings"
	"testing"
)

// mistakes is broken configurations as users write them, each with the whole text of its
// error: its name, the Caddyfile, a line of hyphens, the error.
const mistakes = "testdata/mistakes.txt"

// fence stands in front of each name in the file of mistakes.
const fence = "========== "

// TestMistakes: each error names the gate, the option, and what to write instead. What can
// be found without reading anything from outside has file and line of the option. No error
// shows a secret: the environment of the test holds a few, and what begins with s3cret in
// the file is one.
func TestMistakes(t *testing.T) {
	for name, value := range map[string]string{
		"WEBHOOK_SECRET": "nY7vQ2xLk9RfTz4BsWd8HcJm", "MISTAKES_STRIPE_SECRET": "whsec_nY7vQ2xLk9RfTz4BsWd8HcJm",
		"MISTAKES_SUPABASE_SECRET": "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS7", "MISTAKES_LINES_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS7MA==\n",
		"MISTAKES_BLANK_SECRET": "whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaS7", "MISTAKES_WORD_SECRET": "shopfy", "MISTAKES_KEY": "max_sise",
		"MISTAKES_TWO_WORDS_TOKEN": "s3cret part", "MISTAKES_HOOK": "s3cret-nY7vQ2xLk9RfTz4BsWd8",
	} {
		t.Setenv(name, value)
	}
	file, err := os.ReadFile(mistakes)
	if err != nil {
		t.Fatal(err)
	}
	records := strings.Split(strings.ReplaceAll(string(file), "\r\n", "\n"), fence)[1:]
	if len(records) < 60 {
		t.Fatalf("%d mistakes", len(records))
	}
	var updated strings.Builder
	for _, record := range records {
		name, text, _ := strings.Cut(record, "\n")
		input, want, _ := strings.Cut(text, separator+"\n")
		t.Run(name, func(t *testing.T) {
			got := errorOf(t, input)
			updated.WriteString(fence + name + "\n" + input + separator + "\n" + got + "\n\n")
			if got != strings.TrimSpace(want) && !*updateGoldens {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			wantHelp(t, got)
		})
	}
	if *updateGoldens {
		if err := os.WriteFile(mistakes, []byte(updated.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// errorOf returns why a Caddyfile does not load.
func errorOf(t *testing.T, input string) string {
	t.Helper()
	config, err := adaptCaddyfile(t, input)
	if err == nil {
		err = validate(config)
	}
	if err == nil {
		t.Fatal("it loads")
	}
	return strings.ReplaceAll(err.Error(), "write broken, memory", "write memory") // a store of other tests
}

// wantHelp checks what every error has.
func wantHelp(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"s3cret", "nY7v", "MfKQ", "shop", "max_sise"} {
		if strings.Contains(text, secret) {
			t.Errorf("it shows %s: %s", secret, text)
		}
	}
	text = strings.TrimPrefix(text, "parsing caddyfile tokens for 'webhook_auth': ")
	for line := range strings.Lines(text) {
		parsed := strings.Contains(line, ", at Caddyfile:")
		if chain := strings.HasPrefix(line, "loading http app module: "); parsed == chain {
			t.Errorf("no line of a file, or Caddy's chain: %s", line)
		}
		if !strings.Contains(line, "gate \"") && !strings.HasPrefix(line, "webhook_auth: ") && !strings.HasPrefix(line, "global option webhook_auth: ") {
			t.Errorf("no gate: %s", line)
		}
		if !strings.ContainsAny(line, ";?") && !strings.Contains(line, "it must be") {
			t.Errorf("no cure: %s", line)
		}
	}
}
