package signature

import (
	"slices"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

// A Preset is a scheme by the name of a sender that uses it. Each has deliveries in
// testdata, and a row and a section in docs/senders.md; a test keeps them equal.
type Preset struct {
	Name   string
	Scheme Scheme
	// Challenge is the kind of signed challenge that the sender makes, if any. A
	// challenge without a signature is not answered unless it is asked for.
	Challenge string
	// Global says that one public key signs for all customers of the sender: a signature
	// proves the sender, and not the account.
	Global bool
}

type list = []string

// presets is every preset, one row each. What a row leaves out is as in [Scheme].
var presets = []Preset{
	// The X-Hub-Signature family: {alg}={hex} over the body. The name of the field says
	// nothing of the hash: X-Hub-Signature is SHA-256 with most, SHA-1 with some.
	{Name: "hub"},
	{Name: "chatbotkit", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha256"}}},
	{Name: "github", Scheme: Scheme{Headers: list{"X-Hub-Signature-256"}, Algorithms: list{"sha256"}}},
	{Name: "meta", Scheme: Scheme{Headers: list{"X-Hub-Signature-256"}, Algorithms: list{"sha256"}}},
	{Name: "websub", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha1", "sha256", "sha384", "sha512"}}},
	{Name: "bitbucket", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha256"}}},
	{Name: "jira", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha256"}}},
	{Name: "gitea", Scheme: Scheme{Headers: list{"X-Hub-Signature-256"}, Algorithms: list{"sha256"}}},
	{Name: "intercom", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha1"}}},
	{Name: "snyk", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha256"}}},
	{Name: "creativex", Scheme: Scheme{Headers: list{"X-Hub-Signature-256"}, Algorithms: list{"sha256"}}},
	// Further senders of the family.
	{Name: "fireflies", Scheme: Scheme{Headers: list{"X-Hub-Signature"}, Algorithms: list{"sha256"}}},

	// One field, with a tag in front of the digest.
	{Name: "notion", Scheme: Scheme{Headers: list{"X-Notion-Signature"}, Signature: "sha256={hex}"}},
	{Name: "cursor", Scheme: Scheme{Headers: list{"X-Webhook-Signature"}, Signature: "sha256={hex}"}},
	{Name: "firecrawl", Scheme: Scheme{Headers: list{"X-Firecrawl-Signature"}, Signature: "sha256={hex}"}},
	{Name: "pagerduty", Scheme: Scheme{Headers: list{"X-PagerDuty-Signature"}, Signature: "v1={hex},..."}},
	{Name: "circleci", Scheme: Scheme{Headers: list{"circleci-signature"}, Signature: "v1={hex},..."}},
	{Name: "typeform", Scheme: Scheme{Headers: list{"Typeform-Signature"}, Signature: "sha256={base64}"}},
	{Name: "x", Scheme: Scheme{Headers: list{"X-Twitter-Webhooks-Signature"}, Signature: "sha256={base64}"}},
	{Name: "autotask", Scheme: Scheme{Headers: list{"X-Hook-Signature"}, Algorithms: list{"sha1"}, Signature: "sha1={base64}"}},
	// Further senders of a digest with a tag.
	{Name: "discourse", Scheme: Scheme{Headers: list{"X-Discourse-Event-Signature"}, Signature: "sha256={hex}"}},
	{Name: "mollie", Scheme: Scheme{Headers: list{"X-Mollie-Signature"}, Signature: "sha256={hex}"}},
	{Name: "savvycal", Scheme: Scheme{Headers: list{"X-Savvycal-Signature"}, Signature: "sha256={hex}"}},
	{Name: "ashby", Scheme: Scheme{Headers: list{"Ashby-Signature"}, Signature: "sha256={hex}"}},
	{Name: "airtable", Scheme: Scheme{Headers: list{"X-Airtable-Content-MAC"}, Signature: "hmac-sha256={hex}", SecretEncoding: "base64"}},
	{Name: "enode", Scheme: Scheme{Headers: list{"x-enode-signature"}, Algorithms: list{"sha1"}, Signature: "sha1={hex}"}},
	{Name: "microsoft-teams", Scheme: Scheme{Headers: list{"Authorization"}, Signature: "HMAC {base64}", SecretEncoding: "base64"}},

	// One field, with the digest alone, in hex.
	{Name: "gogs", Scheme: Scheme{Headers: list{"X-Gogs-Signature"}, Signature: "{hex}"}},
	{Name: "linear", Scheme: Scheme{Headers: list{"Linear-Signature"}, Signature: "{hex}"}},
	{Name: "sentry", Scheme: Scheme{Headers: list{"sentry-hook-signature"}, Signature: "{hex}"}},
	{Name: "vercel", Scheme: Scheme{Headers: list{"x-vercel-signature"}, Algorithms: list{"sha1"}, Signature: "{hex}"}},
	{Name: "webex", Scheme: Scheme{Headers: list{"X-Spark-Signature"}, Algorithms: list{"sha1"}, Signature: "{hex}"}},
	{Name: "dropbox", Scheme: Scheme{Headers: list{"X-Dropbox-Signature"}, Signature: "{hex}"}},
	{Name: "cal.com", Scheme: Scheme{Headers: list{"X-Cal-Signature-256"}, Signature: "{hex}"}},
	{Name: "pusher", Scheme: Scheme{Headers: list{"X-Pusher-Signature"}, Signature: "{hex}"}},
	{Name: "coinbase-commerce", Scheme: Scheme{Headers: list{"X-CC-Webhook-Signature"}, Signature: "{hex}"}},
	{Name: "gocardless", Scheme: Scheme{Headers: list{"Webhook-Signature"}, Signature: "{hex}"}},
	{Name: "razorpay", Scheme: Scheme{Headers: list{"X-Razorpay-Signature"}, Signature: "{hex}"}},
	{Name: "logto", Scheme: Scheme{Headers: list{"logto-signature-sha-256"}, Signature: "{hex}"}},
	{Name: "agentset", Scheme: Scheme{Headers: list{"Agentset-Signature"}, Signature: "{hex}"}},
	{Name: "firstpromoter", Scheme: Scheme{Headers: list{"X-Webhook-Signature"}, Signature: "{hex}"}},
	{Name: "openorigins", Scheme: Scheme{Headers: list{"X-OpenOrigins-Signature"}, Signature: "{hex}"}},
	{Name: "mts-link", Scheme: Scheme{Headers: list{"X-MtsLink-Signature"}, Signature: "{hex}"}},
	{Name: "botpress", Scheme: Scheme{Headers: list{"x-signature"}, Signature: "{hex}"}},
	{Name: "rocketgit", Scheme: Scheme{Headers: list{"X-RocketGit-Signature"}, Algorithms: list{"sha512"}, Signature: "{hex}"}},
	// Further senders of a digest alone, in hex. In capitals is hex as well.
	{Name: "dwolla", Scheme: Scheme{Headers: list{"X-Request-Signature-SHA-256"}, Signature: "{hex}"}},
	{Name: "lemon-squeezy", Scheme: Scheme{Headers: list{"X-Signature"}, Signature: "{hex}"}},
	{Name: "modern-treasury", Scheme: Scheme{Headers: list{"X-Signature"}, Signature: "{hex}"}},
	{Name: "clickup", Scheme: Scheme{Headers: list{"X-Signature"}, Signature: "{hex}"}},
	{Name: "attio", Scheme: Scheme{Headers: list{"Attio-Signature"}, Signature: "{hex}"}},
	{Name: "nylas", Scheme: Scheme{Headers: list{"X-Nylas-Signature"}, Signature: "{hex}"}},
	{Name: "checkout-com", Scheme: Scheme{Headers: list{"Cko-Signature"}, Signature: "{hex}"}},
	{Name: "asana", Scheme: Scheme{Headers: list{"X-Hook-Signature"}, Signature: "{hex}"}},
	{Name: "launchdarkly", Scheme: Scheme{Headers: list{"X-LD-Signature"}, Signature: "{hex}"}},
	{Name: "chargify", Scheme: Scheme{Headers: list{"X-Chargify-Webhook-Signature-Hmac-Sha-256"}, Signature: "{hex}"}},
	{Name: "nexus", Scheme: Scheme{Headers: list{"X-Nexus-Webhook-Signature"}, Algorithms: list{"sha1"}, Signature: "{hex}"}},
	{Name: "sonarqube", Scheme: Scheme{Headers: list{"X-Sonar-Webhook-HMAC-SHA256"}, Signature: "{hex}"}},
	{Name: "terraform", Scheme: Scheme{Headers: list{"X-TFE-Notification-Signature"}, Algorithms: list{"sha512"}, Signature: "{hex}"}},
	{Name: "alchemy", Scheme: Scheme{Headers: list{"X-Alchemy-Signature"}, Signature: "{hex}"}},
	{Name: "grafana", Scheme: Scheme{Headers: list{"X-Grafana-Alerting-Signature"}, Signature: "{hex}"}},
	{Name: "coinify", Scheme: Scheme{Headers: list{"X-Coinify-Webhook-Signature"}, Signature: "{hex}"}},
	{Name: "datasaur", Scheme: Scheme{Headers: list{"X-Datasaur-Signature"}, Signature: "{hex}"}},
	{Name: "paystack", Scheme: Scheme{Headers: list{"x-paystack-signature"}, Algorithms: list{"sha512"}, Signature: "{hex}"}},
	{Name: "uber", Scheme: Scheme{Headers: list{"X-Uber-Signature"}, Signature: "{hex}"}},
	{Name: "bunny-stream", Scheme: Scheme{Headers: list{"X-BunnyStream-Signature"}, Signature: "{hex}"}},
	{Name: "shopline", Scheme: Scheme{Headers: list{"X-Shopline-Hmac-Sha256"}, Signature: "{hex}"}},

	// One field, with the digest alone, in base64.
	{Name: "shopify", Scheme: Scheme{Headers: list{"X-Shopify-Hmac-Sha256"}, Signature: "{base64}"}},
	{Name: "woocommerce", Scheme: Scheme{Headers: list{"X-WC-Webhook-Signature"}, Signature: "{base64}"}},
	{Name: "line", Scheme: Scheme{Headers: list{"X-Line-Signature"}, Signature: "{base64}"}},
	{Name: "heroku", Scheme: Scheme{Headers: list{"Heroku-Webhook-Hmac-SHA256"}, Signature: "{base64}"}},
	{Name: "fourthwall", Scheme: Scheme{Headers: list{"X-Fourthwall-Hmac-SHA256"}, Signature: "{base64}"}},
	{Name: "commerce-layer", Scheme: Scheme{Headers: list{"X-CommerceLayer-Signature"}, Signature: "{base64}"}},
	{Name: "hookdeck", Scheme: Scheme{Headers: list{"X-Hookdeck-Signature", "X-Hookdeck-Signature-2"}, AnyHeader: true, Signature: "{base64}"}},
	{Name: "adyen-platform", Scheme: Scheme{Headers: list{"HmacSignature"}, Signature: "{base64}", SecretEncoding: "hex"}},
	// Further senders of a digest alone, in base64.
	{Name: "xero", Scheme: Scheme{Headers: list{"x-xero-signature"}, Signature: "{base64}"}},
	{Name: "quickbooks", Scheme: Scheme{Headers: list{"intuit-signature"}, Signature: "{base64}"}},
	{Name: "tally", Scheme: Scheme{Headers: list{"Tally-Signature"}, Signature: "{base64}"}},
	{Name: "acuity", Scheme: Scheme{Headers: list{"X-Acuity-Signature"}, Signature: "{base64}"}},
	{Name: "fastspring", Scheme: Scheme{Headers: list{"X-FS-Signature"}, Signature: "{base64}"}},
	{Name: "help-scout", Scheme: Scheme{Headers: list{"X-HelpScout-Signature"}, Algorithms: list{"sha1"}, Signature: "{base64}"}},
	{Name: "aftership", Scheme: Scheme{Headers: list{"aftership-hmac-sha256", "as-signature-hmac-sha256"}, Signature: "{base64}"}},
	{Name: "bolt", Scheme: Scheme{Headers: list{"X-Bolt-Hmac-Sha256"}, Signature: "{base64}"}},
	{Name: "shiphero", Scheme: Scheme{Headers: list{"x-shiphero-hmac-sha256"}, Signature: "{base64}"}},

	// The time in a field of its own.
	{Name: "standard-webhooks", Scheme: Scheme{
		Headers: list{"webhook-signature"}, Signature: "v1,{base64} ...", Payload: "{header.webhook-id}.{ts}.{body}",
		Timestamp: "webhook-timestamp", SecretEncoding: "base64", SecretPrefix: "whsec_",
	}},
	// Polar follows Standard Webhooks, but its key is the secret's text.
	{Name: "polar", Scheme: Scheme{
		Headers: list{"webhook-signature"}, Signature: "v1,{base64} ...", Payload: "{header.webhook-id}.{ts}.{body}",
		Timestamp: "webhook-timestamp", SecretEncoding: "text",
	}},
	{Name: "svix", Scheme: Scheme{
		Headers: list{"svix-signature"}, Signature: "v1,{base64} ...", Payload: "{header.svix-id}.{ts}.{body}",
		Timestamp: "svix-timestamp", SecretEncoding: "base64", SecretPrefix: "whsec_",
	}},
	{Name: "slack", Challenge: "slack", Scheme: Scheme{
		Headers: list{"X-Slack-Signature"}, Signature: "v0={hex}", Payload: "v0:{ts}:{body}", Timestamp: "X-Slack-Request-Timestamp",
	}},
	{Name: "zoom", Challenge: "zoom", Scheme: Scheme{
		Headers: list{"x-zm-signature"}, Signature: "v0={hex}", Payload: "v0:{ts}:{body}", Timestamp: "x-zm-request-timestamp",
	}},
	{Name: "twitch", Challenge: "twitch", Scheme: Scheme{
		Headers: list{"Twitch-Eventsub-Message-Signature"}, Signature: "sha256={hex}", Payload: "{header.Twitch-Eventsub-Message-Id}{ts}{body}",
		Timestamp: "Twitch-Eventsub-Message-Timestamp", TimestampUnit: "rfc3339", Tolerance: 10 * time.Minute,
	}},
	{Name: "zendesk", Scheme: Scheme{
		Headers: list{"X-Zendesk-Webhook-Signature"}, Signature: "{base64}", Payload: "{ts}{body}",
		Timestamp: "X-Zendesk-Webhook-Signature-Timestamp", TimestampUnit: "rfc3339",
	}},
	{Name: "box", Scheme: Scheme{
		Headers: list{"BOX-SIGNATURE-PRIMARY", "BOX-SIGNATURE-SECONDARY"}, AnyHeader: true, Signature: "{base64}", Payload: "{body}{ts}",
		Timestamp: "BOX-DELIVERY-TIMESTAMP", TimestampUnit: "rfc3339", Tolerance: 10 * time.Minute,
	}},
	{Name: "webflow", Scheme: Scheme{
		Headers: list{"x-webflow-signature"}, Signature: "{hex}", Payload: "{ts}:{body}", Timestamp: "x-webflow-timestamp", TimestampUnit: "ms",
	}},
	{Name: "xobni", Scheme: Scheme{
		Headers: list{"X-Xobni-Signature"}, Signature: "sha256={hex}", Payload: "{ts}.{body}", Timestamp: "X-Xobni-Timestamp",
	}},
	// Further senders of a time in a field of its own.
	{Name: "front", Scheme: Scheme{
		Headers: list{"X-Front-Signature"}, Signature: "{base64}", Payload: "{ts}:{body}", Timestamp: "X-Front-Request-Timestamp", TimestampUnit: "ms",
	}},
	{Name: "customer-io", Scheme: Scheme{
		Headers: list{"X-CIO-Signature"}, Signature: "{hex}", Payload: "v0:{ts}:{body}", Timestamp: "X-CIO-Timestamp",
	}},
	{Name: "close", Scheme: Scheme{
		Headers: list{"close-sig-hash"}, Signature: "{hex}", Payload: "{ts}{body}", Timestamp: "close-sig-timestamp", SecretEncoding: "hex",
	}},
	// Orb writes dates without a zone, which are read as UTC.
	{Name: "orb", Scheme: Scheme{
		Headers: list{"X-Orb-Signature"}, Signature: "v1={hex}", Payload: "v1:{ts}:{body}", Timestamp: "X-Orb-Timestamp", TimestampUnit: "rfc3339",
	}},
	{Name: "frame-io", Scheme: Scheme{
		Headers: list{"X-Frameio-Signature"}, Signature: "v0={hex}", Payload: "v0:{ts}:{body}", Timestamp: "X-Frameio-Request-Timestamp",
	}},
	{Name: "airwallex", Scheme: Scheme{
		Headers: list{"x-signature"}, Signature: "{hex}", Payload: "{ts}{body}", Timestamp: "x-timestamp", TimestampUnit: "ms",
	}},
	{Name: "cashfree", Scheme: Scheme{
		Headers: list{"x-webhook-signature"}, Signature: "{base64}", Payload: "{ts}{body}", Timestamp: "x-webhook-timestamp", TimestampUnit: "ms",
	}},
	{Name: "pylon", Scheme: Scheme{
		Headers: list{"Pylon-Webhook-Signature"}, Signature: "hs256={hex}", Payload: "{ts}.{body}", Timestamp: "Pylon-Webhook-Timestamp",
	}},
	{Name: "statsig", Scheme: Scheme{
		Headers: list{"X-Statsig-Signature"}, Signature: "v0={hex}", Payload: "v0:{ts}:{body}", Timestamp: "X-Statsig-Request-Timestamp", TimestampUnit: "ms",
	}},

	// The time in the signature. Many senders' libraries bound the past alone. Here the
	// future is bounded too, because a delivery that is signed ahead of its time can be
	// replayed until then; five minutes leave room for a clock that is behind.
	{Name: "stripe", Scheme: Scheme{Headers: list{"Stripe-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "mux", Scheme: Scheme{Headers: list{"Mux-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "calendly", Scheme: Scheme{Headers: list{"Calendly-Webhook-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "elevenlabs", Scheme: Scheme{Headers: list{"ElevenLabs-Signature"}, Signature: "t={ts},v0={hex}", Payload: "{ts}.{body}", Tolerance: 30 * time.Minute}},
	{Name: "errornotifier", Scheme: Scheme{Headers: list{"X-ErrorNotifier-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "buildkite", Scheme: Scheme{Headers: list{"X-Buildkite-Signature"}, Signature: "timestamp={ts},signature={hex}", Payload: "{ts}.{body}"}},
	{Name: "cituro", Scheme: Scheme{Headers: list{"X-CITURO-SIGNATURE"}, Signature: "t={ts},s={hex}", Payload: "{ts}.{body}", TimestampUnit: "ms"}},
	{Name: "workos", Scheme: Scheme{
		Headers: list{"WorkOS-Signature"}, Signature: "t={ts}, v1={hex}", Payload: "{ts}.{body}", TimestampUnit: "ms",
		Tolerance: 3 * time.Minute, Ahead: 5 * time.Minute,
	}},
	{Name: "paddle", Scheme: Scheme{
		Headers: list{"Paddle-Signature"}, Signature: "ts={ts};h1={hex}", Payload: "{ts}:{body}",
		Tolerance: 5 * time.Second, Ahead: 5 * time.Minute,
	}},
	// Further senders of a time in the signature.
	{Name: "sanity", Scheme: Scheme{Headers: list{"sanity-webhook-signature"}, Signature: "t={ts},v1={base64url}", Payload: "{ts}.{body}", TimestampUnit: "ms"}},
	{Name: "retell", Scheme: Scheme{Headers: list{"X-Retell-Signature"}, Signature: "v={ts},d={hex}", Payload: "{body}{ts}", TimestampUnit: "ms"}},
	{Name: "revenuecat", Scheme: Scheme{Headers: list{"X-RevenueCat-Webhook-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "whereby", Scheme: Scheme{Headers: list{"Whereby-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "tiktok", Scheme: Scheme{Headers: list{"TikTok-Signature"}, Signature: "t={ts},s={hex}", Payload: "{ts}.{body}"}},
	{Name: "cloudflare-stream", Scheme: Scheme{Headers: list{"Webhook-Signature"}, Signature: "time={ts},sig1={hex}", Payload: "{ts}.{body}"}},
	{Name: "ghost", Scheme: Scheme{Headers: list{"X-Ghost-Signature"}, Signature: "sha256={hex}, t={ts}", Payload: "{body}{ts}", TimestampUnit: "ms"}},
	{Name: "knock", Scheme: Scheme{Headers: list{"x-knock-signature"}, Signature: "t={ts},s={base64}", Payload: "{ts}.{body}", TimestampUnit: "ms"}},
	{Name: "courier", Scheme: Scheme{Headers: list{"courier-signature"}, Signature: "t={ts},signature={hex}", Payload: "{ts}.{body}", TimestampUnit: "ms"}},
	{Name: "moonpay", Scheme: Scheme{Headers: list{"Moonpay-Signature-V2"}, Signature: "t={ts},s={hex}", Payload: "{ts}.{body}"}},

	// The URL is signed, or another field.
	{Name: "square", Scheme: Scheme{Headers: list{"X-Square-HmacSha256-Signature"}, Signature: "{base64}", Payload: "{url}{body}"}},

	// A hash of the body is signed, the URL, a nonce, or one field for each of several keys;
	// or the field is a list of its own kind.
	{Name: "tebex", Scheme: Scheme{Headers: list{"X-Signature"}, Signature: "{hex}", Payload: "{body_sha256}"}},
	{Name: "trello", Scheme: Scheme{Headers: list{"X-Trello-Webhook"}, Algorithms: list{"sha1"}, Signature: "{base64}", Payload: "{body}{url}"}},
	{Name: "hubspot", Scheme: Scheme{
		Headers: list{"X-HubSpot-Signature-v3"}, Signature: "{base64}", Payload: "{method}{url}{body}{ts}",
		Timestamp: "X-HubSpot-Request-Timestamp", TimestampUnit: "ms",
	}},
	{Name: "nmi", Scheme: Scheme{Headers: list{"Webhook-Signature"}, Signature: "t={nonce},s={hex}", Payload: "{nonce}.{body}"}},
	{Name: "recurly", Scheme: Scheme{Headers: list{"recurly-signature"}, Signature: "{ts},{hex},...", Payload: "{ts}.{body}", TimestampUnit: "ms"}},
	{Name: "worldpay", Scheme: Scheme{Headers: list{"Event-Signature"}, Signature: "1/SHA256/{hex},..."}},
	{Name: "sinch", Scheme: Scheme{
		Headers: list{"x-sinch-webhook-signature"}, Signature: "{base64}", Payload: "{body}.{header.x-sinch-webhook-signature-nonce}.{ts}",
		Timestamp: "x-sinch-webhook-signature-timestamp",
	}},
	{Name: "chatwoot", Scheme: Scheme{
		Headers: list{"X-Chatwoot-Signature"}, Signature: "sha256={hex}", Payload: "{ts}.{body}", Timestamp: "X-Chatwoot-Timestamp",
	}},
	{Name: "docusign", Scheme: Scheme{
		Headers: list{
			"X-DocuSign-Signature-1", "X-DocuSign-Signature-2", "X-DocuSign-Signature-3", "X-DocuSign-Signature-4", "X-DocuSign-Signature-5",
		}, AnyHeader: true, Signature: "{base64}",
	}},
}

// publicPresets are those whose sender signs with a private key. A name that is in both
// tables is of a sender that does either: which row counts depends on whether the gate
// has secrets or public keys, so that neither kind of signature is judged by the other.
var publicPresets = []Preset{
	{Name: "discord", Challenge: "discord", Scheme: discord},
	{Name: "discord-events", Challenge: "discord-events", Scheme: discord},
	{Name: "telnyx", Scheme: Scheme{
		Headers: list{"telnyx-signature-ed25519"}, Algorithms: list{"ed25519"}, Signature: "{base64}", Payload: "{ts}|{body}", Timestamp: "telnyx-timestamp",
	}},
	{Name: "highlevel", Global: true, Scheme: Scheme{Headers: list{"X-GHL-Signature"}, Algorithms: list{"ed25519"}, Signature: "{base64}"}},
	{Name: "standard-webhooks", Scheme: Scheme{
		Headers: list{"webhook-signature"}, Algorithms: list{"ed25519"}, Signature: "v1a,{base64} ...", Payload: "{header.webhook-id}.{ts}.{body}",
		Timestamp: "webhook-timestamp",
	}},
	{Name: "svix", Scheme: Scheme{
		Headers: list{"svix-signature"}, Algorithms: list{"ed25519"}, Signature: "v1a,{base64} ...", Payload: "{header.svix-id}.{ts}.{body}",
		Timestamp: "svix-timestamp",
	}},
	{Name: "sendgrid", Scheme: Scheme{
		Headers: list{"X-Twilio-Email-Event-Webhook-Signature"}, Algorithms: list{"ecdsa-p256-sha256"}, Signature: "{base64}", Payload: "{ts}{body}",
		Timestamp: "X-Twilio-Email-Event-Webhook-Timestamp",
	}},
	{Name: "github-secret-scanning", Global: true, Scheme: Scheme{
		Headers: list{"Github-Public-Key-Signature"}, Algorithms: list{"ecdsa-p256-sha256"}, Signature: "{base64}", KeyID: "Github-Public-Key-Identifier",
	}},
	{Name: "wise", Global: true, Scheme: Scheme{Headers: list{"X-Signature-SHA256"}, Algorithms: list{"rsa-v1_5-sha256"}, Signature: "{base64}"}},
	{Name: "kick", Global: true, Scheme: Scheme{
		Headers: list{"Kick-Event-Signature"}, Algorithms: list{"rsa-v1_5-sha256"}, Signature: "{base64}", Payload: "{header.Kick-Event-Message-Id}.{ts}.{body}",
		Timestamp: "Kick-Event-Message-Timestamp", TimestampUnit: "rfc3339",
	}},
	{Name: "wechat-pay", Scheme: Scheme{
		Headers: list{"Wechatpay-Signature"}, Algorithms: list{"rsa-v1_5-sha256"}, Signature: "{base64}", Payload: "{ts}{lf}{header.Wechatpay-Nonce}{lf}{body}{lf}",
		Timestamp: "Wechatpay-Timestamp", KeyID: "Wechatpay-Serial",
	}},

	// A hash of the body is signed.
	{Name: "manus", Global: true, Scheme: Scheme{
		Headers: list{"X-Webhook-Signature"}, Algorithms: list{"rsa-v1_5-sha256"}, Signature: "{base64}", Payload: "{ts}.{url}.{body_sha256}",
		Timestamp: "X-Webhook-Timestamp",
	}},
}

// discord is how both kinds of Discord's requests are signed. They differ in their PING.
var discord = Scheme{
	Headers: list{"X-Signature-Ed25519"}, Algorithms: list{"ed25519"}, Signature: "{hex}", Payload: "{ts}{body}", Timestamp: "X-Signature-Timestamp",
}

// FindPreset returns the preset of that name. Of a sender that does more than one, it is
// the one with a secret, else the one with a public key.
func FindPreset(name string) (Preset, bool) {
	for _, kind := range kinds {
		if p, ok := FindPresetOf(name, kind); ok {
			return p, true
		}
	}
	return Preset{}, false
}

// FindPresetOf returns the preset of that name for gates that verify with the kind of key.
func FindPresetOf(name string, kind Kind) (Preset, bool) {
	all := map[Kind][]Preset{Secrets: presets, PublicKeys: publicPresets, Tokens: tokenPresets}[kind]
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}

// Presets returns all of them that have secrets.
func Presets() []Preset { return presets }

// PublicPresets returns all of them that have public keys.
func PublicPresets() []Preset { return publicPresets }

// TokenPresets returns all of them that have tokens.
func TokenPresets() []Preset { return tokenPresets }

// UnknownPreset says that there is no preset of that name. Where another one is near, it
// says which; otherwise the word may be a secret, and is not shown.
func UnknownPreset(name string) (problem string, near bool) {
	if NearPresets(name) == nil {
		return "unknown preset (not shown, in case it is a secret); docs/senders.md lists them", false
	}
	return presetNames().Unknown(name), true
}

// NearPresets returns the presets that name may be meant for.
func NearPresets(name string) []string { return presetNames().Near(name) }

func presetNames() mistake.Set {
	set := mistake.Set{What: "preset", Also: map[string]string{
		"facebook": "meta", "whatsapp": "meta", "instagram": "meta", "messenger": "meta", "twitter": "x", "standard": "standard-webhooks",
	}}
	for _, p := range slices.Concat(presets, publicPresets, tokenPresets) {
		if !slices.Contains(set.Words, p.Name) {
			set.Words = append(set.Words, p.Name)
		}
	}
	return set
}
