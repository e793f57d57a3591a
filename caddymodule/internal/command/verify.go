package command

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const helpVerify = `
Judges a captured delivery as the gate would, without sending it, and says in plain
words what is wrong with it and what to do.

  $ caddy webhook verify --headers headers.txt --data @body.json
  refused: signature_mismatch, trailing_newline_was_removed
  The sender signed a line break at the end of the body, which did not arrive; …

The header fields stand in a file as they do on the sender's page of deliveries: one
"Name: value" on a line, or a JSON object. A request line in front
(POST /webhook HTTP/1.1), GitHub's page and the output of curl -v are understood. The
body must be the bytes that were sent: downloaded, not copied from a page that shows it
indented.

A configuration with more than one gate needs --url. A delivery with a time of signing
is judged as of now; for an old one say when it arrived:

  $ caddy webhook verify --at 2026-07-01T12:00:00Z --headers h.txt --data @b.json

Exit status: 0 authentic; 1 not; 2 it could not be judged.
`

func verifyCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("verify --headers FILE --data @FILE", "Judges a captured delivery, and says why it was refused", helpVerify, (*command).verify)
	addGateFlags(cmd, o)
	cmd.Flags().StringVar(&o.headersFile, "headers", "", "the `file` with the header fields")
	cmd.Flags().StringVarP(&o.data, "data", "d", "", "the body: `@FILE`, text, or @- for standard input")
	cmd.Flags().StringVar(&o.url, "url", "", "the `URL` that the delivery was for")
	cmd.Flags().StringVar(&o.at, "at", "", "the `time` of arrival, as 2026-07-01T12:00:00Z (default: now)")
	return cmd
}

func (c *command) verify() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	if c.headersFile == "" || !c.dataGiven {
		return errors.New("needs --headers FILE and --data @FILE")
	}
	d, err := c.captured()
	if err != nil {
		return err
	}
	target, err := c.target(d.Method, c.url, d.Header)
	if err != nil {
		return err
	}
	body, err := c.body(c.data)
	if err != nil {
		return err
	}
	d.URL = target.PublicURL
	match, err := c.judge(target, d, body)
	reason, refused := errors.AsType[refusal.Reason](err)
	if err != nil && !refused {
		return err
	}
	c.failed = refused
	kind := "secret"
	if target.Scheme.Public() {
		kind = "public key"
	}
	j := judgement{kind: kind, Authentic: !c.failed, Secret: match.Secret, Algorithm: match.Algorithm, Reason: reason}
	if c.failed {
		j.Diagnosis, j.Hint = c.diagnose(target, d, body, reason)
	}
	return c.report(j)
}

// captured reads the delivery, but for its body.
func (c *command) captured() (*signature.Delivery, error) {
	d := &signature.Delivery{Now: time.Now()}
	if c.at != "" {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			return nil, errors.New("--at takes a time such as 2026-07-01T12:00:00Z")
		}
		d.Now = at
	}
	raw, err := os.ReadFile(c.headersFile)
	if err != nil {
		return nil, fmt.Errorf("--headers: %w", err)
	}
	if d.Method, d.Header, err = parseHeaders(raw); err != nil {
		return nil, err
	}
	more, err := c.header()
	if err != nil {
		return nil, err
	}
	for name, values := range more {
		d.Header[name] = values
	}
	d.Method = cmp.Or(d.Method, c.method)
	return d, nil
}

// judge asks the one judge, as the gate does.
func (c *command) judge(t *target, d *signature.Delivery, body []byte) (match signature.Match, err error) {
	if err := c.gateway.Unservable(&http.Request{Method: d.Method, Header: d.Header}); err != nil {
		return match, err
	}
	verifier, err := t.verifier()
	if err != nil {
		return match, err
	}
	check, err := verifier.Begin(d)
	switch {
	case err != nil:
		return match, err
	case int64(len(body)) > t.MaxSize:
		return match, refusal.BodyTooLarge
	case incomplete(d.Header, body):
		return match, refusal.BodyIncomplete
	}
	_, _ = check.Write(body) // never fails
	return check.End(bytes.NewReader(body))
}

// incomplete reports whether the body has another length than was announced.
func incomplete(header http.Header, body []byte) bool {
	length, err := strconv.Atoi(header.Get("Content-Length"))
	return err == nil && length != len(body)
}

// cures are for refusals that diagnosis has no word for.
var cures = map[refusal.Reason]string{
	refusal.MissingSignature:    "There is no signature, or a field that is signed is missing: give the sender the secret, and look for a proxy that removes fields.",
	refusal.AmbiguousSignature:  "A field or a value that counts once is there twice: look for a proxy that adds fields, or a sender that is set up twice.",
	refusal.MalformedSignature:  "The signature is not of the form that the gate takes; compare `preset` and `signature` with what the sender documents.",
	refusal.AlgorithmNotAllowed: "The sender signs with an algorithm that is not among `algorithms`.",
	refusal.KeyUnknown:          "The field of `key_id` names a key that the gate does not have: the sender has a new one. Add it as public_key, with that name.",
	refusal.TimestampMissing:    "The time of signing is missing: look for a proxy that removes its field, or compare `timestamp` with what the sender documents.",
	refusal.TimestampMalformed:  "The time of signing is not written as `timestamp` says (seconds, milliseconds or a date), or the capture has written it in another way than the sender.",
	refusal.TimestampOutOfRange: "The time of signing is further away than `tolerance`.",
	refusal.MethodNotAllowed:    "CONNECT asks for a tunnel; no delivery comes that way.",
	refusal.Incremental:         "The field Incremental asks that the body is not held back, and a gate that verifies must; take it out at the sender.",
}

// diagnose says what is wrong, and the cure.
func (c *command) diagnose(t *target, d *signature.Delivery, body []byte, reason refusal.Reason) (diagnosis.Diagnosis, string) {
	switch {
	case reason == refusal.BodyTooLarge:
		return "", fmt.Sprintf("The body has %d bytes, and the gate takes %d; raise max_size.", len(body), t.MaxSize)
	case reason == refusal.BodyIncomplete:
		return "", fmt.Sprintf("The data has %d bytes, and the field Content-Length says %s: save the body byte for byte, with its last line break "+
			"or without.", len(body), d.Header.Get("Content-Length"))
	case reason.Status() != http.StatusUnauthorized: // whatever the signature is
		return "", cures[reason]
	case len(body) > diagnosis.MaxBody && reason == refusal.SignatureMismatch:
		return diagnosis.Unknown, fmt.Sprintf("The body has more than %d bytes, and is not looked into; compare its SHA-256 with what the sender shows.", diagnosis.MaxBody)
	}
	found := t.diagnosed().Diagnose(d, body, t.others())
	if found.Diagnosis == diagnosis.Unknown && reason != refusal.SignatureMismatch {
		found = diagnosis.Finding{Hint: cures[reason]}
	}
	if reason == refusal.TimestampOutOfRange && c.at == "" {
		found.Hint += " For a delivery captured some time ago, add --at with the time of its arrival."
	}
	return found.Diagnosis, found.Hint
}

// diagnosed is the gate as diagnosis knows it.
func (g *Gate) diagnosed() *diagnosis.Gate {
	if g.Scheme.Public() {
		return diagnosis.NewPublicGate(g.Name, g.Scheme, g.Keys)
	}
	return diagnosis.NewGate(g.Name, g.Scheme, g.Secrets)
}

// others are the gates that a delivery may have been meant for.
func (t *target) others() (gates []*diagnosis.Gate) {
	for _, g := range t.config.Gates {
		if g != t.Gate {
			gates = append(gates, g.diagnosed())
		}
	}
	return gates
}

// A judgement is what verify prints.
type judgement struct {
	Authentic bool                `json:"authentic"`
	Secret    string              `json:"secret,omitempty"`
	Algorithm string              `json:"algorithm,omitempty"`
	Reason    refusal.Reason      `json:"reason,omitempty"`
	Diagnosis diagnosis.Diagnosis `json:"diagnosis,omitempty"`
	Hint      string              `json:"hint,omitempty"`

	kind string // of the key
}

func (c *command) report(j judgement) error {
	switch {
	case c.out.json:
		return c.out.object(j)
	case j.Authentic:
		return c.out.text(fmt.Sprintf("%s: signed with the %s %q (%s)", c.out.good("authentic"), j.kind, j.Secret, j.Algorithm))
	}
	found := ""
	if j.Diagnosis != "" && j.Diagnosis != diagnosis.Unknown {
		found = ", " + string(j.Diagnosis)
	}
	return c.out.text(fmt.Sprintf("%s: %s%s\n%s", c.out.bad("refused"), j.Reason, found, j.Hint))
}

// parseHeaders reads fields as people capture them, and the method if a request line
// stands in front. An error shows no value.
func parseHeaders(raw []byte) (method string, header http.Header, err error) {
	header = make(http.Header)
	if raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff"))); bytes.HasPrefix(raw, []byte("{")) {
		return "", header, parseJSONHeaders(raw, header)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimPrefix(strings.TrimRight(lines.Text(), " \t\r"), "> ")
		if said, ok := requestLine(line); ok && len(header) == 0 {
			method = cmp.Or(said, method)
			continue
		}
		if aside(line) {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.ContainsAny(name, " \t\"") {
			return "", nil, fmt.Errorf("--headers: line %d is not of the form Name: value", n)
		}
		header.Add(name, strings.Trim(value, " \t"))
	}
	if err := lines.Err(); err != nil {
		return "", nil, fmt.Errorf("--headers: %w", err)
	}
	return method, header, nil
}

// requestLine reads a line in front of the fields: that of HTTP, or one of the two
// that a sender's page has in its place.
func requestLine(line string) (method string, ok bool) {
	if words := strings.Fields(line); len(words) == 3 && strings.HasPrefix(words[2], "HTTP/") && !strings.Contains(words[0], ":") {
		return words[0], true
	}
	name, value, _ := strings.Cut(line, ":")
	switch strings.ToLower(name) {
	case "request method":
		return strings.TrimSpace(value), true
	case "request url":
		return "", true
	}
	return "", false
}

// aside reports whether a line says nothing of the request: an empty one, or with
// curl -v what it does, and what came back.
func aside(line string) bool {
	mark, _, _ := strings.Cut(line, " ")
	return line == "" || slices.Contains([]string{">", "<", "*", "{", "}"}, mark)
}

// parseJSONHeaders takes {"Name": "value"} and {"Name": ["value"]}, the form of
// Caddy's access log.
func parseJSONHeaders(raw []byte, header http.Header) error {
	var fields map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // as it is written
	if err := dec.Decode(&fields); err != nil || dec.More() {
		return errors.New("--headers: the file begins with { and is no JSON object")
	}
	for name, value := range fields {
		values, ok := value.([]any)
		if !ok {
			values = []any{value}
		}
		for _, v := range values {
			switch v.(type) {
			case string, json.Number, bool:
				header.Add(name, fmt.Sprint(v))
			default:
				return errors.New(`--headers: the JSON object takes "Name": "value" and "Name": ["value"]`)
			}
		}
	}
	return nil
}
