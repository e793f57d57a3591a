package command

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
)

const helpSign = `
Prints the header fields with which a sender would sign a body, one on a line. The
body is standard input, byte for byte, or --data.

    $ caddy webhook sign < body.json
    X-Hub-Signature-256: sha256=2ee14fb2…

--curl prints a whole command instead; curl must then get the same bytes:

    $ caddy webhook sign --curl --url http://localhost:8080/webhook --data @body.json

A configuration with more than one gate needs --url, which says which one is meant.
Without a configuration, for a sender that is not behind this gateway yet:

    $ caddy webhook sign --secret-file secret.txt --preset stripe < body.json

What was signed with a time is good for some minutes only: sign again, then send.
`

func signCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("sign [--url URL] [--data @FILE|TEXT] [--curl]", "Prints the header fields that sign a body", helpSign, (*command).sign)
	addGateFlags(cmd, o)
	addSecretFlag(cmd, o)
	cmd.Flags().StringVar(&o.url, "url", "", "the `URL` that the delivery is for")
	cmd.Flags().StringVarP(&o.data, "data", "d", "@-", "the body: `@FILE`, text, or @- for standard input")
	cmd.Flags().BoolVar(&o.curl, "curl", false, "print a command for curl")
	return cmd
}

func (c *command) sign() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	switch {
	case c.curl && c.url == "":
		return errors.New("--curl needs --url")
	case c.curl && c.json:
		return errors.New("--curl prints a command, and no JSON; drop one of the two")
	}
	header, err := c.header()
	if err != nil {
		return err
	}
	header = withContentType(header)
	target, err := c.target(c.method, c.url, header)
	if err != nil {
		return err
	}
	signer, err := c.signer(target)
	if err != nil {
		return err
	}
	path, err := target.path(c.url)
	if err != nil {
		return err
	}
	body, err := c.body(c.data)
	if err != nil {
		return err
	}
	fields := signer.Sign(sender.Delivery{Method: c.method, URL: target.PublicURL, Target: path, Header: header, Body: body, Time: time.Now()})
	if c.curl {
		return c.out.text(c.curlCommand(header, fields, target.Scheme.NeedsTarget()))
	}
	return c.out.fields(fields)
}

// withContentType says what curl would otherwise say wrongly.
func withContentType(header http.Header) http.Header {
	header = header.Clone()
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	return header
}

// curlCommand is quoted for a POSIX shell. Without --globoff, braces in the URL would
// be several deliveries, and without --path-as-is another path may be asked for than was
// signed.
func (c *command) curlCommand(header http.Header, fields []sender.Field, pathSigned bool) string {
	curl := "curl --globoff"
	if pathSigned {
		curl += " --path-as-is"
	}
	parts := []string{curl + " --request " + quote(c.method) + " " + quote(c.url)}
	for _, field := range fields {
		header.Del(field.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			parts = append(parts, curlHeader(name, value))
		}
	}
	for _, field := range fields {
		parts = append(parts, curlHeader(field.Name, field.Value))
	}
	data := "--data-raw " // which takes a leading @ for text
	if strings.HasPrefix(c.data, "@") {
		data = "--data-binary "
	}
	return strings.Join(append(parts, data+quote(c.data)), " \\\n  ")
}

// curlHeader knows that for curl an empty field is one to leave out, but for the
// semicolon.
func curlHeader(name, value string) string {
	if value == "" {
		return "--header " + quote(name+";")
	}
	return "--header " + quote(name+": "+value)
}

func quote(s string) string {
	return fmt.Sprintf("'%s'", strings.ReplaceAll(s, "'", `'\''`))
}
