// What is refused: codes that are not live, screens that are gone, phones that nobody knows, and people who say no.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Browser } from '../stage/browser.js';
import { shoot } from '../stage/film.js';
import { cardIs, enrol, photo, screenIs, Stage, SUITE } from '../stage/index.js';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

describe('refusing', SUITE, () => {
  let stage;
  let screen;
  let phone;
  let other;

  const show = async (browser, shots) => {
    shoot(browser.film, shots);
    await browser.page.goto(`${stage.issuer}/q`);
  };

  before(async () => {
    stage = await Stage.open();
    screen = stage.screen.page;
    phone = stage.phone.page;
    other = await Browser.launch({ phone: true });
  });
  after(async () => {
    await other?.close();
    await stage?.close();
  });

  test('a phone that is not enrolled sends nothing and keeps nothing', async () => {
    await stage.toSignIn();
    await show(other, [await photo(screen)]);
    await screenIs(other.page, 'no_key');
    assert.deepEqual(other.asked.filter((address) => /\/(device|ceremonies|enrolments)\//.test(address)), []);
    assert.deepEqual(await other.context.cookies(), []);
  });

  test('an administrator invites somebody, who enrols a phone of their own', async () => {
    await phone.goto(`${stage.issuer}/phone`);
    await screenIs(phone, 'overview');
    await phone.fill('#invite-name', 'Ana Petrović');
    await phone.fill('#invite-login', 'ana');
    await phone.getByRole('button', { name: 'Make an invitation' }).click();
    await screenIs(phone, 'invited');
    const link = await phone.textContent('#invitation-link');
    await enrol(other.page, link, 'Phone of Ana');
    // It worked once.
    await other.page.goto(link);
    await screenIs(other.page, 'invitation_old');
  });

  test('a picture that was forwarded and is older than fifteen seconds is refused', async () => {
    await stage.toSignIn();
    const forwarded = await photo(screen);
    await pause(19_000);
    await show(stage.phone, [forwarded]);
    await screenIs(phone, 'code_not_live');
    assert.equal(await cardIs(screen, 'waiting'), 'waiting');
  });

  test('of two phones the first wins, and the second is told what strangers are told', async () => {
    await stage.toSignIn();
    const shots = await stage.frames();
    await Promise.all([show(stage.phone, shots), screenIs(phone, 'digits_shown')]);
    await show(other, shots);
    await screenIs(other.page, 'code_not_live');
    await stage.typeDigits();
    await stage.approve();
    await screen.waitForSelector('#person');
    await phone.getByRole('button', { name: 'End it now' }).click();
    await screenIs(phone, 'ended');
  });

  test('a page that was closed can no longer be scanned, though its code is a moment old', async () => {
    const page = await stage.screen.another();
    await stage.toSignIn(page);
    const shots = await stage.frames(page);
    await page.close({ runBeforeUnload: true });
    // Its last word is a request that outlives it.
    const heard = () => stage.server.command(['--json', 'log', 'tail', '-n', '50']).match(/"ceremony\.(opened|abandoned)"/g).at(-1).includes('abandoned');
    for (let tries = 0; tries < 20 && !heard(); tries += 1) await pause(200);
    await show(stage.phone, shots);
    await screenIs(phone, 'code_not_live');
  });

  test('cancelling goes back to the application with nothing', async () => {
    await stage.toSignIn();
    await screen.click('#help-link');
    await screen.click('#cancel-link');
    await screen.waitForURL(`${stage.till.origin}/?why=access_denied`);
  });

  test('a person refuses: nothing opens, and the screen does not learn why', async () => {
    await stage.toSignIn();
    await stage.scan();
    await phone.getByRole('button', { name: 'Refuse' }).click();
    await screenIs(phone, 'refused');
    await cardIs(screen, 'refused');
    assert.doesNotMatch(await screen.locator('#code-card').innerText(), /phone.*(said|pressed)|administrator/i);
    assert.equal(await stage.served(), null);
  });

  test('“This was not me” closes what the screen opened and stops it from asking', async () => {
    await stage.toSignIn();
    await stage.scan();
    await phone.getByRole('button', { name: 'Refuse' }).click();
    await screenIs(phone, 'refused');
    await phone.getByRole('button', { name: 'This was not me' }).click();
    await screenIs(phone, 'not_me');
    await stage.toSignIn();
    await show(stage.phone, await stage.frames());
    await screenIs(phone, 'denied');
    assert.equal(await cardIs(screen, 'waiting'), 'waiting', 'a watcher must not learn that a phone tried');
  });

  test('everything stayed on this server, and nothing complained', () => {
    stage.assertClean();
    assert.deepEqual(other.complaints, []);
  });
});
