import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const here = new URL('../', import.meta.url);
const scripts = readdirSync(new URL('script/', here)).map((name) => ({ name, text: readFileSync(new URL(`script/${name}`, here), 'utf8') }));
scripts.push({ name: 'worker.js', text: readFileSync(new URL('worker.js', here), 'utf8') });
const style = readFileSync(new URL('style.css', here), 'utf8');

test('no script parses text into pages or code, or asks anybody else', () => {
  const bad = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\('(style|on)|\.cssText|localStorage|sessionStorage|document\.cookie|https?:\/\/(?!www\.w3\.org\/2000\/svg)/;
  for (const { name, text } of scripts) assert.equal(bad.exec(text)?.[0], undefined, name);
});

test('one script makes one policy, for one address whatever it is given', () => {
  const making = scripts.filter(({ text }) => text.includes('createPolicy'));
  assert.deepEqual(making.map(({ name }) => name), ['tell.js']);
  assert.deepEqual(making[0].text.match(/createPolicy\(.*\)/g), ["createPolicy('worker', { createScriptURL: () => WORKER })"]);
  assert.match(making[0].text, /^const WORKER = '\/worker\.js';$/m);
});

test('the worker that wakes a phone asks nobody, keeps nothing and reads nothing that comes', () => {
  const { text } = scripts.find(({ name }) => name === 'worker.js');
  const code = text.replaceAll(/\/\/.*/g, '');
  assert.equal(/fetch|caches|import|indexedDB|\.data\b|postMessage/.exec(code)?.[0], undefined);
});

test('no secret is written to the console, and no debugging is left', () => {
  for (const { name, text } of scripts) assert.equal(/console\.|debugger/.exec(text)?.[0], undefined, name);
});

test('every module that is imported is there', () => {
  const names = new Set(scripts.map(({ name }) => `./${name}`));
  for (const { name, text } of scripts) {
    for (const [, from] of text.matchAll(/(?:from |import\()'(\.[^']+)'/g)) {
      assert.ok(names.has(from) || from.startsWith('../vendor/qr/'), `${name} imports ${from}`);
    }
  }
});

test('no file is longer than 500 lines', () => {
  for (const { name, text } of [...scripts, { name: 'style.css', text: style }]) assert.ok(text.split('\n').length <= 501, name);
});

test('the style asks for nothing from elsewhere, and its colours are the tokens', () => {
  assert.equal(/url\(|@import/.exec(style), null);
  const tokens = style.slice(0, style.indexOf('@media (prefers-reduced-motion'));
  const allowed = new Set([...tokens.matchAll(/#[0-9A-F]{6}/g)].map(([colour]) => colour));
  for (const [colour] of style.matchAll(/#[0-9A-Fa-f]{3,8}\b/g)) assert.ok(allowed.has(colour), colour);
});

test('what a page must say about a passkey button, the code and its time is in one reading order', () => {
  const page = readFileSync(new URL('../crates/server/templates/sign_in.html', here), 'utf8');
  const order = ['<h1', 'id="passkey"', 'id="code-card"', 'class="steps"', 'id="typed-link"', 'id="help-link"'].map((part) => page.indexOf(part));
  assert.deepEqual(order, [...order].sort((a, b) => a - b));
  assert.ok(order.every((at) => at >= 0));
});

const luminance = (hex) => {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (one, two) => {
  const [light, dark] = [luminance(one), luminance(two)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};

test('text has a contrast of 4.5 and controls of 3, on every ground they stand on, in light and dark', () => {
  const [light, dark] = style.split('@media (prefers-color-scheme: dark)').map((part) => Object.fromEntries([...part.slice(0, 1_500).matchAll(/--([a-z-]+): (#[0-9A-F]{6})/g)].map(([, name, colour]) => [name, colour])));
  for (const theme of [light, { ...light, ...dark }]) {
    for (const text of ['ink', 'quiet', 'act', 'good', 'warn', 'bad']) {
      for (const on of ['paper', 'surface']) assert.ok(contrast(theme[text], theme[on]) >= 4.5, `${text} on ${on}`);
    }
    for (const tone of ['act', 'good', 'warn', 'bad']) {
      assert.ok(contrast(theme[tone], theme[`soft-${tone}`]) >= 4.5, tone);
      assert.ok(contrast(theme.ink, theme[`soft-${tone}`]) >= 4.5, `ink on soft-${tone}`);
    }
    assert.ok(contrast(theme['on-act'], theme.act) >= 4.5);
    assert.ok(contrast(theme.quiet, theme.sunken) >= 4.5);
    for (const on of ['paper', 'surface']) assert.ok(contrast(theme.edge, theme[on]) >= 3, `edge on ${on}`);
    assert.ok(contrast(theme.code, theme.tile) >= 15);
  }
});
