package command

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const helpPresets = `
Lists the senders that are built in. With the name of one, prints a block for your
Caddyfile, which loads once the variables in it are set.

    $ caddy webhook presets
    preset    sender    kind     field                 algorithm   signed    check
    github    GitHub    secret   X-Hub-Signature-256   sha256      {body}
    stripe    Stripe    secret   Stripe-Signature      sha256      {ts}.{body}
    …
    $ caddy webhook presets stripe > Caddyfile
    $ caddy webhook presets --json

The comments in the block say where the secret is, what is signed and what is not, what
the sender asks before it delivers, and what the preset rests on. A preset whose sender
also signs with a private key has two rows.

Exit status: 0 it was printed; 2 there is no such preset.
`

func presetsCommand(g Gateway) *cobra.Command {
	cmd, _ := g.plainSubcommand("presets [NAME]", "Lists the senders that are built in, and prints a block for one", helpPresets, (*command).presets)
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completions(), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// completions are the names of all presets, each with its sender.
func completions() (all []cobra.Completion) {
	for _, p := range allPresets() {
		if !slices.ContainsFunc(all, func(c cobra.Completion) bool { return strings.HasPrefix(c, p.Name+"\t") }) {
			all = append(all, cobra.CompletionWithDesc(p.Name, senderOf(p).Name))
		}
	}
	return all
}

func allPresets() []signature.Preset {
	return slices.Concat(signature.Presets(), signature.PublicPresets(), signature.TokenPresets())
}

func senderOf(p signature.Preset) Sender {
	s, _ := SenderOf(p) // TestSenderRows finds each
	return s
}

// A presetRow is what is shown of one preset.
type presetRow struct {
	Preset     string   `json:"preset"`
	Sender     string   `json:"sender"`
	Kind       string   `json:"kind"`
	Fields     []string `json:"fields"`
	Algorithms []string `json:"algorithms"`
	Signature  string   `json:"signature"`
	Payload    string   `json:"payload"`
	Signed     string   `json:"signed"`
	NotSigned  string   `json:"not_signed"`
	Key        string   `json:"key"`
	Check      string   `json:"check,omitempty"`
	Challenge  string   `json:"challenge,omitempty"` // as it has to be written
	Source     string   `json:"source"`
	Caddyfile  string   `json:"caddyfile,omitempty"`

	preset signature.Preset
}

func (g Gateway) presetRow(p signature.Preset) presetRow {
	s, scheme := senderOf(p), p.Scheme.WithDefaults()
	return presetRow{
		Preset: p.Name, Sender: s.Name, Kind: kindOf(p).name, Fields: scheme.Headers, Algorithms: scheme.Algorithms,
		Signature: scheme.Signature, Payload: scheme.Payload, Signed: Signed(p), NotSigned: NotSigned(p),
		Key: s.Key, Check: s.Check, Challenge: g.Checks[p.Name], Source: s.Source, preset: p,
	}
}

func (c *command) presets() error {
	switch len(c.args) {
	case 0:
		return c.listPresets()
	case 1:
		return c.showPreset(c.args[0])
	}
	return errors.New("takes one preset, such as stripe; without one it lists them")
}

func (c *command) listPresets() error {
	var list []presetRow
	for _, p := range allPresets() {
		list = append(list, c.gateway.presetRow(p))
	}
	if c.out.json {
		return c.out.object(list)
	}
	var rows [][]string
	for _, r := range list {
		rows = append(rows, []string{
			r.Preset, r.Sender, r.Kind, strings.Join(r.Fields, " "), strings.Join(r.Algorithms, " "), r.Payload, r.checkCell(),
		})
	}
	return c.out.fittedTable([]string{"preset", "sender", "kind", "field", "algorithm", "signed", "check"}, rows, "algorithm", "field", "check")
}

// checkCell says what to do about the sender's check, or else what it is.
func (r presetRow) checkCell() string {
	switch {
	case r.preset.Challenge != "":
		return "answered"
	case r.Challenge != "":
		return "challenge " + r.Challenge
	}
	return r.Check
}

func (c *command) showPreset(name string) error {
	var rows []presetRow
	for _, p := range allPresets() {
		if p.Name == name {
			row := c.gateway.presetRow(p)
			row.Caddyfile = row.block()
			rows = append(rows, row)
		}
	}
	switch {
	case rows == nil:
		return noPreset(name)
	case c.out.json:
		return c.out.object(rows)
	}
	return c.out.text(strings.TrimSuffix(rows[0].comments(rows[1:])+rows[0].Caddyfile, "\n"))
}

// noPreset shows the name only where a preset is near: it may be a secret.
func noPreset(name string) error {
	if problem, near := signature.UnknownPreset(name); near {
		return errors.New(problem)
	}
	return errors.New("unknown preset (not shown, in case it is a secret); caddy webhook presets lists them")
}

// A keyKind is what verifies the signatures of a preset.
type keyKind struct{ name, option string }

func kindOf(p signature.Preset) keyKind {
	kind := p.Scheme.Kind()
	return keyKind{strings.ReplaceAll(kind.String(), "_", " "), kind.String()}
}

// variable is the name of an environment variable: STRIPE_SECRET.
func (r presetRow) variable(what string) string {
	name := strings.NewReplacer("-", "_", ".", "_").Replace(r.Preset + "_" + what)
	return "{env." + strings.ToUpper(name) + "}"
}

// block is the preset in a site of a Caddyfile, as `caddy fmt` has it.
func (r presetRow) block() string {
	option := kindOf(r.preset).option
	lines := []string{
		"hooks.example.com {",
		"\thandle /" + r.Preset + " {",
		"\t\twebhook_auth " + r.Preset + " {",
		"\t\t\t" + option + " " + r.keyName() + r.variable(option),
	}
	if r.preset.Scheme.NeedsURL() {
		lines = append(lines, "\t\t\tpublic_url https://hooks.example.com/"+r.Preset)
	}
	if r.Challenge != "" {
		challenge := strings.NewReplacer("<verify_token>", r.variable("verify_token"), "<topic>", "https://example.com/feed").Replace(r.Challenge)
		lines = append(lines, "\t\t\tchallenge "+challenge)
	}
	lines = append(lines, "\t\t}", "\t\treverse_proxy localhost:3000", "\t}", "\trespond 404", "}")
	return strings.Join(lines, "\n") + "\n"
}

// keyName stands for the name of a key where the sender says which key it took.
func (r presetRow) keyName() string {
	if r.preset.Scheme.KeyID == "" {
		return ""
	}
	return "key-id "
}

// comments say what the block cannot. Others are further rows of the same sender.
func (r presetRow) comments(others []presetRow) string {
	kind := strings.ToUpper(r.Kind[:1]) + r.Kind[1:]
	lines := []string{r.Sender, kind + ": " + r.Key, "Signed: " + r.Signed + ". Not signed: " + r.NotSigned}
	if r.Check != "" {
		lines = append(lines, "Check: "+r.Check)
	}
	if id := r.preset.Scheme.KeyID; id != "" {
		lines = append(lines, "Instead of key-id write the name of the key, as in "+id)
	}
	lines = append(lines, "Source: "+r.Source)
	for _, other := range others {
		option := kindOf(other.preset).option
		lines = append(lines, "Or "+option+" "+other.variable(option)+" instead of "+kindOf(r.preset).option+": "+other.Key)
	}
	var text strings.Builder
	for _, line := range lines {
		for _, part := range wrapped(sentence(line), commentWidth) {
			text.WriteString("# " + part + "\n")
		}
	}
	return text.String()
}

func sentence(text string) string {
	if strings.HasSuffix(text, "…") {
		return text
	}
	return text + "."
}

// Signed says what is signed, as a part of a sentence: the body, or a template with the
// time.
func Signed(p signature.Preset) string {
	if p.Scheme.Kind() == signature.Tokens {
		return "nothing: whoever has the token can send anything"
	}
	s := p.Scheme.WithDefaults()
	if s.Payload == signature.DefaultPayload {
		return "the body"
	}
	text := s.Payload
	if s.NeedsURL() {
		text += ", where {url} is public_url"
	}
	if !strings.Contains(s.Payload, "{ts}") {
		return text
	}
	where := "in the signature"
	if s.Timestamp != "" && s.Timestamp != "{ts}" {
		where = s.Timestamp
	}
	past, ahead := s.Tolerances()
	text += ", where {ts} is " + where + ", " + unitWord(s.TimestampUnit) + ", within " + short(past)
	if ahead != past {
		text += ", or " + short(ahead) + " ahead"
	}
	return text
}

func unitWord(unit string) string {
	switch unit {
	case "", "s":
		return "in seconds"
	case "ms":
		return "in milliseconds"
	}
	return "a date"
}

// short writes 5m for 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}

// NotSigned says what a signature says nothing of.
func NotSigned(p signature.Preset) string {
	if p.Scheme.Kind() == signature.Tokens {
		return "the body, the method, the URL, header fields and the time"
	}
	s := p.Scheme.WithDefaults()
	var parts []string
	for _, part := range []struct{ text, placeholder string }{{"the method", "{method}"}, {"the URL", "{url}"}} {
		if !strings.Contains(s.Payload, part.placeholder) {
			parts = append(parts, part.text)
		}
	}
	fields := "header fields"
	if strings.Contains(s.Payload, "{header.") || strings.Contains(s.Payload, "{ts}") && s.Timestamp != "" && s.Timestamp != "{ts}" {
		fields = "other header fields"
	}
	parts = append(parts, fields)
	if !strings.Contains(s.Payload, "{ts}") {
		parts = append(parts, "the time")
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return strings.Join(parts[:len(parts)-1], ", ") + " and " + parts[len(parts)-1]
}
