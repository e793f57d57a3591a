package command_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

func TestPresetsList(t *testing.T) {
	o := webhook(t, "", "presets")
	o.want(t, 0,
		"\nstripe\tStripe\tsecret\tStripe-Signature\tsha256\t{ts}.{body}\t\n",
		"\nmeta\tMeta: Messenger, Instagram, WhatsApp, Pages\tsecret\tX-Hub-Signature-256\tsha256\t{body}\tchallenge hub <verify_token>\n",
		"\nslack\tSlack\tsecret\tX-Slack-Signature\tsha256\tv0:{ts}:{body}\tanswered\n",
		"\ntelnyx\tTelnyx\tpublic key\ttelnyx-signature-ed25519\ted25519\t{ts}|{body}\t\n",
		"\nintercom\tIntercom\tsecret\tX-Hub-Signature\tsha1\t{body}\tchallenge head\n")
	want := len(signature.Presets()) + len(signature.PublicPresets()) + len(signature.TokenPresets())
	if got := strings.Count(o.stdout, "\n"); got != want || o.stderr != "" {
		t.Errorf("%d lines, want %d; %s", got, want, o.stderr)
	}
	var rows []struct{ Preset, Kind, Payload, Signed, Key, Source, Caddyfile string }
	o = webhook(t, "", "presets", "--json")
	if err := json.Unmarshal([]byte(o.stdout), &rows); err != nil || len(rows) != want {
		t.Errorf("%v, %d rows, want %d", err, len(rows), want)
	}
	for _, row := range rows {
		if row.Preset == "" || row.Payload == "" || row.Signed == "" || row.Key == "" || row.Source == "" || row.Caddyfile != "" {
			t.Errorf("%+v", row)
		}
	}
}

func TestPresetsBlock(t *testing.T) {
	for name, want := range map[string]string{
		"paddle": `# Paddle Billing.
# Secret: the secret key of the notification destination.
# Signed: {ts}:{body}, where {ts} is in the signature, in seconds, within 5s, or
# 5m ahead. Not signed: the method, the URL and header fields.
# Source: PaddleHQ/paddle-go-sdk, PaddleHQ/paddle-node-sdk.
hooks.example.com {
	handle /paddle {
		webhook_auth paddle {
			secret {env.PADDLE_SECRET}
		}
		reverse_proxy localhost:3000
	}
	respond 404
}
`,
		"cal.com": "\t\t\tsecret {env.CAL_COM_SECRET}\n",
		"meta":    "\t\t\tchallenge hub {env.META_VERIFY_TOKEN}\n",
		"websub":  "\t\t\tchallenge websub https://example.com/feed\n",
		"x":       "\t\t\tchallenge x\n",
		"slack":   "# Check: url_verification is signed, and is answered without an option.\n",
		"square":  "\t\t\tpublic_url https://hooks.example.com/square\n",
		"twitch":  "# Signed: {header.Twitch-Eventsub-Message-Id}{ts}{body}, where {ts} is\n# Twitch-Eventsub-Message-Timestamp, a date, within 10m. Not signed: the",
		"discord": "\t\t\tpublic_key {env.DISCORD_PUBLIC_KEY}\n",
		"svix":    "# Or public_key {env.SVIX_PUBLIC_KEY} instead of secret: the sender's page of\n# the endpoint; it begins with whpk_.\n",
		"wechat-pay": "# Instead of key-id write the name of the key, as in Wechatpay-Serial.\n" +
			"# Source: wechatpay-apiv3/wechatpay-go core/auth/validators.\n",
	} {
		webhook(t, "", "presets", name).want(t, 0, want)
	}
	o := webhook(t, "", "presets", "svix", "--json")
	if strings.Count(o.stdout, `"caddyfile": "hooks.example.com {\n\thandle /svix {`) != 2 {
		t.Errorf("%+v", o)
	}
}

// An unknown name is repeated only where it is near a preset: it may be a secret.
func TestPresetsUnknown(t *testing.T) {
	const hidden = "s3cr3tV4lue"
	for args, want := range map[string]string{
		"githb":            `caddy webhook presets: unknown preset "githb"; did you mean github?`,
		"facebook":         `unknown preset "facebook"; did you mean meta?`,
		hidden:             "unknown preset (not shown, in case it is a secret); caddy webhook presets lists them\n",
		"stripe " + hidden: "takes one preset, such as stripe; without one it lists them\n",
		"--config x":       "unknown flag: --config; see --help",
	} {
		o := webhook(t, "", append([]string{"presets"}, strings.Fields(args)...)...)
		o.want(t, 2, want)
		if o.stdout != "" || strings.Contains(o.stderr, hidden) {
			t.Errorf("%q: %+v", args, o)
		}
	}
}

// Shells ask for the names with cobra's own command.
func TestPresetsCompletion(t *testing.T) {
	_, commands := subcommands(t)
	i := slices.IndexFunc(commands, func(c *cobra.Command) bool { return c.Name() == "presets" })
	names, directive := commands[i].ValidArgsFunction(commands[i], nil, "")
	if directive != cobra.ShellCompDirectiveNoFileComp || !slices.Contains(names, "stripe\tStripe") {
		t.Errorf("%d, %q", directive, names)
	}
	seen := make(map[string]bool)
	for _, name := range names {
		name, _, _ = strings.Cut(name, "\t")
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
	}
	for _, p := range slices.Concat(signature.Presets(), signature.PublicPresets()) {
		if !seen[p.Name] {
			t.Errorf("%s is not completed", p.Name)
		}
	}
	if more, _ := commands[i].ValidArgsFunction(commands[i], []string{"stripe"}, ""); more != nil {
		t.Errorf("behind a preset: %q", more)
	}
}
