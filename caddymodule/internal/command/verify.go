package command

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const helpVerify = `
Judges a captured delivery as the gate does, without sending it, and says in plain
words what is wrong with it and what to do.

    $ caddy webhook verify --headers headers.txt --data @body.json
    refused: signature_mismatch, trailing_newline_was_removed
    The sender signed a line break at the end of the body, which did not arrive; …
    gate: hub
    host: hooks.example.com
    body: 18 bytes, SHA-256 70d1ff6c…

The first line is the verdict: "authentic: …"; "answered: …" for the check that a sender
makes before it delivers; or "refused: " with the reason and the diagnosis, and what to
do on the next line. Then comes what was judged: the gate; the Host that led to it; the
URL, if the sender signs it; the time, if it is not now; the body. Compare the SHA-256
with the sender's, if it shows one.

--headers takes one "Name: value" on a line, with or without a request line in front
(POST /webhook HTTP/1.1); GitHub's page of a delivery; the output of curl -v; a JSON
object of fields; or a whole line of Caddy's access log, which also says the method, the
URL and the time. - is standard input.

    $ grep ERROR_ID access.log | caddy webhook verify --headers - --data @body.json

--data takes the bytes that were sent: downloaded, not copied from a page that shows
them indented. A delivery without a body has --data ''.

A configuration with more than one gate needs --url, unless the capture shows a host and
a path. A time of signing is judged as of the line of the log, or as of now; for an old
delivery say when it arrived:

    $ caddy webhook verify --at 2026-07-01T12:00:00Z --headers h.txt --data @b.json

The replay guard is not asked: it knows what the server has seen.

Exit status: 0 authentic, or answered; 1 refused; 2 it could not be judged.
`

func verifyCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("verify --headers FILE --data @FILE", "Judges a captured delivery, and says why it was refused", helpVerify, (*command).verify)
	addGateFlags(cmd, o)
	cmd.Flags().StringVar(&o.headersFile, "headers", "", "the `file` with the header fields, or a line of the access log; - is standard input")
	cmd.Flags().StringVarP(&o.data, "data", "d", "", "the body: `@FILE`, text, or @- for standard input")
	cmd.Flags().StringVar(&o.url, "url", "", "the `URL` that the delivery was for")
	cmd.Flags().StringVar(&o.id, "id", "", "the `id` of a refused request that the running server has captured, instead of --headers and --data")
	_ = cmd.RegisterFlagCompletionFunc("id", g.complete(o, adminapi.Deliveries, "id")) // there is such a flag
	addAddressFlag(cmd, o)
	cmd.Flags().StringVar(&o.at, "at", "", "the `time` of arrival, as 2026-07-01T12:00:00Z (default: that of the log's line, or now)")
	return cmd
}

func (c *command) verify() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	if c.id != "" {
		return c.verifyCaptured()
	}
	switch {
	case c.headersFile == "" || !c.dataGiven:
		return errors.New("needs --headers FILE and --data @FILE; a delivery without a body has --data ''")
	case c.headersFile == "-" && c.data == "@-":
		return errors.New("only one of --headers and --data can be standard input; save the other to a file")
	}
	captured, err := c.captured()
	if err != nil {
		return err
	}
	target, err := c.capturedTarget(captured)
	if err != nil {
		return err
	}
	body, err := c.body(c.data)
	if err != nil {
		return err
	}
	j, err := c.judgement(target, captured, body)
	if err != nil {
		return err
	}
	c.failed = j.Reason != ""
	return c.report(j)
}

// captured reads the delivery except for its body. What is given as a flag goes before
// what the capture says, except for the method, whose flag has a default.
func (c *command) captured() (*capture, error) {
	raw, err := c.captureFile()
	if err != nil {
		return nil, fmt.Errorf("--headers: %w", err)
	}
	captured, err := parseCapture(raw)
	if err != nil {
		return nil, err
	}
	more, err := c.header()
	if err != nil {
		return nil, err
	}
	captured.host = cmp.Or(more.Get("Host"), captured.host)
	more.Del("Host")
	for name, values := range more {
		captured.header[name] = values
	}
	captured.method = cmp.Or(captured.method, c.method)
	if c.at == "" {
		return captured, nil
	}
	if captured.arrived, err = time.Parse(time.RFC3339, c.at); err != nil {
		return nil, errors.New("--at takes a time such as 2026-07-01T12:00:00Z")
	}
	return captured, nil
}

func (c *command) captureFile() ([]byte, error) {
	if c.headersFile == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(c.headersFile)
}

// capturedTarget finds the gate that the delivery was for.
func (c *command) capturedTarget(captured *capture) (*target, error) {
	header := captured.header.Clone()
	if captured.host != "" {
		header.Set("Host", captured.host)
	}
	target, err := c.target(captured.method, c.url, header, captured.addresses()...)
	if err != nil || c.url == "" {
		return target, err
	}
	u, err := parseURL("--url", c.url)
	if err != nil {
		return nil, err
	}
	captured.host = cmp.Or(captured.host, u.Host)
	if captured.target == "" || u.RawQuery != "" { // of the two, the one with more
		captured.target = u.RequestURI()
	}
	return target, nil
}

// A judgement is what verify prints.
type judgement struct {
	Authentic bool                `json:"authentic"`
	Secret    string              `json:"secret,omitempty"`
	Token     string              `json:"token,omitempty"` // nothing is signed
	Algorithm string              `json:"algorithm,omitempty"`
	Answered  string              `json:"answered,omitempty"` // the sender's check, by its kind
	Reason    refusal.Reason      `json:"reason,omitempty"`
	Diagnosis diagnosis.Diagnosis `json:"diagnosis,omitempty"`
	Hint      string              `json:"hint,omitempty"`
	Gate      string              `json:"gate"`
	Host      string              `json:"host,omitempty"`
	URL       string              `json:"url,omitempty"`        // that the sender signs
	Target    string              `json:"path_query,omitempty"` // that it signs
	Time      string              `json:"time,omitempty"`
	Bytes     int                 `json:"body_bytes"`
	SHA256    string              `json:"body_sha256,omitempty"` // not of what the server has captured

	kind string // of the key
}

func (c *command) judgement(t *target, captured *capture, body []byte) (j judgement, err error) {
	if field := captured.redacted(t.Scheme); field != "" {
		return j, fmt.Errorf("--headers: Caddy's log shows %s as REDACTED; take the fields from the sender's page of deliveries", field)
	}
	if t.Scheme.NeedsTarget() && captured.target == "" {
		return j, errors.New("the sender signs the path of the request as well, and the capture does not have it; add --url with the one that the delivery was for")
	}
	d := &signature.Delivery{Method: captured.method, Header: captured.header, URL: t.PublicURL, Target: captured.target, Now: captured.arrived}
	if d.Now.IsZero() {
		d.Now = time.Now()
	}
	v, err := c.judge(t.Gate, captured, d, body)
	if err != nil {
		return j, err
	}
	sum := sha256.Sum256(body)
	j = judgement{
		Authentic: v.match.Secret != "" && v.reason == "", Answered: v.answered, Reason: v.reason,
		kind: t.kind(), Gate: t.Name, Host: captured.host, Bytes: len(body), SHA256: hex.EncodeToString(sum[:]),
	}
	switch {
	case j.Authentic && v.match.Signed():
		j.Secret, j.Algorithm = v.match.Secret, v.match.Algorithm
	case j.Authentic:
		j.Token = v.match.Secret
	}
	if t.Scheme.NeedsURL() {
		j.URL = t.PublicURL
	}
	if t.Scheme.NeedsTarget() {
		j.Target = captured.target
	}
	if !captured.arrived.IsZero() {
		j.Time = captured.arrived.UTC().Format(time.RFC3339)
	}
	if v.reason != "" {
		found := c.diagnose(t, captured, d, body, v)
		j.Diagnosis, j.Hint = found.Diagnosis, found.Hint
	}
	return j, nil
}

func (c *command) report(j judgement) error {
	if c.out.json {
		return c.out.object(j)
	}
	return c.out.text(strings.Join(append(j.verdict(c.out), j.judged()...), "\n"))
}

// verdict is the first line, and of a refusal the second.
func (j judgement) verdict(out *printer) []string {
	by := fmt.Sprintf("signed with the %s %q (%s)", j.kind, j.Secret, j.Algorithm)
	if j.Token != "" {
		by = fmt.Sprintf("it has the token %q; nothing is signed", j.Token)
	}
	switch {
	case j.Authentic && j.Answered != "":
		return []string{fmt.Sprintf("%s: %s; the gate answers it: it is the sender's check (challenge %s)", out.good("authentic"), by, j.Answered)}
	case j.Authentic:
		return []string{fmt.Sprintf("%s: %s", out.good("authentic"), by)}
	case j.Answered != "":
		return []string{fmt.Sprintf("%s: it is the sender's check (challenge %s), which has no signature and does not reach the app", out.good("answered"), j.Answered)}
	}
	found := ""
	if j.Diagnosis != "" && j.Diagnosis != diagnosis.Unknown {
		found = ", " + string(j.Diagnosis)
	}
	return []string{fmt.Sprintf("%s: %s%s", out.bad("refused"), j.Reason, found), j.Hint}
}

// judged says what was judged.
func (j judgement) judged() (lines []string) {
	for _, line := range []struct{ name, value string }{
		{"gate", j.Gate},
		{"host", j.Host},
		{"url", j.URL},
		{"path and query", j.Target},
		{"time", j.Time},
		{"body", strings.TrimSuffix(fmt.Sprintf("%d bytes, SHA-256 %s", j.Bytes, j.SHA256), ", SHA-256 ")},
	} {
		if line.value != "" {
			lines = append(lines, line.name+": "+line.value)
		}
	}
	return lines
}
