package integration_test

import (
	"path/filepath"
	"strings"
	"testing"
)

var deploy = filepath.Join("..", "deploy")

// TestSystemdUnit: systemd understands every line and rates the exposure of the unit as
// low. The test uses the binary that was built here.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	analyze := needs(t, "systemd-analyze")
	text := string(readFile(t, filepath.Join(deploy, "caddy-webhook.service")))
	const installed = "/usr/local/bin/caddy"
	if !strings.Contains(text, "ExecStart="+installed+" ") {
		t.Fatalf("the unit does not start %s", installed)
	}
	unit := filepath.Join(t.TempDir(), "caddy-webhook.service")
	writeFile(t, unit, strings.ReplaceAll(text, installed, binary))
	for _, args := range [][]string{
		{"verify", "--man=no", "--recursive-errors=no", unit},
		{"security", "--offline=true", "--threshold=25", unit}, // of 100; a unit without settings has 96
	} {
		output, err := command(t, analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(output) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, output)
		}
	}
}

// TestDeployedCaddyfiles: `caddy validate` and `caddy fmt` accept the Caddyfiles that
// people copy, with a secret where the recipe puts it.
func TestDeployedCaddyfiles(t *testing.T) {
	t.Parallel()
	for _, file := range glob(t, filepath.Join(deploy, "Caddyfile.*")) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			g := newGateway(t)
			secret := filepath.Join(g.dir, "secret")
			writeFile(t, secret, testSecret+"\n")
			text := string(readFile(t, file))
			for _, path := range []string{"/run/secrets/webhook", "/run/credentials/caddy-webhook.service/webhook"} {
				text = strings.ReplaceAll(text, "{file."+path+"}", "{file."+secret+"}")
			}
			writeFile(t, g.file, text)
			for _, args := range [][]string{{"fmt", "--diff", g.file}, {"validate", "--adapter", "caddyfile", "--config", g.file}} {
				if output, ok := g.caddy(t, args...); !ok {
					t.Errorf("caddy %s:\n%s", args[0], output)
				}
			}
		})
	}
}

// TestPrometheusConfig: Prometheus loads the configuration, and the rules with it.
func TestPrometheusConfig(t *testing.T) {
	t.Parallel()
	run(t, command(t, needs(t, "promtool"), "check", "config", filepath.Join(monitoring, "prometheus.yml")))
}
