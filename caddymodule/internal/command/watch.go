package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

const helpStatus = `
Shows the gates of the running server: what they accepted and refused since the process
started, what the app answered, and when it was last accepted. Gates of one name share
their counts: they are in the row of the first, and "shared" in the others.

    $ caddy webhook status
    gate     kind     mode      accepted   refused   last accepted   app
    github   secret   enforce   1204       3         2s ago          2xx 1203, 5xx 1

The admin API of the server is asked, at the address that "caddy reload" would use.
What "caddy webhook check" finds about the configuration that runs is shown below.

Exit status: 0 the server answered; 2 it did not.
`

const helpTail = `
Shows the last deliveries of the running server, and with -f each one as it comes: what
came, the verdict, and why a signature was refused.

    $ caddy webhook tail -f
    $ caddy webhook tail --gate github --refused
    $ caddy webhook tail -f --json | jq 'select(.app == "5xx")'

The server remembers 1,000 of them (the global option history). What one gate receives
does not push out what another one did. With -f a reload of the server is passed over:
no delivery is shown twice, and a line says so if the server does not remember all that
came meanwhile. With --json each delivery is one object on one line.

Exit status: 0 the server answered; 2 it did not.
`

const helpShow = `
Shows all that the running server remembers of one delivery: what came, the verdict, and
what to do about a refusal. The id is that of the log, of the answer's
Webhook-Auth-Error-Id, and of "caddy webhook tail".

    $ caddy webhook show 78cky6uj7

With --body, prints the body of a request that the gate has captured (its option
capture), and nothing else.

Exit status: 0 it was found; 1 it is not remembered; 2 the server did not answer.
`

func statusCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("status", "Shows the gates of the running server", helpStatus, (*command).status)
	addAddressFlag(cmd, o)
	return cmd
}

func tailCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("tail", "Shows the last deliveries, and each new one", helpTail, (*command).tail)
	addAddressFlag(cmd, o)
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on with each new delivery, until Control-C")
	f.IntVarP(&o.lines, "lines", "n", 20, "show the last `count`")
	f.StringVar(&o.gate, "gate", "", "only deliveries to the gate of this `name`")
	f.BoolVar(&o.refused, "refused", false, "only what was refused")
	_ = cmd.RegisterFlagCompletionFunc("gate", g.complete(o, adminapi.Gates, "name")) // there is such a flag
	return cmd
}

func showCommand(g Gateway) *cobra.Command {
	cmd, o := g.subcommand("show ID", "Shows one delivery, and what to do about a refusal", helpShow, (*command).show)
	addAddressFlag(cmd, o)
	cmd.ValidArgsFunction = g.complete(o, adminapi.Deliveries, "id")
	cmd.Flags().BoolVar(&o.showBody, "body", false, "print the body of a request that was captured, and nothing else")
	return cmd
}

// complete proposes what the running server has: a field of each object of a list, the
// last one first. Without a server it proposes nothing.
func (g Gateway) complete(o *options, path, field string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) (names []cobra.Completion, _ cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		answer, err := g.Ask(o.address, o.config, o.adapter, path)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer func() { _ = answer.Body.Close() }()
		var list []map[string]any
		_ = json.NewDecoder(answer.Body).Decode(&list) // otherwise there is nothing to propose
		for _, object := range slices.Backward(list) {
			if name, _ := object[field].(string); !slices.Contains(names, plain(name)) {
				names = append(names, plain(name))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func addAddressFlag(cmd *cobra.Command, o *options) {
	cmd.Flags().StringVar(&o.address, "address", "", "the `address` of the admin API (default: that of the configuration, or localhost:2019)")
}

// get asks the admin API, and decodes what it answers into v.
func (c *command) get(path string, query url.Values, v any) error {
	answer, err := c.ask(path, query)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	return json.NewDecoder(answer.Body).Decode(v)
}

func (c *command) ask(path string, query url.Values) (*http.Response, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.gateway.Ask(c.address, c.config, c.adapter, path)
}

func (c *command) status() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	var gates []adminapi.Gate
	if err := c.get(adminapi.Gates, nil, &gates); err != nil {
		return err
	}
	if c.out.json {
		return c.out.object(gates)
	}
	if len(gates) == 0 {
		return c.out.text("the server runs no webhook_auth")
	}
	rows := make([][]string, len(gates))
	named := make(map[string]bool)
	for i, gate := range gates {
		rows[i] = gateRow(gate, time.Now(), named[gate.Name])
		named[gate.Name] = true
	}
	if err := c.out.table([]string{"gate", "preset", "kind", "mode", "accepted", "refused", "last accepted", "app", "secrets loaded"}, rows); err != nil {
		return err
	}
	return c.showFindings(gates)
}

// gateRow leaves out the counts of a gate that shares them with one of the same name above.
func gateRow(gate adminapi.Gate, now time.Time, shares bool) []string {
	row := []string{plain(gate.Name), plain(gate.Preset), plain(gate.Kind), plain(gate.Mode)}
	if shares {
		return append(row, "shared", "shared", "shared", "shared", loaded(gate.Files, now))
	}
	return append(row, strconv.FormatInt(gate.Deliveries["accepted"], 10), strconv.FormatInt(gate.Deliveries["refused"], 10),
		ago(gate.LastAccepted, now), answers(gate.App), loaded(gate.Files, now))
}

// loaded says when the secrets in force were taken from their files.
func loaded(files *adminapi.Files, now time.Time) string {
	switch {
	case files == nil:
		return "-"
	case files.Problem != "":
		return ago(&files.Loaded, now) + ", now unusable"
	}
	return ago(&files.Loaded, now)
}

// answers lists what the app answered, the best first.
func answers(counts map[string]int64) string {
	var all []string
	for _, class := range []string{"2xx", "3xx", "4xx", "5xx", "timeout", "none"} {
		if counts[class] > 0 {
			all = append(all, fmt.Sprintf("%s %d", class, counts[class]))
		}
	}
	if all == nil {
		return "-"
	}
	return strings.Join(all, ", ")
}

// ago is how long ago something was, in its largest unit.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "never"
	}
	passed := max(now.Sub(*t), 0)
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if passed >= unit.is {
			return fmt.Sprintf("%d%s ago", passed/unit.is, unit.name)
		}
	}
	return fmt.Sprintf("%ds ago", passed/time.Second)
}

// showFindings lists what is wrong with the configuration that runs, once: gates of one
// name share their findings.
func (c *command) showFindings(gates []adminapi.Gate) error {
	shown := make(map[string]bool)
	for _, gate := range gates {
		for _, f := range gate.Findings {
			line := fmt.Sprintf("%s %s: gate %s: %s; %s", plain(f.Severity), plain(f.Kind), plain(gate.Name), plain(f.Problem), plain(f.Cure))
			if shown[line] {
				continue
			}
			shown[line] = true
			if err := c.out.text(line); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *command) tail() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	if c.lines < 1 {
		return errors.New("--lines takes a number from 1")
	}
	query := url.Values{"limit": {strconv.Itoa(c.lines)}}
	if c.gate != "" {
		query.Set("gate", c.gate)
	}
	if c.refused {
		query.Set("verdict", "refused")
	}
	if c.follow {
		return c.followAll(query)
	}
	var deliveries []adminapi.Delivery
	if err := c.get(adminapi.Deliveries, query, &deliveries); err != nil {
		return err
	}
	return c.out.deliveries(deliveries)
}

// pause is between two streams: the server ends one at each reload.
const pause = 200 * time.Millisecond

// followAll goes from one stream to the next. The first must be there.
func (c *command) followAll(query url.Values) error {
	query.Set("follow", "")
	t := &tail{command: c, seen: make(map[string]adminapi.Delivery)}
	for waited := false; ; {
		stream, err := c.ask(adminapi.Deliveries, query) //nolint:bodyclose // read closes it
		switch {
		case err != nil && t.last == "" && !t.started:
			return err
		case err != nil && !waited:
			waited = true
			c.tell("the server does not answer; waiting for it")
		case err == nil:
			waited = false
			if err := t.read(stream.Body); err != nil {
				return err
			}
		}
		query.Del("limit")
		if t.last != "" {
			query.Set("since", t.last)
		}
		time.Sleep(pause)
	}
}

// A tail prints the lines of one stream after the other.
type tail struct {
	*command
	started bool
	last    string                       // the id of the newest delivery that was shown
	seen    map[string]adminapi.Delivery // what was shown of each: its diagnosis and the app's answer
}

// read returns an error only if nobody can be shown anything any more.
func (t *tail) read(stream io.ReadCloser) error {
	defer func() { _ = stream.Close() }()
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		var line adminapi.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("the server sent a line that is not understood: %w", err)
		}
		t.started = true
		if err := t.print(line, lines.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (t *tail) print(line adminapi.Line, raw []byte) error {
	switch {
	case line.Lost:
		t.tell("deliveries may be missing here: the server does not remember all that came meanwhile")
	case line.Dropped > 0:
		t.tell("%d deliveries are not shown: they came faster than they could be printed", line.Dropped)
	case line.Delivery != nil:
		return t.delivery(line, raw)
	}
	return nil
}

// delivery prints one, or what is new of one that was shown.
func (t *tail) delivery(line adminapi.Line, raw []byte) error {
	d := *line.Delivery
	before, known := t.seen[d.ID]
	if known && before.Diagnosis == d.Diagnosis && before.App == d.App { // a stream began with it again
		return nil
	}
	if !line.Update {
		t.last = d.ID
	}
	t.remember(d)
	switch {
	case t.out.json:
		return t.out.text(string(t.out.ascii(raw)))
	case known:
		return t.out.text(t.out.update(before, d))
	}
	return t.out.text(t.out.line(d))
}

// update says what was found out about a delivery since it was shown.
func (p *printer) update(before, now adminapi.Delivery) string {
	line := "  " + plain(now.ID)
	if now.App != before.App {
		line += " " + appWord(plain(now.App))
	}
	if now.Diagnosis != before.Diagnosis {
		line += " " + plain(now.Diagnosis) + ": " + plain(now.Hint)
	}
	return line
}

// remember bounds what it holds of deliveries.
func (t *tail) remember(d adminapi.Delivery) {
	if len(t.seen) >= 4096 {
		clear(t.seen)
	}
	t.seen[d.ID] = adminapi.Delivery{Diagnosis: d.Diagnosis, App: d.App}
}

func (c *command) show() error {
	if len(c.args) != 1 {
		return errors.New("takes one id, such as 78cky6uj7, from the log, from Webhook-Auth-Error-Id or from caddy webhook tail")
	}
	if c.showBody {
		return c.printBody()
	}
	var d adminapi.Delivery
	if err := c.one(c.args[0], "", &d); err != nil || c.failed {
		return err
	}
	if c.out.json {
		return c.out.object(d)
	}
	return c.out.details(d)
}

// one asks for one delivery, or what is below it.
func (c *command) one(id, below string, v any) error {
	err := c.get(strings.TrimSuffix(adminapi.Deliveries+"/"+url.PathEscape(id)+"/"+below, "/"), nil, v)
	if err == nil || !strings.Contains(err.Error(), "HTTP 404") {
		return err
	}
	c.failed = true
	if below == "" {
		c.tell("no delivery of this id is remembered")
	} else {
		c.tell("no request of this id was captured; with the option capture, a gate keeps the last refused ones for an hour")
	}
	return nil
}

// printBody prints the bytes as they came, also what a terminal would obey: whoever asks
// for a body wants a file.
func (c *command) printBody() error {
	var captured adminapi.Capture
	if err := c.one(c.args[0], adminapi.Captured, &captured); err != nil || c.failed {
		return err
	}
	if !captured.Whole {
		c.failed = true
		c.tell("the body was not kept: the request was refused before it was read, or it is larger than 64 KiB")
		return nil
	}
	if c.out.terminal {
		return c.out.text(plain(string(captured.Body)))
	}
	_, err := c.out.w.Write(captured.Body)
	return err
}

// verifyCaptured has the running gate judge the very bytes of a request that it refused.
// The bytes, and the signature with them, stay where they are.
func (c *command) verifyCaptured() error {
	if c.headersFile != "" || c.dataGiven {
		return errors.New("--id is for what the server has captured; drop it, or --headers and --data")
	}
	var v adminapi.Verdict
	if err := c.one(c.id, adminapi.Judgement, &v); err != nil || c.failed {
		return err
	}
	j := judgement{
		Authentic: v.Authentic, Secret: v.Secret, Algorithm: v.Algorithm, Reason: refusal.Reason(v.Reason), Diagnosis: diagnosis.Diagnosis(v.Diagnosis),
		Hint: v.Hint, Gate: v.Gate, Time: v.Time.UTC().Format(time.RFC3339), Bytes: v.Bytes, kind: "secret",
	}
	if j.Hint == "" {
		j.Hint = cures[j.Reason]
	}
	c.failed = !v.Authentic
	return c.report(j)
}

// deliveries prints a list of them, in JSON one object a line, as with -f.
func (p *printer) deliveries(all []adminapi.Delivery) error {
	for _, d := range all {
		line := p.line(d)
		if p.json {
			raw, _ := json.Marshal(d) // it can be
			line = string(p.ascii(raw))
		}
		if err := p.text(line); err != nil {
			return err
		}
	}
	return nil
}

// line is a delivery on one line, in columns of fixed width on a terminal.
func (p *printer) line(d adminapi.Delivery) string {
	verdict := plain(d.Result)
	switch {
	case d.Result == "refused" || d.Result != "observed" && d.App != "" && d.App != "2xx" && d.App != "3xx":
		verdict = p.bad(pad(p, verdict, 9))
	default:
		verdict = p.good(pad(p, verdict, 9))
	}
	outcome := strings.Join(strings.Fields(plain(d.Reason)+" "+appWord(plain(d.App))+" "+plain(d.Diagnosis)), " ")
	cells := []string{
		d.Time.Local().Format("15:04:05.000"), plain(d.ID), verdict, pad(p, plain(d.Gate), 14), pad(p, plain(d.Method), 4),
		plain(d.Host) + plain(d.Path), plain(d.ClientIP), strconv.FormatInt(d.Size, 10) + " B", outcome,
	}
	if p.terminal {
		return strings.Join(cells, "  ")
	}
	return strings.Join(cells, "\t")
}

func appWord(class string) string {
	if class == "" {
		return ""
	}
	return "app " + class
}

// pad fills a cell on a terminal.
func pad(p *printer, text string, width int) string {
	if !p.terminal {
		return text
	}
	return fmt.Sprintf("%-*s", width, text)
}

// details prints everything about one delivery.
func (p *printer) details(d adminapi.Delivery) error {
	verdict := plain(d.Result)
	if d.Reason != "" {
		verdict += ", " + plain(d.Reason)
	}
	rows := [][]string{
		{"id", plain(d.ID)},
		{"time", d.Time.Local().Format(time.RFC3339Nano)},
		{"gate", plain(d.Gate)},
		{"verdict", verdict},
		{"request", plain(d.Method) + " " + plain(d.Host) + plain(d.Path)},
		{"client", plain(d.ClientIP)},
		{"user agent", plain(d.UserAgent)},
		{"content type", plain(d.ContentType)},
		{"body", strconv.FormatInt(d.Size, 10) + " bytes"},
		{"key", plain(d.Key)},
		{"tenant", plain(d.Tenant)},
		{"answer", status(d.Status)},
		{"app", plain(d.App)},
		{"time to verdict", seconds(d.VerdictSeconds)},
		{"time to answer", seconds(d.AnswerSeconds)},
		{"diagnosis", plain(d.Diagnosis)},
		{"what to do", plain(d.Hint)},
	}
	for _, row := range rows {
		if row[1] == "" {
			continue
		}
		if err := p.text(pad(p, row[0], 17) + separator(p) + row[1]); err != nil {
			return err
		}
	}
	return nil
}

func separator(p *printer) string {
	if p.terminal {
		return ""
	}
	return "\t"
}

func status(status int) string {
	if status == 0 {
		return ""
	}
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return time.Duration(s * float64(time.Second)).Round(time.Microsecond).String()
}

// plain is text of a client as it may be printed: a terminal obeys control characters,
// and some letters turn a line around or have no width. What is not printable ASCII is
// shown as Go would write it.
func plain(text string) string {
	quoted := strconv.QuoteToASCII(text)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// ascii escapes what a terminal may obey in a JSON text: control characters always, and what
// is not ASCII if it goes to a terminal.
func (p *printer) ascii(raw []byte) []byte {
	control := func(r rune) bool { return r >= 0x7f && unicode.IsControl(r) }
	if !p.terminal && bytes.IndexFunc(raw, control) < 0 {
		return raw
	}
	return adminapi.ASCII(raw)
}
