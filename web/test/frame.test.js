import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { encode, macKey } from '../script/bytes.js';
import { Clock, Deadline, fragment, isPair, parse, payload, seen } from '../script/frame.js';

const ck = new Uint8Array(32).fill(3);
const handle = new Uint8Array(16).fill(9);
const ORIGIN = 'https://id.example';

test('a frame is h, i and eight bytes of M(ck, "frame", h, i)', async () => {
  const text = await fragment(await macKey(ck), handle, 7);
  const framed = Buffer.concat([Buffer.from('frame\0'), Buffer.from([0, 0, 0, 16]), Buffer.from(handle), Buffer.from([0, 0, 0, 2, 0, 7])]);
  const tag = createHmac('sha256', ck).update(framed).digest().subarray(0, 8);
  assert.equal(text, Buffer.concat([Buffer.from(handle), Buffer.from([0, 7]), tag]).toString('base64url'));
  assert.equal(text.length, 35);
  assert.deepEqual(parse(text), { text, handle: encode(handle), index: 7 });
  assert.equal(parse(await fragment(await macKey(ck), handle, 40_000)).index, 40_000);
});

test('only the exact form of this very origin is seen', async () => {
  const text = await fragment(await macKey(ck), handle, 7);
  assert.equal(seen(payload(ORIGIN, text), ORIGIN).text, text);
  for (const bad of [`${ORIGIN}/q#${text}x`, `${ORIGIN}/q?x#${text}`, `https://evil.example/q#${text}`, `http://id.example/q#${text}`, ` ${ORIGIN}/q#${text}`, `${ORIGIN}/q#${text.slice(1)}`, `${ORIGIN}/q#${text.slice(0, 34)}_`, '']) {
    assert.equal(seen(bad, ORIGIN), null, bad);
  }
});

test('a pair is one code, one or two steps apart', () => {
  const at = (index, code = 'h') => ({ handle: code, index });
  assert.ok(isPair(at(4), at(5)));
  assert.ok(isPair(at(4), at(6)));
  for (const [one, two] of [[at(4), at(4)], [at(4), at(7)], [at(5), at(4)], [at(4), at(5, 'g')]]) assert.ok(!isPair(one, two));
});

test('the clock follows the least delayed word of the server and no wall clock', () => {
  let now = 1_000_000;
  const clock = new Clock(() => now);
  clock.hear(100);
  now += 3_000;
  assert.equal(clock.t_ms, 3_100);
  assert.equal(clock.index, 1);
  clock.hear(2_000); // late by more than a second: says nothing new
  assert.equal(clock.t_ms, 3_100);
  clock.hear(3_400); // this one came faster
  assert.equal(clock.t_ms, 3_400);
  assert.equal(clock.next_ms, 2_600);
});

test('a deadline never goes below nothing', () => {
  let now = 5;
  const deadline = new Deadline(1_000, () => now);
  now += 400;
  assert.equal(deadline.left_ms, 600);
  now += 5_000;
  assert.equal(deadline.left_ms, 0);
});
