package command

import "github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"

// A Sender is what a person has to know of the sender of a preset. docs/senders.md says
// the same, and a test compares them.
type Sender struct {
	Preset string
	Name   string
	Key    string // where its secret or public key is
	Check  string // what it asks before it delivers; empty: nothing that is known
	Source string // what the preset rests on
}

// SenderOf returns the sender of a preset. Of a sender that signs in two ways each has its
// own row.
func SenderOf(p signature.Preset) (Sender, bool) {
	table := map[signature.Kind][]Sender{
		signature.Secrets: senders, signature.PublicKeys: publicSenders, signature.Tokens: tokenSenders,
	}[p.Scheme.Kind()]
	for _, s := range table {
		if s.Preset == p.Name {
			return s, true
		}
	}
	return Sender{}, false
}

// senders are those of presets with a secret.
var senders = []Sender{
	{Preset: "hub", Name: "any sender of {alg}={hex} over the body", Key: "the secret that you and the sender share", Source: "W3C WebSub, section 7.1"},
	{
		Preset: "chatbotkit", Name: "ChatBotKit", Key: "made by ChatBotKit and shown on the webhook's page after it is created: wk- and 64 hex digits",
		Source: "chatbotkit.com/docs/webhooks; chatbotkit/platform queue.js",
	},
	{Preset: "github", Name: "GitHub", Key: "Settings, Webhooks, Add webhook: Secret", Source: "docs.github.com, validating webhook deliveries"},
	{
		Preset: "meta", Name: "Meta: Messenger, Instagram, WhatsApp, Pages", Key: "the app secret, in the App Dashboard under App settings, Basic",
		Check: "before the first delivery Meta sends a GET with hub.challenge and a verify token of your choice", Source: "chatbotkit/platform lib/meta.signature.ts; nyaruka/courier handlers/meta",
	},
	{
		Preset: "websub", Name: "WebSub hubs, YouTube, Superfeedr", Key: "hub.secret of your subscription request, shorter than 200 bytes",
		Check: "a GET, which cannot be signed", Source: "W3C WebSub, section 7.1",
	},
	{
		Preset: "bitbucket", Name: "Bitbucket Cloud, Data Center", Key: "Repository settings, Webhooks: Secret",
		Check: "Data Center sends the test diagnostics:ping unsigned, so the gate refuses it", Source: "support.atlassian.com, manage webhooks, secure webhooks",
	},
	{
		Preset: "jira", Name: "Jira Cloud, Data Center", Key: "Settings, System, WebHooks: Secret",
		Source: "developer.atlassian.com, Jira webhooks, secure admin webhooks",
	},
	{Preset: "gitea", Name: "Gitea, Forgejo", Key: "Settings, Webhooks: Secret", Source: "go-gitea/gitea services/webhook/deliver.go"},
	{
		Preset: "intercom", Name: "Intercom", Key: "the client secret of the app",
		Check: "Intercom creates a webhook only if a HEAD request to its URL gets 200", Source: "triggerdotdev/trigger.dev webhook-sources research notes; webhooks.fyi",
	},
	{
		Preset: "snyk", Name: "Snyk", Key: "the one that you give when you create the webhook through the API",
		Source: "docs.snyk.io, validation and versioning of payloads",
	},
	{Preset: "creativex", Name: "CreativeX", Key: "the webhook's secret", Source: "creativex-content-api.readme.io"},
	{
		Preset: "fireflies", Name: "Fireflies.ai", Key: "the signing secret that you set on the Webhooks V2 page; without one nothing is signed",
		Source: "hookdeck/webhook-skills, which quotes docs.fireflies.ai",
	},
	{
		Preset: "notion", Name: "Notion", Key: "the verification_token of the first POST",
		Check: "the first POST is unsigned and has the token in it, so the gate refuses it", Source: "makenotion/notion-sdk-js src/webhooks.ts",
	},
	{Preset: "cursor", Name: "Cursor", Key: "the webhook's secret", Source: "hookdeck/webhook-skills cursor-webhooks verification.md"},
	{Preset: "firecrawl", Name: "Firecrawl", Key: "the webhook secret of the account", Source: "docs.firecrawl.dev/webhooks/security"},
	{
		Preset: "pagerduty", Name: "PagerDuty v3", Key: "shown once, when the subscription is created",
		Source: "PagerDuty/developer-docs 04-Signatures.md",
	},
	{Preset: "circleci", Name: "CircleCI", Key: "the webhook's secret", Source: "circleci-docs outbound-webhooks.adoc"},
	{Preset: "typeform", Name: "Typeform", Key: "the webhook's secret", Source: "triggerdotdev/trigger.dev webhook-sources research notes"},
	{
		Preset: "x", Name: "X (Twitter)", Key: "the consumer secret of the app",
		Check: "a GET with crc_token, repeated from time to time", Source: "frain-dev/convoy pkg/verifier/verifier.go",
	},
	{Preset: "autotask", Name: "Autotask", Key: "the webhook's secret key", Source: "autotask.net developer help, webhooks"},
	{Preset: "discourse", Name: "Discourse", Key: "Admin, API, Webhooks: Secret", Source: "discourse/discourse app/jobs/regular/emit_web_hook_event.rb"},
	{
		Preset: "mollie", Name: "Mollie, next-gen webhooks", Key: "the signing secret of the webhook, under Developers, Webhooks",
		Source: "triggerdotdev/trigger.dev research notes on docs.mollie.com; code of receivers",
	},
	{Preset: "savvycal", Name: "SavvyCal", Key: "the secret of the webhook", Source: "triggerdotdev/trigger.dev research notes on savvycal.com/docs"},
	{
		Preset: "ashby", Name: "Ashby", Key: "Admin, Integrations, Webhooks: the webhook's secret token",
		Check: "ping, on each change of the webhook, is signed like any other event", Source: "hookdeck/webhook-skills, which quotes developers.ashbyhq.com",
	},
	{
		Preset: "airtable", Name: "Airtable", Key: "macSecretBase64, returned once when the webhook is created",
		Source: "hookdeck/webhook-skills, which quotes airtable.com/developers",
	},
	{
		Preset: "enode", Name: "Enode", Key: "the one that you give when you create the webhook through the API",
		Source: "hookdeck/webhook-skills, which quotes developers.enode.com",
	},
	{
		Preset: "microsoft-teams", Name: "Microsoft Teams, outgoing webhooks", Key: "the security token that Teams shows once, when the webhook is created",
		Source: "MicrosoftDocs/msteams-docs add-outgoing-webhook.md",
	},
	{Preset: "gogs", Name: "Gogs", Key: "Settings, Webhooks: Secret", Source: "gogs/gogs internal/database/webhook.go"},
	{
		Preset: "linear", Name: "Linear", Key: "the signing secret on the webhook's page",
		Source: "triggerdotdev/trigger.dev webhook-sources research notes",
	},
	{Preset: "sentry", Name: "Sentry", Key: "the client secret of the integration", Source: "triggerdotdev/trigger.dev webhook-sources research notes"},
	{
		Preset: "vercel", Name: "Vercel", Key: "the webhook's secret, or the client secret of the integration",
		Source: "hookdeck/webhook-skills vercel-webhooks verification.md",
	},
	{Preset: "webex", Name: "Webex", Key: "secret of the webhook", Source: "speedybot-mini documentation"},
	{Preset: "dropbox", Name: "Dropbox", Key: "the app secret", Check: "a GET with challenge", Source: "Yizack/nuxt-webhook-validators"},
	{Preset: "cal.com", Name: "Cal.com", Key: "the webhook's secret", Source: "Yizack/nuxt-webhook-validators"},
	{Preset: "pusher", Name: "Pusher", Key: "the secret of the app key", Source: "pusher/pusher-http-go"},
	{Preset: "coinbase-commerce", Name: "Coinbase Commerce", Key: "the webhook shared secret", Source: "coinbase/coinbase-commerce-node"},
	{Preset: "gocardless", Name: "GoCardless", Key: "the webhook endpoint's secret", Source: "gocardless/gocardless-pro-python"},
	{Preset: "razorpay", Name: "Razorpay", Key: "the webhook's secret", Source: "razorpay/razorpay-go"},
	{Preset: "logto", Name: "Logto", Key: "the signing key of the webhook", Source: "docs.logto.io, secure webhooks"},
	{Preset: "agentset", Name: "Agentset", Key: "the webhook's secret", Source: "docs.agentset.ai"},
	{Preset: "firstpromoter", Name: "FirstPromoter", Key: "the webhook's secret", Source: "docs.firstpromoter.com"},
	{Preset: "openorigins", Name: "OpenOrigins", Key: "the webhook's secret", Source: "openorigins.gitbook.io"},
	{Preset: "mts-link", Name: "MTS Link", Key: "the webhook's secret", Source: "help.mts-link.ru/article/25941"},
	{Preset: "botpress", Name: "Botpress", Key: "the webhook's secret", Source: "botpress.com/reference/authentication-1"},
	{Preset: "rocketgit", Name: "RocketGit", Key: "the webhook's key", Source: "RocketGit documentation, webhooks"},
	{
		Preset: "dwolla", Name: "Dwolla", Key: "the one that you give when you create the webhook subscription",
		Source: "developers.dwolla.com/docs/connect/webhooks/process-validate",
	},
	{
		Preset: "lemon-squeezy", Name: "Lemon Squeezy", Key: "Settings, Webhooks: the signing secret",
		Source: "triggerdotdev/trigger.dev research notes on docs.lemonsqueezy.com; code of receivers",
	},
	{
		Preset: "modern-treasury", Name: "Modern Treasury", Key: "the webhook key, under Developers, Webhooks",
		Source: "Modern-Treasury/modern-treasury-node tests/api-resources/webhooks.test.ts",
	},
	{
		Preset: "clickup", Name: "ClickUp", Key: "webhook.secret in the answer when the webhook is created through the API",
		Source: "developer.clickup.com/docs/webhooksignature",
	},
	{
		Preset: "attio", Name: "Attio", Key: "in the developer settings, and in the answer when the webhook is created through the API",
		Source: "docs.attio.com/rest-api/guides/webhooks",
	},
	{
		Preset: "nylas", Name: "Nylas v3", Key: "webhook_secret, shown once when the webhook is created",
		Check: "a GET with challenge", Source: "hookdeck/webhook-skills, which quotes developer.nylas.com",
	},
	{
		Preset: "checkout-com", Name: "Checkout.com", Key: "the signature key of the workflow's webhook action",
		Source: "hookdeck/webhook-skills, which quotes checkout.com/docs",
	},
	{
		Preset: "asana", Name: "Asana", Key: "the X-Hook-Secret of the handshake",
		Check: "a POST with X-Hook-Secret wants the same field back", Source: "hookdeck/webhook-skills, which quotes developers.asana.com",
	},
	{
		Preset: "launchdarkly", Name: "LaunchDarkly", Key: "Integrations, Webhooks: the secret, with \"Sign this webhook\" chosen",
		Source: "webhooks.fyi; code of receivers",
	},
	{Preset: "chargify", Name: "Chargify (Maxio Advanced Billing)", Key: "the site's shared key", Source: "webhooks.fyi; code of receivers"},
	{
		Preset: "nexus", Name: "Sonatype Nexus Repository", Key: "the secret key of the webhook's capability",
		Source: "fluxcd/notification-controller, which quotes help.sonatype.com",
	},
	{
		Preset: "sonarqube", Name: "SonarQube", Key: "Administration, Configuration, Webhooks: Secret",
		Source: "code of receivers that quotes docs.sonarsource.com",
	},
	{
		Preset: "terraform", Name: "HCP Terraform, Terraform Enterprise", Key: "the token of the notification configuration",
		Check: "the verification is signed like any other notification", Source: "code of receivers; developer.hashicorp.com, notification configurations",
	},
	{
		Preset: "alchemy", Name: "Alchemy Notify", Key: "the signing key on the webhook's page",
		Source: "hookdeck/webhook-skills, which quotes alchemy.com/docs",
	},
	{
		Preset: "grafana", Name: "Grafana alerting", Key: "the contact point, HMAC Signature: Secret",
		Source: "hookdeck/webhook-skills; grafana/grafana alerting, HMAC signature",
	},
	{Preset: "coinify", Name: "Coinify", Key: "the shared secret of the webhook", Source: "coinify.readme.io/docs/webhook-signature"},
	{Preset: "datasaur", Name: "Datasaur", Key: "the secret that you give when you register the webhook", Source: "docs.datasaur.ai, webhook signature"},
	{
		Preset: "paystack", Name: "Paystack", Key: "the secret key of the account, under Settings, API Keys & Webhooks",
		Source: "hookdeck/webhook-skills, which quotes paystack.com/docs",
	},
	{Preset: "uber", Name: "Uber Eats", Key: "the client secret of the app", Source: "hookdeck/webhook-skills, which quotes developer.uber.com"},
	{
		Preset: "bunny-stream", Name: "Bunny Stream", Key: "the Read-Only API key of the video library",
		Source: "hookdeck/webhook-skills, which quotes docs.bunny.net",
	},
	{
		Preset: "shopline", Name: "SHOPLINE", Key: "the app secret, in the Developer Center",
		Source: "hookdeck/webhook-skills, which checked a live delivery",
	},
	{
		Preset: "shopify", Name: "Shopify", Key: "the client secret of the app, or the one on the notifications page of the shop",
		Source: "bold-commerce/go-shopify",
	},
	{
		Preset: "woocommerce", Name: "WooCommerce", Key: "the webhook's secret",
		Check: "the first ping is a form", Source: "hookdeck/webhook-skills woocommerce-webhooks verification.md",
	},
	{
		Preset: "line", Name: "LINE", Key: "the channel secret",
		Check: "\"Verify\" in the console sends a signed delivery without events", Source: "developers.line.biz, verify the webhook signature",
	},
	{Preset: "heroku", Name: "Heroku", Key: "the one given when the webhook is created", Source: "Yizack/nuxt-webhook-validators"},
	{Preset: "fourthwall", Name: "Fourthwall", Key: "the webhook's secret", Source: "Yizack/nuxt-webhook-validators"},
	{Preset: "commerce-layer", Name: "Commerce Layer", Key: "the shared secret of the webhook", Source: "hookdeck/webhook-samples"},
	{Preset: "hookdeck", Name: "Hookdeck", Key: "the signing secret of the project", Source: "trigger.dev/docs, Hookdeck"},
	{Preset: "adyen-platform", Name: "Adyen platform webhooks", Key: "the HMAC key, in hex", Source: "Adyen/adyen-python-api-library"},
	{
		Preset: "xero", Name: "Xero", Key: "the webhooks key, in the developer portal",
		Check: "signed and forged requests", Source: "hookdeck/webhook-skills, which quotes developer.xero.com",
	},
	{
		Preset: "quickbooks", Name: "QuickBooks Online (Intuit)", Key: "the verifier token, in the developer portal under Webhooks",
		Source: "code of receivers that quotes developer.intuit.com",
	},
	{
		Preset: "tally", Name: "Tally", Key: "the form's Integrations, Webhooks: Signing secret",
		Source: "hookdeck/webhook-skills, which quotes tally.so/help",
	},
	{
		Preset: "acuity", Name: "Acuity Scheduling", Key: "the API key of the account",
		Source: "triggerdotdev/trigger.dev research notes on developers.acuityscheduling.com; code of receivers",
	},
	{
		Preset: "fastspring", Name: "FastSpring", Key: "Developer Tools, Webhooks, Configuration: HMAC SHA256 Secret",
		Source: "hookdeck/webhook-skills, which quotes developer.fastspring.com",
	},
	{
		Preset: "help-scout", Name: "Help Scout", Key: "the secret key of the webhook",
		Source: "triggerdotdev/trigger.dev research notes on developer.helpscout.com; code of receivers",
	},
	{
		Preset: "aftership", Name: "AfterShip Tracking, Returns, Warranty", Key: "the webhook secret of the product",
		Source: "hookdeck/webhook-skills, which quotes aftership.com/docs",
	},
	{Preset: "bolt", Name: "Bolt", Key: "the merchant's signing secret", Source: "webhooks.fyi; code of receivers that quotes help.bolt.com"},
	{
		Preset: "shiphero", Name: "ShipHero", Key: "shared_signature_secret, returned once by the mutation webhook_create",
		Source: "hookdeck/webhook-skills, which quotes developer.shiphero.com",
	},
	{
		Preset: "standard-webhooks", Name: "Standard Webhooks: OpenAI, Replicate, GitLab signing tokens, Brex, Lithic and others", Key: "whsec_…, as the sender shows it",
		Source: "standard-webhooks/standard-webhooks spec",
	},
	{
		Preset: "polar", Name: "Polar", Key: "the secret of the webhook endpoint, polar_whs_…",
		Source: "polarsource/polar-js src/webhooks.ts; Yizack/nuxt-webhook-validators",
	},
	{
		Preset: "svix", Name: "Svix: Clerk, Resend, Stytch and others", Key: "whsec_…, as the sender shows it",
		Source: "docs.svix.com, verifying webhooks manually",
	},
	{
		Preset: "slack", Name: "Slack", Key: "the signing secret of the app",
		Check: "url_verification is signed, and is answered without an option", Source: "docs.slack.dev, verifying requests from Slack",
	},
	{
		Preset: "zoom", Name: "Zoom", Key: "the secret token of the app",
		Check: "endpoint.url_validation is signed, repeats every 72 hours, and is answered without an option", Source: "zoom/webhook-sample",
	},
	{
		Preset: "twitch", Name: "Twitch EventSub", Key: "the secret of the subscription",
		Check: "webhook_callback_verification_pending is signed, and is answered without an option", Source: "Yizack/nuxt-webhook-validators",
	},
	{Preset: "zendesk", Name: "Zendesk", Key: "the signing secret of the webhook", Source: "inkeep/agents, which quotes developer.zendesk.com"},
	{Preset: "box", Name: "Box", Key: "the primary and the secondary signature key, as two secret lines", Source: "box/box-node-sdk"},
	{
		Preset: "webflow", Name: "Webflow", Key: "the webhook's secret key, or the client secret of the app",
		Source: "hookdeck/webhook-skills webflow-webhooks verification.md",
	},
	{Preset: "xobni", Name: "Xobni", Key: "the webhook's secret", Source: "xobni.ai/docs/webhooks/security"},
	{
		Preset: "front", Name: "Front, application webhooks", Key: "the app's signing key",
		Check: "a signed POST with X-Front-Challenge, which the app has to answer within 10 seconds", Source: "dev.frontapp.com/docs/application-webhooks",
	},
	{
		Preset: "customer-io", Name: "Customer.io, reporting webhooks", Key: "the webhook signing key, on the page of the integration Reporting Webhooks",
		Source: "hookdeck/webhook-skills, which quotes docs.customer.io",
	},
	{
		Preset: "close", Name: "Close", Key: "signature_key, in the answer when the webhook subscription is created",
		Source: "triggerdotdev/trigger.dev research notes on developer.close.com; code of receivers",
	},
	{Preset: "orb", Name: "Orb", Key: "the endpoint's signing secret", Source: "hookdeck/webhook-skills, which quotes docs.withorb.com"},
	{
		Preset: "frame-io", Name: "Frame.io", Key: "the signing key, shown once when the webhook or the custom action is created",
		Source: "webhooks.fyi; code of receivers that quotes developer.frame.io",
	},
	{
		Preset: "airwallex", Name: "Airwallex", Key: "Settings, Developer, Webhooks: the secret of the URL",
		Source: "hookdeck/webhook-skills, which quotes airwallex.com/docs",
	},
	{
		Preset: "cashfree", Name: "Cashfree Payments", Key: "the client secret of the account",
		Source: "cashfree.com/docs/payments/online/webhooks/signature-verification",
	},
	{
		Preset: "pylon", Name: "Pylon", Key: "shown once, when the destination is created",
		Source: "hookdeck/webhook-skills, which quotes getpylon.com/developers",
	},
	{
		Preset: "statsig", Name: "Statsig, event webhook", Key: "Project Settings, Integrations, Generic Webhook: Signing Secret",
		Source: "hookdeck/webhook-skills, which quotes docs.statsig.com",
	},
	{Preset: "stripe", Name: "Stripe", Key: "the signing secret of the endpoint, whsec_…", Source: "stripe-go webhook/client.go"},
	{Preset: "mux", Name: "Mux", Key: "the signing secret of the webhook", Source: "muxinc/mux-node-sdk tests"},
	{
		Preset: "calendly", Name: "Calendly", Key: "the signing key of the subscription",
		Source: "triggerdotdev/trigger.dev webhook-sources research notes",
	},
	{Preset: "elevenlabs", Name: "ElevenLabs", Key: "the secret of the webhook", Source: "hookdeck/webhook-skills elevenlabs-webhooks verification.md"},
	{Preset: "errornotifier", Name: "ErrorNotifier", Key: "the webhook's secret", Source: "errornotifier.com/docs"},
	{
		Preset: "buildkite", Name: "Buildkite", Key: "the token, with the signature mode chosen in Buildkite",
		Source: "buildkite.com/docs, webhooks, webhook signature",
	},
	{Preset: "cituro", Name: "Cituro", Key: "the webhook's secret", Source: "nuetzliches/hookaido internal/ingress/hmac.go"},
	{Preset: "workos", Name: "WorkOS", Key: "the signing secret of the endpoint", Source: "workos-go webhook_verification.go"},
	{
		Preset: "paddle", Name: "Paddle Billing", Key: "the secret key of the notification destination",
		Source: "PaddleHQ/paddle-go-sdk, PaddleHQ/paddle-node-sdk",
	},
	{
		Preset: "sanity", Name: "Sanity", Key: "the secret of the webhook, at sanity.io/manage under API",
		Source: "sanity-io/webhook-toolkit src/signature.ts",
	},
	{Preset: "retell", Name: "Retell AI", Key: "the API key with the webhook badge", Source: "hookdeck/webhook-skills, which quotes docs.retellai.com"},
	{
		Preset: "revenuecat", Name: "RevenueCat", Key: "the signing secret of the webhook integration",
		Source: "triggerdotdev/trigger.dev research notes on revenuecat.com/docs; code of receivers",
	},
	{
		Preset: "whereby", Name: "Whereby", Key: "the webhook's secret, in the Embedded dashboard",
		Source: "docs.whereby.com, webhooks, validating events",
	},
	{
		Preset: "tiktok", Name: "TikTok for Developers", Key: "the client secret of the app",
		Source: "hookdeck/webhook-skills, which quotes developers.tiktok.com",
	},
	{
		Preset: "cloudflare-stream", Name: "Cloudflare Stream", Key: "secret in the answer when the webhook is created through the API",
		Source: "cloudflare/cloudflare-docs stream, using-webhooks.mdx",
	},
	{
		Preset: "ghost", Name: "Ghost", Key: "Settings, Integrations, the webhook: Secret",
		Source: "TryGhost/Ghost core/server/services/webhooks/webhook-trigger.js",
	},
	{
		Preset: "knock", Name: "Knock", Key: "the webhook's signing secret, in the dashboard",
		Source: "hookdeck/webhook-skills, which quotes docs.knock.app",
	},
	{
		Preset: "courier", Name: "Courier", Key: "Settings, Outbound Webhooks: the signing secret",
		Source: "hookdeck/webhook-skills, which quotes courier.com/docs",
	},
	{
		Preset: "moonpay", Name: "MoonPay", Key: "the webhook API key, on the dashboard's page Developers",
		Source: "dev.moonpay.com/reference/reference-webhooks-signature",
	},
	{Preset: "square", Name: "Square", Key: "the signature key of the subscription", Source: "square/square-python-sdk"},
	{
		Preset: "tebex", Name: "Tebex", Key: "the webhook secret, under Developers, Webhooks, Endpoints",
		Check:  "the first delivery has the type validation.webhook. It is signed and goes to the app, which must answer 200 with {\"id\": …}, the id of that delivery",
		Source: "docs.tebex.io/developers/webhooks/overview",
	},
	{
		Preset: "trello", Name: "Trello", Key: "the application secret of your API key (\"OAuth1.0 secret\")",
		Check:  "Trello creates a webhook only if a HEAD request to its URL gets 200",
		Source: "developer.atlassian.com/cloud/trello/guides/rest-api/webhooks",
	},
	{
		Preset: "hubspot", Name: "HubSpot", Key: "the client secret of the app",
		Source: "developers.hubspot.com/docs, validating requests",
	},
	{
		Preset: "nmi", Name: "NMI", Key: "the signing key, in the merchant portal under Settings, Webhooks",
		Source: "docs.nmi.dev/reference/overview",
	},
	{
		Preset: "recurly", Name: "Recurly", Key: "the secret key of the endpoint, on the page of webhook endpoints",
		Source: "docs.recurly.com, signature verification",
	},
	{
		Preset: "worldpay", Name: "Worldpay", Key: "from your implementation manager, who also has to turn the field Event-Signature on",
		Source: "developer.worldpay.com/products/access/events/signature",
	},
	{
		Preset: "sinch", Name: "Sinch Conversation API", Key: "the secret that you give the webhook of the Conversation API",
		Source: "developers.sinch.com/docs/conversation/callbacks; sinch/sinch-sdk-dotnet",
	},
	{
		Preset: "chatwoot", Name: "Chatwoot", Key: "the secret of the webhook, shown when it is created",
		Source: "chatwoot.help, how to use webhooks",
	},
	{
		Preset: "docusign", Name: "DocuSign Connect", Key: "the HMAC key, in the administration under Connect, Connect Keys",
		Source: "developers.docusign.com/platform/webhooks/connect/validate",
	},
}

// publicSenders are those of presets with a public key.
var publicSenders = []Sender{
	{
		Preset: "discord", Name: "Discord, interactions", Key: "the app's General Information, Public Key",
		Check: "a signed PING, which is answered without an option", Source: "discord.com/developers/docs, interactions, overview",
	},
	{
		Preset: "discord-events", Name: "Discord, webhook events", Key: "the app's General Information, Public Key",
		Check: "a signed PING, which is answered without an option", Source: "discord.com/developers/docs, events, webhook events",
	},
	{
		Preset: "telnyx", Name: "Telnyx", Key: "the portal's Keys & Credentials, Public Key",
		Source: "team-telnyx/telnyx-python src/telnyx/lib/webhook_verification.py",
	},
	{
		Preset: "highlevel", Name: "HighLevel", Key: "HighLevel's documents, webhook authentication",
		Source: "marketplace.gohighlevel.com/docs, webhook authentication",
	},
	{
		Preset: "standard-webhooks", Name: "Standard Webhooks, v1a", Key: "the sender's page of the endpoint; it begins with whpk_",
		Source: "standard-webhooks/standard-webhooks spec",
	},
	{Preset: "svix", Name: "Svix, v1a", Key: "the sender's page of the endpoint; it begins with whpk_", Source: "svix/svix-webhooks README"},
	{
		Preset: "sendgrid", Name: "Twilio SendGrid, event webhook", Key: "Mail Settings, Event Webhook, Signature Verification",
		Source: "sendgrid/sendgrid-go helpers/eventwebhook",
	},
	{
		Preset: "github-secret-scanning", Name: "GitHub, secret scanning partners", Key: "GitHub's API, meta/public_keys/secret_scanning",
		Source: "docs.github.com, secret scanning partner program",
	},
	{
		Preset: "wise", Name: "Wise", Key: "Wise's documents, one key for production and one for the sandbox",
		Source: "transferwise/digital-signatures-examples",
	},
	{Preset: "kick", Name: "Kick", Key: "Kick's API, public/v1/public-key", Source: "docs.kick.com, events, webhook security"},
	{
		Preset: "wechat-pay", Name: "WeChat Pay, API v3", Key: "the merchant platform: the WeChat Pay public key, or the platform certificate",
		Source: "wechatpay-apiv3/wechatpay-go core/auth/validators",
	},
	{
		Preset: "manus", Name: "Manus", Key: "Manus's API, webhook.publicKey",
		Source: "open.manus.ai/docs/v2/webhooks-security",
	},
}

// tokenSenders are those of presets with a token.
var tokenSenders = []Sender{
	{
		Preset: "gitlab-token", Name: "GitLab, Secret token", Key: "the webhook's settings; a Signing token there is better, with standard-webhooks",
		Source: "docs.gitlab.com, delivery headers",
	},
	{
		Preset: "telegram", Name: "Telegram bots", Key: "secret_token of setWebhook: 1 to 256 letters, digits, _ and -",
		Source: "core.telegram.org, setWebhook",
	},
	{
		Preset: "huggingface", Name: "Hugging Face", Key: "the webhook's Secret",
		Source: "huggingface.co, webhook secret",
	},
	{
		Preset: "cloudflare-notifications", Name: "Cloudflare Notifications", Key: "Destinations, Webhooks, Secret; Cloudflare sends a test delivery when you save it",
		Check: "a test delivery when the destination is saved", Source: "developers.cloudflare.com, configure webhooks",
	},
	{
		Preset: "google-channel", Name: "Google Calendar, Drive and others: push notifications", Key: "token of the channel, in the watch request",
		Source: "developers.google.com, push notifications",
	},
	{
		Preset: "ringcentral", Name: "RingCentral", Key: "verificationToken of the subscription's deliveryMode",
		Check: "a POST with Validation-Token", Source: "developers.ringcentral.com, receiving webhooks",
	},
	{
		Preset: "buildkite-token", Name: "Buildkite", Key: "the notification service's Token; its signature is better, with buildkite",
		Source: "buildkite.com, pipelines webhooks",
	},
	{
		Preset: "cornerstone", Name: "Cornerstone", Key: "the webhook's API key",
		Source: "csod.dev, webhooks",
	},
	{
		Preset: "okta", Name: "Okta event hooks", Key: "Authentication field Authorization, and the whole value as Authentication secret",
		Check: "a GET with X-Okta-Verification-Challenge", Source: "developer.okta.com, event hooks",
	},
	{
		Preset: "supabase", Name: "Supabase database webhooks", Key: "the webhook's HTTP Headers; write a token of its own there, and not the service key that Supabase offers",
		Source: "supabase.com, database webhooks",
	},
	{
		Preset: "brevo", Name: "Brevo", Key: "auth of the webhook, with \"type\": \"bearer\"",
		Source: "developers.brevo.com, secured webhooks",
	},
	{
		Preset: "postmark", Name: "Postmark", Key: "the webhook's Basic auth credentials, or https://user:password@… as its URL",
		Source: "postmarkapp.com, webhooks overview",
	},
	{
		Preset: "pipedrive", Name: "Pipedrive", Key: "HTTP Auth username and password of the webhook",
		Source: "pipedrive.com, webhooks v2",
	},
	{
		Preset: "chargebee", Name: "Chargebee", Key: "Protect webhook URL with basic authentication",
		Source: "chargebee.com, webhook settings",
	},
	{
		Preset: "azure-devops", Name: "Azure DevOps service hooks", Key: "Basic authentication username and password of the subscription",
		Source: "learn.microsoft.com, webhooks with Azure DevOps",
	},
	{
		Preset: "workspace-one", Name: "VMware Workspace ONE UEM", Key: "Username and Password of the event notification",
		Source: "VMware Workspace ONE UEM, event notifications",
	},
	{
		Preset: "deepgram", Name: "Deepgram callbacks", Key: "https://user:password@… as the callback; its dg-token is the id of a key, and no secret",
		Source: "developers.deepgram.com, callback",
	},
}
