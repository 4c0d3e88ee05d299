import assert from 'node:assert/strict';
import { createHash, createPublicKey, verify } from 'node:crypto';
import { test } from 'node:test';
import { proof } from '../script/dpop.js';
import { freshKey, thumbprint } from '../script/keys.js';

const read = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

function opened(jws) {
  const [header, claims, signature] = jws.split('.');
  const key = createPublicKey({ key: read(header).jwk, format: 'jwk' });
  const good = verify('sha256', Buffer.from(`${header}.${claims}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
  return { header: read(header), claims: read(claims), good };
}

test('a proof is signed by a key that cannot be taken out and names the request', async () => {
  const key = await freshKey();
  assert.equal(key.pair.privateKey.extractable, false);
  const { header, claims, good } = opened(await proof(key, { method: 'POST', url: 'https://id.example/ceremonies?x=1#y', nonce: 'n', body: '{"a":1}', bound: true, now_s: 5 }));
  assert.ok(good);
  assert.deepEqual(Object.keys(header).sort(), ['alg', 'jwk', 'typ']);
  assert.equal(header.typ, 'dpop+jwt');
  assert.equal(header.alg, 'ES256');
  assert.deepEqual(Object.keys(header.jwk).sort(), ['crv', 'kty', 'x', 'y']);
  assert.equal(claims.htm, 'POST');
  assert.equal(claims.htu, 'https://id.example/ceremonies');
  assert.equal(claims.iat, 5);
  assert.equal(claims.nonce, 'n');
  assert.equal(claims.bd, createHash('sha256').update('{"a":1}').digest('base64url'));
});

test('no body is bound as the hash of nothing, and every proof has its own jti', async () => {
  const key = await freshKey();
  const one = opened(await proof(key, { method: 'GET', url: 'https://id.example/device/overview', bound: true }));
  const two = opened(await proof(key, { method: 'GET', url: 'https://id.example/device/overview' }));
  assert.equal(one.claims.bd, createHash('sha256').update('').digest('base64url'));
  assert.equal('bd' in two.claims, false);
  assert.equal('nonce' in two.claims, false);
  assert.notEqual(one.claims.jti, two.claims.jti);
});

test('the thumbprint is the one of RFC 7638 for an EC key', async () => {
  // RFC 7517, appendix A.1; the digest was made with an independent implementation
  const jwk = { kty: 'EC', crv: 'P-256', x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4', y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM' };
  const canonical = `{"crv":"P-256","kty":"EC","x":"${jwk.x}","y":"${jwk.y}"}`;
  assert.equal(await thumbprint(jwk), createHash('sha256').update(canonical).digest('base64url'));
});
