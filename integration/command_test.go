package integration_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// TestCommand runs the scripts in testdata/script with the real binary. They have these
// commands besides those of testscript:
//
//	webhook CODE ARG...   runs caddy webhook ARG..., which must exit with CODE and
//	                      print no secret; stdout and stderr then check its output
//	gateway FILE          starts caddy run with FILE, until the script ends
//	terminal ARG...       runs caddy webhook ARG... on a terminal
//
// The condition [has:TOOL] is like [exec:TOOL], except that in CI no tool may be missing.
// PORT and APP are free ports. Nothing listens on CLOSED.
func TestCommand(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			for _, port := range []string{"PORT", "APP", "CLOSED"} {
				env.Setenv(port, strconv.Itoa(tools.FreePort(t)))
			}
			home := filepath.Join(env.WorkDir, ".home")
			env.Setenv("HOME", home)
			env.Setenv("WEBHOOK_SECRET", testSecret)
			env.Setenv("OTHER_SECRET", otherSecret)
			env.Setenv("CADDY", binary)
			return os.Mkdir(home, 0o700)
		},
		Condition: func(cond string) (bool, error) {
			tool, _ := strings.CutPrefix(cond, "has:")
			return tools.Has(tool)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"webhook": runWebhook, "gateway": runGateway, "terminal": runTerminal,
		},
	})
}

func runWebhook(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	err := ts.Exec(binary, append([]string{"webhook"}, args[1:]...)...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
	output := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for _, secret := range []string{testSecret, otherSecret, literalSecret, senderKey} {
		if strings.Contains(output, secret) {
			ts.Fatalf("a secret is in the output")
		}
	}
}

func runGateway(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(binary, "run", "--config", args[0], "--adapter", "caddyfile")
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "PORT", "APP", "WEBHOOK_SECRET", "OTHER_SECRET", "WORK"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	stderr, err := cmd.StderrPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	late := time.AfterFunc(patience, func() { abort(cmd.Process) }) // ends the log, with the stacks
	defer late.Stop()
	var log strings.Builder
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "serving initial configuration") {
			go func() { // a process blocks when nobody reads its output
				for lines.Scan() {
				}
			}()
			return
		}
	}
	ts.Fatalf("the gateway does not start:\n%s", &log)
}

// runTerminal leaves what the terminal showed in the file terminal.
func runTerminal(ts *testscript.TestScript, _ bool, args []string) {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = "'" + arg + "'"
	}
	ts.Check(ts.Exec("script", "--quiet", "--command", binary+" webhook "+strings.Join(words, " "), ts.MkAbs("typescript")))
	ts.Check(os.WriteFile(ts.MkAbs("terminal"), []byte(ts.ReadFile("stdout")), 0o600))
}

// senderKey is a key in each encoding: text, hex and base64.
const senderKey = "5f1d0c9a7be24e63880f4a6f1c2d3e4b5a69788796a5b4c3d2e1f00f1e2d3c4b"

// presetNames returns the presets that have a delivery among the vectors, and which of them
// sign a URL. Another test checks that each preset has one.
func presetNames(t *testing.T) (names []string, signURL map[string]bool) {
	t.Helper()
	var vectors []struct{ Preset, URL string }
	if err := json.Unmarshal(readFile(t, filepath.Join(repository, "caddymodule/internal/signature/testdata/presets.json")), &vectors); err != nil {
		t.Fatal(err)
	}
	signURL = make(map[string]bool)
	for _, v := range vectors {
		signURL[v.Preset] = signURL[v.Preset] || v.URL != ""
		if !slices.Contains(names, v.Preset) {
			names = append(names, v.Preset)
		}
	}
	if len(names) < 60 {
		t.Fatalf("only %d presets", len(names))
	}
	return names, signURL
}

// TestCommandSignsEachPreset: the gate keeps its promise to each sender, and accepts
// what the command signs in its name.
func TestCommandSignsEachPreset(t *testing.T) {
	t.Parallel()
	names, signURL := presetNames(t)
	site := ":{$PORT} {\n"
	for _, name := range names {
		url := ""
		if signURL[name] {
			url = "public_url https://hooks.example.com/" + name + "\n"
		}
		site += "\thandle /" + name + " {\n\t\twebhook_auth " + name + " {\n\t\t\tsecret {env.SENDER_KEY}\n\t\t\t" + url + "\t\t}\n\t\trespond app\n\t}\n"
	}
	g := startGateway(t, site+"\trespond 404\n}\n", "SENDER_KEY="+senderKey)
	_, port, _ := net.SplitHostPort(g.addr)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, ok := g.caddy(t, "webhook", "send", "--config", g.file, "http://127.0.0.1:"+port+"/"+name)
			if !ok || strings.Count(output, "\tkept\n")-strings.Count(output, "check\t") != 6 || strings.Contains(output, senderKey) {
				t.Errorf("%s", output)
			}
		})
	}
}
