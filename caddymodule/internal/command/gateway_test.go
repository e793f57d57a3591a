package command_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule"
)

const (
	secret  = "a secret that the tests share with the gate"
	another = "another secret, which is longer than 16 bytes"
)

// An output is what one call of the command left behind.
type output struct {
	code           int
	stdout, stderr string
}

// webhook calls the command as Caddy does. No output may show a secret.
func webhook(t *testing.T, stdin string, args ...string) output {
	t.Helper()
	root, parent := &cobra.Command{Use: "caddy"}, &cobra.Command{Use: "webhook"}
	registered := caddycmd.Commands()["webhook"]
	parent.Long = registered.Long
	registered.CobraFunc(parent)
	root.AddCommand(parent)
	var stdout, stderr bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetArgs(append([]string{"webhook"}, args...))
	o := output{}
	if err := root.Execute(); err != nil {
		o.code = 2
		if err.Error() == "no" {
			o.code = 1
		}
	}
	o.stdout, o.stderr = stdout.String(), stderr.String()
	for _, hidden := range []string{secret, another} {
		if strings.Contains(o.stdout+o.stderr, hidden) {
			t.Errorf("a secret is in the output: %+v", o)
		}
	}
	return o
}

// want fails the test unless the command ended with a code, and one of its two outputs
// holds each text.
func (o output) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d: %+v", o.code, code, o)
	}
	for _, text := range texts {
		if !strings.Contains(o.stdout+o.stderr, text) {
			t.Errorf("%q is not in %+v", text, o)
		}
	}
}

// folder makes a folder with a Caddyfile and other files, by name and text, the current
// one. In the Caddyfile, GATE is the secret of a gate, and PORT a free port.
func folder(t *testing.T, caddyfile string, files ...string) (port string) {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // the command changes it
	t.Setenv("WEBHOOK_SECRET", secret)
	t.Setenv("OTHER_SECRET", another)
	t.Chdir(t.TempDir())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	caddyfile = strings.NewReplacer("GATE", "secret {env.WEBHOOK_SECRET}", "PORT", port).Replace(caddyfile)
	files = append([]string{"Caddyfile", caddyfile}, files...)
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return port
}

// serve runs the Caddyfile of the folder, until the test ends.
func serve(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\tlog {\n\t\toutput discard\n\t}\n}\n%s", text)
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(options), nil)
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
}
