// Web Crypto and fetch, as in browsers, edge runtimes and ChatBotKit.
import { buffer } from 'node:stream/consumers'

const [url, method, framing, ...fields] = process.argv.slice(2)
const body = await buffer(process.stdin)
const { subtle } = globalThis.crypto
const key = await subtle.importKey(
  'raw',
  new TextEncoder().encode(process.env.WEBHOOK_SECRET),
  { name: 'HMAC', hash: 'SHA-256' },
  false,
  ['sign']
)
const digest = Buffer.from(await subtle.sign('HMAC', key, body)).toString('hex')

const headers = Object.fromEntries(fields.map((field) => field.split(': ')))
headers[process.env.SIGNATURE_FIELD] = `sha256=${digest}`

const stream = () => new Blob([body]).stream()
const answer = await fetch(url, {
  method,
  headers,
  body: framing === 'chunked' ? stream() : body,
  duplex: 'half',
})
console.log(answer.status + '\n' + (await answer.text()))
