import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { decode, encode, hash, integer, mac, macKey, tagged, utf8 } from '../script/bytes.js';

test('base64url agrees with Node for every length', () => {
  for (let length = 0; length < 40; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 37 + length) & 255);
    assert.equal(encode(bytes), Buffer.from(bytes).toString('base64url'));
    assert.deepEqual(decode(encode(bytes)), bytes);
  }
});

test('what is not exactly base64url is refused', () => {
  for (const bad of ['A', 'AAAAA', 'AA==', 'A+==', 'AA/A', 'AB', 'AAB', ' AAA', 'AAA\n', undefined]) {
    assert.throws(() => decode(bad), `${bad}`);
  }
});

test('H and M are SHA-256 and HMAC-SHA-256 over framed parts', async () => {
  const key = Uint8Array.from({ length: 32 }, (_, at) => at);
  const parts = [utf8('one'), new Uint8Array(300)];
  const framed = Buffer.concat([Buffer.from('tag\0'), ...parts.flatMap((part) => [Buffer.from(integer(part.length, 4)), Buffer.from(part)])]);
  assert.equal(encode(await mac(await macKey(key), 'tag', ...parts)), createHmac('sha256', key).update(framed).digest('base64url'));
  assert.equal(encode(await hash(utf8('x'))), createHash('sha256').update('x').digest('base64url'));
  assert.equal(encode(await tagged('a/1', utf8('x'))), createHash('sha256').update('a/1\0x').digest('base64url'));
});
