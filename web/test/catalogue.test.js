import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { learn, parts, say } from '../script/say.js';

const root = new URL('../../', import.meta.url);
const source = readFileSync(new URL('web/catalogue/en.json', root), 'utf8');
const texts = JSON.parse(source);
const areas = new Set(Object.keys(texts).map((key) => key.split('.')[0]));

const files = (folder, ends) => readdirSync(new URL(folder, root)).filter((name) => name.endsWith(ends)).map((name) => readFileSync(new URL(`${folder}${name}`, root), 'utf8'));
const scripts = files('web/script/', '.js');
const code = [...scripts, ...files('crates/server/templates/', '.html'), ...files('crates/server/src/pages/', '.rs')];

// Quoted words with dots whose first part is an area of the catalogue are keys, unless they name a file, a member,
// or an event in a table.
const NOT_KEYS = /\.(js|json|css|html|svg)$|^document\.|^phone\.title$/;
const quoted = (text) => [...text.matchAll(/["'`]([a-z_]+(?:\.[a-z0-9_]+)+)["'`](?!:)/g)].map(([, key]) => key);
const named = new Set(code.flatMap(quoted).filter((key) => areas.has(key.split('.')[0]) && !NOT_KEYS.test(key)));

test('every text that is named exists', () => {
  assert.deepEqual([...named].filter((key) => !(key in texts)), []);
});

test('every text is used somewhere', () => {
  assert.deepEqual(Object.keys(texts).filter((key) => !named.has(key)), []);
});

test('no key stands twice', () => {
  const keys = [...source.matchAll(/^ {2}"([^"]+)":/gm)].map(([, key]) => key);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(keys.length, Object.keys(texts).length);
});

test('plural texts have both English forms and say the number', () => {
  for (const [key, text] of Object.entries(texts)) {
    if (typeof text === 'string') continue;
    assert.deepEqual(Object.keys(text).sort(), ['one', 'other'], key);
    assert.ok(text.other.includes('{n}'), key);
  }
});

test('a sentence is never hard-coded in a script', () => {
  for (const text of scripts) {
    for (const [, words] of text.matchAll(/(?:textContent = |el\('[^']+', \{[^}]*\}, )'([A-Z][^']* [^']*)'/g)) assert.fail(words);
  }
});

test('fills and plurals', () => {
  learn(texts, 'en');
  assert.equal(say('sign_in.wrong.body', { n: 1 }), 'Look at your phone again. 1 try left.');
  assert.equal(say('sign_in.wrong.body', { n: 2 }), 'Look at your phone again. 2 tries left.');
  const node = { a: 'node' };
  assert.deepEqual(parts('sign_in.typed.body', { host: node }), ['Open ', node, '/code there.']);
});

test('the voice: no exclamation marks, no words of the trade', () => {
  for (const [key, text] of Object.entries(texts)) {
    for (const words of typeof text === 'string' ? [text] : Object.values(text)) {
      assert.ok(!/!|oops|ceremony|terminal|token|authenticat/i.test(words), `${key}: ${words}`);
    }
  }
});

// What the server may say stands in Rust; the operator's page has words for each of it.
test('the operator’s page has words for every refusal, every news and every role', () => {
  const words = (path, table) => [...readFileSync(new URL(path, root), 'utf8').split(`const ${table} = {`)[1].split('}')[0].matchAll(/(?:^|[\s,{])'?([a-z_.]+)'?: '/g)].map(([, word]) => word).sort();
  const named = (path, from, pattern) => [...readFileSync(new URL(path, root), 'utf8').split(from)[1].split('\n}')[0].matchAll(pattern)].map(([, word]) => word).sort();
  const codes = named('crates/trust/src/refusal.rs', 'pub fn code(', /=> "([a-z_]+)"/g);
  assert.ok(codes.length > 25, codes.join());
  assert.deepEqual(words('web/script/operator-words.js', 'CODES'), codes);
  const kinds = named('crates/trust/src/signal.rs', 'DeviceCompromised', /= "([a-z_.]+)"/g);
  assert.ok(kinds.length > 15, kinds.join());
  assert.deepEqual(words('web/script/operator-words.js', 'SIGNALS'), kinds);
  assert.deepEqual(words('web/script/operator-person.js', 'ROLES'), named('crates/trust/src/principal.rs', 'impl Role {', /=> "([a-z_]+)"/g));
});
