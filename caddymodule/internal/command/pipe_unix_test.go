//go:build unix

package command_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// piped is a pipe that holds text once, as a shell makes of <(command).
func piped(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go os.WriteFile(path, []byte(text), 0o600) // waits for the command to read
	return path
}

// Secrets may come from a pipe: it can be read only once, and what was read is judged.
func TestSecretsFromPipes(t *testing.T) {
	for _, tc := range []struct {
		text string
		code int
		want string
	}{
		{secret + "\n", 0, "X-Hub-Signature-256: sha256="},
		{"changeme\n", 2, "--secret-file: the secret in it looks like a sample that nobody replaced; make a secret"},
		{"\n", 2, "--secret-file: the file is empty or blank; write the secret into it"},
	} {
		webhook(t, "", "sign", "--data", "x", "--secret-file", piped(t, tc.text)).want(t, tc.code, tc.want)
	}
	webhook(t, "", "sign", "--data", "x", "--secret-file", "/dev/zero").want(t, 2, "--secret-file: it takes the path of a file, and this one cannot be read: has more than 64 KiB")
}

func TestPrivateKeysFromPipes(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "test.caddyfile")
	text := ":1 {\n\twebhook_auth discord {\n\t\tpublic_key " + hex.EncodeToString(public) + "\n\t}\n\trespond ok\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	key := piped(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	webhook(t, "", "sign", "--data", "x", "--config", config, "--private-key-file", key).want(t, 0, "X-Signature-Ed25519: ")
	webhook(t, "", "sign", "--data", "x", "--config", config, "--private-key-file", "/dev/zero").want(t, 2, "--private-key-file: it takes the path of a file, and this one cannot be read: has more than 64 KiB")
}
