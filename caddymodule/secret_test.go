package caddymodule

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const value = "s3cr3t v4lue, long enough"

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readError is what the system says when it cannot read a file.
func readError(path string) string {
	_, err := os.ReadFile(path)
	return errors.Unwrap(err).Error()
}

func resolved(t *testing.T, secrets ...Secret) ([]signature.Secret, error) {
	t.Helper()
	h := &Handler{Secrets: secrets, logger: zap.NewNop()}
	return h.resolveSecrets()
}

func TestSecretSources(t *testing.T) {
	t.Setenv("WEBHOOK_TEST", value)
	t.Setenv("WEBHOOK_TEST_BRACES", "a{env.HOME}c")
	for _, tc := range []struct{ name, reference, want string }{
		{"a literal", value, value},
		{"a literal with braces", "pa{ss}wo}rd{ {and more}", "pa{ss}wo}rd{ {and more}"},
		{"a variable", "{env.WEBHOOK_TEST}", value},
		{"a variable's value is not expanded again", "{env.WEBHOOK_TEST_BRACES}", "a{env.HOME}c"},
		{"a file", "{file." + write(t, value) + "}", value},
		{"a file with a newline", "{file." + write(t, value+"\n") + "}", value},
		{"a file with CR LF", "{file." + write(t, value+"\r\n") + "}", value},
		{"a file with two newlines", "{file." + write(t, value+"\n\n") + "}", value + "\n"},
	} {
		secrets, err := resolved(t, Secret{Value: tc.reference})
		if err != nil || secrets[0].Text != tc.want || secrets[0].Name != "1" {
			t.Errorf("%s: %v, %v; want %q", tc.name, secrets, err, tc.want)
		}
	}
}

// Each of these would leave a gate whose key others know. The error names the
// option, the reference and the cure, and never the value.
func TestUnusableSecrets(t *testing.T) {
	t.Setenv("WEBHOOK_TEST_EMPTY", "")
	t.Setenv("WEBHOOK_TEST_BLANK", " \t\r\n")
	empty, directory := write(t, "\n"), t.TempDir()
	for _, tc := range []struct {
		name   string
		secret Secret
		want   []string
	}{
		{"empty", Secret{Value: ""}, []string{"secret 1", "empty or blank", "{env.NAME}"}},
		{"blank", Secret{Value: " \t"}, []string{"secret 1", "empty or blank"}},
		{"unset variable", Secret{Value: "{env.WEBHOOK_TEST_UNSET}"}, []string{"secret 1", "{env.WEBHOOK_TEST_UNSET}", "set it"}},
		{"empty variable", Secret{Value: "{env.WEBHOOK_TEST_EMPTY}"}, []string{"{env.WEBHOOK_TEST_EMPTY}", "set it"}},
		{"blank variable", Secret{Value: "{env.WEBHOOK_TEST_BLANK}"}, []string{"{env.WEBHOOK_TEST_BLANK}", "set it"}},
		{"missing file", Secret{Value: "{file.nowhere/secret}"}, []string{"{file.nowhere/secret}", "cannot be read: " + readError("nowhere/secret"), "make it"}},
		{"a folder", Secret{Value: "{file." + directory + "}"}, []string{directory, "cannot be read: is a directory", "make it"}},
		{"empty file", Secret{Value: "{file." + empty + "}"}, []string{empty, "write the secret into it"}},
		{"not expanded", Secret{Value: "{$WEBHOOK_SECRET}"}, []string{"placeholder", "{env.NAME}"}},
		{"chosen by the client", Secret{Value: "{http.request.host}"}, []string{"placeholder", "{env.NAME}"}},
		{"known to everyone", Secret{Value: "{time.now.year}"}, []string{"placeholder", "{env.NAME}"}},
		{"known to everyone, inside a literal", Secret{Value: value + "{system.hostname}"}, []string{"must be the whole value"}},
		{"a literal for a name", Secret{Value: "{env.s3cr3tk7Qz9fWmX}"}, []string{"secret 1: the variable (not shown, in case it is a secret) is unset"}},
		{"a literal for a default", Secret{Value: "{env.NOPE:s3cr3tk7Qz9fWmX}"}, []string{"the variable (not shown, in case it is a secret)", "no default can be given"}},
		{"a literal for a path", Secret{Value: "{file.s3cr3tk7Qz9fWmX}"}, []string{"secret 1: the file (not shown, in case it is a secret) cannot be read: " + readError("nowhere")}},
		{"no path", Secret{Value: "{file.}"}, []string{"{file.} has no path in it; write {file./path}"}},
		{"a name whose value vanished", Secret{Value: "current"}, []string{"at least 16 bytes", "value is missing"}},
		{"inside a literal", Secret{Value: value + "{env.HOME}"}, []string{"must be the whole value"}},
		{"a name that may be part of a secret", Secret{Name: value, Value: value}, []string{"secret 1", "quote"}},
	} {
		_, err := resolved(t, tc.secret)
		if err == nil {
			t.Errorf("%s: was accepted", tc.name)
			continue
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: the error shows the value: %v", tc.name, err)
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", tc.name, err, want)
			}
		}
	}
}

// guessed is one value of each row of the rule, see internal/guessable for all of them.
var guessed = []struct{ name, value, want string }{
	{"zeros", strings.Repeat("\x00", 32), "make a secret of its own"},
	{"zeros beyond the block", strings.Repeat("\x00", 200), "make a secret of its own"},
	{"a byte order mark", "\uFEFF", "empty"},
	{"zero width", "\u200b", "empty"},
	{"blanks in UTF-16", "\xff\xfe \x00 \x00", "empty"},
	{"two quotes", `""`, "make a secret of its own"},
	{"one byte", strings.Repeat("Q", 32), "one character over and over"},
	{"a shell's reference", "${GITHUB_WEBHOOK_SECRET}", "write {env.GITHUB_WEBHOOK_SECRET}"},
	{"a shell's reference without braces", "$GITHUB_WEBHOOK_SECRET", "write {env.GITHUB_WEBHOOK_SECRET}"},
	{"Windows' reference", "%GITHUB_WEBHOOK_SECRET%", "write {env.GITHUB_WEBHOOK_SECRET}"},
	{"a template's", "{{ .Values.secret }}", "write {env.NAME}"},
	{"ours without braces", "env.GITHUB_WEBHOOK_SECRET", "write {env.GITHUB_WEBHOOK_SECRET}"},
	{"a file without braces", "file./run/secrets/webhook", "write {env.NAME} or {file./path}"},
	{"a store", "op://vault/item/webhook-secret", "secret store"},
	{"curl's file", "@/run/secrets/webhook", "write {file./path}"},
	{"a path", "/run/secrets/webhook", "write {file./path}"},
	{"a line", "WEBHOOK_SECRET=abcdefgh", "keep only the value"},
	{"brackets", "<your-webhook-secret>", "sample"},
	{"a sample", "changeme-changeme", "sample"},
	{"a short sample", "changeme", "sample"},
	{"a mask", "*.*.*.*.*.*.*.*.*.*", "masked"},
	{"a public key", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----", "public_key"},
}

// TestGuessedSecrets: whatever the source and the encoding, the error names the gate,
// the option, the reference and the cure, and does not show the value.
func TestGuessedSecrets(t *testing.T) {
	for _, tc := range guessed {
		for encoding, text := range map[string]string{
			"text": tc.value, "base64": base64.StdEncoding.EncodeToString([]byte(tc.value)), "hex": hex.EncodeToString([]byte(tc.value)),
		} {
			for source, reference := range sources(t, text) {
				h := &Handler{Name: "gate", Secrets: []Secret{{Value: reference}}, SecretEncoding: encoding, logger: zap.NewNop()}
				_, err := h.resolveSecrets()
				wants := []string{`secret 1: `, tc.want}
				if source != "literal" {
					wants = append(wants, reference)
				}
				wantRejected(t, fmt.Sprintf("%s, %s, %s", tc.name, encoding, source), err, text, wants)
			}
		}
	}
}

// TestGuessedVerifyTokens: a verify token is judged as a secret is.
func TestGuessedVerifyTokens(t *testing.T) {
	for _, tc := range guessed {
		for source, reference := range sources(t, tc.value) {
			h := &Handler{Name: "gate", Challenge: &Challenge{Kind: "hub", Arguments: []string{reference}}, logger: zap.NewNop()}
			wantRejected(t, tc.name+", "+source, h.readChallenge(new(material)), tc.value, []string{`challenge hub, argument 1: `, tc.want})
		}
	}
}

// TestGuessedSecretFiles: the command has the same rule.
func TestGuessedSecretFiles(t *testing.T) {
	for _, tc := range guessed {
		_, err := gateOf("github", write(t, tc.value))
		wantRejected(t, tc.name, err, tc.value, []string{tc.want})
	}
}

// sources are the ways to give a text to a gate. A variable cannot hold a zero.
func sources(t *testing.T, text string) map[string]string {
	t.Helper()
	all := map[string]string{"literal": text, "file": "{file." + write(t, text) + "}"}
	if !strings.Contains(text, "\x00") {
		t.Setenv("WEBHOOK_TEST_GUESSED", text)
		all["variable"] = "{env.WEBHOOK_TEST_GUESSED}"
	}
	return all
}

func wantRejected(t *testing.T, name string, err error, value string, wants []string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: was accepted", name)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q lacks %q", name, err, want)
		}
	}
	shown := strings.ReplaceAll(err.Error(), "{env.GITHUB_WEBHOOK_SECRET}", "") // the cure
	if len(value) > 3 && strings.Contains(shown, value) {
		t.Errorf("%s: the error shows the value: %v", name, err)
	}
}

// TestTwoWords: of two words, the first is a name only where no secret can have been
// split into the two.
func TestTwoWords(t *testing.T) {
	const long = "k7Qz9fWmXv2LrT4bNc"
	t.Setenv("WEBHOOK_TEST_OLD_SECRET", "abc.d")
	for _, tc := range []struct {
		variable, text string
		name           string // "": does not load
	}{
		{"", `secret current {env.WEBHOOK_TEST}`, "current"},
		{"", `secret current "{env.WEBHOOK_TEST}"`, "current"},
		{"", `secret current {file./run/secrets/webhook}`, "current"},
		{"", `secret old "a literal, long enough"`, "old"},
		{"", "secret old `a literal, long enough`", "old"},
		{"", "secret old <<END\n\ta literal, long enough\n\tEND", "old"},
		{long, `secret old "{$WEBHOOK_TEST_SPLIT}"`, "old"},
		{"current", `secret {$WEBHOOK_TEST_SPLIT} {env.WEBHOOK_TEST}`, "current"},

		{"", `secret {$WEBHOOK_TEST_OLD_SECRET} {env.WEBHOOK_TEST}`, ""},
		{"", `secret {$WEBHOOK_TEST_OLD_SECRET} "{$WEBHOOK_TEST_OLD_SECRET}"`, ""},
		{"", `secret abc ` + long, ""},
		{"", `secret "abc" ` + long, ""},
		{"", `secret "abc" "` + long + `"`, ""},
		{"", `secret "abc" {env.WEBHOOK_TEST}`, ""},
		{"", `secret abc {http.request.host}`, ""},
		{"", `secret abc {$` + "}", ""},
		{"abc " + long, `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{"abc\t" + long, `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{`abc"` + long, `secret "{$WEBHOOK_TEST_SPLIT}"`, ""},
		{"abc`" + long, "secret `{$WEBHOOK_TEST_SPLIT}`", ""},
		{`abc" ` + long, `secret "{$WEBHOOK_TEST_SPLIT}"`, ""},
		{`abc" "` + long, `secret "{$WEBHOOK_TEST_SPLIT}"`, ""},
		{`abc" {env.X`, `secret "{$WEBHOOK_TEST_SPLIT}}"`, ""},
		{`abc "` + long + `"`, `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{"abc `" + long + "`", `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{"abc \\\n\"" + long + `"`, `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{"abc <<END\n" + long + "\nEND", `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{long + "\nabc", `secret {$WEBHOOK_TEST_SPLIT}`, ""},
		{long + "\n\tabc def", `secret {$WEBHOOK_TEST_SPLIT}`, ""},
	} {
		t.Setenv("WEBHOOK_TEST_SPLIT", tc.variable)
		h, err := adapted(t, tc.text)
		switch {
		case tc.name == "" && err == nil:
			t.Errorf("%s with %q: has %+v", tc.text, tc.variable, h.Secrets)
		case tc.name == "" && (strings.Contains(err.Error(), "abc") || strings.Contains(err.Error(), long)):
			t.Errorf("%s with %q: the error shows a part of it: %v", tc.text, tc.variable, err)
		case tc.name != "" && (err != nil || h.Secrets[0].Name != tc.name):
			t.Errorf("%s with %q: %+v, %v", tc.text, tc.variable, h.Secrets, err)
		}
	}
}

// adapted is a gate whose block holds the text, as the adapter makes it of a file:
// variables first, words then.
func adapted(t *testing.T, text string) (*Handler, error) {
	t.Helper()
	blocks, err := caddyfile.Parse("Caddyfile", []byte(":80 {\n\twebhook_auth {\n\t"+text+"\n\t}\n}\n"))
	if err != nil {
		return nil, err
	}
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(caddyfile.NewDispenser(blocks[0].Segments[0]))
}

func TestSecretNames(t *testing.T) {
	secrets, err := resolved(t, Secret{Name: "2026-11", Value: value}, Secret{Value: value + "2"})
	if err != nil || secrets[0].Name != "2026-11" || secrets[1].Name != "2" {
		t.Errorf("%v, %v", secrets, err)
	}
	for _, twice := range [][]Secret{
		{{Name: "a", Value: value}, {Name: "a", Value: value}},
		{{Name: "2", Value: value}, {Value: value}},
	} {
		if _, err := resolved(t, twice...); err == nil || !strings.Contains(err.Error(), "used twice") {
			t.Errorf("%v", err)
		}
	}
}

// All mistakes of one handler are reported at once.
func TestProvisionReportsEverything(t *testing.T) {
	h := &Handler{
		Secrets:    []Secret{{Value: ""}, {Value: "{env.WEBHOOK_TEST_UNSET}"}},
		Headers:    []string{"X_Hub"},
		Algorithms: []string{"md5"},
		MaxSize:    -1,
		Memory:     -1, BodyTimeout: -1, DeliveryTimeout: -1,
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Provision(ctx)
	if err == nil {
		t.Fatal("was accepted")
	}
	for _, want := range []string{"secret 1", "secret 2", "X_Hub", "md5", "max_size", "memory", "body_timeout", "delivery_timeout"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

// What is short is the key: its base64 may be long enough.
func TestShortKeyWarning(t *testing.T) {
	t.Setenv("WEBHOOK_TEST_SHORT", "fifteen bytes..")
	t.Setenv("WEBHOOK_TEST_ENCODED", "Zml2ZSBieXRlcw==")
	t.Setenv("WEBHOOK_TEST", value)
	for _, tc := range []struct {
		reference, encoding string
		warned              bool
	}{
		{"{env.WEBHOOK_TEST_SHORT}", "text", true},
		{"{env.WEBHOOK_TEST_ENCODED}", "text", false},
		{"{env.WEBHOOK_TEST_ENCODED}", "base64", true},
		{"{env.WEBHOOK_TEST}", "text", false},
	} {
		h, _ := provisioned(t, &Handler{Secrets: []Secret{{Value: tc.reference}}, SecretEncoding: tc.encoding})
		if short := h.material().verifier.ShortKeys(minSecret); (short != nil) != tc.warned {
			t.Errorf("%s in %s: warned of %q", tc.reference, tc.encoding, short)
		}
	}
}
