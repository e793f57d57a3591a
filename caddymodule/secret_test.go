package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

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
		{"missing file", Secret{Value: "{file.nowhere/secret}"}, []string{"{file.nowhere/secret}", "cannot be read: no such file", "make it"}},
		{"a folder", Secret{Value: "{file." + directory + "}"}, []string{directory, "is a directory"}},
		{"empty file", Secret{Value: "{file." + empty + "}"}, []string{empty, "write the secret into it"}},
		{"not expanded", Secret{Value: "{$WEBHOOK_SECRET}"}, []string{"placeholder", "{env.NAME}"}},
		{"chosen by the client", Secret{Value: "{http.request.host}"}, []string{"placeholder", "{env.NAME}"}},
		{"known to everyone", Secret{Value: "{time.now.year}"}, []string{"placeholder", "{env.NAME}"}},
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
		if short := h.verifier.ShortKeys(minSecret); (short != nil) != tc.warned {
			t.Errorf("%s in %s: warned of %q", tc.reference, tc.encoding, short)
		}
	}
}

func TestSecretWarnings(t *testing.T) {
	t.Setenv("WEBHOOK_TEST", value)
	t.Setenv("WEBHOOK_TEST_BLANKS", value+"\r")
	t.Setenv("WEBHOOK_TEST_SHORT", "fifteen bytes..")
	for _, tc := range []struct {
		reference string
		want      []string
	}{
		{"{env.WEBHOOK_TEST}", nil},
		{value, []string{"literal"}},
		{"{env.WEBHOOK_TEST_BLANKS}", []string{"white space"}},
	} {
		core, logs := observer.New(zap.WarnLevel)
		h := &Handler{Secrets: []Secret{{Value: tc.reference}}, logger: zap.New(core)}
		if _, err := h.resolveSecrets(); err != nil {
			t.Fatal(err)
		}
		if logs.Len() != len(tc.want) {
			t.Errorf("%s: %d warnings, want %d", tc.reference, logs.Len(), len(tc.want))
			continue
		}
		for i, want := range tc.want {
			if message := logs.All()[i].Message; !strings.Contains(message, want) || strings.Contains(message, tc.reference) {
				t.Errorf("%s: warned %q", tc.reference, message)
			}
		}
	}
}
