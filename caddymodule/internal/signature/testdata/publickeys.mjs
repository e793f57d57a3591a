// Computes publickeys.json, the deliveries that the presets with a public key are tested
// with:
//
//	node publickeys.mjs > publickeys.json
//
// As in presets.mjs, each sender's way of signing is written down here in code, and not
// taken from presets.go. The keys are for these tests alone. ECDSA is written out after
// RFC 6979, because node's signatures are random; node verifies them.
import { createHash, createHmac, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'

// RFC 8032, section 7.1, tests 2 and 3.
const ed = (seed) => createPrivateKey({ key: Buffer.from('302e020100300506032b657004220420' + seed, 'hex'), format: 'der', type: 'pkcs8' })
const edKey = ed('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb')
const edOther = ed('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7')
const edSign = (key, text) => sign(null, Buffer.from(text), key)

const rsaKey = createPrivateKey(`-----BEGIN PRIVATE KEY-----
MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQCe73OapteMTEB4
8SK9lMy17Sik19xEuE3uRvfyIn+ePxJYwMtp4PIwQW+FVcKUP3Z7/UxQtByUjJ4X
23CsZMfN9q940J37fAWVQ1M0CpcWmzAfZh1I7mK2Wpda/91RgRl+WFY8uRMltK8F
tci5IwjnZkkzrm3MCD15l3Xq3M94FiEgEmshxBRZdmwqZ69UPCvGfRDaJ2KWBwiY
nQ0g9rLw9ESZQm/c1yXIHpOnsUdSgCRk4Wc9dvVS+cYv3ULGSe5Hv12BXQRMI24k
b7JMnUIMNi1pO5SGHkhwZHt8w0vlxYTGExVzoGaytcTN64eFR4+oIZfw3FzOBdXt
Wrh4+tf7AgMBAAECggEABU6WO/NsPnQMBxMjh38LeDEAwBhbyN5P7oU8zD9YpuO7
l25rRxAgJiUD4J46JBHGbAzLhTpZEKDCuqXff5zR4HpnO4/ZEUeqjA8Lx9tpVh49
H3SdGmKotdFqkmWkHI+aAVJZIX1F5WbAyAkHjcmyB2qum7osUmQdYWJW/qOm4ynp
0jkEqKHkUTCokW5vSx54usHnzvsA7NjcMRs8SSUCH70iP9KYs/HrcNfXbUB3LHfV
JhcVRH+WBGvRGzfbBLE9G+njLFehccqSGRSA9SyN1iTWC4/OeXrQoQ66T8zv+fNQ
ytzNikEJVYw8YfK9Y/Y25zCv6IOUgQHOkohBA+i0mQKBgQDam5JckJUoUD14+FVz
9Kxc5t8VEzPU2uOXPOczSyGz6bpKaXumAsA499uQ7y04z4ybQYpssptEEKlNHxut
XolhhO0vQQDduNMCKll8u7XGjinQZ8jvHm8ZfIfAX/Fvnrb6gU+b2wxenSGvTJO1
3FowCr0/fFGowYyuBHuU7Ye0vQKBgQC6HvAaOnkEjdifWLbwSGMtSrM/VEo/9EBz
RdzCvrZ4kLEHhySCWa9tVCXPoHf/HcxkECqPlwqo39VOFtgEUeyPHzMmdu+7QHLd
9c4Qjwz0fTqMxD5Zmtm2vzd3oQWD978ZW7NmrUuCu28gDR/mZqS+AzdLkD+255ZB
kUVbmZk3FwKBgQCbuWjYkZH/RrGTo+tTj77c6wWNAMHSZh7sFFFqI6IdhGjVKzEO
wDToIAADza08I/U4f8a4yb57DRddPcS8inR4yHUhTT/tsgR2LW7TwO+rQogc0mG7
nMVttV0KuA3IApq79jOchbzZBTwCoR0z1oVUZcIMIGYXPdEWAVF7dH1QTQKBgQCx
dMoM1++Gzg/abmWOWBZnmq+pFB7vN100C0pfTCMCdUK1IL9IoWZH4VFj02ZWEf1M
8rUBz0tUlIX2PIWeKNZZ56+HXyNX8C0VQEZHN31spvHqQToJiUFHoq2qHBb8Kn1E
GlDE9znl3fwoHRtrPDabDMnt/A0jwU9cGLx+h8az5QKBgQCFFnMKPTFxc8JrjN3y
DMjWuHBj7BKAYOVjJPsW8Ggl/wHqi1GCMqyMS/8y/Ly0PnpPJKPeKx4D4/7PgvH0
O8LxS/ITBG7uPnYFEW3UccRiDwc7PMx6VDRe9/QllSXpvpbgcuhcce+5w6AIe+kY
diCRVvv6gzfV8VkYIm3636v0sw==
-----END PRIVATE KEY-----`)
const rsaSign = (key, text) => sign('sha256', Buffer.from(text), key)

// P-256, with numbers.
const p = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const g = [0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n, 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n]
const mod = (a, m) => ((a % m) + m) % m
const inverse = (a, m) => { // by Fermat
	let [result, base] = [1n, mod(a, m)]
	for (let e = m - 2n; e > 0n; e >>= 1n) {
		if (e & 1n) result = result * base % m
		base = base * base % m
	}
	return result
}
const add = (a, b) => {
	if (!a || !b) return a ?? b
	if (a[0] === b[0] && mod(a[1] + b[1], p) === 0n) return null
	const slope = a[0] === b[0] ? mod((3n * a[0] * a[0] - 3n) * inverse(2n * a[1], p), p) : mod((b[1] - a[1]) * inverse(b[0] - a[0], p), p)
	const x = mod(slope * slope - a[0] - b[0], p)
	return [x, mod(slope * (a[0] - x) - a[1], p)]
}
const times = (k, point) => {
	let result = null
	for (; k > 0n; k >>= 1n, point = add(point, point)) if (k & 1n) result = add(result, point)
	return result
}
const octets = (number) => Buffer.from(number.toString(16).padStart(64, '0'), 'hex')
const number = (buffer) => BigInt('0x' + buffer.toString('hex'))
const der = (value) => {
	let text = value.toString(16)
	if (text.length % 2) text = '0' + text
	if (parseInt(text.slice(0, 2), 16) >= 128) text = '00' + text
	return Buffer.concat([Buffer.from([2, text.length / 2]), Buffer.from(text, 'hex')])
}
// RFC 6979, section 3.2.
function nonce(x, hash) {
	let [v, k] = [Buffer.alloc(32, 1), Buffer.alloc(32)]
	const mac = (...parts) => createHmac('sha256', k).update(Buffer.concat(parts)).digest()
	const secret = Buffer.concat([octets(x), octets(mod(number(hash), n))])
	k = mac(v, Buffer.from([0]), secret)
	v = mac(v)
	k = mac(v, Buffer.from([1]), secret)
	v = mac(v)
	for (;;) {
		v = mac(v)
		if (number(v) > 0n && number(v) < n) return number(v)
		k = mac(v, Buffer.from([0]))
		v = mac(v)
	}
}
const ecPublic = (x) => createPublicKey({ key: Buffer.concat([Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'), ...times(x, g).map(octets)]), format: 'der', type: 'spki' })
function ecSign(x, text) {
	const hash = createHash('sha256').update(text).digest()
	const k = nonce(x, hash)
	const r = mod(times(k, g)[0], n)
	const s = mod(inverse(k, n) * (number(hash) + r * x), n)
	const both = Buffer.concat([der(r), der(s)])
	const signature = Buffer.concat([Buffer.from([0x30, both.length]), both])
	if (!verify('sha256', Buffer.from(text), ecPublic(x), signature)) throw new Error('node does not verify the ECDSA signature')
	return signature
}
// RFC 6979, section A.2.5.
const ecKey = 0xc9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721n
if (!ecSign(ecKey, 'sample').toString('hex').includes('efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716')) throw new Error('ECDSA is not that of RFC 6979')

const publicOf = (key) => (key.type === 'public' ? key : createPublicKey(key))
const spki = (key) => publicOf(key).export({ format: 'der', type: 'spki' })
const edRaw = spki(edKey).subarray(-32)
const pem = (key) => publicOf(key).export({ format: 'pem', type: 'spki' })

// One moment in the ways that senders write it.
const at = 1760000000
const seconds = String(at)
const date = '2025-10-09T08:53:20Z'

const standard = (prefix) => (key, d) => ({
	[prefix + 'id']: d.id, [prefix + 'timestamp']: d.ts,
	[prefix + 'signature']: 'v1a,' + edSign(key, `${d.id}.${d.ts}.${d.body}`).toString('base64'),
})
const discord = (key, d) => ({ 'X-Signature-Timestamp': d.ts, 'X-Signature-Ed25519': edSign(key, d.ts + d.body).toString('hex') })

// Of each sender: doc is where its signing is described, key signs and other does not
// belong to it, text is the key as the sender shows it, name is the id that a field gives
// it, send makes the header fields. ts is the time as the sender writes it.
const senders = {
	discord: { doc: 'discord.com/developers/docs, interactions, overview', key: edKey, other: edOther, text: edRaw.toString('hex'), ts: seconds, send: discord },
	'discord-events': { doc: 'discord.com/developers/docs, events, webhook events', key: edKey, other: edOther, text: edRaw.toString('hex'), ts: seconds, send: discord, published: ['discord-ping', 'discord-stale'] },
	telnyx: {
		doc: 'team-telnyx/telnyx-python src/telnyx/lib/webhook_verification.py', key: edKey, other: edOther, text: edRaw.toString('base64'), ts: seconds, published: ['telnyx'],
		send: (key, d) => ({ 'telnyx-timestamp': d.ts, 'telnyx-signature-ed25519': edSign(key, `${d.ts}|${d.body}`).toString('base64') }),
	},
	highlevel: {
		doc: 'marketplace.gohighlevel.com/docs, webhook authentication', key: edKey, other: edOther, text: pem(edKey),
		send: (key, d) => ({ 'X-GHL-Signature': edSign(key, d.body).toString('base64') }),
	},
	'standard-webhooks': {
		doc: 'standard-webhooks/standard-webhooks spec', key: edKey, other: edOther, text: 'whpk_' + edRaw.toString('base64'), ts: seconds, tag: 'v1a,',
		send: standard('webhook-'), published: ['standard-webhooks-v1a'],
	},
	svix: { doc: 'svix/svix-webhooks README', key: edKey, other: edOther, text: 'whpk_' + edRaw.toString('base64'), ts: seconds, tag: 'v1a,', send: standard('svix-') },
	sendgrid: {
		doc: 'sendgrid/sendgrid-go helpers/eventwebhook', key: ecKey, other: ecKey + 1n, text: spki(ecPublic(ecKey)).toString('base64'), ts: seconds, published: ['sendgrid'],
		send: (key, d) => ({ 'X-Twilio-Email-Event-Webhook-Timestamp': d.ts, 'X-Twilio-Email-Event-Webhook-Signature': ecSign(key, d.ts + d.body).toString('base64') }),
	},
	wise: {
		doc: 'transferwise/digital-signatures-examples', key: rsaKey, text: pem(rsaKey), published: ['wise-sandbox'],
		send: (key, d) => ({ 'X-Signature-SHA256': rsaSign(key, d.body).toString('base64') }),
	},
	kick: {
		doc: 'docs.kick.com, events, webhook security', key: rsaKey, text: pem(rsaKey), ts: date,
		send: (key, d) => ({
			'Kick-Event-Message-Id': d.id, 'Kick-Event-Message-Timestamp': d.ts,
			'Kick-Event-Signature': rsaSign(key, `${d.id}.${d.ts}.${d.body}`).toString('base64'),
		}),
	},
	'wechat-pay': {
		doc: 'wechatpay-apiv3/wechatpay-go core/auth/validators', key: rsaKey, text: pem(rsaKey), ts: seconds,
		name: '5157F09EFDC096DE15EBE81A47057A7232F1B8E1', id: 'Wechatpay-Serial',
		send: (key, d) => ({
			'Wechatpay-Timestamp': d.ts, 'Wechatpay-Nonce': 'c5ac7061fccab6bf3e254dcf98995b8c', 'Wechatpay-Serial': '5157F09EFDC096DE15EBE81A47057A7232F1B8E1',
			'Wechatpay-Signature': rsaSign(key, `${d.ts}\nc5ac7061fccab6bf3e254dcf98995b8c\n${d.body}\n`).toString('base64'),
		}),
	},
	manus: {
		doc: 'open.manus.ai/docs/v2/webhooks-security', key: rsaKey, text: pem(rsaKey), ts: seconds, url: 'https://example.com/manus?a=%41',
		send: (key, d) => ({
			'X-Webhook-Timestamp': d.ts,
			'X-Webhook-Signature': rsaSign(key, `${d.ts}.${d.url}.${createHash('sha256').update(d.body).digest('hex')}`).toString('base64'),
		}),
	},
	'github-secret-scanning': {
		doc: 'docs.github.com, secret scanning partner program', key: ecKey, other: ecKey + 1n, text: pem(ecPublic(ecKey)), published: ['github-secret-scanning'],
		name: 'bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c', id: 'Github-Public-Key-Identifier',
		send: (key, d) => ({
			'Github-Public-Key-Identifier': 'bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c',
			'Github-Public-Key-Signature': ecSign(key, d.body).toString('base64'),
		}),
	},
}

const body = '{"eventType":"test","eventData":{"text":"héllo ✓"}}'
const tolerance = 300

// deliveries returns one right delivery of a sender, and others that are wrong in one
// point each.
function deliveries(preset, sender) {
	const right = { body, url: sender.url, ts: sender.ts, id: 'msg_2Lml7x' }
	const headers = sender.send(sender.key, right)
	const field = Object.keys(headers).at(-1)
	const vector = (name, verdict, change = {}) => ({
		preset, name, source: 'computed by publickeys.mjs from ' + sender.doc, key: sender.text, keyName: sender.name, url: sender.url, headers, body, now: at, verdict, ...change,
	})
	const value = (text) => ({ headers: { ...headers, [field]: text } })
	const vectors = [
		vector('right', 'accepted'),
		vector('another body', 'signature_mismatch', { body: body + '\n' }),
		vector('truncated', 'malformed_signature', value(headers[field].slice(0, -4))),
		vector('no signature', 'missing_signature', { headers: { ...headers, [field]: undefined } }),
	]
	if (sender.other) vectors.push(vector('another key', 'signature_mismatch', { headers: sender.send(sender.other, right) }))
	if (sender.tag) {
		vectors.push(vector('another tag', 'malformed_signature', value(headers[field].replace(sender.tag, 'v9a,'))))
		vectors.push(vector('beside a signature with a secret', 'accepted', value('v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4= ' + headers[field])))
		vectors.push(vector('a signature with a secret alone', 'malformed_signature', value('v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=')))
	}
	if (sender.id) vectors.push(vector('an unknown key', 'key_unknown', { headers: { ...headers, [sender.id]: 'another' } }))
	if (sender.ts) {
		vectors.push(vector('just in time', 'accepted', { now: at + tolerance }))
		vectors.push(vector('too late', 'timestamp_out_of_range', { now: at + tolerance + 2 }))
		vectors.push(vector('from the future', 'timestamp_out_of_range', { now: at - tolerance - 2 }))
		const later = sender.ts.replace('176', '177').replace('2025', '2026')
		const fields = Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, text === sender.ts ? later : text]))
		vectors.push(vector('another time than the signed one', 'signature_mismatch', { headers: fields, now: later === sender.ts.replace('176', '177') ? at + 10000000 : at + 365 * 86400 }))
	}
	return vectors
}

const file = JSON.parse(readFileSync(new URL('keys.json', import.meta.url)))

// published is a delivery of keys.json.
function published(preset, sender, id) {
	const v = file.find((vector) => vector.id === id)
	const verdict = v.expect === 'accept' ? 'accepted' : 'timestamp_out_of_range'
	return {
		preset, name: 'published', source: v.source, published: v.published || undefined, key: v.key, keyName: sender.name,
		headers: v.headers, body: v.body, now: Date.parse(v.now) / 1000, verdict,
	}
}

const all = Object.entries(senders).flatMap(([preset, sender]) => [
	...(sender.published ?? []).map((id) => published(preset, sender, id)),
	...deliveries(preset, sender),
])
console.log('[\n' + all.map((vector) => JSON.stringify(vector)).join(',\n') + '\n]')
