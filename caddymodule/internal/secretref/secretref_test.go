package secretref_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
)

const (
	value  = "a value"
	secret = "k7Qz9fWmXv2LrT4bNcJd8sHy" // that someone wrote in the wrong place
	hidden = "(not shown, in case it is a secret)"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResolve(t *testing.T) {
	t.Setenv("SECRETREF_TEST", value)
	t.Setenv("SECRETREF_TEST_CR", value+"\r\n")
	for _, tc := range []struct{ name, written, want string }{
		{"a literal", value, value},
		{"a literal with braces", "{a}{b}", "{a}{b}"},
		{"a variable", "{env.SECRETREF_TEST}", value},
		{"a variable is not trimmed", "{env.SECRETREF_TEST_CR}", value + "\r\n"},
		{"a file", "{file." + write(t, value) + "}", value},
		{"a line break", "{file." + write(t, value+"\n") + "}", value},
		{"CR LF", "{file." + write(t, value+"\r\n") + "}", value},
		{"CR", "{file." + write(t, value+"\r") + "}", value},
		{"two line breaks", "{file." + write(t, value+"\n\n") + "}", value + "\n"},
		{"LF CR", "{file." + write(t, value+"\n\r") + "}", value + "\n"},
		{"64 KiB", "{file." + write(t, strings.Repeat("x", 64<<10)) + "}", strings.Repeat("x", 64<<10)},
	} {
		if got, err := secretref.Resolve(tc.written); err != nil || got != tc.want {
			t.Errorf("%s: %.40q, %v; want %.40q", tc.name, got, err, tc.want)
		}
	}
}

// What cannot be used says why and what to write.
func TestUnusable(t *testing.T) {
	t.Setenv("SECRETREF_TEST_BLANK", " \t")
	const unset, gone = "is unset, empty or blank; set it in the environment of the Caddy server", "; make it a file that Caddy's user may read"
	folder := t.TempDir()
	for _, tc := range []struct{ name, written, want string }{
		{"an unset variable", "{env.SECRETREF_TEST_UNSET}", "{env.SECRETREF_TEST_UNSET} " + unset},
		{"a blank variable", "{env.SECRETREF_TEST_BLANK}", "{env.SECRETREF_TEST_BLANK} " + unset},
		{"no name", "{env.}", "{env.} has no name in it; write {env.NAME}"},
		{"a default", "{env.SECRETREF_TEST_UNSET:x}", "no default can be given for a secret; write {env.NAME}"},
		{"no path", "{file.}", "{file.} has no path in it; write {file./path}"},
		{"no path, in a Caddyfile", "{http.request.uri.path.file.}", "{file.} has no path in it, or a single word, "},
		{"a word, in a Caddyfile", "{http.request.uri.path.file." + secret + "}", "write {file./path}"},
		{"no file", "{file.nowhere/secret}", "{file.nowhere/secret} cannot be read: "},
		{"a folder", "{file." + folder + "}", "{file." + folder + "} cannot be read: is a directory" + gone},
		{"a blank file", "{file." + write(t, " \n") + "}", "is empty or blank; write the secret into it"},
		{"over 64 KiB", "{file." + write(t, strings.Repeat("x", 64<<10)+"\n") + "}", "cannot be read: has more than 64 KiB" + gone},
		{"of the request", "{http.request.host}", "this placeholder cannot hold a secret"},
		{"of the system", "{system.hostname}", "this placeholder cannot hold a secret"},
		{"of an import", "{args[0]}", "this placeholder cannot hold a secret"},
		{"joined", value + "{env.HOME}", "must be the whole value"},
		{"joined, of the system", value + "{system.hostname}", "must be the whole value"},
		{"joined, of an import", value + "{args[0]}", "must be the whole value"},
	} {
		if got, err := secretref.Resolve(tc.written); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), secret) || got != "" {
			t.Errorf("%s: %q, %v; want %q", tc.name, got, err, tc.want)
		}
	}
}

// An error shows a name, and not a secret that is in the place of one.
func TestShow(t *testing.T) {
	t.Setenv("SECRETREF_TEST_"+secret, "")
	for _, shown := range []string{
		"{env.WEBHOOK_SECRET}", "{env.stripe_secret}", "{env.HOOK_SECRET_2026}", "{env.}", "{env.SECRETREF_TEST_" + secret + "}",
		"{file.}", "{file.webhook.secret}", "{file./run/secrets/webhook}", "{file./nowhere}", "{file.secrets/github-webhook.txt}",
		"{file./run/secrets/" + secret + "}", "{file./var/lib/9f86d081-884c-4d63-a53a-1b3c5d7e9f02/secret}", "{file./mnt/data1/x9k2Qw8/secret}",
		"{file../x9k2Qw8}", "{file.../x9k2Qw8}", "{file.~/.config/x9k2Qw8}", `{file.C:\secrets\x9k2Qw8.txt}`, `{file.\\server\x9k2Qw8}`,
		"{file." + write(t, secret) + "}", "{file." + exists(t, strings.Repeat("4bNc", 16)) + "}",
	} {
		if got := secretref.Show(shown); got != shown {
			t.Errorf("%s is shown as %s", shown, got)
		}
	}
	for _, written := range []string{
		"{env." + secret + "}", "{env.NOPE:" + secret + "}", "{env.WEBHOOK-" + secret + "}", "{env.WEBHOOK_SECRET=" + secret + "}",
		"{file." + secret + "}", "{file.secrets/" + secret + "}", "{file./" + secret + "}", "{file./" + secret + "/" + secret + "}",
		"{file.whsec_" + secret + "}", "{file.Zk3+Vx0bQ/wq1mJ5rT2y=}", "{file./Zk3+Vx0bQ/wq1mJ5rT2y=}",
		"{file../" + strings.Repeat("4bNc", 16) + "}", "{file." + strings.Repeat("4bNc", 16) + "}", secret,
	} {
		if got := secretref.Show(written); !strings.Contains(got, hidden) || strings.Contains(got, secret[:4]) {
			t.Errorf("%s is shown as %s", written, got)
		}
		if _, err := secretref.Resolve(written); written != secret && (err == nil || strings.Contains(err.Error(), secret[:4])) {
			t.Errorf("%s: %v", written, err)
		}
	}
}

// exists makes an empty file of that name.
func exists(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
