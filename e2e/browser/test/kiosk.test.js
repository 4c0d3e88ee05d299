// A registered till in kiosk mode: nothing is typed on it, one person follows the other, a phone ends what runs there, and
// nothing of the last person stays.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { screenIs, somebody, SUITE } from '../stage/index.js';
import { Kiosk } from '../stage/kiosk.js';
import { pictures } from '../stage/pictures.js';

describe('a till in kiosk mode', SUITE, () => {
  let till;
  let stage;
  let screen;
  let phone;
  let other;

  const strip = pictures('kiosk');
  const picture = (what, more) => strip(screen, what, more);

  before(async () => {
    const site = '[terminals.sites.market]\nnetworks = ["127.0.0.0/8", "::1/128"]\n';
    till = await Kiosk.open({ name: 'Till 4', place: 'Market Street', top: site, registered: 'without_phone = { approved_by = ["supervisor"], scopes = ["openid", "profile"], for_s = 600 }' });
    ({ stage, screen } = till);
    phone = stage.phone.page;
    other = await somebody(stage, 'Bo Berg', 'bo');
  });
  after(async () => {
    await other?.close();
    await stage?.close();
  });

  test('it registers by a link that works once', async () => {
    await screen.goto(`${stage.issuer}/kiosk`);
    await till.is('unknown');
    await clear(screen, 'unknown');
    const link = await till.register('--site', 'market');
    await clear(screen, 'registered');
    assert.equal(new URL(screen.url()).hash, '', 'the link is gone from the address');
    await screen.goto('about:blank');
    await screen.goto(link);
    await screenIs(screen, 'invitation_old');
  });

  test('idle, it shows its name and a live code, and nobody', async () => {
    await till.idle();
    const said = await screen.locator('body').innerText();
    assert.match(said, /Scan to sign in[^]*Till 4/);
    assert.equal(await screen.locator('input').count(), 0, 'nothing to type');
    await clear(screen, 'idle');
    await picture('idle', { dark: true });
  });

  test('the phone shows the name of the screen; nothing is typed', async () => {
    const said = await till.comes(stage.phone, 'Administrator');
    assert.match(said, /Sign in at\s+Till 4/);
    assert.match(said, /Market Street/);
    await clear(screen, 'signed-in');
    await picture('signed-in', { dark: true });
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    assert.match(await phone.locator('.session').innerText(), /Till 4/);
  });

  test('its application opens without another code', async () => {
    await till.application();
    assert.equal(await screen.textContent('#person'), 'Administrator');
    await screen.goto(`${stage.issuer}/kiosk`);
    await till.is('signed-in');
  });

  test('it locks while the phone cannot vouch for it, and goes on when it can again', async () => {
    const told = (...words) => stage.server.command(['--json', ...words]);
    const device = JSON.parse(told('device', 'list', 'admin').split('\n')[0]).id;
    told('signal', 'raise', 'device.noncompliant', device);
    await till.is('locked');
    assert.match(await screen.locator('main').innerText(), /Locked/);
    await clear(screen, 'locked');
    await picture('locked');
    told('signal', 'clear', 'device.noncompliant', device);
    await till.is('signed-in');
  });

  test('the next person takes it over, and the last one is signed out everywhere', async () => {
    await screen.getByRole('button', { name: 'Next person' }).click();
    await till.is('next');
    await clear(screen, 'next');
    await picture('next-person');
    const told = stage.till.heard.length;
    await till.comes(other, 'Bo Berg');
    await picture('second-person');
    await stage.heard(told + 1);
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    assert.match(await phone.locator('main').innerText(), /Nothing is open/);
  });

  test('the phone ends it with one tap, and the till shows it at once', async () => {
    await other.page.goto(`${stage.issuer}/phone`);
    await screenIs(other.page, 'overview');
    await till.ends(() => other.page.getByRole('button', { name: 'End Till 4' }).click());
    await picture('ended');
  });

  test('nothing of the last person stays: not in cookies, storage, page or any address', async () => {
    await till.is('idle');
    await till.code();
    const cookies = (await stage.screen.context.cookies(stage.issuer)).map(({ name }) => name);
    assert.deepEqual(cookies, ['__Host-cs_b'], 'a fresh browser cookie and no session');
    const kept = await screen.evaluate(async () => {
      const base = await new Promise((resolve) => {
        const request = indexedDB.open('countersign');
        request.onsuccess = () => resolve(request.result);
      });
      const names = await new Promise((resolve) => {
        const request = base.transaction('shelf').objectStore('shelf').getAllKeys();
        request.onsuccess = () => resolve(request.result);
      });
      return { names, local: Object.keys(localStorage), session: Object.keys(sessionStorage), html: document.documentElement.outerHTML };
    });
    assert.deepEqual(kept.names.sort(), ['counter', 'registered']);
    assert.deepEqual([...kept.local, ...kept.session], []);
    assert.ok(!/Bo Berg|Administrator/.test(kept.html));
    const personal = stage.screen.asked.filter((address) => /Bo|Berg|Administrator|bo%|login=/.test(new URL(address).pathname + new URL(address).search));
    assert.deepEqual(personal, []);
    assert.deepEqual(other.complaints.concat(stage.screen.complaints), []);
  });

  test('suspended, it shows no code', async () => {
    stage.server.command(['terminal', 'suspend', 'Till 4']);
    await screen.goto(`${stage.issuer}/kiosk`);
    await screen.waitForSelector('#code-card[data-state="refused"]');
    stage.server.command(['terminal', 'resume', 'Till 4']);
    await screen.reload();
    await till.code();
  });

  test('somebody without a phone works on the word of whoever may vouch, and both see it', async () => {
    stage.server.command(['person', 'role', 'bo', 'supervisor']);
    await screen.getByRole('button', { name: 'No phone with you?' }).click();
    await clear(screen, 'without');
    await picture('without');
    const opened = screen.waitForResponse((reply) => reply.url().endsWith('/ceremonies') && reply.request().method() === 'POST');
    await screen.fill('#without', 'admin');
    await screen.keyboard.press('Enter');
    assert.equal((await opened).status(), 201);
    await screen.getByText('scans this code with their own phone').waitFor();
    await till.code();
    assert.equal(await screen.evaluate(() => document.activeElement.textContent), 'Back to the code', 'the way back has the focus');
    await picture('without-code');
    await stage.scan({ on: other.page, browser: other });
    await stage.typeDigits({ shown: other.page });
    await screenIs(other.page, 'statement');
    const said = await other.page.locator('main').innerText();
    assert.match(said, /Let\s+Administrator\s+work at\s+Till 4\s+without a phone/);
    assert.match(said, /Work without a phone, on your word[^]*Administrator[^]*Till 4/);
    await clear(other.page, 'vouch');
    await strip(other.page, 'vouch');
    await stage.approve(other.page);
    await till.is('signed-in');
    await screen.getByRole('heading', { name: 'Administrator' }).waitFor();
    await other.page.goto(`${stage.issuer}/phone`);
    await screenIs(other.page, 'overview');
    assert.match(await other.page.locator('.session').innerText(), /Administrator, on your word/);
    await other.page.getByText('You vouched for somebody without a phone.').waitFor();
    await strip(other.page, 'on-my-word');
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    assert.match(await phone.locator('main').innerText(), /Somebody vouched for you[^]*On the word of Bo Berg/);
    await strip(phone, 'vouched-for');
  });
});
