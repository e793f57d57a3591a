package caddymodule_test

import (
	"cmp"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/command"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis"
)

// The pages with tables that are compared with the code.
const (
	senders         = "docs/senders.md"
	reference       = "docs/reference.md"
	troubleshooting = "docs/troubleshooting.md"
)

// Every Caddyfile in a document works as printed: it adapts, is formatted as
// `caddy fmt` would, and provisions with its references filled in.
func TestDocumentCaddyfiles(t *testing.T) {
	blocks := documentBlocks(t, "caddyfile")
	if len(blocks) < 20 {
		t.Fatalf("only %d Caddyfiles in the documents", len(blocks))
	}
	for where, block := range blocks {
		t.Run(where, func(t *testing.T) { wantLoads(t, block) })
	}
}

// The Caddyfiles that people copy load as well.
func TestShippedCaddyfiles(t *testing.T) {
	files, err := fs.Glob(os.DirFS(".."), "deploy/*Caddyfile*")
	if err != nil || len(files) < 2 {
		t.Fatalf("Caddyfiles in deploy: %q, %v", files, err)
	}
	for _, file := range append(files, "Caddyfile.example") {
		t.Run(file, func(t *testing.T) {
			text := readDocument(t, file)
			if !strings.Contains(text, "webhook_auth {") {
				t.Fatal("it has no gate")
			}
			wantLoads(t, text)
		})
	}
}

func TestDocumentJSON(t *testing.T) {
	blocks := documentBlocks(t, "json")
	if len(blocks) == 0 {
		t.Fatal("no document shows a configuration in JSON")
	}
	for where, block := range blocks {
		if !strings.Contains(block, `"webhook_auth"`) {
			t.Errorf("%s: it has no gate", where)
		}
		if err := validate([]byte(fillReferences(t, block))); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
}

// wantLoads is `caddy fmt --diff`, `caddy adapt` and `caddy validate`.
func wantLoads(t *testing.T, text string) {
	t.Helper()
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		t.Errorf("caddy fmt would change it to\n%s", formatted)
	}
	config, err := adaptCaddyfile(t, fillReferences(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(config); err != nil {
		t.Error(err)
	}
}

func validate(config []byte) error {
	parsed := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(config, parsed); err != nil {
		return err
	}
	return caddy.Validate(parsed)
}

var (
	variable = regexp.MustCompile(`\{(?:env\.|\$)([A-Z_]+)\}`)
	file     = regexp.MustCompile(`\{file\.(/[^}]+)\}`)
)

// publicKeyPEM is that of RFC 6979, section A.2.5.
const publicKeyPEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7
Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==
-----END PUBLIC KEY-----
`

// fillReferences sets every variable that text refers to, and puts files of a
// temporary folder in the place of those that it names.
func fillReferences(t *testing.T, text string) string {
	t.Helper()
	const secret = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" // text, hex, base64 and an Ed25519 key
	for _, match := range variable.FindAllStringSubmatch(text, -1) {
		t.Setenv(match[1], secret)
		if strings.HasSuffix(match[1], "VERIFY_TOKEN") {
			t.Setenv(match[1], "Zk3Vx0bQwq1mJ5rTyLd7nHs4") // which may be no secret
		}
	}
	dir := t.TempDir()
	text = strings.ReplaceAll(text, "tenants /etc/caddy/tenants ", "tenants "+filepath.ToSlash(dir)+" ")
	return file.ReplaceAllStringFunc(text, func(reference string) string {
		path := filepath.Join(dir, filepath.Base(strings.TrimSuffix(reference, "}")))
		content := secret + "\n"
		if filepath.Ext(path) == ".pem" {
			content = publicKeyPEM
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + filepath.ToSlash(path) + "}"
	})
}

// The index lists every page, and the README names every sender with a preset.
func TestDocumentIndex(t *testing.T) {
	index := readDocument(t, "docs/README.md")
	for _, document := range documents(t) {
		page, isPage := strings.CutPrefix(document, "docs/")
		if isPage && page != "README.md" && !strings.Contains(index, "]("+page+")") {
			t.Errorf("docs/README.md lacks a link to %s", page)
		}
	}
	readme := readDocument(t, "README.md")
	if lines := strings.Count(readme, "\n"); lines > 250 {
		t.Errorf("README.md has %d lines; what is beyond 250 belongs into docs/", lines)
	}
	for _, p := range slices.Concat(signature.Presets(), signature.PublicPresets(), signature.TokenPresets()) {
		if !strings.Contains(readme, "`"+p.Name+"`") {
			t.Errorf("README.md does not name %s", p.Name)
		}
	}
}

// The table, the syntax comment and the parser know the same options.
func TestReferenceOptions(t *testing.T) {
	table := make(map[string]string)
	for _, row := range documentTable(t, reference, "## Options") {
		table[row[0]] = strings.ReplaceAll(row[1], "none", "")
	}
	if comment := syntaxComment(t); !maps.Equal(table, comment) {
		t.Errorf("the options are\n%q\nand in the comment of UnmarshalCaddyfile\n%q", table, comment)
	}
	if block := syntaxBlock(t); !maps.Equal(table, block) {
		t.Errorf("the options are\n%q\nand in the syntax at the top of the page\n%q", table, block)
	}
	if options, parsed := slices.Sorted(maps.Keys(table)), parserOptions(t, "caddyfile.go", "options"); !slices.Equal(options, parsed) {
		t.Errorf("the options are\n%q\nand in the parser\n%q", options, parsed)
	}
	for option, arguments := range table {
		for _, sample := range sampleArguments(t, arguments) {
			if err := parseOption(option + " " + sample); err != nil {
				t.Errorf("%s %s: %v", option, sample, err)
			}
		}
	}
	if err := parseOption("no_such_option"); err == nil {
		t.Error("an option that is not in the table is accepted")
	}
}

// sampleArguments returns what a user may write for a syntax such as
// "[<name>] <value>", without and with the optional part.
func sampleArguments(t *testing.T, syntax string) []string {
	t.Helper()
	samples := map[string][]string{
		"":                                 {""},
		"on|off":                           {"on", "off"},
		"answer|handle_errors":             {"answer", "handle_errors"},
		"[<name>] <value>":                 {"{env.X}", "current {env.X}"},
		"<folder> <placeholder>":           {"/etc/caddy/tenants {http.request.uri.path.1}", "/etc/caddy/tenants {http.request.host.labels.3}"},
		"<label>":                          {"chatbotkit"},
		"<field>":                          {"X-Key-Id"},
		"[any_of] <field>...":              {"X-Hub-Signature", "X-Hub-Signature-256 X-Hub-Signature", "any_of X-A X-B"},
		"<name>...":                        {"sha256", "sha1 sha256"},
		"<window>":                         {"24h", "7d"},
		"<count>":                          {"1", "50"},
		"<size>":                           {"1MiB", "10MB", "4096"},
		"<duration>":                       {"30s", "1m30s"},
		"text|base64|hex [<prefix>]":       {"text", "hex", "base64 whsec_"},
		"<pattern>":                        {"{hex}", `"v1,{base64} ..."`, "t={ts},v1={hex}"},
		"<template>":                       {"{body}", "{ts}.{body}", "{header.X-Id}{method}{url}{body}"},
		"<field>|{ts} [s|ms|rfc3339|http]": {"X-Time", "X-Time ms", "{ts} rfc3339", "Date http"},
		"<url>":                            {"https://hooks.example.com"},
		"<kind> [<argument>...]":           {"slack", "hub {env.X}", "websub https://example.com/a https://example.com/b"},
	}
	sample, ok := samples[syntax]
	if !ok {
		t.Fatalf("no sample for the arguments %q; add one", syntax)
	}
	return sample
}

// parseOption reads one option. That a gate of it alone cannot load is no mistake in it.
func parseOption(line string) error {
	text := "webhook_auth {\n" + line + "\n}"
	err := new(caddymodule.Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
	if err != nil && regexp.MustCompile(`unknown (option|value)|it takes|is not a`).MatchString(err.Error()) {
		return err
	}
	return nil
}

// syntaxComment returns the options in the comment of UnmarshalCaddyfile with
// their arguments.
func syntaxComment(t *testing.T) map[string]string {
	t.Helper()
	options := blockOptions(declaration(t, "caddyfile.go", "UnmarshalCaddyfile"))
	if len(options) == 0 {
		t.Fatal("no options in the comment of UnmarshalCaddyfile")
	}
	return options
}

// blockOptions returns the options in a block of webhook_auth with their arguments.
func blockOptions(text string) map[string]string {
	options := make(map[string]string)
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "webhook_auth "):
			inside = true
		case line == "}":
			inside = false
		case inside:
			option, arguments, _ := strings.Cut(line, " ")
			options[option] = strings.TrimSpace(arguments)
		}
	}
	return options
}

// syntaxBlock returns the options in the block that the reference begins with.
func syntaxBlock(t *testing.T) map[string]string {
	t.Helper()
	for _, b := range fencedBlocks(t, reference) {
		if b.language == "caddy-d" {
			return blockOptions(b.text)
		}
	}
	t.Fatal("the reference does not show the syntax")
	return nil
}

// parserOptions returns the keys of the map of options in a function, sorted.
func parserOptions(t *testing.T, file, function string) []string {
	t.Helper()
	var options []string
	for _, declared := range parse(t, file).Decls {
		f, ok := declared.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		ast.Inspect(f, func(node ast.Node) bool {
			pair, ok := node.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			if literal, ok := pair.Key.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				option, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				options = append(options, option)
			}
			return true
		})
	}
	slices.Sort(options)
	return options
}

func TestReferenceGlobalOptions(t *testing.T) {
	var options []string
	for _, row := range documentTable(t, reference, "## Global options") {
		options = append(options, row[0])
		if slices.Contains([]string{"unguarded", "history", "watch_secrets", "remote_details"}, row[0]) { // no size
			continue
		}
		got, err := humanize.ParseBytes(row[3])
		if want := map[string]uint64{"memory_budget": 256 << 20, "disk_budget": 10 << 30}[row[0]]; err != nil || got != want {
			t.Errorf("%s: %s, want %d", row[0], row[3], want)
		}
	}
	slices.Sort(options)
	if parsed := parserOptions(t, "app.go", "parseGlobalOption"); !slices.Equal(options, parsed) {
		t.Errorf("the options are %q, and in the parser %q", options, parsed)
	}
}

func TestReferenceDefaults(t *testing.T) {
	defaults := make(map[string]string)
	for _, row := range documentTable(t, reference, "## Options") {
		defaults[row[0]] = row[3]
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := &caddymodule.Handler{Secrets: []caddymodule.Secret{{Value: "a literal, long enough"}}}
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(defaults["header"]); !slices.Equal(got, signature.DefaultHeaders) {
		t.Errorf("header: %q, want %q", got, signature.DefaultHeaders)
	}
	if defaults["name"] != h.Name+", or the preset" {
		t.Errorf("name: %q, want %q", defaults["name"], h.Name)
	}
	for option, want := range map[string]int64{"max_size": h.MaxSize, "memory": h.Memory} {
		if size, err := humanize.ParseBytes(defaults[option]); err != nil || int64(size) != want {
			t.Errorf("%s: %q, want %d", option, defaults[option], want)
		}
	}
	for option, want := range map[string]caddy.Duration{
		"tolerance": caddy.Duration(signature.DefaultTolerance), "body_timeout": h.BodyTimeout, "delivery_timeout": h.DeliveryTimeout,
	} {
		if got, err := caddy.ParseDuration(defaults[option]); err != nil || caddy.Duration(got) != want {
			t.Errorf("%s: %q, want %d", option, defaults[option], want)
		}
	}
}

// The table of senders has a row for each preset, in the same order, and says of
// each what its scheme says.
func TestSenderPresets(t *testing.T) {
	published := publishedPresets(t)
	rows, presets := documentTable(t, senders, "## Presets"), signature.Presets()
	if len(rows) != len(presets) {
		t.Fatalf("%d rows and %d presets", len(rows), len(presets))
	}
	for i, p := range presets {
		row := rows[i]
		if row[0] != p.Name {
			t.Errorf("row %d is %q, want %s", i+1, row, p.Name)
		}
		wantSenderNotes(t, p, row[1])
		fields := p.Scheme.Headers
		if len(fields) == 0 {
			fields = signature.DefaultHeaders
		}
		if !slices.Equal(strings.Fields(row[2]), fields) {
			t.Errorf("%s: field %q, want %q", p.Name, row[2], fields)
		}
		for _, note := range notes(p) {
			if !strings.Contains(row[3], note) {
				t.Errorf("%s: the notes %q lack %q", p.Name, row[3], note)
			}
		}
		vector := "[computed](../caddymodule/internal/signature/testdata/presets.mjs)"
		if published[p.Name] {
			vector = "[published](../caddymodule/internal/signature/testdata/vectors.json)"
		}
		if row[4] != vector {
			t.Errorf("%s: %s, want %s", p.Name, row[4], vector)
		}
	}
}

// The table of senders with a public key has a row for each of these presets.
func TestSenderPublicPresets(t *testing.T) {
	published := make(map[string]bool)
	data, err := os.ReadFile("internal/signature/testdata/publickeys.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Preset    string
		Published bool
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		published[v.Preset] = published[v.Preset] || v.Published
	}
	rows, presets := documentTable(t, senders, "## Senders with a public key"), signature.PublicPresets()
	if len(rows) != len(presets) {
		t.Fatalf("%d rows and %d presets", len(rows), len(presets))
	}
	for i, p := range presets {
		row := rows[i]
		if row[0] != p.Name || row[2] != p.Scheme.Headers[0] || row[3] != p.Scheme.Algorithms[0] || row[4] != cmp.Or(p.Scheme.Payload, signature.DefaultPayload) {
			t.Errorf("%s: the row is %q", p.Name, row)
		}
		if s, _ := command.SenderOf(p); plainText(row[1]) != s.Name || plainText(row[6]) != s.Key {
			t.Errorf("%s: the row is %q, want %+v", p.Name, row, s)
		}
		for note, want := range map[string]bool{
			"within 5m": p.Scheme.Timestamp != "", "no time": p.Scheme.Timestamp == "", "answers the PING": p.Challenge != "",
			"one key for all customers": p.Global, "named by " + p.Scheme.KeyID: p.Scheme.KeyID != "",
		} {
			if strings.Contains(row[5], note) != want {
				t.Errorf("%s: the notes %q: %q should be %v", p.Name, row[5], note, want)
			}
		}
		if strings.HasPrefix(row[7], "[published]") != published[p.Name] {
			t.Errorf("%s: the vector is %s", p.Name, row[7])
		}
	}
}

// The table of senders with a token has a row for each of these presets.
func TestSenderTokenPresets(t *testing.T) {
	section, presets := "", signature.TokenPresets()
	for _, part := range strings.Split(readDocument(t, senders), "\n## ") {
		if strings.HasPrefix(part, "Senders with a token\n") {
			section = part
		}
	}
	var rows [][]string
	for line := range strings.Lines(section) {
		if cells := tableCells(strings.TrimSpace(line)); strings.HasPrefix(line, "| `") && len(cells) == 6 {
			rows = append(rows, cells)
		}
	}
	if len(rows) != len(presets) {
		t.Fatalf("%d rows and %d presets", len(rows), len(presets))
	}
	for i, p := range presets {
		want := []string{p.Name, p.Scheme.Headers[0], p.Scheme.Signature, cmp.Or(p.Scheme.Payload, "write payload")}
		if row := rows[i]; !slices.Equal([]string{row[0], row[2], row[3], row[4]}, want) || row[5] == "" {
			t.Errorf("%s: the row is %q", p.Name, row)
		}
	}
}

// wantSenderNotes: the row names the sender as the command does, and links to a section
// that says what the command says: where the secret is, what is signed, what the sender
// checks, and the source.
func wantSenderNotes(t *testing.T, p signature.Preset, cell string) {
	t.Helper()
	s, _ := command.SenderOf(p)
	if name := plainText(cell); name != s.Name {
		t.Errorf("%s: the sender is %q, want %q", p.Name, name, s.Name)
	}
	link := regexp.MustCompile(`\]\(#([^)]+)\)`).FindStringSubmatch(cell)
	if link == nil {
		t.Errorf("%s: no link to its notes in %q", p.Name, cell)
		return
	}
	for _, section := range strings.Split(readDocument(t, senders), "\n### ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		if anchor(heading) == link[1] {
			wantNotes(t, p, s, text)
			return
		}
	}
	t.Errorf("%s: no section #%s", p.Name, link[1])
}

func wantNotes(t *testing.T, p signature.Preset, s command.Sender, section string) {
	t.Helper()
	want := []string{"- Preset: " + p.Name + ". - Secret: " + s.Key + "."}
	if p.Scheme.WithDefaults().Payload != signature.DefaultPayload {
		want = append(want, " - Signed: "+command.Signed(p)+". Not signed: "+command.NotSigned(p)+".")
	}
	if s.Check != "" {
		want = append(want, " - Check: "+s.Check)
	}
	want = append(want, " - Source: "+s.Source+".")
	text := plainText(section)
	for _, line := range want {
		if !strings.Contains(text, line) {
			t.Errorf("%s: its notes lack\n%s", p.Name, line)
		}
	}
}

// notes returns what the notes of a preset have to mention.
func notes(p signature.Preset) []string {
	var notes []string
	for _, name := range p.Scheme.Algorithms {
		if name != "sha256" && len(p.Scheme.Algorithms) == 1 || name == "sha1" {
			notes = append(notes, name)
		}
	}
	if p.Scheme.Timestamp != "" || strings.Contains(p.Scheme.Signature, "{ts}") {
		tolerance := cmp.Or(p.Scheme.Tolerance, signature.DefaultTolerance).String()
		notes = append(notes, "within "+strings.TrimSuffix(tolerance, "0s"))
	}
	if p.Scheme.Ahead != 0 {
		notes = append(notes, "up to "+strings.TrimSuffix(p.Scheme.Ahead.String(), "0s")+" ahead")
	}
	if p.Challenge != "" {
		notes = append(notes, "answers")
	}
	if p.Scheme.AnyHeader {
		notes = append(notes, "may match")
	}
	return notes
}

// publishedPresets are those with a delivery that the sender or its library has
// published.
func publishedPresets(t *testing.T) map[string]bool {
	t.Helper()
	data, err := os.ReadFile("internal/signature/testdata/presets.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Preset, Published string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	published := make(map[string]bool)
	for _, v := range vectors {
		published[v.Preset] = published[v.Preset] || v.Published != ""
	}
	return published
}

func TestSenderChallenges(t *testing.T) {
	var kinds []string
	for _, row := range documentTable(t, senders, "## Challenges") {
		kinds = append(kinds, row[0])
		arguments := strings.Fields(strings.NewReplacer("none", "", "<", "", ">", "", "...", "").Replace(row[1]))
		if _, err := signature.NewChallenge(row[0], arguments); err != nil {
			t.Errorf("%s %q: %v", row[0], arguments, err)
		}
	}
	if !slices.Equal(kinds, signature.Challenges()) {
		t.Errorf("the table has %q, want %q", kinds, signature.Challenges())
	}
}

// Each pattern and template that a document proposes compiles.
func TestSenderVocabulary(t *testing.T) {
	option := regexp.MustCompile("`(signature|payload|secret_encoding) (\"?)([^`\"]+)(\"?)`")
	var proposed [][]string
	for _, document := range documents(t) {
		proposed = append(proposed, option.FindAllStringSubmatch(readDocument(t, document), -1)...)
	}
	if len(proposed) < 10 {
		t.Fatalf("only %d options are proposed", len(proposed))
	}
	for _, match := range proposed {
		s := signature.Scheme{Payload: "{body}"}
		switch match[1] {
		case "signature":
			s.Signature = match[3]
		case "payload":
			s.Payload = match[3]
		case "secret_encoding":
			s.SecretEncoding, s.SecretPrefix, _ = strings.Cut(match[3], " ")
		}
		for _, word := range []string{"{ts}", "{nonce}"} {
			if strings.Contains(s.Signature, word) {
				s.Payload = word + "." + s.Payload
			}
		}
		if strings.Contains(s.Payload, "{nonce}") && s.Signature == "" {
			s.Signature = "t={nonce},s={hex}"
		}
		if strings.Contains(s.Payload, "{ts}") && !strings.Contains(s.Signature, "{ts}") {
			s.Timestamp = "X-Time"
		}
		if s.Tokens() {
			s.Headers = []string{"X-Token"}
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", match[0], err)
		}
	}
}

func TestTroubleshootingRefusals(t *testing.T) {
	want := make(map[string]string)
	for _, reason := range refusal.All() {
		want[reason.Error()] = strconv.Itoa(reason.Status())
	}
	got := make(map[string]string)
	for _, row := range documentTable(t, troubleshooting, "## Refusals") {
		got[row[0]] = row[1]
	}
	if !maps.Equal(got, want) {
		t.Errorf("the table says\n%v\nand refusal.go\n%v", got, want)
	}
	for _, row := range documentTable(t, troubleshooting, "## Why was this delivery refused?") {
		if want[row[0]] == "" {
			t.Errorf("there is no reason %q", row[0])
		}
	}
}

// Every diagnosis that the log can hold has its cure in the documents.
func TestTroubleshootingDiagnoses(t *testing.T) {
	var got []string
	for _, row := range documentTable(t, troubleshooting, "## Diagnoses") {
		got = append(got, row[0])
	}
	slices.Sort(got)
	var want []string
	for _, d := range diagnosis.Diagnoses() {
		want = append(want, string(d))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table has\n%q\nand the package\n%q", got, want)
	}
}

// Every field that the line on a delivery can have is explained, and every metric.
func TestReferenceFieldsAndMetrics(t *testing.T) {
	for heading, in := range map[string]struct {
		name    string
		sources []string
	}{
		"## Log fields": {`(?:zap\.\w+|names)\("(\w+)"`, []string{"report.go", "diagnose.go", "module.go", "follow.go", "tenants.go"}},
		"## Metrics":    {`"(caddy_webhook_auth_\w+)"`, []string{"metrics.go", "follow.go", "replay/memory/memory.go"}},
	} {
		var rows []string
		for _, row := range documentTable(t, reference, heading) {
			rows = append(rows, strings.Split(row[0], ", ")...)
		}
		slices.Sort(rows)
		if want := found(t, in.name, in.sources...); !slices.Equal(rows, want) {
			t.Errorf("%s: the table has\n%q\nand the sources\n%q", heading, rows, want)
		}
	}
}

// Every kind of finding has a row, with its severity first.
func TestReferenceFindings(t *testing.T) {
	severities := make(map[lint.Kind]lint.Severity)
	for _, row := range documentTable(t, reference, "#### Findings") {
		severity, _, _ := strings.Cut(row[1], ",")
		for kind := range strings.SplitSeq(row[0], ", ") {
			severities[lint.Kind(kind)] = lint.Severity(severity)
		}
	}
	for _, kind := range lint.Kinds() {
		if severities[kind] != kind.Severity() {
			t.Errorf("the table says that %s is %q, and it is %q", kind, severities[kind], kind.Severity())
		}
		delete(severities, kind)
	}
	if len(severities) > 0 {
		t.Errorf("there are no kinds %v", severities)
	}
}

// Every warning at load has a row, by its beginning.
func TestTroubleshootingWarnings(t *testing.T) {
	warnings := found(t, `(?:\.Warn\(|Warning, |warns of it\.\n\t\tNote, )"([^"]+)"`, "app.go", "internal/lint/findings.go", "replay/redis/redis.go")
	warnings = append(warnings, found(t, `"(the secret [^"]+)"`, "internal/guessable/odd.go")...)
	warnings = slices.DeleteFunc(warnings, func(w string) bool { // found by check alone
		return strings.HasPrefix(w, "the admin API is open ") || strings.Contains(w, " tenant")
	})
	rows := documentTable(t, troubleshooting, "## Warnings at load")
	if len(rows) != len(warnings) {
		t.Errorf("%d rows and %d warnings: %q", len(rows), len(warnings), warnings)
	}
	for _, row := range rows {
		begins := func(warning string) bool { return strings.HasPrefix(warning, strings.TrimSuffix(row[0], " …")) }
		if !slices.ContainsFunc(warnings, begins) {
			t.Errorf("nothing warns %q", row[0])
		}
	}
}

// Every message on a request has a row.
func TestTroubleshootingMessages(t *testing.T) {
	messages := found(t, `"((?:delivery |challenge |secrets changed|the file of a tenant)[a-z; ]*)"`,
		"handler.go", "replay.go", "report.go", "diagnose.go", "challenge.go", "follow.go", "tenants.go")
	var rows []string
	for _, row := range documentTable(t, troubleshooting, "## Messages in the log") {
		rows = append(rows, row[0])
	}
	if slices.Sort(rows); !slices.Equal(rows, messages) {
		t.Errorf("the table has\n%q\nand the code\n%q", rows, messages)
	}
}

// found returns what a pattern's group matches in sources, sorted, each once.
func found(t *testing.T, pattern string, sources ...string) (all []string) {
	t.Helper()
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			all = append(all, match[1])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestReferencePlaceholders(t *testing.T) {
	row := regexp.MustCompile("^`(.+)` \\| (.+)$")
	want := make(map[string]string)
	for line := range strings.Lines(declaration(t, "module.go", "Handler")) {
		if match := row.FindStringSubmatch(strings.TrimSpace(line)); match != nil {
			want[match[1]] = strings.ReplaceAll(match[2], "`", "")
		}
	}
	if len(want) == 0 {
		t.Fatal("no placeholders in the comment of Handler")
	}
	got := make(map[string]string)
	for _, row := range documentTable(t, reference, "## Placeholders") {
		got[row[0]] = row[1]
	}
	if !maps.Equal(got, want) {
		t.Errorf("the table says\n%v\nand the comment of Handler\n%v", got, want)
	}
}

// documentBlocks returns the fenced blocks of a language in all documents, by
// where they begin.
func documentBlocks(t *testing.T, language string) map[string]string {
	t.Helper()
	blocks := make(map[string]string)
	for _, document := range documents(t) {
		for _, b := range fencedBlocks(t, document) {
			if b.language == language {
				blocks[document+":"+strconv.Itoa(b.line)] = b.text
			}
		}
	}
	return blocks
}

// documentTable returns the rows of the first table below a heading, without
// backquotes.
func documentTable(t *testing.T, document, heading string) [][]string {
	t.Helper()
	_, section, found := strings.Cut(readDocument(t, document), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", document, heading)
	}
	if end := regexp.MustCompile(`(?m)^#+ `).FindStringIndex(section); end != nil {
		section = section[:end[0]]
	}
	_, table, found := strings.Cut(section, "\n|")
	if !found {
		t.Fatalf("%s has no table below %q", document, heading)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) < 3 {
		t.Fatalf("%s has no rows in the table below %q", document, heading)
	}
	var rows [][]string
	for _, line := range lines[2:] { // below the names of the columns and the line under them
		rows = append(rows, tableCells(line))
	}
	return rows
}

func tableCells(line string) []string {
	const bar = "\x00" // for one that is written \|, as inside a table it must be
	line = strings.ReplaceAll(strings.ReplaceAll(line, "`", ""), `\|`, bar)
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], bar, "|"))
	}
	return cells
}

func parse(t *testing.T, file string) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// declaration returns the comment of a type or function.
func declaration(t *testing.T, file, name string) string {
	t.Helper()
	for _, declared := range parse(t, file).Decls {
		switch d := declared.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == name {
				return d.Doc.Text()
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.Name == name {
					return d.Doc.Text()
				}
			}
		}
	}
	t.Fatalf("no %s in %s", name, file)
	return ""
}
