// Node's own crypto and HTTP client, as most senders in JavaScript use them.
import { createHmac } from 'node:crypto'
import { request } from 'node:http'
import { buffer } from 'node:stream/consumers'

const [url, method, framing, ...fields] = process.argv.slice(2)
const body = await buffer(process.stdin)
const digest = createHmac('sha256', process.env.WEBHOOK_SECRET).update(body).digest('hex')

const headers = Object.fromEntries(fields.map((field) => field.split(': ')))
headers[process.env.SIGNATURE_FIELD] = `sha256=${digest}`
headers[framing === 'chunked' ? 'Transfer-Encoding' : 'Content-Length'] =
  framing === 'chunked' ? 'chunked' : body.length

const delivery = request(url, { method, headers }, async (answer) => {
  console.log(answer.statusCode + '\n' + (await buffer(answer)))
})
for (let at = 0; at < body.length; at += 50_000) {
  delivery.write(body.subarray(at, at + 50_000))
}
delivery.end()
