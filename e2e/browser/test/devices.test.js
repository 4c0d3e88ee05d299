// Further devices, passkeys carried to a screen, devices that are lost.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser, carry, passkeys } from '../stage/browser.js';
import { shoot } from '../stage/film.js';
import { screenIs, Stage, SUITE } from '../stage/index.js';

describe('devices', SUITE, () => {
  let stage;
  let screen;
  let phone;
  let tablet;

  before(async () => {
    stage = await Stage.open();
    screen = stage.screen.page;
    phone = stage.phone.page;
    tablet = await Browser.launch({ phone: true });
  });
  after(async () => {
    await tablet?.close();
    await stage?.close();
  });

  test('a second device joins: its code is scanned, digits typed on it, a passkey of its own made', async () => {
    await tablet.page.goto(`${stage.issuer}/add`);
    await screenIs(tablet.page, 'add_name');
    await tablet.page.fill('#device-name', 'Tablet');
    await tablet.page.getByRole('button', { name: 'Show a code' }).click();
    await tablet.page.waitForSelector('#code-card[data-state="waiting"] svg path[d*="M"]', { state: 'attached' });
    await stage.scan({ from: tablet.page });
    await stage.typeDigits({ asked: tablet.page });
    await screenIs(phone, 'statement');
    assert.match(await phone.locator('h1').innerText(), /Add Tablet to your devices\?/);
    await stage.approve();
    await screenIs(tablet.page, 'make_passkey');
    await tablet.page.getByRole('button', { name: 'Make a passkey' }).click();
    await screenIs(tablet.page, 'enrolled');
    await phone.goto(`${stage.issuer}/phone`);
    await phone.getByRole('heading', { name: 'A device was added' }).waitFor();
    await phone.getByRole('button', { name: 'It was me' }).click();
    await phone.waitForFunction(() => !document.querySelector('.notice.warn'));
    assert.match(await phone.locator('.devices').innerText(), /Tablet/);
  });

  test('the second device approves as the first does', async () => {
    await stage.toSignIn();
    shoot(tablet.film, await stage.frames());
    await tablet.page.goto(`${stage.issuer}/q`);
    await stage.typeDigits({ shown: tablet.page });
    await stage.approve(tablet.page);
    await screen.waitForSelector('#person');
  });

  test('a device that is lost closes what it opened, and approves no more', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await phone.getByRole('button', { name: 'Lost it? Tablet' }).click();
    await screenIs(phone, 'lost');
    await phone.getByRole('button', { name: 'Yes, it is lost' }).click();
    await screenIs(phone, 'overview');
    await stage.heard(1);
    assert.equal(await stage.served(), null);
    await tablet.page.goto(`${stage.issuer}/phone`);
    await screenIs(tablet.page, 'forgotten');
  });

  test('one’s own phone in the same browser is no second device', async () => {
    const page = await stage.phone.another();
    await stage.toSignIn(page);
    shoot(stage.phone.film, await stage.frames(page));
    await phone.goto(`${stage.issuer}/q`);
    await screenIs(phone, 'same_device');
    await page.close();
  });

  test('a device is renamed, and what happened is told', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await phone.getByRole('button', { name: 'Rename Phone' }).click();
    await phone.fill('#new-name', 'Pocket');
    await phone.press('#new-name', 'Enter');
    await screenIs(phone, 'overview');
    await phone.getByRole('heading', { name: 'Pocket' }).waitFor();
    await phone.getByRole('button', { name: 'What happened' }).first().click();
    await phone.getByRole('heading', { name: 'What protected it' }).waitFor();
  });

  test('a security key carried to the screen opens the till without a phone', async () => {
    const told = stage.till.heard.length;
    await stage.toSignIn();
    const [credential] = await passkeys(phone);
    await carry(screen, credential);
    await screen.getByRole('button', { name: 'Use a passkey on this screen' }).click();
    await screen.waitForURL(`${stage.till.origin}/`);
    await screen.waitForSelector('#person');
    const [session] = [...stage.till.sessions.values()];
    assert.match(session.acr, /^phr/);
    // The phone sees it and can end it.
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    await phone.getByRole('button', { name: /^End / }).first().click();
    await phone.getByRole('heading', { name: 'Ended' }).waitFor();
    await stage.heard(told + 1);
    assert.equal(await stage.served(), null);
  });

  test('the same passkey in two places is noticed: its counter runs backwards on the phone, and nothing opens', async () => {
    await stage.toSignIn();
    await stage.scan();
    await stage.typeDigits();
    await stage.approve();
    await screenIs(phone, 'bad_proof');
    assert.equal(await stage.served(), null);
  });

  test('everything stayed on this server, and nothing complained', () => {
    stage.assertClean();
    assert.deepEqual(tablet.complaints, []);
  });
});
