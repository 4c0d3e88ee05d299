import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { encode, utf8 } from '../script/bytes.js';
import { canonical, parse } from '../script/jcs.js';
import { freshKey } from '../script/keys.js';
import { assertionHash, challenge, decide, digest, Mismatch, read } from '../script/statement.js';

const ORIGIN = 'https://id.example';
const key = await freshKey();
const device = { id: 'd-1', key };
const said = { v: 1, iss: ORIGIN, cid: 'c-1', device: 'd-1', dk: key.thumbprint, n: 'x', near: [] };

async function sent(change = {}) {
  const bytes = utf8(canonical({ ...said, ...change }));
  return { cid: 'c-1', statement: encode(bytes), assertion: { challenge: encode(await challenge(await digest(bytes))) } };
}

test('canonical JSON sorts by UTF-16 and keeps text', () => {
  assert.equal(canonical({ '\ufb33': 1, '\u{1f600}': 2, b: 'x"y\\', a: [true, -5] }), '{"a":[true,-5],"b":"x\\"y\\\\","\u{1f600}":2,"\ufb33":1}');
});

test('whatever leaves the narrow JSON is refused', () => {
  const deep = JSON.parse('[[[[[[[[[1]]]]]]]]]');
  for (const bad of [1.5, null, 2 ** 53, 'a\nb', 'a\u202eb', { '\0': 1 }, '\ud800', deep, undefined]) assert.throws(() => canonical(bad));
});

test('only canonical bytes parse', () => {
  assert.deepEqual(parse(utf8('{"a":1,"b":2}')), { a: 1, b: 2 });
  for (const bad of ['{"b":2,"a":1}', '{"a":1, "b":2}', '{"a":1,"a":1}', '{"a":1.0}', '{"a":"\\u0041"}', '{"a":1e3}', ' {}', '\ufeff{}', '']) {
    assert.throws(() => parse(utf8(bad)), bad);
  }
  assert.throws(() => parse(Uint8Array.of(0x22, 0xff, 0x22)));
});

test('a statement that fits is read, with its digest and the challenge made here', async () => {
  const reply = await sent();
  const bytes = Buffer.from(reply.statement, 'base64url');
  const sd = createHash('sha256').update('countersign/statement/1\0').update(bytes).digest();
  const checked = await read(reply, device, ORIGIN);
  assert.equal(checked.sd, sd.toString('base64url'));
  assert.equal(checked.challenge, createHash('sha256').update('countersign/approve/1\0').update(sd).digest('base64url'));
});

test('another server, ceremony, device, key, version or challenge is never signed', async () => {
  for (const change of [{ iss: 'https://evil.example' }, { iss: 'nowhere' }, { cid: 'c-2' }, { device: 'd-2' }, { dk: 'other' }, { v: 2 }]) {
    await assert.rejects(read(await sent(change), device, ORIGIN), Mismatch, JSON.stringify(change));
  }
  const swapped = { ...(await sent({ n: 'y' })), statement: (await sent()).statement };
  await assert.rejects(read(swapped, device, ORIGIN), Mismatch);
  await assert.rejects(read({ ...(await sent()), statement: encode(utf8('{"b":1,"a":2}')) }, device, ORIGIN), Mismatch);
});

test('a statement with a member that nobody would show is none', async () => {
  for (const change of [
    { hidden: 'and your house' },
    { client: { id: 'till', name: 'Till', redirect_host: 'till.example', hidden: true } },
    { request: { details: [{ type: 'payment', hidden: 1 }] } },
    { request: { details: [{ rows: [{ label: 'To', value: 'Ana', hidden: 1 }] }] } },
    { __proto__: null, constructor: 'x' },
  ]) {
    await assert.rejects(read(await sent(change), device, ORIGIN), Mismatch, JSON.stringify(change));
  }
  await read(await sent({ request: { details: [{ type: 'payment', rows: [{ label: 'To', value: 'Ana' }], asked: { anything: { deep: 1 } } }] } }), device, ORIGIN);
});

test('a decision names issuer, audience, ceremony, statement and, on approval, the assertion', async () => {
  const checked = await read(await sent(), device, ORIGIN);
  const assertion = { credential_id: 'AA', authenticator_data: encode(utf8('auth')), client_data_json: encode(utf8('{}')), signature: encode(utf8('sig')) };
  const { approval } = await decide('approve', checked, device, assertion);
  const [header, claims] = approval.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  assert.deepEqual(header, { alg: 'ES256', typ: 'cs-approval+jws', kid: key.thumbprint });
  const client = createHash('sha256').update('{}').digest();
  const wa = createHash('sha256').update('auth').update(client).update('sig').digest('base64url');
  assert.equal(await assertionHash(assertion), wa);
  assert.deepEqual({ ...claims, jti: '' }, { iss: 'd-1', aud: ORIGIN, cid: 'c-1', sd: checked.sd, decision: 'approve', wa, jti: '' });
  const refusal = JSON.parse(Buffer.from((await decide('refuse', checked, device)).approval.split('.')[1], 'base64url'));
  assert.equal('wa' in refusal, false);
});
