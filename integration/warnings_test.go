package integration_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// warned returns the warnings of the gate and its app.
func warned(e entry) bool {
	return e.text("level") == "warn" && (e.text("logger") == "webhook_auth" || e.text("logger") == "http.handlers.webhook_auth")
}

// TestWarningsOfWaysAround: an app behind a gate that can also be reached without one.
func TestWarningsOfWaysAround(t *testing.T) {
	t.Parallel()
	const gated = "webhook_auth {\nsecret {env.WEBHOOK_SECRET}\n}\n"
	const proxy = "reverse_proxy 127.0.0.1:3999\n"
	for _, tt := range []struct {
		name, site string
		paths      []any // the paths of the way around; nil: there is none
	}{
		{"handle, then nothing", "handle /webhook {\n" + gated + proxy + "}\nrespond 404\n", nil},
		{"the whole site", gated + proxy, nil},
		{"another app", "handle /webhook {\n" + gated + proxy + "}\nhandle {\nreverse_proxy 127.0.0.1:3998\n}\n", nil},
		{"one matcher for both", "@hook path /webhook\nwebhook_auth @hook {\nsecret {env.WEBHOOK_SECRET}\n}\nreverse_proxy @hook 127.0.0.1:3999\n", nil},
		{"route", "route {\n" + gated + proxy + "}\n", nil},
		{"everything else to the same app", "handle /webhook {\n" + gated + proxy + "}\nhandle {\n" + proxy + "}\n", []any{}},
		{"another path", "handle /webhook {\n" + gated + proxy + "}\nhandle /admin {\n" + proxy + "}\n", []any{"/admin"}},
		{"the gate has a matcher, the proxy none", "webhook_auth /webhook {\nsecret {env.WEBHOOK_SECRET}\n}\n" + proxy, []any{}},
		{"under its other name", "handle /webhook {\n" + gated + proxy + "}\nhandle /y {\nreverse_proxy localhost:3999\n}\n", []any{"/y"}},
		{"two gates, and the rest of the site", "handle /github {\n" + gated + proxy + "}\nhandle /stripe {\n" + gated + "}\n" + proxy, []any{}},
		{"two gates in front of one app", "handle /github {\n" + gated + proxy + "}\nhandle /stripe {\n" + gated + proxy + "}\nrespond 404\n", nil},
		{"forward_auth in front of the gate", "route {\nforward_auth 127.0.0.1:3997 {\nuri /auth\n}\nwebhook_auth /webhook {\nsecret {env.WEBHOOK_SECRET}\n}\n" + proxy + "}\n", []any{}},
		{"forward_auth in the app itself", "handle /webhook {\n" + gated + proxy + "}\nhandle {\nforward_auth 127.0.0.1:3999 {\nuri /auth\n}\nrespond ok\n}\n", nil},
		{"for another app's response", "handle /webhook {\n" + gated + proxy + "}\nhandle /z {\nreverse_proxy 127.0.0.1:3998 {\nhandle_response {\n" + proxy + "}\n}\n}\n", []any{"/z"}},
		{"in an error route", "handle /webhook {\n" + gated + proxy + "}\nhandle_errors {\n" + proxy + "}\n", []any{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, ":{$PORT} {\n"+tt.site+"}\n")
			found, _ := g.log.find(warned)
			if len(found) == 0 && tt.paths == nil {
				return
			}
			if len(found) != 1 || tt.paths == nil {
				t.Fatalf("warns %v", found)
			}
			paths, _ := found[0]["paths"].([]any)
			if found[0].text("upstream") != "localhost:3999" || found[0].text("gate") != "hub" || strings.Join(texts(paths), " ") != strings.Join(texts(tt.paths), " ") {
				t.Errorf("warns %v, want paths %v", found[0], tt.paths)
			}
		})
	}
}

func texts(values []any) (all []string) {
	for _, value := range values {
		all = append(all, value.(string))
	}
	return all
}

// TestWarningOfAccessLog: a signature in the access log can be replayed with its body.
func TestWarningOfAccessLog(t *testing.T) {
	t.Parallel()
	g := startGateway(t, ":{$PORT} {\nlog\nwebhook_auth {\nsecret {env.WEBHOOK_SECRET}\n}\nrespond ok\n}\n")
	if line := g.log.wait(t, "the warning", warned); !strings.Contains(line.text("msg"), "the access log shows signatures") {
		t.Errorf("warns %v", line)
	}
}

// TestWarningOfReadableFile: every user of the machine can read the secret.
func TestWarningOfReadableFile(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows files have no mode")
	}
	for _, tt := range []struct {
		folder, file os.FileMode
		want         bool
	}{{0o755, 0o600, false}, {0o755, 0o640, false}, {0o755, 0o644, true}, {0o711, 0o604, true}, {0o700, 0o644, false}} {
		g := newGateway(t)
		path := filepath.Join(g.dir, "secret")
		writeFile(t, path, testSecret)
		if err := errors.Join(os.Chmod(g.dir, tt.folder), os.Chmod(path, tt.file)); err != nil {
			t.Fatal(err)
		}
		g.write(t, ":{$PORT} {\nwebhook_auth {\nsecret {file.{$HOME}/secret}\n}\n}\n")
		output, ok := g.caddy(t, "validate", "--config", g.file, "--adapter", "caddyfile")
		if warns := strings.Contains(output, "can read the secret's file"); !ok || warns != tt.want {
			t.Errorf("modes %o and %o: warns %v, want %v\n%s", tt.folder, tt.file, warns, tt.want, output)
		}
	}
}
