// Pages for everybody: keyboard alone, names for every control, one order, narrow and wide.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { cardIs, screenIs, shownDigits, Stage } from '../stage/index.js';

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

const clear = async (page, where) => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.waitForTimeout(250);
    assert.deepEqual(await page.evaluate(obstacles), [], `${where}, ${colorScheme}`);
  }
  const whole = page.viewportSize();
  await page.setViewportSize({ width: 320, height: 640 });
  await page.waitForTimeout(100);
  assert.deepEqual(await page.evaluate(obstacles), [], `${where}, 320 wide`);
  await page.setViewportSize(whole);
};

/** Presses Tab until something with this name has the focus; tells what was passed. */
async function tabTo(page, wanted) {
  const passed = [];
  for (let presses = 0; presses < 25; presses += 1) {
    await page.keyboard.press('Tab');
    const name = await page.evaluate(() => (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent ?? '').trim());
    if (wanted.test(name)) return passed;
    passed.push(name);
  }
  throw new Error(`${wanted} was not reached: ${passed.join(' / ')}`);
}

describe('pages for everybody', { timeout: 240_000 }, () => {
  let stage;
  let screen;
  let phone;

  before(async () => {
    stage = await Stage.open({ enrolled: false });
    screen = stage.screen.page;
    phone = stage.phone.page;
  });
  after(() => stage?.close());

  test('enrolling needs no pointer', async () => {
    await phone.goto(stage.server.link);
    await screenIs(phone, 'invitation');
    assert.equal(new URL(phone.url()).hash, '', 'the invitation is gone from the address');
    await clear(phone, 'invitation');
    await tabTo(phone, /^Enrol this phone$/);
    await phone.keyboard.press('Enter');
    await screenIs(phone, 'make_passkey');
    await clear(phone, 'make_passkey');
    await tabTo(phone, /^Make a passkey$/);
    await phone.keyboard.press('Enter');
    await screenIs(phone, 'enrolled');
    await clear(phone, 'enrolled');
  });

  test('the waiting screen can be read and walked through: skip link, passkey, links', async () => {
    await stage.toSignIn();
    await clear(screen, 'waiting');
    await screen.evaluate(() => document.activeElement.blur());
    const passed = await tabTo(screen, /^No phone with you\?$/);
    assert.deepEqual(passed.filter(Boolean), ['Skip to the page', 'Use a passkey on this screen', 'Can’t scan? Use a typed code']);
    await screen.keyboard.press('Enter');
    await screen.waitForSelector('#advice:not([hidden])');
    await clear(screen, 'advice');
  });

  test('a sign-in by keyboard alone, and Enter never approves', async () => {
    await stage.toSignIn();
    await tabTo(screen, /^Can’t scan\? Use a typed code$/);
    await screen.keyboard.press('Enter');
    await cardIs(screen, 'typed');
    await clear(screen, 'typed');
    const code = await screen.locator('.state .typed').innerText();
    await phone.goto(`${stage.issuer}/code`);
    await screenIs(phone, 'code');
    await clear(phone, 'code');
    await phone.focus('#user-code');
    await phone.keyboard.type(code);
    await phone.keyboard.press('Enter');
    await screenIs(phone, 'digits_shown');
    await clear(phone, 'digits_shown');
    const digits = await shownDigits(phone);
    await cardIs(screen, 'type_here');
    await clear(screen, 'type_here');
    assert.equal(await screen.evaluate(() => document.activeElement.name), 'digits', 'the field for digits has the focus');
    await screen.keyboard.type(digits);
    await screen.keyboard.press('Enter');
    await screenIs(phone, 'statement');
    await clear(phone, 'statement');
    const order = await phone.evaluate(() => [...document.querySelectorAll('#refuse, #approve')].map((one) => one.id));
    assert.deepEqual(order, ['refuse', 'approve']);
    const [refuse, approve] = await Promise.all(['#refuse', '#approve'].map((one) => phone.locator(one).boundingBox()));
    assert.ok(refuse.height >= 64 && approve.height >= 64 && Math.abs(refuse.width - approve.width) < 1, 'both decisions are as large');
    await phone.waitForSelector('#approve:not([aria-disabled])');
    await phone.focus('#approve');
    await phone.keyboard.press('Enter');
    await phone.waitForTimeout(300);
    assert.equal(await screenIs(phone, 'statement'), 'statement');
    await phone.keyboard.press('Space');
    await screenIs(phone, 'done');
    await clear(phone, 'done');
    await screen.waitForSelector('#person');
  });

  test('what is open, and the session’s own page', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    await clear(phone, 'overview');
    await screen.goto(`${stage.issuer}/session`);
    await screen.waitForSelector('#sign-out');
    await clear(screen, 'session');
  });

  test('refusals and errors', async () => {
    await stage.till.sessions.clear();
    await screen.goto(`${stage.issuer}/session`);
    await screen.click('#sign-out');
    await screen.getByRole('heading', { name: 'Signed out' }).waitFor();
    await stage.toSignIn();
    await stage.scan();
    await phone.getByRole('button', { name: 'Refuse' }).click();
    await screenIs(phone, 'refused');
    await clear(phone, 'refused');
    await cardIs(screen, 'refused');
    await clear(screen, 'refused');
    await screen.goto(`${stage.issuer}/sign-in/nowhere`);
    await clear(screen, 'error');
    await screen.goto(`${stage.issuer}/nowhere`);
    await clear(screen, 'not found');
  });

  test('everything stayed on this server, and nothing complained', () => stage.assertClean());
});
