package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// refuses starts the binary with a Caddyfile that must not load, and returns its log. It
// sends requests until the binary ends, and none may be answered: Caddy may start its
// HTTP servers before it refuses the configuration.
func refuses(t *testing.T, caddyfile string) string {
	t.Helper()
	g := newGateway(t)
	g.write(t, caddyfile)
	cmd := exec.Command(binary, "run", "--config", g.file, "--adapter", "caddyfile")
	cmd.Env, cmd.Dir = g.environ, g.dir
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, answers := make(chan struct{}), make(chan string)
	go func() { answers <- askUntil(ended, g.addr) }()
	loaded := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	loaded.Stop()
	close(ended)
	if answer := <-answers; answer != "" {
		t.Errorf("it answered %s", answer)
	}
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("it loads or ends with another error (%v):\n%s", err, &log)
	}
	return log.String()
}

// askUntil sends requests until a process has ended, and returns an answer.
func askUntil(ended <-chan struct{}, addr string) (answer string) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		select {
		case <-ended:
			return answer
		default:
		}
		if resp, err := client.Post("http://"+addr+"/webhook", "text/plain", strings.NewReader("x")); err == nil {
			resp.Body.Close()
			answer = resp.Status
		}
	}
}

const gateBlock = "webhook_auth {\nsecret {env.WEBHOOK_SECRET}\n}\n"

// A configuration that would let unsigned requests past a gate, or lose deliveries behind
// it, does not load. `caddy validate` accepts it, because it does not start the apps.
func TestConfigurationsThatDoNotLoad(t *testing.T) {
	t.Parallel()
	const proxy = "reverse_proxy 127.0.0.1:3999\n"
	const toApp = "handle_response {\n" + proxy + "}\n"
	for _, tt := range []struct{ name, caddyfile, want string }{
		{"nothing behind", ":{$PORT} {\nhandle /webhook {\n" + gateBlock + "}\n}\n", "nothing_behind"},
		{"nothing behind, and a fallback", ":{$PORT} {\nhandle /webhook {\n" + gateBlock + "}\nhandle {\n" + proxy + "}\n}\n", "nothing_behind"},
		{"proxy first", ":{$PORT} {\nroute {\n" + proxy + gateBlock + "}\n}\n", "never_met"},
		{"order last", "{\norder webhook_auth last\n}\n:{$PORT} {\n" + gateBlock + proxy + "}\n", "never_met"},
		{"order after", "{\norder webhook_auth after reverse_proxy\n}\n:{$PORT} {\n" + gateBlock + proxy + "}\n", "never_met"},
		{"intercept of a status", ":{$PORT} {\nroute {\nintercept {\n@no status 401\nhandle_response @no {\n" + proxy + "}\n}\n" + gateBlock + proxy + "}\n}\n", "intercept_reaches_app"},
		{"intercept of all", ":{$PORT} {\nroute {\nintercept {\n" + toApp + "}\n" + gateBlock + proxy + "}\n}\n", "intercept_reaches_app"},
		{"FastCGI for refusals", ":{$PORT} {\nwebhook_auth {\nsecret {env.WEBHOOK_SECRET}\non_refusal handle_errors\n}\n" + proxy + "handle_errors {\nphp_fastcgi 127.0.0.1:9999\n}\n}\n", "error_route_reaches_app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := refuses(t, tt.caddyfile)
			if !strings.Contains(log, "error "+tt.want+": gate hub, ") || strings.Contains(log, testSecret) {
				t.Errorf("the log does not say %s:\n%s", tt.want, log)
			}
		})
	}
}

// After a reload that fails, the old configuration keeps working.
func TestReloadThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	g := startGateway(t, ":{$PORT} {\nhandle /webhook {\n"+gateBlock+"respond app\n}\n}\n")
	g.write(t, ":{$PORT} {\nhandle /webhook {\n"+gateBlock+"}\n}\n")
	output, ok := g.caddy(t, "reload", "--config", g.file, "--adapter", "caddyfile", "--address", "unix/"+g.dir+"/admin.sock")
	if ok || !strings.Contains(output, "nothing_behind") {
		t.Errorf("it reloads: %s", output)
	}
	if output, ok := g.caddy(t, "webhook", "send", "--secret-file", secretFile(t, g), "http://"+g.addr+"/webhook"); !ok {
		t.Errorf("the old configuration does not work: %s", output)
	}
}

func secretFile(t *testing.T, g *gateway) string {
	t.Helper()
	path := g.dir + "/secret.txt"
	writeFile(t, path, testSecret)
	return path
}

// A configuration that only looks like a mistake loads without a warning, and a signed
// delivery reaches the app.
func TestConfigurationsThatLoad(t *testing.T) {
	t.Parallel()
	const app = "respond app\n"
	for _, tt := range []struct{ name, caddyfile string }{
		{"falls through", ":{$PORT} {\nhandle /webhook {\n" + gateBlock + "}\nrespond /webhook app\n}\n"},
		{"snippet", "(gate) {\n" + gateBlock + "}\n:{$PORT} {\nhandle /webhook {\nimport gate\n" + app + "}\n}\n"},
		{"named gate", "&(gate) {\n" + gateBlock + "}\n:{$PORT} {\nhandle /webhook {\ninvoke gate\n" + app + "}\n}\n"},
		{"named app", "&(app) {\n" + app + "}\n:{$PORT} {\nhandle /webhook {\n" + gateBlock + "invoke app\n}\n}\n"},
		{"redir in front", ":{$PORT} {\nredir /old /new\n" + gateBlock + app + "}\n"},
		{"health in front", ":{$PORT} {\nroute {\nrespond /health ok\n" + gateBlock + app + "}\n}\n"},
		{"intercept elsewhere", ":{$PORT} {\nroute {\nintercept /other {\nhandle_response {\nreverse_proxy 127.0.0.1:3999\n}\n}\nroute /webhook {\n" + gateBlock + app + "}\n}\n}\n"},
		{"intercept that answers", ":{$PORT} {\nroute {\nintercept {\n@no status 5xx\nhandle_response @no {\nrespond 503\n}\n}\n" + gateBlock + app + "}\n}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, tt.caddyfile)
			if found, _ := g.log.find(warned); len(found) > 0 {
				t.Errorf("warns %v", found)
			}
			if output, ok := g.caddy(t, "webhook", "send", "--config", g.file, "--data", "x", "http://"+g.addr+"/webhook"); !ok || !strings.Contains(output, "200 OK\napp") {
				t.Errorf("%s", output)
			}
			resp, err := http.Post("http://"+g.addr+"/webhook", "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("an unsigned request: %s", fmt.Sprint(resp.StatusCode))
			}
		})
	}
}
