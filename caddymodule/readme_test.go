package caddymodule_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
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
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const readmePath = "../README.md"

// What the README shows must work as it stands: each Caddyfile block is adapted,
// formatted as `caddy fmt` would, and provisioned with its references filled in.
func TestReadmeCaddyfiles(t *testing.T) {
	blocks := readmeBlocks(t, "caddyfile")
	for line, block := range blocks {
		t.Run("line "+strconv.Itoa(line), func(t *testing.T) { wantLoads(t, block) })
	}
}

func TestReadmeCaddyfileExample(t *testing.T) {
	example, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(example), "webhook_auth {") {
		t.Fatal("there is no gate in it")
	}
	wantLoads(t, string(example))
}

func TestReadmeJSON(t *testing.T) {
	for line, block := range readmeBlocks(t, "json") {
		if !strings.Contains(block, `"webhook_auth"`) {
			t.Errorf("line %d: there is no gate in it", line)
		}
		if err := validate([]byte(fillReferences(t, block))); err != nil {
			t.Errorf("line %d: %v", line, err)
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

// fillReferences sets every variable that text refers to, and puts files of a
// temporary folder in the place of those that it names.
func fillReferences(t *testing.T, text string) string {
	t.Helper()
	const secret = "wk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, match := range variable.FindAllStringSubmatch(text, -1) {
		t.Setenv(match[1], secret)
	}
	dir := t.TempDir()
	return file.ReplaceAllStringFunc(text, func(reference string) string {
		path := filepath.Join(dir, filepath.Base(strings.TrimSuffix(reference, "}")))
		if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return "{file." + filepath.ToSlash(path) + "}"
	})
}

// The table, the syntax comment and the parser know the same options.
func TestReadmeOptions(t *testing.T) {
	table := make(map[string]string)
	for _, row := range readmeTable(t, "## Options") {
		table[row[0]] = strings.ReplaceAll(row[1], "none", "")
	}
	if comment := syntaxComment(t); !maps.Equal(table, comment) {
		t.Errorf("the options are\n%q\nand in the comment of UnmarshalCaddyfile\n%q", table, comment)
	}
	if cases := slices.Sorted(maps.Keys(table)); !slices.Equal(cases, optionCases(t)) {
		t.Errorf("the options are\n%q\nand in the parser\n%q", cases, optionCases(t))
	}
	for option, arguments := range table {
		samples := sampleArguments(t, arguments)
		for _, sample := range samples {
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
	samples := map[string]string{
		"":                 "",
		"[<name>] <value>": "{env.X}|current {env.X}",
		"<label>":          "chatbotkit",
		"<field>...":       "X-Hub-Signature|X-Hub-Signature-256 X-Hub-Signature",
		"<name>...":        "sha256|sha1 sha256",
		"<size>":           "1MiB|10MB|4096",
		"<duration>":       "30s|1m30s",
	}
	sample, ok := samples[syntax]
	if !ok {
		t.Fatalf("no sample for the arguments %q; add one", syntax)
	}
	return strings.Split(sample, "|")
}

func parseOption(line string) error {
	text := "webhook_auth {\n" + line + "\n}"
	return new(caddymodule.Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
}

// syntaxComment returns the options in the comment of UnmarshalCaddyfile with
// their arguments.
func syntaxComment(t *testing.T) map[string]string {
	t.Helper()
	options := make(map[string]string)
	inside := false
	for line := range strings.Lines(declaration(t, "caddyfile.go", "UnmarshalCaddyfile")) {
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
	if len(options) == 0 {
		t.Fatal("no options in the comment of UnmarshalCaddyfile")
	}
	return options
}

// optionCases returns the string cases of the parser, sorted.
func optionCases(t *testing.T) []string {
	t.Helper()
	var cases []string
	ast.Inspect(parse(t, "caddyfile.go"), func(node ast.Node) bool {
		clause, ok := node.(*ast.CaseClause)
		if !ok {
			return true
		}
		for _, expression := range clause.List {
			if literal, ok := expression.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				option, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				cases = append(cases, option)
			}
		}
		return true
	})
	slices.Sort(cases)
	return cases
}

func TestReadmeDefaults(t *testing.T) {
	defaults := make(map[string]string)
	for _, row := range readmeTable(t, "## Options") {
		defaults[row[0]] = row[3]
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	h := &caddymodule.Handler{Secrets: []caddymodule.Secret{{Value: "a literal, long enough"}}}
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(defaults["header"]); !slices.Equal(got, h.Headers) {
		t.Errorf("header: %q, want %q", got, h.Headers)
	}
	if defaults["name"] != h.Name {
		t.Errorf("name: %q, want %q", defaults["name"], h.Name)
	}
	if size, err := humanize.ParseBytes(defaults["max_size"]); err != nil || int64(size) != h.MaxSize {
		t.Errorf("max_size: %q, want %d", defaults["max_size"], h.MaxSize)
	}
	for option, want := range map[string]caddy.Duration{"body_timeout": h.BodyTimeout, "delivery_timeout": h.DeliveryTimeout} {
		if got, err := caddy.ParseDuration(defaults[option]); err != nil || caddy.Duration(got) != want {
			t.Errorf("%s: %q, want %d", option, defaults[option], want)
		}
	}
}

func TestReadmeRefusals(t *testing.T) {
	want := make(map[string]string)
	for _, refusal := range signature.Refusals() {
		want[refusal.Error()] = strconv.Itoa(refusal.Status())
	}
	got := make(map[string]string)
	for _, row := range readmeTable(t, "## Refusals") {
		got[row[0]] = row[1]
	}
	if !maps.Equal(got, want) {
		t.Errorf("the table says\n%v\nand refusal.go\n%v", got, want)
	}
	for _, row := range readmeTable(t, "### Why was this delivery refused?") {
		if want[row[0]] == "" {
			t.Errorf("there is no reason %q", row[0])
		}
	}
}

func TestReadmePlaceholders(t *testing.T) {
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
	for _, row := range readmeTable(t, "### Placeholders") {
		got[row[0]] = row[1]
	}
	if !maps.Equal(got, want) {
		t.Errorf("the table says\n%v\nand the comment of Handler\n%v", got, want)
	}
}

func TestReadmeLinks(t *testing.T) {
	readme := readReadme(t)
	headings := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(readme, -1) {
		slug := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		headings[strings.ReplaceAll(slug, " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(readme, -1)
	if len(links) == 0 {
		t.Fatal("no links")
	}
	for _, link := range links {
		if anchor, ok := strings.CutPrefix(link[1], "#"); ok {
			if !headings[anchor] {
				t.Errorf("no heading for %s", link[1])
			}
		} else if !strings.HasPrefix(link[1], "https://") {
			if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
				t.Error(err)
			}
		}
	}
}

func readReadme(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(readme), "\r\n", "\n")
}

// readmeBlocks returns the fenced blocks of a language by their line.
func readmeBlocks(t *testing.T, language string) map[int]string {
	t.Helper()
	blocks := make(map[int]string)
	start := 0
	var block strings.Builder
	for i, line := range strings.Split(readReadme(t), "\n") {
		switch {
		case start == 0 && line == "```"+language:
			start = i + 1
		case start > 0 && line == "```":
			blocks[start] = block.String()
			start = 0
			block.Reset()
		case start > 0:
			block.WriteString(line + "\n")
		}
	}
	if len(blocks) == 0 || start > 0 {
		t.Fatalf("the README has no block of %s, or one without an end", language)
	}
	return blocks
}

// readmeTable returns the rows of the first table below a heading, without
// backquotes.
func readmeTable(t *testing.T, heading string) [][]string {
	t.Helper()
	_, section, found := strings.Cut(readReadme(t), "\n"+heading+"\n")
	if !found {
		t.Fatalf("the README has no heading %q", heading)
	}
	var rows [][]string
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if rows != nil || strings.HasPrefix(line, "#") {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(strings.ReplaceAll(line, "`", ""), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("the README has no table with rows below %q", heading)
	}
	return rows[2:] // below the names of the columns and the line under them
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
