// jose reads the server's keys and accepts its tokens, and nothing altered.

import assert from 'node:assert/strict'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const { CLOUDNESTLE_URL: url, CLOUDNESTLE_SOLUTION: solution, CLOUDNESTLE_CONTROL_TOKEN: control } = process.env

async function post(path, bearer, body) {
  const answer = await fetch(url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  assert.ok(answer.ok, `${path}: ${answer.status}`)
  return answer.json()
}

const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', url))
const verify = (token, audience = solution) =>
  jwtVerify(token, keys, { issuer: url, audience, algorithms: ['EdDSA'], typ: 'at+jwt' })

const session = await post('/mock/sessions', control, { customer_id: 'cus_asha' })
const pair = await post('/api/generate-token', session.access_token, { solution_id: solution })
const token = pair.access_token

const { payload } = await verify(token)
assert.equal(payload.sub, 'cus_asha')
assert.equal(payload.exp - payload.iat, 900)

const [head, body, signature] = token.split('.')
const altered = body.slice(0, 10) + (body[10] === 'A' ? 'B' : 'A') + body.slice(11)
await assert.rejects(verify(`${head}.${altered}.${signature}`), errors.JWSSignatureVerificationFailed)
await assert.rejects(verify(token, 'sol_chat_notes'), errors.JWTClaimValidationFailed)
console.log("jose: accepts the server's token, refuses an altered one and another's")
