package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A mistake is a configuration that must not load, and what its error must say: the
// option, the reference and the cure. The error must not show any text that begins with
// "s3cr3t", because that is always a secret or a part of one.
type mistake struct {
	name    string
	options string // the block of webhook_auth, one option per line
	want    []string
}

const goodSecret = "secret {env.WEBHOOK_SECRET}\n"

var mistakes = []mistake{
	// The secret. Each of these opens some other gateway to everyone.
	{"no secret", "", []string{"secret", "missing", "secret {env.WEBHOOK_SECRET}"}},
	{"secret without a value", "secret", []string{"secret", "takes one value", "unset {$NAME}"}},
	{"empty", `secret ""`, []string{"secret 1", "empty", "{env.NAME}", "{file./path}"}},
	{"blank", `secret "  	 "`, []string{"secret 1", "blank", "{env.NAME}"}},
	{"the second is empty", goodSecret + `secret ""`, []string{"secret 2", "empty"}},
	{"named and empty", `secret old ""`, []string{"secret 1", "empty"}},
	{"unset variable", "secret {env.NOWHERE}", []string{"secret 1", "{env.NOWHERE}", "unset", "set it in the environment"}},
	{"empty variable", "secret {env.EMPTY}", []string{"secret 1", "{env.EMPTY}", "empty"}},
	{"blank variable", "secret {env.BLANK}", []string{"secret 1", "{env.BLANK}", "blank"}},
	{"unset variable in the text", "secret {$NOWHERE}", []string{"secret", "takes one value"}},
	{"unset variable in the text, quoted", `secret "{$NOWHERE}"`, []string{"secret 1", "{$NAME}", "{env.NAME}"}},
	{"missing file", "secret {file.{$HOME}/nowhere}", []string{"secret 1", "/nowhere}", "cannot be read", "no such file", "make it a file"}},
	{"folder for a file", "secret {file.{$HOME}}", []string{"secret 1", "cannot be read", "is a directory"}},
	{"file below a file", "secret {file.{$HOME}/Caddyfile/secret}", []string{"secret 1", "cannot be read", "not a directory"}},
	{"empty file", "secret {file.{$HOME}/empty}", []string{"secret 1", "/empty}", "is empty or blank", "write the secret into it"}},
	{"file of one newline", "secret {file.{$HOME}/newline}", []string{"secret 1", "/newline}", "is empty or blank"}},
	{"a secret for the name of a variable", "secret {env.s3cr3t-v4lue}", []string{"secret 1", "the variable (not shown, in case it is a secret)", "unset"}},
	{"a secret for a default", "secret {env.NOWHERE:s3cr3t-v4lue}", []string{"secret 1", "no default"}},
	{"a secret for a path", "secret {file.s3cr3t+v4lue=}", []string{"secret 1", "the file (not shown, in case it is a secret)", "cannot be read"}},
	{"request's placeholder", "secret {http.request.host}", []string{"secret 1", "placeholder", "{env.NAME}"}},
	{"request's header", "secret {header.X-Secret}", []string{"secret 1", "placeholder", "{env.NAME}"}},
	{"time", "secret {time.now.unix}", []string{"secret 1", "placeholder"}},
	{"unknown placeholder", "secret {s3cr3t-v4lue}", []string{"secret 1", "placeholder"}},
	{"joined to a literal", "secret s3cr3t{env.WEBHOOK_SECRET}v4lue", []string{"secret 1", "whole value"}},
	{"two references in one", "secret {env.WEBHOOK_SECRET}{env.NOWHERE}", []string{"secret 1", "whole value"}},
	{"not quoted, three words", "secret s3cr3t v4lue more", []string{"secret", "quote"}},
	{"not quoted, two words", "secret s3cr3t/v4lue= more", []string{"secret", "two words", "quotes"}},
	{"short", "secret s3cr3t", []string{"secret 1", "16 bytes"}},
	{"a name whose unset variable left nothing", "secret old {$NOWHERE}", []string{"secret 1", "its value is missing", "{$NAME}"}},
	{"long name", "secret s3cr3t-v4lue-with-a-blank-behind {env.WEBHOOK_SECRET}", []string{"secret 1", "name", "quote"}},
	{"two of one name", "secret a {env.WEBHOOK_SECRET}\nsecret a {env.OTHER_SECRET}", []string{"secret 2", "used twice"}},
	{"seventeen", strings.Repeat(goodSecret, 17), []string{"secret", "17", "16"}},
	{"block", "secret {\n s3cr3t-v4lue\n}", []string{"secret", "block"}},
	{"value and block", goodSecret + "secret a {env.WEBHOOK_SECRET} {\n s3cr3t-v4lue\n}", []string{"secret", "block"}},

	// A key that anyone knows, by source and encoding.
	{"zeros in hex", "secret {env.ZEROS}\nsecret_encoding hex", []string{`gate "hub"`, "secret 1", "{env.ZEROS}", "openssl rand"}},
	{"a file of zeros", "secret {file.{$HOME}/zeros}", []string{"secret 1", "/zeros}", "empty", "openssl rand"}},
	{"a byte order mark", "secret {file.{$HOME}/mark}", []string{"secret 1", "/mark}", "empty or blank"}},
	{"two quotes", "secret {env.QUOTES}", []string{"secret 1", "{env.QUOTES}", "empty or blank"}},
	{"a literal that was not replaced", "secret ${GITHUB_WEBHOOK_SECRET}", []string{"secret 1", "not replaced", "write {env.GITHUB_WEBHOOK_SECRET}"}},
	{"a variable that was not replaced", "secret {env.UNREPLACED}", []string{"{env.UNREPLACED}", "not replaced", "write {env.GITHUB_WEBHOOK_SECRET}"}},
	{"a path for a file", "secret /run/secrets/webhook", []string{"secret 1", "path", "write {file./path}"}},
	{"a sample", "secret changeme-changeme", []string{"secret 1", "sample"}},
	{"a public key", "secret {file.{$HOME}/public}", []string{"secret 1", "public key", "public_key"}},
	{"a sample as verify token", goodSecret + "challenge hub your-verify-token", []string{"challenge hub, argument 1", "sample"}},
	{"a verify token with a line break", goodSecret + "challenge hub {env.LINES}", []string{"challenge hub, argument 1", "line break"}},

	// A secret that the adapter splits into words. No word of it is a name.
	{"a quote inside", `secret "{$SPLIT_QUOTE}"`, []string{"secret: it has two words"}},
	{"a blank inside", "secret {$SPLIT_BLANK}", []string{"secret: it has two words"}},
	{"both inside", "secret {$SPLIT_BOTH}", []string{"secret: it has two words"}},
	{"a line break inside", "secret {$SPLIT_LINES}", []string{"unknown option (not shown"}},

	// The scheme.
	{"md5", goodSecret + "algorithms md5", []string{"algorithms", `"md5"`, "sha256", "sha1 only where it is named"}},
	{"SHA1", goodSecret + "algorithms SHA1", []string{"algorithms", `"SHA1"`, "did you mean sha1?"}},
	{"none", goodSecret + "algorithms sha256 none", []string{"algorithms", `"none"`}},
	{"algorithms without a name", goodSecret + "algorithms", []string{"algorithms", "at least one argument"}},
	{"field with an underscore", goodSecret + "header X_Hub_Signature", []string{"header", `"X_Hub_Signature"`, "letters, digits and hyphens"}},
	{"field with a colon", goodSecret + "header X-Hub-Signature:", []string{"header", `"X-Hub-Signature:"`}},
	{"header without a field", goodSecret + "header", []string{"header", "at least one argument"}},

	// The limits. None of these values means "no limit".
	{"max_size 0", goodSecret + "max_size 0", []string{"max_size", "greater than zero"}},
	{"max_size -1", goodSecret + "max_size -1", []string{"max_size", `"-1"`}},
	{"max_size of no number", goodSecret + "max_size large", []string{"max_size", `"large"`, "25MiB"}},
	{"max_size over 63 bits", goodSecret + "max_size 16EiB", []string{"max_size"}},
	{"max_size just over 63 bits", goodSecret + "max_size 9223372036854775808", []string{"max_size"}},
	{"max_size without a size", goodSecret + "max_size", []string{"max_size", "exactly one"}},
	{"body_timeout 0", goodSecret + "body_timeout 0", []string{"body_timeout", "greater than zero"}},
	{"body_timeout 0s", goodSecret + "body_timeout 0s", []string{"body_timeout", "greater than zero"}},
	{"body_timeout -1s", goodSecret + "body_timeout -1s", []string{"body_timeout", "greater than zero"}},
	{"body_timeout without a unit", goodSecret + "body_timeout 30", []string{"body_timeout", `"30"`, "write 30s"}},
	{"delivery_timeout 0", goodSecret + "delivery_timeout 0", []string{"delivery_timeout", "greater than zero"}},
	{"delivery_timeout -1m", goodSecret + "delivery_timeout -1m", []string{"delivery_timeout", "greater than zero"}},

	// The syntax.
	{"secret in the place of an option", goodSecret + "s3cr3t-v4lue", []string{"unknown option (not shown", "secret <value>"}},
	{"unknown option", goodSecret + "max_sise 1MiB", []string{`unknown option "max_sise"`, "did you mean max_size?"}},
	{"option twice", goodSecret + "max_size 1MiB\nmax_size 2MiB", []string{"max_size", "twice"}},
	{"flag twice", goodSecret + "unsafe_observe_only\nunsafe_observe_only", []string{"unsafe_observe_only", "twice"}},
	{"flag with a value", goodSecret + "unsafe_observe_only off", []string{"unsafe_observe_only", "no argument"}},
	{"too many values", goodSecret + "name a b", []string{"name", "exactly one"}},
}

// TestBadConfigurations: none loads, each is explained, and no secret is shown.
func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			rejects(t, "webhook_auth {\n"+m.options+"\n}", m.want...)
		})
	}
	t.Run("argument", func(t *testing.T) {
		rejects(t, "webhook_auth s3cr3t-v4lue {\n"+goodSecret+"}", "webhook_auth", "neither a matcher nor a preset")
	})
	t.Run("no block", func(t *testing.T) {
		rejects(t, "webhook_auth", "secret", "missing")
	})
}

// TestMistakesHaveTheirLine: the whole text, as `caddy validate` and `caddy run` show it.
func TestMistakesHaveTheirLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ line, want string }{
		{"algorithm sha256", `unknown option "algorithm"; did you mean algorithms?`},
		{"preset github", `unknown option "preset"; write the preset behind webhook_auth, in front of the block: webhook_auth github`},
		{"max_size 25 MB", `max_size: "25 MB" is not a size; write 25MB`},
		{"max_size 25", `max_size: "25" is not a size; write 25MiB, or 25B for bytes`},
		{"body_timeout 30", `body_timeout: "30" is not a duration; write 30s`},
		{"signature sha256=hex", `signature: "sha256=hex": it has no {hex}, {base64} or {base64url}; did you mean sha256={hex}?`},
		{"replay 24h {\nstore postgres\n}", `replay: store: unknown store "postgres"; write memory or redis`},
		{"replay 24h {\nstore redis {\ntimeout 250\n}\n}", `replay: store redis: timeout: this is not a duration; write 250ms, or 250s for seconds`},
	} {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t)
			g.write(t, ":{$PORT} {\nwebhook_auth stripe {\nname acme\n"+goodSecret+tt.line+"\n}\nrespond ok\n}\n")
			output, ok := g.caddy(t, "validate", "--config", g.file, "--adapter", "caddyfile")
			if ok {
				t.Fatal("it loads")
			}
			innermost := strings.Split(strings.TrimRight(tt.line, "}\n"), "\n")
			explains(t, output, fmt.Sprintf("parsing caddyfile tokens for 'webhook_auth': gate \"acme\" (stripe): %s, at %s:%d",
				tt.want, g.file, lineOf(t, g.file, innermost[len(innermost)-1])))
			if strings.Contains(output, "loading http app module") {
				t.Error("Caddy's chain is in front of it")
			}
		})
	}
}

// lineOf returns the number of a line in a file.
func lineOf(t *testing.T, file, line string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Index(strings.Split(string(text), "\n"), line) + 1
}

// rejects fails the test unless `caddy validate` refuses a site with that
// directive and says all of want.
func rejects(t *testing.T, directive string, want ...string) {
	t.Helper()
	output, ok := validate(t, directive)
	if ok {
		t.Fatalf("it loads:\n%s", output)
	}
	explains(t, output, want...)
}

// explains fails the test unless the last line of the log says all of want, and no
// line shows a secret.
func explains(t *testing.T, output string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := parseEntry([]byte(lines[len(lines)-1])).text("msg")
	for _, text := range want {
		if !strings.Contains(last, text) {
			t.Errorf("the error does not say %q:\n%s", text, output)
		}
	}
	for _, secret := range []string{"s3cr3t", "v4lue", testSecret, otherSecret} {
		if strings.Contains(output, secret) {
			t.Errorf("the error shows %q:\n%s", secret, output)
		}
	}
}

func validate(t *testing.T, directive string) (output string, ok bool) {
	t.Helper()
	g := newGateway(t, "EMPTY=", "BLANK= \t", "SHORT=s3cr3t", "OTHER_SECRET="+otherSecret,
		"ZEROS="+strings.Repeat("0", 64), `QUOTES=""`, "UNREPLACED=${GITHUB_WEBHOOK_SECRET}", "LINES="+testSecret+"\n",
		`SPLIT_QUOTE=s3cr3t"v4lue-0123456789`, "SPLIT_BLANK=s3cr3t v4lue-0123456789", `SPLIT_BOTH=abc "v4lue-0123456789"`,
		"SPLIT_LINES=v4lue-0123456789\n  s3cr3t-v4lue")
	writeFile(t, filepath.Join(g.dir, "zeros"), strings.Repeat("\x00", 32))
	writeFile(t, filepath.Join(g.dir, "marked"), "\uFEFF"+testSecret)
	writeFile(t, filepath.Join(g.dir, "mark"), "\uFEFF\r\n")
	writeFile(t, filepath.Join(g.dir, "public"), "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n")
	writeFile(t, filepath.Join(g.dir, "empty"), "")
	writeFile(t, filepath.Join(g.dir, "newline"), "\n")
	writeFile(t, filepath.Join(g.dir, "secret"), testSecret+"\n")
	g.write(t, ":{$PORT} {\n"+directive+"\nrespond ok\n}\n")
	return g.caddy(t, "validate", "--config", g.file, "--adapter", "caddyfile")
}

// TestUnreadableFile: another user owns the secret's file, as after a wrong chown.
func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	path := filepath.Join(g.dir, "unreadable")
	g.write(t, ":{$PORT} {\nwebhook_auth {\nsecret {file."+path+"}\n}\n}\n")
	writeFile(t, path, testSecret)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, binary, "validate", "--config", g.file, "--adapter", "caddyfile")
	if os.Geteuid() == 0 {
		becomeNobody(t, cmd, g) // root reads every file
	}
	output, ok := g.runs(t, cmd)
	if ok {
		t.Fatal("it loads")
	}
	explains(t, output, "secret 1", path, "cannot be read", "permission denied", "a file that Caddy's user may read")
}

// TestAllMistakesAtOnce: all mistakes are reported at once, so that nobody has to find
// them one by one.
func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("form", func(t *testing.T) {
		t.Parallel()
		rejects(t, "webhook_auth {\nsecret\nmax_size 0\nbody_timeout soon\ndelivery_timeout -1s\nmax_sise 1\nname a b\n}",
			"secret", "max_size", "body_timeout", "delivery_timeout", "max_sise", "name")
	})
	t.Run("form and values", func(t *testing.T) {
		t.Parallel()
		rejects(t, "webhook_auth {\nmax_size 0\nalgorithms md5\nheader X_Y\n}", "secret", "missing", "max_size", `"md5"`, `"X_Y"`)
	})
	t.Run("values", func(t *testing.T) {
		t.Parallel()
		rejects(t, "webhook_auth {\nsecret {env.NOWHERE}\nsecret \"\"\nsecret s3cr3t{env.X}\nsecret {file.{$HOME}/nowhere}\nalgorithms md5\nheader X_Y\n}",
			"secret 1", "{env.NOWHERE}", "secret 2", "secret 3", "secret 4", "/nowhere}", "algorithms", `"md5"`, "header", `"X_Y"`)
	})
}

const jsonSecret = `,"secrets":[{"value":"{env.WEBHOOK_SECRET}"}]`

// TestJSONMistakes: the same mistakes do not load from JSON, which no Caddyfile parser
// has checked.
func TestJSONMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, options string
		want          []string
	}{
		{"no secret", ``, []string{"secret", "missing"}},
		{"empty secret", `,"secrets":[{}]`, []string{"secret 1", "empty"}},
		{"unset variable", `,"secrets":[{"value":"{env.NOWHERE}"}]`, []string{"secret 1", "{env.NOWHERE}", "unset"}},
		{"name with blanks", `,"secrets":[{"name":"s3cr3t v4lue","value":"{env.WEBHOOK_SECRET}"}]`, []string{"secret 1", "name"}},
		{"negative size", jsonSecret + `,"max_size":-1`, []string{"max_size", "from 1B to 1TiB", "not -1B"}},
		{"negative times", jsonSecret + `,"body_timeout":-1,"delivery_timeout":-1`, []string{"body_timeout", "delivery_timeout"}},
		{"endless window", jsonSecret + `,"replay":{"window":"106751d"}`, []string{"replay", "to 366d", "not 106751d"}},
		{"md5", jsonSecret + `,"algorithms":["md5"]`, []string{"algorithms", `"md5"`}},
		{"empty field", jsonSecret + `,"headers":[""]`, []string{"header", `""`}},
		{"unknown preset", jsonSecret + `,"preset":"githb"`, []string{`webhook_auth: preset: unknown preset "githb"; did you mean github?`}},
		{"unknown preset that may be a secret", jsonSecret + `,"preset":"s3cr3t-v4lue"`, []string{"webhook_auth: preset: unknown preset (not shown"}},
		{"unknown key", `,"secret":"s3cr3t"`, []string{"unknown field"}},
		{"several", `,"secrets":[{"value":""}],"max_size":-1,"algorithms":["md5"]`, []string{"secret 1", "max_size", "algorithms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t)
			file := filepath.Join(g.dir, "config.json")
			writeFile(t, file, `{"admin":{"disabled":true},"apps":{"http":{"servers":{"s":{"listen":["`+g.addr+
				`"],"routes":[{"handle":[{"handler":"webhook_auth"`+tt.options+`}]}]}}}}}`)
			output, ok := g.caddy(t, "validate", "--config", file)
			if ok {
				t.Errorf("it loads:\n%s", output)
			}
			explains(t, output, tt.want...)
			if !strings.Contains(output, `gate \"hub\": `) && !strings.Contains(tt.name, "unknown") {
				t.Errorf("the error does not name the gate:\n%s", output)
			}
		})
	}
}

// TestSharedSecret: a gate that signs for strangers and another gate with its key.
func TestSharedSecret(t *testing.T) {
	t.Parallel()
	const gates = "handle /x {\nwebhook_auth x {\n" + goodSecret + "challenge x\n}\n}\nhandle /hub {\nwebhook_auth {\n%s\n}\n}\n"
	rejects(t, fmt.Sprintf(gates, goodSecret), `gates "x" and "hub" have the same secret`, "challenge x", "a secret of its own")
	if output, ok := validate(t, fmt.Sprintf(gates, "secret {env.OTHER_SECRET}")); !ok {
		t.Errorf("two gates with two secrets do not load:\n%s", output)
	}
}

// TestUnwiseConfigurations: a configuration that works but is a risk loads with a
// warning.
func TestUnwiseConfigurations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, options, want string }{
		{"literal", "secret " + literalSecret, "a literal secret is readable"},
		{"short", "secret {env.SHORT}", "under 16 bytes"},
		{"blank at the end", `secret "s3cr3t-with-a-blank-at-the-end "`, "white space"},
		{"a literal verify token", goodSecret + "challenge hub s3cr3t-token", "a literal verify token is readable"},
		{"a file with a byte order mark", "secret {file.{$HOME}/marked}", "byte order mark"},
		{"observe only", goodSecret + "unsafe_observe_only", "unverified"},
		{"everything at its best", goodSecret, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			output, ok := validate(t, "webhook_auth {\n"+tt.options+"\n}")
			if !ok || !strings.Contains(output, tt.want) || strings.Contains(output, "s3cr3t") {
				t.Errorf("loads: %v, want it to warn of %q and show no secret:\n%s", ok, tt.want, output)
			}
			if warned := regexp.MustCompile(`"level":"warn"[^\n]*"logger":"http.handlers.webhook_auth"`).MatchString(output); warned != (tt.want != "") {
				t.Errorf("warns: %v\n%s", warned, output)
			}
		})
	}
}

// TestSecretForms: each form of a secret works, and shows what is part of the secret and
// what is not.
func TestSecretForms(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, tt := range []struct{ name, option, file, key string }{
		{"variable", "secret {env.WEBHOOK_SECRET}", "", testSecret},
		{"variable, named", "secret chatbotkit {env.WEBHOOK_SECRET}", "", testSecret},
		{"variable in the text", `secret "{$WEBHOOK_SECRET}"`, "", testSecret},
		{"variable with braces", "secret {env.BRACES}", "", "s3cr3t-{env.HOME}-v4lue"}, // a value is not a template
		{"file", "secret {file.{$HOME}/secret}", testSecret, testSecret},
		{"file with a newline", "secret {file.{$HOME}/secret}", testSecret + "\n", testSecret},
		{"file with CR LF", "secret {file.{$HOME}/secret}", testSecret + "\r\n", testSecret},
		{"file with two newlines", "secret {file.{$HOME}/secret}", testSecret + "\n\n", testSecret + "\n"},
		{"literal", "secret " + literalSecret, "", literalSecret},
		{"literal with blanks", `secret "s3cr3t v4lue with blanks"`, "", "s3cr3t v4lue with blanks"},
		{"literal with braces", `secret s3cr3t-v4lue-{with}-braces`, "", "s3cr3t-v4lue-{with}-braces"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, "BRACES=s3cr3t-{env.HOME}-v4lue")
			writeFile(t, filepath.Join(g.dir, "secret"), tt.file)
			g.write(t, strings.Replace(canonical(a), "secret {env.WEBHOOK_SECRET}", tt.option, 1))
			g.start(t)
			g.accepts(t, a, post(chatBotKit, signedWith(tt.key, []byte(chatBotKit))))
			g.refused(t, a, post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))), 401, "signature_mismatch")
			if strings.Contains(g.log.String(), "s3cr3t") {
				t.Error("the log shows the secret")
			}
		})
	}
}

// TestPlaces: at the top of a site, in handle and in route, with a matcher and
// without one, in Caddyfile and in JSON. The order of the directives in the file
// must not matter where Caddy sorts them.
func TestPlaces(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	block := "webhook_auth {\nsecret {env.WEBHOOK_SECRET}\n}\n"
	proxy := "reverse_proxy " + a.addr + "\n"
	for name, site := range map[string]string{
		"site":                block + proxy,
		"site, in reverse":    proxy + block,
		"handle":              "handle /webhook {\n" + proxy + block + "}\nrespond 404\n",
		"handle_path":         "handle_path /hooks/* {\n" + block + proxy + "}\n" + block + proxy,
		"route":               "route {\n" + block + proxy + "}\n",
		"matcher":             strings.Replace(block, "{", "/webhook {", 1) + proxy,
		"named matcher":       "@all path *\n" + strings.Replace(block, "{", "@all {", 1) + proxy,
		"two gates":           block + "route {\n" + block + proxy + "}\n",
		"with other handlers": "log\nencode\nheader X-Gateway yes\nrequest_body {\nmax_size 1MB\n}\n" + block + proxy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, ":{$PORT} {\n"+site+"}\n")
			g.accepts(t, a, authentic(chatBotKit))
			g.accepts(t, a, authentic(chatBotKit).chunks())
			g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch")
			g.refused(t, a, post(chatBotKit), 401, "missing_signature")
		})
	}
}

// TestAnotherLimit: a body that request_body in front of the gate cuts off is refused as
// if max_size had.
func TestAnotherLimit(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, ":{$PORT} {\nrequest_body {\nmax_size 1KiB\n}\n"+gate(a)+"}\n")
	g.accepts(t, a, authentic(strings.Repeat("x", 1024)))
	g.refused(t, a, authentic(strings.Repeat("x", 1025)).chunks(), 413, "body_too_large")
	declared := authentic(strings.Repeat("x", 1025)) // does not reach the gate
	if resp := g.deliver(t, declared); resp.status != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d, want 413", resp.status)
	}
	a.nothing(t, declared.id)
}

// TestNowhereToSpool: if no temporary file can be created, a gate that needs one does not
// load, and any other gate warns.
func TestNowhereToSpool(t *testing.T) {
	t.Parallel()
	for options, loads := range map[string]bool{"": false, "memory 64KiB": false, "memory 25MiB": true, "max_size 1MiB": true} {
		g := newGateway(t, "TMPDIR=/nowhere/at/all")
		g.write(t, ":{$PORT} {\nwebhook_auth {\n"+goodSecret+options+"\n}\nrespond ok\n}\n")
		output, ok := g.caddy(t, "validate", "--config", g.file, "--adapter", "caddyfile")
		if ok != loads || !strings.Contains(output, "TMPDIR") || !strings.Contains(output, "/nowhere/at/all: no such file") {
			t.Errorf("%q: loads is %v:\n%s", options, ok, output)
		}
	}
}
