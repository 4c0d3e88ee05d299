// A registered till in kiosk mode: nothing is typed on it, one person follows the other, a phone ends what runs there, and
// nothing of the last person stays.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { Browser } from '../stage/browser.js';
import { enrol, screenIs, Stage } from '../stage/index.js';
import { pictures } from '../stage/pictures.js';
import { freePort } from '../stage/server.js';

describe('a till in kiosk mode', { timeout: 240_000 }, () => {
  let stage;
  let screen;
  let phone;
  let other;

  const kioskIs = (...states) => screen.waitForFunction((wanted) => wanted.includes(document.body.dataset.kiosk), states);
  const codeIsThere = () => screen.waitForSelector('#code-card[data-state="waiting"] svg path[d*="M"]', { state: 'attached' });
  const strip = pictures('kiosk');
  const picture = (what, more) => strip(screen, what, more);
  const comes = async (browser, who) => {
    await codeIsThere();
    await stage.scan({ on: browser.page, browser });
    await screenIs(browser.page, 'statement');
    const said = await browser.page.locator('main').innerText();
    await stage.approve(browser.page);
    await kioskIs('signed-in');
    await screen.getByRole('heading', { name: who }).waitFor();
    return said;
  };

  before(async () => {
    // The kiosk needs to know where its application begins before there is one: the till's origin is of a port of its own.
    const site = '[terminals.sites.market]\nnetworks = ["127.0.0.0/8", "::1/128"]\n';
    const port = await freePort();
    const kiosk = `[terminals.classes.till.kiosk]\nclient = "till"\nscopes = ["openid", "profile"]\nstart = "http://localhost:${port}/"\n`;
    stage = await Stage.open({ top: `${site}${kiosk}`, port });
    screen = stage.screen.page;
    phone = stage.phone.page;
    const link = /https?:\/\/\S+#[\w-]+/.exec(stage.server.command(['invite', 'Bo Berg', 'bo']))[0];
    other = await Browser.launch({ phone: true });
    await enrol(other.page, link, 'Phone');
  });
  after(async () => {
    await other?.close();
    await stage?.close();
  });

  test('it registers by a link that works once', async () => {
    const made = JSON.parse(stage.server.command(['terminal', 'invite', '--name', 'Till 4', '--place', 'Market Street', '--class', 'till', '--site', 'market', '--json']));
    await screen.goto(`${stage.issuer}/kiosk`);
    await kioskIs('unknown');
    await clear(screen, 'unknown');
    await screen.goto(made.link);
    await screenIs(screen, 'register');
    await clear(screen, 'register');
    assert.match(await screen.locator('main').innerText(), /Till 4[^]*Market Street/);
    await screen.getByRole('button', { name: 'Register this screen' }).click();
    await screenIs(screen, 'registered');
    await clear(screen, 'registered');
    assert.equal(new URL(screen.url()).hash, '', 'the link is gone from the address');
    await screen.goto('about:blank');
    await screen.goto(made.link);
    await screenIs(screen, 'invitation_old');
  });

  test('idle, it shows its name and a live code, and nobody', async () => {
    await screen.goto(`${stage.issuer}/kiosk`);
    await kioskIs('idle');
    await codeIsThere();
    const said = await screen.locator('body').innerText();
    assert.match(said, /Scan to sign in[^]*Till 4/);
    assert.equal(await screen.locator('input').count(), 0, 'nothing to type');
    await clear(screen, 'idle');
    await picture('idle', { dark: true });
  });

  test('the phone shows the name of the screen; nothing is typed', async () => {
    const said = await comes(stage.phone, 'Administrator');
    assert.match(said, /Sign in at\s+Till 4/);
    assert.match(said, /Market Street/);
    await clear(screen, 'signed-in');
    await picture('signed-in', { dark: true });
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    assert.match(await phone.locator('.session').innerText(), /Till 4/);
  });

  test('its application opens without another code', async () => {
    await screen.getByRole('button', { name: 'Open the application' }).click();
    await screen.waitForURL(`${stage.till.origin}/`);
    await screen.click('#login');
    await screen.waitForSelector('#person');
    assert.equal(await screen.textContent('#person'), 'Administrator');
    await screen.goto(`${stage.issuer}/kiosk`);
    await kioskIs('signed-in');
  });

  test('it locks while the phone cannot vouch for it, and goes on when it can again', async () => {
    const told = (...words) => stage.server.command(['--json', ...words]);
    const device = JSON.parse(told('device', 'list', 'admin').split('\n')[0]).id;
    told('signal', 'raise', 'device.noncompliant', device);
    await kioskIs('locked');
    assert.match(await screen.locator('main').innerText(), /Locked/);
    await clear(screen, 'locked');
    await picture('locked');
    told('signal', 'clear', 'device.noncompliant', device);
    await kioskIs('signed-in');
  });

  test('the next person takes it over, and the last one is signed out everywhere', async () => {
    await screen.getByRole('button', { name: 'Next person' }).click();
    await kioskIs('next');
    await clear(screen, 'next');
    await picture('next-person');
    const told = stage.till.heard.length;
    await comes(other, 'Bo Berg');
    await picture('second-person');
    await stage.heard(told + 1);
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    assert.match(await phone.locator('main').innerText(), /Nothing is open/);
  });

  test('the phone ends it with one tap, and the till shows it at once', async () => {
    await other.page.goto(`${stage.issuer}/phone`);
    await screenIs(other.page, 'overview');
    const at = Date.now();
    await other.page.getByRole('button', { name: 'End Till 4' }).click();
    await kioskIs('ended');
    const after_ms = Date.now() - at;
    assert.ok(after_ms < 3_000, `it took ${after_ms} ms`);
    await picture('ended');
  });

  test('nothing of the last person stays: not in cookies, storage, page or any address', async () => {
    await kioskIs('idle');
    await codeIsThere();
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
    await codeIsThere();
  });
});
