// Package command is `caddy webhook`: it plays the sender of a gate, and judges what a
// sender sent. It knows gates as plain values, see [Gate], and no handler and no routes:
// what it has to ask of those is in [Gateway].
package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Webhook is the command as Caddy registers it.
func Webhook(gateway Gateway) caddycmd.Command {
	return caddycmd.Command{
		Name:  "webhook",
		Usage: "<command>",
		Short: "Signs, sends and verifies webhook deliveries",
		Long: `
Tries out the webhook_auth gates of a configuration: does my secret work?

    caddy webhook send http://localhost:8080/webhook    is the gate closed, and open
                                                        to the right deliveries?
    caddy webhook sign < body.json                      the header fields for a body
    caddy webhook verify --headers h.txt --data @b.json why was a delivery refused?
    caddy webhook check                                 is there a way around a gate?
    caddy webhook presets stripe                        what do I write for my sender?

and looks at those of the running server:

    caddy webhook status                                what each gate did
    caddy webhook tail -f                               each delivery, as it comes
    caddy webhook show 78cky6uj7                        why was this one refused?
    caddy webhook inspect                               the same on a page

The scheme and the secret are those of the gate in your Caddyfile or JSON, read as
"caddy run" reads it: secrets in {env.NAME} or {file./path} need the environment
and the rights that the server has. Without a configuration, name a file with
--secret-file. As with "caddy validate", active health checks of reverse_proxy may be
sent. No secret is ever on the command line, where the shell's history and the
list of processes would show it.
`,
		CobraFunc: gateway.addCommands,
	}
}

// The exit codes of all commands.
const (
	exitKept   = 0 // the answer is yes
	exitBroken = 1 // the answer is no
	exitFailed = 2 // there is no answer
)

// errBroken is what cobra is told of exitBroken; it is never shown.
var errBroken = errors.New("no")

// options are the flags of all commands.
type options struct {
	config, adapter        string
	secretFile, preset     string
	secretName, tenant     string
	privateKeyFile         string
	method, url            string
	headers                []string
	data, headersFile      string
	at                     string
	caFile                 string
	curl, json             bool
	address, gate, id      string
	follow, refused        bool
	showBody               bool
	lines, port            int
	secretGiven, dataGiven bool
}

// A command is one call of a subcommand.
type command struct {
	options
	gateway Gateway
	name    string
	in      io.Reader
	out     *printer
	err     io.Writer
	args    []string
	failed  bool // the answer is no
}

func (g Gateway) addCommands(parent *cobra.Command) {
	parent.SilenceErrors, parent.SilenceUsage = true, true
	parent.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || args[0] == "help" {
			return cmd.Help()
		}
		return finish(cmd, exitFailed, unknownCommand(cmd, args[0]))
	}
	parent.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return finish(cmd, exitFailed, explainFlag(cmd.Flags(), err))
	})
	parent.AddCommand(signCommand(g), sendCommand(g), verifyCommand(g), checkCommand(g), statusCommand(g), tailCommand(g), showCommand(g), inspectCommand(g), presetsCommand(g))
}

// subcommand makes a command whose run returns an error if there is no answer, and
// sets failed if the answer is no.
func (g Gateway) subcommand(use, short, long string, run func(*command) error) (*cobra.Command, *options) {
	cmd, o := g.plainSubcommand(use, short, long, run)
	addConfigFlags(cmd, o)
	return cmd, o
}

// plainSubcommand is for commands that need no configuration.
func (g Gateway) plainSubcommand(use, short, long string, run func(*command) error) (*cobra.Command, *options) {
	o := new(options)
	cmd := &cobra.Command{Use: use, Short: short, Long: long, SilenceErrors: true, SilenceUsage: true, Args: cobra.ArbitraryArgs}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := &command{
			options: *o, gateway: g, name: cmd.Name(), args: args,
			in: cmd.InOrStdin(), out: newPrinter(cmd.OutOrStdout(), o.json), err: cmd.ErrOrStderr(),
		}
		c.secretGiven, c.dataGiven = cmd.Flags().Changed("secret"), cmd.Flags().Changed("data")
		err := c.checkOptions()
		if err == nil {
			err = run(c)
		}
		switch {
		case err != nil:
			return finish(cmd, exitFailed, err)
		case c.failed:
			return finish(cmd, exitBroken, nil)
		}
		return nil
	}
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.String("secret", "", "is refused: use --secret-file")
	_ = f.MarkHidden("secret") // there is such a flag, so it cannot fail
	return cmd, o
}

func addConfigFlags(cmd *cobra.Command, o *options) {
	f := cmd.Flags()
	f.StringVarP(&o.config, "config", "c", "", "the configuration `file` with the gate (default: Caddyfile in this folder)")
	f.StringVarP(&o.adapter, "adapter", "a", "", "the `name` of the adapter of --config")
}

// addGateFlags is for commands about one delivery.
func addGateFlags(cmd *cobra.Command, o *options) {
	f := cmd.Flags()
	f.StringVar(&o.secretFile, "secret-file", "", "a `file` with the secret, instead of a configuration")
	f.StringVar(&o.preset, "preset", "", "the preset of the sender, for --secret-file (default: hub)")
	_ = cmd.RegisterFlagCompletionFunc("preset", cobra.FixedCompletions(completions(), cobra.ShellCompDirectiveNoFileComp)) // there is such a flag
	f.StringVar(&o.tenant, "tenant", "", "the `name` of the tenant, for a gate with tenants (default: that of the URL)")
	f.StringVar(&o.method, "method", http.MethodPost, "the method of the delivery")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "a further `'Name: value'` of the delivery; may be repeated")
}

// addSecretFlag is for commands that sign; verify tries all secrets.
func addSecretFlag(cmd *cobra.Command, o *options) {
	cmd.Flags().StringVar(&o.privateKeyFile, "private-key-file", "", "a `file` with the private key, for a gate with public keys")
	cmd.Flags().StringVar(&o.secretName, "secret-name", "", "the `name` of the gate's secret (default: its first)")
}

// checkOptions never shows an argument: it may be a secret.
func (c *command) checkOptions() error {
	switch {
	case c.secretGiven:
		return errors.New("--secret would show the secret in the shell's history and in the list of processes, " +
			"to everyone on this machine; write it into a file and use --secret-file FILE")
	case c.secretFile != "" && c.config != "":
		return errors.New("--secret-file is for use without a configuration; drop it or --config")
	case c.secretFile == "" && c.preset != "":
		return errors.New("--preset goes with --secret-file; a configuration names its own")
	case c.secretFile != "" && c.tenant != "":
		return errors.New("--tenant is for a configuration; drop it or --secret-file")
	case c.secretFile != "" && c.secretName != "":
		return errors.New("--secret-name is for a configuration; drop it or --secret-file")
	}
	return nil
}

// finish reports an error and hands the exit code to Caddy, which knows only its
// own error for codes above 1.
func finish(cmd *cobra.Command, code int, err error) error {
	if err != nil {
		cmd.PrintErrf("%s: %v\n", cmd.CommandPath(), err)
	}
	cmd.SilenceErrors = true
	if code == exitBroken {
		return errBroken
	}
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return code, nil })(cmd, nil)
}

// noArguments is for commands that take flags alone.
func (c *command) noArguments() error {
	if len(c.args) > 0 {
		return fmt.Errorf("takes no argument; see caddy webhook %s --help", c.name)
	}
	return nil
}

// header returns the fields of --header.
func (c *command) header() (http.Header, error) {
	header := make(http.Header)
	for _, line := range c.headers {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, errors.New("--header takes 'Name: value'")
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}

// body returns what --data says: text, @FILE, or @- for standard input.
func (c *command) body(data string) ([]byte, error) {
	file, ok := strings.CutPrefix(data, "@")
	switch {
	case !ok && isFile(data):
		return nil, fmt.Errorf("--data: %[1]q is a file here; write --data @%[1]s for its content", data)
	case !ok:
		return []byte(data), nil
	case file == "-":
		if isTerminal(c.in) {
			c.tell("reading the body from standard input; Control-D ends it")
		}
		return io.ReadAll(c.in)
	}
	body, err := os.ReadFile(file) //nolint:gosec // the operator's own path
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	return body, nil
}

// isFile tells a file whose @ is missing from a body. Few bodies are the name of a file.
func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// tell prints a line on standard error.
func (c *command) tell(format string, args ...any) {
	_, _ = fmt.Fprintf(c.err, format+"\n", args...)
}

// waiting says what is waited for, if it takes over a second.
func (c *command) waiting(what string) (done func()) {
	timer := time.AfterFunc(time.Second, func() { c.tell("%s ...", what) })
	return func() { timer.Stop() }
}
