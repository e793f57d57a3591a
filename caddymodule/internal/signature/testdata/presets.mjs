// Computes presets.json, the deliveries that the presets are tested with:
//
//	node presets.mjs > presets.json
//
// Each sender's way of signing is written down here in code, from the document or
// code of the sender that is named with it, and not from presets.go. Where
// vectors.json has a published delivery of the sender, the code here must give the
// published signature, or nothing is printed.
import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'

const hex = (hash, key, ...parts) => createHmac(hash, key).update(parts.join('')).digest('hex')
const base64 = (hash, key, ...parts) => createHmac(hash, key).update(parts.join('')).digest('base64')
const bytes = (secret, encoding) => Buffer.from(secret, encoding)

// One moment in the ways that senders write it.
const at = 1760000000
const seconds = String(at)
const milliseconds = at + '123'
const date = '2025-10-09T08:53:20Z'
const nanoseconds = '2025-10-09T08:53:20.634234626Z'
const zoneless = '2025-10-09T08:53:20.551' // in UTC

// One key in two encodings.
const keyInHex = '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'
const keyInBase64 = Buffer.from(keyInHex, 'hex').toString('base64')

const xHub = (hash) => (s, d) => ({ 'X-Hub-Signature': `${hash}=` + hex(hash, s, d.body) })
const xHub256 = (s, d) => ({ 'X-Hub-Signature-256': 'sha256=' + hex('sha256', s, d.body) })
const stripe = (field, tag) => (s, d) => ({ [field]: `t=${d.ts},${tag}=` + hex('sha256', s, d.ts, '.', d.body) })
const bareHex = (field, hash = 'sha256') => (s, d) => ({ [field]: hex(hash, s, d.body) })
const bareBase64 = (field) => (s, d) => ({ [field]: base64('sha256', s, d.body) })
const tagged = (field, tag) => (s, d) => ({ [field]: tag + hex('sha256', s, d.body) })
const standard = (prefix, key = (s) => bytes(s.replace('whsec_', ''), 'base64')) => (s, d) => ({
	[prefix + 'id']: d.id,
	[prefix + 'timestamp']: d.ts,
	[prefix + 'signature']: 'v1,' + base64('sha256', key(s), d.id, '.', d.ts, '.', d.body),
})

// Of each sender: doc is where its signing is described, send makes the header
// fields. tag stands in front of the digest, ts is the time as the sender writes
// it, tolerance how many seconds it may be off, ahead how many in the future where
// that is another number. published are deliveries of
// vectors.json, with what cannot be read off them. also are further deliveries, by their
// names: the verdict, and the fields.
const senders = {
	hub: { doc: 'W3C WebSub, section 7.1', tag: 'sha256=', send: xHub('sha256'), published: [{ id: 'adnanh-sha256' }, { id: 'adnanh-empty-sha256' }] },
	chatbotkit: { doc: 'chatbotkit.com/docs/webhooks; chatbotkit/platform queue.js', tag: 'sha256=', send: xHub('sha256') },
	github: { doc: 'docs.github.com, validating webhook deliveries', tag: 'sha256=', send: xHub256, published: [{ id: 'github-docs' }, { id: 'octokit-basic' }, { id: 'octokit-unicode' }] },
	meta: { doc: 'chatbotkit/platform lib/meta.signature.ts; nyaruka/courier handlers/meta', tag: 'sha256=', send: xHub256, published: [{ id: 'courier-1' }, { id: 'meta-escaped-wire' }, { id: 'meta-unescaped', verdict: 'signature_mismatch' }] },
	websub: { doc: 'W3C WebSub, section 7.1', tag: 'sha1=', send: xHub('sha1'), published: [{ id: 'adnanh-sha1' }, { id: 'adnanh-empty-sha1' }, { id: 'go-github-sha1' }] },
	bitbucket: { doc: 'support.atlassian.com, manage webhooks, secure webhooks', tag: 'sha256=', send: xHub('sha256'), published: [{ id: 'atlassian-docs' }] },
	jira: { doc: 'developer.atlassian.com, Jira webhooks, secure admin webhooks', tag: 'sha256=', send: xHub('sha256'), published: [{ id: 'atlassian-docs' }] },
	gitea: { doc: 'go-gitea/gitea services/webhook/deliver.go', tag: 'sha256=', send: xHub256 },
	intercom: { doc: 'triggerdotdev/trigger.dev webhook-sources research notes; webhooks.fyi', tag: 'sha1=', send: xHub('sha1') },
	snyk: { doc: 'docs.snyk.io, validation and versioning of payloads', tag: 'sha256=', send: xHub('sha256') },
	creativex: { doc: 'creativex-content-api.readme.io', tag: 'sha256=', send: xHub256 },

	notion: { doc: 'makenotion/notion-sdk-js src/webhooks.ts', tag: 'sha256=', send: tagged('X-Notion-Signature', 'sha256=') },
	cursor: { doc: 'hookdeck/webhook-skills cursor-webhooks verification.md', tag: 'sha256=', send: tagged('X-Webhook-Signature', 'sha256=') },
	firecrawl: { doc: 'docs.firecrawl.dev/webhooks/security', tag: 'sha256=', send: tagged('X-Firecrawl-Signature', 'sha256=') },
	pagerduty: { doc: 'PagerDuty/developer-docs 04-Signatures.md', tag: 'v1=', send: tagged('X-PagerDuty-Signature', 'v1='), published: [{ id: 'pagerduty' }, { id: 'pagerduty-bad', verdict: 'signature_mismatch' }] },
	circleci: { doc: 'circleci-docs outbound-webhooks.adoc', tag: 'v1=', send: tagged('circleci-signature', 'v1='), published: [{ id: 'circleci-docs-1' }, { id: 'circleci-docs-2' }] },
	typeform: { doc: 'triggerdotdev/trigger.dev webhook-sources research notes', tag: 'sha256=', send: (s, d) => ({ 'Typeform-Signature': 'sha256=' + base64('sha256', s, d.body) }) },
	x: { doc: 'frain-dev/convoy pkg/verifier/verifier.go', tag: 'sha256=', send: (s, d) => ({ 'X-Twitter-Webhooks-Signature': 'sha256=' + base64('sha256', s, d.body) }) },
	autotask: { doc: 'autotask.net developer help, webhooks', tag: 'sha1=', send: (s, d) => ({ 'X-Hook-Signature': 'sha1=' + base64('sha1', s, d.body) }) },

	gogs: { doc: 'gogs/gogs internal/database/webhook.go', send: bareHex('X-Gogs-Signature') },
	linear: { doc: 'triggerdotdev/trigger.dev webhook-sources research notes', send: bareHex('Linear-Signature') },
	sentry: { doc: 'triggerdotdev/trigger.dev webhook-sources research notes', send: bareHex('sentry-hook-signature') },
	vercel: { doc: 'hookdeck/webhook-skills vercel-webhooks verification.md', send: bareHex('x-vercel-signature', 'sha1') },
	webex: { doc: 'speedybot-mini documentation', send: bareHex('X-Spark-Signature', 'sha1') },
	dropbox: { doc: 'Yizack/nuxt-webhook-validators', send: bareHex('X-Dropbox-Signature') },
	'cal.com': { doc: 'Yizack/nuxt-webhook-validators', send: bareHex('X-Cal-Signature-256') },
	pusher: { doc: 'pusher/pusher-http-go', send: bareHex('X-Pusher-Signature'), published: [{ id: 'pusher' }] },
	'coinbase-commerce': { doc: 'coinbase/coinbase-commerce-node', send: bareHex('X-CC-Webhook-Signature') },
	gocardless: { doc: 'gocardless/gocardless-pro-python', send: bareHex('Webhook-Signature'), published: [{ id: 'gocardless' }] },
	razorpay: { doc: 'razorpay/razorpay-go', send: bareHex('X-Razorpay-Signature') },
	logto: { doc: 'docs.logto.io, secure webhooks', send: bareHex('logto-signature-sha-256') },
	agentset: { doc: 'docs.agentset.ai', send: bareHex('Agentset-Signature') },
	firstpromoter: { doc: 'docs.firstpromoter.com', send: bareHex('X-Webhook-Signature') },
	openorigins: { doc: 'openorigins.gitbook.io', send: bareHex('X-OpenOrigins-Signature') },
	'mts-link': { doc: 'help.mts-link.ru/article/25941', send: bareHex('X-MtsLink-Signature') },
	botpress: { doc: 'botpress.com/reference/authentication-1', send: bareHex('x-signature') },
	rocketgit: { doc: 'RocketGit documentation, webhooks', send: bareHex('X-RocketGit-Signature', 'sha512') },

	shopify: { doc: 'bold-commerce/go-shopify', send: bareBase64('X-Shopify-Hmac-Sha256'), published: [{ id: 'shopify' }] },
	woocommerce: { doc: 'hookdeck/webhook-skills woocommerce-webhooks verification.md', send: bareBase64('X-WC-Webhook-Signature') },
	line: { doc: 'developers.line.biz, verify the webhook signature', send: bareBase64('X-Line-Signature') },
	heroku: { doc: 'Yizack/nuxt-webhook-validators', send: bareBase64('Heroku-Webhook-Hmac-SHA256') },
	fourthwall: { doc: 'Yizack/nuxt-webhook-validators', send: bareBase64('X-Fourthwall-Hmac-SHA256') },
	'commerce-layer': { doc: 'hookdeck/webhook-samples', send: bareBase64('X-CommerceLayer-Signature') },
	hookdeck: { doc: 'trigger.dev/docs, Hookdeck', send: bareBase64('X-Hookdeck-Signature') },
	'adyen-platform': {
		doc: 'Adyen/adyen-python-api-library', secret: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
		send: (s, d) => ({ HmacSignature: base64('sha256', bytes(s, 'hex'), d.body) }), published: [{ id: 'adyen-platform' }],
	},

	'standard-webhooks': {
		doc: 'standard-webhooks/standard-webhooks spec', secret: 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX', tag: 'v1,', ts: seconds, tolerance: 300, send: standard('webhook-'),
		published: [{ id: 'standard-webhooks' }, { id: 'standard-webhooks-multi' }, { id: 'standard-webhooks-stale', verdict: 'timestamp_out_of_range' }],
	},
	polar: {
		doc: 'polarsource/polar-js src/webhooks.ts; Yizack/nuxt-webhook-validators', secret: 'polar_whs_0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWX',
		tag: 'v1,', ts: seconds, tolerance: 300, send: standard('webhook-', (s) => bytes(s, 'utf8')),
	},
	svix: { doc: 'docs.svix.com, verifying webhooks manually', secret: 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX', tag: 'v1,', ts: seconds, tolerance: 300, send: standard('svix-') },
	slack: {
		doc: 'docs.slack.dev, verifying requests from Slack', tag: 'v0=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'X-Slack-Request-Timestamp': d.ts, 'X-Slack-Signature': 'v0=' + hex('sha256', s, 'v0:', d.ts, ':', d.body) }),
		published: [{ id: 'slack-docs' }],
	},
	zoom: {
		doc: 'zoom/webhook-sample', tag: 'v0=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'x-zm-request-timestamp': d.ts, 'x-zm-signature': 'v0=' + hex('sha256', s, 'v0:', d.ts, ':', d.body) }),
	},
	twitch: {
		doc: 'Yizack/nuxt-webhook-validators', tag: 'sha256=', ts: nanoseconds, tolerance: 600,
		send: (s, d) => ({
			'Twitch-Eventsub-Message-Id': d.id, 'Twitch-Eventsub-Message-Timestamp': d.ts,
			'Twitch-Eventsub-Message-Signature': 'sha256=' + hex('sha256', s, d.id, d.ts, d.body),
		}),
	},
	zendesk: {
		doc: 'inkeep/agents, which quotes developer.zendesk.com', ts: date, tolerance: 300,
		send: (s, d) => ({ 'X-Zendesk-Webhook-Signature-Timestamp': d.ts, 'X-Zendesk-Webhook-Signature': base64('sha256', s, d.ts, d.body) }),
	},
	box: {
		doc: 'box/box-node-sdk', ts: date, tolerance: 600,
		send: (s, d) => ({ 'BOX-DELIVERY-TIMESTAMP': d.ts, 'BOX-SIGNATURE-PRIMARY': base64('sha256', s, d.body, d.ts) }),
		published: [{ id: 'box-primary' }, { id: 'box-primary', secret: 'SampleSecondaryKey', as: 'the secondary key', primary: false }],
	},
	webflow: {
		doc: 'hookdeck/webhook-skills webflow-webhooks verification.md', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'x-webflow-timestamp': d.ts, 'x-webflow-signature': hex('sha256', s, d.ts, ':', d.body) }),
	},
	xobni: {
		doc: 'xobni.ai/docs/webhooks/security', tag: 'sha256=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'X-Xobni-Timestamp': d.ts, 'X-Xobni-Signature': 'sha256=' + hex('sha256', s, d.ts, '.', d.body) }),
	},

	stripe: { doc: 'stripe-go webhook/client.go', tag: 'v1=', ts: seconds, tolerance: 300, send: stripe('Stripe-Signature', 'v1') },
	mux: { doc: 'muxinc/mux-node-sdk tests', tag: 'v1=', ts: seconds, tolerance: 300, send: stripe('Mux-Signature', 'v1') },
	calendly: { doc: 'triggerdotdev/trigger.dev webhook-sources research notes', tag: 'v1=', ts: seconds, tolerance: 300, send: stripe('Calendly-Webhook-Signature', 'v1') },
	elevenlabs: { doc: 'hookdeck/webhook-skills elevenlabs-webhooks verification.md', tag: 'v0=', ts: seconds, tolerance: 1800, send: stripe('ElevenLabs-Signature', 'v0') },
	errornotifier: { doc: 'errornotifier.com/docs', tag: 'v1=', ts: seconds, tolerance: 300, send: stripe('X-ErrorNotifier-Signature', 'v1') },
	buildkite: {
		doc: 'buildkite.com/docs, webhooks, webhook signature', tag: 'signature=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'X-Buildkite-Signature': `timestamp=${d.ts},signature=` + hex('sha256', s, d.ts, '.', d.body) }),
	},
	cituro: { doc: 'nuetzliches/hookaido internal/ingress/hmac.go', tag: 's=', ts: milliseconds, tolerance: 300, send: stripe('X-CITURO-SIGNATURE', 's') },
	workos: {
		doc: 'workos-go webhook_verification.go', tag: 'v1=', ts: milliseconds, tolerance: 180, ahead: 300,
		send: (s, d) => ({ 'WorkOS-Signature': `t=${d.ts}, v1=` + hex('sha256', s, d.ts, '.', d.body) }),
	},
	paddle: {
		doc: 'PaddleHQ/paddle-go-sdk, PaddleHQ/paddle-node-sdk', tag: 'h1=', ts: seconds, tolerance: 5, ahead: 300,
		send: (s, d) => ({ 'Paddle-Signature': `ts=${d.ts};h1=` + hex('sha256', s, d.ts, ':', d.body) }),
		published: [{ id: 'paddle-go' }, { id: 'paddle-node' }],
	},

	square: {
		doc: 'square/square-python-sdk', url: 'https://example.com/square?a=%41',
		send: (s, d) => ({ 'X-Square-HmacSha256-Signature': base64('sha256', s, d.url, d.body) }), published: [{ id: 'square' }],
	},

	// Further senders, in the order of the classes above.
	fireflies: { doc: 'hookdeck/webhook-skills, which quotes docs.fireflies.ai', tag: 'sha256=', send: xHub('sha256') },

	discourse: { doc: 'discourse/discourse app/jobs/regular/emit_web_hook_event.rb', tag: 'sha256=', send: tagged('X-Discourse-Event-Signature', 'sha256=') },
	mollie: { doc: 'triggerdotdev/trigger.dev research notes on docs.mollie.com; code of receivers', tag: 'sha256=', send: tagged('X-Mollie-Signature', 'sha256=') },
	savvycal: { doc: 'triggerdotdev/trigger.dev research notes on savvycal.com/docs', tag: 'sha256=', send: tagged('X-Savvycal-Signature', 'sha256=') },
	ashby: { doc: 'hookdeck/webhook-skills, which quotes developers.ashbyhq.com', tag: 'sha256=', send: tagged('Ashby-Signature', 'sha256=') },
	airtable: {
		doc: 'hookdeck/webhook-skills, which quotes airtable.com/developers', secret: keyInBase64, tag: 'hmac-sha256=',
		send: (s, d) => ({ 'X-Airtable-Content-MAC': 'hmac-sha256=' + hex('sha256', bytes(s, 'base64'), d.body) }),
	},
	enode: { doc: 'hookdeck/webhook-skills, which quotes developers.enode.com', tag: 'sha1=', send: (s, d) => ({ 'x-enode-signature': 'sha1=' + hex('sha1', s, d.body) }) },
	'microsoft-teams': {
		doc: 'MicrosoftDocs/msteams-docs add-outgoing-webhook.md', secret: keyInBase64, tag: 'HMAC ',
		send: (s, d) => ({ Authorization: 'HMAC ' + base64('sha256', bytes(s, 'base64'), d.body) }),
	},

	dwolla: { doc: 'developers.dwolla.com/docs/connect/webhooks/process-validate', send: bareHex('X-Request-Signature-SHA-256') },
	'lemon-squeezy': { doc: 'triggerdotdev/trigger.dev research notes on docs.lemonsqueezy.com; code of receivers', send: bareHex('X-Signature') },
	'modern-treasury': {
		doc: 'Modern-Treasury/modern-treasury-node tests/api-resources/webhooks.test.ts', send: bareHex('X-Signature'),
		published: [{ id: 'modern-treasury' }, { id: 'modern-treasury-nested' }],
	},
	clickup: { doc: 'developer.clickup.com/docs/webhooksignature', send: bareHex('X-Signature') },
	attio: { doc: 'docs.attio.com/rest-api/guides/webhooks', send: bareHex('Attio-Signature') },
	nylas: { doc: 'hookdeck/webhook-skills, which quotes developer.nylas.com', send: bareHex('X-Nylas-Signature') },
	'checkout-com': { doc: 'hookdeck/webhook-skills, which quotes checkout.com/docs', send: bareHex('Cko-Signature') },
	asana: { doc: 'hookdeck/webhook-skills, which quotes developers.asana.com', send: bareHex('X-Hook-Signature') },
	launchdarkly: { doc: 'webhooks.fyi; code of receivers', send: bareHex('X-LD-Signature') },
	chargify: { doc: 'webhooks.fyi; code of receivers', send: bareHex('X-Chargify-Webhook-Signature-Hmac-Sha-256') },
	nexus: { doc: 'fluxcd/notification-controller, which quotes help.sonatype.com', send: bareHex('X-Nexus-Webhook-Signature', 'sha1') },
	sonarqube: { doc: 'code of receivers that quotes docs.sonarsource.com', send: bareHex('X-Sonar-Webhook-HMAC-SHA256') },
	terraform: { doc: 'code of receivers; developer.hashicorp.com, notification configurations', send: bareHex('X-TFE-Notification-Signature', 'sha512') },
	alchemy: { doc: 'hookdeck/webhook-skills, which quotes alchemy.com/docs', send: bareHex('X-Alchemy-Signature') },
	grafana: { doc: 'hookdeck/webhook-skills; grafana/grafana alerting, HMAC signature', send: bareHex('X-Grafana-Alerting-Signature') },
	coinify: { doc: 'coinify.readme.io/docs/webhook-signature', send: bareHex('X-Coinify-Webhook-Signature'), published: [{ id: 'coinify' }] },
	datasaur: { doc: 'docs.datasaur.ai, webhook signature', send: bareHex('X-Datasaur-Signature'), published: [{ id: 'datasaur' }] },
	paystack: { doc: 'hookdeck/webhook-skills, which quotes paystack.com/docs', send: bareHex('x-paystack-signature', 'sha512') },
	uber: { doc: 'hookdeck/webhook-skills, which quotes developer.uber.com', send: bareHex('X-Uber-Signature') },
	'bunny-stream': { doc: 'hookdeck/webhook-skills, which quotes docs.bunny.net', send: bareHex('X-BunnyStream-Signature') },
	shopline: { doc: 'hookdeck/webhook-skills, which checked a live delivery', send: bareHex('X-Shopline-Hmac-Sha256') },

	xero: { doc: 'hookdeck/webhook-skills, which quotes developer.xero.com', send: bareBase64('x-xero-signature') },
	quickbooks: { doc: 'code of receivers that quotes developer.intuit.com', send: bareBase64('intuit-signature') },
	tally: { doc: 'hookdeck/webhook-skills, which quotes tally.so/help', send: bareBase64('Tally-Signature') },
	acuity: { doc: 'triggerdotdev/trigger.dev research notes on developers.acuityscheduling.com; code of receivers', send: bareBase64('X-Acuity-Signature') },
	fastspring: { doc: 'hookdeck/webhook-skills, which quotes developer.fastspring.com', send: bareBase64('X-FS-Signature') },
	'help-scout': { doc: 'triggerdotdev/trigger.dev research notes on developer.helpscout.com; code of receivers', send: (s, d) => ({ 'X-HelpScout-Signature': base64('sha1', s, d.body) }) },
	aftership: { doc: 'hookdeck/webhook-skills, which quotes aftership.com/docs', send: bareBase64('aftership-hmac-sha256') },
	bolt: { doc: 'webhooks.fyi; code of receivers that quotes help.bolt.com', send: bareBase64('X-Bolt-Hmac-Sha256') },
	shiphero: { doc: 'hookdeck/webhook-skills, which quotes developer.shiphero.com', send: bareBase64('x-shiphero-hmac-sha256') },

	front: {
		doc: 'dev.frontapp.com/docs/application-webhooks', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'X-Front-Request-Timestamp': d.ts, 'X-Front-Signature': base64('sha256', s, d.ts, ':', d.body) }),
	},
	'customer-io': {
		doc: 'hookdeck/webhook-skills, which quotes docs.customer.io', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'X-CIO-Timestamp': d.ts, 'X-CIO-Signature': hex('sha256', s, 'v0:', d.ts, ':', d.body) }),
	},
	close: {
		doc: 'triggerdotdev/trigger.dev research notes on developer.close.com; code of receivers', secret: keyInHex, ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'close-sig-timestamp': d.ts, 'close-sig-hash': hex('sha256', bytes(s, 'hex'), d.ts, d.body) }),
	},
	orb: {
		doc: 'hookdeck/webhook-skills, which quotes docs.withorb.com', tag: 'v1=', ts: zoneless, tolerance: 300,
		send: (s, d) => ({ 'X-Orb-Timestamp': d.ts, 'X-Orb-Signature': 'v1=' + hex('sha256', s, 'v1:', d.ts, ':', d.body) }),
	},
	'frame-io': {
		doc: 'webhooks.fyi; code of receivers that quotes developer.frame.io', tag: 'v0=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'X-Frameio-Request-Timestamp': d.ts, 'X-Frameio-Signature': 'v0=' + hex('sha256', s, 'v0:', d.ts, ':', d.body) }),
	},
	airwallex: {
		doc: 'hookdeck/webhook-skills, which quotes airwallex.com/docs', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'x-timestamp': d.ts, 'x-signature': hex('sha256', s, d.ts, d.body) }),
	},
	cashfree: {
		doc: 'cashfree.com/docs/payments/online/webhooks/signature-verification', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'x-webhook-timestamp': d.ts, 'x-webhook-signature': base64('sha256', s, d.ts, d.body) }),
	},
	pylon: {
		doc: 'hookdeck/webhook-skills, which quotes getpylon.com/developers', tag: 'hs256=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'Pylon-Webhook-Timestamp': d.ts, 'Pylon-Webhook-Signature': 'hs256=' + hex('sha256', s, d.ts, '.', d.body) }),
	},
	statsig: {
		doc: 'hookdeck/webhook-skills, which quotes docs.statsig.com', tag: 'v0=', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'X-Statsig-Request-Timestamp': d.ts, 'X-Statsig-Signature': 'v0=' + hex('sha256', s, 'v0:', d.ts, ':', d.body) }),
	},

	sanity: {
		doc: 'sanity-io/webhook-toolkit src/signature.ts', tag: 'v1=', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'sanity-webhook-signature': `t=${d.ts},v1=` + createHmac('sha256', s).update(d.ts + '.' + d.body).digest('base64url') }),
		published: [{ id: 'sanity' }],
	},
	retell: {
		doc: 'hookdeck/webhook-skills, which quotes docs.retellai.com', tag: 'd=', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'X-Retell-Signature': `v=${d.ts},d=` + hex('sha256', s, d.body, d.ts) }),
	},
	revenuecat: { doc: 'triggerdotdev/trigger.dev research notes on revenuecat.com/docs; code of receivers', tag: 'v1=', ts: seconds, tolerance: 300, send: stripe('X-RevenueCat-Webhook-Signature', 'v1') },
	whereby: { doc: 'docs.whereby.com, webhooks, validating events', tag: 'v1=', ts: seconds, tolerance: 300, send: stripe('Whereby-Signature', 'v1') },
	tiktok: { doc: 'hookdeck/webhook-skills, which quotes developers.tiktok.com', tag: 's=', ts: seconds, tolerance: 300, send: stripe('TikTok-Signature', 's') },
	'cloudflare-stream': {
		doc: 'cloudflare/cloudflare-docs stream, using-webhooks.mdx', tag: 'sig1=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'Webhook-Signature': `time=${d.ts},sig1=` + hex('sha256', s, d.ts, '.', d.body) }),
	},
	ghost: {
		doc: 'TryGhost/Ghost core/server/services/webhooks/webhook-trigger.js', tag: 'sha256=', ts: milliseconds, tolerance: 300,
		cut: (text) => text.replace(/....,/, ','),
		send: (s, d) => ({ 'X-Ghost-Signature': 'sha256=' + hex('sha256', s, d.body, d.ts) + `, t=${d.ts}` }),
	},
	knock: {
		doc: 'hookdeck/webhook-skills, which quotes docs.knock.app', tag: 's=', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'x-knock-signature': `t=${d.ts},s=` + base64('sha256', s, d.ts, '.', d.body) }),
	},
	courier: {
		doc: 'hookdeck/webhook-skills, which quotes courier.com/docs', tag: 'signature=', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'courier-signature': `t=${d.ts},signature=` + hex('sha256', s, d.ts, '.', d.body) }),
	},
	moonpay: { doc: 'dev.moonpay.com/reference/reference-webhooks-signature', tag: 's=', ts: seconds, tolerance: 300, send: stripe('Moonpay-Signature-V2', 's') },
	tebex: {
		doc: 'docs.tebex.io/developers/webhooks/overview',
		send: (s, d) => ({ 'X-Signature': hex('sha256', s, createHash('sha256').update(d.body).digest('hex')) }),
		also: (s, d) => ({ 'the body itself is signed': ['signature_mismatch', { 'X-Signature': hex('sha256', s, d.body) }] }),
	},
	trello: {
		doc: 'developer.atlassian.com/cloud/trello/guides/rest-api/webhooks', url: 'https://example.com/trello?memberID=14&mainModel=true',
		send: (s, d) => ({ 'X-Trello-Webhook': base64('sha1', s, d.body, d.url) }),
	},
	hubspot: {
		doc: 'developers.hubspot.com/docs, validating requests', url: 'https://example.com/hubspot', method: 'POST', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'X-HubSpot-Request-Timestamp': d.ts, 'X-HubSpot-Signature-v3': base64('sha256', s, d.method, d.url, d.body, d.ts) }),
		also: (s, d) => ({ 'another method is signed': ['signature_mismatch', { 'X-HubSpot-Request-Timestamp': d.ts, 'X-HubSpot-Signature-v3': base64('sha256', s, 'PUT', d.url, d.body, d.ts) }] }),
	},
	nmi: {
		doc: 'docs.nmi.dev/reference/overview', tag: 's=',
		send: (s, d) => ({ 'Webhook-Signature': 't=f3c1e9a2b7d84c15,s=' + hex('sha256', s, 'f3c1e9a2b7d84c15.', d.body) }),
		also: (s, d) => ({
			'another nonce than the signed one': ['signature_mismatch', { 'Webhook-Signature': 't=f3c1e9a2b7d84c16,s=' + hex('sha256', s, 'f3c1e9a2b7d84c15.', d.body) }],
			'a nonce with a point': ['malformed_signature', { 'Webhook-Signature': 't=f3c1.e9a2,s=' + hex('sha256', s, 'f3c1.e9a2.', d.body) }],
			'no nonce': ['malformed_signature', { 'Webhook-Signature': 's=' + hex('sha256', s, '.', d.body) }],
		}),
	},
	recurly: {
		doc: 'docs.recurly.com, signature verification', ts: milliseconds, tolerance: 300,
		send: (s, d) => ({ 'recurly-signature': `${d.ts},` + hex('sha256', s, d.ts, '.', d.body) }),
		also: (s, d) => ({ 'the signature of the former key in front': ['accepted', { 'recurly-signature': `${d.ts},${hex('sha256', 'a former key', d.ts, '.', d.body)},` + hex('sha256', s, d.ts, '.', d.body) }] }),
	},
	worldpay: {
		doc: 'developer.worldpay.com/products/access/events/signature', tag: '1/SHA256/', send: tagged('Event-Signature', '1/SHA256/'),
		also: (s, d) => ({ 'the signature of another key in front': ['accepted', { 'Event-Signature': `2/SHA256/${hex('sha256', 'another key', d.body)},1/SHA256/` + hex('sha256', s, d.body) }] }),
	},
	sinch: {
		doc: 'developers.sinch.com/docs/conversation/callbacks; sinch/sinch-sdk-dotnet', ts: seconds, tolerance: 300,
		send: (s, d) => ({
			'x-sinch-webhook-signature-nonce': d.id, 'x-sinch-webhook-signature-timestamp': d.ts,
			'x-sinch-webhook-signature': base64('sha256', s, d.body, '.', d.id, '.', d.ts),
		}),
		published: [{ id: 'sinch' }],
	},
	chatwoot: {
		doc: 'chatwoot.help, how to use webhooks', tag: 'sha256=', ts: seconds, tolerance: 300,
		send: (s, d) => ({ 'X-Chatwoot-Timestamp': d.ts, 'X-Chatwoot-Signature': 'sha256=' + hex('sha256', s, d.ts, '.', d.body) }),
	},
	docusign: {
		doc: 'developers.docusign.com/platform/webhooks/connect/validate', send: bareBase64('X-DocuSign-Signature-1'),
		also: (s, d) => ({
			'the second key': ['accepted', { 'X-DocuSign-Signature-1': base64('sha256', 'another key', d.body), 'X-DocuSign-Signature-2': base64('sha256', s, d.body) }],
			'a sixth key': ['missing_signature', { 'X-DocuSign-Signature-6': base64('sha256', s, d.body) }],
		}),
	},
}

const secret = 'wk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'
const body = '{"eventType":"test","eventData":{"text":"héllo ✓"}}'

// deliveries returns one right delivery of a sender, and others that are wrong in
// one point each.
function deliveries(preset, sender) {
	const right = { secret: sender.secret ?? secret, url: sender.url, method: sender.method, body, now: at, ts: sender.ts, id: 'msg_2Lml7x' }
	const headers = sender.send(right.secret, right)
	const field = Object.keys(headers).at(-1)
	const vector = (name, verdict, change = {}) => ({
		preset, name, source: 'computed by presets.mjs from ' + sender.doc,
		secret: right.secret, method: right.method, url: right.url, headers, body, now: at, verdict, ...change,
	})
	const value = (text) => ({ headers: { ...headers, [field]: text } })
	const vectors = [
		vector('right', 'accepted'),
		vector('another body', 'signature_mismatch', { body: body + '\n' }),
		vector('truncated', 'malformed_signature', value((sender.cut ?? ((text) => text.slice(0, -4)))(headers[field]))),
		vector('no signature', 'missing_signature', { headers: { ...headers, [field]: undefined } }),
	]
	if (sender.tag) {
		const named = 'X-Hub-Signature' === field || 'X-Hub-Signature-256' === field
		vectors.push(vector('another tag', named ? 'algorithm_not_allowed' : 'malformed_signature', value(headers[field].replace(sender.tag, 'v9' + sender.tag.at(-1)))))
	}
	for (const [name, [verdict, fields]] of Object.entries(sender.also?.(right.secret, right) ?? {})) vectors.push(vector(name, verdict, { headers: fields }))
	if (sender.tolerance) {
		vectors.push(vector('just in time', 'accepted', { now: at + sender.tolerance }))
		vectors.push(vector('too late', 'timestamp_out_of_range', { now: at + sender.tolerance + 2 }))
		vectors.push(vector('from the future', 'timestamp_out_of_range', { now: at - (sender.ahead ?? sender.tolerance) - 2 }))
		if (sender.ahead) vectors.push(vector('as a clock that is behind sees it', 'accepted', { now: at - sender.ahead + 1 }))
		const later = String(sender.ts).replace('176', '177').replace('2025', '2026')
		const fields = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, text.replace(sender.ts, later)]))
		const now = /^\d+$/.test(later) ? at + 10000000 : at + 365 * 86400
		vectors.push(vector('another time than the signed one', 'signature_mismatch', { headers: fields, now }))
	}
	return vectors
}

const file = JSON.parse(readFileSync(new URL('vectors.json', import.meta.url)))

// published refers to a delivery of vectors.json, after signing it again.
function published(preset, sender, entry) {
	const vector = file.vectors.find((v) => v.id === entry.id)
	const ts = Object.entries(vector.headers).find(([name, value]) => /timestamp/i.test(name) || /^ts?=/.test(value))?.[1].match(/^(?:ts?=)?([^;,]+)/)[1]
	const id = Object.entries(vector.headers).find(([name]) => /-(id|nonce)$/i.test(name))?.[1]
	if ((entry.verdict ?? 'accepted') !== 'signature_mismatch' && entry.primary !== false) {
		for (const [name, value] of Object.entries(sender.send(vector.secret, { ...vector, ts, id }))) {
			const found = vector.headers[name] ?? ''
			if (!found.split(' ').includes(value)) throw new Error(`${preset}: ${entry.id}: ${name} is ${value}, published ${found}`)
		}
	}
	return { preset, name: entry.as ?? 'published', source: vector.source, published: entry.id, secret: entry.secret, verdict: entry.verdict ?? 'accepted' }
}

const all = Object.entries(senders).flatMap(([preset, sender]) => [
	...(sender.published ?? []).map((entry) => published(preset, sender, entry)),
	...deliveries(preset, sender),
])
console.log('[\n' + all.map((vector) => JSON.stringify(vector)).join(',\n') + '\n]')
