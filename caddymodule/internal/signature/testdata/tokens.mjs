// Computes tokens.json, the deliveries that the presets with a token are tested with:
//
//	node tokens.mjs > tokens.json
//
// As in presets.mjs, each sender's way of writing its token is written down here in code,
// and not taken from tokenpresets.go. The tokens are for these tests alone.
import { Buffer } from 'node:buffer'

const token = 'tk-3Kq9vYw0Zr7uXe5Lb2Np'
const other = 'tk-8Hd4mQc1Ts6oGj9Fa0Vy'
const credentials = 'hooks:3Kq9vYw0Zr7uXe5Lb2Np'
const otherCredentials = 'hooks:8Hd4mQc1Ts6oGj9Fa0Vy'
const json = '{"event":"ping","text":"héllo ✓"}'

// A client of HTTP writes a user and a password like this (RFC 7617, section 2).
const basic = (text) => 'Basic ' + Buffer.from(text, 'utf8').toString('base64')
const plain = (text) => text

// What each sender documents: the field, how the token is in it, and for the replay guard
// the fields and the body that make a delivery.
const senders = [
	{ preset: 'gitlab-token', source: 'docs.gitlab.com, delivery headers', field: 'X-Gitlab-Token', value: plain,
		headers: { 'X-Gitlab-Event': 'Push Hook', 'Idempotency-Key': 'f5e5f430-f57b-4e6e-9fac-d9128cd7232f' },
		change: { 'Idempotency-Key': '8a9a4a58-6d5c-4c8e-9a39-0d8d1f1c2b11' },
		payload: (h, body) => h['Idempotency-Key'] + '.' + body },
	{ preset: 'telegram', source: 'core.telegram.org, setWebhook', field: 'X-Telegram-Bot-Api-Secret-Token', value: plain, payload: (_, body) => body },
	{ preset: 'huggingface', source: 'huggingface.co, webhook secret', field: 'X-Webhook-Secret', value: plain },
	{ preset: 'cloudflare-notifications', source: 'developers.cloudflare.com, configure webhooks', field: 'cf-webhook-auth', value: plain },
	{ preset: 'google-channel', source: 'developers.google.com, push notifications', field: 'X-Goog-Channel-Token', value: plain, body: '',
		headers: { 'X-Goog-Channel-ID': '4ba78bf0-6a47-11e2-bcfd-0800200c9a77', 'X-Goog-Message-Number': '10', 'X-Goog-Resource-State': 'update' },
		change: { 'X-Goog-Message-Number': '11' },
		payload: (h, body) => h['X-Goog-Channel-ID'] + '.' + h['X-Goog-Message-Number'] + '.' + body },
	{ preset: 'ringcentral', source: 'developers.ringcentral.com, receiving webhooks', field: 'Verification-Token', value: plain, payload: (_, body) => body },
	{ preset: 'buildkite-token', source: 'buildkite.com, pipelines webhooks', field: 'X-Buildkite-Token', value: plain },
	{ preset: 'cornerstone', source: 'csod.dev, webhooks', field: 'x-api-key', value: plain },
	{ preset: 'okta', source: 'developer.okta.com, event hooks', field: 'Authorization', value: plain },
	{ preset: 'supabase', source: 'supabase.com, database webhooks', field: 'Authorization', value: (t) => 'Bearer ' + t },
	{ preset: 'brevo', source: 'developers.brevo.com, secured webhooks', field: 'Authorization', value: (t) => 'Bearer ' + t },
	{ preset: 'postmark', source: 'postmarkapp.com, webhooks overview', field: 'Authorization', value: basic },
	{ preset: 'pipedrive', source: 'pipedrive.com, webhooks v2', field: 'Authorization', value: basic },
	{ preset: 'chargebee', source: 'chargebee.com, webhook settings', field: 'Authorization', value: basic },
	{ preset: 'azure-devops', source: 'learn.microsoft.com, webhooks with Azure DevOps', field: 'Authorization', value: basic },
	{ preset: 'workspace-one', source: 'VMware Workspace ONE UEM, event notifications', field: 'Authorization', value: basic },
	{ preset: 'deepgram', source: 'developers.deepgram.com, callback', field: 'Authorization', value: basic },
]

const vectors = []
for (const sender of senders) {
	const [right, wrong] = sender.value === basic ? [credentials, otherCredentials] : [token, other]
	const body = sender.body ?? json
	const add = (name, values, verdict, change = {}, arrived = body) => {
		const headers = { ...sender.headers, ...change }
		const vector = { preset: sender.preset, name, source: 'computed by tokens.mjs from ' + sender.source, token: right, headers: {} }
		for (const [field, value] of Object.entries(headers)) vector.headers[field] = [value]
		if (values.length > 0) vector.headers[sender.field] = values
		vector.body = arrived
		if (verdict === 'accepted' && sender.payload) vector.delivery = sender.payload(headers, arrived)
		vectors.push({ ...vector, verdict })
	}
	const value = sender.value(right)
	add('right', [value], 'accepted')
	add('another body', [value], 'accepted', {}, body + '\n')
	if (sender.change) add('another delivery', [value], 'accepted', sender.change)
	add('another token', [sender.value(wrong)], 'token_mismatch')
	add('no token', [], 'token_missing')
	add('an empty field', [''], 'token_mismatch')
	add('the token twice', [value, value], 'token_ambiguous')
	add('another token in front', [sender.value(wrong), value], 'token_ambiguous')
	add('in another case', [value.toUpperCase()], 'token_mismatch')
	add('cut off', [value.slice(0, -1)], 'token_mismatch')
	add('with more behind it', [value + 'x'], 'token_mismatch')
	add('in quotes', [`"${value}"`], 'token_mismatch')
	if (value !== right) add('alone', [right], 'token_mismatch')
	if (value === right) add('behind Bearer', ['Bearer ' + right], 'token_mismatch')
}
console.log('[\n' + vectors.map((vector) => JSON.stringify(vector)).join(',\n') + '\n]')
