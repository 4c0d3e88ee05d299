// The pages against the published vectors: the same files that the Rust tests read.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decode, encode, mac, macKey, utf8 } from '../script/bytes.js';
import { Clock, fragment, isPair, parse as parseFrame, payload, seen } from '../script/frame.js';
import { parse as parseStatement } from '../script/jcs.js';
import { thumbprint } from '../script/keys.js';
import { assertionHash, challenge, digest, Mismatch, read } from '../script/statement.js';
import { halfOf, hyphenated, parseUserCode } from '../script/user-code.js';

const ORIGIN = 'https://id.example';
const folder = new URL('../../vectors/', import.meta.url);
const vectors = Object.fromEntries(
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name.replace('.json', ''), JSON.parse(readFileSync(new URL(name, folder), 'utf8'))]),
);

test('every file of vectors is read here, but for what no page has to do with', () => {
  assert.deepEqual(Object.keys(vectors).sort(), ['authzen', 'digits', 'frames', 'judge', 'statements', 'thumbprints', 'user-codes', 'wa']);
});

test('frames.json: keys, frames, links, and which frame it is', async () => {
  const { k, cid, jkt, ck, wk, handle, frames, index_at, refused_links } = vectors.frames;
  assert.equal(encode(await mac(await macKey(decode(k)), 'ck', utf8(cid), utf8(jkt))), ck);
  const channel = await macKey(decode(ck));
  assert.equal(encode(await mac(channel, 'wait')), wk);
  for (const { index, mac: tag, text, link } of frames) {
    assert.equal(await fragment(channel, decode(handle), index), text);
    assert.equal(encode(decode(text).slice(-8)), tag);
    assert.equal(payload(ORIGIN, text), link);
    assert.deepEqual(seen(link, ORIGIN), { text, handle, index });
  }
  for (const link of refused_links) assert.equal(seen(link, ORIGIN), null, link);
  for (const { age_ms, index } of index_at) {
    const clock = new Clock(() => 0);
    clock.hear(age_ms);
    assert.equal(clock.index, index, `${age_ms} ms`);
  }
});

test('judge.json: the scanner takes two frames for a pair exactly where the server does', () => {
  const pairs = vectors.judge.cases.filter(({ frames }) => frames.length === 2);
  assert.ok(pairs.some(({ judged }) => judged === 'pair') && pairs.some(({ judged }) => judged === 'out_of_sequence'));
  for (const { frames, judged } of pairs) {
    const [one, two] = frames.map(parseFrame);
    if (judged === 'pair') assert.ok(isPair(one, two), `${one.index}, ${two.index}`);
    if (judged === 'out_of_sequence') assert.ok(!isPair(one, two), `${one.index}, ${two.index}`);
  }
});

test('statements.json: digests, challenges, and what does not parse', async () => {
  for (const { text, bytes, sd, challenge: asked } of vectors.statements.canonical) {
    assert.deepEqual(utf8(text), decode(bytes));
    assert.deepEqual(parseStatement(decode(bytes)), JSON.parse(text));
    const digested = await digest(decode(bytes));
    assert.equal(encode(digested), sd);
    assert.equal(encode(await challenge(digested)), asked);
  }
  for (const text of vectors.statements.refused) assert.throws(() => parseStatement(utf8(text)), text);
});

test('statements.json: the whole statement is read by its own phone and by no other', async () => {
  const [{ bytes, sd, challenge: asked, text }] = vectors.statements.canonical;
  const { cid, device: id, dk } = JSON.parse(text);
  const reply = { statement: bytes, cid, assertion: { challenge: asked } };
  const checked = await read(reply, { id, key: { thumbprint: dk } }, ORIGIN);
  assert.deepEqual([checked.sd, checked.challenge], [sd, asked]);
  await assert.rejects(read(reply, { id, key: { thumbprint: asked } }, ORIGIN), Mismatch);
});

test('digits.json: the digits that people carry come out of the same MAC', async () => {
  for (const { k, direction, sd, device, n, digits } of vectors.digits.cases) {
    const tag = await mac(await macKey(decode(k)), 'code', utf8(direction), decode(sd), utf8(device));
    const number = new DataView(tag.buffer).getBigUint64(0) % 10n ** BigInt(n);
    assert.equal(String(number).padStart(n, '0'), digits);
  }
});

test('thumbprints.json', async () => {
  for (const { jwk, jkt } of vectors.thumbprints.cases) assert.equal(await thumbprint(jwk), jkt);
});

test('an address brings half of a code at most', () => {
  assert.equal(halfOf('WDJB-MJHT'), 'WDJB');
  for (const other of ['', 'WDJB', 'WDJB-MJH', 'WDJB-MJHA', '<b>']) assert.equal(halfOf(other), null);
});

test('user-codes.json: what was typed is what was meant, or nothing', () => {
  const { alphabet, shown, cases } = vectors['user-codes'];
  for (const { typed, code } of cases) assert.equal(parseUserCode(typed), code, typed);
  assert.equal(hyphenated(parseUserCode(shown)), shown);
  for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789') assert.equal(parseUserCode(letter.repeat(8)) !== null, alphabet.includes(letter), letter);
});

test('wa.json: what a decision says of its assertion', async () => {
  for (const { wa, ...assertion } of vectors.wa.cases) assert.equal(await assertionHash(assertion), wa);
});
