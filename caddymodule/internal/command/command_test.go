package command_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// subcommands are those that Caddy registers, and the help above them.
func subcommands(t *testing.T) (long string, commands []*cobra.Command) {
	t.Helper()
	registered := caddycmd.Commands()["webhook"]
	parent := &cobra.Command{Use: "webhook"}
	registered.CobraFunc(parent)
	if commands = parent.Commands(); len(commands) < 4 {
		t.Fatalf("there are only %d subcommands", len(commands))
	}
	return registered.Long, commands
}

// Whoever asks for help is shown how, and what the exit codes are, on a terminal.
func TestCommandHelp(t *testing.T) {
	long, commands := subcommands(t)
	for _, command := range commands {
		if !strings.Contains(command.Long, "$ caddy webhook "+command.Name()) {
			t.Errorf("%s: the help has no example", command.Name())
		}
		if command.Name() != "sign" && !strings.Contains(command.Long, "Exit status: 0") {
			t.Errorf("%s: the help does not say what the exit codes mean", command.Name())
		}
		long += command.Long
		for _, args := range [][]string{nil, {"--help"}, {"help"}} {
			webhook(t, "", args...).want(t, 0, "\n    caddy webhook "+command.Name()+" ", "\n  "+command.Name()+" ")
		}
		webhook(t, "", command.Name(), "--help").want(t, 0, "$ caddy webhook "+command.Name(), "--json")
	}
	for line := range strings.Lines(long) {
		if len([]rune(strings.TrimSpace(line))) > 88 {
			t.Errorf("too long for a terminal: %s", line)
		}
	}
}

// What is misspelled gets a suggestion, and is not repeated where it may be a secret.
func TestCommandSuggests(t *testing.T) {
	const hidden = "s3cr3tV4lue"
	for _, c := range []struct{ flags, want string }{
		{"sing", "caddy webhook: unknown subcommand; did you mean sign? There are check, inspect, presets, send, show, sign, status, tail and verify"},
		{"verif", "unknown subcommand; did you mean verify?"},
		{hidden, "unknown subcommand; there are check, inspect, presets, send, show, sign, status, tail and verify; see caddy webhook --help"},
		{"sign --secrt-file " + hidden, "caddy webhook sign: unknown flag: --secrt-file; did you mean --secret-file?"},
		{"check --preset " + hidden, "unknown flag: --preset; see --help"},
		{"check --" + hidden, "caddy webhook check: unknown flag; see --help"},
		{"sign --token=" + hidden, "unknown flag: --token; see --help"},
		{"sign -" + hidden, "unknown flag with one hyphen; names of more than one letter have two"},
		{"sign -x", "unknown flag with one hyphen"},
		{"sign --data", "--data needs a value"},
		{"sign -d", "--data needs a value"},
		{"sign --json=" + hidden, "--json takes no value"},
		{"sign --=" + hidden, "a flag is not of the form --name"},
		{"--" + hidden, "caddy webhook: unknown flag; see --help"},
		{"sign --secret " + hidden, "write it into a file and use --secret-file FILE"},
		{"sign --secret=" + hidden + " --secret-file x", "write it into a file and use --secret-file FILE"},
		{"sign " + hidden, "takes no argument; see caddy webhook sign --help"},
		{"check " + hidden, "takes no argument; see caddy webhook check --help"},
		{"send a " + hidden, "takes one URL, such as"},
		{"send " + hidden, "the argument is not a URL such as"},
		{"sign --secret-file " + hidden, "--secret-file: it takes the path of a file, and this one cannot be read"},
	} {
		o := webhook(t, "", strings.Fields(c.flags)...)
		o.want(t, 2, c.want)
		if strings.Contains(o.stdout+o.stderr, hidden) || strings.Contains(o.stdout+o.stderr, hidden[1:]) {
			t.Errorf("%s is repeated: %+v", c.flags, o)
		}
	}
}

// Where there is no configuration to take, the error says what to name.
func TestCommandWithoutConfiguration(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // the command changes it
	t.Chdir(t.TempDir())
	for _, c := range []struct{ flags, want string }{
		{"sign", "there is no Caddyfile here; name your configuration with --config FILE, or a file with the secret with --secret-file FILE"},
		{"check", "there is no Caddyfile here; name your configuration with --config FILE\n"},
		{"check --config nothing", "nothing"},
		{"check --config none.json", "no webhook_auth"},
		{"sign --config none.json", "the configuration has no webhook_auth; there is nothing to try"},
		{"sign --config broken.json", "broken.json: "},
		{"sign --config broken.caddyfile", "webhook_aut"},
		{"sign --config unset.caddyfile", "{env.WEBHOOK_TEST_UNSET} is unset"},
		{"sign --config unset.caddyfile", "this command needs the same environment"},
	} {
		for name, text := range map[string]string{
			"none.json":        `{"apps": {"http": {"servers": {"a": {"listen": [":1"], "routes": []}}}}}`,
			"broken.json":      `{"apps": 1}`,
			"broken.caddyfile": ":1 {\n\twebhook_aut\n}\n",
			"unset.caddyfile":  ":1 {\n\twebhook_auth {\n\t\tsecret {env.WEBHOOK_TEST_UNSET}\n\t}\n\trespond ok\n}\n",
		} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c.want == "no webhook_auth" { // nothing to find is no failure
			webhook(t, "", strings.Fields(c.flags)...).want(t, 0, "no findings; gates: 0")
			continue
		}
		webhook(t, "", strings.Fields(c.flags)...).want(t, 2, c.want)
	}
}

func TestCheckFindings(t *testing.T) {
	folder(t, "http://127.0.0.1:8080 {\n\thandle /webhook {\n\t\twebhook_auth {\n\t\t\tGATE\n\t\t}\n\t\treverse_proxy localhost:3000\n\t}\n\treverse_proxy localhost:3000\n}\n",
		"sound", "http://127.0.0.1:8080 {\n\twebhook_auth {\n\t\tsecret {env.WEBHOOK_SECRET}\n\t}\n\treverse_proxy localhost:3000\n}\n")
	webhook(t, "", "check").want(t, 1, "warning way_around: gate hub, upstream localhost:3000")
	webhook(t, "", "check", "--config", "sound", "--adapter", "caddyfile").want(t, 0, "no findings; gates: 1\n")
	for flags, want := range map[string]int{"": 1, "--config sound --adapter caddyfile": 0} {
		o := webhook(t, "", append([]string{"check", "--json"}, strings.Fields(flags)...)...)
		var got struct {
			Gates    int
			Findings []struct{ Kind, Severity, Cure string }
		}
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil || got.Gates != 1 || got.Findings == nil || len(got.Findings) != want {
			t.Errorf("%q: %v, %+v", flags, err, o)
		}
	}
}

// What sign prints is what verify takes for authentic.
func TestSignedIsAuthentic(t *testing.T) {
	folder(t, "http://127.0.0.1:8080 {\n\thandle /hub {\n\t\twebhook_auth {\n\t\t\tGATE\n\t\t\tsecret old {env.OTHER_SECRET}\n\t\t}\n\t\trespond ok\n\t}\n"+
		"\thandle /stripe {\n\t\twebhook_auth stripe {\n\t\t\tGATE\n\t\t}\n\t\trespond ok\n\t}\n"+
		"\thandle /square {\n\t\twebhook_auth square {\n\t\t\tGATE\n\t\t\tpublic_url https://hooks.example.com/square\n\t\t}\n\t\trespond ok\n\t}\n}\n",
		"body", "a body with a line break at its end\n", "secret", secret)
	for _, c := range []struct{ sign, verify string }{
		{"--url http://127.0.0.1:8080/hub", ""},
		{"--url http://127.0.0.1:8080/hub --secret-name old", ""},
		{"--url http://127.0.0.1:8080/stripe", ""},
		{"--url http://127.0.0.1:8080/square", ""},
		{"--url http://127.0.0.1:8080/hub --json", ""},
		{"--secret-file secret --preset svix --url https://example.com/", "no"},
		{"--secret-file secret --preset square --url https://example.com/", ""},
		{"--secret-file secret", ""},
	} {
		o := webhook(t, "", append([]string{"sign", "--data", "@body"}, strings.Fields(c.sign)...)...)
		if c.verify == "no" { // the secret is not in base64
			o.want(t, 2, "--secret-file: ", "does not decode as base64")
			continue
		}
		o.want(t, 0)
		if err := os.WriteFile("headers", []byte(o.stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := slices.DeleteFunc(strings.Fields(c.sign), func(flag string) bool { return flag == "--json" || flag == "--secret-name" || flag == "old" })
		webhook(t, "", append([]string{"verify", "--headers", "headers", "--data", "@body"}, flags...)...).want(t, 0, "authentic: ")
	}
	webhook(t, "from standard input", "sign", "--url", "http://127.0.0.1:8080/hub").want(t, 0, "X-Hub-Signature-256: sha256=")
}

func TestSignFlags(t *testing.T) {
	folder(t, "http://127.0.0.1:8080 {\n\twebhook_auth {\n\t\tGATE\n\t}\n\trespond ok\n}\n")
	for _, c := range []struct {
		code        int
		flags, want string
	}{
		{0, "--curl --url http://127.0.0.1:8080/", "curl --globoff --request 'POST' 'http://127.0.0.1:8080/' \\\n  --header 'Content-Type: application/json' \\\n"},
		{2, "--curl", "--curl needs --url"},
		{2, "--curl --json --url http://127.0.0.1:8080/", "--curl prints a command, and no JSON"},
		{2, "-H nothing", "--header takes"},
		{2, "--data @" + filepath.Join("no", "file"), "--data: open "},
		{2, "--secret-name nobody", "the gate has no secret of that name; it has 1"},
		{2, "--url https://127.0.0.1:8080/", "speaks HTTP; write http://127.0.0.1:8080/"},
	} {
		webhook(t, "x", append([]string{"sign"}, strings.Fields(c.flags)...)...).want(t, c.code, c.want)
	}
}
