// Is a page for everybody? Two judges: axe-core, by every rule it has for WCAG 2.2 A and AA, and what this project asks beyond
// it. In light and in dark, and in a window of 320.
import assert from 'node:assert/strict';
import axe from 'axe-core';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa'];
const NARROW = { width: 320, height: 640 };

/** What is wrong with a page for those who do not see it, or do not use a pointer; runs inside the page. */
function obstacles() {
  const wrong = [];
  const visible = (node) => node.getClientRects().length > 0 && getComputedStyle(node).visibility !== 'hidden';
  const headings = [...document.querySelectorAll('h1, h2, h3, h4')].filter(visible);
  if (headings.filter((one) => one.tagName === 'H1').length !== 1) wrong.push(`${headings.map((one) => one.tagName)}: not one h1`);
  headings.reduce((before, one) => {
    const level = Number(one.tagName[1]);
    // Notices stand above the page's own headline.
    if (level > before + 1 && before > 0) wrong.push(`h${before} is followed by h${level} “${one.textContent}”`);
    return level;
  }, 0);
  if (!document.documentElement.lang) wrong.push('no language');
  if (!document.title) wrong.push('no title');
  if (document.querySelectorAll('main').length !== 1) wrong.push('not one main');
  for (const node of document.querySelectorAll('button, a[href], input, select, textarea')) {
    if (!visible(node) || node.type === 'hidden') continue;
    const named = node.getAttribute('aria-label') || node.labels?.[0]?.textContent || (/^(BUTTON|A)$/.test(node.tagName) && node.textContent);
    if (!named?.trim()) wrong.push(`without a name: ${node.outerHTML.slice(0, 100)}`);
    if (node.tabIndex > 0) wrong.push(`an order of its own: ${node.outerHTML.slice(0, 100)}`);
    const { width, height } = node.getBoundingClientRect();
    const least = node.matches('.button, input, select') ? 44 : 24;
    if (!node.matches('.skip') && (width < least || height < least)) wrong.push(`${Math.round(width)} × ${Math.round(height)} is small: ${node.outerHTML.slice(0, 100)}`);
  }
  for (const picture of document.querySelectorAll('svg, [role="img"]')) {
    if (visible(picture) && !picture.closest('[aria-hidden="true"]') && picture.getAttribute('role') === 'img' && !picture.getAttribute('aria-label')) wrong.push(`a picture without words: ${picture.outerHTML.slice(0, 80)}`);
  }
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of new Set(ids.filter((one, at) => ids.indexOf(one) !== at))) wrong.push(`#${id} is there twice`);
  // WCAG 1.4.3: text against the ground that is painted behind it.
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => colour.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (/^[a-z_]+(\.[a-z_]+)+$/.test(walker.currentNode.data.trim()) && !node.closest('bdi')) wrong.push(`a key instead of a text: ${walker.currentNode.data}`);
    if (!walker.currentNode.data.trim() || !visible(node) || node.closest('script, noscript, .unseen, [aria-disabled="true"]')) continue;
    const [a, b] = [light(rgba(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(1)}: “${walker.currentNode.data.trim().slice(0, 40)}”`);
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
  return wrong;
}

/** What axe-core finds: rule and place. It is put beside the page by the debugger: the page's own policy would not let it in. */
async function violations(page) {
  const { devtools } = page.authenticator;
  if (!(await page.evaluate(() => 'axe' in globalThis))) await devtools.send('Runtime.evaluate', { expression: axe.source });
  const found = await page.evaluate(async (values) => {
    const { violations: all, passes } = await globalThis.axe.run(document, { runOnly: { type: 'tag', values }, preload: false, resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } });
    return { passed: passes.length, all: all.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 120)} (${node.failureSummary.split('\n')[1]?.trim()})`)) };
  }, RULES);
  assert.ok(found.passed > 5, 'axe-core looked at the page');
  return found.all;
}

/** States that were looked at, as pages name them: `phone:overview`, `card:waiting` */
export const seen = new Set();

/** Fails with everything that is in somebody's way. */
export async function clear(page, where) {
  for (const state of await page.evaluate(() => [document.body.dataset.screen && `phone:${document.body.dataset.screen}`, document.getElementById('code-card')?.dataset.state && `card:${document.getElementById('code-card').dataset.state}`])) if (state) seen.add(state);
  const whole = page.viewportSize();
  for (const [view, size, colorScheme] of [['light', whole, 'light'], ['dark', whole, 'dark'], ['320 wide', NARROW, 'light']]) {
    // Without motion there is nothing to wait for.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize(size);
    assert.deepEqual([...(await page.evaluate(obstacles)), ...(await violations(page))], [], `${where}, ${view}`);
  }
  await page.setViewportSize(whole);
}

/** What has the focus, as it is called; that it has it must be seen, and nothing may lie over it. */
const focused = (page) =>
  page.evaluate(() => {
    const node = document.activeElement;
    if (node === document.body) return { name: '' };
    const name = (node.getAttribute('aria-label') ?? node.labels?.[0]?.textContent ?? node.textContent ?? '').trim();
    const wrong = [];
    const drawn = [node, ...(node.parentElement?.querySelectorAll('.here') ?? [])];
    if (!drawn.some((one) => getComputedStyle(one).outlineStyle !== 'none' && parseFloat(getComputedStyle(one).outlineWidth) >= 2)) wrong.push('the focus cannot be seen');
    const { left, top, width, height } = node.getBoundingClientRect();
    const points = [0.05, 0.5, 0.95].map((share) => document.elementFromPoint(left + width / 2, top + height * share));
    if (!points.some((one) => one && (node.contains(one) || one.contains(node)))) wrong.push('something lies over it');
    return { name, wrong };
  });

/** Presses Tab until something with this name has the focus; tells what was passed. */
export async function tabTo(page, wanted) {
  const passed = [];
  for (let presses = 0; presses < 30; presses += 1) {
    await page.keyboard.press('Tab');
    const { name, wrong = [] } = await focused(page);
    assert.deepEqual(wrong, [], name);
    if (wanted.test(name)) return passed;
    passed.push(name);
  }
  throw new Error(`${wanted} was not reached: ${passed.join(' / ')}`);
}
