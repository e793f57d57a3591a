// Package integration_test tests the binary as a black box: it builds it with xcaddy.sh,
// runs it in front of an app process, and sends deliveries over TCP and QUIC. It sees
// what a user sees, and imports nothing of the module.
package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// binary is the Caddy that xcaddy.sh built, repository the folder it was built in.
var binary, repository string

func TestMain(m *testing.M) {
	if os.Getenv(appVariable) != "" {
		runApp()
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	os.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // says nothing about the gateway
	dir, err := os.MkdirTemp("", "webhook-auth-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Chmod(dir, 0o711) // another user may run the binary: TestUnreadableFile
	}
	if err == nil {
		binary = filepath.Join(dir, "caddy")
		repository, err = filepath.Abs("..")
	}
	if err == nil {
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build() error {
	ctx, cancel := context.WithTimeout(context.Background(), processPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(repository, "xcaddy.sh"))
	cmd.Env, cmd.WaitDelay = append(os.Environ(), "OUTPUT="+binary), patience
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building with xcaddy.sh: %w\n%s", err, output)
	}
	return nil
}

func needs(t *testing.T, tool string) string {
	t.Helper()
	return tools.Need(t, tool)
}

func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	tools.Skip(t, format, args...)
}

// A gateway is a running Caddy with the module.
type gateway struct {
	addr    string // host and port of its one site
	file    string // its Caddyfile, or its configuration in JSON
	dir     string // its home, removed after the test
	environ []string
	log     *logbook
	process *exec.Cmd
}

// settings are the global options of every gateway. It writes nothing outside its folder
// and uses no port except the one given. Its admin API is a socket that nobody else can
// reach.
const settings = `	default_bind 127.0.0.1
	admin unix/{$HOME}/admin.sock
	persist_config off
	skip_install_trust
	auto_https off
	storage file_system {$HOME}/storage
	servers {
		protocols h1 h2 h2c h3
		{$SERVERS}
	}
`

// startGateway runs the binary with a Caddyfile until the test ends. In the Caddyfile,
// {$PORT} is a free loopback port and {$HOME} the gateway's folder. Its global options
// block is added to settings. WEBHOOK_SECRET is testSecret. environ adds or overrides
// variables, including SERVERS.
func startGateway(t *testing.T, caddyfile string, environ ...string) *gateway {
	t.Helper()
	g := newGateway(t, environ...)
	g.write(t, caddyfile)
	g.start(t)
	return g
}

func newGateway(t *testing.T, environ ...string) *gateway {
	t.Helper()
	// Not t.TempDir: it contains the test's name, which makes the socket's path too long.
	dir, err := os.MkdirTemp("", "gateway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port := strconv.Itoa(tools.FreePort(t))
	return &gateway{
		addr: net.JoinHostPort("127.0.0.1", port),
		file: filepath.Join(dir, "Caddyfile"),
		dir:  dir,
		log:  newLogbook(),
		environ: append([]string{
			// Not the caller's variables: reverse_proxy would send deliveries to an HTTP_PROXY.
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PORT=" + port, "WEBHOOK_SECRET=" + testSecret,
		}, environ...),
	}
}

func (g *gateway) write(t *testing.T, caddyfile string) {
	t.Helper()
	own, hasOwn := strings.CutPrefix(caddyfile, "{\n")
	text := "{\n" + settings + "}\n" + caddyfile
	if hasOwn {
		text = "{\n" + settings + own
	}
	writeFile(t, g.file, text)
}

func (g *gateway) start(t *testing.T) {
	t.Helper()
	g.launch(t)
	g.log.wait(t, "start", serving)
}

var serving = message("serving initial configuration")

// loads starts the gateway and reports whether it serves. If not, its log says why.
func (g *gateway) loads(t *testing.T) bool {
	t.Helper()
	g.launch(t)
	for timeout := time.After(patience); ; {
		found, grown := g.log.find(serving)
		if len(found) > 0 {
			return true
		}
		select {
		case <-grown:
		case <-g.log.ended:
			return false
		case <-timeout:
			t.Fatalf("the gateway neither serves nor ends:\n%s", g.log)
		}
	}
}

func (g *gateway) launch(t *testing.T) {
	t.Helper()
	args := []string{"run", "--config", g.file}
	if filepath.Ext(g.file) != ".json" {
		args = append(args, "--adapter", "caddyfile")
	}
	g.process = exec.Command(binary, args...)
	g.process.Env, g.process.Dir = g.environ, g.dir
	stderr, err := g.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.process.Start(); err != nil {
		t.Fatal(err)
	}
	go g.log.readFrom(stderr)
	t.Cleanup(func() { g.stop(t) })
}

// stop ends the process. It fails the test if the log holds something that no log may
// hold. After a failure, the log ends with the stacks of the gateway.
func (g *gateway) stop(t *testing.T) {
	log := g.log.String()
	if t.Failed() && testing.Verbose() && abort(g.process.Process) == nil {
		tries(patience, func() (any, bool) { return nil, g.log.hasEnded() })
	}
	g.kill(t)
	for _, forbidden := range []string{testSecret, otherSecret, literalSecret, "panic"} {
		if strings.Contains(log, forbidden) {
			t.Errorf("the log contains %q:\n%s", forbidden, log)
		}
	}
	if t.Failed() && testing.Verbose() {
		t.Logf("log of the gateway:\n%s", g.log)
	}
}

// kill ends the process at once.
func (g *gateway) kill(t *testing.T) {
	t.Helper()
	g.process.Process.Kill()
	ends(t, "the end of the gateway's log", g.log.ended) // before Wait, which closes the pipe
	end(t, g.process)
}

// caddy runs a command of the binary in the gateway's environment to its end.
func (g *gateway) caddy(t *testing.T, args ...string) (output string, ok bool) {
	t.Helper()
	return g.runs(t, command(t, binary, args...))
}

// runs runs a command in the gateway's environment. A command that cannot be started
// fails the test, because it has refused nothing.
func (g *gateway) runs(t *testing.T, cmd *exec.Cmd) (output string, ok bool) {
	t.Helper()
	cmd.Env, cmd.Dir = g.environ, g.dir
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s does not start: %v", cmd.Path, err)
	}
	return string(out), err == nil
}

// An entry is one line of a log.
type entry map[string]any

func parseEntry(line []byte) entry {
	e := entry{}
	if json.Unmarshal(line, &e) != nil {
		e = entry{"msg": string(line)} // such as a Go panic
	}
	return e
}

func (e entry) text(key string) string { s, _ := e[key].(string); return s }

func message(msg string) func(entry) bool {
	return func(e entry) bool { return e.text("msg") == msg }
}

func reason(word string) func(entry) bool {
	return func(e entry) bool { return e.text("reason") == word }
}

// A logbook is what a process has logged so far.
type logbook struct {
	mu      sync.Mutex
	raw     bytes.Buffer
	entries []entry
	grown   chan struct{} // closed, and another one made, with each line
	ended   chan struct{}
}

func newLogbook() *logbook {
	return &logbook{grown: make(chan struct{}), ended: make(chan struct{})}
}

func (l *logbook) readFrom(r io.Reader) {
	defer close(l.ended)
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			l.add(line)
		}
		if err != nil {
			return
		}
	}
}

func (l *logbook) add(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.raw.Write(line)
	l.entries = append(l.entries, parseEntry(line))
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *logbook) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.raw.String()
}

// find returns the entries that match, and a channel that is closed when more come.
func (l *logbook) find(match func(entry) bool) (found []entry, grown <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if match(e) {
			found = append(found, e)
		}
	}
	return found, l.grown
}

// wait returns the first entry that matches, as soon as it is logged.
func (l *logbook) wait(t *testing.T, what string, match func(entry) bool) entry {
	t.Helper()
	return l.waitFor(t, 1, what, match)[0]
}

// waitFor returns the entries that match, as soon as there are count of them.
func (l *logbook) waitFor(t *testing.T, count int, what string, match func(entry) bool) []entry {
	t.Helper()
	timeout := time.After(patience)
	for {
		found, grown := l.find(match)
		if len(found) >= count {
			return found
		}
		select {
		case <-grown:
		case <-l.ended:
			if found, _ := l.find(match); len(found) >= count {
				return found
			}
			t.Fatalf("waiting for %s: the gateway has ended:\n%s", what, l)
		case <-timeout:
			t.Fatalf("waiting for %s: after %v the log has %d of %d such lines:\n%s", what, patience, len(found), count, l)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
