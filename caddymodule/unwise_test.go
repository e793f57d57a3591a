package caddymodule

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// unwiseGates are gates and what they find in their own options: the beginning of each
// finding, without its severity. Each kind is among them.
func unwiseGates(t *testing.T) []unwiseGate {
	t.Helper()
	for name, text := range map[string]string{
		"": value, "_BLANKS": value + "\r", "_SHORT": "fifteen bytes..", "_LINES": value + "\n" + value,
		"_PUBLISHED": "It's a Secret to Everybody", "_TOKEN": testToken, "_QUOTED": `"` + value + `"`,
	} {
		t.Setenv("WEBHOOK_TEST"+name, text)
	}
	secret := func(written string) *Handler { return &Handler{Secrets: []Secret{{Name: "main", Value: written}}} }
	token := func(written string) *Handler {
		return &Handler{Headers: []string{"X-Token"}, Tokens: []Token{{Name: "main", Value: written}}}
	}
	public := func(preset, key string) *Handler {
		return &Handler{Preset: preset, PublicKeys: []PublicKey{{Name: "old", Value: key}}}
	}
	check := func(kind, argument string) *Handler {
		h := secret("{env.WEBHOOK_TEST}")
		h.Challenge = &Challenge{Kind: kind, Arguments: []string{argument}}
		return h
	}
	guarded := func(preset, key string) *Handler {
		h := secret("{env.WEBHOOK_TEST}")
		h.Preset, h.Replay = preset, &Replay{Window: caddy.Duration(time.Minute), Key: key}
		return h
	}
	observing := secret("{env.WEBHOOK_TEST}")
	observing.UnsafeObserveOnly = true
	all := []unwiseGate{
		{secret("{env.WEBHOOK_TEST}"), nil},
		{secret(value), []string{"secret_literal: secret main: a literal secret is readable"}},
		{secret("{env.WEBHOOK_TEST_BLANKS}"), []string{"secret_odd: secret main: the secret begins or ends with white space"}},
		{secret("{env.WEBHOOK_TEST_LINES}"), []string{"secret_odd: secret main: the secret has a line break in it"}},
		{secret("{file." + write(t, "\uFEFF"+value+" ") + "}"), []string{
			"secret_odd: secret main: the secret begins with a byte order mark", "secret_odd: secret main: the secret begins or ends with white space",
		}},
		{secret("{file." + write(t, "s\x003\x00c\x00r\x003\x00t\x00 \x00v\x004\x00l\x00u\x00e\x00") + "}"), []string{"secret_odd: secret main: the secret is UTF-16"}},
		{secret("{env.WEBHOOK_TEST_PUBLISHED}"), []string{"secret_published: secret main, sender GitHub: the documents of the sender show this secret"}},
		{secret("{env.WEBHOOK_TEST_SHORT}"), []string{"key_short: secret main: a key under 16 bytes"}},
		{observing, []string{"observe_only: unsafe_observe_only"}},
		{check("hub", "{env.WEBHOOK_TEST_TOKEN}"), nil},
		{check("hub", testToken), []string{"verify_token_literal: a literal verify token is readable"}},
		{token("{env.WEBHOOK_TEST}"), []string{"token_unsigned: a token is no signature"}},
		{token(value), []string{"token_unsigned: a token", "token_literal: token main: a literal token is readable"}},
		{token("{env.WEBHOOK_TEST_SHORT}"), []string{"token_unsigned: a token", "token_short: token main: a token under 16 bytes"}},
		{token("{env.WEBHOOK_TEST_QUOTED}"), []string{"token_unsigned: a token", "token_odd: token main: the token is in quotes"}},
		{check("websub", "https://example.com/feed"), nil},
		{guarded("hub", "{env.WEBHOOK_TEST_LINES}"), nil},
		{guarded("hub", value+"2"), []string{"replay_key_literal: a literal replay key is readable"}},
		{guarded("stripe", ""), []string{"replay_window_short: a captured delivery is authentic for longer"}},
		{public("discord", edPublic), nil},
		{public("discord", oldCertificate(t)), []string{"certificate_expired: public_key old: a certificate has expired"}},
		{public("highlevel", edPublic), []string{"key_of_all_customers: one key signs for all customers"}},
		{public("wise", smallExponent(t)), []string{"exponent_small: public_key old: an RSA key", "key_of_all_customers: one key"}},
	}
	if runtime.GOOS == "windows" { // whose files have no mode
		return all
	}
	return append(all,
		unwiseGate{secret(readableFile(t, value)), []string{"secret_file_readable: secret main: every user of this machine"}},
		unwiseGate{token(readableFile(t, value)), []string{"token_unsigned: a token", "token_file_readable: token main: every user of this machine"}},
		unwiseGate{check("hub", readableFile(t, testToken)), []string{"verify_token_file_readable: every user of this machine"}},
		unwiseGate{guarded("hub", readableFile(t, value+"2")), []string{"replay_key_file_readable: every user of this machine"}},
	)
}

type unwiseGate struct {
	*Handler
	want []string
}

// readableFile returns a reference to a file that every user can read. The folder of the
// test is closed to others.
func readableFile(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "webhook-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "secret")
	err = os.WriteFile(path, []byte(text), 0o600)
	if err := errors.Join(err, os.Chmod(dir, 0o755), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	return "{file." + path + "}"
}

func oldCertificate(t *testing.T) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sender"}, NotAfter: time.Now().Add(-time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, edKey.Public(), edKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// A gate finds what is unwise in its options, and logs each finding with its kind and its
// cure, as `caddy webhook check` shows it. Nothing of it shows a secret.
func TestUnwise(t *testing.T) {
	for _, tc := range unwiseGates(t) {
		gate := tc.Handler
		if err := gate.Provision(emptyContext(t)); err != nil || len(gate.material().unwise) != len(tc.want) {
			t.Errorf("%v, finds %v, want %q", err, gate.material().unwise, tc.want)
			continue
		}
		core, logs := observer.New(zapcore.InfoLevel)
		gate.logger = zap.New(core)
		gate.logUnwise(gate.material().unwise)
		for i, f := range gate.material().unwise {
			line := logs.All()[i]
			if !strings.HasPrefix(f.String(), string(f.Severity)+" "+tc.want[i]) || f.Cure == "" {
				t.Errorf("finds %v, want %s", f, tc.want[i])
			}
			fields := line.ContextMap()
			if line.Message != f.Problem || fields["kind"] != string(f.Kind) || fields["cure"] != f.Cure || (line.Level == zap.InfoLevel) != (f.Severity == lint.Note && f.Kind != lint.TokenUnsigned) {
				t.Errorf("logs %v of %v", line, f)
			}
			wantHidden(t, fmt.Sprint(f, line, fields), value, testToken, "Everybody", "fifteen bytes")
		}
	}
}

func wantHidden(t *testing.T, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows a secret", text)
		}
	}
}
