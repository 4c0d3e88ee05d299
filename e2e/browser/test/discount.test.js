// A discount at a registered till: nobody has it by signing in there; one person is given it for moments, and it is gone for
// everybody after that.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { clear } from '../stage/access.js';
import { screenIs, somebody, SUITE } from '../stage/index.js';
import { Kiosk } from '../stage/kiosk.js';
import { pictures } from '../stage/pictures.js';

const FOR_S = 40;

describe('a1: a discount at a till', SUITE, () => {
  let till;
  let stage;
  let screen;
  let lea;
  let bo;
  let given;
  const picture = pictures('discount');

  const atTheTill = async (what) => {
    await screen.goto(`${stage.till.origin}/discount`);
    await screen.getByRole('heading', { name: what }).waitFor();
  };
  /** The rights that a person's phone shows */
  const rights = async (browser) => {
    await browser.page.goto(`${stage.issuer}/phone`);
    await screenIs(browser.page, 'overview');
    return browser.page.locator('.timed li');
  };

  before(async () => {
    const registered = `just_in_time = [{ scope = "discount", roles = ["member"], for_s = ${FOR_S} }]`;
    till = await Kiosk.open({ name: 'Till 4', place: 'Market Street', scope: 'openid profile discount', registered });
    ({ stage, screen } = till);
    stage.till.scope = 'openid profile';
    [lea, bo] = [await somebody(stage, 'Lea Koch', 'lea'), await somebody(stage, 'Bo Berg', 'bo')];
    await till.register();
  });
  after(async () => {
    await Promise.all([lea?.close(), bo?.close()]);
    await stage?.close();
  });

  test('whoever signs in at the till has none', async () => {
    await till.idle();
    await till.comes(lea, 'Lea Koch');
    await picture(screen, 'signed-in');
    await till.application();
    await atTheTill('No discount');
    assert.equal(await (await rights(lea)).count(), 0);
  });

  test('it opens by an approval that names it, its time and this till, and by none that was refused', async () => {
    const asks = async () => {
      await screen.click('#ask');
      await till.code();
      await stage.scan({ on: lea.page, browser: lea });
      await stage.typeDigits({ shown: lea.page });
      await screenIs(lea.page, 'statement');
      return lea.page.locator('main').innerText();
    };
    await asks();
    await lea.page.getByRole('button', { name: 'Refuse' }).click();
    await screenIs(lea.page, 'refused');
    await atTheTill('No discount');
    const said = await asks();
    for (const text of ['Till 4', 'Market Street', 'Opens for a while', 'discount', `For ${FOR_S} seconds from now, on this screen only`]) {
      assert.ok(said.includes(text), `the statement says “${text}”: ${said}`);
    }
    await clear(lea.page, 'a discount to approve');
    await picture(lea.page, 'statement');
    await stage.approve(lea.page);
    await screen.waitForSelector('#person');
    given = Date.now();
  });

  test('it is used while it lives, and seen on the phone', async () => {
    await atTheTill('Ten per cent off');
    const one = await rights(lea);
    assert.equal(await one.count(), 1);
    assert.match(await one.innerText(), /discount[^]*seconds left, until/);
    await picture(lea.page, 'while-it-lives');
    assert.ok(Date.now() < given + FOR_S * 1_000, 'the machine is too slow to see it live');
  });

  test('it is gone when its time is over, and the session goes on', async () => {
    await screen.waitForTimeout(Math.max(0, given + (FOR_S + 1) * 1_000 - Date.now()));
    await atTheTill('No discount');
    assert.equal(await (await rights(lea)).count(), 0);
    assert.match(await lea.page.locator('.session').innerText(), /Till 4/);
    await picture(lea.page, 'over');
    await screen.goto(`${stage.issuer}/kiosk`);
    await till.is('signed-in');
  });

  test('while somebody far away has the till in hand it is refused on the screen, and nobody’s phone is asked', async () => {
    stage.server.command(['signal', 'raise', 'terminal.remote_controlled', 'Till 4']);
    await atTheTill('No discount');
    await screen.click('#ask');
    await screen.waitForSelector('#code-card[data-state="refused"]');
    await screen.getByRole('heading', { name: 'Somebody far away controls this screen' }).waitFor();
    await clear(screen, 'remote-controlled');
    await picture(screen, 'remote-controlled');
    stage.server.command(['signal', 'clear', 'terminal.remote_controlled', 'Till 4']);
    await screen.goto(`${stage.issuer}/kiosk`);
    await till.is('signed-in');
  });

  test('the next person at this till has nothing of it', async () => {
    await screen.getByRole('button', { name: 'Next person' }).click();
    await till.is('next');
    await till.comes(bo, 'Bo Berg');
    await stage.heard(1);
    await atTheTill('No discount');
    await screen.goto(`${stage.issuer}/kiosk`);
    await till.is('signed-in');
    await picture(screen, 'next-person');
    assert.match(await (await rights(bo)).first().page().locator('.session').innerText(), /Till 4/);
    assert.equal(await bo.page.locator('.timed li').count(), 0);
  });

  test('the phone ends it, and the till shows that at once', async () => {
    await till.ends(() => bo.page.getByRole('button', { name: 'End Till 4' }).click());
    await picture(screen, 'ended');
    await till.is('idle');
    for (const browser of [lea, bo]) assert.deepEqual(browser.complaints, []);
    stage.assertClean();
  });
});
