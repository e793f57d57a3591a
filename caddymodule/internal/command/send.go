package command

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
)

const helpSend = `
Without --data, asks a running gate whether it keeps its promise. Six deliveries go
to URL, or fewer if the gate has public keys or tokens. One of them is authentic, and
the app receives it: a POST of {"event":"ping","source":"caddy webhook send", ...}. The
others must not arrive.

    $ caddy webhook send http://localhost:8080/webhook
    signed                  let through   200   kept
    unsigned                401           401   kept
    tampered                401           401   kept
    wrong secret            401           401   kept
    algorithm not allowed   401           401   kept
    over the limit          413           413   kept

Where the gate answers its sender's check (challenge), that is made too, with a token of
its own, and once as if it were meant for another gate. The app sees neither:

    check                   answered      200   kept
    check, wrong token      401           401   kept

What the app answers to the signed one does not matter, and is shown. With --data, one
signed delivery is sent, and what came back is shown:

    $ caddy webhook send --data @body.json http://localhost:8080/webhook
    $ caddy webhook send --data '{"hello":"app"}' -H 'X-GitHub-Event: push' http://…

Each delivery has a time and an id of its own, where the sender's scheme has them. A
site is chosen by the host of URL, as by any client. To reach a site by another name
than its own, name it:

    $ caddy webhook send -H 'Host: hooks.example.com' http://localhost/webhook

What "caddy webhook check" finds about this gate is shown first. Behind a gate with
unsafe_observe_only, forged deliveries would reach the app: only the signed one is sent.

Exit status: 0 the gate kept its promise; 1 it did not; 2 it could not be asked.
With --data: 0 it was let through and answered below 400; 1 it was not; 2 no answer.
`

func sendCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("send [--data @FILE|TEXT] URL", "Sends signed, forged and oversized deliveries to a gate", helpSend, (*command).send)
	addGateFlags(cmd, o)
	addSecretFlag(cmd, o)
	cmd.Flags().StringVarP(&o.data, "data", "d", "", "send this body, signed, and nothing else: `@FILE`, text, or @- for standard input")
	cmd.Flags().StringVar(&o.caFile, "cacert", "", "a PEM `file` with a certificate authority to trust as well")
	return cmd
}

func (c *command) send() error {
	if len(c.args) != 1 {
		return errors.New("takes one URL, such as http://localhost:8080/webhook")
	}
	address, err := parseURL("the argument", c.args[0])
	if err != nil {
		return err
	}
	header, err := c.header()
	if err != nil {
		return err
	}
	header = withContentType(header)
	target, err := c.target(c.method, c.args[0], header)
	if err != nil {
		return err
	}
	p := &prober{command: c, target: target, address: address, header: header}
	if err := p.prepare(); err != nil {
		return err
	}
	if p.client, err = c.client(header.Get("Host")); err != nil {
		return err
	}
	p.warn()
	if c.dataGiven {
		return p.sendOne()
	}
	return p.sendAll()
}

// prepare finds who signs. What is forged needs no private key.
func (p *prober) prepare() (err error) {
	p.signer, err = p.command.signer(p.target)
	if errors.Is(err, errNoPrivateKey) && !p.dataGiven {
		p.forgedOnly = true
		p.signer, err = p.target.stranger("")
	}
	return err
}

// probes are those that make sense for the gate. A sender with a private key names no
// algorithm.
func (p *prober) probes() []probe {
	probes := p.matrix()
	if p.target.Observes { // what is forged would reach the app
		probes = probes[:1]
	}
	return slices.DeleteFunc(slices.Clone(probes), func(probe probe) bool {
		return p.forgedOnly && probe.expected == 0 || p.target.Scheme.Public() && probe.name == otherAlgorithmName
	})
}

// matrix is all that is promised at such a gate. The first delivery is let through.
func (p *prober) matrix() []probe {
	if p.target.Scheme.Tokens() {
		return tokenMatrix
	}
	return matrix
}

const otherAlgorithmName = "algorithm not allowed"

// A prober sends deliveries to one gate.
type prober struct {
	*command
	target  *target
	address *url.URL
	signer  *sender.Signer
	header  http.Header
	client  *http.Client

	forgedOnly bool // there is no private key to sign with
}

// warn shows what is wrong with the configuration of the gate, or around it.
func (p *prober) warn() {
	others := 0
	for _, f := range p.target.config.Findings {
		switch {
		case f.Note:
		case f.Gate == "" || f.Gate == p.target.Name:
			p.tell("%s", f.Detail)
		default:
			others++
		}
	}
	if others > 0 {
		p.tell("Findings about other gates: %d; caddy webhook check shows them.", others)
	}
}

// A result is what came of a probe.
type result struct {
	Delivery string `json:"delivery"`
	Expected string `json:"expected"`
	Status   int    `json:"status"`             // 0: none
	ErrorID  string `json:"error_id,omitempty"` // of the gate's refusal
	Kept     bool   `json:"kept"`

	body   []byte
	header http.Header
	method string
	wrong  error // with the answer to a check
}

func (p *prober) sendAll() error {
	probes := append(p.probes(), p.checks()...)
	p.failed = p.target.Observes
	if p.forgedOnly && p.target.Observes {
		p.tell("%s", observedAdvice)
		return errNoPrivateKey
	}
	var results []result
	for i, probe := range probes {
		r, err := probe.make(p, ping())
		if err != nil {
			return err
		}
		got, err := p.ask(r, fmt.Sprintf("%d of %d: %s", i+1, len(probes), probe.name))
		if err != nil && (len(results) == 0 || !p.failed) {
			return err
		}
		if err != nil { // a promise was broken before
			p.tell("%s: %v", probe.name, err)
			break
		}
		got.judge(probe)
		p.failed = p.failed || !got.Kept
		results = append(results, got)
	}
	if err := p.show(results); err != nil {
		return err
	}
	p.advise(results)
	return nil
}

// judge knows the gate's answer from the app's by the id of the refusal: an app
// answers 401 as it likes, and handle_errors changes the gate's status.
func (r *result) judge(p probe) {
	refused := r.ErrorID != ""
	r.Delivery, r.Expected, r.Kept = p.name, "let through", !refused
	if p.answered != nil {
		r.wrong = p.answered(*r)
		r.Expected, r.Kept = answered, r.wrong == nil
	}
	if p.expected == 0 {
		return
	}
	r.Expected, r.Kept = strconv.Itoa(p.expected), refused
	overLimit := p.expected == http.StatusRequestEntityTooLarge
	if overLimit && r.Status == http.StatusUnauthorized {
		r.Kept = false // the body was read
	}
}

func (r *result) answer() string {
	if r.Status == 0 {
		return "none"
	}
	return strconv.Itoa(r.Status)
}

func (p *prober) show(results []result) error {
	if p.out.json {
		return p.out.object(struct {
			URL        string   `json:"url"`
			Gate       string   `json:"gate"`
			Kept       bool     `json:"kept"`
			Deliveries []result `json:"deliveries"`
		}{p.address.Redacted(), p.target.Name, !p.failed, results})
	}
	rows := make([][]string, len(results))
	for i, r := range results {
		verdict := p.out.good("kept")
		if !r.Kept {
			verdict = p.out.bad("BROKEN")
		}
		rows[i] = []string{r.Delivery, r.Expected, r.answer(), verdict}
	}
	return p.out.table([]string{"delivery", "expected", "answer", "promise"}, rows)
}

// advise says on standard error what to do about what was seen.
func (p *prober) advise(results []result) {
	signed := results[0]
	if p.forgedOnly {
		signed = result{Status: http.StatusOK}
		p.tell("The signed delivery was not sent: %v.", errNoPrivateKey)
	}
	if p.target.Scheme.Tokens() && !p.target.Observes {
		p.tell("%s", tokenAdvice)
	}
	switch {
	case p.target.Observes:
		p.tell("%s", observedAdvice)
	case p.failed:
		p.tell("%s", p.cure(results[slices.IndexFunc(results, func(r result) bool { return !r.Kept })]))
	case signed.Status >= 500:
		p.tell("The gate is sound; the app behind it answered %d to the %s delivery, or could not be reached.", signed.Status, results[0].Delivery)
	case signed.Status >= 300:
		p.tell("The gate is sound; the app behind it answered %d to the %s delivery.", signed.Status, results[0].Delivery)
	}
}

// cure says what to do about the first promise that was broken.
func (p *prober) cure(r result) string {
	switch {
	case r.Delivery == checkName:
		return p.checkAdvice(r)
	case r.Delivery == p.matrix()[0].name:
		return p.refusedAdvice(r)
	case r.Status == 0 || r.ErrorID != "":
		return fmt.Sprintf("A body over the limit was announced, and not refused before it was read. Does the server run with the max_size "+
			"of this configuration (%d bytes; caddy reload), and does nothing in front read bodies first?", p.target.MaxSize)
	case r.Status >= http.StatusBadRequest:
		return fmt.Sprintf(unmarkedAdvice, r.Status)
	}
	return "What should have been refused was let through, or another server answered. Does the URL lead to the server " +
		"that runs this configuration, and was it reloaded since (caddy reload)?"
}

const observedAdvice = "The gate lets everything through: its configuration says unsafe_observe_only. Forged deliveries were not sent, because they " +
	"would reach the app. Remove unsafe_observe_only, reload, and ask again."

const unmarkedAdvice = "A %d without Webhook-Auth-Error-Id does not come from the gate: something in front of it or behind it answers, such as basic_auth or " +
	"request_body, or removes the field; or the server runs another configuration than this one (caddy reload)."

func (p *prober) refusedAdvice(r result) string {
	which := "a signed delivery"
	if p.target.Scheme.Tokens() {
		which = "a delivery with its token"
	}
	if r.Status < 300 {
		return fmt.Sprintf("The answer %d to %s has a Webhook-Auth-Error-Id. Something behind the gate sets it, and must not; "+
			"or an error route answers a refusal so, and the log says why under the error_id %s.", r.Status, which, r.ErrorID)
	}
	return fmt.Sprintf("The gate refused %s. Its log says why under the error_id %s. Does the server have the same "+
		"%s as this command (environment, files), and did it read it again since it was changed (caddy reload --force)?", which, r.ErrorID, p.target.kind())
}

// sendOne sends a body as it is given.
func (p *prober) sendOne() error {
	body, err := p.body(p.data)
	if err != nil {
		return err
	}
	r, err := p.signed(body)
	if err != nil {
		return err
	}
	got, err := p.ask(r, "the answer")
	if err != nil {
		return err
	}
	got.judge(p.matrix()[0])
	p.failed = !got.Kept || got.Status >= 400
	switch {
	case !got.Kept:
		p.tell("%s", p.refusedAdvice(got))
	case got.Status == http.StatusUnauthorized:
		p.tell(unmarkedAdvice, got.Status)
	}
	if p.out.json {
		return p.out.object(struct {
			result
			Answer string `json:"answer"`
		}{got, string(got.body)})
	}
	return p.out.text(fmt.Sprintf("%d %s\n%s", got.Status, http.StatusText(got.Status), got.body))
}
