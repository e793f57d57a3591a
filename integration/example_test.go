package integration_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// TestExample: people start from Caddyfile.example, so it must work unchanged, except for
// the ports of this machine.
func TestExample(t *testing.T) {
	t.Parallel()
	text := string(readFile(t, filepath.Join(repository, "Caddyfile.example")))
	demo := strconv.Itoa(tools.FreePort(t))
	for _, port := range []string{":8080 {", ":9000 {", "127.0.0.1:9000"} {
		if !strings.Contains(text, port) {
			t.Fatalf("Caddyfile.example no longer contains %q", port)
		}
	}
	text = strings.NewReplacer(":8080", ":{$PORT}", ":9000", ":"+demo).Replace(text)
	g := startGateway(t, text)
	for _, d := range []delivery{authentic(chatBotKit), authentic("")} {
		resp := g.deliver(t, d)
		if want := "authentic delivery of " + strconv.Itoa(len(d.body)) + " bytes: POST /webhook"; resp.status != 200 || !strings.Contains(resp.body, want) {
			t.Errorf("answer %d %q, want %q", resp.status, resp.body, want)
		}
	}
	g.refusal(t, g.deliver(t, post(chatBotKit)), 401, "missing_signature")
	g.refusal(t, g.deliver(t, post(chatBotKit, forgedField)), 401, "signature_mismatch")
	if resp := g.deliver(t, authentic(chatBotKit).with("POST", "/")); resp.status != http.StatusNotFound {
		t.Errorf("status %d for another path, want 404", resp.status)
	}
}

// TestExampleWithoutSecret: without the variable, the example must not start.
func TestExampleWithoutSecret(t *testing.T) {
	t.Parallel()
	g := newGateway(t, "WEBHOOK_SECRET=")
	output, ok := g.caddy(t, "validate", "--config", filepath.Join(repository, "Caddyfile.example"), "--adapter", "caddyfile")
	if ok || !strings.Contains(output, "{env.WEBHOOK_SECRET}") || !strings.Contains(output, "unset") {
		t.Errorf("loads: %v\n%s", ok, output)
	}
}

// TestExampleIsFormatted: otherwise Caddy greets its reader with a warning.
func TestExampleIsFormatted(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	if output, ok := g.caddy(t, "fmt", "--diff", filepath.Join(repository, "Caddyfile.example")); !ok {
		t.Errorf("caddy fmt --diff:\n%s", output)
	}
}

// TestRun runs the README's first command, and pastes the three that it prints into a
// shell.
func TestRun(t *testing.T) {
	for _, port := range []string{"8080", "9000"} {
		if l, err := net.Listen("tcp", ":"+port); err != nil {
			skip(t, "port %s is taken; Caddyfile.example needs it", port)
		} else {
			l.Close()
		}
	}
	bash := needs(t, "bash")
	needs(t, "curl")
	commands := startRun(t, bash)
	for i, want := range []string{"200", "401"} {
		cmd := command(t, bash, "-c", commands[i])
		cmd.Env = append(os.Environ(), "no_proxy=*")
		output, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", commands[i], err)
		}
		head, body, _ := strings.Cut(string(output), "\r\n\r\n")
		if status := strings.Fields(head)[1]; status != want {
			t.Errorf("status %s, want %s: %s", status, want, commands[i])
		}
		if isApp := strings.HasPrefix(body, "The app got an authentic delivery"); isApp != (want == "200") {
			t.Errorf("status %s with body %q", want, body)
		}
	}
	output, err := exec.Command(bash, "-c", commands[2]).CombinedOutput()
	if err != nil || strings.Count(string(output), "\tkept\n") != 6 {
		t.Errorf("%s: %v\n%s", commands[2], err, output)
	}
}

// startRun runs `./xcaddy.sh run` until the test ends and returns the commands that
// it prints, once the gateway serves.
func startRun(t *testing.T, bash string) []string {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(bash, filepath.Join(repository, "xcaddy.sh"), "run")
	cmd.Env = append(withoutSecret(os.Environ()),
		"OUTPUT="+filepath.Join(home, "caddy"),
		"CADDY_ADMIN=127.0.0.1:"+strconv.Itoa(tools.FreePort(t)),
		// Caddy writes its files into the folder of the test. Go keeps its settings.
		"XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "GOENV="+goenv(t))
	ownGroup(cmd)
	output, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	ended := make(chan struct{})
	t.Cleanup(func() {
		killGroup(cmd)
		end(t, cmd)
		ends(t, "the end of its output", ended)
		output.Close()
	})
	return readCommands(t, output, ended)
}

func readCommands(t *testing.T, output io.Reader, ended chan struct{}) []string {
	t.Helper()
	lines := make(chan string, 1000)
	go func() {
		defer close(ended)
		defer close(lines)
		for s := bufio.NewScanner(output); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads it any more
			}
		}
	}()
	var commands []string
	for timeout := time.After(processPatience); ; {
		select {
		case line, ok := <-lines:
			if !ok {
				t.Fatal("xcaddy.sh run has ended")
			}
			if strings.HasPrefix(line, "curl ") || strings.Contains(line, " webhook send ") {
				commands = append(commands, line)
			}
			if strings.Contains(line, "serving initial configuration") {
				if len(commands) != 3 {
					t.Fatalf("xcaddy.sh run prints the commands %q, want 3", commands)
				}
				return commands
			}
		case <-timeout:
			t.Fatalf("xcaddy.sh run does not serve after %v; it has printed the commands %q", processPatience, commands)
		}
	}
}

// withoutSecret removes the caller's WEBHOOK_SECRET from environ, so that xcaddy.sh
// generates one.
func withoutSecret(environ []string) (kept []string) {
	for _, variable := range environ {
		if !strings.HasPrefix(variable, "WEBHOOK_SECRET=") {
			kept = append(kept, variable)
		}
	}
	return kept
}

func goenv(t *testing.T) string {
	t.Helper()
	output, err := command(t, "go", "env", "GOENV").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(output))
}
