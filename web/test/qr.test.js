import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { macKey } from '../script/bytes.js';
import { fragment, payload } from '../script/frame.js';
import { modules, moduleWidth, path, plan, readImage } from '../script/qr.js';

const key = await macKey(new Uint8Array(32).fill(5));
const handle = Uint8Array.from({ length: 16 }, (_, at) => at * 11);
const link = async (origin, index) => payload(origin, await fragment(key, handle, index));

function picture(grid, scale = 6, quiet = 4) {
  const side = (grid.length + 2 * quiet) * scale;
  const data = new Uint8ClampedArray(side * side * 4).fill(255);
  grid.forEach((row, y) =>
    row.forEach((dark, x) => {
      if (!dark) return;
      for (let dy = 0; dy < scale; dy += 1) {
        for (let dx = 0; dx < scale; dx += 1) {
          const at = (((y + quiet) * scale + dy) * side + (x + quiet) * scale + dx) * 4;
          data.fill(10, at, at + 3);
        }
      }
    }),
  );
  return { width: side, height: side, data };
}

test('what is drawn is read back, for short and long hosts', async () => {
  for (const [origin, version] of [['https://id.harbour.shop', 4], ['https://sign-in.a-rather-long-name.example', 5], ['http://localhost:7310', 4]]) {
    const text = await link(origin, 3);
    const chosen = plan(text);
    assert.equal(chosen.version, version, origin);
    assert.equal(await readImage(picture(modules(text, chosen))), text);
  }
});

test('with version and mask kept, a frame changes about a tenth of the modules', async () => {
  const origin = 'https://id.harbour.shop';
  const chosen = plan(await link(origin, 0));
  let last = modules(await link(origin, 0), chosen);
  let changed = 0;
  const frames = 39;
  for (let index = 1; index <= frames; index += 1) {
    const next = modules(await link(origin, index), chosen);
    assert.equal(await readImage(picture(next)), await link(origin, index));
    next.forEach((row, y) => row.forEach((dark, x) => (changed += dark !== last[y][x] ? 1 : 0)));
    last = next;
  }
  const share = changed / frames / (last.length * last.length);
  assert.ok(share > 0.05 && share < 0.14, `${share}`);
});

test('the path covers the dark modules and nothing else', async () => {
  const grid = modules(await link('https://id.harbour.shop', 3), { version: 4, mask: 2 });
  const covered = grid.map((row) => row.map(() => false));
  for (const [, x, y, width] of path(grid).matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
    for (let at = 0; at < Number(width); at += 1) covered[Number(y)][Number(x) + at] = true;
  }
  assert.deepEqual(covered, grid);
});

test('a module is a whole number of device pixels and leaves the quiet zone', () => {
  assert.equal(moduleWidth(369, 33), 9);
  assert.equal(moduleWidth(288, 33), 7);
  assert.equal(moduleWidth(358, 33), 8);
  assert.equal(moduleWidth(358, 33, 2), 8.5);
  assert.equal(moduleWidth(900, 33), 9);
});

test('the vendored files are the ones that were looked at', () => {
  const note = readFileSync(new URL('../vendor/qr/VENDORED.md', import.meta.url), 'utf8');
  for (const name of ['index.js', 'decode.js', 'LICENSE', 'LICENSE-MIT']) {
    const sum = createHash('sha256').update(readFileSync(new URL(`../vendor/qr/${name}`, import.meta.url))).digest('hex');
    assert.ok(note.includes(`| ${name} | ${sum} |`), name);
  }
});
