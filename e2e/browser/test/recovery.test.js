// The way back for whoever has no device left: codes on paper, two people and a wait, and a tap that stops it. Every state of
// these pages is judged for everybody.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { clear, seen } from '../stage/access.js';
import { Browser } from '../stage/browser.js';
import { enrol, screenIs, Stage, SUITE } from '../stage/index.js';

const DELAY_S = 30;

describe('the way back', SUITE, () => {
  let stage;
  let administrator;
  let officer;
  let ana;
  let fresh;
  let codes;

  const press = (page, name) => page.getByRole('button', { name }).first().click();
  const shows = async (page, name) => {
    await screenIs(page, name);
    await clear(page, name);
  };
  const invite = async (person, login, role) => {
    await administrator.goto(`${stage.issuer}/phone`);
    await administrator.fill('#invite-name', person);
    await administrator.fill('#invite-login', login);
    await administrator.selectOption('#invite-role', role);
    await press(administrator, 'Make an invitation');
    return administrator.locator('#invitation-link').innerText();
  };

  before(async () => {
    stage = await Stage.open({ top: `recovery_delay_s = ${DELAY_S}` });
    administrator = stage.phone.page;
    [officer, ana, fresh] = await Promise.all([1, 2, 3].map(() => Browser.launch({ phone: true })));
  });
  after(async () => {
    await Promise.allSettled([officer, ana, fresh].map((one) => one?.close()));
    await stage?.close();
  });

  test('codes are made with a passkey, and shown once', async () => {
    await enrol(officer.page, await invite('Olga', 'olga', 'recovery_officer'), 'Phone');
    await enrol(ana.page, await invite('Ana Petrović', 'ana', 'member'), 'Phone');
    await ana.page.goto(`${stage.issuer}/phone`);
    await press(ana.page, 'Make recovery codes');
    await shows(ana.page, 'codes');
    codes = await ana.page.locator('.codes li').allInnerTexts();
    assert.equal(codes.length, 8);
    await press(ana.page, 'I have them on paper');
    await screenIs(ana.page, 'overview');
    assert.match(await ana.page.locator('main').innerText(), /8 are left/);
    assert.ok(!(await ana.page.content()).includes(codes[0]), 'they are nowhere any more');
  });

  test('a code lets a new device in, with less; what was wrong is not told', async () => {
    await fresh.page.goto(`${stage.issuer}/recover`);
    await shows(fresh.page, 'recover');
    await press(fresh.page, 'A recovery code');
    await shows(fresh.page, 'recover_code');
    for (const [login, code] of [['ana', '0000-0000'], ['nobody', codes[0]], ['olga', codes[0]]]) {
      await fresh.page.fill('#login', login);
      await fresh.page.fill('#recovery-code', code);
      await press(fresh.page, 'Continue');
      await fresh.page.locator('#recover-problem:not([hidden])').waitFor();
      assert.match(await fresh.page.locator('#recover-problem').innerText(), /That lets nobody in/);
    }
    await clear(fresh.page, 'a wrong code');
    await fresh.page.fill('#login', 'ana');
    await fresh.page.fill('#recovery-code', codes[0].toLowerCase());
    await fresh.page.press('#recovery-code', 'Enter');
    await screenIs(fresh.page, 'make_passkey');
    await press(fresh.page, 'Make a passkey');
    await shows(fresh.page, 'recovered');
    await press(fresh.page, 'See what is open');
    await screenIs(fresh.page, 'overview');
    assert.match(await fresh.page.locator('main').innerText(), /Limited until/);
    assert.equal(await fresh.page.getByRole('button', { name: /recovery codes|Make new ones/ }).count(), 0);
  });

  test('every other device is told, and undoes it with one tap', async () => {
    await ana.page.goto(`${stage.issuer}/phone`);
    await ana.page.getByRole('heading', { name: 'A device was let back in' }).waitFor();
    await clear(ana.page, 'a notice about a device that came back');
    await press(ana.page, 'Undo');
    await ana.page.waitForFunction(() => !document.querySelector('.notice.warn'));
    await fresh.page.goto(`${stage.issuer}/phone`);
    await screenIs(fresh.page, 'forgotten');
    await press(fresh.page, /again/i);
    await screenIs(fresh.page, 'cleared');
    await press(fresh.page, 'Other ways back');
    await screenIs(fresh.page, 'recover');
  });

  const scanned = async (by) => {
    await fresh.page.waitForSelector('#code-card[data-state="waiting"] svg path[d*="M"]', { state: 'attached' });
    await stage.scan({ from: fresh.page, on: by.page, browser: by });
  };
  const approved = async (by) => {
    await scanned(by);
    await stage.typeDigits({ shown: by.page, asked: fresh.page });
    await screenIs(by.page, 'statement');
    assert.match(await by.page.locator('h1').innerText(), /Let Ana Petrović back in\?/);
    await clear(by.page, 'a statement about a person');
    await stage.approve(by.page);
    await screenIs(by.page, 'done');
    stage.lookAway(by);
  };
  const both = async () => {
    await press(fresh.page, 'Two people from Harbour Books');
    await shows(fresh.page, 'recover_people');
    await fresh.page.fill('#login', 'ana');
    await press(fresh.page, 'Continue');
    await shows(fresh.page, 'recover_show');
    await approved(officer);
    await fresh.page.getByRole('heading', { name: 'Now somebody else' }).waitFor();
  };

  test('two people let somebody in, and the person stops it', async () => {
    await both();
    // The same officer is not the second one.
    await scanned(officer);
    await screenIs(officer.page, 'denied');
    assert.match(await officer.page.locator('main').innerText(), /You approved it already/);
    await approved(stage.phone);
    await screenIs(fresh.page, 'recover_waiting');
    await ana.page.goto(`${stage.issuer}/phone`);
    await ana.page.getByRole('heading', { name: 'Someone asks to get back in as you' }).waitFor();
    await press(ana.page, 'Stop it');
    await ana.page.waitForFunction(() => !document.querySelector('.notice.warn'));
    await clear(fresh.page, 'recover_waiting');
    await shows(fresh.page, 'recover_over');
    await press(fresh.page, 'Start again');
    await screenIs(fresh.page, 'recover');
  });

  test('nobody stops it: after the wait the device enrols, with less; the page may be closed meanwhile', async () => {
    await both();
    await approved(stage.phone);
    await screenIs(fresh.page, 'recover_waiting');
    await fresh.page.goto('about:blank');
    await fresh.page.goto(`${stage.issuer}/recover`);
    await screenIs(fresh.page, 'recover_waiting', 'recover_ready');
    await fresh.page.waitForFunction(() => document.body.dataset.screen === 'recover_ready', null, { timeout: 5 * DELAY_S * 1000 });
    await shows(fresh.page, 'recover_ready');
    await press(fresh.page, 'Enrol this phone');
    await screenIs(fresh.page, 'make_passkey');
    await press(fresh.page, 'Make a passkey');
    await screenIs(fresh.page, 'recovered');
  });

  test('every state of these pages was looked at, and nothing complained', () => {
    const folder = new URL('../../../web/script/', import.meta.url);
    const text = readdirSync(folder).filter((name) => name.startsWith('recover')).map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n');
    const drawn = [...text.matchAll(/(?:screen\(\{\s*name|kind): '([a-z_]+)'/g)].map(([, name]) => name).filter((name) => name !== 'already');
    assert.ok(drawn.length > 8, 'the scripts are read as they are written');
    assert.deepEqual(drawn.filter((name) => !seen.has(`phone:${name}`)), []);
    for (const one of [officer, ana, fresh]) assert.deepEqual(one.complaints.filter((said) => !/40[349]|410/.test(said)), []);
  });
});
