// Pages for everybody: keyboard alone, names for every control, one order, narrow and wide; every state of every page.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { clear, seen, tabTo } from '../stage/access.js';
import { Browser, verifies } from '../stage/browser.js';
import { cardIs, screenIs, shownDigits, Stage, SUITE } from '../stage/index.js';
import { pictures } from '../stage/pictures.js';

/** Pages that other walks look at in the same way */
const ELSEWHERE = /^(recover|operator|register|badge|kiosk|seats)/;

/** Somebody who asks people by name, and brings the word that they set */
const HOTLINE = `[[clients]]
id = "hotline"
name = "Hotline"
redirect_uris = []
auth = "client_secret_basic"
secret_hash = "${createHash('sha256').update('secret').digest('base64url')}"
ciba = { user_code = true }
`;
const picture = pictures('word');

describe('pages for everybody', SUITE, () => {
  let stage;
  let screen;
  let phone;
  let other;

  before(async () => {
    stage = await Stage.open({ enrolled: false, top: HOTLINE });
    screen = stage.screen.page;
    phone = stage.phone.page;
    other = await Browser.launch({ phone: true });
  });
  after(async () => {
    await other?.close();
    await stage?.close();
  });

  const press = (page, name) => page.getByRole('button', { name }).first().click();
  /** The phone's page for what was pressed, looked at */
  const shows = async (page, name) => {
    await screenIs(page, name);
    await clear(page, name);
  };
  const card = async (page, state) => {
    await cardIs(page, state);
    await clear(page, state);
  };

  test('enrolling needs no pointer', async () => {
    await phone.goto(stage.server.link);
    await shows(phone, 'invitation');
    assert.equal(new URL(phone.url()).hash, '', 'the invitation is gone from the address');
    await tabTo(phone, /^Enrol this phone$/);
    await phone.keyboard.press('Enter');
    await shows(phone, 'make_passkey');
    await tabTo(phone, /^Make a passkey$/);
    await phone.keyboard.press('Enter');
    await shows(phone, 'enrolled');
    await tabTo(phone, /^Add a device$/);
    await phone.keyboard.press('Enter');
    await shows(phone, 'how_to_add');
  });

  test('an invitation that is not for you, or no longer works; a phone that is enrolled, or not', async () => {
    await screen.goto(stage.server.link);
    await shows(screen, 'invitation_old');
    await phone.goto(`${stage.issuer}/enrol`);
    await shows(phone, 'already');
    await phone.goto(`${stage.issuer}/phone`);
    await phone.fill('#invite-name', 'Ana Petrović');
    await phone.fill('#invite-login', 'ana');
    await press(phone, 'Make an invitation');
    await shows(phone, 'invited');
    const link = await phone.textContent('#invitation-link');
    await other.page.goto(link);
    await press(other.page, 'Not for me');
    await shows(other.page, 'not_mine');
    await other.page.goto(`${stage.issuer}/q`);
    await shows(other.page, 'no_key');
    await press(other.page, 'It was enrolled before');
    await shows(other.page, 'cleared');
    await other.page.goto(`${stage.issuer}/q`);
    await press(other.page, 'Close');
    await shows(other.page, 'closed');
    // A device that waits for another one, and what it hears when it asks.
    await other.page.route('**/enrolments/finish', (route) => route.fulfill({ status: 201, json: { device_id: '01900000-0000-7000-8000-000000000000', device_state: 'pending', name: 'Ana Petrović' } }));
    await other.page.goto(link);
    await press(other.page, 'Enrol this phone');
    await press(other.page, 'Make a passkey');
    await shows(other.page, 'enrolled_pending');
    await press(other.page, 'Later');
    await shows(other.page, 'forgotten');
    await press(other.page, 'Enrol it again');
    await screenIs(other.page, 'cleared');
  });

  test('the waiting screen can be read and walked through: skip link, passkey, links', async () => {
    await stage.toSignIn();
    await card(screen, 'waiting');
    await screen.evaluate(() => document.activeElement.blur());
    const passed = await tabTo(screen, /^No phone with you\?$/);
    assert.deepEqual(passed.filter(Boolean), ['Skip to the page', 'Use a passkey on this screen', 'Can’t scan? Use a typed code', 'Ask my phone instead']);
    await screen.keyboard.press('Enter');
    await screen.waitForSelector('#advice:not([hidden])');
    await clear(screen, 'advice');
    await verifies(screen, false);
    await press(screen, 'Use a passkey on this screen');
    await screen.getByRole('heading', { name: 'No passkey was used' }).waitFor();
    await clear(screen, 'passkey cancelled');
  });

  test('a sign-in by keyboard alone, on both sides; Enter never approves', async () => {
    await stage.toSignIn();
    await tabTo(screen, /^Can’t scan\? Use a typed code$/);
    await screen.keyboard.press('Enter');
    await card(screen, 'typed');
    assert.equal(await screen.evaluate(() => document.activeElement.textContent), 'Type this code on your phone', 'the focus follows');
    const code = await screen.locator('.state .typed').innerText();
    await phone.goto(`${stage.issuer}/code`);
    await shows(phone, 'code');
    await tabTo(phone, /^The code, 8 letters$/);
    await phone.keyboard.type('WDJA');
    await phone.keyboard.press('Enter');
    await phone.waitForSelector('#code-problem:not([hidden])');
    await clear(phone, 'no code');
    for (let letters = 4; letters > 0; letters -= 1) await phone.keyboard.press('Backspace');
    await phone.keyboard.type(code);
    await tabTo(phone, /^Continue$/);
    await phone.keyboard.press('Space');
    await shows(phone, 'digits_shown');
    const digits = await shownDigits(phone);
    await card(screen, 'type_here');
    assert.equal(await screen.evaluate(() => document.activeElement.name), 'digits', 'the field for digits has the focus');
    await screen.keyboard.type(digits.replace(/./, (first) => (Number(first) + 1) % 10));
    await screen.keyboard.press('Enter');
    await screen.getByRole('heading', { name: 'Those digits do not match' }).waitFor();
    await clear(screen, 'wrong digits');
    await screen.keyboard.type(digits);
    await tabTo(screen, /^Continue$/);
    await screen.keyboard.press('Space');
    await card(screen, 'scanned');
    await shows(phone, 'statement');
    const order = await phone.evaluate(() => [...document.querySelectorAll('#refuse, #approve')].map((one) => one.id));
    assert.deepEqual(order, ['refuse', 'approve']);
    const [refuse, approve] = await Promise.all(['#refuse', '#approve'].map((one) => phone.locator(one).boundingBox()));
    assert.ok(refuse.height >= 64 && approve.height >= 64 && Math.abs(refuse.width - approve.width) < 1, 'both decisions are as large');
    const passed = await tabTo(phone, /^(Read first|Approve)$/);
    assert.equal(passed.at(-1), 'Refuse');
    await phone.waitForSelector('#approve:not([aria-disabled])');
    await phone.keyboard.press('Enter');
    await phone.waitForTimeout(300);
    assert.equal(await screenIs(phone, 'statement'), 'statement');
    // The person lets the phone wait, then closes what it asks.
    await phone.evaluate(() => {
      navigator.credentials.get = () => new Promise((_, no) => (globalThis.cancel = () => no(new DOMException('', 'NotAllowedError'))));
    });
    await phone.keyboard.press('Space');
    await shows(phone, 'passkey');
    await phone.evaluate(() => {
      delete navigator.credentials.get;
      globalThis.cancel();
    });
    await shows(phone, 'passkey_failed');
    // The answer of the server is held back, so that there is time to look.
    let go;
    const looked = new Promise((resolve) => (go = resolve));
    await screen.route('**/redeem', async (route) => (await looked, route.continue()));
    await tabTo(phone, /^Try again$/);
    await phone.keyboard.press('Space');
    await card(screen, 'approved');
    go();
    await screen.waitForSelector('#person');
    await shows(phone, 'done');
    await screen.unroute('**/redeem');
    await tabTo(phone, /^End it now$/);
    await phone.keyboard.press('Enter');
    await shows(phone, 'ended');
    await stage.heard(1);
    await stage.signIn();
  });

  test('what is open and what happened, and the session’s own page', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await shows(phone, 'overview');
    await press(phone, 'What happened');
    await shows(phone, 'story');
    await phone.goto(`${stage.issuer}/phone`);
    await press(phone, 'Rename');
    await shows(phone, 'rename');
    await phone.goto(`${stage.issuer}/phone`);
    await press(phone, 'Set a word');
    await shows(phone, 'word');
    await picture(phone, 'choose');
    await phone.keyboard.type('a plain word');
    await phone.keyboard.press('Enter');
    await shows(phone, 'overview');
    await phone.getByRole('button', { name: 'Change it' }).waitFor();
    await clear(phone, 'overview with a word');
    await picture(phone, 'overview');
    await screen.goto(`${stage.issuer}/session`);
    await screen.waitForSelector('#sign-out');
    await clear(screen, 'session');
    await screen.click('#sign-out');
    await screen.getByRole('heading', { name: 'Signed out' }).waitFor();
    await clear(screen, 'signed out');
    await screen.goto(`${stage.issuer}/session`);
    await clear(screen, 'no session');
    stage.till.sessions.clear();
  });

  test('adding a device, and losing it', async () => {
    const { page } = other;
    await page.unrouteAll();
    await page.goto(`${stage.issuer}/add`);
    await shows(page, 'add_name');
    await press(page, 'Show a code');
    await cardIs(page, 'waiting');
    await clear(page, 'add');
    await page.getByRole('button', { name: 'Can’t scan? Use a typed code' }).click();
    const code = await page.locator('.state .typed').innerText();
    await phone.goto(`${stage.issuer}/code`);
    await phone.fill('#user-code', code);
    await phone.press('#user-code', 'Enter');
    await stage.typeDigits({ asked: page });
    await stage.approve();
    await screenIs(page, 'make_passkey');
    await press(page, 'Make a passkey');
    await screenIs(page, 'enrolled');
    await phone.goto(`${stage.issuer}/phone`);
    await phone.getByRole('heading', { name: 'A device was added' }).waitFor();
    await clear(phone, 'overview with a notice');
    await press(phone, /^Lost it\?/);
    await shows(phone, 'lost');
  });

  test('asking by name: the form, the wait, the request above the camera, six digits, the greeting', async () => {
    stage.lookAway();
    await phone.goto(`${stage.issuer}/q`);
    await shows(phone, 'scan');
    await stage.toSignIn();
    await tabTo(screen, /^Ask my phone instead$/);
    await screen.keyboard.press('Enter');
    await card(screen, 'ask');
    assert.equal(await screen.evaluate(() => document.activeElement.id), 'login');
    await screen.keyboard.press('Enter');
    await screen.getByText('Type your login name.').waitFor();
    await clear(screen, 'no login');
    await screen.keyboard.type('admin');
    await screen.keyboard.press('Enter');
    await card(screen, 'offered');
    await phone.getByRole('button', { name: 'Look at it' }).waitFor();
    await clear(phone, 'scan with a request');
    await phone.evaluate(() => document.activeElement.blur());
    assert.equal((await tabTo(phone, /^Look at it$/)).at(-1), 'No', 'refusing comes first');
    await phone.keyboard.press('Space');
    await shows(phone, 'digits_asked');
    await card(screen, 'type_there');
    assert.equal(await phone.evaluate(() => document.activeElement.name), 'digits');
    await phone.keyboard.type(await shownDigits(screen));
    await phone.keyboard.press('Enter');
    await stage.approve();
    await card(screen, 'greeting');
    await tabTo(screen, /^Not me$/);
    await screen.keyboard.press('Enter');
    await card(screen, 'not_me');
  });

  test('refusing, and saying that it was somebody else', async () => {
    await stage.toSignIn();
    await stage.typeCode();
    await stage.typeDigits();
    await screenIs(phone, 'statement');
    await tabTo(phone, /^Refuse$/);
    await phone.keyboard.press('Enter');
    await shows(phone, 'refused');
    await card(screen, 'refused');
    await press(phone, 'This was not me');
    await shows(phone, 'not_me');
    await phone.goto(`${stage.issuer}/code`);
    const held = phone.waitForRequest('**/device/scans');
    await phone.route('**/device/scans', () => {});
    await phone.fill('#user-code', 'BCDFGHJK');
    await phone.press('#user-code', 'Enter');
    await held;
    await shows(phone, 'sending');
    await phone.unrouteAll();
  });

  const refusal = (status, code) => (route) => route.fulfill({ status, headers: status === 429 ? { 'retry-after': '120' } : {}, json: { code, ref: 'R-481-720-936' } });

  test('everything a phone can be refused with', async () => {
    const answers = [
      ...['code_not_live', 'no_such_ceremony', 'too_far', 'same_device', 'denied', 'expired', 'gone', 'bad_proof', 'decided', 'already_redeemed', 'confirm_first', 'wrong_code', 'clock', 'unavailable', 'attestation_needed', 'not_yet', 'remote_controlled', 'seat_locked', 'shared_phone', 'no_such_thing', 'refused', 'revoked', 'abandoned'].map((code) => [code, refusal(409, code)]),
      ['too_many', refusal(429, 'too_many')],
      ['broken', refusal(500, 'something_else')],
      ['offline', (route) => route.abort()],
      ['mismatch', (route) => route.fulfill({ status: 201, json: { cid: 'x', statement: 'e30', left_ms: 60_000 } })],
    ];
    for (const [name, answer] of answers) {
      await phone.route('**/device/scans', answer);
      await phone.goto(`${stage.issuer}/code`);
      await phone.fill('#user-code', 'BCDFGHJK');
      await phone.press('#user-code', 'Enter');
      await shows(phone, name);
      if (name === 'too_far') {
        await press(phone, 'Stop');
        await shows(phone, 'stopped');
      }
      await phone.unrouteAll();
    }
    await phone.addInitScript(() => (navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('no'))));
    await phone.goto(`${stage.issuer}/q`);
    await shows(phone, 'camera_off');
  });

  test('everything a screen can be refused with', async () => {
    await stage.toSignIn();
    const flow = screen.url();
    const answers = [
      ['bad_start', refusal(404, 'no_such_flow')],
      ['replayed', refusal(409, 'already_redeemed')],
      ['refused', refusal(403, 'denied')],
      ['expired', refusal(410, 'expired')],
      ['closed', refusal(410, 'gone')],
      ['paused', refusal(503, 'unavailable')],
      ['too_many', refusal(429, 'too_many')],
      ['broken', refusal(500, 'something_else')],
      ['offline', (route) => route.abort()],
    ];
    for (const [state, answer] of answers) {
      await screen.route('**/ceremonies', answer);
      await screen.goto(flow);
      await card(screen, state);
      await screen.unrouteAll();
    }
    // Nobody was here for ten minutes.
    const idle = await stage.screen.another();
    await idle.clock.install();
    await idle.goto(flow);
    await cardIs(idle, 'waiting');
    const state = () => idle.evaluate(() => document.getElementById('code-card').dataset.state);
    for (let minutes = 0; minutes < 40 && (await state()) !== 'resting'; minutes += 1) {
      await idle.clock.fastForward('01:00');
      await idle.waitForTimeout(300);
    }
    await card(idle, 'resting');
    await idle.close();
    await screen.goto(`${stage.issuer}/sign-in/nowhere`);
    await clear(screen, 'error');
    await screen.goto(`${stage.issuer}/nowhere`);
    await clear(screen, 'not found');
    await screen.goto(`${stage.issuer}/logout`);
    await clear(screen, 'log out');
  });

  test('a window that cannot keep keys', async () => {
    await stage.toSignIn();
    for (const [browser, path] of [[stage.screen, screen.url()], [stage.phone, `${stage.issuer}/phone`]]) {
      const page = await browser.another();
      await page.addInitScript(() => Object.defineProperty(globalThis, 'indexedDB', { value: undefined }));
      await page.goto(path);
      await page.getByRole('heading', { name: 'Open this page in your browser' }).waitFor();
      await clear(page, `${path} without keys`);
      await page.close();
    }
  });

  test('no script failed, and the policy of no page was touched', () => {
    const complaints = [stage.screen, stage.phone, other].flatMap((browser) => browser.complaints);
    assert.deepEqual(complaints.filter((one) => /^fault:|policy violation/.test(one)), []);
  });

  test('there is no state that nobody looked at', () => {
    const folder = new URL('../../../web/script/', import.meta.url);
    const scripts = readdirSync(folder).filter((name) => !ELSEWHERE.test(name)).map((name) => readFileSync(new URL(name, folder), 'utf8'));
    const all = (pattern, text = scripts.join('\n')) => [...text.matchAll(pattern)].map(([, name]) => name);
    const drawn = [...all(/screen\(\{\s*name: '([a-z_]+)'/g), ...all(/name: waits \? '([a-z_]+)'/g), ...all(/name: waits \? '[a-z_]+' : '([a-z_]+)'/g)];
    const told = scripts.find((text) => text.includes('const TABLE = {'));
    const refusals = [...all(/^ {2}([a-z_]+): \['refusal/gm, told), ...all(/^TABLE\.([a-z_]+)/gm, told)];
    const states = all(/#show\('([a-z_]+)'/g).map((state) => `card:${state}`).filter((state) => !state.startsWith('card:badge'));
    assert.ok(drawn.length > 30 && refusals.length > 15 && states.length > 18, 'the scripts are read as they are written');
    assert.deepEqual([...drawn, ...refusals].map((name) => `phone:${name}`).concat(states).filter((state) => !seen.has(state)), []);
  });
});
