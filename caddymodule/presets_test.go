package caddymodule_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/command"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// presetsOutput is what `caddy webhook presets` prints.
func presetsOutput(t *testing.T, args ...string) string {
	t.Helper()
	for _, cmd := range webhookCommands(t) {
		if cmd.Name() != "presets" {
			continue
		}
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Flags().Parse(args); err != nil {
			t.Fatal(err)
		}
		if err := cmd.RunE(cmd, cmd.Flags().Args()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	t.Fatal("there is no command presets")
	return ""
}

// Every block that the command prints is formatted, and loads as it is with the variables
// in it set.
func TestPresetBlocksLoad(t *testing.T) {
	blocks := make(map[string]string)
	for _, p := range slices.Concat(signature.Presets(), signature.PublicPresets(), signature.TokenPresets()) {
		var rows []struct{ Kind, Caddyfile string }
		if err := json.Unmarshal([]byte(presetsOutput(t, "--json", p.Name)), &rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			blocks[p.Name+", "+row.Kind] = row.Caddyfile
			for _, match := range variable.FindAllStringSubmatch(row.Caddyfile, -1) {
				t.Setenv(match[1], randomKey(t, p.Name, row.Kind, match[1]))
			}
		}
		blocks[p.Name] = presetsOutput(t, p.Name)
	}
	if want := 2*len(signature.Presets()) + 2*len(signature.PublicPresets()) + 2*len(signature.TokenPresets()) - 2; len(blocks) != want {
		t.Errorf("%d blocks, want %d", len(blocks), want) // two senders have two rows
	}
	for name, block := range blocks {
		t.Run(name, func(t *testing.T) {
			if formatted := string(caddyfile.Format([]byte(block))); formatted != block {
				t.Errorf("caddy fmt would change it to\n%s", formatted)
			}
			config, err := adaptCaddyfile(t, block)
			if err == nil {
				err = validate(config)
			}
			if err != nil {
				t.Errorf("%v\n%s", err, block)
			}
		})
	}
}

// randomKey is a secret in any encoding, or a public key as the preset needs it.
func randomKey(t *testing.T, preset, kind, variable string) string {
	t.Helper()
	if kind == "secret" || !strings.HasSuffix(variable, "_PUBLIC_KEY") {
		key := make([]byte, 32)
		rand.Read(key)
		if p, _ := signature.FindPresetOf(preset, signature.Tokens); strings.Contains(p.Scheme.Signature, "{token_base64}") {
			return "user:" + hex.EncodeToString(key)
		}
		return hex.EncodeToString(key)
	}
	p, _ := signature.FindPresetOf(preset, signature.PublicKeys)
	var public crypto.PublicKey
	var err error
	switch algorithm := p.Scheme.Algorithms[0]; {
	case algorithm == "ed25519":
		public, _, err = ed25519.GenerateKey(rand.Reader)
	case strings.HasPrefix(algorithm, "ecdsa-p256"):
		var key *ecdsa.PrivateKey
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		public = key.Public()
	default:
		var key *rsa.PrivateKey
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		public = key.Public()
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// Each preset has a row among the senders, which names the source that its vectors were
// computed from.
func TestSenderRows(t *testing.T) {
	for file, presets := range map[string][]signature.Preset{"presets": signature.Presets(), "publickeys": signature.PublicPresets(), "tokens": signature.TokenPresets()} {
		sources := vectorSources(t, file)
		for _, p := range presets {
			switch s, ok := command.SenderOf(p); {
			case !ok:
				t.Errorf("%s has no row in internal/command/senders.go", p.Name)
			case s.Name == "" || s.Key == "" || strings.HasSuffix(s.Key, ".") || strings.HasSuffix(s.Check, "."):
				t.Errorf("%s: %+v", p.Name, s)
			case s.Source != sources[p.Name]:
				t.Errorf("%s: the source is %q, and that of its vectors %q", p.Name, s.Source, sources[p.Name])
			}
		}
	}
}

// vectorSources are the documents that deliveries were computed from, by preset.
func vectorSources(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile("internal/signature/testdata/" + file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Preset, Source string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	sources := make(map[string]string)
	for _, v := range vectors {
		if _, source, ok := strings.Cut(v.Source, "computed by "+file+".mjs from "); ok {
			sources[v.Preset] = source
		}
	}
	return sources
}

// plainText is a text of a document without its markup.
func plainText(text string) string {
	text = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(text, "$1")
	return strings.Join(strings.Fields(strings.NewReplacer("`", "", "*", "").Replace(text)), " ")
}
